// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * balance-quic ENGINE SEED PACKETS: QUIC packets of every kind, and what only looks like them, at random and cut anywhere, to
 * services with server ids of 1 to 4 bytes, those of the last all in the same place by the first hash, while backends drain, go down and change their ids. Where each goes is
 * compared with the oracle. First, some by hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/oracle.h"
#include "balance_bed.h"
#include "base/clock.h"

#define N_SERVICES 4
#define N_BACKENDS 10
#define N_MORE 24 /* of the last service */
#define INVERSE 0x0e8b2f51u

static struct bed bed;
static uint64_t rng;
static uint32_t seen[BALANCE_WHY_SERVER + 1];

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static uint32_t server_of(uint32_t service, uint32_t backend, uint32_t turn)
{
	if (service ==
	    3) /* INVERSE times 0x9e3779b1 is 1: more begin in the first cell than there are probes */
		return INVERSE * (backend + turn % 5 * 32);
	return (backend * 37 + turn * 11 + (service ? 0x0103 : 0)) & ((1u << 8 * (service + 1)) - 1);
}

static uint32_t n_backends(uint32_t service)
{
	return service == 3 ? N_MORE : N_BACKENDS;
}

/* Service i has ids of i + 1 bytes in configuration i; the last backend has none. */
static void make(void)
{
	struct net_addr four = addr("203.0.113.10"), six = addr("2001:db8::10"), b = addr("2001:db8:1::");
	struct balance_service *s;
	uint32_t i, k;
	char name[8];

	for (i = 0; i < N_SERVICES; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		s = balance_service_add(&bed.m, name);
		s->n_slots = 1009;
		s->hold_s = kernel ? 3600 : 10;
		s->quic_bytes = (uint8_t)(i + 1);
		s->quic_config = (uint8_t)i;
		balance_virtual_add(s, &four, 17, (uint16_t)(443 + i), (uint16_t)(443 + i));
		balance_virtual_add(s, &six, 17, (uint16_t)(443 + i), (uint16_t)(443 + i));
		for (k = 0; k < n_backends(i); k++) {
			struct balance_backend *one;

			b.bytes[14] = (uint8_t)i;
			b.bytes[15] = (uint8_t)k;
			one = balance_backend_add(s, &b);
			one->has_server = k + 1 < n_backends(i);
			one->server = one->has_server ? server_of(i, k, 0) : 0;
		}
	}
}

static void frame_of(const struct oracle_packet *p, uint32_t padding, struct frame *f)
{
	char src[NET_ADDR_TEXT], dst[NET_ADDR_TEXT];
	struct make m = {.src = net_addr_format(&p->src, src, sizeof(src)),
			 .dst = net_addr_format(&p->dst, dst, sizeof(dst)),
			 .sport = p->sport,
			 .dport = p->dport,
			 .proto = 17,
			 .payload = p->n_payload};

	if (below(3) == 0)
		m.n_tags = 1;
	if (below(3) == 0)
		m.options = 2;
	frame_make(f, &m);
	if (p->n_payload)
		memcpy(f->b + f->l4 + 8, p->payload, p->n_payload < 32 ? p->n_payload : 32);
	/* behind the packet, where nothing is read */
	while (padding--)
		frame_put(f, &(uint8_t){(uint8_t)below(256)}, 1);
}

static void compare(struct oracle *o, const struct oracle_packet *p)
{
	struct frame in, out = {.len = 0};
	struct oracle_answer a;
	struct sluice_err err;
	uint32_t got;
	size_t at;

	frame_of(p, below(8) ? 0 : below(20), &in);
	if (oracle_packet(o, p, bed.now, &a, &err))
		fail("%s", err.text);
	got = bed_run(&bed, &in, &out);
	seen[a.why]++;
	at = in.l3 + 24;
	if (a.backend ? got == 3 && !memcmp(out.b + at, a.backend->addr.bytes, 16) : got == 1)
		return;
	fail("%u bytes, first %02x, id %02x %02x, to port %u: verdict %u, backend ..%02x; the oracle says %u, ..%02x",
	     p->n_payload, p->payload[0], p->payload[1], p->payload[2], p->dport, got, out.b[at + 15], a.why,
	     a.backend ? a.backend->addr.bytes[15] : 0xff);
}

