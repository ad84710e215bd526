// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The meaning of one condition, as it is written. */
#include <fnmatch.h>
#include <string.h>

#include "policy/cbpf.h"
#include "policy/oracle.h"
#include "policy/words.h"

enum { LENGTH_MAX = 262143 };

/* The packet's number for a field that holds numbers; false if it has none. */
static bool number_of(const struct policy_packet *k, enum policy_field field, uint32_t *v)
{
	switch (field) {
	case POLICY_FAMILY:
		*v = k->v6 ? 6 : 4;
		return k->is_ip;
	case POLICY_PROTO:
		*v = k->proto;
		return k->is_ip;
	case POLICY_ICMP_TYPE:
		*v = k->icmp_type;
		return k->has_icmp;
	case POLICY_ICMP_CODE:
		*v = k->icmp_code;
		return k->has_icmp;
	case POLICY_FROM_PORT:
		*v = k->from_port;
		return k->has_ports;
	case POLICY_TO_PORT:
		*v = k->to_port;
		return k->has_ports;
	case POLICY_LENGTH:
		*v = k->length > LENGTH_MAX ? LENGTH_MAX : k->length;
		return true;
	case POLICY_TTL:
		*v = k->ttl;
		return k->is_ip;
	case POLICY_DSCP:
		*v = k->dscp;
		return k->is_ip;
	case POLICY_FRAGMENT:
		*v = k->fragment;
		return k->is_ip;
	case POLICY_VLAN:
		*v = k->n_tags ? k->vlan[0] : POLICY_VLAN_NONE;
		return true;
	case POLICY_INNER_VLAN:
		*v = k->n_tags > 1 ? k->vlan[1] : POLICY_VLAN_NONE;
		return true;
	case POLICY_ETHER_TYPE:
		*v = k->ether_type;
		return k->has_type;
	case POLICY_MALFORMED:
		*v = k->malformed;
		return true;
	default:
		return false;
	}
}

/* Whether a protocol of the packet's family is meant. */
static bool proto_holds(const struct policy_packet *k, const struct policy_value *v)
{
	bool icmp4 = !k->v6 && k->proto == 1, icmp6 = k->v6 && k->proto == 58;

	switch (v->num.lo) {
	case POLICY_PROTO_ICMP:
		return icmp4 || icmp6;
	case POLICY_PROTO_ICMP4:
		return icmp4;
	case POLICY_PROTO_ICMP6:
		return icmp6;
	default:
		return v->num.lo <= k->proto && k->proto <= v->num.hi;
	}
}

static bool mac_holds(const uint8_t *mac, const struct policy_value *v)
{
	size_t i;

	for (i = 0; i < 6; i++)
		if ((mac[i] & v->mac.mask[i]) != v->mac.value[i])
			return false;
	return true;
}

/* What sets are asked by. */
struct sets_now {
	const struct policy *p;
	const struct policy_live *live;
	uint64_t now_s;
};

static bool addr_holds(const struct sets_now *sets, const struct net_addr *addr, const struct policy_value *v)
{
	struct policy_addr6 a = policy_addr6_of(addr);

	if (v->kind == POLICY_SET && sets->live)
		return policy_live_has(sets->live, v->set, addr, sets->now_s);
	if (v->kind == POLICY_SET)
		return policy_spans_has(&sets->p->sets[v->set].spans, addr);
	return v->addr.v6 == addr->v6 && policy_addr6_cmp(v->addr.first, a) <= 0 &&
	       policy_addr6_cmp(a, v->addr.last) <= 0;
}

/* One value of the list; the packet has the field. */
static bool value_holds(const struct sets_now *sets, const struct policy_match *m,
			const struct policy_value *v, const struct policy_packet *k)
{
	const struct policy_word *w;
	uint32_t nr;

	switch ((enum policy_kind)v->kind) {
	case POLICY_ICMP:
		w = words_row(WORDS_ICMP_TYPES, v->num.lo);
		return (k->v6 ? w->hi : w->lo) == k->icmp_type;
	case POLICY_NUM:
		if (m->field == POLICY_PROTO)
			return proto_holds(k, v);
		return number_of(k, m->field, &nr) && v->num.lo <= nr && nr <= v->num.hi;
	case POLICY_ADDR:
	case POLICY_SET:
		return addr_holds(sets, m->field == POLICY_FROM ? &k->from : &k->to, v);
	case POLICY_MAC:
		return mac_holds(m->field == POLICY_ETHER_FROM ? k->ether_from : k->ether_to, v);
	case POLICY_BITS:
		return (k->flags & v->flags.mask) == v->flags.value;
	case POLICY_TEXT:
		if (m->field == POLICY_IN)
			return !fnmatch(v->text, k->in, 0);
		return cbpf_run(m->cbpf->insns, m->cbpf->n, k->bytes, k->have, k->length) != 0;
	}
	return false;
}

