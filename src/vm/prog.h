/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A loaded program: instructions that passed the structural checks, linked against the maps,
 * helpers and functions that its loader names, decoded for the interpreter and, if asked for,
 * compiled.
 *
 * What a map or a helper is stays with the loader (the upper half of this room, or a test): it
 * answers the questions in struct vm_linker while vm_prog_new() runs, and those in struct vm_env
 * while a program runs (run.h).
 */
#ifndef VM_PROG_H
#define VM_PROG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#include <sluice/err.h>

struct vm_prog;
struct vm_run;

/* Every helper and kernel function: BPF's five arguments are the C call's first five. */
typedef uint64_t (*vm_helper_fn)(uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5,
				 struct vm_run *run);

/*
 * What the checked profile holds an argument against before it calls a helper. A pointer must lie
 * in a live region (run.h) with all bytes that the helper will touch; in the trusted profile
 * nothing is looked at.
 */
enum vm_arg {
	VM_ARG_ANY,	    /* a number, or the helper looks at it itself with vm_run_mem() */
	VM_ARG_CTX,	    /* the program's context, unchanged */
	VM_ARG_MAP,	    /* a map: vm_env's map_sizes() knows it */
	VM_ARG_KEY,	    /* readable, the key size of the map that came before */
	VM_ARG_VALUE,	    /* readable, the value size of the map that came before */
	VM_ARG_VALUE_OUT,   /* writable, the value size of the map that came before */
	VM_ARG_MEM,	    /* readable, as many bytes as the next argument says */
	VM_ARG_MEM_OUT,	    /* writable, as many bytes as the next argument says */
	VM_ARG_MEM_OR_NULL, /* as VM_ARG_MEM, or null with size 0 */
	VM_ARG_SIZE,	    /* the size of the one before: at most 2^29 */
	VM_ARG_FIXED,	    /* readable, helper->size[i] bytes */
	VM_ARG_FIXED_OUT,   /* writable, helper->size[i] bytes */
	VM_ARG_FUNC,	    /* a function of this program (ld_imm64 of a function): for vm_callback() */
};

struct vm_helper {
	const char *name; /* without "bpf_" in front */
	vm_helper_fn fn;
	uint8_t arg[5];	  /* enum vm_arg */
	uint16_t size[5]; /* bytes, of VM_ARG_FIXED* */
};

/* How compiled code may look up a map that it knows without calling the helper. */
struct vm_lookup {
	enum { VM_LOOKUP_CALL, VM_LOOKUP_ARRAY, VM_LOOKUP_HASH } kind;
	uint32_t key_bytes, value_bytes;
	/* VM_LOOKUP_ARRAY: a key of 4 bytes below max_entries is found at data + key * stride, plus the CPU's
	 * number * cpu_stride */
	uint8_t *data;
	uint32_t max_entries, stride;
	uint64_t cpu_stride;
	/* VM_LOOKUP_HASH, key of 4 (taken twice), 8 or 16 bytes, its words k and l: a key's hash is
	 * fold(fold(k ^ mix[0], mix[1] ^ l), mix[2]), where fold is the 128-bit product's halves xored.
	 * data, stride: the elements, u32 next, u32 tag, key; tag is 1 << 31 | hash >> 32. bucket[hash & mask] and
	 * next are an element's number + 1, or 0 or 1 << 31 | bucket's number at a chain's end; another number
	 * there: start again. A byte at ref_off, unless that is 0, is to be 1 in what is found. The value is
	 * at value_off of its element or, of per-CPU tables (cpu_stride not 0), of element i at values + the CPU's
	 * number * cpu_stride + i * value_stride */
	const uint32_t *bucket;
	uint32_t mask, ref_off, value_off, value_stride;
	uint64_t mix[3];
	uint8_t *values;
	/* VM_LOOKUP_CALL: touches nothing but the map and the key */
	void *(*find)(void *map, const void *key, uint32_t cpu);
	/* where the CPU's number, a u32, is in what run->host points to */
	uint32_t cpu_off;
	/* what it finds may be written */
	bool writable;
	/* an address at which value_bytes of some value live as long as the map; NULL: what it finds is no
	 * value */
	void *any_value;
};

