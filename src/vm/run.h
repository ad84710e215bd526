/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Running a loaded program: the memory it may touch, how long it may take, and what went wrong.
 *
 * One struct vm_run serves one thread, for as many runs as it likes. Before a run the caller says
 * where packet and context are (vm_run_region()); while the program runs, the few slots of region[]
 * are all that a check looks at, and env->region() is asked for what is not in them: map values,
 * ring buffer records.
 *
 *     caller                       engine                            env (upper half)
 *     vm_run_init
 *     vm_run_region(CTX, PACKET)
 *     vm_exec ------------------>  load [r1+4]  in a slot? yes
 *                                  call helper  ------------------->  fn(a1..a5, run)
 *                                  load [r0]    in a slot? no  ---->  region(): the value at r0
 *                                  tail call    ------------------->  tail(): the next program
 *     r0, or run->fault  <-------  exit
 */
#ifndef VM_RUN_H
#define VM_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/prog.h"

#define VM_FRAMES 8	   /* main program and seven calls deep, as in the kernel */
#define VM_FRAME_BYTES 512 /* stack of each */
#define VM_TAIL_CALLS 33   /* in one run */
#define VM_MAY_GOTO                                                                                 \
	8388608 /* times that may_goto is not taken in one run; the kernel's before 6.15, there for \
		   each function's frame */
#define VM_REGIONS                                                                                \
	16 /* slots; the first three have their places, the rest remember what env->region() said \
	    */
#define VM_BUDGET (1u << 30) /* instructions of one run unless the caller says otherwise: a few seconds */

enum vm_region_kind {
	VM_REGION_STACK, /* the slot's number, too */
	VM_REGION_CTX,
	VM_REGION_PACKET, /* from data_meta (or data) to data_end */
	VM_REGION_MORE,	  /* a second piece of the caller's own, e.g. the argument of a raw program */
	VM_REGION_SLOTS,  /* first slot of the memory */
	VM_REGION_VALUE = VM_REGION_SLOTS,
	VM_REGION_RECORD,
	VM_REGION_OTHER,
};

#define VM_VALUES 12 /* lookups of a compiled program whose results it remembers */

/* Live memory. reads[i], writes[i]: how many offsets an access of 1 << i bytes may start at; read_end,
 * write_end: where an access must end; filled by vm_region_make(). */
struct vm_region {
	uint64_t start;
	uint64_t reads[4], writes[4];
	uint64_t read_end, write_end;
	uint64_t len;
	const char *name; /* of the map, for faults; may be NULL */
	uint8_t kind;	  /* enum vm_region_kind */
};
struct vm_region vm_region_make(enum vm_region_kind kind, const void *start, uint64_t len, bool writable,
				const char *name);

/* Asked while a program runs. Each may be NULL: no such thing then. */
struct vm_env {
	/* the live region that addr lies in (not the three the caller set): one map value, one ring
	 * record; false: none */
	bool (*region)(struct vm_run *run, uint64_t addr, struct vm_region *region);
	/* a tail call: the program in slot index, NULL to go on in the present one */
	const struct vm_prog *(*tail)(struct vm_run *run, uint64_t map, uint32_t index);
	/* sizes of a map's key and value; false: this is no map */
	bool (*map_sizes)(struct vm_run *run, uint64_t map, uint32_t *key_bytes, uint32_t *value_bytes);
};

enum vm_fault_reason {
	VM_FAULT_NONE,
	VM_FAULT_READ,	   /* load outside of every region */
	VM_FAULT_WRITE,	   /* store outside, or into something read-only */
	VM_FAULT_ALIGN,	   /* atomic operation on an address that is no multiple of its size */
	VM_FAULT_ARG_READ, /* helper argument: memory the helper would read */
	VM_FAULT_ARG_WRITE,
	VM_FAULT_ARG_MAP,  /* helper argument: no map */
	VM_FAULT_ARG_CTX,  /* helper argument: not the context */
	VM_FAULT_ARG_SIZE, /* helper argument: absurd size */
	VM_FAULT_ARG_FUNC, /* helper argument: no function of this program */
	VM_FAULT_BUDGET,   /* ran too long */
	VM_FAULT_FRAMES,   /* called too deep */
	VM_FAULT_HELPER,   /* a helper gave up: vm_run_fail() */
};

struct vm_fault {
	uint8_t reason; /* enum vm_fault_reason */
	uint8_t arg;	/* 1..5, of VM_FAULT_ARG_* */
	bool has_pc;	/* pc is known */
	uint32_t pc;	/* index of the instruction, as loaded */
	const struct vm_prog *prog;
	uint64_t addr, size; /* of the access */
	struct vm_region near;
	bool has_near;
	const char *what; /* name of the helper, or what vm_run_fail() was told; constant */
};

/*
 * Somebody who looks on while a program runs: traces, coverage. With run->watch set every program, of
 * whatever engine, runs on a third interpreter that checks each access (the caller's regions must be
 * right for trusted programs, too); without it nothing is slower. Both may end the run with
 * vm_run_fail().
 */
