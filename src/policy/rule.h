/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A policy in its normal form, for the compiler behind it: every rule flattened to fields, IPv4 and IPv6
 * apart.
 *
 * A rule matches a packet if all of this holds:
 *   - the bit of the packet's family is in families (IPv4, IPv6, or neither: ARP, LLDP, damaged headers...)
 *   - for each bit of fields (1 << enum policy_field) the packet has that field and its value is in the one
 * given here What has no bit in fields is not to be looked at; its member is zero. "Has the field" is defined
 * in packet.h. Nothing here is negated but sets, interfaces, MAC addresses and expressions: they cannot be
 * turned round.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include "base/buf.h"
#include "policy/tree.h"

enum { POLICY_V4 = 1, POLICY_V6 = 2, POLICY_NO_IP = 4 };

/* Byte values: bit v of w[v / 64]. */
struct policy_bytes {
	uint64_t w[4];
};

struct policy_span16 {
	uint16_t first, last;
};
struct policy_spans16 {
	const struct policy_span16 *v; /* sorted, disjoint, not adjacent */
	uint32_t n;
};

/* The address is in one of the spans or sets; or, if negated, in none. Never negated without sets. */
struct policy_addrs {
	union {
		const struct policy_span4 *v4; /* of ip[0] */
		const struct policy_span6 *v6; /* of ip[1] */
	};
	uint32_t n;
	const uint32_t *sets; /* numbers into policy->sets, ascending */
	uint32_t n_sets;
	bool negated;
};

/* What is different between the families. */
struct policy_ip {
	struct policy_addrs from, to;
	struct policy_bytes proto, icmp_type;
};

struct policy_mac {
	uint8_t value[6], mask[6];
};
struct policy_macs {
	const struct policy_mac *v;
	uint32_t n;
	bool negated;
};
struct policy_names {
	const char *const *v; /* interfaces, with * and ? */
	uint32_t n;
	bool negated;
};

/* Classic BPF, as in <linux/filter.h>; checked: jumps forward and inside, no division by 0, ends in a return. */
struct policy_insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct policy_cbpf {
	const char *text; /* the expression; the same text has the same struct policy_cbpf */
	struct policy_insn *insns;
	uint32_t n;
};

struct policy_rule {
	const struct policy_stmt *stmt; /* position, name, action, log, limit, redirect, cpus */
	uint32_t index;			/* in its filter */
	uint32_t fields;
	uint8_t families;
	bool never; /* no packet can match */

	struct policy_ip ip[2]; /* FROM, TO, PROTO, ICMP_TYPE; of the families that have a bit only */
	struct policy_spans16 from_port, to_port, vlan, inner_vlan,
		ether_type;	   /* VLAN ids with POLICY_VLAN_NONE */
	struct policy_bytes flags; /* the values of TCP's byte of flags (fin 1 ... cwr 128) that match */
	struct policy_bytes icmp_code, ttl;
	uint64_t dscp;
	const struct policy_span4 *length;
	uint32_t n_length;
	uint8_t fragment, malformed; /* bits 1 << POLICY_FRAGMENT_*, 1 << POLICY_MAL_* */
	struct policy_macs ether_from, ether_to;
	struct policy_names in;
	const struct policy_cbpf *matching;
	bool matching_negated;
};

struct policy_ruleset {
	const struct policy_filter *filter;
	struct policy_rule *rules;
	uint32_t n;
};

static inline bool policy_bytes_has(const struct policy_bytes *b, uint8_t v)
{
	return b->w[v / 64] >> (v % 64) & 1;
}

bool policy_spans16_have(const struct policy_spans16 *s, uint32_t v);

/* The protocols with ports: TCP, UDP, DCCP, SCTP and UDP-Lite. */
extern const struct policy_bytes policy_with_ports;

/* policy_rule_covers(): every packet that matches b matches a. false also if that would be hard to tell. */
bool policy_rule_covers(const struct policy_rule *a, const struct policy_rule *b);

/* policy_rule_match() asks the normal form, slowly: the compiler's tables have to say the same. */
struct policy_packet;
bool policy_rule_match(const struct policy *p, const struct policy_rule *r,
		       const struct policy_packet *packet);

/* policy_rule_key(): 64 bits that are the same for rules of the same name or, without a name, the same text. */
uint64_t policy_rule_key(const struct policy_stmt *s, struct buf *scratch);

#endif
