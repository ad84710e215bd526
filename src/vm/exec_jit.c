// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where there is no compiler for this machine. */
#if !defined(__x86_64__)
#include <errno.h>

#include "base/err.h"
#include "vm/exec.h"

bool vm_engine_has_jit(void)
{
	return false;
}

int vm_jit_compile(struct vm_prog *prog, const struct vm_prog_spec *spec, struct sluice_err *err)
{
	(void)prog, (void)spec;
	return err_set(err, -EOPNOTSUPP, "there is no compiler for this machine, only the interpreter");
}

void vm_jit_free(struct vm_prog *prog)
{
	(void)prog;
}

uint64_t vm_jit_run(struct vm_run *run, const struct vm_func *func, const uint64_t args[5])
{
	(void)run;
	(void)func;
	(void)args;
	return 0;
}
#endif