/* A connection id of the service, mostly of a backend that is there. */
static void put_id(uint8_t *to, uint32_t service, uint32_t server)
{
	uint32_t i, n = service + 1;

	to[0] = (uint8_t)((below(6) ? service : below(8)) << 5 | below(32));
	for (i = 0; i < n; i++)
		to[1 + i] = (uint8_t)(server >> 8 * (n - 1 - i));
}

static struct oracle_packet random_packet(void)
{
	static const uint32_t versions[] = {1, 1, 1, 0x6b3343cf, 0x6b3343cf, 0, 2, 0xff00001d};
	uint32_t service = below(N_SERVICES), six = below(2), version = versions[below(8)], i;
	const struct balance_service *s = bed.m.services[service];
	struct oracle_packet p = {.src = addr(six ? "2001:db8:2::" : "198.51.100.0"),
				  .dst = addr(six ? "2001:db8::10" : "203.0.113.10"),
				  .sport = (uint16_t)(1024 + below(40)),
				  .dport = (uint16_t)(443 + service),
				  .proto = 17,
				  .n_payload = below(4) ? 1 + below(32) : below(3) ? 32 + below(300) : 0};
	bool is_long = below(2);

	p.src.bytes[six ? 15 : 3] = (uint8_t)below(12);
	for (i = 0; i < sizeof(p.payload); i++)
		p.payload[i] = (uint8_t)below(256);
	p.payload[0] = (uint8_t)((p.payload[0] & 0x7f) | (is_long ? 0x80 : 0));
	for (i = 0; is_long && i < 4; i++)
		p.payload[1 + i] = (uint8_t)(version >> 8 * (3 - i));
	if (is_long)
		p.payload[5] = (uint8_t)(below(4) ? 1 + s->quic_bytes + below(8) : below(256));
	if (below(8))
		put_id(p.payload + (is_long ? 6 : 1), service,
		       s->backends[below((uint32_t)s->n_backends)].server);
	for (i = p.n_payload; i < sizeof(p.payload); i++)
		p.payload[i] = 0;
	return p;
}

static void change(struct oracle *o, uint32_t turn)
{
	struct balance_service *s = bed.m.services[below(N_SERVICES)];
	struct balance_backend *b = &s->backends[below((uint32_t)s->n_backends)];
	struct sluice_err err;
	uint32_t k, service = (uint32_t)s->quic_bytes - 1;

	b->drain = !below(3);
	b->health = below(3) ? BALANCE_UP : BALANCE_DOWN;
	for (k = 0; !below(4) && k + 1 < s->n_backends; k++) /* all ids move on, some to those of others */
		s->backends[k].server = server_of(service, k, turn);
	if (oracle_change(o, &bed.m, bed.now, &err))
		fail("%s", err.text);
	bed_change(&bed);
	bed_ways(&bed, HOP_IN);
}

/* Packets to a service that opened connections. */
static uint64_t n_opened(uint32_t service)
{
	uint32_t s = (uint32_t)tables_service(bed.t, bed.m.services[service]->name), id;
	struct balance_count c;
	struct sluice_err err;
	uint64_t n = 0;

	for (id = 1; id < tables_n_targets(bed.t, s); id++) {
		if (control_balance_count(&bed.b, tables_first(bed.t, s) + id, &c, &err))
			fail("%s", err.text);
		n += c.opened;
	}
	return n;
}

