// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * policy-trees SEED POLICIES PACKETS: random policies and packets.
 *
 *   - a tree that is printed and parsed is the same tree; what that prints is the same text
 *   - rules in normal form match just the packets that the oracle says they match
 *   - the packet parser of the oracle agrees with the one of the data path, on every packet cut anywhere
 *   - rules that are never reached are found like by comparing each with each
 *   - a rule that is said to cover another matches what that one matches
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/lib/parse.h"
#include "policy_random.h"
#include "policy/oracle.h"

static uint64_t seed, n_matches, n_asked, n_rules, n_covers, n_unreached;

static void fail(const char *what, const struct buf *text)
{
	printf("seed %llu: %s\n%.*s\n", (unsigned long long)seed, what, text ? (int)text->len : 0,
	       text ? (const char *)text->data : "");
	exit(1);
}

static struct policy *parse(const struct buf *text)
{
	struct policy_files files = {.read = random_files_read, .ctx = (void *)(uintptr_t)text};
	struct sluice_err err = {0};
	struct buf said = {0};
	struct policy *p;
	uint32_t i;

	if (!policy_read("random.conf", &files, &p, &err))
		return p;
	for (i = 0; p && i < p->n_diags; i++)
		if (p->diags[i].severity == POLICY_ERROR)
			policy_diag_print(p, &p->diags[i], &said);
	printf("%.*s", (int)said.len, (const char *)said.data);
	fail(err.text, text);
	return NULL;
}

/* The packet as the data path sees it, field by field. */
static void compare(const uint8_t *frame, uint32_t n)
{
	struct cursor c = cursor_of((void *)(uintptr_t)frame, (void *)(uintptr_t)(frame + n));
	struct policy_packet k;
	struct iphdr *v4 = NULL;
	struct ipv6hdr *v6 = NULL;
	struct packet d;
	uint8_t mal = POLICY_WELL_FORMED;
	const char *what = NULL;

	packet_read(&k, frame, n, n, NULL);
	parse_ethernet(&c, &d);
	if (d.kind == PACKET_IPV4 && (v4 = parse_ipv4(&c, &d))) {
		parse_l4(&c, &d);
	} else if (d.kind == PACKET_IPV6 && (v6 = parse_ipv6(&c, &d))) {
		parse_ipv6_extensions(&c, &d);
		parse_l4(&c, &d);
	}
	mal = d.kind == PACKET_SHORT	? POLICY_MAL_SHORT
	      : d.kind == PACKET_TAGS	? POLICY_MAL_TAGS
	      : d.kind == PACKET_BAD_IP ? POLICY_MAL_HEADER
	      : d.l4 == L4_CUT		? POLICY_MAL_CUT
	      : d.l4 == L4_DEEP		? POLICY_MAL_DEEP
					: POLICY_WELL_FORMED;
	if (k.malformed != mal)
		what = "malformed differs";
	else if (k.n_tags != d.n_tags || (k.n_tags && k.vlan[0] != (PARSE_BE16(d.tci[0]) & 0xfff)) ||
		 (k.n_tags > 1 && k.vlan[1] != (PARSE_BE16(d.tci[1]) & 0xfff)))
		what = "tags differ";
	else if (k.has_type && k.ether_type != PARSE_BE16(d.type.be))
		what = "Ethernet type differs";
	else if (k.is_ip != (v4 || v6) || k.v6 != (v6 != NULL))
		what = "family differs";
	else if (k.is_ip && (k.proto != d.proto.nr || k.fragment != (uint8_t)d.fragment))
		what = "protocol or fragment differs";
	else if (k.has_ports != (d.l4 == L4_PORTS) ||
		 (k.has_ports && (k.from_port != PARSE_BE16(d.sport) || k.to_port != PARSE_BE16(d.dport))))
		what = "ports differ";
	else if (k.has_icmp != (d.l4 == L4_ICMP && d.proto.nr == (v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP)) ||
		 (k.has_icmp && (k.icmp_type != d.icmp_type || k.icmp_code != d.icmp_code)))
		what = "ICMP differs";
	else if (v4 && (memcmp(k.from.bytes, &v4->saddr, 4) || memcmp(k.to.bytes, &v4->daddr, 4) ||
			k.ttl != v4->ttl || k.dscp != v4->tos >> 2))
		what = "IPv4 header differs";
	else if (v6 && (memcmp(k.from.bytes, &v6->saddr, 16) || memcmp(k.to.bytes, &v6->daddr, 16) ||
			k.ttl != v6->hop_limit))
		what = "IPv6 header differs";
	if (what)
		fail(what, NULL);
}

static bool holds(const struct policy *p, const struct policy_stmt *s, const struct policy_packet *k)
{
	uint32_t i;

	for (i = 0; i < s->n_matches; i++)
		if (!policy_match_holds(p, &s->matches[i], k))
			return false;
	return true;
}

