/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets through a program in the kernel: BPF_PROG_TEST_RUN, one at a time. */
#ifndef REPLAY_KERNEL_H
#define REPLAY_KERNEL_H

#include "replay/replay.h"

struct kernel_runner;

/* kernel_runner_new(): ifindex 0: none is said, which is lo to the program. -ENOMEM. */
int kernel_runner_new(int prog_fd, uint32_t ifindex, struct kernel_runner **to, struct sluice_err *err);
void kernel_runner_free(struct kernel_runner *r);

/*
 * kernel_run() runs one packet.
 *
 * out:     *result  data is valid until the next run; *ns what the kernel measured
 * errors:  -EMSGSIZE the kernel does not run packets like this one; any other: it runs none (err)
 */
int kernel_run(struct kernel_runner *r, const void *data, uint32_t len, struct replay_result *result,
	       uint64_t *ns, struct sluice_err *err);

#endif
