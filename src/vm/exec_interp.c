// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The interpreter: decoded instructions that hold the address of their handler, each handler
 * jumping to the next one's. Three of it, from one text: without checks, with them, and with somebody
 * watching.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "vm/exec.h"

#define MEM(type)           \
	struct mem_##type { \
		type v;     \
	} __attribute__((packed, may_alias))
MEM(uint8_t);
MEM(uint16_t);
MEM(uint32_t);
MEM(uint64_t);
MEM(int8_t);
MEM(int16_t);
MEM(int32_t);

/* What a local call keeps for its caller: r6 to r10. */
struct frame {
	const struct vm_op *ip;
	const struct vm_prog *prog;
	uint64_t r[5];
};

static inline uint8_t *frame_top(struct vm_run *run)
{
	return run->stack + (VM_FRAMES + 1 - run->depth) * VM_FRAME_BYTES;
}

/* The instruction set's division: by zero gives 0, the remainder leaves the dividend; the one
 * overflow wraps. */
static inline uint64_t sdiv64(uint64_t a, uint64_t b)
{
	if (b + 1 <= 1)
		return b ? 0 - a : 0;
	return (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint64_t smod64(uint64_t a, uint64_t b)
{
	if (b + 1 <= 1)
		return b ? 0 : a;
	return (uint64_t)((int64_t)a % (int64_t)b);
}

static inline uint32_t sdiv32(uint32_t a, uint32_t b)
{
	if (b + 1 <= 1)
		return b ? 0 - a : 0;
	return (uint32_t)((int32_t)a / (int32_t)b);
}

static inline uint32_t smod32(uint32_t a, uint32_t b)
{
	if (b + 1 <= 1)
		return b ? 0 : a;
	return (uint32_t)((int32_t)a % (int32_t)b);
}

/* An access missed the slot that this instruction hit last: find another, remember it. */
static __attribute__((noinline, cold)) bool miss(struct vm_run *run, const struct vm_prog *prog,
						 const struct vm_op *ip, uint64_t addr, unsigned int lg,
						 bool write)
{
	int slot = vm_find(run, prog, (uint32_t)(ip - prog->ops), addr, lg, write);

	if (slot < 0)
		return false;
	/* programs are shared by threads: a stale hint costs a search, never a wrong answer */
	__atomic_store_n((uint8_t *)&ip->hint, (uint8_t)slot, __ATOMIC_RELAXED);
	return true;
}

#define BACK_ALU64_K(n) NULL
#define BACK_ALU64_X(n) NULL
#define BACK_ALU32_K(n) NULL
#define BACK_ALU32_X(n) NULL
#define BACK_MOV_K(n) NULL
#define BACK_MOV_X(n) NULL
#define BACK_UNARY(n) NULL
#define BACK_JUMP64_K(n) &&back_##n
#define BACK_JUMP64_X(n) &&back_##n
#define BACK_JUMP32_K(n) &&back_##n
#define BACK_JUMP32_X(n) &&back_##n
#define BACK_GOTO(n) &&back_##n
#define BACK_GOTOL(n) &&back_##n
#define BACK_MAY_GOTO(n) &&back_##n
#define BACK_CALL(n) NULL
#define BACK_CALL_LOCAL(n) NULL
#define BACK_CALL_KFUNC(n) NULL
#define BACK_EXIT(n) NULL
#define BACK_LD64(n) NULL
#define BACK_LOAD(n) NULL
#define BACK_STORE_K(n) NULL
#define BACK_STORE_X(n) NULL
#define BACK_ATOMIC(n) NULL
#define BACK_FETCH(n) NULL
#define BACK_CMPXCHG(n) NULL
#define BACK_ACQUIRE(n) NULL
#define BACK_RELEASE(n) NULL
#define BACK_REFUSED(n) NULL

#define LOOP_NAME vm_interp_trusted
#define LOOP_CHECKED 0
#define LOOP_WATCHED 0
#define LOOP_FRAME(run, prog) (void)0
#include "vm/exec_loop.h"

#define LOOP_NAME vm_interp_checked
#define LOOP_CHECKED 1
#define LOOP_WATCHED 0
#define LOOP_FRAME(run, prog) vm_frame_open(run, prog)
#include "vm/exec_loop.h"

#define LOOP_NAME vm_interp_watched
#define LOOP_CHECKED 1
#define LOOP_WATCHED 1
#define LOOP_FRAME(run, prog) vm_frame_open(run, prog)
#include "vm/exec_loop.h"
