// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two programs and a deadline: packets take the new one until then, afterwards the one before.
 *
 *     clock < filter_until ? filter_ways[0] : filter_ways[1]; an empty way passes
 *
 * Nobody has to be alive for it. All interfaces share filter_until, so one store changes what all of them do. Where an
 * interface has several detours the first one looks at the clock, and the others follow it: no packet meets the filter
 * of one policy and the balancer of another.
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

/* key: 0 the new program, 1 the one before; writer: host; miss: the packet passes */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} filter_ways SEC(".maps");

/* value: the way of the packet that this CPU is at; writer: the first detour of an interface; reader: the others */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} filter_chosen SEC(".maps");

const volatile __u32 follows = 0;

SEC("xdp.frags")
int trial(struct xdp_md *ctx)
{
	__u32 zero = 0;
	volatile __u64 *until = bpf_map_lookup_elem(&filter_until, &zero);
	__u32 *way = bpf_map_lookup_elem(&filter_chosen, &zero);

	if (!until || !way)
		return XDP_PASS;
	if (!follows)
		*way = bpf_ktime_get_coarse_ns() >= *until;
	bpf_tail_call(ctx, &filter_ways, *way);
	return XDP_PASS;
}

char trial_license[] SEC("license") = "GPL";
