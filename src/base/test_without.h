/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests of what happens where a system call is not to be had. */
#ifndef BASE_TEST_WITHOUT_H
#define BASE_TEST_WITHOUT_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

/* test_without(): two system calls (or twice the same) fail with this errno from now on; 0, or it cannot be done. */
static inline int test_without(uint32_t one, uint32_t other, uint32_t error)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, other, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {5, insns};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

#endif
