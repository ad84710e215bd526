// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Waiting for programs that run. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <linux/membarrier.h>

#include "base/err.h"
#include "base/grace.h"

/*
 * Changing a map of maps returns only when no program can hold the old inner map any more, and so any other program
 * that ran has ended, too.
 */
static int wait_by_map(struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "grace_in", 4, 4, 1, NULL), outer = -1, e = 0;
	uint32_t zero = 0;

	opts.inner_map_fd = (uint32_t)inner;
	if (inner >= 0)
		outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "grace_out", 4, 4, 1, &opts);
	if (outer < 0)
		e = err_set(err, inner < 0 ? inner : outer,
			    "creating a map to wait for running programs with: %s",
			    strerror(inner < 0 ? -inner : -outer));
	else if (bpf_map_update_elem(outer, &zero, &inner, BPF_ANY))
		e = err_set(err, -errno, "waiting for running programs: %s", strerror(errno));
	if (outer >= 0)
		close(outer);
	if (inner >= 0)
		close(inner);
	return e;
}

int grace_wait(struct sluice_err *err)
{
	/* -EINVAL with nohz_full CPUs, -ENOSYS without CONFIG_MEMBARRIER, -EPERM under some seccomp filters */
	if (!syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return 0;
	return wait_by_map(err);
}
