// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the engine owns, and how descriptors stand for it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/sys.h"
#include "vm/user.h"

static int reopen(int fd, int mode)
{
	char path[32];
	int new;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new = open(path, mode | O_CLOEXEC);
	return new < 0 ? -errno : new;
}

int obj_memfd(const char *name, int *own)
{
	int first = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), fd;

	if (first < 0)
		return -errno;
	*own = reopen(first, O_RDWR);
	/* the first descriptor of a memfd is not counted as a writer, which is what tells that somebody holds one */
	fd = *own < 0 ? *own : reopen(first, O_RDWR);
	if (fd < 0 && *own >= 0)
		close(*own);
	close(first);
	/* who opens it while a lease is held has a signal sent to this process: one that means nothing, not SIGIO */
	if (fd >= 0)
		fcntl(*own, F_SETSIG, SIGURG);
	return fd;
}

static struct obj **bucket(struct vm *vm, ino_t ino)
{
	return &vm->by_inode[ino % VM_INODES];
}

int obj_add(struct vm *vm, struct obj *obj)
{
	struct stat st;

	if (fstat(obj->fd, &st))
		return -errno;
	obj->dev = st.st_dev;
	obj->ino = st.st_ino;
	pthread_mutex_lock(&vm->lock);
	obj->id = ++vm->last_id[obj->kind];
	obj->same_hash = *bucket(vm, obj->ino);
	*bucket(vm, obj->ino) = obj;
	obj->next = NULL;
	if (vm->last[obj->kind])
		vm->last[obj->kind]->next = obj;
	else
		vm->first[obj->kind] = obj;
	vm->last[obj->kind] = obj;
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

int obj_any_of_fd(struct vm *vm, int fd, struct obj **obj)
{
	int here = user_fd(fd), failed;
	struct stat st;
	struct obj *o;

	*obj = NULL;
	failed = fstat(here, &st);
	user_fd_done(here);
	if (failed)
		return -EBADF;
	pthread_mutex_lock(&vm->lock);
	for (o = *bucket(vm, st.st_ino); o; o = o->same_hash)
		if (o->ino == st.st_ino && o->dev == st.st_dev)
			break;
	if (o)
		obj_get(o);
	pthread_mutex_unlock(&vm->lock);
	*obj = o;
	return o ? 0 : -EINVAL;
}

int obj_of_fd(struct vm *vm, int fd, enum obj_kind kind, struct obj **obj)
{
	int e = obj_any_of_fd(vm, fd, obj);

	if (!e && (*obj)->kind != kind) {
		obj_put(*obj);
		*obj = NULL;
		e = -EINVAL;
	}
	return e;
}

void obj_get(struct obj *obj)
{
	__atomic_fetch_add(&obj->refs, 1, __ATOMIC_RELAXED);
}

void obj_put(struct obj *obj)
{
	if (obj)
		__atomic_fetch_sub(&obj->refs, 1, __ATOMIC_RELEASE);
}

/* Does nobody hold the descriptor that was handed out, nor a copy or mapping of it? The caller holds vm->lock: whoever
 * opens the file meanwhile waits for the lease to end, and it would not be told. */
static bool abandoned(const struct obj *obj)
{
	if (fcntl(obj->fd, F_SETLEASE, F_WRLCK))
		return false;
	fcntl(obj->fd, F_SETLEASE, F_UNLCK);
	return true;
}

bool obj_held(const struct obj *obj)
{
	return __atomic_load_n(&obj->refs, __ATOMIC_ACQUIRE) || !abandoned(obj);
}

static void unlink_obj(struct vm *vm, struct obj *obj)
{
	struct obj **at, *prev = NULL;

	for (at = bucket(vm, obj->ino); *at != obj; at = &(*at)->same_hash)
		;
	*at = obj->same_hash;
	for (at = &vm->first[obj->kind]; *at != obj; at = &(*at)->next)
		prev = *at;
	*at = obj->next;
	if (vm->last[obj->kind] == obj)
		vm->last[obj->kind] = prev;
}

static void free_obj(struct obj *obj)
{
	int fd = obj->fd;

	obj->drop(obj);
	free(obj);
	close(fd);
}

/* Links first: they hold programs; those hold maps, and maps hold maps and BTF. */
static const enum obj_kind order[] = {OBJ_LINK, OBJ_PROG, OBJ_MAP, OBJ_BTF, OBJ_PERF, OBJ_STATS};

void obj_sweep(struct vm *vm)
{
	struct obj *obj, *next;
	bool again = true;
	unsigned int i;

	pthread_mutex_lock(&vm->lock);
	while (again && !__atomic_load_n(&vm->running, __ATOMIC_ACQUIRE)) {
		again = false;
		for (i = 0; i < sizeof(order) / sizeof(*order); i++)
			for (obj = vm->first[order[i]]; obj; obj = next) {
				next = obj->next;
				if (__atomic_load_n(&obj->refs, __ATOMIC_ACQUIRE)) {
					again |= obj->orphan && !obj->pins && abandoned(obj) && obj->orphan(obj);
					continue;
				}
				if (!abandoned(obj))
					continue;
				unlink_obj(vm, obj);
				free_obj(obj);
				again = true;
			}
	}
	pthread_mutex_unlock(&vm->lock);
}

void obj_free_all(struct vm *vm)
{
	struct obj *obj;
	unsigned int i;

	/* they hold each other, in circles even: all let go before the first one's memory goes */
	for (i = 0; i < OBJ_KINDS; i++)
		for (obj = vm->first[i]; obj; obj = obj->next)
			obj->drop(obj);
	for (i = 0; i < OBJ_KINDS; i++)
		while ((obj = vm->first[i])) {
			vm->first[i] = obj->next;
			close(obj->fd);
			free(obj);
		}
}

bool obj_any(struct vm *vm, enum obj_kind kind)
{
	return __atomic_load_n(&vm->first[kind], __ATOMIC_RELAXED) != NULL;
}

int obj_of_id(struct vm *vm, uint32_t id, enum obj_kind kind, struct obj **obj)
{
	struct obj *o;

	obj_sweep(vm);
	pthread_mutex_lock(&vm->lock);
	for (o = vm->first[kind]; o && o->id != id; o = o->next)
		;
	if (o)
		obj_get(o);
	pthread_mutex_unlock(&vm->lock);
	*obj = o;
	return o ? 0 : -ENOENT;
}

int obj_open(struct obj *obj, int mode)
{
	return reopen(obj->fd, mode);
}

void obj_run_begin(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	__atomic_fetch_add(&vm->running, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vm->lock);
}

void obj_run_end(struct vm *vm)
{
	__atomic_fetch_sub(&vm->running, 1, __ATOMIC_RELEASE);
}

int obj_next_id(struct vm *vm, enum obj_kind kind, uint32_t start, uint32_t *id)
{
	struct obj *o;

	obj_sweep(vm);
	pthread_mutex_lock(&vm->lock);
	for (o = vm->first[kind]; o && o->id <= start; o = o->next)
		;
	if (o)
		*id = o->id;
	pthread_mutex_unlock(&vm->lock);
	return o ? 0 : -ENOENT;
}

int obj_mode(int fd)
{
	int here = user_fd(fd), flags = fcntl(here, F_GETFL);

	user_fd_done(here);
	return flags < 0 ? O_RDWR : flags & O_ACCMODE;
}
