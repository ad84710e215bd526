// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks through the tunnel: what this host asks a backend is asked the way a client's packets take.
 *
 *     socket ── to backend, marked ──> inner_out ── to the virtual address, in a tunnel to the backend ──> backend
 *     socket <── from backend ── inner_in <────────── from the virtual address, without a tunnel ────────────┘
 *
 * The host's own routing finds interface and neighbour, since outside the packet goes to the backend's address as before.
 * Outer headers are those of the balancer's packets (lib/encap.h), the outer source is one of its range. TCP and ICMP
 * echo; what is not marked is left alone, and what is marked never leaves without a tunnel. What is in its tunnel has no mark
 * any more: an interface upon another (VLAN, bond, bridge) hands it down to that one's programs. Answers come up from the lower
 * one first, are the backend's from there on, and nothing to the upper one's program. They are known by both ends and
 * the port, for as long as the check waits for one. Errors by ICMP about a packet in a tunnel find no way back: the check
 * has no answer then.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "abi/inner.h"
#include "datapath/lib/encap.h"

#define NEXT TC_ACT_UNSPEC /* the next program, or the stack */
#define L3 ((__u32)sizeof(struct ethhdr))

/* key: mark; writer: host; reader: inner_out; miss: not a check */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, INNER_WAYS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct inner_way);
} inner_ways SEC(".maps");

/* writer: inner_out; reader: inner_in; full: one that was not used for long goes */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, INNER_PEERS);
	__type(key, struct inner_key);
	__type(value, struct inner_peer);
} inner_peers SEC(".maps");

/* What is looked at of a packet, and where its addresses and checksum are. */
struct seen {
	__be32 src[4], dst[4];
	__u32 l4, check; /* offsets; check 0: the checksum is not of addresses */
	__be16 sport, dport;
	__u8 proto, v6, tos;
};

/* echo, echo6: the ICMP type */
static __always_inline int see(struct __sk_buff *skb, struct seen *s, __u8 echo, __u8 echo6)
{
	void *data, *end;
	struct ipv6hdr *ip6;
	struct iphdr *ip;
	__u8 *l4;

	if (skb->protocol != ENCAP_BE16(ETH_P_IP) && skb->protocol != ENCAP_BE16(ETH_P_IPV6))
		return -1;
	s->v6 = skb->protocol == ENCAP_BE16(ETH_P_IPV6);
	s->l4 = L3 + (s->v6 ? sizeof(*ip6) : sizeof(*ip));
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + s->l4 + 8 > end) { /* no more is read; most packets have it in line */
		if (bpf_skb_pull_data(skb, s->l4 + 8))
			return -1;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	}
	if (s->v6) {
		ip6 = data + L3;
		l4 = (void *)(ip6 + 1);
		if ((void *)(l4 + 8) > end)
			return -1;
		s->proto = ip6->nexthdr;
		s->tos = (__u8)(ip6->priority << 4 | ip6->flow_lbl[0] >> 4);
		__builtin_memcpy(s->src, &ip6->saddr, 16);
		__builtin_memcpy(s->dst, &ip6->daddr, 16);
	} else {
		ip = data + L3;
		l4 = (void *)(ip + 1);
		if ((void *)(l4 + 8) > end || ip->ihl != 5 || ip->frag_off & ENCAP_BE16(0x3fff))
			return -1;
		s->proto = ip->protocol;
		s->tos = ip->tos;
		__builtin_memset(s->src, 0, 16);
		__builtin_memset(s->dst, 0, 16);
		s->src[0] = ip->saddr;
		s->dst[0] = ip->daddr;
	}
	if (s->proto == IPPROTO_TCP) {
		s->sport = *(__be16 *)l4;
		s->dport = *(__be16 *)(l4 + 2);
		s->check = s->l4 + 16;
		return 0;
	}
	if (s->proto != (s->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || l4[0] != (s->v6 ? echo6 : echo))
		return -1;
	s->sport = s->dport = *(__be16 *)(l4 + 4);
	s->check = s->v6 ? s->l4 + 2 : 0;
	return 0;
}

/* Another address in a packet, and in its checksums. incoming: the kernel may have the sum of the whole packet */
static __always_inline int readdress(struct __sk_buff *skb, const struct seen *s, __u32 at, const __be32 *old,
				     const __be32 *new, int incoming)
{
	__s64 diff;

	if (s->v6) {
		diff = bpf_csum_diff((__be32 *)old, 16, (__be32 *)new, 16, 0);
		if (diff < 0 || bpf_l4_csum_replace(skb, s->check, 0, (__u64)diff, BPF_F_PSEUDO_HDR))
			return -1;
		/* IPv6 has no sum of its own that would make up for it (the kernel takes it that it had) */
		if (incoming)
			bpf_csum_update(skb, (__wsum)diff);
		return (int)bpf_skb_store_bytes(skb, at, new, 16, 0);
	}
	if (s->check && bpf_l4_csum_replace(skb, s->check, old[0], new[0], BPF_F_PSEUDO_HDR | 4))
		return -1;
	if (bpf_l3_csum_replace(skb, L3 + (__u32)__builtin_offsetof(struct iphdr, check), old[0], new[0], 4))
		return -1;
	return (int)bpf_skb_store_bytes(skb, at, new, 4, 0);
}

