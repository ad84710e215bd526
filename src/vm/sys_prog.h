/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs as objects, and what maps that hold programs need to know of them. */
#ifndef VM_SYS_PROG_H
#define VM_SYS_PROG_H

#include "vm/lines.h"
#include "vm/map_hash.h"

/* What all programs in one map have in common: the first one in decides. */
struct prog_shape {
	bool set;
	uint32_t type, attach_type, flags;
};

/* What all maps in one map have in common. */
struct map_shape {
	uint32_t type, key_size, value_size, max_entries, flags;
};

struct map_of_hash {
	struct map_hash hash;
	struct map_shape inner;
};

struct map_shape *map_inner_shape(struct map *map);
/* map_perf_event() is the event of this engine's in a place of a perf event array; NULL: none. */
struct obj *map_perf_event(struct map *map, uint32_t index);
/* map_fd_clear() empties a program array; was there anything in it? */
bool map_fd_clear(struct map *map);

struct vm_prog;
struct vm_program {
	struct obj obj;
	struct vm *vm;
	struct vm_prog *code;
	struct prog_shape shape;
	struct map **map; /* that its instructions name, then those bound to it; a reference each */
	uint32_t n_maps;
	bool nests; /* one of them holds maps */
	struct map **use; /* by each instruction that names a map, in their order: which */
	uint32_t n_uses;
	struct obj *btf;
	struct vm_lines lines;
	uint64_t fds; /* while it is loaded: where the caller has the array that map indexes mean */
	char name[BPF_OBJ_NAME_LEN];
	bool gpl;
	uint64_t load_ns, run_ns, runs;
};

/*
 * prog_for_map() takes a reference to the program of fd if it may go into map beside the others.
 * prog_of_fd() takes one of exactly that type and expected_attach_type.
 * errors: -EBADF, -EINVAL
 */
int prog_of_fd(struct vm *vm, int fd, uint32_t type, uint32_t attach_type, struct obj **prog);
int prog_for_map(struct map *map, struct prog_shape *owner, int fd, struct obj **prog);

/* What a running program may ask: see struct vm_env. */
struct vm_env;
extern const struct vm_env prog_env;

/* prog_info() is the answer to BPF_OBJ_GET_INFO_BY_FD; on the way in info says where the caller has room for what. */
struct bpf_prog_info;
int prog_info(struct vm_program *prog, struct bpf_prog_info *info);

#endif
