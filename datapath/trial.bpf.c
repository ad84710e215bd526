// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two filters and a deadline: packets take the new one until then, afterwards the one before.
 *
 *     clock < filter_until ? filter_ways[0] : filter_ways[1]; an empty way passes
 *
 * Nobody has to be alive for it. All interfaces share filter_until, so one store changes what all of them do.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* value: nanoseconds of CLOCK_MONOTONIC, 0: not yet, ~0: for good; writer: host */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} filter_until SEC(".maps");

/* key: 0 the new filter, 1 the one before; writer: host; miss: the packet passes */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} filter_ways SEC(".maps");

SEC("xdp.frags")
int trial(struct xdp_md *ctx)
{
	__u32 zero = 0;
	volatile __u64 *until = bpf_map_lookup_elem(&filter_until, &zero);

	if (until)
		bpf_tail_call(ctx, &filter_ways, bpf_ktime_get_coarse_ns() < *until ? 0 : 1);
	return XDP_PASS;
}

char trial_license[] SEC("license") = "GPL";
