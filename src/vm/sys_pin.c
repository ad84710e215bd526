// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Pins: a tree of names below /sys/fs/bpf that lasts as long as the engine. Nothing of it is in a file system. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "vm/sys.h"
#include "vm/user.h"

#define ROOT VM_PIN_ROOT
#define MOST_NODES 65536

/* One level up from the end of to. */
static size_t parent_len(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return len ? len - 1 : 0;
}

static struct vm_pin **find(struct vm *vm, const char *path, size_t len)
{
	struct vm_pin **at = &vm->pin;

	while (*at && (strncmp((*at)->path, path, len) != 0 || (*at)->path[len]))
		at = &(*at)->next;
	return at;
}

/* May something be made there? A name of its own in a directory that is there. */
static int check_place(struct vm *vm, const char *path)
{
	size_t len = strlen(path), up = parent_len(path, len);
	struct vm_pin *dir;

	if (!path_below(path, ROOT))
		return -EPERM;
	if (len - up - 1 > NAME_MAX)
		return -ENAMETOOLONG;
	if (len == strlen(ROOT) || *find(vm, path, len))
		return -EEXIST;
	if (up == strlen(ROOT))
		return 0;
	dir = *find(vm, path, up);
	return !dir ? -ENOENT : dir->obj ? -ENOTDIR : 0;
}

static int add(struct vm *vm, const char *path, struct obj *obj)
{
	size_t len = strlen(path);
	struct vm_pin *pin = calloc(1, sizeof(*pin) + len + 1), **at;
	int e = pin ? 0 : -ENOMEM;

	if (e)
		return e;
	memcpy(pin->path, path, len + 1);
	pin->obj = obj;
	pthread_mutex_lock(&vm->lock);
	e = check_place(vm, path);
	if (!e && vm->n_pins == MOST_NODES)
		e = -ENOSPC;
	if (!e) {
		at = find(vm, path, len);
		pin->ino = ++vm->pin_ino;
		*at = pin;
		vm->n_pins++;
		if (obj)
			obj->pins++; /* which keeps the reference */
	}
	pthread_mutex_unlock(&vm->lock);
	if (e)
		free(pin);
	return e;
}

static int path_of(const union bpf_attr *attr, char clean[PATH_MAX])
{
	char path[PATH_MAX];
	int e = user_string(path, attr->pathname, sizeof(path));

	return e ? e : path_clean(clean, path);
}

long sys_pin(struct vm *vm, union bpf_attr *attr)
{
	char path[PATH_MAX];
	struct obj *obj;
	int e;

	if (attr->file_flags)
		return -EINVAL;
	e = obj_any_of_fd(vm, (int)attr->bpf_fd, &obj);
	if (e)
		return e;
	if (obj->kind == OBJ_BTF || obj->kind == OBJ_STATS || obj->kind == OBJ_PERF)
		e = -EINVAL;
	if (!e)
		e = path_of(attr, path);
	if (!e && strchr(strrchr(path, '/'), '.'))
		e = -EPERM; /* the kernel keeps names with dots for itself */
	if (!e)
		e = add(vm, path, obj);
	if (e)
		obj_put(obj);
	return e;
}

static int open_pin(const struct vm_pin *pin, uint32_t flags)
{
	int mode = flags & BPF_F_RDONLY ? O_RDONLY : flags & BPF_F_WRONLY ? O_WRONLY : O_RDWR;

	if (!pin)
		return -ENOENT;
	if (!pin->obj)
		return -EACCES; /* a directory */
	if (flags && pin->obj->kind == OBJ_LINK)
		return -EINVAL;
	if (flags && pin->obj->kind == OBJ_MAP)
		((struct map *)pin->obj)->limited = true;
	return obj_open(pin->obj, mode);
}

long sys_pinned(struct vm *vm, union bpf_attr *attr)
{
	uint32_t flags = attr->file_flags;
	char path[PATH_MAX];
	int fd, e;

	if (attr->bpf_fd || flags & ~(uint32_t)(BPF_F_RDONLY | BPF_F_WRONLY) || flags == (BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	e = path_of(attr, path);
	if (e)
		return e;
	if (!strcmp(path, ROOT))
		return -EACCES;
	pthread_mutex_lock(&vm->lock);
	fd = open_pin(*find(vm, path, strlen(path)), flags);
	pthread_mutex_unlock(&vm->lock);
	return fd;
}

int vm_pin_mkdir(struct vm *vm, const char *path)
{
	return add(vm, path, NULL);
}

/* Is anything in that directory? */
static bool has_children(const struct vm *vm, const char *path)
{
	size_t len = strlen(path);
	const struct vm_pin *p;

	for (p = vm->pin; p; p = p->next)
		if (!strncmp(p->path, path, len) && p->path[len] == '/')
			return true;
	return false;
}

static int take_away(struct vm *vm, const char *path, bool dir)
{
	struct vm_pin *pin, **at;
	int e = 0;

	pthread_mutex_lock(&vm->lock);
	at = find(vm, path, strlen(path));
	pin = *at;
	if (!pin)
		e = !strcmp(path, ROOT) ? dir ? -EBUSY : -EISDIR : -ENOENT;
	else if (dir && pin->obj)
		e = -ENOTDIR;
	else if (!dir && !pin->obj)
		e = -EISDIR;
	else if (dir && has_children(vm, path))
		e = -ENOTEMPTY;
	if (!e) {
		*at = pin->next;
		vm->n_pins--;
		if (pin->obj)
			pin->obj->pins--;
	}
	pthread_mutex_unlock(&vm->lock);
	if (e)
		return e;
	obj_put(pin->obj);
	free(pin);
	return 0;
}

int vm_pin_rmdir(struct vm *vm, const char *path)
{
	return take_away(vm, path, true);
}

int vm_unpin(struct vm *vm, const char *path)
{
	return take_away(vm, path, false);
}

static void describe(const struct vm_pin *p, struct vm_pin_about *about)
{
	*about = (struct vm_pin_about){.is_dir = !p->obj, .ino = p->ino};
}

int vm_pin_about(struct vm *vm, const char *path, struct vm_pin_about *about)
{
	const struct vm_pin *p;
	int e = 0;

	*about = (struct vm_pin_about){.is_dir = true, .ino = 1};
	if (!strcmp(path, ROOT))
		return 0;
	pthread_mutex_lock(&vm->lock);
	p = *find(vm, path, strlen(path));
	if (p)
		describe(p, about);
	else
		e = -ENOENT;
	pthread_mutex_unlock(&vm->lock);
	return e;
}

int vm_pin_child(struct vm *vm, const char *dir, uint32_t i, char name[NAME_MAX + 1], struct vm_pin_about *about)
{
	size_t len = strlen(dir);
	const struct vm_pin *p;
	int e = -ENOENT;

	pthread_mutex_lock(&vm->lock);
	for (p = vm->pin; p; p = p->next) {
		if (strncmp(p->path, dir, len) != 0 || p->path[len] != '/' || strchr(p->path + len + 1, '/') || i--)
			continue;
		memcpy(name, p->path + len + 1, strlen(p->path + len + 1) + 1);
		describe(p, about);
		e = 0;
		break;
	}
	pthread_mutex_unlock(&vm->lock);
	return e;
}

void sys_unpin_all(struct vm *vm)
{
	struct vm_pin *pin;

	while ((pin = vm->pin)) {
		vm->pin = pin->next;
		if (pin->obj) {
			pin->obj->pins--;
			obj_put(pin->obj);
		}
		free(pin);
	}
}
