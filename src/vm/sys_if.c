// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The engine's interfaces: names, numbers and what a real one would say about itself. Nothing moves through them here. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "vm/sys.h"

#define LO_MTU 65536
#define MTU 1500

/* What the kernel takes as a name. */
static int check_name(const char *name, struct sluice_err *err)
{
	char shown[4 * sizeof(((struct vm_if *)0)->name) + 1];
	size_t n = strnlen(name, sizeof(((struct vm_if *)0)->name)), i;

	if (!n || n == sizeof(((struct vm_if *)0)->name))
		return err_set(err, -EINVAL, "an interface's name has 1 to 15 characters");
	text_printable(name, shown, sizeof(shown));
	for (i = 0; i < n; i++)
		if (name[i] == '/' || name[i] == ':' || isspace((unsigned char)name[i]))
			break;
	if (i < n || !strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(err, -EINVAL, "'%s' cannot be an interface's name: '/', ':', blanks, '.' and '..' are not allowed",
			       shown);
	return 0;
}

/* The place of the first one whose number is not below ifindex. */
static uint32_t place(const struct vm *vm, uint32_t ifindex)
{
	uint32_t low = 0, high = vm->n_ifs;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (vm->ifs[mid].about.ifindex < ifindex)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct sys_if *sys_if_find(struct vm *vm, uint32_t ifindex)
{
	uint32_t i = place(vm, ifindex);

	return i < vm->n_ifs && vm->ifs[i].about.ifindex == ifindex ? &vm->ifs[i] : NULL;
}

static struct sys_if *find_name(struct vm *vm, const char *name)
{
	uint32_t i;

	for (i = 0; i < vm->n_ifs; i++)
		if (!strcmp(vm->ifs[i].about.name, name))
			return &vm->ifs[i];
	return NULL;
}

static int room(struct vm *vm, struct sluice_err *err)
{
	uint32_t cap = vm->ifs_cap ? 2 * vm->ifs_cap : 8;
	struct sys_if *more;

	if (vm->n_ifs < vm->ifs_cap)
		return 0;
	more = reallocarray(vm->ifs, cap, sizeof(*more));
	if (!more)
		return err_nomem(err);
	vm->ifs = more;
	vm->ifs_cap = cap;
	return 0;
}

static int add(struct vm *vm, struct vm_if about, struct sluice_err *err)
{
	uint32_t at;
	int e;

	if (find_name(vm, about.name))
		return err_set(err, -EEXIST, "the engine has an interface %s already", about.name);
	if (about.ifindex && sys_if_find(vm, about.ifindex))
		return err_set(err, -EEXIST, "the engine's interface %u is %s already", about.ifindex,
			       sys_if_find(vm, about.ifindex)->about.name);
	if (!about.ifindex)
		while (++about.ifindex && sys_if_find(vm, about.ifindex))
			;
	if (about.ifindex > INT_MAX)
		return err_set(err, -EINVAL, "interface number %u is too large: at most %d", about.ifindex, INT_MAX);
	e = room(vm, err);
	if (e)
		return e;
	at = place(vm, about.ifindex);
	memmove(&vm->ifs[at + 1], &vm->ifs[at], (vm->n_ifs - at) * sizeof(*vm->ifs));
	vm->ifs[at] = (struct sys_if){.about = about};
	vm->n_ifs++;
	return 0;
}

int vm_if_add(struct vm *vm, const struct vm_if *spec, struct sluice_err *err)
{
	struct vm_if about = *spec;
	int e = check_name(about.name, err);

	if (e)
		return e;
	if (!about.mtu)
		about.mtu = MTU;
	pthread_mutex_lock(&vm->lock);
	e = add(vm, about, err);
	pthread_mutex_unlock(&vm->lock);
	return e;
}

int sys_if_lo(struct vm *vm, struct sluice_err *err)
{
	const struct vm_if lo = {.ifindex = 1, .name = "lo", .mtu = LO_MTU};

	return vm_if_add(vm, &lo, err);
}

static bool tell(struct vm *vm, const struct sys_if *i, struct vm_if *to)
{
	if (i)
		*to = i->about;
	pthread_mutex_unlock(&vm->lock);
	return i;
}

bool vm_if_by_index(struct vm *vm, uint32_t ifindex, struct vm_if *to)
{
	pthread_mutex_lock(&vm->lock);
	return tell(vm, sys_if_find(vm, ifindex), to);
}

bool vm_if_by_name(struct vm *vm, const char *name, struct vm_if *to)
{
	pthread_mutex_lock(&vm->lock);
	return tell(vm, find_name(vm, name), to);
}

bool vm_if_next(struct vm *vm, uint32_t after, struct vm_if *to)
{
	uint32_t i;

	pthread_mutex_lock(&vm->lock);
	i = after == UINT32_MAX ? vm->n_ifs : place(vm, after + 1);
	return tell(vm, i < vm->n_ifs ? &vm->ifs[i] : NULL, to);
}
