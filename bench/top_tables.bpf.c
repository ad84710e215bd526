// SPDX-License-Identifier: GPL-2.0-only
/*
 * What `sluice top` could have counted with: the kernel's LRU hashes and a count-min sketch, against
 * dropping without counting; and the generator that feeds them. Key and parser are those of
 * datapath/top.bpf.c.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/top.h"
#include "lib/hash.h"
#include "lib/parse.h"

#define LRU_ENTRIES (1 << 20)
#define SKETCH_BITS 19 /* counters a row */
#define SKETCH_ROWS 4

/* Set by the bench while it runs. */
volatile __u32 n_sources SEC(".data.gen") = 16;
volatile __u32 to_ifindex SEC(".data.gen") = 0;
volatile __u64 random_state SEC(".data.gen") = 88172645463325252ull;

struct counted {
	__u64 packets, bytes;
};

struct address {
	__u64 k[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct address);
	__type(value, struct counted);
	__uint(max_entries, LRU_ENTRIES);
} lru_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__type(key, struct address);
	__type(value, struct counted);
	__uint(max_entries, LRU_ENTRIES);
} lru_percpu_map SEC(".maps");

/* One row after the other; packets only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, SKETCH_ROWS << SKETCH_BITS);
} sketch_map SEC(".maps");

static const volatile __u64 seed[4] = {0x9ddfea08eb382d69ull, 0xc2b2ae3d27d4eb4full, 0x165667b19e3779f9ull,
				       0x27d4eb2f165667c5ull};

/* Gives the frame a random source of n_sources and sends it on. */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u64 x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	if ((void *)(ip + 1) > end)
		return XDP_ABORTED;
	ip->saddr = (__u32)((x >> 32) * n_sources >> 32) * 2654435761u;
	return bpf_redirect(to_ifindex, 0);
}

static __always_inline int address_of(struct xdp_md *ctx, struct address *key)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;
	struct iphdr *ip;

	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 || !(ip = parse_ipv4(&c, &p)))
		return -1;
	key->k[0] = ip->saddr;
	key->k[1] = 0;
	return 0;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

/* Parsing and hashing alone. */
SEC("xdp")
int parse(struct xdp_md *ctx)
{
	struct address key;

	if (address_of(ctx, &key))
		return XDP_PASS;
	return hash_fold(hash_half(key.k[0], seed)) == 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int lru(struct xdp_md *ctx)
{
	struct counted *c, first = {1, ctx->data_end - ctx->data};
	struct address key;

	if (address_of(ctx, &key))
		return XDP_PASS;
	c = bpf_map_lookup_elem(&lru_map, &key);
	if (c) {
		__sync_fetch_and_add(&c->packets, 1);
		__sync_fetch_and_add(&c->bytes, first.bytes);
	} else {
		bpf_map_update_elem(&lru_map, &key, &first, BPF_NOEXIST);
	}
	return XDP_DROP;
}

SEC("xdp")
int lru_percpu(struct xdp_md *ctx)
{
	struct counted *c, first = {1, ctx->data_end - ctx->data};
	struct address key;

	if (address_of(ctx, &key))
		return XDP_PASS;
	c = bpf_map_lookup_elem(&lru_percpu_map, &key);
	if (c) {
		c->packets++;
		c->bytes += first.bytes;
	} else {
		bpf_map_update_elem(&lru_percpu_map, &key, &first, BPF_NOEXIST);
	}
	return XDP_DROP;
}

static __always_inline int sketch(struct xdp_md *ctx, __u32 rows)
{
	struct address key;
	__u32 i, index, *n;
	__u64 h;

	if (address_of(ctx, &key))
		return XDP_PASS;
	h = hash_fold(hash_half(key.k[0], seed));
	for (i = 0; i < rows; i++) {
		index = (i << SKETCH_BITS) + (__u32)(h >> (64 - SKETCH_BITS));
		n = bpf_map_lookup_elem(&sketch_map, &index);
		if (n)
			(*n)++;
		h *= 0xd6e8feb86659fd93ull;
	}
	return XDP_DROP;
}

SEC("xdp")
int sketch2(struct xdp_md *ctx)
{
	return sketch(ctx, 2);
}

SEC("xdp")
int sketch4(struct xdp_md *ctx)
{
	return sketch(ctx, 4);
}

char _license[] SEC("license") = "GPL";
