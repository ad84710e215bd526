// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Helpers called with arguments that come in the packet, behind its Ethernet header; what they answer goes into
 * `said`. Loaded into the kernel and into the user-space engine, where both must say the same.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct ask {
	__u16 op;
	__u16 len;
	__s32 a, b;
};

__s64 said[8];
__u8 bytes[256];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 8);
	__uint(value_size, 4);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} devs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} progs SEC(".maps");

struct sums {
	__u64 keys, values;
};

static long add_up(__attribute__((unused)) void *map, const __u32 *key, const __u64 *value, struct sums *s)
{
	s->keys += *key;
	s->values += *value;
	return 0;
}

static long step(__u32 i, struct sums *s)
{
	s->keys += i;
	return s->keys > 1000;
}

static int edges(struct xdp_md *ctx, const struct ask *q)
{
	switch (q->op) {
	case 0:
		said[0] = bpf_xdp_adjust_head(ctx, q->a);
		break;
	case 1:
		said[0] = bpf_xdp_adjust_tail(ctx, q->a);
		break;
	case 2:
		said[0] = bpf_xdp_adjust_meta(ctx, q->a);
		break;
	case 3:
		said[0] = bpf_xdp_adjust_meta(ctx, q->b);
		said[1] = bpf_xdp_adjust_head(ctx, q->a);
		break;
	}
	said[2] = bpf_xdp_get_buff_len(ctx);
	said[3] = ctx->data_end - ctx->data;
	said[4] = ctx->data - ctx->data_meta;
	return XDP_PASS;
}

static int content(struct xdp_md *ctx, const struct ask *q)
{
	__u32 n = q->len & 127, m = (__u32)q->b & 127;

	switch (q->op) {
	case 4:
		if (n)
			said[0] = bpf_xdp_load_bytes(ctx, q->a, bytes, n);
		break;
	case 5:
		if (n)
			said[0] = bpf_xdp_store_bytes(ctx, q->a, bytes, n);
		break;
	case 6:
		said[0] = bpf_csum_diff((__be32 *)bytes, n, (__be32 *)(bytes + 128), m, q->a);
		break;
	}
	return XDP_TX;
}

static int maps(const struct ask *q)
{
	struct sums s = {};
	__u32 key = q->a & 31, v32 = q->b, prefix[2] = {key, q->b};
	__u64 value = q->b, *p;

	switch (q->op) {
	case 7:
		said[0] = bpf_map_update_elem(&hash, &key, &value, q->len & 3);
		break;
	case 8:
		said[0] = bpf_map_delete_elem(&hash, &key);
		break;
	case 9:
		p = bpf_map_lookup_elem(&hash, &key);
		said[0] = p ? ++*p : -1;
		break;
	case 10:
		p = bpf_map_lookup_elem(&counts, &key);
		said[0] = p ? ++*p : -1;
		break;
	case 11:
		said[0] = bpf_map_push_elem(&queue, &v32, q->len & 3);
		break;
	case 12:
		said[0] = bpf_map_pop_elem(&queue, &v32);
		said[1] = v32;
		break;
	case 13:
		said[0] = bpf_for_each_map_elem(&hash, add_up, &s, 0);
		said[1] = s.keys;
		said[2] = s.values;
		break;
	case 14:
		said[0] = bpf_map_update_elem(&prefixes, prefix, &v32, q->len & 3);
		break;
	case 15:
		prefix[0] = 32;
		said[0] = bpf_map_lookup_elem(&prefixes, prefix) != 0;
		break;
	}
	return XDP_DROP;
}

static int others(struct xdp_md *ctx, const struct ask *q)
{
	struct sums s = {};
	__u32 *record;

	switch (q->op) {
	case 16:
		return bpf_redirect(q->a & 1, q->b & 3);
	case 17:
		return bpf_redirect_map(&devs, q->a & 7, q->b & 31);
	case 18:
		said[0] = bpf_loop(q->a & 127, step, &s, 0);
		said[1] = s.keys;
		break;
	case 19:
		said[0] = bpf_ringbuf_output(&ring, bytes, (q->len & 127) + 1, 0);
		break;
	case 20:
		record = bpf_ringbuf_reserve(&ring, 24, 0);
		said[0] = record != 0;
		if (record) {
			*record = q->a;
			if (q->b & 1)
				bpf_ringbuf_submit(record, 0);
			else
				bpf_ringbuf_discard(record, 0);
		}
		break;
	case 21:
		said[0] = bpf_ringbuf_query(&ring, q->a & 7);
		break;
	case 22:
		bpf_tail_call(ctx, &progs, q->a & 3);
		said[0] = 5;
		break;
	}
	return XDP_ABORTED;
}

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	struct ask *p = (void *)(long)ctx->data + 14, q;

	__builtin_memset(said, 0, sizeof(said));
	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	q = *p;
	said[7] = q.op;
	if (q.op < 4)
		return edges(ctx, &q);
	if (q.op < 7)
		return content(ctx, &q);
	return q.op < 16 ? maps(&q) : others(ctx, &q);
}

SEC("xdp")
int end(__attribute__((unused)) struct xdp_md *ctx)
{
	said[6] = 66;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
