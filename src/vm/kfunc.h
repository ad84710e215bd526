/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel functions (kfuncs): found by name, called as helpers are. */
#ifndef VM_KFUNC_H
#define VM_KFUNC_H

#include "vm/prog.h"

struct vm_program;

/* kfunc_find() finds one by name, "bpf_" included; NULL: unknown here. */
const struct vm_helper *kfunc_find(const char *name);

/*
 * kfunc_link() finds out which function a program means: by its number in the BTF that libbpf looked it up
 * in, which is the running kernel's (btf_index 0), or one of this engine's in the place btf_index of the
 * loader's fd_array.
 *
 * errors:  -EINVAL the engine has no such function (named), or the number is no function's; -EBADF, -EFAULT
 * the place in fd_array; -EOPNOTSUPP this machine shows no BTF of its kernel
 */
int kfunc_link(struct vm_program *prog, int32_t btf_id, int16_t btf_index, const struct vm_helper **to,
	       struct sluice_err *err);

#endif
