// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small firewall: known sources may come in, except to blocked ports; one VLAN; every verdict has a counted reason.
 * firewall_test.c is its test.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "datapath/lib/parse.h"

/* The VLAN that packets must have, 0: no tag. */
const volatile __u16 only_vlan = 0;

enum reason {
	ALLOWED,
	ARP,
	FRAGMENT,    /* later ones of allowed sources pass: without the first they are nothing */
	MALFORMED,   /* or more tags and extension headers than are looked into */
	WRONG_VLAN,
	NOT_IP,
	NOT_ALLOWED, /* its source is in no prefix */
	BLOCKED_PORT,
	N_REASONS,
};

struct prefix4 {
	__u32 length;
	__u8 address[4];
};

struct prefix6 {
	__u32 length;
	__u8 address[16];
};

/* key: source prefix; value: any; writer: user space; reader: this program; miss: dropped; full: user space hears it */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix4);
	__type(value, __u8);
} allowed4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix6);
	__type(value, __u8);
} allowed6 SEC(".maps");

/* key: destination port; value: any; writer: user space; reader: this program; miss: not blocked */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be16);
	__type(value, __u8);
} blocked_ports SEC(".maps");

/* key: why; value: packets; writer: this program; reader: user space; lives: as long as the program */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, N_REASONS);
	__type(key, enum reason);
	__type(value, __u64);
} reasons SEC(".maps");

static __always_inline int because(enum reason reason)
{
	__u64 *n = bpf_map_lookup_elem(&reasons, &reason);

	if (n)
		++*n;
	return reason <= FRAGMENT ? XDP_PASS : XDP_DROP;
}

static __always_inline int vlan_is_right(const struct packet *p)
{
	if (!only_vlan)
		return p->n_tags == 0;
	return p->n_tags == 1 && (PARSE_BE16(p->tci[0]) & 0xfff) == only_vlan;
}

static __always_inline int known4(const struct iphdr *ip)
{
	struct prefix4 key = {.length = 32};

	__builtin_memcpy(key.address, &ip->saddr, 4);
	return bpf_map_lookup_elem(&allowed4, &key) != 0;
}

static __always_inline int known6(const struct ipv6hdr *ip)
{
	struct prefix6 key = {.length = 128};

	__builtin_memcpy(key.address, &ip->saddr, 16);
	return bpf_map_lookup_elem(&allowed6, &key) != 0;
}

/* 1: source known, 0: not, -1: no IP header */
static __always_inline int source_is_known(struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip4;
	int known;

	if (p->kind == PACKET_IPV4) {
		ip4 = parse_ipv4(c, p);
		return ip4 ? known4(ip4) : -1;
	}
	ip6 = parse_ipv6(c, p);
	if (!ip6)
		return -1;
	known = known6(ip6);
	parse_ipv6_extensions(c, p);
	return known;
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;
	int known;

	parse_ethernet(&c, &p);
	if (p.kind == PACKET_SHORT || p.kind == PACKET_TAGS)
		return because(MALFORMED);
	if (!vlan_is_right(&p))
		return because(WRONG_VLAN);
	if (p.kind == PACKET_OTHER)
		return because(p.type.be == PARSE_BE16(ETH_P_ARP) ? ARP : NOT_IP);
	known = source_is_known(&c, &p);
	if (known < 0)
		return because(MALFORMED);
	if (!known)
		return because(NOT_ALLOWED);
	parse_l4(&c, &p);
	switch (p.l4) {
	case L4_CUT:
	case L4_DEEP:
		return because(MALFORMED);
	case L4_FRAGMENT:
		return because(FRAGMENT);
	case L4_PORTS:
		return because(bpf_map_lookup_elem(&blocked_ports, &p.dport) ? BLOCKED_PORT : ALLOWED);
	default:
		return because(ALLOWED);
	}
}

char LICENSE[] SEC("license") = "GPL";
