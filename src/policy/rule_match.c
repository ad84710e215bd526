// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Questions to rules in normal form: does a packet match, does one rule cover another. */
#include <fnmatch.h>
#include <string.h>

#include "policy/cbpf.h"
#include "policy/packet.h"
#include "policy/policy.h"

#define HAS(r, field) ((r)->fields >> (field)&1)

bool policy_spans16_have(const struct policy_spans16 *s, uint32_t v)
{
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].first <= v && v <= s->v[i].last)
			return true;
	return false;
}

static bool addrs_have(const struct policy *p, const struct policy_addrs *a, const struct net_addr *addr)
{
	struct policy_spans s = {.v4 = addr->v6 ? NULL : (void *)(uintptr_t)a->v4,
				 .n4 = addr->v6 ? 0 : a->n,
				 .v6 = addr->v6 ? (void *)(uintptr_t)a->v6 : NULL,
				 .n6 = addr->v6 ? a->n : 0};
	bool in = policy_spans_has(&s, addr);
	uint32_t i;

	for (i = 0; i < a->n_sets && !in; i++)
		in = policy_spans_has(&p->sets[a->sets[i]].spans, addr);
	return in != a->negated;
}

static bool macs_have(const struct policy_macs *m, const uint8_t *mac)
{
	bool in = false, same;
	uint32_t i, b;

	for (i = 0; i < m->n && !in; i++) {
		for (b = 0, same = true; b < 6; b++)
			same &= (mac[b] & m->v[i].mask[b]) == m->v[i].value[b];
		in = same;
	}
	return in != m->negated;
}

static bool match_ip(const struct policy *p, const struct policy_rule *r, const struct policy_packet *k)
{
	const struct policy_ip *ip = &r->ip[k->v6];

	if (HAS(r, POLICY_PROTO) && !policy_bytes_has(&ip->proto, k->proto))
		return false;
	if (HAS(r, POLICY_FROM) && !addrs_have(p, &ip->from, &k->from))
		return false;
	if (HAS(r, POLICY_TO) && !addrs_have(p, &ip->to, &k->to))
		return false;
	if (HAS(r, POLICY_FROM_PORT) && (!k->has_ports || !policy_spans16_have(&r->from_port, k->from_port)))
		return false;
	if (HAS(r, POLICY_TO_PORT) && (!k->has_ports || !policy_spans16_have(&r->to_port, k->to_port)))
		return false;
	if (HAS(r, POLICY_FLAGS) && (!k->has_flags || !policy_bytes_has(&r->flags, k->flags)))
		return false;
	if (HAS(r, POLICY_ICMP_TYPE) && (!k->has_icmp || !policy_bytes_has(&ip->icmp_type, k->icmp_type)))
		return false;
	if (HAS(r, POLICY_ICMP_CODE) && (!k->has_icmp || !policy_bytes_has(&r->icmp_code, k->icmp_code)))
		return false;
	if (HAS(r, POLICY_TTL) && !policy_bytes_has(&r->ttl, k->ttl))
		return false;
	if (HAS(r, POLICY_DSCP) && !(r->dscp >> k->dscp & 1))
		return false;
	return !HAS(r, POLICY_FRAGMENT) || r->fragment >> k->fragment & 1;
}

static bool match_frame(const struct policy_rule *r, const struct policy_packet *k)
{
	uint32_t i;
	bool in = false;

	if (HAS(r, POLICY_VLAN) && !policy_spans16_have(&r->vlan, k->n_tags ? k->vlan[0] : POLICY_VLAN_NONE))
		return false;
	if (HAS(r, POLICY_INNER_VLAN) &&
	    !policy_spans16_have(&r->inner_vlan, k->n_tags > 1 ? k->vlan[1] : POLICY_VLAN_NONE))
		return false;
	if (HAS(r, POLICY_ETHER_TYPE) &&
	    (!k->has_type || !policy_spans16_have(&r->ether_type, k->ether_type)))
		return false;
	if (HAS(r, POLICY_ETHER_FROM) && (!k->has_macs || !macs_have(&r->ether_from, k->ether_from)))
		return false;
	if (HAS(r, POLICY_ETHER_TO) && (!k->has_macs || !macs_have(&r->ether_to, k->ether_to)))
		return false;
	if (HAS(r, POLICY_MALFORMED) && !(r->malformed >> k->malformed & 1))
		return false;
	for (i = 0; i < r->n_length && !in; i++)
		in = r->length[i].first <= k->length && k->length <= r->length[i].last;
	if (HAS(r, POLICY_LENGTH) && !in)
		return false;
	for (i = 0, in = false; i < r->in.n && !in; i++)
		in = !k->in || !fnmatch(r->in.v[i], k->in, 0);
	if (HAS(r, POLICY_IN) && in == (r->in.negated && k->in))
		return false;
	if (!HAS(r, POLICY_MATCHING))
		return true;
	return (cbpf_run(r->matching->insns, r->matching->n, k->bytes, k->have, k->length) != 0) !=
	       r->matching_negated;
}

bool policy_rule_match(const struct policy *p, const struct policy_rule *r, const struct policy_packet *k)
{
	uint8_t family = !k->is_ip ? POLICY_NO_IP : k->v6 ? POLICY_V6 : POLICY_V4;

	return r->families & family && (!k->is_ip || match_ip(p, r, k)) && match_frame(r, k);
}

/* --- cover --- */

static bool bytes_in(const struct policy_bytes *in, const struct policy_bytes *of)
{
	return !(in->w[0] & ~of->w[0]) && !(in->w[1] & ~of->w[1]) && !(in->w[2] & ~of->w[2]) &&
	       !(in->w[3] & ~of->w[3]);
}

