// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer's program on an engine, and packets made by hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>

#include "balance_bed.h"
#include "base/clock.h"
#include "bpf/seam.h"

static struct vm *vm;
bool kernel;
uint64_t seed_now;

void fail(const char *fmt, ...)
{
	va_list ap;

	printf("seed %llu: ", (unsigned long long)seed_now);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

void engine_open(const char *name)
{
	struct vm_config config = {.n_cpus = 4, .seed = 7};
	struct sluice_err err;

	kernel = !strcmp(name, "kernel");
	if (kernel)
		return;
	config.engine = !strcmp(name, "jit") ? VM_ENGINE_JIT : VM_ENGINE_INTERP;
	if (vm_new(&config, &vm, &err))
		fail("%s", err.text);
	seam_engine(vm);
}

void engine_close(void)
{
	seam_engine(NULL);
	vm_free(vm);
}

struct net_addr addr(const char *text)
{
	struct sluice_err err;
	struct net_addr a;

	if (net_addr_parse(text, &a, &err))
		fail("%s", err.text);
	return a;
}

void bed_change(struct bed *bed)
{
	struct sluice_err err;

	if (tables_change(bed->t, &bed->m, NULL, bed->now, NULL, &err))
		fail("%s", err.text);
}

void bed_load(struct bed *bed, const struct control_balance_opts *opts)
{
	struct vm_worker_config config = {.longest = 65536};
	struct sluice_err err;

	if (control_balance_load(bed->t, opts, &bed->b, &err)) {
		if (err.code == -EPERM)
			exit(4);
		fail("loading: %s", err.text);
	}
	if (!kernel && vm_worker_new(vm, bed->b.prog_fd, &config, &bed->worker, &err))
		fail("%s", err.text);
}

void bed_open(struct bed *bed, const struct control_balance_opts *opts)
{
	struct balance_hop in = {.ifindex = 1,
				 .mtu = 1500,
				 .dmac = {2, 0, 0, 0, 0, 0xb1},
				 .smac = {2, 0, 0, 0, 0, 0xb2}};
	struct balance_hop out = {.ifindex = 7,
				  .mtu = 1500,
				  .dmac = {2, 0, 0, 0, 0, 0xc1},
				  .smac = {2, 0, 0, 0, 0, 0xc2}};
	struct tables_room room;
	struct sluice_err err;

	if (balance_check(&bed->m, NULL, NULL, &err))
		fail("%s", err.text);
	tables_room(&bed->m, &room);
	if (tables_new(&room, bed->m.seed, &bed->t, &err))
		fail("%s", err.text);
	bed_load(bed, opts);
	bed->now = kernel ? clock_mono_ns() : 1000000000000;
	tables_hop(bed->t, HOP_IN, &in);
	tables_hop(bed->t, HOP_OUT, &out);
	bed_change(bed);
}

void bed_close(struct bed *bed)
{
	vm_worker_free(bed->worker);
	tables_free(bed->t);
	control_balance_close(&bed->b);
	balance_model_free(&bed->m);
	memset(bed, 0, sizeof(*bed));
}

void bed_ways(struct bed *bed, uint32_t hop)
{
	uint32_t id;
	size_t i;
	int s;

	for (i = 0; i < bed->m.n_services; i++) {
		s = tables_service(bed->t, bed->m.services[i]->name);
		for (id = 1; id < tables_ring(bed->t, (uint32_t)s)->n_backends; id++)
			tables_way(bed->t, (uint32_t)s, id, hop);
	}
}

uint64_t bed_reason(const struct bed *bed, int service, enum balance_reason reason)
{
	struct balance_reasons r;
	struct sluice_err err;

	if (control_balance_reasons(&bed->b, service < 0 ? bed->b.config.n_services : (uint32_t)service, &r,
				    &err))
		fail("%s", err.text);
	return r.n[reason];
}

uint32_t bed_run(struct bed *bed, const struct frame *in, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in->b, .data_size_in = in->len, .data_out = out->b,
		    .data_size_out = FRAME_ROOM, .repeat = 1);
	struct vm_frame frame = {.data = in->b, .len = in->len, .time_ns = bed->now, .ifindex = 1};
	struct vm_done done;
	int e;

	if (!kernel) {
		vm_worker_run(bed->worker, &frame, NULL, &done);
		if (done.fault)
			fail("the program faults");
		out->len = done.len;
		memcpy(out->b, done.data, done.len);
		return done.verdict;
	}
	e = bpf_prog_test_run_opts(bed->b.prog_fd, &o);
	if (e)
		fail("running it: %s", strerror(-e));
	out->len = o.data_size_out;
	return o.retval;
}

