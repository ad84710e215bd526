// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * filter-check: the compiled filter against the oracle, packet by packet and counter by counter.
 *
 *   random ENGINE SEED POLICIES PACKETS   random policies: every field, action, limit
 *   sets ENGINE SEED POLICIES PACKETS     the same with sets that change and elements that expire between packets
 *   made ENGINE KIND RULES PACKETS        rules in ClassBench's manner, with rules that go on among them
 *   edges ENGINE PACKETS                  as many rules as there are bits, one more, and the like
 *   hostile ENGINE                        frames that want to get past, and which rule meets them
 *   flows ENGINE PACKETS                  limits per flow, of flows that differ by one port that no rule asks for
 *   rates                                 limits over ten seconds of virtual time, among a million sources
 *
 * ENGINE: interp, jit (of the user-space engine) or kernel. Exits 1 at the first difference, 4 where the
 * engine cannot be used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify_rules.h"
#include "filter_pair.h"
#include "filter_rules.h"
#include "net/packet.h"
#include "policy_random.h"

/*
 * Random rules as the packet path can be compared on: limits of packets, small enough to be reached, and in the
 * kernel, whose clock goes on, so slow that nothing comes in; no CPUs that are not there.
 */
static void tame(struct random_state *r, struct policy *tree)
{
	struct policy_stmt *s;
	uint32_t f, i, k;

	/* a run-time set of a million takes a second to make */
	for (i = 0; i < tree->n_sets; i++)
		tree->sets[i].size = tree->sets[i].size ? 4000 : 0;
	for (f = 0; f < tree->n_filters; f++)
		for (s = tree->filters[f].stmts; s < tree->filters[f].stmts + tree->filters[f].n_stmts; s++) {
			if (s->action == POLICY_CPU && kernel) {
				s->cpus.n = 1;
				s->cpus.v->num.lo = s->cpus.v->num.hi = 0;
			}
			for (i = 0; s->action == POLICY_CPU && i < s->cpus.n; i++) {
				k = s->cpus.v[i].num.hi - s->cpus.v[i].num.lo;
				s->cpus.v[i].num.lo %= N_CPUS / 2;
				s->cpus.v[i].num.hi = s->cpus.v[i].num.lo + k % (N_CPUS / 2);
			}
			if (s->action == POLICY_LIMIT) {
				s->limit.rate.bits = false;
				s->limit.burst = 1 + random_below(r, 60);
			}
			if (s->action == POLICY_LIMIT && (kernel || moving))
				s->limit.rate = (struct policy_rate){.amount = 1, .seconds = 86400};
			if (s->log && (kernel || moving))
				s->log_max = (struct policy_rate){.amount = 1, .seconds = 86400};
		}
}

static void random_one(uint32_t n)
{
	struct random_state r = {seed * 0x9e3779b97f4a7c15 | 1};
	struct policy *tree = calloc(1, sizeof(*tree)), *p;
	struct buf text = {0};
	uint8_t frame[2048];
	uint64_t now = NOW;
	struct pair a;
	uint32_t f, i, len;

	random_policy(&r, tree, 1 + random_below(&r, 30));
	tame(&r, tree);
	policy_print(tree, &text);
	p = pair_parse(&text);
	for (f = 0; f < p->n_filters; f++) {
		if (!pair_start(&a, p, f))
			continue;
		for (i = 0; i < n; i++) {
			len = random_frame(&r, p->rulesets[f].filter, frame);
			if (kernel && len < 14)
				continue;
			if (moving) {
				now = pair_moment(&r, now);
				pair_change(&a, &r, now);
			}
			pair_ask(&a, frame, len, kernel || random_below(&r, 2) ? 1 : 2, now);
		}
		pair_stop(&a);
	}
	arena_free(&tree->arena);
	free(tree);
	policy_free(p);
	buf_free(&text);
}

/* --- ClassBench's manner --- */

static uint32_t frame_of(const struct header *h, uint64_t *state, uint8_t *frame)
{
	struct net_packet p = {.src = {.v6 = h->family == 6}, .dst = {.v6 = h->family == 6}, .ttl = 64};
	uint32_t proto_at = h->family == 6 ? 20 : 23;
	struct net_layout layout;

	memcpy(p.src.bytes, h->src, 16);
	memcpy(p.dst.bytes, h->dst, 16);
	p.l4 = h->proto == 6 ? NET_TCP : NET_UDP;
	p.sport = h->sport;
	p.dport = h->dport;
	p.tcp_flags = (uint8_t)(h->flags >> 8);
	if (net_packet_build(&p, 80 + rules_below(state, 10), frame, ROOM, &layout, NULL))
		fail("no packet");
	if (h->proto != 6 && h->proto != 17)
		frame[proto_at] = h->proto;
	return layout.frame_len;
}

