// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The computations of bench/vm_kernels.h as XDP programs. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define UNROLL_NOT _Pragma("clang loop unroll(disable) vectorize(disable)")
#define KERNEL(name)                   \
	int name(struct xdp_md *ctx);  \
	SEC("xdp") int name(struct xdp_md *ctx)
#include "vm_kernels.h"

char _license[] SEC("license") = "Dual BSD/GPL";