void frame_put(struct frame *f, const void *data, uint32_t len)
{
	if (f->len + len > FRAME_ROOM)
		fail("a frame of more than %u bytes", FRAME_ROOM);
	if (data)
		memcpy(f->b + f->len, data, len);
	else
		memset(f->b + f->len, 0, len);
	f->len += len;
}

void frame_be16(struct frame *f, uint32_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	frame_put(f, b, 2);
}

void frame_be32(struct frame *f, uint32_t v)
{
	frame_be16(f, v >> 16);
	frame_be16(f, v & 0xffff);
}

uint16_t frame_sum(const void *data, uint32_t len, uint32_t start)
{
	const uint8_t *b = data;
	uint32_t sum = start, i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void ip4(struct frame *f, const struct make *m, uint32_t len)
{
	uint32_t words = 5 + m->options, off = m->offset | (m->df ? 0x4000 : 0) | (m->more ? 0x2000 : 0), i;
	struct net_addr src = addr(m->src), dst = addr(m->dst);

	frame_be16(f, (0x40 | words) << 8 | m->tos);
	frame_be16(f, words * 4 + len);
	frame_be16(f, m->ident);
	frame_be16(f, off);
	frame_be16(f, 61 << 8 | m->proto);
	frame_be16(f, 0);
	frame_put(f, src.bytes, 4);
	frame_put(f, dst.bytes, 4);
	for (i = 0; i < m->options; i++)
		frame_be32(f, 0x01010101); /* no operation */
	put16(f->b + f->l3 + 10, frame_sum(f->b + f->l3, words * 4, 0));
}

static void ip6(struct frame *f, const struct make *m, uint32_t len)
{
	bool fragment = m->fragment || m->more || m->offset;
	struct net_addr src = addr(m->src), dst = addr(m->dst);
	uint32_t i;

	frame_be32(f, 6u << 28 | (uint32_t)m->tos << 20 | 0x12345);
	frame_be16(f, len + 8 * m->options + 8 * fragment);
	frame_be16(f, (uint32_t)(m->options ? 60 : fragment ? 44 : m->proto) << 8 | 61);
	frame_put(f, src.bytes, 16);
	frame_put(f, dst.bytes, 16);
	for (i = 0; i < m->options; i++) {
		frame_be16(f, (uint32_t)(i + 1 < m->options ? 60 : fragment ? 44 : m->proto) << 8);
		frame_be16(f, 0x0104); /* PadN */
		frame_be32(f, 0);
	}
	if (fragment) {
		frame_be16(f, (uint32_t)m->proto << 8);
		frame_be16(f, m->offset << 3 | m->more);
		frame_be32(f, m->ident);
	}
}

/* Of pseudo header and what begins at l4. */
static uint16_t l4_sum(const struct frame *f, const struct make *m)
{
	struct net_addr src = addr(m->src), dst = addr(m->dst);
	uint32_t len = f->len - f->l4, start;

	start = (uint16_t)~frame_sum(src.bytes, 16, len + m->proto);
	start = (uint16_t)~frame_sum(dst.bytes, 16, start);
	return frame_sum(f->b + f->l4, len, start);
}

void frame_make(struct frame *f, const struct make *m)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	bool six = strchr(m->src, ':'), whole = !m->offset;
	uint32_t head = !whole ? 0 : m->proto == 6 ? 20 : m->proto == 17 ? 8 : 0, i;

	memset(f, 0, sizeof(*f));
	frame_put(f, macs, 12);
	for (i = 0; i < m->n_tags; i++) {
		frame_be16(f, i ? 0x8100 : m->n_tags > 1 ? 0x88a8 : 0x8100);
		frame_be16(f, 0x2000 | (100 + i));
	}
	frame_be16(f, six ? 0x86dd : 0x0800);
	f->l3 = f->len;
	if (six)
		ip6(f, m, head + m->payload);
	else
		ip4(f, m, head + m->payload);
	f->l4 = f->len;
	if (head) {
		frame_be16(f, m->sport);
		frame_be16(f, m->dport);
	}
	if (head == 20) {
		frame_be32(f, 0x01020304);
		frame_be32(f, m->flags & 0x10 ? 0x05060708 : 0);
		frame_be16(f, 5u << 12 | m->flags);
		frame_be16(f, 0x7210);
		frame_be32(f, 0);
	} else if (head) {
		frame_be16(f, 8 + m->payload);
		frame_be16(f, 0);
	}
	for (i = 0; i < m->payload; i++)
		frame_put(f, &(uint8_t){(uint8_t)(i * 7 + 1)}, 1);
	if (head)
		put16(f->b + f->l4 + (head == 20 ? 16 : 6), l4_sum(f, m));
}
