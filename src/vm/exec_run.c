// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A run: its regions, the checks that are not on the fast path, faults and what they say. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vm/exec.h"

#define ARG_BYTES_MAX (1u << 29) /* no map value or packet is larger; keeps sums from wrapping */

struct vm_region vm_region_make(enum vm_region_kind kind, const void *start, uint64_t len, bool writable,
				const char *name)
{
	struct vm_region r = {.start = (uintptr_t)start, .len = len, .name = name, .kind = (uint8_t)kind};
	unsigned int lg;

	for (lg = 0; lg < 4; lg++) {
		r.reads[lg] = len >= 1u << lg ? len - (1u << lg) + 1 : 0;
		r.writes[lg] = writable ? r.reads[lg] : 0;
	}
	r.read_end = r.start + len;
	r.write_end = writable ? r.read_end : 0;
	return r;
}

/* Sets the stack's region to the frames in use, of the last one to what is clean. */
static void stack_region(struct vm_run *run)
{
	uint64_t len = (uint64_t)run->depth * VM_FRAME_BYTES - VM_FRAME_BYTES + run->clean;
	uint64_t start = (uintptr_t)run->stack + sizeof(run->stack) - len;
	struct vm_region *r = &run->region[VM_REGION_STACK];
	unsigned int lg;

	/* each run of a program starts with the same one frame */
	if (r->len == len && r->start == start)
		return;
	r->start = start;
	r->len = len;
	r->read_end = r->write_end = start + len;
	for (lg = 0; lg < 4; lg++)
		r->reads[lg] = r->writes[lg] = len ? len - (1u << lg) + 1 : 0;
}

/* Zeroes what is not clean yet of the last frame but `above`. */
static void clean_rest(struct vm_run *run, uint32_t above)
{
	uint8_t *frame = run->stack + (VM_FRAMES - (run->depth - above)) * VM_FRAME_BYTES;

	memset(frame, 0, VM_FRAME_BYTES - run->clean);
	run->clean = VM_FRAME_BYTES;
}

void vm_frame_open(struct vm_run *run, const struct vm_prog *prog)
{
	uint8_t *top = run->stack + (VM_FRAMES + 1 - run->depth) * VM_FRAME_BYTES;
	uint32_t i;

	if (run->depth > 1 && run->clean != VM_FRAME_BYTES)
		clean_rest(run, 1);
	/* a call of memset() costs more than most frames do */
	for (i = 16; i <= prog->stack_bytes; i += 16)
		__builtin_memset(top - i, 0, 16);
	run->clean = prog->stack_bytes;
	stack_region(run);
}

void vm_frame_handed(struct vm_run *run, const struct vm_prog *prog)
{
	if (run->clean >= prog->stack_bytes)
		return;
	clean_rest(run, 0);
	stack_region(run);
}

void vm_frame_close(struct vm_run *run)
{
	if (!run->depth)
		return;
	run->clean = VM_FRAME_BYTES;
	stack_region(run);
}

/* Is addr in the part of the last frame that nobody asked for so far? Then it is from now on. */
static bool deeper(struct vm_run *run, uint64_t addr, uint64_t len)
{
	uint64_t frame = (uintptr_t)run->stack + (VM_FRAMES - run->depth) * (uint64_t)VM_FRAME_BYTES;

	if (!run->depth || run->clean == VM_FRAME_BYTES || len > sizeof(run->stack) || addr + len <= frame ||
	    addr >= frame + VM_FRAME_BYTES - run->clean)
		return false;
	clean_rest(run, 0);
	stack_region(run);
	return true;
}

void vm_run_init(struct vm_run *run, const struct vm_env *env, void *host)
{
	static const struct vm_env nothing;

	memset(run, 0, sizeof(*run));
	run->env = env ? env : &nothing;
	run->host = host;
	run->budget = VM_BUDGET;
	run->victim = VM_REGION_SLOTS;
	run->clean = VM_FRAME_BYTES;
}

void vm_run_region(struct vm_run *run, enum vm_region_kind slot, const void *start, uint64_t len,
		   bool writable)
{
	run->region[slot] = vm_region_make(slot, start, len, writable, NULL);
}

