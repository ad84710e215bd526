// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loading the balancer: constants, sizes, memory that is mapped; reading its counters. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/embedded.h"
#include "base/err.h"
#include "bpf/object.h"
#include "bpf/seam.h"
#include "control/balance.h"
#include "control/balance_counts.h"
#include "control/balance_nat.h"

#define TICK_NS 4000000000u /* a tick is the first power of two of jiffies that is no shorter: of 4 ms and 1 ms 4.1 s, of 10 ms 5.1 s */

uint32_t control_balance_jiffy_ns(void)
{
	struct timespec tick = {.tv_nsec = 4000000};

	/* the coarse clock goes on with jiffies; in user space the engine has them of 4 ms */
	if (seam_in_user_space() || clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || tick.tv_nsec <= 0)
		return 4000000;
	return (uint32_t)tick.tv_nsec;
}

uint32_t control_balance_tick_shift(uint32_t jiffy_ns)
{
	uint32_t shift = 0;

	while ((uint64_t)jiffy_ns << shift < TICK_NS)
		shift++;
	return shift;
}

static uint32_t log2_of(uint64_t n)
{
	uint32_t bits = 0;

	while (1ull << bits < n)
		bits++;
	return bits;
}

static const struct net_addr source4 = {.bytes = {198, 18}};
static const struct net_addr source6 = {.bytes = {1}, .v6 = true};

static int sources(const struct control_balance_opts *o, struct balance_config *c, struct sluice_err *err)
{
	uint32_t bits4 = o->source4_bits ? o->source4_bits : 16,
		 bits6 = o->source6_bits ? o->source6_bits : 64;
	const struct net_addr *a4 = o->source4_bits ? &o->source4 : &source4;
	const struct net_addr *a6 = o->source6_bits ? &o->source6 : &source6;
	uint64_t hi, lo, vary;

	if (bits4 > 32 || bits6 < 64 || bits6 > 128)
		return err_set(err, -EINVAL,
			       "outer source addresses of /%u and /%u; IPv4 can have 1 to 32 bits, IPv6 64 "
			       "to 128",
			       bits4, bits6);
	net_addr_words(a4, &hi, &lo);
	vary = bits4 == 32 ? 0 : 0xffffffffu >> bits4;
	c->source4 = htobe32((uint32_t)(lo & ~vary));
	c->vary4 = htobe32((uint32_t)vary);
	net_addr_words(a6, &hi, &lo);
	vary = bits6 == 128 ? 0 : ~0ull >> (bits6 - 64);
	c->source6[0] = hi;
	c->source6[1] = lo & ~vary;
	c->vary6 = vary;
	return 0;
}

static int settings(const struct tables *t, const struct control_balance_opts *o, struct control_balance *b,
		    struct sluice_err *err)
{
	struct balance_config *c = &b->config;
	uint64_t flows = o->flows ? o->flows : CONTROL_FLOWS,
		 fragments = o->fragments ? o->fragments : 4096;
	uint32_t jiffy_ns = control_balance_jiffy_ns();
	uint64_t idle = (o->idle_s ? o->idle_s : 300) * 1000000000ull;

	*c = *tables_config(t);
	flows = flows * 4 / BALANCE_FLOW_WAYS;
	c->flow_shift = 64 - log2_of(flows < 16 ? 16 : flows);
	fragments = fragments * 2 / BALANCE_FLOW_WAYS;
	c->fragment_shift = 64 - log2_of(fragments < 16 ? 16 : fragments);
	c->tick_shift = control_balance_tick_shift(jiffy_ns);
	idle = (idle >> c->tick_shift) / jiffy_ns + 1;
	c->idle = idle > 1000 ? 1000 : (uint32_t)idle;
	c->on = o->on ? o->on : ~0u;
	c->icmp_per_s = o->icmp_per_s == UINT32_MAX ? 0 : o->icmp_per_s ? o->icmp_per_s : 1000;
	return sources(o, c, err);
}

static int set_size(struct control_balance *b, const char *name, size_t bytes, struct sluice_err *err)
{
	struct bpf_map *map = bpf_object__find_map_by_name(sluice_object_libbpf(b->obj), name);
	int e = !map ? -ENOENT : bytes > UINT32_MAX ? -E2BIG : bpf_map__set_value_size(map, (uint32_t)bytes);

	return e ? err_set(err, e, "a map %s of %zu bytes: %s", name, bytes, strerror(-e)) : 0;
}

static int map(struct control_balance *b, const char *name, size_t len, void **to, struct sluice_err *err)
{
	int fd = sluice_object_map_fd(b->obj, name, err);

	*to = NULL;
	if (fd < 0)
		return fd;
	*to = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*to != MAP_FAILED)
		return 0;
	*to = NULL;
	return err_set(err, -errno, "mapping %s: %s", name, strerror(errno));
}

size_t control_balance_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

/* Opened, with its constants and the sizes of its maps. */
static int prepare(const struct tables *t, const struct control_balance_opts *opts, const void *object, size_t len,
		   struct control_balance *b, struct sluice_err *err)
{
	size_t fragments;
	int e;

