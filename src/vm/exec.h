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
	uint16_t
		*which; /* number of each handler, for the watching interpreter, whose addresses are others */
	bool (*line)(void *owner, uint32_t pc, char *to, size_t size);
	const struct vm_helper **calls;
	struct vm_func *funcs;
	uint32_t n_funcs;
	bool trusted;
	uint32_t stack_bytes; /* of a frame that its instructions reach by constants alone */
	uint64_t stamp;	      /* tells it from one that had the same address before */
	enum vm_engine engine;
	void *owner;
	char name[64];
	/* compiled */
	void *map;
	size_t map_bytes;
	uint32_t code_bytes;
	const void *way_in, *handed;
	struct vm_site *sites;
	uint64_t value[VM_VALUES]; /* what run->value starts with */
	uint32_t n_values;
};

/* The interpreters. Called with run NULL they only say where their handlers are: VM_N_HANDLERS of
 * them. */
enum {
	VM_HANDLER_BACK = ISA_N_OPS, /* the same jumps, backward: these charge the budget */
	VM_HANDLER_TAIL = 2 * ISA_N_OPS,
	VM_N_HANDLERS,
};
const void *const *vm_interp_checked(struct vm_run *run, const struct vm_func *func, const uint64_t args[5],
				     uint64_t *r0);
const void *const *vm_interp_trusted(struct vm_run *run, const struct vm_func *func, const uint64_t args[5],
				     uint64_t *r0);
const void *const *vm_interp_watched(struct vm_run *run, const struct vm_func *func, const uint64_t args[5],
				     uint64_t *r0);

/* vm_enter() runs a function in a frame of its own with whatever engine its program has. A fault is
 * in run->fault. */
void vm_enter(struct vm_run *run, const struct vm_func *func, const uint64_t args[5], uint64_t *r0);

/*
 * The stack of the checked profile. A frame is zero when it is entered, so that a run depends on nothing but
 * its input, but only as deep as the program's constants reach (prog->stack_bytes): the rest is zeroed when
 * something reaches for it, or when a function is called. vm_frame_open() does this for the frame that
 * run->depth was just counted up for, vm_frame_close() when depth is back, vm_frame_handed() when a tail call
 * gives it to another program.
 */
void vm_frame_open(struct vm_run *run, const struct vm_prog *prog);
void vm_frame_handed(struct vm_run *run, const struct vm_prog *prog);
void vm_frame_close(struct vm_run *run);

/* vm_values() makes run->value the program's: whatever it was, no address in it is one that died. */
static inline void vm_values(struct vm_run *run, const struct vm_prog *prog)
{
	if (likely(run->found_by == prog && run->found_stamp == prog->stamp))
		return;
	__builtin_memcpy(run->value, prog->value, sizeof(run->value));
	run->found_by = prog;
	run->found_stamp = prog->stamp;
}

/*
 * vm_find() looks for the region of an access of 1 << lg bytes in all slots, then asks the env;
 * returns the slot, or -1 with the fault written. prog and pc are only for the fault.
 */
int vm_find(struct vm_run *run, const struct vm_prog *prog, uint32_t pc, uint64_t addr, unsigned int lg,
	    bool write);
/* vm_find_span() looks for a region that len bytes lie in; -1 without a fault. */
int vm_find_span(struct vm_run *run, uint64_t addr, uint64_t len, bool write);
/* vm_key_ok() looks for the region of a key, argument 2 of a lookup at pc; -1 with the fault written. */
int vm_key_find(struct vm_run *run, uint32_t pc, uint64_t addr, uint64_t len);
/* vm_args_ok() holds the arguments of a helper against its description; r is r0 to r5. */
bool vm_args_ok(struct vm_run *run, const struct vm_helper *helper, const uint64_t *r);
/* What a tail call is called, and which arguments it has. */
extern const struct vm_helper vm_tail_call;
/* vm_tail_args_ok() does it for a tail call. */
bool vm_tail_args_ok(struct vm_run *run, const uint64_t *r);
void vm_fault_at(struct vm_run *run, const struct vm_prog *prog, uint32_t pc, enum vm_fault_reason reason,
		 uint64_t addr, uint64_t size);

/* vm_jit_compile() makes prog->code and the functions' entries. -EOPNOTSUPP where there is no
 * compiler. */
int vm_jit_compile(struct vm_prog *prog, const struct vm_prog_spec *spec, struct sluice_err *err);
void vm_jit_free(struct vm_prog *prog);
/* vm_jit_run() runs compiled code in the frame that the caller made. */
uint64_t vm_jit_run(struct vm_run *run, const struct vm_func *func, const uint64_t args[5]);

#endif