static void made(const char *kind, size_t n, uint32_t packets)
{
	struct rule_set set;
	struct buf text = {0};
	uint64_t state = seed;
	struct policy *p;
	struct header h;
	struct pair a;
	uint32_t i, len, on = seed % 3 == 0 ? UINT32_MAX : n > 2000 ? (uint32_t)n / 10 : 5;
	uint8_t *frame = malloc(ROOM);

	rules_make(&set, kind, 0, n, seed);
	buf_printf(&text, "filter on eth0 {\n");
	for (i = 0; i < set.n; i++)
		rules_say(&text, &set.rules[i], &state, on);
	buf_printf(&text, "default drop\n}\n");
	p = pair_parse(&text);
	text_now = NULL;
	if (!pair_start(&a, p, 0))
		fail("refused");
	for (i = 0; i < packets; i++) {
		if (i % 8)
			rules_header(&set, rules_below(&state, (uint32_t)set.n), i % 2, &state, &h);
		else
			rules_any_header(i % 16 ? 4 : 6, &state, &h);
		len = frame_of(&h, &state, frame);
		pair_ask(&a, frame, len, 1, NOW);
	}
	pair_stop(&a);
	free(frame);
	policy_free(p);
	buf_free(&text);
	rules_free(&set);
}

/* Where bits end: as many rules as a word has, and one more; only such as go on; hosts scattered too widely. */
static void edges(uint32_t packets)
{
	static const struct {
		uint32_t rules, scattered;
		const char *action;
	} v[] = {{63, 0, "drop"},  {64, 0, "drop"},  {65, 0, "drop"},
		 {64, 0, "count"}, {64, 0, "limit"}, {3, 90, "drop"}};
	uint64_t state = 9;
	uint32_t i, k, host, len;
	struct header h;
	struct policy *p;
	struct pair a;
	uint8_t *frame = malloc(ROOM);

	for (i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct buf text = {0};

		buf_printf(&text, "filter on eth0 {\n");
		for (k = 0; k < v[i].rules; k++)
			buf_printf(&text, "%s udp from 10.0.%u.0/%u port 1-%u%s%s\n", v[i].action, k & 31,
				   24 + k % 9, 100 * k + 1, k % 3 ? "" : " length > 70",
				   v[i].action[0] == 'l' ? " to 1/d per source burst 3" : "");
		buf_printf(&text, "drop from { 192.0.2.1");
		for (k = 0; k < v[i].scattered; k++)
			buf_printf(&text, " %u.%u.%u.1", k * 7 % 200 + 1, k % 251, k * 13 % 251);
		buf_printf(&text, " }\ndefault pass\n}\n");
		if (v[i].rules >= 64) /* what comes behind makes one more */
			text.len = (size_t)((uint8_t *)strstr((char *)text.data, "drop from {") - text.data);
		if (v[i].rules >= 64)
			buf_printf(&text, "default pass\n}\n");
		p = pair_parse(&text);
		if (!pair_start(&a, p, 0))
			fail("refused");
		if ((a.t->config.bits[0] != 0) != (v[i].rules <= 64) ||
		    a.t->config.deep != (v[i].scattered != 0))
			fail("%u rules: bits at %u, deep %u", v[i].rules, a.t->config.bits[0],
			     a.t->config.deep);
		for (k = 0; k < packets; k++) {
			rules_any_header(k % 8 ? 4 : 6, &state, &h);
			host = rules_below(&state, 90);
			h.proto = k % 4 ? 17 : 6;
			h.sport = (uint16_t)rules_below(&state, 7000);
			memcpy(h.src,
			       (uint8_t[]){10, 0, (uint8_t)(k & 31), (uint8_t)(rules_below(&state, 3))}, 4);
			if (v[i].scattered && k % 2)
				memcpy(h.src,
				       (uint8_t[]){(uint8_t)(host * 7 % 200 + 1), (uint8_t)(host % 251),
						   (uint8_t)(host * 13 % 251), (uint8_t)(k % 6 ? 1 : 2)},
				       4);
			len = frame_of(&h, &state, frame);
			pair_ask(&a, frame, len, 1, NOW);
		}
		pair_stop(&a);
		policy_free(p);
		buf_free(&text);
	}
	free(frame);
}

/*
 * Ten seconds: a source that keeps to its rate, three that send three times as much, and a hundred thousand
 * packets a second from addresses seen once.
 */
