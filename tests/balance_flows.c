// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * balance-flows ENGINE random SEED PACKETS | flood | large
 *
 * random: packets and changes at random, through two balancers that were given the same services in another order; each
 * packet's backend is compared with the oracle's, and the two frames with each other. flood: flows that the table knows,
 * beside a flood of SYNs. large: 300 services with ranges of ports; the kernel's verifier has room to spare.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "balance/oracle.h"
#include "balance_bed.h"
#include "base/clock.h"

#define N_SERVICES 4
#define SECOND 1000000000ull

static struct bed one, two;
static uint64_t rng;

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

/* Ports of one address; all ports; affinity, all ports; stateless. Each on both families, backends are IPv6. */
static void make(struct balance_model *m, bool backwards)
{
	struct net_addr four = addr("203.0.113.10"), six = addr("2001:db8::10"), b = addr("2001:db8:1::");
	struct balance_service *s;
	uint32_t i, k, n, at;
	char name[8];
	bool all;

	for (n = 0; n < N_SERVICES; n++) {
		i = backwards ? N_SERVICES - 1 - n : n;
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(m, name);
		s->n_slots = i == 2 ? 509 : 1009;
		s->hold_s = kernel ? 3600 : 10;
		s->affinity = i == 2;
		s->stateless = i == 3;
		s->fallback = i == 0 ? BALANCE_OPEN : BALANCE_DROP;
		all = i == 1 || i == 2;
		four.bytes[3] = (uint8_t)(10 + (all ? i : 0));
		six.bytes[15] = (uint8_t)(0x10 + (all ? i : 0));
		balance_virtual_add(s, &four, all ? 0 : 6, (uint16_t)(all ? 0 : 80 + i),
				    (uint16_t)(all ? 65535 : 80 + i));
		balance_virtual_add(s, &six, all ? 0 : 6, (uint16_t)(all ? 0 : 80 + i),
				    (uint16_t)(all ? 65535 : 80 + i));
		for (k = 0; k < 12; k++) {
			at = backwards ? 11 - k : k;
			b.bytes[14] = (uint8_t)i;
			b.bytes[15] = (uint8_t)at;
			balance_backend_add(s, &b)->weight = 1 + at % 3;
		}
	}
	snprintf(m->seed, sizeof(m->seed), "secret");
}

static struct balance_backend *backend(struct balance_model *m, uint32_t service, uint32_t k, bool backwards)
{
	return &m->services[backwards ? N_SERVICES - 1 - service : service]->backends[backwards ? 11 - k : k];
}

/* The same change to both models. */
static void change(void)
{
	uint32_t i, n, k;

	for (i = 0; i < N_SERVICES; i++)
		for (n = below(3); n; n--) {
			struct balance_backend *a, *b;

			k = below(12);
			a = backend(&one.m, i, k, false);
			b = backend(&two.m, i, k, true);
			a->drain = b->drain = !below(4);
			a->weight = b->weight = below(4);
			a->health = b->health = below(4) ? BALANCE_UP : BALANCE_DOWN;
		}
}

struct first { /* a first fragment that was sent */
	struct oracle_packet p;
	uint64_t at;
};

static struct first firsts[16];
static uint32_t n_firsts, ident;

static struct oracle_packet random_packet(void)
{
	static const char *const to[2][N_SERVICES] = {{"203.0.113.10", "203.0.113.11", "203.0.113.12",
						       "203.0.113.10"},
						      {"2001:db8::10", "2001:db8::11", "2001:db8::12",
						       "2001:db8::10"}};
	struct oracle_packet p = {.kind = below(4) ? BALANCE_PACKET_GOES_ON : BALANCE_PACKET_OPENS,
				  .proto = 6};
	struct first *f = &firsts[below(16)];
	uint32_t service = below(N_SERVICES), six = below(2);
	struct net_addr swap;
	uint16_t port;

	if (!below(8) && n_firsts > 16 && one.now - f->at < 20 * SECOND) {
		p = f->p;
		p.kind = BALANCE_PACKET_FRAGMENT;
		p.more = false;
		p.ident += below(6) ? 0 : 0x4000; /* that of nobody */
		return p;
	}
	p.src = addr(six ? "2001:db8:2::" : "198.51.100.0");
	p.src.bytes[six ? 15 : 3] = (uint8_t)below(12);
	p.dst = addr(to[six][service]);
	p.sport = (uint16_t)(1024 + below(60));
	p.dport = (uint16_t)(80 + service + (below(8) ? 0 : 10)); /* 90 and up: no service's */
	p.more = !below(6);
	p.ident = p.more ? ++ident & 0x3fff : 0;
	if (p.more)
		firsts[n_firsts++ % 16] = (struct first){p, one.now};
	if (!p.more && !below(8)) {
		p.kind = BALANCE_PACKET_ERROR;
		swap = p.src;
		p.src = p.dst;
		p.dst = swap;
		port = p.sport;
		p.sport = p.dport;
		p.dport = port;
	}
	return p;
}

