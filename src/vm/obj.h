/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the engine owns, and how descriptors stand for it.
 *
 * An object has two descriptors on one memfd: the one handed out, and one of its own. As long as anybody, in any process,
 * holds the one handed out, a copy of it or a mapping, the kernel refuses a lease on the other: that is the reference
 * count of user space. A lease that is broken is told by a signal: SIGURG, which is ignored unless the program that
 * the engine is part of handles it, and whose meaning is to look. refs counts what other objects hold. Nothing is freed
 * when refs falls to 0, only by obj_sweep(), and never between obj_run_begin() and obj_run_end().
 */
#ifndef VM_OBJ_H
#define VM_OBJ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vm;

enum obj_kind { OBJ_MAP, OBJ_PROG, OBJ_BTF, OBJ_LINK, OBJ_PERF /* event, of vm_perf_open() */, OBJ_STATS /* of BPF_ENABLE_STATS */, OBJ_KINDS };

struct obj {
	enum obj_kind kind;
	uint32_t id;
	uint32_t refs;
	int fd; /* the engine's own */
	dev_t dev;
	ino_t ino;
	struct obj *same_hash, *next; /* by inode; by id, ascending */
	uint32_t pins; /* of refs */
	void (*drop)(struct obj *obj); /* lets go of what it holds; its memory is freed by the caller */
	/* only other objects hold it: a program array empties itself, since its programs hold it in turn. Did it? */
	bool (*orphan)(struct obj *obj);
};

/* obj_memfd() makes the memfd of an object to be; *own is the engine's descriptor. Returns the one to hand out. */
int obj_memfd(const char *name, int *own);

/* obj_add() enters a complete object (kind, fd, drop set); the first sweep may free it if nobody holds it. */
int obj_add(struct vm *vm, struct obj *obj);

/*
 * obj_of_fd() is the one function that turns descriptors of the caller (user.h) into objects: it finds the object and adds to its refs; obj_put() takes that back.
 * errors:  -EBADF not open, -EINVAL something else than that kind
 */
int obj_of_fd(struct vm *vm, int fd, enum obj_kind kind, struct obj **obj);
int obj_any_of_fd(struct vm *vm, int fd, struct obj **obj);
void obj_get(struct obj *obj);
void obj_put(struct obj *obj);

/* obj_of_id() as obj_of_fd(), -ENOENT if there is none. obj_open() makes a new descriptor; mode as in
 * open(2); the caller holds vm->lock, so that no sweep has a lease on it. */
int obj_of_id(struct vm *vm, uint32_t id, enum obj_kind kind, struct obj **obj);
int obj_open(struct obj *obj, int mode);

/* obj_next_id() is the smallest id greater than start; -ENOENT. */
int obj_next_id(struct vm *vm, enum obj_kind kind, uint32_t start, uint32_t *id);

/* obj_held(): does anybody still hold it? The caller holds vm->lock. */
bool obj_held(const struct obj *obj);

/* obj_any(): is there one of that kind, held or not yet swept? */
bool obj_any(struct vm *vm, enum obj_kind kind);
/* obj_sweep() frees what nobody holds, unless a program runs: it keeps vm->lock from looking to freeing. */
void obj_sweep(struct vm *vm);
/*
 * obj_run_begin() says that a program is going to follow references from object to object, without a lock and without
 * counting; obj_run_end() that it has done so. A sweep under way is over when the first returns. Who follows references
 * inside of maps on behalf of a system call holds vm->lock instead.
 */
void obj_run_begin(struct vm *vm);
void obj_run_end(struct vm *vm);
void obj_free_all(struct vm *vm);

/* obj_mode() is O_RDONLY, O_WRONLY or O_RDWR of a descriptor of the caller. */
int obj_mode(int fd);

#endif