void vm_run_forget(struct vm_run *run, const void *start, uint64_t len)
{
	uint64_t from = (uintptr_t)start;
	unsigned int i;

	for (i = VM_REGION_SLOTS; i < VM_REGIONS; i++)
		if (run->region[i].start < from + len && from < run->region[i].start + run->region[i].len)
			run->region[i] = (struct vm_region){0};
}

/* The region that bytes [addr, addr + len) lie in: a slot's number, or -1. len 0 asks for nothing. */
static int find(struct vm_run *run, uint64_t addr, uint64_t len, bool write)
{
	struct vm_region *r, found;
	unsigned int i;

	for (i = 0; i < VM_REGIONS; i++) {
		r = &run->region[i];
		if (addr - r->start < r->len && len <= r->len - (addr - r->start) &&
		    (write ? r->writes[0] : r->reads[0]))
			return (int)i;
	}
	if (deeper(run, addr, len))
		return find(run, addr, len, write);
	if (!run->env->region || !run->env->region(run, addr, &found))
		return -1;
	if (addr - found.start >= found.len || len > found.len - (addr - found.start) ||
	    !(write ? found.writes[0] : found.reads[0]))
		return -1;
	i = run->victim;
	run->used = i > run->used ? i : run->used;
	run->victim = i + 1 < VM_REGIONS ? i + 1 : VM_REGION_SLOTS;
	run->region[i] = found;
	return (int)i;
}

static uint64_t gap(const struct vm_region *r, uint64_t addr)
{
	if (addr < r->start)
		return r->start - addr;
	return addr - r->start < r->len ? 0 : addr - (r->start + r->len) + 1;
}

void vm_fault_at(struct vm_run *run, const struct vm_prog *prog, uint32_t pc, enum vm_fault_reason reason,
		 uint64_t addr, uint64_t size)
{
	struct vm_fault *f = &run->fault;
	struct vm_region more;
	unsigned int i;

	if (f->reason)
		return;
	/* as it is described: 512 bytes */
	if (run->depth && run->clean != VM_FRAME_BYTES) {
		clean_rest(run, 0);
		stack_region(run);
	}
	*f = (struct vm_fault){.reason = (uint8_t)reason,
			       .has_pc = true,
			       .pc = pc,
			       .prog = prog,
			       .addr = addr,
			       .size = size};
	for (i = 0; i < VM_REGIONS; i++) {
		if (!run->region[i].len || (f->has_near && gap(&run->region[i], addr) >= gap(&f->near, addr)))
			continue;
		f->near = run->region[i];
		f->has_near = true;
	}
	/* compiled code knows what it looked up by address only */
	for (i = 0; i < VM_VALUES && run->env->region && run->found_by == prog && !prog->trusted; i++) {
		if (!run->value[i] || !run->env->region(run, run->value[i], &more) ||
		    (f->has_near && gap(&more, addr) >= gap(&f->near, addr)))
			continue;
		f->near = more;
		f->has_near = true;
	}
	/* the region that it starts in is nearer than any other, also if it ends too soon or is
	 * read-only */
	if (run->env->region && run->env->region(run, addr, &more)) {
		f->near = more;
		f->has_near = true;
	}
}

int vm_find(struct vm_run *run, const struct vm_prog *prog, uint32_t pc, uint64_t addr, unsigned int lg,
	    bool write)
{
	int slot = find(run, addr, 1u << lg, write);

	if (slot < 0)
		vm_fault_at(run, prog, pc, write ? VM_FAULT_WRITE : VM_FAULT_READ, addr, 1u << lg);
	return slot;
}

int vm_find_span(struct vm_run *run, uint64_t addr, uint64_t len, bool write)
{
	int slot = find(run, addr, len, write);

	/* some of a group that writes may read */
	return slot < 0 || run->region[slot].reads[0] ? slot : -1;
}

static bool bad_arg(struct vm_run *run, int arg, enum vm_fault_reason reason, uint64_t addr, uint64_t size)
{
	vm_fault_at(run, run->prog, run->pc, reason, addr, size);
	run->fault.arg = (uint8_t)arg;
	return false;
}

/* A helper that is given memory goes through it. */
#define WORK_BYTES 16 /* as much as an instruction, about */

