// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets through a program in the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "replay/kernel.h"

#define GROWN_BYTES (REPLAY_LONGEST + 4096) /* a packet that a program made longer */

struct kernel_runner {
	int prog_fd;
	uint32_t ifindex;
	bool ran; /* it works: from now on an error is the packet's */
	uint8_t out[GROWN_BYTES];
};

int kernel_runner_new(int prog_fd, uint32_t ifindex, struct kernel_runner **to, struct sluice_err *err)
{
	*to = calloc(1, sizeof(**to));
	if (!*to)
		return err_nomem(err);
	(*to)->prog_fd = prog_fd;
	(*to)->ifindex = ifindex;
	return 0;
}

void kernel_runner_free(struct kernel_runner *r)
{
	free(r);
}

/* Is it the packet, or would no packet be run? */
static int judge(struct kernel_runner *r, int e, struct sluice_err *err)
{
	static const uint8_t plain[64];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = plain, .data_size_in = sizeof(plain));

	if (e == -EPERM)
		return privilege_missing("running a program in the kernel", err);
	if (r->ran || !bpf_prog_test_run_opts(r->prog_fd, &o))
		return -EMSGSIZE;
	return err_set(err, e, "the kernel does not run this program on packets (BPF_PROG_TEST_RUN): %s",
		       strerror(-e));
}

int kernel_run(struct kernel_runner *r, const void *data, uint32_t len, struct replay_result *result,
	       uint64_t *ns, struct sluice_err *err)
{
	struct xdp_md ctx = {.data_end = len, .ingress_ifindex = r->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = len, .data_out = r->out,
		    .data_size_out = sizeof(r->out));
	struct xdp_md ctx_out = {0};
	uint32_t meta;

	/* without it, and with room for one to come out, kernels put the whole packet into fragments */
	o.ctx_in = &ctx;
	o.ctx_size_in = sizeof(ctx);
	o.ctx_out = &ctx_out; /* tells where the metadata that the program added ends */
	o.ctx_size_out = sizeof(ctx_out);
	if (bpf_prog_test_run_opts(r->prog_fd, &o))
		return judge(r, -errno, err);
	r->ran = true;
	meta = ctx_out.data < o.data_size_out ? ctx_out.data : 0;
	*result = (struct replay_result){.verdict = o.retval,
					 .data = r->out + meta,
					 .len = o.data_size_out - meta,
					 .meta_len = meta};
	*ns = o.duration;
	return 0;
}
