// SPDX-License-Identifier: GPL-2.0-only
/* The smallest live-frames loop there is: every frame redirected as it comes, and dropped by the receiver. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

char floor_license[] SEC("license") = "GPL";

/* key: 0; value: ifindex; writer: the bench; reader: the redirect; lives: as long as the bench */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} floor_port SEC(".maps");

SEC("xdp")
int floor_send(struct xdp_md *ctx)
{
	(void)ctx;
	return bpf_redirect_map(&floor_port, 0, 0);
}

SEC("xdp")
int floor_drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}