static bool has_field(const struct policy_packet *k, const struct policy_match *m)
{
	uint32_t nr;

	switch ((enum policy_field)m->field) {
	case POLICY_FROM:
	case POLICY_TO:
		return k->is_ip;
	case POLICY_FLAGS:
		return k->has_flags;
	case POLICY_ETHER_FROM:
	case POLICY_ETHER_TO:
		return k->has_macs;
	case POLICY_IN:
	case POLICY_MATCHING:
		return true;
	case POLICY_VLAN: /* "not" speaks of tagged packets */
		return !m->negated || k->n_tags;
	case POLICY_INNER_VLAN:
		return !m->negated || k->n_tags > 1;
	default:
		return number_of(k, m->field, &nr);
	}
}

bool policy_match_holds(const struct policy *p, const struct policy_match *m, const struct policy_packet *k)
{
	return policy_match_holds_live(p, NULL, 0, m, k);
}

bool policy_match_holds_live(const struct policy *p, const struct policy_live *live, uint64_t now_s,
			     const struct policy_match *m, const struct policy_packet *k)
{
	struct sets_now sets = {p, live, now_s};
	uint32_t i;

	if (m->field == POLICY_IN && !k->in)
		return true;
	if (!has_field(k, m))
		return false;
	for (i = 0; i < m->list.n; i++)
		if (value_holds(&sets, m, &m->list.v[i], k))
			return !m->negated;
	return m->negated;
}

/* --- why not --- */

static const char *missing(const struct policy_packet *k, enum policy_field field)
{
	if (field == POLICY_ETHER_FROM || field == POLICY_ETHER_TO || field == POLICY_ETHER_TYPE)
		return "it ends before its Ethernet header does";
	if (field == POLICY_VLAN || field == POLICY_INNER_VLAN)
		return "it has no such VLAN tag";
	if (!k->is_ip)
		return k->malformed == POLICY_MAL_TAGS	   ? "it has more VLAN tags than are looked behind"
		       : k->malformed == POLICY_MAL_HEADER ? "its IP header is damaged"
							   : "it is not IP";
	if (k->malformed == POLICY_MAL_CUT)
		return "it ends before that";
	if (k->malformed == POLICY_MAL_DEEP)
		return "it has more extension headers than are looked behind";
	if (k->fragment == POLICY_FRAGMENT_LATER)
		return "it is a later fragment, which has none";
	return "its protocol has none";
}

/* What the packet has in the place of a value, in the words of the language. */
static void found(const struct policy_match *m, const struct policy_packet *k, struct buf *to)
{
	struct policy_value v = {.kind = POLICY_NUM};
	struct policy_match one = *m;
	char said[NET_ADDR_TEXT];

	one.negated = false;
	one.list.v = &v;
	one.list.n = 1;
	switch ((enum policy_field)m->field) {
	case POLICY_FROM:
	case POLICY_TO:
		buf_printf(to, "%s %s", m->field == POLICY_FROM ? "from" : "to",
			   net_addr_format(m->field == POLICY_FROM ? &k->from : &k->to, said, sizeof(said)));
		return;
	case POLICY_FLAGS:
		v.kind = POLICY_BITS;
		v.flags.value = k->flags;
		v.flags.mask = k->flags;
		break;
	case POLICY_ETHER_FROM:
	case POLICY_ETHER_TO:
		v.kind = POLICY_MAC;
		memcpy(v.mac.value, m->field == POLICY_ETHER_FROM ? k->ether_from : k->ether_to, 6);
		memset(v.mac.mask, 0xff, 6);
		break;
	case POLICY_IN:
		v.kind = POLICY_TEXT;
		v.text = k->in;
		break;
	case POLICY_PROTO:
		v.num.lo = k->proto;
		if (k->proto == (k->v6 ? 58 : 1))
			v.num.lo = k->v6 ? POLICY_PROTO_ICMP6 : POLICY_PROTO_ICMP4;
		v.num.hi = v.num.lo;
		break;
	default:
		number_of(k, m->field, &v.num.lo);
		v.num.hi = v.num.lo;
	}
	policy_match_print(&one, to);
}

void policy_why(const struct policy_match *m, const struct policy_packet *k, struct buf *to)
{
	buf_printf(to, "not ");
	policy_match_print(m, to);
	if (m->field == POLICY_MATCHING)
		return;
	if (!has_field(k, m)) {
		buf_printf(to, ": %s", missing(k, m->field));
		return;
	}
	buf_printf(to, ": it is ");
	found(m, k, to);
}
