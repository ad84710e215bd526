/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of an object: what the files of this room share, and what the hook room takes from a loaded program. */
#ifndef BPF_OBJECT_H
#define BPF_OBJECT_H

#include <stdbool.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sluice/object.h>

#include "bpf/code.h"

#define OBJECT_MAX_PROGRAMS 256

struct sluice_program {
	struct sluice_object *obj;
	struct bpf_program *bpf;
	struct code *code; /* after load */
	bool chosen;
};

struct sluice_object {
	struct bpf_object *bpf;
	char name[128];			/* file name, for messages and listings */
	struct sluice_program *program; /* the attachable XDP programs, in file order */
	size_t n_programs;
	char *log; /* the verifier's, of the load that failed */
	bool loaded;
	bool fold; /* object_fold() */
	struct {
		const char *map;
		const void *bytes;
		size_t len;
	} settled;  /* object_settle() */
	int device; /* that it is loaded for, 0: none */
};

/* A global variable: `size` bytes at `offset` of the value of map's one entry. */
struct object_variable {
	struct bpf_map *map;
	uint32_t type_id, size, offset; /* type_id in the object's BTF */
	uint8_t *initial;		/* its value before load */
};

/* object_variable() finds one by name. errors: -ENOENT (err names the ones there are), -EBADMSG */
int object_variable(struct sluice_object *obj, const char *name, struct object_variable *found, struct sluice_err *err);

/* program_code() is the loaded program's code, owned by the object; NULL before load. */
const struct code *program_code(const struct sluice_program *prog);
const char *program_object_name(const struct sluice_program *prog);

/*
 * object_load_code() is sluice_object_load() up to the verifier: maps are made, the programs' code is relocated and kept,
 * and a program that only passes stands in for each. For code that is verified when it has been joined.
 */
int object_load_code(struct sluice_object *obj, struct sluice_err *err);

/*
 * object_fold() has loads of the object's constants (.rodata) replaced by their values, lookups of maps that have one value by
 * its address, and what hangs on those taken out, as it is loaded (isa/fold.h).
 * Not for programs of others, who want to find in the kernel what they compiled.
 */
void object_fold(struct sluice_object *obj);

/*
 * object_settle() says that a map of one value begins with these bytes as long as the program lives: object_fold() takes them for
 * constants, too. One map of an object; map and bytes stay until it is loaded.
 */
void object_settle(struct sluice_object *obj, const char *map, const void *bytes, size_t len);

#endif
