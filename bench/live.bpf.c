// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live frames that vary, and what else the kernel has to look up sources with. live_send writes the next
 * header into its frame, or one with a source drawn at random, and sends it on; the others receive. Every
 * receiver drops all packets, so that what differs between them is what they look up before.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench/live.h"
#include "datapath/lib/parse.h"

struct live live SEC(".data.live") = {.random = 88172645463325252ull};

/* key: source; value: nothing; writer: the bench, before it begins; reader: live_hash; miss: a source that is no element */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LIVE_ELEMENTS);
	__type(key, __be32);
	__type(value, __u32);
} live_addresses SEC(".maps");

/* key: prefix; else as above; reader: live_lpm */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LIVE_ELEMENTS);
	__type(key, struct live_prefix);
	__type(value, __u32);
} live_prefixes SEC(".maps");

/* key: source; value: what a rate limit needs, packets and a time; writer, reader: live_lru; full: the oldest goes */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, __be32);
	__type(value, struct live_seen);
} live_sources SEC(".maps");

struct frame_head {
	struct ethhdr eth;
	struct iphdr ip;
	__be16 sport, dport;
	__u8 tcp[16];
};

SEC("xdp")
int live_send(struct xdp_md *ctx)
{
	struct frame_head *p = (void *)(long)ctx->data;
	struct live_header *h = &live.header[live.turn++ & (LIVE_HEADERS - 1)];
	__u64 x;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	p->ip.saddr = h->src;
	p->ip.daddr = h->dst;
	p->ip.check = h->check;
	p->ip.protocol = h->proto;
	p->sport = h->sport;
	p->dport = h->dport;
	p->tcp[9] = h->flags;
	if (live.n_sources) {
		x = live.random; /* xorshift64, Marsaglia 2003 */
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		live.random = x;
		p->ip.saddr = (__u32)((x >> 32) * live.n_sources >> 32) * LIVE_SPREAD;
	}
	return bpf_redirect(live.to_ifindex, 0);
}

static __always_inline int source_of(struct xdp_md *ctx, __be32 *source)
{
	struct cursor c = cursor_of((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	struct packet p;
	struct iphdr *ip;

	parse_ethernet(&c, &p);
	if (p.kind != PACKET_IPV4 || !(ip = parse_ipv4(&c, &p)))
		return -1;
	*source = ip->saddr;
	return 0;
}

SEC("xdp")
int live_drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

SEC("xdp")
int live_hash(struct xdp_md *ctx)
{
	__be32 source;

	if (source_of(ctx, &source))
		return XDP_ABORTED;
	bpf_map_lookup_elem(&live_addresses, &source);
	return XDP_DROP;
}

SEC("xdp")
int live_lpm(struct xdp_md *ctx)
{
	struct live_prefix key = {.len = 32};

	if (source_of(ctx, &key.addr))
		return XDP_ABORTED;
	bpf_map_lookup_elem(&live_prefixes, &key);
	return XDP_DROP;
}

SEC("xdp")
int live_lru(struct xdp_md *ctx)
{
	struct live_seen *seen, first = {1, ctx->data_end - ctx->data};
	__be32 source;

	if (source_of(ctx, &source))
		return XDP_ABORTED;
	seen = bpf_map_lookup_elem(&live_sources, &source);
	if (seen) {
		seen->packets++;
		seen->bytes = bpf_jiffies64();
	} else {
		bpf_map_update_elem(&live_sources, &source, &first, BPF_ANY);
	}
	return XDP_DROP;
}

char live_license[] SEC("license") = "GPL";