static void frame_of(const struct oracle_packet *p, struct frame *f)
{
	char src[NET_ADDR_TEXT], dst[NET_ADDR_TEXT];
	struct make m = {.src = net_addr_format(&p->src, src, sizeof(src)),
			 .dst = net_addr_format(&p->dst, dst, sizeof(dst)),
			 .sport = p->sport,
			 .dport = p->dport,
			 .proto = 6,
			 .more = p->more,
			 .ident = p->ident,
			 .payload = 8};
	struct frame quoted;

	m.flags = p->kind == BALANCE_PACKET_OPENS ? 0x02 : 0x10;
	m.offset = p->kind == BALANCE_PACKET_FRAGMENT ? 6 : 0;
	frame_make(f, &m);
	if (p->kind != BALANCE_PACKET_ERROR)
		return;
	quoted = *f;
	frame_make(f, &(struct make){.src = p->src.v6 ? "2001:db8:9::1" : "192.0.2.254",
				     .dst = m.src,
				     .proto = p->src.v6 ? 58 : 1,
				     .payload = 8 + quoted.len - quoted.l3});
	memset(f->b + f->l4, 0, 8);
	f->b[f->l4] = p->src.v6 ? 1 : 3;
	memcpy(f->b + f->l4 + 8, quoted.b + quoted.l3, quoted.len - quoted.l3);
}

static uint32_t n_passed[BALANCE_PACKET_ERROR + 1];

static void compare(struct oracle *o, const struct oracle_packet *p, uint32_t *seen)
{
	struct frame in, a = {.len = 0}, b = {.len = 0};
	struct oracle_answer answer;
	struct sluice_err err;
	uint32_t got, other;

	frame_of(p, &in);
	if (oracle_packet(o, p, one.now, &answer, &err))
		fail("%s", err.text);
	got = bed_run(&one, &in, &a);
	other = bed_run(&two, &in, &b);
	if (got != other || a.len != b.len || memcmp(a.b, b.b, a.len))
		fail("two balancers: verdicts %u and %u", got, other);
	if (!answer.service && answer.why == BALANCE_WHY_HASH) {
		if (got != 2 || a.len != in.len || memcmp(a.b, in.b, in.len))
			fail("a packet of kind %u to port %u: verdict %u; to the oracle it is for no service", p->kind, p->dport, got);
		n_passed[p->kind]++;
		return;
	}
	seen[answer.why]++;
	if (answer.backend ? got == 3 && !memcmp(a.b + 14 + 24, answer.backend->addr.bytes, 16) : got == 1)
		return;
	fail("a packet of kind %u to port %u: verdict %u, backend ..%02x%02x; the oracle says %u, ..%02x%02x",
	     p->kind, p->dport, got, a.b[14 + 38], a.b[14 + 39], answer.why,
	     answer.backend ? answer.backend->addr.bytes[14] : 0,
	     answer.backend ? answer.backend->addr.bytes[15] : 0);
}

static void both_change(struct oracle *o)
{
	struct sluice_err err;

	change();
	if (oracle_change(o, &one.m, one.now, &err))
		fail("%s", err.text);
	bed_change(&one);
	bed_change(&two);
	bed_ways(&one, HOP_IN);
	bed_ways(&two, HOP_IN);
}

static void open_two(void)
{
	struct control_balance_opts opts = {.flows = 1 << 16, .flows_fd = -1};

	make(&one.m, false);
	make(&two.m, true);
	bed_open(&one, &opts);
	bed_open(&two, &opts);
	two.now = one.now;
	bed_ways(&one, HOP_IN);
	bed_ways(&two, HOP_IN);
}

static void random_packets(uint32_t n)
{
	uint32_t seen[BALANCE_WHY_NO_FIRST + 1] = {0}, i;
	struct oracle_packet p;
	struct sluice_err err;
	struct oracle *o;

	open_two();
	if (oracle_new(&o, &err) || oracle_change(o, &one.m, one.now, &err))
		fail("%s", err.text);
	for (i = 0; i < n; i++) {
		one.now = two.now = kernel ? clock_mono_ns() : one.now + below(40000000);
		if (i % 200 == 199)
			both_change(o);
		p = random_packet();
		compare(o, &p, seen);
	}
	for (i = 0; i <= BALANCE_WHY_NO_FIRST; i++)
		if (!seen[i] && i != BALANCE_WHY_NO_BACKEND && !(kernel && i == BALANCE_WHY_CURRENT))
			fail("no packet was decided for reason %u", i);
	if (!n_passed[BALANCE_PACKET_FRAGMENT] || !n_passed[BALANCE_PACKET_GOES_ON])
		fail("no packet, or no fragment, passed");
	printf("%u packets: %u by hash, %u known, %u new, %u to the previous, %u to the current one, %u "
	       "nobody, %u without their "
	       "first\n",
	       n, seen[0], seen[1], seen[2], seen[3], seen[4], seen[5], seen[6]);
	oracle_free(o);
	bed_close(&one);
	bed_close(&two);
}

