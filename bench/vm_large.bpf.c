// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program of the size of a load balancer's, 2,400 instructions and more, with a map, globals and a function. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* key: low bits of a hash; value: packets; the program writes; a miss cannot be */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 256);
} counts SEC(".maps");

const volatile __u32 salt = 7;
__u64 total;

static __attribute__((noinline)) int count(__u32 k)
{
	__u64 *v;

	k &= 255;
	v = bpf_map_lookup_elem(&counts, &k);
	if (v)
		__sync_fetch_and_add(v, 1);
	return (int)k;
}

#define ROUND(i)                                                     \
	h = (h ^ *(const __u32 *)(p + (i) * 4 % 60)) * 0x01000193u;  \
	h += (h >> (i) % 31 & 1) * (salt + (i));                     \
	h ^= h >> (1 + (i) % 15);                                    \
	total += p[(i) % 64] ^ h;

#define ROUNDS8(i) ROUND(i) ROUND(i + 1) ROUND(i + 2) ROUND(i + 3) ROUND(i + 4) ROUND(i + 5) ROUND(i + 6) ROUND(i + 7)
#define ROUNDS64(i)                                                                                           \
	ROUNDS8(i) ROUNDS8(i + 8) ROUNDS8(i + 16) ROUNDS8(i + 24) ROUNDS8(i + 32) ROUNDS8(i + 40) ROUNDS8(i + 48) \
		ROUNDS8(i + 56)

SEC("xdp") int large(struct xdp_md *ctx)
{
	const __u8 *p = (const void *)(long)ctx->data;
	__u32 h = 0x811c9dc5;

	if (p + 64 > (const __u8 *)(long)ctx->data_end)
		return XDP_PASS;
	ROUNDS64(0)
	ROUNDS64(64)
	ROUNDS8(128)
	ROUNDS8(136)
	if (h & 1)
		return XDP_ABORTED;
	return count(h) ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