static bool mem_ok(struct vm_run *run, uint64_t addr, uint64_t len, bool write, int arg)
{
	if (len > ARG_BYTES_MAX)
		return bad_arg(run, arg, VM_FAULT_ARG_SIZE, addr, len);
	if (len && find(run, addr, len, write) < 0)
		return bad_arg(run, arg, write ? VM_FAULT_ARG_WRITE : VM_FAULT_ARG_READ, addr, len);
	return len < WORK_BYTES || vm_run_charge(run, len / WORK_BYTES);
}

int vm_key_find(struct vm_run *run, uint32_t pc, uint64_t addr, uint64_t len)
{
	int slot = find(run, addr, len, false);

	if (slot >= 0)
		return slot;
	run->pc = pc;
	bad_arg(run, 2, VM_FAULT_ARG_READ, addr, len);
	run->fault.what = "map_lookup_elem";
	return -1;
}

bool vm_run_charge(struct vm_run *run, uint64_t work)
{
	if (run->prog->trusted && !run->watch)
		return true;
	run->budget -= work > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)work;
	if (likely(run->budget >= 0))
		return true;
	vm_fault_at(run, run->prog, run->pc, VM_FAULT_BUDGET, 0, 0);
	return false;
}

bool vm_run_mem(struct vm_run *run, uint64_t addr, uint64_t len, bool write, int arg)
{
	return (run->prog->trusted && !run->watch) || mem_ok(run, addr, len, write, arg);
}

static bool is_func(const struct vm_prog *prog, uint64_t func)
{
	uint64_t off = func - (uintptr_t)prog->funcs;

	return off < prog->n_funcs * sizeof(struct vm_func) && off % sizeof(struct vm_func) == 0;
}

static bool map_ok(struct vm_run *run, uint64_t map, int arg, uint32_t size[2])
{
	return (run->env->map_sizes && run->env->map_sizes(run, map, &size[0], &size[1])) ||
	       bad_arg(run, arg, VM_FAULT_ARG_MAP, map, 0);
}

static bool arg_ok(struct vm_run *run, const struct vm_helper *h, const uint64_t *r, int n, uint32_t map[2])
{
	uint64_t v = r[n];

	switch ((enum vm_arg)h->arg[n - 1]) {
	case VM_ARG_ANY:
		return true;
	case VM_ARG_CTX:
		return v == run->ctx || bad_arg(run, n, VM_FAULT_ARG_CTX, v, 0);
	case VM_ARG_MAP:
		return map_ok(run, v, n, map);
	case VM_ARG_KEY:
		return mem_ok(run, v, map[0], false, n);
	case VM_ARG_VALUE:
		return mem_ok(run, v, map[1], false, n);
	case VM_ARG_VALUE_OUT:
		return mem_ok(run, v, map[1], true, n);
	case VM_ARG_MEM:
	case VM_ARG_MEM_OUT:
		/* the size is a u32 in most helpers' C, but the register is what the kernel's
		 * verifier bounds */
		return n == 5 || mem_ok(run, v, r[n + 1], h->arg[n - 1] == VM_ARG_MEM_OUT, n);
	case VM_ARG_MEM_OR_NULL:
		return n == 5 || (!v && !r[n + 1]) || mem_ok(run, v, r[n + 1], false, n);
	case VM_ARG_SIZE:
		return v <= ARG_BYTES_MAX || bad_arg(run, n, VM_FAULT_ARG_SIZE, 0, v);
	case VM_ARG_FIXED:
	case VM_ARG_FIXED_OUT:
		return mem_ok(run, v, h->size[n - 1], h->arg[n - 1] == VM_ARG_FIXED_OUT, n);
	case VM_ARG_FUNC:
		return is_func(run->prog, v) || bad_arg(run, n, VM_FAULT_ARG_FUNC, v, 0);
	}
	return true;
}

bool vm_args_ok(struct vm_run *run, const struct vm_helper *helper, const uint64_t *r)
{
	uint32_t map[2] = {0};
	int n;

	for (n = 1; n <= 5; n++)
		if (helper->arg[n - 1] != VM_ARG_ANY && !arg_ok(run, helper, r, n, map)) {
			run->fault.what = helper->name;
			return false;
		}
	return true;
}

const struct vm_helper vm_tail_call = {.name = "tail_call", .arg = {VM_ARG_CTX, VM_ARG_MAP}};

bool vm_tail_args_ok(struct vm_run *run, const uint64_t *r)
{
	return vm_args_ok(run, &vm_tail_call, r);
}

