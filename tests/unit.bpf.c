// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the tests of sluice/test.h run: the destination port of a UDP packet says what to do. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct seen {
	__u32 cpu, ifindex, queue;
	__u64 ns;
};

const volatile __u32 step = 1;
struct seen last;
__u64 total = 5;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __be32);
	__type(value, struct seen);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __be16);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");

static int note(struct xdp_md *ctx, struct iphdr *ip, struct udphdr *udp)
{
	struct seen s = {bpf_get_smp_processor_id(), ctx->ingress_ifindex, ctx->rx_queue_index,
			 bpf_ktime_get_ns()};
	__be32 source = ip->saddr;
	__be16 port = udp->source;

	last = s;
	total += step;
	bpf_map_update_elem(&sources, &source, &s, 0);
	bpf_map_push_elem(&ports, &port, BPF_EXIST);
	return XDP_PASS;
}

static int swap(struct ethhdr *eth, struct iphdr *ip)
{
	unsigned char mac[6];

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	ip->ttl--; /* and the checksum is wrong */
	return XDP_TX;
}

static int describe(struct xdp_md *ctx)
{
	__u64 *meta;

	if (bpf_xdp_adjust_meta(ctx, -8))
		return XDP_ABORTED;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	*meta = 0x1122334455667788;
	return XDP_PASS;
}

SEC("xdp")
int act(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&packets, &zero);

	if (n)
		++*n;
	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_DROP;
	switch (bpf_ntohs(udp->dest)) {
	case 1:
		return note(ctx, ip, udp);
	case 2:
		return swap(eth, ip);
	case 3:
		return bpf_redirect(3, 0);
	case 4:
		return bpf_redirect_map(&devices, 0, BPF_F_BROADCAST);
	case 5:
		return bpf_redirect_map(&cpus, 1, 0);
	case 6:
		return describe(ctx);
	case 7:
		return XDP_REDIRECT; /* without saying where to */
	default:
		return XDP_PASS;
	}
}

/* No verifier lets this pass: for the engine only. */
SEC("xdp")
int wild(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;

	return data[60];
}

char LICENSE[] SEC("license") = "GPL";
