// SPDX-License-Identifier: GPL-2.0-only
/* A program that passes everything; and four of them in a row by tail call, the way chains are built without joining. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int tail2(struct xdp_md *ctx);
int tail3(struct xdp_md *ctx);
int tail4(struct xdp_md *ctx);

/* key: position; value: program; writer: libbpf at load; reader: tail calls; miss: the packet passes */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, int(void *));
} next SEC(".maps") = {.values = {[1] = (void *)&tail2, [2] = (void *)&tail3, [3] = (void *)&tail4}};

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("xdp")
int tail1(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &next, 1);
	return XDP_PASS;
}

SEC("xdp")
int tail2(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &next, 2);
	return XDP_PASS;
}

SEC("xdp")
int tail3(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &next, 3);
	return XDP_PASS;
}

SEC("xdp")
int tail4(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