#define KNOWN 2000

static void known_packet(uint32_t i, struct frame *f)
{
	struct oracle_packet p = {.src = addr("198.51.100.0"),
				  .dst = addr("203.0.113.10"),
				  .proto = 6,
				  .sport = (uint16_t)(1000 + i),
				  .dport = 80};

	frame_of(&p, f);
}

/*
 * A service whose every backend drains but one: flows that are known stay where they are, unknown ones would go to the one
 * since the deadline is over. The table has room for 8,192 flows; 400,000 SYNs come.
 */
static void flood(void)
{
	struct control_balance_opts opts = {.flows = 8192, .flows_fd = -1};
	static uint8_t where[KNOWN][16];
	struct frame in, out;
	uint32_t i, moved = 0, n = kernel ? 100000 : 400000;
	int s;

	make(&one.m, false);
	one.m.services[0]->hold_s = 1;
	bed_open(&one, &opts);
	bed_ways(&one, HOP_IN);
	for (i = 0; i < 11; i++)
		one.m.services[0]->backends[i].drain = true;
	bed_change(&one);
	for (i = 0; i < 2 * KNOWN; i++) { /* twice: seen, then known */
		known_packet(i % KNOWN, &in);
		if (bed_run(&one, &in, &out) != 3)
			fail("a packet was not forwarded");
		memcpy(where[i % KNOWN], out.b + 38, 16);
	}
	for (i = 0; i < n; i++) {
		struct oracle_packet p = {.src = addr("100.64.0.0"),
					  .dst = addr("203.0.113.10"),
					  .proto = 6,
					  .sport = (uint16_t)below(65536),
					  .dport = 80,
					  .kind = BALANCE_PACKET_OPENS};

		if (!(i & 15)) {
			frame_of(&p, &in);
			one.now += kernel ? 0 : 100000;
		}
		in.b[in.l3 + 14] = (uint8_t)below(256);
		in.b[in.l3 + 15] = (uint8_t)below(256);
		bed_run(&one, &in, &out);
	}
	one.now += 2 * SECOND;
	for (i = 0; i < KNOWN; i++) {
		known_packet(i, &in);
		bed_run(&one, &in, &out);
		moved += memcmp(where[i], out.b + 38, 16) != 0;
	}
	s = tables_service(one.t, "s0");
	printf("%u SYNs; %u of %u known flows moved; %llu flows were not recorded\n", n, moved, KNOWN,
	       (unsigned long long)bed_reason(&one, s, BALANCE_NOTE_FULL));
	for (i = 0, n = 0; i < KNOWN; i++)
		n += where[i][15] != 11;
	if (moved || n < KNOWN / 2)
		fail("%u flows moved, %u of %u are at a backend that drains", moved, n, KNOWN);
	bed_close(&one);
}

static void large(void)
{
	struct net_addr v = addr("203.0.0.0"), b = addr("10.0.0.0");
	struct bpf_prog_info info = {0};
	struct balance_service *s;
	struct frame in, out;
	uint32_t i, k, len = sizeof(info);
	char name[8];

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(&one.m, name);
		s->n_slots = 1009;
		v.bytes[2] = b.bytes[1] = (uint8_t)(i >> 8);
		v.bytes[3] = b.bytes[2] = (uint8_t)i;
		balance_virtual_add(s, &v, 6, 80, 8079);
		for (k = 0; k < 100; k++) {
			b.bytes[3] = (uint8_t)k;
			balance_backend_add(s, &b);
		}
	}
	bed_open(&one, NULL);
	bed_ways(&one, HOP_IN);
	for (i = 0; i < 300; i++) {
		struct oracle_packet p = {.src = addr("198.51.100.1"),
					  .dst = v,
					  .proto = 6,
					  .sport = 5,
					  .dport = (uint16_t)(80 + i * 26)};

		p.dst.bytes[2] = (uint8_t)(i >> 8);
		p.dst.bytes[3] = (uint8_t)i;
		frame_of(&p, &in);
		if (bed_run(&one, &in, &out) != 3 || out.b[31] != i >> 8 || out.b[32] != (i & 0xff))
			fail("a packet to service %u went to 10.%u.%u", i, out.b[31], out.b[32]);
	}
	if (kernel && bpf_obj_get_info_by_fd(one.b.prog_fd, &info, &len))
		fail("the program tells nothing of itself");
	printf("%u instructions verified\n", info.verified_insns);
	if (info.verified_insns > 600000)
		fail("too near to what the verifier looks at, 1,000,000");
	bed_close(&one);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		fail("usage: balance-flows ENGINE random SEED PACKETS | flood");
	engine_open(argv[1]);
	rng = seed_now = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	if (!strcmp(argv[2], "random") && argc == 5)
		random_packets((uint32_t)strtoul(argv[4], NULL, 0));
	else if (!strcmp(argv[2], "large"))
		large();
	else
		flood();
	engine_close();
	return 0;
}
