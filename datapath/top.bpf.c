// SPDX-License-Identifier: GPL-2.0-only
/*
 * top: counts packets and bytes per key, and decides nothing (config.verdict, normally XDP_PASS).
 *
 *     parse -> key, hash -> own CPU's part of the half in use -> found: add, free entry: take it, full: overflow
 *
 * No helper is called on the way but two that the kernel inlines (the CPU's number, the array lookup).
 * Every packet is counted in exactly one place: in an entry or in the overflow of its CPU. abi/top.h has
 * the layout.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/top.h"
#include "lib/hash.h"
#include "lib/parse.h"

/* Set by user space before load. */
const volatile struct top_config config = {
	.block_bits = 4,
	.hash_shift = 60,
	.verdict = XDP_PASS,
};

/* Written by user space only, through mmap: the half in use is epoch & 1. A page of its own. */
volatile __u32 epoch SEC(".data.epoch");

/*
 * key    block index (abi/top.h)
 * value  a block of entries
 * writer this program, each CPU its own part, plain stores: a CPU runs one XDP program at a time
 * reader user space through mmap, the half not in use, after a grace period
 * miss   the key takes the first free entry of the block
 * full   the packet is counted in top_cpus
 * lives  with the object; max_entries is set before load
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct top_block);
	__uint(max_entries, 1);
} top_table SEC(".maps");

/*
 * key    CPU number
 * value  fill level and overflow, for both halves
 * writer this program; user space clears the half not in use
 * reader user space through mmap
 * lives  with the object; max_entries is set before load
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct top_cpu);
	__uint(max_entries, 1);
} top_cpus SEC(".maps");

struct key {
	__u64 k[TOP_WIDE_WORDS];
	__u32 kind;
	__u64 hash; /* before folding */
};

static __always_inline void key_half(struct key *key, __u32 kind, __u64 value)
{
	key->kind = kind;
	key->k[0] = value;
	key->hash = hash_half(value, config.seed);
}

static __always_inline void key_word(struct key *key, __u32 kind, __u64 value)
{
	key->kind = kind;
	key->k[0] = value;
	key->hash = hash_word(value, config.seed);
}

/* Two words of an address as one whose bytes in memory are in wire order. */
static __always_inline __u64 in_order(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return first | (__u64)second << 32;
#else
	return second | (__u64)first << 32;
#endif
}

static __always_inline void key_ipv6(struct key *key, const struct in6_addr *address)
{
	const __u32 *w =
		address->in6_u.u6_addr32; /* the header is at an odd multiple of two: no 64-bit loads */

	key->kind = TOP_IPV6;
	key->k[0] = in_order(w[0], w[1]);
	key->k[1] = in_order(w[2], w[3]);
	if (config.by == TOP_BY_PREFIX) {
		key->k[0] &= config.mask6[0];
		key->k[1] &= config.mask6[1];
	}
	key->hash = hash_word(key->k[0], config.seed) + hash_word(key->k[1], config.seed + 2);
}

static __always_inline __u64 l4_word(const struct packet *p, int with_source)
{
	__u16 sport = 0, dport = 0;

	if (p->l4 == L4_PORTS) {
		if (with_source)
			sport = PARSE_BE16(p->sport);
		dport = PARSE_BE16(p->dport);
	} else if (p->l4 == L4_ICMP && with_source) {
		sport = p->icmp_type;
		dport = p->icmp_code;
	}
	return TOP_L4(p->l4, p->proto.nr, sport, dport);
}

static __always_inline void key_ports(struct key *key, struct cursor *c, struct packet *p)
{
	parse_l4(c, p);
	if (config.by == TOP_BY_PORT) {
		key_word(key, TOP_PORT, l4_word(p, 0));
	} else {
		key->k[4] = l4_word(p, 1);
		key->hash += hash_word(key->k[4], config.seed + 8);
	}
}

static __always_inline void key_of_ipv4(struct key *key, struct cursor *c, struct packet *p)
{
	struct iphdr *ip = parse_ipv4(c, p);
	__u32 by = config.by;

	if (!ip)
		key_half(key, TOP_BAD_IP, 4);
	else if (by == TOP_BY_SRC)
		key_half(key, TOP_IPV4, ip->saddr);
	else if (by == TOP_BY_DST)
		key_half(key, TOP_IPV4, ip->daddr);
	else if (by == TOP_BY_PREFIX)
		key_half(key, TOP_IPV4, ip->saddr & config.mask4);
	else if (by == TOP_BY_PROTO)
		key_half(key, TOP_PROTO, p->proto.nr);
	else if (by == TOP_BY_PORT)
		key_ports(key, c, p);
	else if (by == TOP_BY_FLOW) {
		key_word(key, TOP_IPV4, ip->saddr);
		key->k[2] = ip->daddr;
		key->hash += hash_half(ip->daddr, config.seed + 4);
		key_ports(key, c, p);
	}
}

static __always_inline void key_of_ipv6(struct key *key, struct cursor *c, struct packet *p)
{
	struct ipv6hdr *ip = parse_ipv6(c, p);
	__u32 by = config.by;

	if (!ip) {
		key_half(key, TOP_BAD_IP, 6);
		return;
	}
	if (by == TOP_BY_SRC || by == TOP_BY_PREFIX) {
		key_ipv6(key, &ip->saddr);
		return;
	}
	if (by == TOP_BY_DST) {
		key_ipv6(key, &ip->daddr);
		return;
	}
	if (by == TOP_BY_FLOW) {
		key_ipv6(key, &ip->daddr);
		key->k[2] = key->k[0];
		key->k[3] = key->k[1];
		key_ipv6(key, &ip->saddr);
		key->hash += hash_word(key->k[2], config.seed + 4) + hash_word(key->k[3], config.seed + 6);
	}
	parse_ipv6_extensions(c, p);
	if (by == TOP_BY_PROTO)
		key_half(key, TOP_PROTO, p->proto.nr);
	else
		key_ports(key, c, p);
}