void vm_run_fail(struct vm_run *run, const char *what)
{
	vm_fault_at(run, run->prog, run->pc, VM_FAULT_HELPER, 0, 0);
	run->fault.what = what;
}

void vm_enter(struct vm_run *run, const struct vm_func *func, const uint64_t args[5], uint64_t *r0)
{
	const struct vm_prog *p = func->prog, *before = run->prog;
	uint32_t depth = run->depth;

	run->depth++;
	if (!p->trusted || run->watch)
		vm_frame_open(run, p);
	else
		run->clean = VM_FRAME_BYTES; /* its own business */
	if (run->watch) {
		vm_interp_watched(run, func, args, r0);
	} else if (p->engine == VM_ENGINE_JIT) {
		run->prog = p;
		vm_values(run, p);
		*r0 = vm_jit_run(run, func, args);
	} else {
		(p->trusted ? vm_interp_trusted : vm_interp_checked)(run, func, args, r0);
	}
	run->depth = depth;
	run->prog = before;
	if (before && (!before->trusted || run->watch)) {
		vm_frame_close(run);
		vm_values(run, before);
	}
}

int vm_exec_func(struct vm_run *run, uint64_t func, uint64_t ctx, const uint64_t args[5], uint64_t *r0)
{
	unsigned int i;

	/* what the last run remembered may have been freed since */
	for (i = VM_REGION_SLOTS; i <= run->used; i++)
		run->region[i] = (struct vm_region){0};
	run->used = 0;
	run->victim = VM_REGION_SLOTS;
	run->fault.reason = VM_FAULT_NONE;
	run->ctx = ctx;
	run->depth = 0;
	run->tails = 0;
	run->may_goto = VM_MAY_GOTO;
	vm_enter(run, (const struct vm_func *)(uintptr_t)func, args, r0);
	if (!run->fault.reason)
		return 0;
	*r0 = 0;
	return -EFAULT;
}

int vm_exec(struct vm_run *run, const struct vm_prog *prog, uint64_t r1, uint64_t r2, uint64_t *r0)
{
	const uint64_t args[5] = {r1, r2};

	return vm_exec_func(run, (uintptr_t)prog->funcs, r1, args, r0);
}

int vm_callback(struct vm_run *run, uint64_t func, const uint64_t args[5], uint64_t *ret)
{
	const struct vm_func *f = (const struct vm_func *)(uintptr_t)func;
	uint32_t pc = run->pc;

	*ret = 0;
	if ((!run->prog->trusted || run->watch) && !is_func(run->prog, func)) {
		bad_arg(run, 0, VM_FAULT_ARG_FUNC, func, 0);
		return -EFAULT;
	}
	run->budget -= f->len;
	if (run->budget < 0)
		vm_fault_at(run, f->prog, f->pc, VM_FAULT_BUDGET, 0, 0);
	else if (run->depth >= VM_FRAMES)
		vm_fault_at(run, f->prog, f->pc, VM_FAULT_FRAMES, 0, 0);
	else
		vm_enter(run, f, args, ret);
	run->pc = pc;
	return run->fault.reason ? -EFAULT : 0;
}

#define NULL_BYTES 4096 /* no memory is there; members of what was not found would be */

static const char *region_name(const struct vm_region *r)
{
	static const char *const names[] =
		{[VM_REGION_STACK] = "the stack",	[VM_REGION_CTX] = "the context",
		 [VM_REGION_PACKET] = "the packet",	[VM_REGION_MORE] = "the memory",
		 [VM_REGION_VALUE] = "a value of map ", [VM_REGION_RECORD] = "a record of map ",
		 [VM_REGION_OTHER] = "memory of "};

	return r->kind < sizeof(names) / sizeof(*names) ? names[r->kind] : "memory";
}