/* Of service q1: two bytes, configuration 1. */
static void by_hand(struct oracle *o)
{
	static const struct {
		uint8_t bytes[12];
		uint32_t n;
		int backend; /* -1: by hash */
	} cases[] = {
		{{0x40, 0x20, 0x01, 0x03}, 4, 0},
		{{0x40, 0x3f, 0x01, 0x28}, 40, 1},
		{{0x40, 0x40, 0x01, 0x28}, 40, -1}, /* another configuration */
		{{0x40, 0xe0, 0x01, 0x28}, 40, -1}, /* of none */
		{{0x40, 0x20, 0x01}, 3, -1},
		{{0x40, 0x20, 0x7f, 0xff}, 40, -1}, /* nobody's */
		{{0xe0, 0, 0, 0, 1, 8, 0x20, 0x01, 0x28}, 40, 1}, /* Handshake */
		{{0xe0, 0, 0, 0, 1, 3, 0x20, 0x01, 0x28}, 9, 1},
		{{0xe0, 0, 0, 0, 1, 2, 0x20, 0x01, 0x28}, 40, -1}, /* an id too short for it */
		{{0xe0, 0, 0, 0, 1, 21, 0x20, 0x01, 0x28}, 40, -1}, /* too long to be one */
		{{0xc0, 0, 0, 0, 1, 8, 0x20, 0x01, 0x28}, 1200, -1}, /* Initial: the client's id */
		{{0xd0, 0, 0, 0, 1, 8, 0x20, 0x01, 0x28}, 1200, -1}, /* 0-RTT */
		{{0xf0, 0x6b, 0x33, 0x43, 0xcf, 8, 0x20, 0x01, 0x28}, 40, 1}, /* version 2: Handshake */
		{{0xe0, 0x6b, 0x33, 0x43, 0xcf, 8, 0x20, 0x01, 0x28}, 40, -1},
		{{0xe0, 0, 0, 0, 2, 8, 0x20, 0x01, 0x28}, 40, -1}, /* a version that nobody knows */
	};
	struct oracle_packet p = {.src = addr("198.51.100.7"), .dst = addr("203.0.113.10"), .sport = 7, .dport = 444, .proto = 17};
	struct oracle_answer a;
	struct sluice_err err;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memset(p.payload, 0, sizeof(p.payload));
		memcpy(p.payload, cases[i].bytes, cases[i].n < 12 ? cases[i].n : 12);
		p.n_payload = cases[i].n;
		if (oracle_packet(o, &p, bed.now, &a, &err))
			fail("%s", err.text);
		if ((a.why == BALANCE_WHY_SERVER) != (cases[i].backend >= 0) ||
		    (cases[i].backend >= 0 && a.backend != &bed.m.services[1]->backends[cases[i].backend]))
			fail("case %zu: the oracle says %u, ..%02x", i, a.why, a.backend ? a.backend->addr.bytes[15] : 0xff);
		compare(o, &p);
	}
	if (n_opened(1) != 1)
		fail("%llu packets are counted as opening a connection, and one is an Initial",
		     (unsigned long long)n_opened(1));
}

int main(int argc, char **argv)
{
	struct control_balance_opts opts = {.flows = 1 << 14, .flows_fd = -1};
	struct oracle_packet p;
	struct sluice_err err;
	struct oracle *o;
	uint32_t i, n;

	if (argc != 4)
		fail("usage: balance-quic ENGINE SEED PACKETS");
	engine_open(argv[1]);
	rng = seed_now = strtoull(argv[2], NULL, 0);
	n = (uint32_t)strtoul(argv[3], NULL, 0);
	make();
	bed_open(&bed, &opts);
	bed_ways(&bed, HOP_IN);
	if (oracle_new(&o, &err) || oracle_change(o, &bed.m, bed.now, &err))
		fail("%s", err.text);
	by_hand(o);
	for (i = 0; i < n; i++) {
		bed.now = kernel ? clock_mono_ns() : bed.now + below(40000000);
		if (i % 100 == 99)
			change(o, i);
		p = random_packet();
		compare(o, &p);
	}
	if (seen[BALANCE_WHY_SERVER] < n / 10 || seen[BALANCE_WHY_HASH] < n / 10 || !seen[BALANCE_WHY_NEW])
		fail("too few: %u by server id, %u by hash, %u new", seen[BALANCE_WHY_SERVER], seen[BALANCE_WHY_HASH],
		     seen[BALANCE_WHY_NEW]);
	printf("%u packets: %u by server id, %u by hash, %u known, %u new\n", n, seen[BALANCE_WHY_SERVER],
	       seen[BALANCE_WHY_HASH], seen[BALANCE_WHY_TABLE], seen[BALANCE_WHY_NEW]);
	oracle_free(o);
	bed_close(&bed);
	engine_close();
	return 0;
}
