// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What replay is measured with: a filter that looks at headers only, and a counter per source address. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* key: source address; value: packets; writer: this file; reader: the benchmark; miss: added; full: not counted */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u64);
} sources SEC(".maps");

/* A UDP packet to port 53 over IPv4; NULL if it is none. */
static inline struct iphdr *to_dns(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	if (ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(0x3fff))
		return 0;
	return udp->dest == bpf_htons(53) ? ip : 0;
}

SEC("xdp")
int parse_drop(struct xdp_md *ctx)
{
	return to_dns(ctx) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int per_source(struct xdp_md *ctx)
{
	struct iphdr *ip = to_dns(ctx);
	__u64 *n, one = 1;
	__u32 key;

	if (!ip)
		return XDP_PASS;
	key = ip->saddr;
	n = bpf_map_lookup_elem(&sources, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&sources, &key, &one, BPF_NOEXIST);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
