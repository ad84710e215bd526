// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes packets: run by BPF_PROG_TEST_RUN on live frames, it writes each one and sends it out of an interface.
 *
 *     template -> varying fields -> checksums -> devmap slot 0
 *     or: next frame of a capture -> devmap slot 0
 *
 * The kernel recycles the pages without resetting them, and whoever received a page may have changed it. So nothing
 * here reads the packet: the head of the frame is written whole, and checksums come from the template's constant
 * sums plus what varies. Constants in traffic_conf are known to the verifier, which drops the branches not taken;
 * a call costs 8 to 10 ns, hence the random numbers made here and the one redirect.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/traffic.h"

char traffic_license[] SEC("license") = "GPL";

const volatile struct traffic_conf traffic_conf;
struct traffic_state traffic_state;

/*
 * key: 0, value: ifindex the packets leave through; writer: host, before the first run; reader: redirect;
 * miss: the interface is gone, counted as refused; lives: as long as the generator
 */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} traffic_port SEC(".maps");

/*
 * key: number of a frame; value: where it is in the arena; writer: host, before the first run; reader: replay();
 * miss: cannot be, draws are below the number of frames; full: the host refuses the capture; lives: as above
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct traffic_frame);
} traffic_index SEC(".maps");

/*
 * key: 0; value: the frames' bytes, one after the other, as large as the capture needs (the host sets the size);
 * writer: host, before the first run; reader: replay(); miss: cannot be; lives: as above
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 4096);
} traffic_arena SEC(".maps");

/* splitmix64's finish: any packet number and seed to 64 even bits, without state */
static __always_inline __u64 mix(__u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* 64 random bits of a packet, for one seed; a draw of up to 2^32 values takes half of them. */
static __always_inline __u64 bits_of(__u64 seed, __u64 number)
{
	return mix(seed + number * 0x9e3779b97f4a7c15ULL);
}

static __always_inline __u64 draw(const struct traffic_field *f, __u64 *next, __u64 number, __u64 half)
{
	__u64 n = f->n, d;

	if (f->draw == TRAFFIC_SEQ) {
		d = *next;
		*next = d + 1 == n ? 0 : d + 1;
		return d;
	}
	if (f->draw == TRAFFIC_SCALE)
		return half * n >> 32;
	d = bits_of(f->seed, number);
	return n ? d % n : d;
}

/* The bits that two fields share, made only if one of them wants its half. */
static __always_inline __u64 shared_bits(const struct traffic_field *a, const struct traffic_field *b,
					 __u64 number)
{
	return a->draw == TRAFFIC_SCALE || b->draw == TRAFFIC_SCALE ? bits_of(a->seed, number) : 0;
}

/* One's complement sum of any width to the 16 bits that go into a header. */
static __always_inline __u16 finish(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Returns what the address adds to the checksums. */
static __always_inline __u64 put_addr(void *data, __u32 ipv6, const struct traffic_field *f, __u64 *next,
				      __u64 number, __u64 half)
{
	__u64 d, hi, lo, be;
	__u32 v4;

	if (f->draw == TRAFFIC_FIXED)
		return 0;
	d = draw(f, next, number, half);
	lo = f->base_lo + d;
	if (!ipv6) {
		v4 = bpf_htonl((__u32)lo);
		*(__u32 *)(data + f->offset) = v4;
		return v4;
	}
	hi = f->base_hi + (lo < d);
	if (f->random_hi)
		hi |= mix(d + f->seed) & f->random_hi;
	be = bpf_cpu_to_be64(hi);
	*(__u64 *)(data + f->offset) = be;
	lo = bpf_cpu_to_be64(lo);
	*(__u64 *)(data + f->offset + 8) = lo;
	return (be & 0xffffffff) + (be >> 32) + (lo & 0xffffffff) + (lo >> 32);
}

static __always_inline __u64 put_port(void *data, const struct traffic_field *f, __u64 *next, __u64 number,
				      __u64 half)
{
	__u16 v;

	if (f->draw == TRAFFIC_FIXED)
		return 0;
	v = bpf_htons((__u16)(f->base_lo + draw(f, next, number, half)));
	*(__u16 *)(data + f->offset) = v;
	return v;
}

static __always_inline int send(void)
{
	int verdict = bpf_redirect_map(&traffic_port, 0, XDP_DROP);

	if (verdict == XDP_REDIRECT) {
		traffic_state.sent++;
	} else {
		traffic_state.refused++;
	}
	return verdict;
}

static __always_inline int build(const struct traffic_conf *conf, void *data, void *data_end)
{
	__u64 number = traffic_state.sent, bits, addrs, ports;
	__u32 head_len = conf->head_len, i;
	__u16 csum;

	if (data + head_len > data_end) {
		traffic_state.refused++;
		return XDP_DROP;
	}
#pragma clang loop unroll(full)
	for (i = 0; i < TRAFFIC_WORDS; i++)
		if (i < conf->n_words)
			*(__u64 *)(data + 8 * i) = conf->words[i];
	if (head_len & 7) /* the template's last word ends with the head and overlaps the one before */
		*(__u64 *)(data + head_len - 8) = conf->tail;
	bits = shared_bits(&conf->src, &conf->dst, number);
	addrs = put_addr(data, conf->ipv6, &conf->src, &traffic_state.next[0], number, bits >> 32);
	addrs += put_addr(data, conf->ipv6, &conf->dst, &traffic_state.next[1], number, bits & 0xffffffff);
	bits = shared_bits(&conf->port[0], &conf->port[1], number);
	ports = put_port(data, &conf->port[0], &traffic_state.next[2], number, bits >> 32);
	ports += put_port(data, &conf->port[1], &traffic_state.next[3], number, bits & 0xffffffff);
	if (conf->ip_csum_at)
		*(__u16 *)(data + conf->ip_csum_at) = finish(conf->ip_csum + addrs);
	if (conf->l4_csum_at) {
		csum = finish(conf->l4_csum + (conf->l4_pseudo ? addrs : 0) + ports);
		*(__u16 *)(data + conf->l4_csum_at) = !csum && conf->udp ? 0xffff : csum;
	}
	return send();
}

/*
 * Frames are as long as the longest of the capture when they come here, so that shortening is all there is: growing
 * would have the kernel zero what it adds.
 */
static __always_inline int replay(const struct traffic_conf *conf, struct xdp_md *ctx)
{
	const struct traffic_field *order = &conf->order;
	__u64 number = traffic_state.sent;
	__u32 key = draw(order, &traffic_state.next[3], number, shared_bits(order, order, number) >> 32),
	      zero = 0;
	struct traffic_frame *frame = bpf_map_lookup_elem(&traffic_index, &key);
	void *arena = bpf_map_lookup_elem(&traffic_arena, &zero);
	__u32 at, len;
	int verdict;

	if (!frame || !arena)
		goto refuse;
	at = frame->at;
	len = frame->len;
	if (at > conf->arena_last || len < 14 || len > TRAFFIC_FRAME_MAX)
		goto refuse;
	if (!conf->same_len && len != conf->frame_len &&
	    bpf_xdp_adjust_tail(ctx, (int)(len - conf->frame_len)))
		goto refuse;
	if (bpf_xdp_store_bytes(ctx, 0, arena + at, len))
		goto refuse;
	verdict = send();
	if (verdict == XDP_REDIRECT)
		traffic_state.bytes += len;
	return verdict;
refuse:
	traffic_state.refused++;
	return XDP_DROP;
}

SEC("xdp")
int sluice_traffic(struct xdp_md *ctx)
{
	const struct traffic_conf *conf = (const struct traffic_conf *)&traffic_conf;

	/* not volatile, so that a constant is loaded once; hidden, so that it is not taken for the zero it is here */
	barrier_var(conf);
	if (conf->replay)
		return replay(conf, ctx);
	return build(conf, (void *)(long)ctx->data, (void *)(long)ctx->data_end);
}