static __always_inline void key_vlan(struct key *key, const struct packet *p)
{
	__u64 value = (__u64)p->n_tags << 32;

	if (p->n_tags)
		value |= (__u64)(PARSE_BE16(p->tci[0]) & 0xfff) << 16;
	if (p->n_tags > 1)
		value |= PARSE_BE16(p->tci[1]) & 0xfff;
	key_word(key, TOP_VLAN, value);
}

static __always_inline void key_of(struct key *key, struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;

	if (config.by == TOP_BY_IF) {
		key_half(key, TOP_IF, ctx->ingress_ifindex);
		return;
	}
	parse_ethernet(&c, &p);
	if (config.by == TOP_BY_VLAN && p.kind != PACKET_SHORT)
		key_vlan(key, &p);
	else if (p.kind == PACKET_IPV4)
		key_of_ipv4(key, &c, &p);
	else if (p.kind == PACKET_IPV6)
		key_of_ipv6(key, &c, &p);
	else if (p.kind == PACKET_OTHER)
		key_half(key, TOP_ETHER, PARSE_BE16(p.type.be));
	else
		key_half(key, p.kind == PACKET_SHORT ? TOP_SHORT : TOP_TAGS, 0);
}

/*
 * Returns 1 if the packet was counted in the block, 2 if for that an entry was taken, 0 if the block is
 * full.
 */
static __always_inline int count_narrow(struct top_block *block, const struct key *key, __u64 tag, __u32 at,
					__u64 bytes)
{
	struct top_narrow *e;
	__u32 i;

	for (i = 0; i < TOP_BLOCK; i += sizeof(*e)) {
		e = (void *)block + ((at + i) & (TOP_BLOCK - sizeof(*e)));
		if (e->k[0] == key->k[0] && e->k[1] == key->k[1] && e->tag >> TOP_PACKET_BITS == tag) {
			e->tag++;
			e->bytes += bytes;
			return 1;
		}
		if (!e->tag) {
			e->k[0] = key->k[0];
			e->k[1] = key->k[1];
			e->tag = tag << TOP_PACKET_BITS | 1;
			e->bytes = bytes;
			return 2;
		}
	}
	return 0;
}

static __always_inline int same_flow(const struct top_wide *e, const struct key *key)
{
	return e->k[0] == key->k[0] && e->k[4] == key->k[4] && e->k[2] == key->k[2] && e->k[1] == key->k[1] &&
	       e->k[3] == key->k[3];
}

static __always_inline int count_wide(struct top_block *block, const struct key *key, __u64 tag, __u32 at,
				      __u64 bytes)
{
	struct top_wide *e;
	__u32 i;

	for (i = 0; i < TOP_BLOCK; i += sizeof(*e)) {
		e = (void *)block + ((at + i) & (TOP_BLOCK - sizeof(*e)));
		if (same_flow(e, key) && e->tag >> TOP_PACKET_BITS == tag) {
			e->tag++;
			e->bytes += bytes;
			return 1;
		}
		if (!e->tag) {
			e->k[0] = key->k[0];
			e->k[1] = key->k[1];
			e->k[2] = key->k[2];
			e->k[3] = key->k[3];
			e->k[4] = key->k[4];
			e->tag = tag << TOP_PACKET_BITS | 1;
			e->bytes = bytes;
			return 2;
		}
	}
	return 0;
}

static __always_inline void count(const struct key *key, __u32 ifindex, __u64 bytes)
{
	__u64 hash = hash_fold(key->hash), tag = TOP_TAG(key->kind, ifindex);
	__u32 cpu = bpf_get_smp_processor_id(), half = epoch & 1, index;
	struct top_block *block;
	struct top_cpu *mine;
	int done = 0;

	index = (((cpu << 1) + half) << config.block_bits) + (__u32)(hash >> config.hash_shift);
	block = bpf_map_lookup_elem(&top_table, &index);
	if (block) {
		/*
		 * searching from anywhere in the block, not from its start: most keys are then in the first
		 * line touched
		 */
		if (config.by == TOP_BY_FLOW)
			done = count_wide(block, key, tag, (__u32)hash, bytes);
		else
			done = count_narrow(block, key, tag, (__u32)hash, bytes);
	}
	if (done == 1)
		return;
	mine = bpf_map_lookup_elem(&top_cpus, &cpu);
	if (!mine)
		return;
	if (done) {
		mine->half[half].inserted++;
	} else {
		mine->half[half].over_packets++;
		mine->half[half].over_bytes += bytes;
	}
}

static __always_inline void top_packet(struct xdp_md *ctx, __u64 bytes)
{
	struct key key = {};
	__u32 ifindex = 0;

	key_of(&key, ctx);
	if (config.per_if) {
		ifindex = ctx->ingress_ifindex;
		if (ifindex > TOP_IF_MAX)
			ifindex = TOP_IF_MAX;
	}
	count(&key, ifindex, bytes);
}

SEC("xdp")
int top(struct xdp_md *ctx)
{
	top_packet(ctx, ctx->data_end - ctx->data);
	return config.verdict;
}

/* The same for multi-buffer packets, whose length takes a call to learn. */
SEC("xdp.frags")
int top_frags(struct xdp_md *ctx)
{
	top_packet(ctx, bpf_xdp_get_buff_len(ctx));
	return config.verdict;
}

char _license[] SEC("license") = "GPL";