struct vm_watch {
	/* before each instruction; pc is its index as loaded (a 64-bit immediate counts two), reg r0 to
	 * r10, frames deep: run->depth */
	void (*step)(struct vm_watch *watch, struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
		     const uint64_t reg[11]);
	/* after each helper and kernel function, with the arguments it got; may be NULL. A tail call that is
	 * taken does not return: the next step is another program's */
	void (*called)(struct vm_watch *watch, struct vm_run *run, const struct vm_helper *helper,
		       const uint64_t args[5], uint64_t ret);
};

struct vm_run {
	/* the engines' own, in the order in which they are hot */
	struct vm_region region[VM_REGIONS];
	int64_t budget; /* instructions left; charged at backward jumps (their length) and calls
			   (the function's length) */
	const struct vm_prog *prog;
	const struct vm_env *env;
	struct vm_watch *watch; /* set after vm_run_init(), not while a program runs; NULL: nobody */
	uint64_t ctx;		/* r1 at the start: what VM_ARG_CTX means */
	int64_t may_goto;	/* times left that it is not taken */
	uint32_t pc;		/* of the helper call under way, if known */
	uint32_t depth;		/* frames in use */
	uint32_t clean;	 /* checked: bytes of the last frame that are program's or zero; the rest is as it was
			    left */
	uint32_t tails;	 /* tail calls made */
	uint32_t victim; /* slot that is given away next */
	uint32_t used;	 /* highest slot given away in this run, 0: none */
	void *unwind;	 /* compiled code: stack pointer to go back to on a fault */
	/* compiled and checked: where the last value lies that each lookup of the program `found_by` found */
	uint64_t value[VM_VALUES];
	const struct vm_prog *found_by;
	uint64_t found_stamp;
	uint64_t handed; /* compiled code: what a tail call into another engine returned */
	struct vm_fault fault;
	/* the upper half's own: clock, CPU number, redirect target, ... */
	void *host;
	_Alignas(16) uint8_t stack[VM_FRAMES * VM_FRAME_BYTES];
};

/* vm_run_init() sets everything up once; budget = VM_BUDGET, no region but the stack. env must
 * outlive run. */
void vm_run_init(struct vm_run *run, const struct vm_env *env, void *host);

/* vm_run_region() sets one of the caller's slots (VM_REGION_CTX, _PACKET, _MORE); len 0: none.
 * Helpers that move packet edges call it, too. */
void vm_run_region(struct vm_run *run, enum vm_region_kind slot, const void *start, uint64_t len,
		   bool writable);

/* vm_run_forget() drops what was remembered about memory that overlaps [start, start + len): a ring
 * record submitted. */
void vm_run_forget(struct vm_run *run, const void *start, uint64_t len);

/*
 * vm_run_mem() says whether a helper may touch len bytes at addr; always true in the trusted
 * profile. On false the fault is written (arg: 1..5, which argument) and the helper returns at once
 * with any value.
 */
bool vm_run_mem(struct vm_run *run, uint64_t addr, uint64_t len, bool write, int arg);

/*
 * vm_run_charge() takes from the budget what a helper is about to do, in instructions that would do as much. On false the
 * budget is used up, the fault is written, and the helper returns at once. Trusted programs are not charged.
 */
bool vm_run_charge(struct vm_run *run, uint64_t work);

/* vm_run_fail() ends the run from within a helper, which then returns at once; what is a constant
 * sentence. */
void vm_run_fail(struct vm_run *run, const char *what);

/*
 * vm_exec() runs a program from its first instruction.
 *
 * in:      r1, r2   r1 is the context
 *          run->budget instructions left; set it before each run, or let it go on falling
 * out:     *r0      what the program returned, 0 after a fault
 * errors:  -EFAULT  run->fault says why
 * thread:  one run at a time per struct vm_run; no allocation, no lock, no system call of its own
 */
int vm_exec(struct vm_run *run, const struct vm_prog *prog, uint64_t r1, uint64_t r2, uint64_t *r0);

/*
 * vm_exec_func() runs one function of a program by itself, as vm_exec() runs the first (timers).
 *
 * in:      func     as the program gave it (VM_ARG_FUNC); the program is still loaded
 *          ctx      what VM_ARG_CTX means; it must be a context, also if the function gets none
 */
int vm_exec_func(struct vm_run *run, uint64_t func, uint64_t ctx, const uint64_t args[5], uint64_t *r0);

/*
 * vm_callback() calls a function of the running program from within a helper (bpf_loop,
 * for_each_map_elem, timers).
 *
 * in:      func     as the program gave it (VM_ARG_FUNC)
 * errors:  -EFAULT  the run is over: the helper returns at once
 */
int vm_callback(struct vm_run *run, uint64_t func, const uint64_t args[5], uint64_t *ret);

/* vm_fault_text() writes one sentence: program, instruction, address, nearest region, reason, and the
 * source if the loader knows it. Returns to; the program must still be loaded. */
char *vm_fault_text(const struct vm_fault *fault, char *to, size_t size);

#endif
