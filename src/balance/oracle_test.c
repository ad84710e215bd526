// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The data path's hash, slots and choice, with a flow table that forgets nothing, against the oracle: the same
 * backend for the same reason, packet by packet, through random changes of several services.
 */
#include <endian.h>
#include <stdio.h>

#include "balance/oracle.h"
#include "balance/ring.h"
#include "base/test.h"
#include "datapath/lib/balance.h"

#define S UINT64_C(1000000000)
#define N_SERVICES 4
#define TABLE 65536

static uint64_t state;

static uint32_t below(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % n);
}

static struct net_addr addr(const char *text)
{
	struct net_addr a = {0};

	assert_int_equal(net_addr_parse(text, &a, NULL), 0);
	return a;
}

/* As a data path has them. */
struct path {
	struct balance_ring ring[N_SERVICES];
	uint16_t slots[N_SERVICES * 1009 + 1], changes[N_SERVICES * 1009];
	uint8_t marks[N_SERVICES * 1009 / 8 + 1];
	struct balance_target targets[N_SERVICES][BALANCE_ID_MAX + 1];
	struct ring *r[N_SERVICES];
	__u64 seed[BALANCE_SEED_WORDS];
	struct entry { /* of the flow table, and of fragments: by all that tells them apart */
		struct oracle_packet p;
		bool fragments, used;
		uint32_t service, id;
	} table[TABLE];
};

static struct path path;

/* Services on both families, two of them with all ports; their numbers are in ports and addresses. */
static void make(struct balance_model *m)
{
	static const char *const names[N_SERVICES] = {"tcp", "all", "source", "plain"};
	struct net_addr four = addr("203.0.113.10"), six = addr("2001:db8::10"), b = addr("2001:db8:1::");
	struct balance_service *s;
	uint32_t i, k;
	bool all;

	for (i = 0; i < N_SERVICES; i++) {
		s = balance_service_add(m, names[i]);
		s->n_slots = i == 2 ? 509 : 1009;
		s->hold_s = 10;
		s->affinity = i == 2;
		s->stateless = i == 3;
		s->fallback = i == 0 ? BALANCE_OPEN : BALANCE_DROP;
		all = i == 1 || i == 2;
		four.bytes[3] = (uint8_t)(10 + (all ? i : 0));
		six.bytes[15] = (uint8_t)(0x10 + (all ? i : 0));
		balance_virtual_add(s, &four, all ? 0 : 6, (uint16_t)(all ? 0 : 80 + i),
				    (uint16_t)(all ? 65535 : 80 + i));
		balance_virtual_add(s, &six, all ? 0 : 17, (uint16_t)(all ? 0 : 80 + i),
				    (uint16_t)(all ? 65535 : 80 + i));
		for (k = 0; k < 12; k++) {
			b.bytes[14] = (uint8_t)i;
			b.bytes[15] = (uint8_t)k;
			balance_backend_add(s, &b)->weight = 1 + k % 3;
		}
	}
	snprintf(m->seed, sizeof(m->seed), "secret");
	assert_int_equal(balance_check(m, NULL, NULL, NULL), 0);
}

static void apply(const struct balance_model *m, struct oracle *o, uint64_t now)
{
	struct sluice_err err = {0};
	struct ring_memory to;
	uint32_t i;

	assert_int_equal(oracle_change(o, m, now, &err), 0);
	balance_seed(m->seed, path.seed);
	for (i = 0; i < N_SERVICES; i++) {
		if (!path.r[i]) {
			assert_int_equal(ring_new(m->services[i]->n_slots, i & 1, &path.r[i], &err), 0);
			path.ring[i].first = i * 1009 * 2;
			path.ring[i].change = i * 1009;
		}
		to = (struct ring_memory){path.slots + i * 1009, path.changes + i * 1009, path.marks, i * 1009,
					  path.targets[i], BALANCE_ID_MAX + 1};
		if (ring_change(path.r[i], m->services[i], now, NULL, NULL, &err) ||
		    ring_publish(path.r[i], false, &path.ring[i], &to, &err))
			fail_msg("%s", err.text);
	}
}

static bool same(const struct net_addr *a, const struct net_addr *b)
{
	return a->v6 == b->v6 && !memcmp(a->bytes, b->bytes, 16);
}

/* A place in the table, found or free. Fragments are known by what every one of them has, without ports. */
static struct entry *entry(const struct oracle_packet *p, bool fragments)
{
	uint32_t at = fragments ? p->ident : p->sport * 7u + p->src.bytes[p->src.v6 ? 15 : 3];
	struct entry *e;

	for (;; at++) {
		e = &path.table[at % TABLE];
		if (!e->used)
			break;
		if (e->fragments == fragments && same(&e->p.src, &p->src) && same(&e->p.dst, &p->dst) &&
		    e->p.proto == p->proto &&
		    (fragments ? e->p.ident == p->ident : e->p.sport == p->sport && e->p.dport == p->dport))
			break;
	}
	return e;
}

