/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the engines share; the world outside sees prog.h and run.h. */
#ifndef VM_EXEC_H
#define VM_EXEC_H

#include "isa/isa.h"
#include "vm/prog.h"
#include "vm/run.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * A decoded instruction; there is one per slot of the program, so that distances stay what they
 * were. The second slot of a 64-bit immediate holds the value in place of a handler.
 */
struct vm_op {
	union {
		const void *handler;
		uint64_t value;
	};
	uint8_t hint; /* slot of run->region that the last access through this instruction hit */
	uint8_t dst : 4, src : 4;
	int16_t off; /* of a local call: what it charges */
	int32_t imm; /* of a helper call: index in prog->calls */
};

/* What ld_imm64 of a function loads is the address of one of these. */
struct vm_func {
	const struct vm_prog *prog;
	uint32_t pc, len;
	const void *code; /* compiled */
};

struct vm_site;

struct vm_prog {
	struct bpf_insn *insns;
	uint32_t n_insns, n_calls;
	struct vm_op *ops;
	uint16_t *which; /* number of each handler, for the watching interpreter, whose addresses are others */
	bool (*line)(void *owner, uint32_t pc, char *to, size_t size);
	const struct vm_helper **calls;
	struct vm_func *funcs;
	uint32_t n_funcs;
	bool trusted;
	enum vm_engine engine;
	void *owner;
	char name[64];
	/* compiled */
	void *map;
	size_t map_bytes;
	uint32_t code_bytes;
	const void *way_in, *handed;
	struct vm_site *sites;
};

/* The interpreters. Called with run NULL they only say where their handlers are: VM_N_HANDLERS of
 * them. */
enum {
	VM_HANDLER_BACK = ISA_N_OPS, /* the same jumps, backward: these charge the budget */
	VM_HANDLER_TAIL = 2 * ISA_N_OPS,
	VM_N_HANDLERS,
};
const void *const *vm_interp_checked(
	struct vm_run *run, const struct vm_func *func, const uint64_t args[5], uint64_t *r0);
const void *const *vm_interp_trusted(
	struct vm_run *run, const struct vm_func *func, const uint64_t args[5], uint64_t *r0);
const void *const *vm_interp_watched(
	struct vm_run *run, const struct vm_func *func, const uint64_t args[5], uint64_t *r0);

/* vm_enter() runs a function in a frame of its own with whatever engine its program has. A fault is
 * in run->fault. */
void vm_enter(struct vm_run *run, const struct vm_func *func, const uint64_t args[5], uint64_t *r0);

/* Sets the stack's region to the frames in use. */
void vm_stack_region(struct vm_run *run);

/*
 * vm_find() looks for the region of an access of 1 << lg bytes in all slots, then asks the env;
 * returns the slot, or -1 with the fault written. prog and pc are only for the fault.
 */
int vm_find(struct vm_run *run, const struct vm_prog *prog, uint32_t pc, uint64_t addr,
	unsigned int lg, bool write);
/* vm_args_ok() holds the arguments of a helper against its description; r is r0 to r5. */
bool vm_args_ok(struct vm_run *run, const struct vm_helper *helper, const uint64_t *r);
/* What a tail call is called, and which arguments it has. */
extern const struct vm_helper vm_tail_call;
/* vm_tail_args_ok() does it for a tail call. */
bool vm_tail_args_ok(struct vm_run *run, const uint64_t *r);
void vm_fault_at(struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
	enum vm_fault_reason reason, uint64_t addr, uint64_t size);

/* vm_jit_compile() makes prog->code and the functions' entries. -EOPNOTSUPP where there is no
 * compiler. */
int vm_jit_compile(struct vm_prog *prog, struct sluice_err *err);
void vm_jit_free(struct vm_prog *prog);
/* vm_jit_run() runs compiled code in the frame that the caller made. */
uint64_t vm_jit_run(struct vm_run *run, const struct vm_func *func, const uint64_t args[5]);

#endif