static __always_inline int encap4(struct __sk_buff *skb, const struct seen *s, __be16 gue, __u32 hash)
{
	__u32 len = skb->len - L3, room = sizeof(struct iphdr) + (gue ? sizeof(struct encap_udp) : 0);
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | (gue ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0);
	struct {
		struct iphdr ip;
		struct encap_udp udp;
	} h;

	encap_ipv4(&h.ip, len + room, s->tos, gue ? ENCAP_UDP : ENCAP_IPIP, ENCAP_SOURCE4 | (hash & ENCAP_BE32(0xffff)),
		   s->dst[0]);
	encap_gue(&h.udp, len, hash, gue);
	if (bpf_skb_adjust_room(skb, (__s32)room, BPF_ADJ_ROOM_MAC, flags))
		return -1;
	return (int)(gue ? bpf_skb_store_bytes(skb, L3, &h, sizeof(h), 0)
			 : bpf_skb_store_bytes(skb, L3, &h, sizeof(h.ip), 0));
}

static __always_inline int encap6(struct __sk_buff *skb, const struct seen *s, __be16 gue, __u32 hash)
{
	__u32 len = skb->len - L3, udp = gue ? sizeof(struct encap_udp) : 0;
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | (gue ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0);
	__be32 src[4] = {ENCAP_SOURCE6, 0, hash, 0};
	__u64 from[2], to[2];
	struct {
		struct ipv6hdr ip;
		struct encap_udp udp;
	} h;

	__builtin_memcpy(from, src, 16);
	__builtin_memcpy(to, s->dst, 16);
	encap_ipv6(&h.ip, len + udp, s->tos, hash, gue ? ENCAP_UDP : ENCAP_IPV6, from, to);
	encap_gue(&h.udp, len, hash, gue);
	if (bpf_skb_adjust_room(skb, (__s32)(sizeof(struct ipv6hdr) + udp), BPF_ADJ_ROOM_MAC, flags))
		return -1;
	return (int)(gue ? bpf_skb_store_bytes(skb, L3, &h, sizeof(h), 0)
			 : bpf_skb_store_bytes(skb, L3, &h, sizeof(h.ip), 0));
}

SEC("tc")
int inner_out(struct __sk_buff *skb)
{
	__u32 mark = skb->mark, hash;
	struct inner_peer peer;
	struct inner_key key;
	struct inner_way *way = mark ? bpf_map_lookup_elem(&inner_ways, &mark) : 0;
	struct seen s;

	if (!way)
		return NEXT;
	if (see(skb, &s, 8, 128))
		return TC_ACT_SHOT;
	key = (struct inner_key){.port = s.sport, .proto = s.proto, .v6 = s.v6};
	__builtin_memcpy(key.virtual, way->virtual, 16);
	__builtin_memcpy(key.local, s.src, 16);
	peer.until_ns = bpf_ktime_get_coarse_ns() + way->life_ns;
	__builtin_memcpy(peer.backend, s.dst, 16);
	if (bpf_map_update_elem(&inner_peers, &key, &peer, BPF_ANY))
		return TC_ACT_SHOT;
	hash = bpf_get_hash_recalc(skb);
	if (readdress(skb, &s, s.v6 ? L3 + 24 : L3 + 16, s.dst, key.virtual, 0) ||
	    (s.v6 ? encap6(skb, &s, way->gue_port, hash) : encap4(skb, &s, way->gue_port, hash)))
		return TC_ACT_SHOT;
	skb->mark = 0; /* the socket keeps its own for what it sends again */
	return NEXT;
}

SEC("tc")
int inner_in(struct __sk_buff *skb)
{
	struct inner_key key;
	struct inner_peer *peer, to;
	struct seen s;

	if (see(skb, &s, 0, 129))
		return NEXT;
	key = (struct inner_key){.port = s.dport, .proto = s.proto, .v6 = s.v6};
	__builtin_memcpy(key.virtual, s.src, 16);
	__builtin_memcpy(key.local, s.dst, 16);
	peer = bpf_map_lookup_elem(&inner_peers, &key);
	if (!peer || peer->until_ns < bpf_ktime_get_coarse_ns())
		return NEXT;
	to = *peer;
	return readdress(skb, &s, s.v6 ? L3 + 8 : L3 + 12, s.src, to.backend, 1) ? TC_ACT_SHOT : NEXT;
}

char inner_license[] SEC("license") = "GPL";
