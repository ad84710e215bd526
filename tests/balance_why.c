// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* balance-why ENGINE SEED N: what is said of random packets in words, and what the program does with the same packets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/answer.h"
#include "balance/nat.h"
#include "balance_bed.h"
#include "control/balance_live.h"

#define HOP_GONE 3

static const struct service {
	const char *virtual, *backend;
	enum balance_mode mode;
	enum balance_fallback fallback;
	bool affinity, drains, lost; /* lost: its way is known no more */
	uint8_t proto;		     /* on port 80; 0: all ports of all protocols */
} services[] = {
	{"203.0.113.10", "10.1.0.11", .mode = BALANCE_IPIP},
	{"203.0.113.11", "2001:db8:1::11", .mode = BALANCE_GUE},
	{"203.0.113.12", "10.1.0.12", .mode = BALANCE_L2},
	{"203.0.113.13", "10.9.0.13", .mode = BALANCE_NAT},
	{"2001:db8:ff::14", "2001:db8:1::14", .mode = BALANCE_NAT},
	{"203.0.113.15", "10.1.0.15", .mode = BALANCE_IPIP, .fallback = BALANCE_RESET, .drains = true},
	{"203.0.113.16", "10.9.0.16", .mode = BALANCE_NAT, .fallback = BALANCE_RESET, .drains = true},
	{"2001:db8:ff::17", "10.1.0.17", .mode = BALANCE_IPIP},
	{"2001:db8:ff::18", "10.1.0.18", .mode = BALANCE_GUE, .fallback = BALANCE_RESET, .drains = true},
	{"203.0.113.19", "10.1.0.19", .mode = BALANCE_IPIP, .affinity = true},
	{"203.0.113.20", "10.1.0.20", .mode = BALANCE_IPIP, .proto = 6},
	{"203.0.113.21", "10.1.0.21", .mode = BALANCE_IPIP, .lost = true},
	{"203.0.113.22", "10.1.0.22", .mode = BALANCE_IPIP, .drains = true},
};
#define N_SERVICES (sizeof(services) / sizeof(*services))

static struct bed bed;
static uint64_t x;
static uint32_t n_dropped[BALANCE_REASONS], n_gone, n_passed;

static uint32_t rnd(uint32_t n)
{
	x = x * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(x >> 33) % n;
}

static void open_bed(void)
{
	const struct balance_hop gone = {.ifindex = 0};
	struct control_balance_opts opts = {.flows = 8192, .flows_fd = -1, .icmp_per_s = 1000000000};
	struct nat_config plan;
	struct sluice_err err;
	char name[8];
	size_t i;

	for (i = 0; i < N_SERVICES; i++) {
		const struct service *of = &services[i];
		struct net_addr v = addr(of->virtual), b = addr(of->backend), pool = addr(v.v6 ? "2001:db8:9::" : "192.0.2.16");
		struct balance_service *s;

		snprintf(name, sizeof(name), "s%zu", i);
		s = balance_service_add(&bed.m, name);
		s->mode = of->mode;
		s->fallback = of->fallback;
		s->affinity = of->affinity;
		s->n_slots = 509;
		balance_virtual_add(s, &v, of->proto, of->proto ? 80 : 0, of->proto ? 80 : 65535);
		balance_backend_add(s, &b)->drain = of->drains;
		if (of->mode == BALANCE_NAT)
			balance_pool_add(s, &pool, 4);
	}
	if (nat_plan(&bed.m, NULL, &plan, NULL, &err))
		fail("%s", err.text);
	for (i = 0; i < N_SERVICES; i++)
		if (services[i].mode == BALANCE_NAT && nat_service(&plan, (uint32_t)i, bed.m.services[i], &err))
			fail("%s", err.text);
	opts.nat = &plan;
	bed_open(&bed, &opts);
	bed_ways(&bed, HOP_IN);
	tables_hop(bed.t, HOP_GONE, &gone);
	for (i = 0; i < N_SERVICES; i++)
		if (services[i].lost)
			tables_way(bed.t, (uint32_t)tables_service(bed.t, bed.m.services[i]->name), 1, HOP_GONE);
}

/* --- packets in words --- */

static const char *one_of(const char *const *v, size_t n)
{
	return v[rnd((uint32_t)n)];
}
#define ONE_OF(v) one_of(v, sizeof(v) / sizeof(*(v)))

static void source(bool v6, bool later, char to[64])
{
	static const char *const forged4[] = {"127.0.0.1", "0.0.0.0",	  "0.1.2.3",	   "224.0.0.1",
					      "240.0.0.1", "203.0.113.10", "255.255.255.255"};
	static const char *const forged6[] = {"::", "::1", "ff02::1", "2001:db8:ff::17", "2001:db8:ff::14"};

	if (!later && !rnd(6))
		snprintf(to, 64, "%s", v6 ? ONE_OF(forged6) : ONE_OF(forged4));
	else
		snprintf(to, 64, v6 ? "2001:db8:%u::%u" : "198.51.%u.%u", later ? 101 : 100, 1 + rnd(20));
}

