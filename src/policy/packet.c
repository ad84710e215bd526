// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets taken apart as the RFCs have it: 894 and IEEE 802.1Q, 802.1ad (Ethernet), 791 (IPv4), 8200 (IPv6),
 * 9293 (TCP), 768 (UDP), 792, 4443 (ICMP). One field after the other through a view that knows where the
 * packet ends.
 */
#include <string.h>

#include "base/view.h"
#include "policy/packet.h"

enum { IPV4 = 0x0800, IPV6 = 0x86dd, TAG_C = 0x8100, TAG_S = 0x88a8, TAG_OLD = 0x9100 };
enum {
	HOP_BY_HOP = 0,
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	DCCP = 33,
	ROUTING = 43,
	FRAGMENT = 44,
	AH = 51,
	ICMPV6 = 58,
	DESTINATION = 60,
	SCTP = 132,
	MOBILITY = 135,
	UDPLITE = 136,
	HIP = 139,
	SHIM6 = 140
};

static uint8_t byte(struct view *v)
{
	uint8_t b = 0;

	view_copy(v, &b, 1);
	return b;
}

static uint16_t word(struct view *v)
{
	uint16_t high = byte(v);

	return (uint16_t)(high << 8 | byte(v));
}

/* The upper protocol's header: rest bytes of it are in the packet, as the IP header has it. */
static void upper(struct policy_packet *p, struct view v, uint32_t rest)
{
	bool icmp = p->proto == ICMP || p->proto == ICMPV6;
	bool ports = p->proto == TCP || p->proto == UDP || p->proto == DCCP || p->proto == SCTP ||
		     p->proto == UDPLITE;

	if (p->fragment == POLICY_FRAGMENT_LATER || (!icmp && !ports))
		return;
	if (v.left > rest)
		v.left = rest;
	if (v.left < 4) {
		p->malformed = POLICY_MAL_CUT;
		return;
	}
	if (icmp) {
		p->has_icmp = p->proto == (p->v6 ? ICMPV6 : ICMP);
		p->icmp_type = byte(&v);
		p->icmp_code = byte(&v);
		return;
	}
	p->has_ports = true;
	p->from_port = word(&v);
	p->to_port = word(&v);
	if (p->proto != TCP)
		return;
	view_take(&v, 4 + 4 + 1); /* sequence, acknowledgement, data offset */
	p->flags = byte(&v);
	p->has_flags = view_ok(&v);
	p->flags = p->has_flags ? p->flags : 0;
}

static void ipv4(struct policy_packet *p, struct view v)
{
	uint32_t header, total, rest, offset;
	struct view all = v;
	uint8_t first = byte(&v), tos = byte(&v);

	header = (first & 0xf) * 4u;
	if (all.left < 20 || first >> 4 != 4 || header < 20 || header > all.left) {
		p->malformed = POLICY_MAL_HEADER;
		return;
	}
	p->is_ip = true;
	p->dscp = tos >> 2;
	total = word(&v);
	view_take(&v, 2); /* identification */
	offset = word(&v);
	p->ttl = byte(&v);
	p->proto = byte(&v);
	view_take(&v, 2); /* checksum */
	view_copy(&v, p->from.bytes, 4);
	view_copy(&v, p->to.bytes, 4);
	if (offset & 0x1fff)
		p->fragment = POLICY_FRAGMENT_LATER;
	else if (offset & 0x2000)
		p->fragment = POLICY_FRAGMENT_FIRST;
	/* 0 stands for "more than 16 bits can say" */
	rest = total == 0 ? 0xffff : total > header ? total - header : 0;
	view_take(&all, header);
	upper(p, all, rest);
}

static bool is_extension(uint8_t proto)
{
	return proto == HOP_BY_HOP || proto == ROUTING || proto == FRAGMENT || proto == AH ||
	       proto == DESTINATION || proto == MOBILITY || proto == HIP || proto == SHIM6;
}

/* One extension header; false where the walk ends. */
static bool extension(struct policy_packet *p, struct view *v, uint32_t *rest)
{
	struct view head = *v;
	uint8_t next = byte(&head), len = byte(&head);
	uint16_t offset = word(&head);
	uint32_t bytes = p->proto == FRAGMENT ? 8 : p->proto == AH ? (len + 2u) * 4 : (len + 1u) * 8;
	bool fragment = p->proto == FRAGMENT;

	/* even the shortest of them has eight bytes */
	if (v->left < 8 || v->left < bytes || *rest < bytes) {
		p->malformed = POLICY_MAL_CUT;
		return false;
	}
	view_take(v, bytes);
	*rest -= bytes;
	p->proto = next;
	if (fragment && offset & 0xfff8) {
		p->fragment = POLICY_FRAGMENT_LATER;
		return false;
	}
	if (fragment && offset & 1)
		p->fragment = POLICY_FRAGMENT_FIRST;
	return true;
}

static void ipv6(struct policy_packet *p, struct view v)
{
	uint32_t first, rest, i;

	if (v.left < 40 || v.at[0] >> 4 != 6) {
		p->malformed = POLICY_MAL_HEADER;
		return;
	}
	p->is_ip = p->v6 = p->from.v6 = p->to.v6 = true;
	first = word(&v);
	p->dscp = first >> 6 & 0x3f; /* version 4 bits, DSCP 6, ECN 2, flow label */
	word(&v);
	rest = word(&v);
	rest = rest ? rest : 0xffff;
	p->proto = byte(&v);
	p->ttl = byte(&v);
	view_copy(&v, p->from.bytes, 16);
	view_copy(&v, p->to.bytes, 16);
	for (i = 0; is_extension(p->proto); i++) {
		if (i == PACKET_EXTENSIONS_MAX) {
			p->malformed = POLICY_MAL_DEEP;
			return;
		}
		if (!extension(p, &v, &rest))
			break;
	}
	if (!p->malformed)
		upper(p, v, rest);
}

static bool is_tag(uint16_t type)
{
	return type == TAG_C || type == TAG_S || type == TAG_OLD;
}

void packet_read(struct policy_packet *p, const uint8_t *bytes, uint32_t have, uint32_t length,
		 const char *in)
{
	struct view v = view_of(bytes, have);
	uint16_t tag;

	memset(p, 0, sizeof(*p));
	p->bytes = bytes;
	p->have = have;
	p->length = length;
	p->in = in;
	p->malformed = POLICY_MAL_SHORT;
	view_copy(&v, p->ether_to, 6);
	view_copy(&v, p->ether_from, 6);
	p->ether_type = word(&v);
	p->has_macs = view_ok(&v);
	while (view_ok(&v) && is_tag(p->ether_type) && p->n_tags < PACKET_TAGS_MAX) {
		tag = word(&v);
		p->ether_type = word(&v);
		if (!view_ok(&v))
			break;
		if (p->n_tags < 2)
			p->vlan[p->n_tags] = tag & 0xfff;
		p->n_tags++;
	}
	p->has_type = view_ok(&v);
	if (!p->has_type)
		return;
	p->malformed = POLICY_WELL_FORMED;
	if (is_tag(p->ether_type)) {
		p->n_tags = PACKET_TAGS_MAX + 1;
		p->malformed = POLICY_MAL_TAGS;
	} else if (p->ether_type == IPV4) {
		ipv4(p, v);
	} else if (p->ether_type == IPV6) {
		ipv6(p, v);
	}
}
