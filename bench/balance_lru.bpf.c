// SPDX-License-Identifier: GPL-2.0-only
/*
 * A balancer made of the kernel's own maps, to be measured beside ours: what Katran does for a TCP packet without options
 * (facebookincubator/katran, balancer.bpf.c and balancer_maps.h), and nothing else of it. The service is looked for in a hash; flows
 * in an LRU of the CPU's own, found in an array of maps; unknown ones hash to a slot of 32 bits and come into the LRU; per-CPU counters
 * for the table, the service and the backend; an IPIP header. It lacks Katran's guard against many new flows, fragments, ICMP, options,
 * routing by connection ids: each costs something there and nothing here.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>

#include "datapath/lib/encap.h"
#include "datapath/lib/hash.h"
#include "bench/balance_lru.h"
#include "bench/balance_vary.h"

char lru_license[] SEC("license") = "GPL";

#define COUNTS 1024u
#define TABLE_COUNTS 512u /* behind those of services */

/* writer of all: bench/balance_lru.c; of flows and counts: the program; they live as long as the bench */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct lru_virtual);
	__type(value, struct lru_service);
} lru_virtuals SEC(".maps");

struct lru_flows {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct lru_flow));
	__uint(value_size, sizeof(struct lru_known));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 128);
	__type(key, __u32);
	__array(values, struct lru_flows);
} lru_flows_of_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LRU_SERVICES * LRU_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} lru_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LRU_SERVICES * LRU_BACKENDS + 1);
	__type(key, __u32);
	__type(value, struct lru_backend);
} lru_backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LRU_SERVICES * LRU_BACKENDS + 1);
	__type(key, __u32);
	__type(value, struct lru_counts);
} lru_backend_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, __u32);
	__type(value, struct lru_counts);
} lru_counts SEC(".maps");

static const volatile __u64 seed[4] = {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
				       0x082efa98ec4e6c89};

static __always_inline void count(void *map, __u32 at, __u32 bytes)
{
	struct lru_counts *c = bpf_map_lookup_elem(map, &at);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

/* The backend by the flow's hash, which is remembered. */
static __always_inline __u32 chosen(const struct lru_flow *f, __u32 service, void *flows)
{
	__u64 hash = hash_fold(hash_word((__u64)f->src[0] << 32 | f->ports, seed));
	__u32 at = service * LRU_SLOTS + (__u32)(hash >> 32) % LRU_SLOTS, *slot;
	struct lru_known known = {0};

	slot = bpf_map_lookup_elem(&lru_slots, &at);
	if (!slot)
		return 0;
	known.backend = *slot;
	bpf_map_update_elem(flows, f, &known, BPF_ANY);
	return known.backend;
}

static __always_inline int sent(struct xdp_md *ctx, __be32 to, __be32 flow, __u32 len)
{
	struct ethhdr *eth;
	struct iphdr *ip;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)))
		return XDP_ABORTED;
	eth = (void *)(long)ctx->data;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memset(eth, 2, 12);
	eth->h_proto = ENCAP_BE16(ETH_P_IP);
	encap_ipv4(ip, len + sizeof(struct iphdr), 0, ENCAP_IPIP, ENCAP_SOURCE4 | (flow & ENCAP_BE32(0xffff)), to);
	return XDP_TX;
}

static __always_inline int balanced(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end, *flows;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 cpu = bpf_get_smp_processor_id(), len, b = 0;
	struct lru_virtual key = {0};
	const struct lru_backend *to;
	struct lru_service *s;
	struct lru_known *known;
	struct lru_flow f = {0};

	if ((void *)(tcp + 1) > end || eth->h_proto != ENCAP_BE16(ETH_P_IP) || ip->ihl != 5 ||
	    ip->frag_off & ENCAP_BE16(0x3fff) || ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	len = ENCAP_BE16(ip->tot_len);
	f.src[0] = ip->saddr;
	f.dst[0] = ip->daddr;
	f.ports = *(__be32 *)tcp;
	f.proto = IPPROTO_TCP;
	key.addr[0] = ip->daddr;
	key.port = tcp->dest;
	key.proto = IPPROTO_TCP;
	s = bpf_map_lookup_elem(&lru_virtuals, &key);
	if (!s)
		return XDP_PASS;
	count(&lru_counts, TABLE_COUNTS, 0);
	flows = bpf_map_lookup_elem(&lru_flows_of_cpu, &cpu);
	if (!flows)
		return XDP_ABORTED;
	if (!tcp->syn) {
		known = bpf_map_lookup_elem(flows, &f);
		b = known ? known->backend : 0;
	}
	if (!b) {
		count(&lru_counts, TABLE_COUNTS + 1, 0);
		b = chosen(&f, s->number, flows);
	}
	to = bpf_map_lookup_elem(&lru_backends, &b);
	if (!to)
		return XDP_DROP;
	count(&lru_counts, s->number, len);
	count(&lru_backend_counts, b, len);
	return sent(ctx, to->addr[0], f.src[0] ^ f.ports, len);
}

SEC("xdp")
int lru(struct xdp_md *ctx)
{
	if (vary(ctx))
		return XDP_ABORTED;
	return forwarded(balanced(ctx)) ? undo(ctx, 20, ENCAP_BE16(ETH_P_IP)) : XDP_DROP;
}