static bool spans16_in(const struct policy_spans16 *in, const struct policy_spans16 *of)
{
	uint32_t i, j = 0;

	for (i = 0; i < in->n; i++) {
		while (j < of->n && of->v[j].last < in->v[i].first)
			j++;
		if (j == of->n || of->v[j].first > in->v[i].first || of->v[j].last < in->v[i].last)
			return false;
	}
	return true;
}

static bool spans4_in(const struct policy_span4 *in, uint32_t n, const struct policy_span4 *of, uint32_t n_of)
{
	uint32_t i, j = 0;

	for (i = 0; i < n; i++) {
		while (j < n_of && of[j].last < in[i].first)
			j++;
		if (j == n_of || of[j].first > in[i].first || of[j].last < in[i].last)
			return false;
	}
	return true;
}

static bool spans6_in(const struct policy_span6 *in, uint32_t n, const struct policy_span6 *of, uint32_t n_of)
{
	uint32_t i, j = 0;

	for (i = 0; i < n; i++) {
		while (j < n_of && policy_addr6_cmp(of[j].last, in[i].first) < 0)
			j++;
		if (j == n_of || policy_addr6_cmp(of[j].first, in[i].first) > 0 ||
		    policy_addr6_cmp(of[j].last, in[i].last) < 0)
			return false;
	}
	return true;
}

static bool sets_in(const struct policy_addrs *in, const struct policy_addrs *of)
{
	uint32_t i, j = 0;

	for (i = 0; i < in->n_sets; i++) {
		while (j < of->n_sets && of->sets[j] < in->sets[i])
			j++;
		if (j == of->n_sets || of->sets[j] != in->sets[i])
			return false;
	}
	return true;
}

/* Sets change at run time: only what holds whatever is in them counts. */
static bool addrs_in(const struct policy_addrs *in, const struct policy_addrs *of, bool v6)
{
	const struct policy_addrs *swap;

	if (in->negated != of->negated)
		return false;
	if (in->negated) { /* what is outside of more is inside of less */
		swap = in;
		in = of;
		of = swap;
	}
	return sets_in(in, of) &&
	       (v6 ? spans6_in(in->v6, in->n, of->v6, of->n) : spans4_in(in->v4, in->n, of->v4, of->n));
}

static bool same_macs(const struct policy_macs *a, const struct policy_macs *b)
{
	return a->n == b->n && a->negated == b->negated && !memcmp(a->v, b->v, a->n * sizeof(*a->v));
}

static bool same_names(const struct policy_names *a, const struct policy_names *b)
{
	uint32_t i;

	for (i = 0; a->n == b->n && i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]))
			return false;
	return a->n == b->n && a->negated == b->negated;
}

static bool ip_in(const struct policy_rule *a, const struct policy_rule *b, bool v6)
{
	const struct policy_ip *of = &a->ip[v6], *in = &b->ip[v6];

	return (!HAS(a, POLICY_PROTO) || bytes_in(&in->proto, &of->proto)) &&
	       (!HAS(a, POLICY_ICMP_TYPE) || bytes_in(&in->icmp_type, &of->icmp_type)) &&
	       (!HAS(a, POLICY_FROM) || addrs_in(&in->from, &of->from, v6)) &&
	       (!HAS(a, POLICY_TO) || addrs_in(&in->to, &of->to, v6));
}

bool policy_rule_covers(const struct policy_rule *a, const struct policy_rule *b)
{
	if (a->fields & ~b->fields || b->families & ~a->families)
		return false;
	if ((b->families & POLICY_V4 && !ip_in(a, b, false)) ||
	    (b->families & POLICY_V6 && !ip_in(a, b, true)))
		return false;
	return (!HAS(a, POLICY_FROM_PORT) || spans16_in(&b->from_port, &a->from_port)) &&
	       (!HAS(a, POLICY_TO_PORT) || spans16_in(&b->to_port, &a->to_port)) &&
	       (!HAS(a, POLICY_VLAN) || spans16_in(&b->vlan, &a->vlan)) &&
	       (!HAS(a, POLICY_INNER_VLAN) || spans16_in(&b->inner_vlan, &a->inner_vlan)) &&
	       (!HAS(a, POLICY_ETHER_TYPE) || spans16_in(&b->ether_type, &a->ether_type)) &&
	       (!HAS(a, POLICY_FLAGS) || bytes_in(&b->flags, &a->flags)) &&
	       (!HAS(a, POLICY_ICMP_CODE) || bytes_in(&b->icmp_code, &a->icmp_code)) &&
	       (!HAS(a, POLICY_TTL) || bytes_in(&b->ttl, &a->ttl)) &&
	       (!HAS(a, POLICY_DSCP) || !(b->dscp & ~a->dscp)) &&
	       (!HAS(a, POLICY_LENGTH) || spans4_in(b->length, b->n_length, a->length, a->n_length)) &&
	       !(b->fragment & ~(HAS(a, POLICY_FRAGMENT) ? a->fragment : 0xff)) &&
	       !(b->malformed & ~(HAS(a, POLICY_MALFORMED) ? a->malformed : 0xff)) &&
	       (!HAS(a, POLICY_ETHER_FROM) || same_macs(&a->ether_from, &b->ether_from)) &&
	       (!HAS(a, POLICY_ETHER_TO) || same_macs(&a->ether_to, &b->ether_to)) &&
	       (!HAS(a, POLICY_IN) || same_names(&a->in, &b->in)) &&
	       (!HAS(a, POLICY_MATCHING) ||
		(a->matching == b->matching && a->matching_negated == b->matching_negated));
}
