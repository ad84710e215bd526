// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * 256 lookups a run in maps of each kind, of keys drawn at random from the first `entries` ones; and the same without
 * the lookup. bench/vm_maps.c fills the maps with the same keys.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define N 256

const volatile __u32 entries = 1;
__u64 state = 1;

struct lpm_key {
	__u32 len, addr;
};
struct key16 {
	__u64 a, b;
};

#define MAP(map_name, map_type, key_type, n, flags) \
	struct {                                    \
		__uint(type, map_type);             \
		__type(key, key_type);              \
		__type(value, __u64);               \
		__uint(max_entries, n);             \
		__uint(map_flags, flags);           \
	} map_name SEC(".maps")

/* each: keys from 0; user space writes, programs read; a miss counts nothing */
MAP(array, BPF_MAP_TYPE_ARRAY, __u32, 256, 0);
MAP(cpus, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, 256, 0);
MAP(hash4, BPF_MAP_TYPE_HASH, __u32, 1, 0);
MAP(hash8, BPF_MAP_TYPE_HASH, __u64, 1, 0);
MAP(hash16, BPF_MAP_TYPE_HASH, struct key16, 1, 0);
MAP(lru, BPF_MAP_TYPE_LRU_HASH, __u32, 1, 0);
MAP(lpm, BPF_MAP_TYPE_LPM_TRIE, struct lpm_key, 1, BPF_F_NO_PREALLOC);

#define RUN(name, key_type, key_of, look)                                                   \
	SEC("xdp") int name(struct xdp_md *ctx)                                             \
	{                                                                                   \
		__u64 x = state, sum = 0;                                                   \
		__u32 i, k;                                                                 \
                                                                                            \
		_Pragma("clang loop unroll(disable)") for (i = 0; i < N; i++)               \
		{                                                                           \
			key_type key;                                                       \
                                                                                            \
			x = x * 6364136223846793005ull + 1442695040888963407ull;            \
			k = (__u32)((x >> 32) * entries >> 32);                             \
			key = key_of;                                                       \
			__asm__ volatile("" : : "r"(&key) : "memory");                      \
			look                                                                \
		}                                                                           \
		state = x;                                                                  \
		return (int)sum + (int)ctx->rx_queue_index;                                 \
	}
#define LOOK(map)                                   \
	__u64 *v = bpf_map_lookup_elem(&map, &key); \
	if (v)                                      \
		sum += *v;
#define BARE sum += k;
#define SPREAD(k) ((k)*2654435761u)

RUN(look_array, __u32, k, LOOK(array))
RUN(look_cpus, __u32, k, LOOK(cpus))
RUN(look_hash4, __u32, SPREAD(k), LOOK(hash4))
RUN(look_hash8, __u64, SPREAD(k), LOOK(hash8))
RUN(look_hash16, struct key16, ((struct key16){SPREAD(k), k}), LOOK(hash16))
RUN(look_lru, __u32, SPREAD(k), LOOK(lru))
RUN(look_lpm, struct lpm_key, ((struct lpm_key){32, SPREAD(k)}), LOOK(lpm))
RUN(bare_index, __u32, k, BARE)
RUN(bare4, __u32, SPREAD(k), BARE)
RUN(bare8, struct lpm_key, ((struct lpm_key){32, SPREAD(k)}), BARE)
RUN(bare16, struct key16, ((struct key16){SPREAD(k), k}), BARE)

char _license[] SEC("license") = "Dual BSD/GPL";