static void rates(void)
{
	static const uint32_t rate = 1000, burst = 50, seconds = 10, flood = 100;
	struct buf text = {0};
	struct net_packet packet = {.ttl = 64, .l4 = NET_UDP, .dport = 53};
	uint64_t passed[4] = {0}, i, k, n, sent = 0, spoofed = 0, state = 3;
	struct net_layout layout;
	uint8_t frame[64];
	struct policy *p;
	struct pair a;

	buf_printf(&text, "filter on eth0 {\nlimit udp to %u/s per source burst %u\ndefault pass\n}\n", rate,
		   burst);
	p = pair_parse(&text);
	if (!pair_start(&a, p, 0) || net_packet_build(&packet, 60, frame, sizeof(frame), &layout, NULL))
		fail("no start");
	for (i = 0; i < (uint64_t)seconds * rate; i++)
		for (k = 0; k < 4; k++) {
			frame[26] = 10;
			frame[29] = (uint8_t)k;
			/* the first keeps to 90 % of the rate and 80 % of the burst */
			for (n = k ? (i ? 3 : burst + 1) : i ? i % 10 != 0 : burst * 4 / 5; n; n--, sent++)
				passed[k] += pair_run(&a, frame, 60, 1, NOW + i * 1000000) == 2;
			for (n = 0; n < flood / 4; n++) {
				uint32_t source = 0x64 | (uint32_t)rules_random(&state) << 8;

				memcpy(frame + 26, &source, sizeof(source));
				spoofed += pair_run(&a, frame, 60, 1, NOW + i * 1000000 + n) == 2;
			}
			memset(frame + 26, 0, 4);
		}
	printf("%llu packets: the quiet one got %llu through, the others %llu, %llu, %llu; of the flood "
	       "%llu\n",
	       (unsigned long long)sent, (unsigned long long)passed[0], (unsigned long long)passed[1],
	       (unsigned long long)passed[2], (unsigned long long)passed[3], (unsigned long long)spoofed);
	if (passed[0] != burst * 4 / 5 + 9ull * rate * seconds / 10)
		fail("a source within its rate lost packets");
	for (k = 1; k < 4; k++)
		if (passed[k] < (uint64_t)rate * seconds * 98 / 100 + burst ||
		    passed[k] > (uint64_t)rate * seconds * 102 / 100 + burst)
			fail("source %llu: not within 2 %% of its rate", (unsigned long long)k);
	policy_oracle_free(a.o);
	vm_worker_free(a.worker);
	control_filter_close(&a.f);
	filter_tables_free(a.t);
	policy_free(p);
	buf_free(&text);
}

/*
 * Flows between two addresses that differ by one port only, which no rule asks for, with and without a tag: each has a limit of its
 * own. Of few rules (words of bits) and of many (the lookup).
 */
static void flows(uint32_t n)
{
	static const uint32_t rules[] = {0, 100};
	struct buf text = {0};
	uint8_t frame[128];
	struct header h;
	struct policy *p;
	struct pair a;
	uint32_t i, k, len;
	uint64_t state = 5;

	for (i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		text.len = 0;
		buf_printf(&text, "filter on eth0 {\n");
		for (k = 0; k < rules[i]; k++)
			buf_printf(&text, "drop from { 10.9.%u.0/24 2001:db8:9:%x::/64 }\n", k, k);
		buf_printf(&text, "limit proto { tcp udp } to 1/d per flow burst 3\ndefault pass\n}\n");
		p = pair_parse(&text);
		if (!pair_start(&a, p, 0))
			fail("refused");
		if (a.t->config.looks || !a.t->config.bits[0] != !!rules[i])
			fail("%u rules: bits at %u, looks %u", rules[i], a.t->config.bits[0],
			     a.t->config.looks);
		for (k = 0; k < n; k++) {
			h = (struct header){.family = k / 8 % 2 ? 6 : 4,
					    .proto = k % 16 / 8 ? 6 : 17,
					    .src = {32, 1},
					    .dst = {32, 2}};
			h.sport = (uint16_t)(5000 + (k % 2 ? rules_below(&state, 30) : 0));
			h.dport = (uint16_t)(80 + (k % 2 ? 0 : rules_below(&state, 30)));
			len = frame_of(&h, &state, frame);
			if (k % 3 == 0) {
				memmove(frame + 16, frame + 12, len - 12);
				memcpy(frame + 12, (uint8_t[]){0x81, 0, 0, 7}, 4);
				len += 4;
			}
			pair_ask(&a, frame, len, 1, NOW);
		}
		pair_stop(&a);
		policy_free(p);
	}
	buf_free(&text);
}

int main(int argc, char **argv)
{
	uint64_t i, n;

	if (argc == 6 && (!strcmp(argv[1], "random") || !strcmp(argv[1], "sets"))) {
		moving = argv[1][0] == 's';
		pair_engine(argv[2]);
		n = strtoull(argv[4], NULL, 0);
		for (i = 0; i < n; i++) {
			seed = strtoull(argv[3], NULL, 0) + i;
			random_one((uint32_t)strtoul(argv[5], NULL, 0));
		}
		return pair_done();
	}
	if (argc == 6 && !strcmp(argv[1], "made")) {
		pair_engine(argv[2]);
		for (seed = 1; seed <= 3; seed++)
			made(argv[3], strtoul(argv[4], NULL, 0), (uint32_t)strtoul(argv[5], NULL, 0));
		return pair_done();
	}
	if (argc == 4 && !strcmp(argv[1], "edges")) {
		pair_engine(argv[2]);
		edges((uint32_t)strtoul(argv[3], NULL, 0));
		return pair_done();
	}
	if (argc == 4 && !strcmp(argv[1], "flows")) {
		pair_engine(argv[2]);
		flows((uint32_t)strtoul(argv[3], NULL, 0));
		return pair_done();
	}
	if (argc == 3 && !strcmp(argv[1], "hostile")) {
		pair_engine(argv[2]);
		hostile();
		return pair_done();
	}
	if (argc == 2 && !strcmp(argv[1], "rates")) {
		pair_engine("jit");
		rates();
		return 0;
	}
	return 2;
}