	memset(b, 0, sizeof(*b));
	b->prog_fd = -1;
	e = settings(t, opts, b, err);
	if (e)
		return e;
	b->memory_len = control_balance_pages(tables_bytes(t));
	b->flows_len = 64ull << (64 - b->config.flow_shift);
	fragments = 64ull << (64 - b->config.fragment_shift);
	e = sluice_object_open_mem(object, len, "balance", &b->obj, err);
	if (!e)
		object_fold(b->obj);
	if (!e)
		e = sluice_object_set_bytes(b->obj, "config", &b->config, sizeof(b->config), err);
	if (!e)
		e = set_size(b, "balance_tables", tables_bytes(t), err);
	if (!e)
		e = set_size(b, "balance_flows", b->flows_len, err);
	if (!e)
		e = set_size(b, "balance_fragments", fragments, err);
	if (!e)
		e = sluice_object_resize(b->obj, "balance_counts",
					 (b->config.n_targets + BALANCE_TALLIES - 1) / BALANCE_TALLIES, err);
	if (!e)
		e = sluice_object_resize(b->obj, "balance_reasons", b->config.n_services + 1, err);
	if (!e)
		e = control_balance_nat(b->obj, opts->nat, opts->nat_fds,
					(uint64_t)control_balance_jiffy_ns() << b->config.tick_shift, err);
	return e;
}

static const struct control_balance_opts defaults = {.flows_fd = -1};

int control_balance_load_from(struct tables *t, const struct control_balance_opts *opts, const void *object,
			      size_t len, const char *program, struct control_balance *b,
			      struct sluice_err *err)
{
	struct sluice_program *prog = NULL, *other;
	void *memory, *flows;
	size_t i;
	int e;

	opts = opts ? opts : &defaults;
	e = prepare(t, opts, object, len, b, err);
	if (!e && opts->flows_fd >= 0)
		e = sluice_object_share_map(b->obj, "balance_flows", opts->flows_fd, err);
	if (!e)
		e = sluice_object_program(b->obj, program, &prog, err);
	for (i = 0; !e && sluice_object_program_name(b->obj, i);
	     i++) /* all of them: they have the maps in common */
		e = sluice_object_program(b->obj, sluice_object_program_name(b->obj, i), &other, err);
	if (!e)
		e = sluice_object_load(b->obj, err);
	if (!e)
		e = map(b, "balance_tables", b->memory_len, &memory, err);
	if (!e)
		b->memory = memory;
	if (!e)
		e = map(b, "balance_flows", control_balance_pages(b->flows_len), &flows, err);
	if (e)
		return e;
	b->flows = flows;
	b->prog_fd = sluice_program_fd(prog);
	tables_attach(t, b->memory);
	return 0;
}

const char *control_balance_map_name(enum control_balance_map map)
{
	static const char *const names[] = {"balance_tables", "balance_flows", "balance_fragments", "balance_counts",
					    "balance_reasons"};

	return names[map];
}

/* A map that is there is taken if it is as the object's would be. */
static int share(struct control_balance *b, enum control_balance_map which, int fd, struct sluice_err *err)
{
	const char *name = control_balance_map_name(which);
	struct bpf_map *map = bpf_object__find_map_by_name(sluice_object_libbpf(b->obj), name);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (fd < 0)
		return 0;
	if (which != BALANCE_MAP_MEMORY && map && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	    (info.value_size != bpf_map__value_size(map) || info.max_entries != bpf_map__max_entries(map)))
		return 0;
	return sluice_object_share_map(b->obj, name, fd, err);
}

int control_balance_load_code(const struct tables *t, const struct control_balance_opts *opts,
			      const int maps[BALANCE_MAPS], struct control_balance *b, const struct code **code,
			      struct sluice_err *err)
{
	struct sluice_program *prog;
	uint32_t i;
	int e = prepare(t, opts ? opts : &defaults, embedded_balance, embedded_balance_len, b, err);

	for (i = 0; i < BALANCE_MAPS && !e; i++)
		e = share(b, i, maps[i], err);
	if (!e)
		e = sluice_object_program(b->obj, "balance", &prog, err);
	if (!e)
		e = object_load_code(b->obj, err);
	if (e)
		return e;
	b->prog_fd = sluice_program_fd(prog);
	*code = program_code(prog);
	return 0;
}

int control_balance_load(struct tables *t, const struct control_balance_opts *opts, struct control_balance *b,
			 struct sluice_err *err)
{
	return control_balance_load_from(t, opts, embedded_balance, embedded_balance_len, "balance", b, err);
}

void control_balance_close(struct control_balance *b)
{
	if (b->memory)
		munmap(b->memory, b->memory_len);
	if (b->flows)
		munmap(b->flows, control_balance_pages(b->flows_len));
	sluice_object_free(b->obj);
	memset(b, 0, sizeof(*b));
	b->prog_fd = -1;
}

int control_balance_count(const struct control_balance *b, uint32_t target, struct balance_count *to,
			  struct sluice_err *err)
{
	int fd = sluice_object_map_fd(b->obj, "balance_counts", err);

	*to = (struct balance_count){0};
	return fd < 0 ? fd : balance_counts_read(fd, target, to, err);
}

int control_balance_reasons(const struct control_balance *b, uint32_t service, struct balance_reasons *to,
			    struct sluice_err *err)
{
	int fd = sluice_object_map_fd(b->obj, "balance_reasons", err);

	*to = (struct balance_reasons){0};
	return fd < 0 ? fd : balance_reasons_read(fd, service, to, err);
}