/* "2 bytes behind the end of the packet (64 bytes)" */
static size_t say_near(const struct vm_fault *f, char *to, size_t size)
{
	const struct vm_region *r = &f->near;
	const char *map = r->kind >= VM_REGION_SLOTS && r->name ? r->name : "";
	int n;

	if (f->addr < NULL_BYTES)
		n = f->addr ? snprintf(to, size, ", %" PRIu64 " bytes behind a null pointer", f->addr)
			    : snprintf(to, size, ", a null pointer");
	else if (-f->addr <= NULL_BYTES)
		n = snprintf(to, size, ", %" PRIu64 " bytes before a null pointer", -f->addr);
	else if (!f->has_near)
		n = snprintf(to, size, ", which no memory of this program is near to");
	else if (f->addr < r->start)
		n = snprintf(to, size, ", %" PRIu64 " bytes before %s%s (%" PRIu64 " bytes)",
			     r->start - f->addr, region_name(r), map, r->len);
	else if (f->addr - r->start >= r->len)
		n = snprintf(to, size, ", %" PRIu64 " bytes behind the end of %s%s (%" PRIu64 " bytes)",
			     f->addr - r->start - r->len, region_name(r), map, r->len);
	else
		n = snprintf(to, size, ", at offset %" PRIu64 " of %s%s (%" PRIu64 " bytes%s)",
			     f->addr - r->start, region_name(r), map, r->len,
			     r->writes[0] ? "" : ", read-only");
	return n > 0 ? (size_t)n : 0;
}

static void say_what(const struct vm_fault *f, char *to, size_t size)
{
	static const char *const what[] = {
		[VM_FAULT_READ] = "reads",
		[VM_FAULT_WRITE] = "writes",
		[VM_FAULT_ALIGN] = "does an atomic operation on",
	};
	int n = 0;

	switch ((enum vm_fault_reason)f->reason) {
	case VM_FAULT_READ:
	case VM_FAULT_WRITE:
	case VM_FAULT_ALIGN:
		n = snprintf(to, size, "%s %" PRIu64 " bytes at 0x%" PRIx64, what[f->reason], f->size,
			     f->addr);
		break;
	case VM_FAULT_ARG_READ:
	case VM_FAULT_ARG_WRITE:
		n = snprintf(to, size,
			     "argument %u of %s must point to %" PRIu64 " %s bytes but is 0x%" PRIx64, f->arg,
			     f->what ? f->what : "a helper", f->size,
			     f->reason == VM_FAULT_ARG_READ ? "readable" : "writable", f->addr);
		break;
	case VM_FAULT_ARG_MAP:
	case VM_FAULT_ARG_CTX:
	case VM_FAULT_ARG_FUNC:
		snprintf(to, size, "argument %u of %s must be %s but is 0x%" PRIx64, f->arg,
			 f->what ? f->what : "a helper",
			 f->reason == VM_FAULT_ARG_MAP	 ? "a map"
			 : f->reason == VM_FAULT_ARG_CTX ? "the context"
							 : "a function of the program",
			 f->addr);
		return;
	case VM_FAULT_ARG_SIZE:
		snprintf(to, size, "argument %u of %s is an absurd size, %" PRIu64, f->arg,
			 f->what ? f->what : "a helper", f->size);
		return;
	case VM_FAULT_BUDGET:
		snprintf(to, size, "ran longer than its budget of instructions");
		return;
	case VM_FAULT_FRAMES:
		snprintf(to, size, "calls deeper than %d functions", VM_FRAMES);
		return;
	case VM_FAULT_HELPER:
		snprintf(to, size, "%s", f->what ? f->what : "a helper gave up");
		return;
	case VM_FAULT_NONE:
		snprintf(to, size, "no fault");
		return;
	}
	if (n > 0 && (size_t)n < size) {
		if (f->reason == VM_FAULT_ALIGN)
			snprintf(to + n, size - (size_t)n, ", which is no multiple of its size");
		else
			say_near(f, to + n, size - (size_t)n);
	}
}

char *vm_fault_text(const struct vm_fault *fault, char *to, size_t size)
{
	char what[256], insn[96], line[256];
	const struct vm_prog *p = fault->prog;
	bool has_line;

	say_what(fault, what, sizeof(what));
	if (p && fault->has_pc && fault->pc < p->n_insns) {
		has_line = vm_prog_line(p, fault->pc, line, sizeof(line));
		snprintf(to, size, "%s%sinstruction %u, %s: %s%s%s", p->name, p->name[0] ? ": " : "",
			 fault->pc,
			 isa_print(&p->insns[fault->pc], p->n_insns - fault->pc, insn, sizeof(insn)), what,
			 has_line ? "; at " : "", has_line ? line : "");
	} else {
		snprintf(to, size, "%s", what);
	}
	return to;
}
