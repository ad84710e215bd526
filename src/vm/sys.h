/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of the engine: what the sys_*.c share. */
#ifndef VM_SYS_H
#define VM_SYS_H

#include <pthread.h>

#include "vm/lock.h"
#include "vm/map.h"
#include "vm/trace.h"
#include "vm/prog.h"
#include "vm/vm.h"

#define VM_ATTR_BYTES 168 /* the kernel's union bpf_attr, 6.18; beyond it bytes that are not zero are -E2BIG */
#define VM_MAP_INFO_BYTES 104 /* the kernel's struct bpf_map_info, 6.18 */
#define VM_LINK_INFO_BYTES 64 /* its struct bpf_link_info */
#define VM_INODES 1024	  /* hash buckets */

struct btf;
struct fib;
struct vm_timers;
struct vm_btf {
	struct obj obj;
	struct btf *btf;
	void *raw;
	uint32_t bytes;
};

struct vm_pin {
	struct vm_pin *next;
	struct obj *obj; /* NULL: a directory */
	uint64_t ino;
	char path[];
};

struct vm_link;
struct sys_if {
	struct vm_if about;
	struct vm_link *link; /* NULL: no program */
};

struct vm {
	pthread_mutex_t lock; /* objects, ids, pins, interfaces */
	struct obj *by_inode[VM_INODES];
	struct obj *first[OBJ_KINDS], *last[OBJ_KINDS];
	uint32_t last_id[OBJ_KINDS];
	struct vm_pin *pin;
	uint32_t n_pins;
	uint64_t pin_ino; /* last one given; 1 is the root's */
	struct sys_if *ifs; /* by number, ascending */
	uint32_t n_ifs, ifs_cap;
	uint32_t n_cpus;
	uint64_t seed;
	struct trace trace;
	struct vm_timers *timers; /* made when first wanted */
	struct fib *fib; /* NULL: no network */
	struct btf *kernel_btf; /* read when first wanted */
	uint64_t now_ns;  /* 0: the system's clocks */
	enum vm_engine engine; /* of programs to be loaded */
	bool trusted;
	uint32_t running; /* programs under way: nothing is freed meanwhile */
	struct value_locks value_locks;
};

/* One command. attr is whole (unknown bytes zero); *out_bytes of it are copied back. */
long sys_map_create(struct vm *vm, union bpf_attr *attr);
long sys_map_elem(struct vm *vm, int cmd, union bpf_attr *attr);
long sys_map_batch(struct vm *vm, int cmd, union bpf_attr *attr);
long sys_map_freeze(struct vm *vm, union bpf_attr *attr);
long sys_prog_load(struct vm *vm, union bpf_attr *attr);
long sys_prog_run(struct vm *vm, union bpf_attr *attr);
long sys_enable_stats(struct vm *vm, union bpf_attr *attr);
long sys_prog_bind_map(struct vm *vm, union bpf_attr *attr);
long sys_btf_load(struct vm *vm, union bpf_attr *attr);
long sys_link_create(struct vm *vm, union bpf_attr *attr);
long sys_link_update(struct vm *vm, union bpf_attr *attr);
long sys_link_detach(struct vm *vm, union bpf_attr *attr);
long sys_info(struct vm *vm, union bpf_attr *attr);
long sys_next_id(struct vm *vm, int cmd, union bpf_attr *attr);
long sys_fd_by_id(struct vm *vm, int cmd, union bpf_attr *attr);
long sys_pin(struct vm *vm, union bpf_attr *attr);
long sys_pinned(struct vm *vm, union bpf_attr *attr);
void sys_unpin_all(struct vm *vm);

/* sys_map_btf() checks and takes the types of a map to be; finds the parts of the value that are special. */
int sys_map_btf(struct map *map, const union bpf_attr *attr);

/* link_info() fills in what is known of a link. */
void link_info(struct obj *link, struct bpf_link_info *info);

/* sys_if_lo() makes interface 1, lo. sys_if_find() is the one of that number or NULL; the caller holds vm->lock. */
int sys_if_lo(struct vm *vm, struct sluice_err *err);
struct sys_if *sys_if_find(struct vm *vm, uint32_t ifindex);

/* sys_name() copies an object's name: letters, digits, '_' and '.', ended within size; -EINVAL. */
int sys_name(char *to, const char *from, uint32_t size);

/* sys_tail_zero() are the len bytes at p zero? */
bool sys_tail_zero(const void *p, uint64_t len);

/* The permissions of a map's descriptor, as open(2) writes them and the map's freeze takes them away. */
#define SYS_MAY_READ 1
#define SYS_MAY_WRITE 2
int sys_map_perms(struct map *map, int fd);

#endif