static void ask(const struct policy *p, const struct policy_ruleset *set, const struct policy_packet *k)
{
	const struct policy_rule *r;
	struct buf text = {0};
	bool oracle;

	for (r = set->rules; r < set->rules + set->n; r++) {
		oracle = holds(p, r->stmt, k);
		n_asked++;
		n_matches += oracle;
		if (oracle == policy_rule_match(p, r, k) && !(oracle && r->never))
			continue;
		policy_stmt_print(r->stmt, &text);
		fail(oracle ? "the oracle says yes, the normal form no:"
			    : "the normal form says yes, the oracle no:",
		     &text);
	}
}

static void covers(const struct policy *p, const struct policy_ruleset *set, const struct policy_packet *k,
		   struct random_state *r)
{
	const struct policy_rule *a = &set->rules[random_below(r, set->n)],
				 *b = &set->rules[random_below(r, set->n)];

	if (a == b || !policy_rule_covers(a, b))
		return;
	n_covers++;
	if (policy_rule_match(p, b, k) && !policy_rule_match(p, a, k))
		fail("a rule that covers another does not match what that one matches", NULL);
}

static bool decides(const struct policy_rule *r)
{
	return r->stmt->action == POLICY_PASS || r->stmt->action == POLICY_DROP ||
	       r->stmt->action == POLICY_REDIRECT || r->stmt->action == POLICY_CPU;
}

/* Rules that are never reached, by comparing each with each: just these were warned of. */
static void reach(const struct policy *p, const struct policy_ruleset *set)
{
	const struct policy_rule *r, *a;
	struct buf text = {0};
	bool covered, said;
	uint32_t i;

	for (r = set->rules; r < set->rules + set->n; r++) {
		covered = false;
		for (a = set->rules; a < r && !r->never && !covered; a++)
			covered = decides(a) && !a->never && policy_rule_covers(a, r);
		said = false;
		for (i = 0; i < p->n_diags; i++)
			said |= p->diags[i].pos.at == r->stmt->pos.at &&
				strstr(p->diags[i].text, "is never reached");
		n_unreached += covered;
		if (covered == said || p->n_diags == POLICY_DIAGS_MAX)
			continue;
		policy_stmt_print(r->stmt, &text);
		fail(covered ? "never reached, but not said:" : "reached, but said otherwise:", &text);
	}
}

static void packets(struct random_state *r, const struct policy *p, const struct policy_ruleset *set,
		    uint32_t n)
{
	_Alignas(4) uint8_t room[4096];
	uint8_t *frame = room + 2; /* so that the IP header is aligned, as the kernel has it */
	struct policy_packet k;
	uint32_t i, j, len;

	for (i = 0; i < n; i++) {
		len = random_frame(r, set->filter, frame);
		compare(frame, len);
		packet_read(&k, frame, len, len, random_below(r, 2) ? "eth0" : "eth1");
		ask(p, set, &k);
		for (j = 0; j < 4 && set->n; j++)
			covers(p, set, &k, r);
	}
}

static void one_policy(struct random_state *r, uint32_t n_packets)
{
	struct policy *tree = calloc(1, sizeof(*tree)), *parsed;
	struct buf text = {0}, again = {0};
	uint32_t i;

	random_policy(r, tree, 1 + random_below(r, 30));
	policy_print(tree, &text);
	parsed = parse(&text);
	policy_print(parsed, &again);
	if (!policy_same(tree, parsed))
		fail("printed and parsed, the tree is another", &text);
	if (text.len != again.len || memcmp(text.data, again.data, text.len) != 0)
		fail("printed, parsed and printed, the text is another", &text);
	for (i = 0; i < parsed->n_filters; i++) {
		n_rules += parsed->rulesets[i].n;
		reach(parsed, &parsed->rulesets[i]);
		packets(r, parsed, &parsed->rulesets[i], n_packets);
	}
	arena_free(&tree->arena);
	free(tree);
	policy_free(parsed);
	buf_free(&text);
	buf_free(&again);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 100,
		 n_packets = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : 100, i;
	struct random_state r;

	for (i = 0; i < n; i++) {
		seed = first + i;
		r.s = seed * 0x9e3779b97f4a7c15 | 1;
		one_policy(&r, n_packets);
	}
	printf("%u policies, %llu rules, %llu questions, %llu yes, %llu covered, %llu never reached\n", n,
	       (unsigned long long)n_rules, (unsigned long long)n_asked, (unsigned long long)n_matches,
	       (unsigned long long)n_covers, (unsigned long long)n_unreached);
	/* a test that never says yes tests little */
	return n_matches * 100 > n_asked ? 0 : 1;
}
