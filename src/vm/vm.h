/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The user-space engine: an answer to bpf(2) that needs no privilege and no kernel.
 *
 * A struct vm owns maps, programs and type information. Callers hold them by descriptors, which are real: a memfd
 * each, recognised by its inode, so that dup(), close(), mmap() and passing them on behave as with the kernel's.
 * What nobody holds any more is freed when the next object is made or the list of objects is walked.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#include <sluice/err.h>

#include "vm/prog.h"

struct vm;

struct vm_config {
	uint32_t n_cpus; /* 0: as many as this machine may have, which is what libbpf sizes per-CPU values by */
	/* told each text that a program prints (bpf_trace_printk()), in the thread that runs it; NULL: vm_trace_read() */
	void (*trace)(void *arg, const char *text);
	void *trace_arg;
	uint64_t seed;	 /* of hashing and random numbers; 0: from the system */
	enum vm_engine engine; /* what programs are run with */
	bool trusted;	 /* a verifier has accepted every program that is going to be loaded: run them without checks */
};

/*
 * vm_new() makes an engine without objects.
 *
 * in:      config  may be NULL: all defaults
 * errors:  -EINVAL more than 4096 CPUs, -ENOMEM
 */
int vm_new(const struct vm_config *config, struct vm **vm, struct sluice_err *err);

/* vm_n_cpus() is how many CPUs it has: so many values an entry of its per-CPU maps has. */
uint32_t vm_n_cpus(const struct vm *vm);

/* vm_free() drops every object, whoever holds descriptors of them: those are then plain empty files. */
void vm_free(struct vm *vm);

/*
 * vm_bpf() is the system call: same commands, same attr, same answers as the kernel's.
 *
 * out:     what the command writes into attr and where attr points
 * returns: 0, a new descriptor (close-on-exec), or a negative errno as the kernel's
 * thread:  any
 */
long vm_bpf(struct vm *vm, int cmd, union bpf_attr *attr, unsigned int size);

/* vm_makes_fd(): is what that command returns, if not negative, a new descriptor? */
bool vm_makes_fd(int cmd);

/*
 * vm_wait_fd() is what to wait on (edge-triggered, readable) for records in the ring buffer that fd stands for.
 * errors:  -EBADF, -EINVAL fd is no such map of this engine
 */
int vm_wait_fd(struct vm *vm, int fd);

/*
 * Pins: BPF_OBJ_PIN gives names below VM_PIN_ROOT, which exist in the engine only; so do the directories they are in.
 *
 * Paths are clean ones (base/path.h).
 *
 * vm_unpin(), vm_pin_mkdir(), vm_pin_rmdir()  answer as unlink(2), mkdir(2) and rmdir(2); -EPERM outside of the root
 * vm_pin_about()  -ENOENT
 * vm_pin_child()  entry i of a directory, in the order they were made; -ENOENT
 */
#define VM_PIN_ROOT "/sys/fs/bpf"
struct vm_pin_about {
	bool is_dir;
	uint64_t ino;
};
int vm_unpin(struct vm *vm, const char *path);
int vm_pin_mkdir(struct vm *vm, const char *path);
int vm_pin_rmdir(struct vm *vm, const char *path);
int vm_pin_about(struct vm *vm, const char *path, struct vm_pin_about *about);
int vm_pin_child(struct vm *vm, const char *dir, uint32_t i, char name[NAME_MAX + 1], struct vm_pin_about *about);

/* An interface of the engine. Programs are attached to it by links; packets are for whoever replays them to bring. */
struct vm_if {
	uint32_t ifindex; /* from 1 */
	char name[16];
	uint8_t mac[6];
	uint32_t mtu;
};

/*
 * vm_if_add() adds an interface; a new engine has one, "lo", number 1.
 *
 * in:      spec    ifindex 0: the smallest free number, which vm_if_by_name() then tells; mtu 0: 1500
 * errors:  -EINVAL no name that an interface can have, number above INT_MAX; -EEXIST name or number is taken; -ENOMEM
 * thread:  any
 */
int vm_if_add(struct vm *vm, const struct vm_if *spec, struct sluice_err *err);

/* Questions about them: false, and *to untouched, if there is none. vm_if_next(): the next number after `after`. */
bool vm_if_by_index(struct vm *vm, uint32_t ifindex, struct vm_if *to);
bool vm_if_by_name(struct vm *vm, const char *name, struct vm_if *to);
bool vm_if_next(struct vm *vm, uint32_t after, struct vm_if *to);

/*
 * vm_if_program() is the program that a link holds on an interface: to be run on what arrives there.
 *
 * returns: an object of kind OBJ_PROG (struct vm_program, vm/sys_prog.h), or NULL
 * owns:    the caller gives the reference back with obj_put()
 */
struct obj;
struct obj *vm_if_program(struct vm *vm, uint32_t ifindex);

/*
 * vm_set_clock() sets what time it is for programs of this engine: every clock of theirs stands still at now_ns. 0, as
 * at the start: the system's clocks. A run whose caller says the time itself (vm_host's now_ns) goes by that.
 */
void vm_set_clock(struct vm *vm, uint64_t now_ns);

/*
 * The network that programs ask about (bpf_fib_lookup(), bpf_check_mtu()): interfaces, addresses, routes, neighbours.
 * vm_set_network() reads it from text as ip(8) prints it (vm/fib.h says what), vm_copy_network() from this host by
 * netlink, in the network namespace of the calling thread. Each replaces what was set before, or leaves it on failure.
 *
 * errors:  -EINVAL "line 7: ..."; -ENOMEM; the kernel's
 * thread:  not while programs run
 */
int vm_set_network(struct vm *vm, const char *text, size_t len, struct sluice_err *err);
int vm_copy_network(struct vm *vm, struct sluice_err *err);

/*
 * vm_trace_read() takes the oldest text that programs printed and nobody has read, as they wrote it, cut to size. The
 * last 64 KiB are kept. Returns its length + 1; 0: there is none. Thread: any.
 */
size_t vm_trace_read(struct vm *vm, char *to, size_t size);

/*
 * vm_perf_open() is perf_event_open(2) for the one event that programs write to: PERF_COUNT_SW_BPF_OUTPUT of one CPU
 * (pid -1), samples of raw bytes, as libbpf's perf_buffer asks for. vm_perf_control() is ioctl(2) on it: enabling,
 * disabling and resetting it change nothing.
 *
 * returns: a descriptor to map and to put into a perf event array; it is waited on as a ring buffer is (vm_wait_fd())
 * errors:  -ENOENT another event, -EINVAL another way to ask, -EFAULT, -E2BIG, -ENOMEM; -ENOTTY another request
 */
int vm_perf_open(struct vm *vm, const void *attr, int pid, int cpu, int group_fd, unsigned long flags);
int vm_perf_control(struct vm *vm, int fd, unsigned long request);

/* vm_owns() tells whether fd stands for an object of this engine. */
bool vm_owns(struct vm *vm, int fd);

#endif