/*
 * Asked while a program is linked. owner is the spec's. Each returns 0 or a negative errno with a
 * sentence that names the thing; vm_prog_new() puts "instruction N: " in front. A question that is
 * NULL is answered "-EINVAL".
 */
struct vm_linker {
	/* ld_imm64 with source map fd, map value, map index, map index value, BTF id: the 64 bits
	 * it shall load */
	int (*address)(void *owner, const struct bpf_insn insn[2], uint64_t *value, struct sluice_err *err);
	/* a helper by number; BPF_FUNC_tail_call is not asked for, the engines do it themselves */
	int (*helper)(void *owner, int32_t number, const struct vm_helper **helper, struct sluice_err *err);
	/* a kernel function by BTF id and the index of its BTF */
	int (*kfunc)(void *owner, int32_t btf_id, int16_t btf_index, const struct vm_helper **helper,
		     struct sluice_err *err);
	/* how to look up the map that address() gave map for; false: call bpf_map_lookup_elem. Both must
	 * answer the same. May be NULL */
	bool (*lookup)(void *owner, uint64_t map, struct vm_lookup *how);
};

enum vm_engine {
	VM_ENGINE_BEST, /* compiled where there is a compiler for this machine, interpreted
			   elsewhere */
	VM_ENGINE_INTERP,
	VM_ENGINE_JIT, /* -EOPNOTSUPP where there is none */
};

struct vm_prog_spec {
	const struct bpf_insn *insns; /* copied */
	uint32_t n_insns;
	const char *name; /* for faults; copied, may be NULL */
	bool trusted;	  /* a verifier accepted it: run without checks. False: every access is checked
			   */
	bool rfc;	  /* constants by RFC 9669 (isa_check_rfc()); false: as Linux has them */
	enum vm_engine engine;
	const struct vm_linker *linker;
	void *owner; /* the loader's object, kept as vm_prog_owner() */
	/* what source instruction pc was made of: writes "FILE:LINE: TEXT", false if it is not known.
	 * Asked after loading, by vm_prog_line(); may be NULL */
	bool (*line)(void *owner, uint32_t pc, char *to, size_t size);
};

/*
 * vm_prog_new() checks, links, decodes and (engine) compiles a program.
 *
 * out:     *prog   NULL on failure
 * owns:    the caller frees it with vm_prog_free() when nothing runs it any more; what the linker's answers point to
 *          must live as long
 * errors:  -EINVAL the instructions break a rule (err: "instruction 7: ..."), -E2BIG more than 1M of them, -EOPNOTSUPP
 *          an instruction or engine that is not there, -ENOMEM; and the linker's own
 * thread:  any; a program may be run by several threads at once, each with its own struct vm_run
 */
int vm_prog_new(const struct vm_prog_spec *spec, struct vm_prog **prog, struct sluice_err *err);
void vm_prog_free(struct vm_prog *prog);

void *vm_prog_owner(const struct vm_prog *prog);
const char *vm_prog_name(const struct vm_prog *prog);
bool vm_prog_trusted(const struct vm_prog *prog);
/* VM_ENGINE_INTERP or VM_ENGINE_JIT */
enum vm_engine vm_prog_engine(const struct vm_prog *prog);
/* The instructions as they were given. */
const struct bpf_insn *vm_prog_insns(const struct vm_prog *prog, uint32_t *n);
/* vm_prog_line() asks the loader what source an instruction was made of: "FILE:LINE: TEXT"; false:
 * nobody knows. */
bool vm_prog_line(const struct vm_prog *prog, uint32_t pc, char *to, size_t size);
/* Bytes of machine code, 0 if interpreted. */
uint32_t vm_prog_code_bytes(const struct vm_prog *prog);
/* vm_engine_has_jit(): is there a compiler for this machine? */
bool vm_engine_has_jit(void);

#endif