static void remember(struct entry *e, const struct oracle_packet *p, bool fragments, uint32_t service,
		     uint32_t id)
{
	*e = (struct entry){*p, fragments, true, service, id};
}

static uint64_t half(const uint8_t *b)
{
	uint64_t v;

	memcpy(&v, b, 8);
	return BALANCE_HOST64(v);
}

static uint64_t hash_of(const struct oracle_packet *p, uint32_t flags)
{
	uint32_t ports = balance_ports(htobe16(p->sport), htobe16(p->dport)), src, dst;
	__u64 s[2] = {half(p->src.bytes), half(p->src.bytes + 8)};
	__u64 d[2] = {half(p->dst.bytes), half(p->dst.bytes + 8)};

	if (p->src.v6)
		return balance_hash6(flags, s, d, ports, p->proto, path.seed);
	memcpy(&src, p->src.bytes, 4);
	memcpy(&dst, p->dst.bytes, 4);
	return balance_hash4(flags, BALANCE_HOST32(src), BALANCE_HOST32(dst), ports, p->proto, path.seed);
}

/* What a data path does with a packet whose service is known. */
static struct balance_choice ask(const struct oracle_packet *given, uint32_t *service, uint64_t now)
{
	struct oracle_packet p = *given;
	struct balance_choice c;
	struct entry *known;
	const struct balance_target *targets;
	const struct balance_ring *r;
	uint32_t slot, word, previous, change;
	uint16_t two;

	if (p.kind == BALANCE_PACKET_ERROR)
		p = (struct oracle_packet){.src = p.dst,
					   .dst = p.src,
					   .sport = p.dport,
					   .dport = p.sport,
					   .proto = p.proto,
					   .kind = p.kind};
	known = entry(&p, p.kind == BALANCE_PACKET_FRAGMENT);
	if (p.kind == BALANCE_PACKET_FRAGMENT) {
		if (known->used)
			*service = known->service;
		p.sport = p.dport = 0;
	}
	r = &path.ring[*service];
	targets = path.targets[*service];
	slot = balance_slot(r, hash_of(&p, r->flags));
	memcpy(&two, (char *)path.slots + balance_slot_at(r, slot), sizeof(two));
	change = r->change + slot;
	word = balance_word(balance_slot_id(r->flags, two),
			    r->flags & BALANCE_FLAG_CHANGES && path.marks[change / 8] >> change % 8 & 1
				    ? path.changes[change]
				    : 0);
	previous = BALANCE_PREVIOUS(word) == BALANCE_ID_NOBODY ? 0 : BALANCE_PREVIOUS(word);
	c = balance_choose(r, word, p.kind, known->used ? known->id : 0,
			   targets[known->used ? known->id : 0].state, targets[previous].state, now);
	if (c.record)
		remember(known, &p, false, *service, c.id);
	if (p.more && c.id && p.kind != BALANCE_PACKET_FRAGMENT && p.kind != BALANCE_PACKET_ERROR)
		remember(entry(&p, true), &p, true, *service, c.id);
	return c;
}

static struct oracle_packet random_packet(uint32_t *service)
{
	static const struct {
		const char *four, *six;
	} to[N_SERVICES] = {{"203.0.113.10", "2001:db8::10"},
			    {"203.0.113.11", "2001:db8::11"},
			    {"203.0.113.12", "2001:db8::12"},
			    {"203.0.113.10", "2001:db8::10"}};
	struct oracle_packet p = {.kind = below(4) ? BALANCE_PACKET_GOES_ON : BALANCE_PACKET_OPENS};
	bool six = below(2);
	struct net_addr swap;
	uint16_t port;

