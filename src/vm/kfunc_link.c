// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which kernel function a program means. libbpf wrote a number into the call: the function's in the BTF of
 * the kernel that it runs on. The name is looked up in the same file; what the name does is this engine's.
 */
#include <errno.h>
#include <bpf/btf.h>

#include "base/err.h"
#include "vm/helper_fn.h"
#include "vm/kfunc.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

/* A weak declaration that libbpf found nothing for. */
static uint64_t missing(UNUSED uint64_t a1, UNUSED uint64_t a2, UNUSED uint64_t a3, UNUSED uint64_t a4,
			UNUSED uint64_t a5, struct vm_run *run)
{
	vm_run_fail(run, "calls a kernel function that was not there when it was loaded");
	return 0;
}

static const struct vm_helper missing_kfunc = {.name = "missing", .fn = missing};

static struct btf *kernel_btf(struct vm *vm)
{
	struct btf *btf;

	pthread_mutex_lock(&vm->lock);
	if (!vm->kernel_btf)
		vm->kernel_btf = btf__load_vmlinux_btf();
	btf = vm->kernel_btf;
	pthread_mutex_unlock(&vm->lock);
	return btf;
}

static int from_place(struct vm_program *p, int16_t place, struct obj **btf, struct sluice_err *err)
{
	int fd, e;

	if (place < 0 || !p->fds ||
	    user_read(&fd, p->fds + (uint64_t)(uint16_t)place * sizeof(fd), sizeof(fd)))
		return err_set(err, -EFAULT, "fd_array has no place %d", place);
	e = obj_of_fd(p->vm, fd, OBJ_BTF, btf);
	return e ? err_set(err, e, "descriptor %d is no BTF of this engine", fd) : 0;
}

static int by_name(const struct btf *btf, int32_t id, const struct vm_helper **to, struct sluice_err *err)
{
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	const char *name = t && btf_is_func(t) ? btf__name_by_offset(btf, t->name_off) : NULL;

	if (!name)
		return err_set(err, -EINVAL, "BTF id %d is no kernel function's", id);
	*to = kfunc_find(name);
	return *to ? 0 : err_set(err, -EINVAL, "the user-space engine has no kernel function %s", name);
}

int kfunc_link(struct vm_program *p, int32_t id, int16_t place, const struct vm_helper **to,
	       struct sluice_err *err)
{
	struct obj *obj = NULL;
	struct btf *btf;
	int e;

	if (!id && !place) {
		*to = &missing_kfunc;
		return 0;
	}
	if (place) {
		e = from_place(p, place, &obj, err);
		if (e)
			return e;
		e = by_name(((struct vm_btf *)obj)->btf, id, to, err);
		obj_put(obj);
		return e;
	}
	btf = kernel_btf(p->vm);
	if (!btf)
		return err_set(err, -EOPNOTSUPP,
			       "kernel function %d: this machine shows no BTF of its kernel to find its name "
			       "in",
			       id);
	return by_name(btf, id, to, err);
}
