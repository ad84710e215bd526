// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lookups in a set as programs: what to look for stands in the packet, the verdict is the answer. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/set.h"

/* The size is set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, 4);
	__uint(value_size, 4096);
	__uint(max_entries, 1);
} set_memory SEC(".maps");
const volatile __u64 set_limit SEC(".rodata.limit") = 4096 - SET_LINE;

struct asked {
	__u64 hi, lo; /* host order */
	__u32 now;
};

static __always_inline struct asked *asked(struct xdp_md *ctx)
{
	struct asked *a = (void *)(long)ctx->data + 16;

	return (void *)(a + 1) > (void *)(long)ctx->data_end ? 0 : a;
}

#define PROGRAM(name, answer)                                        \
	SEC("xdp") int name(struct xdp_md *ctx)                      \
	{                                                            \
		struct asked *a = asked(ctx);                        \
		__u32 zero = 0;                                      \
		void *mem = bpf_map_lookup_elem(&set_memory, &zero); \
                                                                     \
		if (!a || !mem)                                      \
			return XDP_ABORTED;                          \
		return (answer) ? XDP_DROP : XDP_PASS;               \
	}

PROGRAM(has4, set_has4(mem, set_limit, 0, (__u32)a->lo))
PROGRAM(has6, set_has6(mem, set_limit, 0, a->hi, a->lo))
PROGRAM(hit4, set_hit4(mem, set_limit, 0, (__u32)a->lo, 60, a->now))
PROGRAM(hit6, set_hit6(mem, set_limit, 0, a->hi, a->lo, 60, a->now))

char _license[] SEC("license") = "Dual BSD/GPL";