static void detail(bool v6, const char *proto, bool first, char *to, size_t size)
{
	static const char *const flags[] = {"syn", "syn,ack", "rst", "rst,ack", "none", "ack", "fin,ack"};
	static const uint32_t types4[] = {8, 0, 5, 13, 17}, types6[] = {128, 129, 100, 137, 135, 133, 138};
	uint32_t type = v6 ? types6[rnd(7)] : types4[rnd(5)];

	to[0] = '\0';
	if (!strcmp(proto, "tcp"))
		snprintf(to, size, " %s", ONE_OF(flags));
	else if (!strcmp(proto, "icmp") && rnd(3)) /* errors in pieces are none */
		snprintf(to, size, " type %u code %u", first && !rnd(3) ? 3 : type, rnd(3) ? 0 : 1);
}

static void sentence(char *to, size_t size)
{
	static const char *const protos[] = {"tcp", "tcp", "udp", "udp", "icmp", "sctp", "proto 47", "proto 136", "proto 50"};
	static const char *const lengths[] = {"", "",		   " length 130",  " length 1400",	" length 1466", " length 1467",
					      " length 1486", " length 1487", " length 1494", " length 1495", " length 1514", " length 1515",
					      " length 3000"};
	static const char *const ttls[] = {"", "", " ttl 0", " ttl 1", " ttl 2"};
	static const char *const pieces[] = {"", "", "", " fragment first", " fragment later"};
	static const char *const ethers[] = {"", "", "", "", "", "", "", " ether to ff:ff:ff:ff:ff:ff"};
	static const char *const tags[] = {"", "", "", " vlan 7", " vlan 7 vlan 8"};
	const struct service *s = &services[rnd(N_SERVICES)];
	const char *proto = ONE_OF(protos), *piece = ONE_OF(pieces);
	bool v6 = strchr(s->virtual, ':');
	char src[64], more[64];

	source(v6, strstr(piece, "later"), src);
	detail(v6, proto, strstr(piece, "first"), more, sizeof(more));
	snprintf(to, size, v6 ? "%s [%s]:%u > [%s]:%u%s%s%s%s%s%s" : "%s %s:%u > %s:%u%s%s%s%s%s%s", proto, src, 1024 + rnd(4),
		 s->virtual, rnd(2) ? 80 : 81, more, ONE_OF(lengths), ONE_OF(ttls), piece, ONE_OF(ethers), ONE_OF(tags));
}

/* --- both answers --- */

static void compare(const char *words)
{
	struct answer_memory m = {.memory = bed.b.memory, .flows = bed.b.flows, .config = &bed.b.config, .now_ns = bed.now};
	uint64_t before[BALANCE_REASONS];
	struct frame in = {.len = 0}, out;
	struct policy_packet k;
	struct answer_packet p;
	struct sluice_err err;
	uint32_t r, got, want;
	struct answer a;
	int of;

	if (packet_words(words, in.b, FRAME_ROOM, &k, &err) || balance_live_packet(&k, &p, &err))
		fail("%s: %s", words, err.text);
	in.len = k.length;
	answer_packet(&m, &p, ~0u, &a);
	of = a.service == ANSWER_NONE ? -1 : (int)a.service;
	for (r = 0; r < BALANCE_REASONS; r++)
		before[r] = bed_reason(&bed, of, r);
	got = bed_run(&bed, &in, &out);
	want = a.drop == BALANCE_DROP_TOO_BIG_TOLD || a.drop == BALANCE_DROP_REFUSED ? 3 :
	       a.drop != BALANCE_REASONS					     ? 1 :
	       a.service == ANSWER_NONE					     ? 2 :
										       3;
	if (got != want)
		fail("%s: verdict %u, and not %u (reason %u)", words, got, want, a.drop);
	for (r = 0; r < BALANCE_REASONS; r++)
		if (bed_reason(&bed, of, r) - before[r] != (r == a.drop))
			fail("%s: reason %u is counted %u times, and %u is what was said", words, r,
			     (uint32_t)(bed_reason(&bed, of, r) - before[r]), a.drop);
	if (a.drop == BALANCE_REASONS && of >= 0 && !a.id)
		fail("%s: goes to nobody", words);
	if (a.drop != BALANCE_REASONS)
		n_dropped[a.drop]++;
	else if (of < 0)
		n_passed++;
	else
		n_gone++;
}

int main(int argc, char **argv)
{
	static const uint32_t all[] = {BALANCE_DROP_NO_BACKEND, BALANCE_DROP_NO_FIRST,	   BALANCE_DROP_DAMAGED, BALANCE_DROP_TOO_BIG,
				       BALANCE_DROP_NO_NEIGH,	BALANCE_DROP_TOO_BIG_TOLD, BALANCE_DROP_REFUSED, BALANCE_DROP_TTL,
				       BALANCE_DROP_MODE};
	uint32_t n = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0, i;
	char words[256];

	if (argc != 4)
		fail("usage: balance-why ENGINE SEED N");
	seed_now = x = strtoull(argv[2], NULL, 10);
	engine_open(argv[1]);
	open_bed();
	for (i = 0; i < n; i++) {
		sentence(words, sizeof(words));
		compare(words);
	}
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!n_dropped[all[i]])
			fail("no packet was dropped for reason %u", all[i]);
	bed_close(&bed);
	engine_close();
	printf("%u packets go, %u pass, %u are dropped as was said\n", n_gone, n_passed, n - n_gone - n_passed);
	return 0;
}
