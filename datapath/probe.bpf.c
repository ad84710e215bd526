// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that do nothing, for finding out whether this kernel lets them in (src/bpf/probe_trampoline.c).
 * probe_hole is a function of probe_target that probe_ext takes the place of, which is how libxdp chains programs.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline)) int probe_hole(struct xdp_md *ctx)
{
	volatile int verdict = XDP_PASS; /* so that the compiler leaves the call in */

	return ctx ? verdict : XDP_ABORTED;
}

SEC("xdp")
int probe_target(struct xdp_md *ctx)
{
	return probe_hole(ctx);
}

SEC("freplace/probe_hole")
int probe_ext(struct xdp_md *ctx)
{
	return ctx ? XDP_PASS : XDP_ABORTED;
}

/* bpf_fentry_test1 is the kernel's own test function: only BPF_PROG_TEST_RUN of a tracing program calls it. */
SEC("fentry/bpf_fentry_test1")
int probe_fentry(void *ctx)
{
	(void)ctx;
	return 0;
}

char probe_license[] SEC("license") = "GPL";