	*service = below(N_SERVICES);
	p.src = addr(six ? "2001:db8:2::" : "198.51.100.0");
	p.src.bytes[six ? 15 : 3] = (uint8_t)below(12);
	p.dst = addr(six ? to[*service].six : to[*service].four);
	p.sport = (uint16_t)(1024 + below(60));
	p.dport = (uint16_t)(80 + *service);
	p.proto = six ? 17 : 6;
	p.ident = below(40);
	p.more = !below(6);
	if (!below(8)) {
		p.kind = BALANCE_PACKET_FRAGMENT;
	} else if (!below(8)) {
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

static void random_change(struct balance_model *m)
{
	uint32_t i, k;

	for (i = 0; i < N_SERVICES; i++)
		for (k = 0; k <= below(3); k++) {
			struct balance_service *s = m->services[i];
			struct balance_backend *b = &s->backends[below((uint32_t)s->n_backends)], swap;

			b->drain = !below(4);
			b->weight = below(4);
			b->health = below(4) ? BALANCE_UP : BALANCE_DOWN;
			swap = *b;
			*b = s->backends[0];
			s->backends[0] = swap;
			if (!below(12))
				s->n_backends = 12 - below(9); /* some go, or come again */
		}
}

static void compare(const struct oracle_packet *p, uint32_t service, const struct balance_choice *c,
		    const struct oracle_answer *a, uint32_t *seen)
{
	struct net_addr got = {.v6 = path.targets[service][c->id].v6};

	memcpy(got.bytes, path.targets[service][c->id].addr, 16);
	if (c->why != a->why || !c->id != !a->backend || (c->id && !same(&got, &a->backend->addr)))
		fail_msg("%s port %u kind %u: the oracle says %u, the data path %u (backend %u)",
			 a->service ? a->service->name : "?", p->dport, p->kind, a->why, c->why, c->id);
	seen[c->why]++;
}

static void as_the_oracle(void **unused)
{
	struct balance_model m = {0};
	struct oracle_answer a;
	struct oracle_packet p;
	struct balance_choice c;
	struct oracle *o;
	uint32_t round, i, service, seen[BALANCE_WHY_NO_FIRST + 1] = {0};
	uint64_t now = S;

	(void)unused;
	state = 1;
	assert_int_equal(oracle_new(&o, NULL), 0);
	make(&m);
	for (round = 0; round < 60; round++) {
		apply(&m, o, now);
		for (i = 0; i < 400; i++) {
			p = random_packet(&service);
			now += below(4 * (uint32_t)S / 400);
			assert_int_equal(oracle_packet(o, &p, now, &a, NULL), 0);
			c = ask(&p, &service, now);
			compare(&p, service, &c, &a, seen);
		}
		random_change(&m);
	}
	for (i = 0; i <= BALANCE_WHY_NO_FIRST; i++)
		if (seen[i] < 20)
			fail_msg("reason %u came %u times only", i, seen[i]);
	for (i = 0; i < N_SERVICES; i++)
		ring_free(path.r[i]);
	oracle_free(o);
	balance_model_free(&m);
}

/* Numbers from a program of another language, for the flow of the manual's examples. */
static void known_hashes(void **unused)
{
	struct balance_ring r = {.n_slots = 65537};
	__u64 src[2] = {0x20010db800010000, 7}, dst[2] = {0x20010db800000000, 0x10}, seed[BALANCE_SEED_WORDS],
	      h;

	(void)unused;
	balance_seed("secret", seed);
	h = balance_hash4(0, 0xc6336407, 0xcb00710a, balance_ports(htobe16(4711), htobe16(443)), 6, seed);
	assert_true(h == 0xc032bf76b5fd9e10);
	assert_int_equal(balance_slot(&r, h), 49203);
	h = balance_hash4(BALANCE_FLAG_AFFINITY, 0xc6336407, 0, 0, 0, seed);
	assert_true(h == 0x7efb26417a95e18f);
	assert_int_equal(balance_slot(&r, h), 32507);
	h = balance_hash6(0, src, dst, balance_ports(htobe16(4711), htobe16(443)), 17, seed);
	assert_true(h == 0xfd1deb8d2fd2eb94);
	assert_int_equal(balance_slot(&r, h), 64798);
	assert_int_equal(balance_slot(&r, UINT64_MAX), 65536); /* the last one */
	assert_int_equal(balance_slot(&r, 0), 0);
}

/* Chi-square over the slots of what clients really do: neighbouring addresses and ports. 5 standard deviations. */
static void hashes_spread(void **unused)
{
	static uint32_t count[3][1009];
	__u64 seed[BALANCE_SEED_WORDS], dst[2] = {0x20010db800000000, 0x10}, src[2] = {0x20010db800010000, 0};
	struct balance_ring r = {.n_slots = 1009};
	uint32_t i, k, n = 200000;

	(void)unused;
	balance_seed("", seed);
	for (i = 0; i < n; i++) {
		src[1] = i;
		count[0][balance_slot(&r, balance_hash4(0, 0xc6336400 + i / 1000, 0xcb00710a,
							(1024 + i % 1000) << 16 | 443, 6, seed))]++;
		count[1][balance_slot(&r,
				      balance_hash4(BALANCE_FLAG_AFFINITY, 0xc6330000 + i, 0, 0, 0, seed))]++;
		count[2][balance_slot(&r, balance_hash6(BALANCE_FLAG_AFFINITY, src, dst, 0, 0, seed))]++;
	}
	for (k = 0; k < 3; k++) {
		double fair = n / 1009.0, chi = 0;

		for (i = 0; i < 1009; i++)
			chi += (count[k][i] - fair) * (count[k][i] - fair) / fair;
		if (chi > 1008 + 5 * 44.9) /* sqrt(2 * 1008) */
			fail_msg("case %u: chi-square %.0f over 1008", k, chi);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_oracle),
		cmocka_unit_test(known_hashes),
		cmocka_unit_test(hashes_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
