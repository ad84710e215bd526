// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a set costs a packet: each program takes the next of 65,536 headers, puts its source into the packet,
 * parses, and asks one set; "none" asks nothing.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/parse.h"
#include "lib/set.h"

#define HEADERS 65536

/* Filled by the bench. Wire order; IPv4 in lo's first four bytes. */
struct {
	__u64 next, hits;
	struct {
		__u64 hi, lo;
	} headers[HEADERS];
} run SEC(".data.run") = {1};

/* Sizes are set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, 4);
	__uint(value_size, 4096);
	__uint(max_entries, 1);
} set_memory SEC(".maps");
const volatile __u64 set_limit SEC(".rodata.limit") = 4096 - SET_LINE;

struct lpm_key {
	__u32 len;
	__u8 bytes[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} hash4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, 16);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} hash6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 8);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} lpm4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 20);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} lpm6 SEC(".maps");

static __always_inline struct iphdr *packet4(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct iphdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
	struct packet p;

	if ((void *)(ip + 1) > c.end)
		return 0;
	ip->saddr = (__u32)run.headers[run.next++ & (HEADERS - 1)].lo;
	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 || !(ip = parse_ipv4(&c, &p)))
		return 0;
	parse_l4(&c, &p);
	return p.l4 == L4_PORTS && p.dport ? ip : 0;
}

static __always_inline struct ipv6hdr *packet6(struct xdp_md *ctx)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct ipv6hdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);
	__u64 i = run.next++ & (HEADERS - 1);
	struct packet p;

	if ((void *)(ip + 1) > c.end)
		return 0;
	*(__u64 *)&ip->saddr = run.headers[i].hi;
	*((__u64 *)&ip->saddr + 1) = run.headers[i].lo;
	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV6 || !(ip = parse_ipv6(&c, &p)))
		return 0;
	parse_ipv6_extensions(&c, &p);
	parse_l4(&c, &p);
	return p.l4 == L4_PORTS && p.dport ? ip : 0;
}

static __always_inline const void *memory(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&set_memory, &zero);
}

#define PROGRAM4(name, ask)                               \
	SEC("xdp") int name(struct xdp_md *ctx)           \
	{                                                 \
		struct iphdr *ip = packet4(ctx);          \
		const void *mem = memory();               \
		__u32 a;                                  \
                                                          \
		if (!ip || !mem)                          \
			return XDP_ABORTED;               \
		a = __builtin_bswap32(ip->saddr);         \
		run.hits += (ask);                            \
		return XDP_DROP;                          \
	}
#define PROGRAM6(name, ask)                                                \
	SEC("xdp") int name(struct xdp_md *ctx)                            \
	{                                                                  \
		struct ipv6hdr *ip = packet6(ctx);                         \
		const void *mem = memory();                                \
		__u64 hi, lo;                                              \
                                                                           \
		if (!ip || !mem)                                           \
			return XDP_ABORTED;                                \
		hi = __builtin_bswap64(*(__u64 *)&ip->saddr);              \
		lo = __builtin_bswap64(*((__u64 *)&ip->saddr + 1));        \
		run.hits += (ask);                                             \
		return XDP_DROP;                                           \
	}

static __always_inline __u32 ask_hash4(__u32 a)
{
	return bpf_map_lookup_elem(&hash4, &a) != 0;
}

static __always_inline __u32 ask_lpm4(__u32 a)
{
	struct {
		__u32 len, addr;
	} key = {32, __builtin_bswap32(a)};

	return bpf_map_lookup_elem(&lpm4, &key) != 0;
}

static __always_inline __u32 ask_hash6(__u64 hi, __u64 lo)
{
	struct set_key key = {hi, lo};

	return bpf_map_lookup_elem(&hash6, &key) != 0;
}

static __always_inline __u32 ask_lpm6(__u64 hi, __u64 lo)
{
	struct {
		__u32 len, w[4];
	} key = {128,
		 {__builtin_bswap32(hi >> 32), __builtin_bswap32((__u32)hi), __builtin_bswap32(lo >> 32),
		  __builtin_bswap32((__u32)lo)}};

	return bpf_map_lookup_elem(&lpm6, &key) != 0;
}

PROGRAM4(none4, a == 1)
PROGRAM4(addrs4, set_addr4(mem, set_limit, 0, a, &(struct set_want){0}) != 0)
PROGRAM4(prefixes4, set_covers4(mem, set_limit, 0, a, &(struct set_want){0}))
PROGRAM4(either4, set_has4(mem, set_limit, 0, a))
PROGRAM4(kernel_hash4, ask_hash4(a))
PROGRAM4(kernel_lpm4, ask_lpm4(a))
PROGRAM6(none6, (hi ^ lo) == 1)
PROGRAM6(addrs6, set_addr6(mem, set_limit, 0, hi, lo, &(struct set_want){0}) != 0)
PROGRAM6(prefixes6, set_covers6(mem, set_limit, 0, hi, lo, &(struct set_want){0}))
PROGRAM6(either6, set_has6(mem, set_limit, 0, hi, lo))
PROGRAM6(kernel_hash6, ask_hash6(hi, lo))
PROGRAM6(kernel_lpm6, ask_lpm6(hi, lo))

SEC("xdp")
int bare(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
