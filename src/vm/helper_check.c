// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What can be told of a program's helper calls before it runs: maps that programs may not write to. Where the
 * map in r1 is loaded in a straight line before the call it is known; elsewhere the helper finds out.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "isa/isa.h"
#include "vm/helper.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"

static bool writes_map(int32_t helper)
{
	return helper == BPF_FUNC_map_update_elem || helper == BPF_FUNC_map_delete_elem ||
	       helper == BPF_FUNC_map_push_elem || helper == BPF_FUNC_map_pop_elem;
}

static bool is_call(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_CALL);
}

/* May it leave something else in r1? */
static bool changes_r1(const struct bpf_insn *i)
{
	uint8_t class = BPF_CLASS(i->code);

	if (class == BPF_STX && BPF_MODE(i->code) == BPF_ATOMIC)
		return i->src_reg == BPF_REG_1;
	if (class == BPF_ST || class == BPF_STX)
		return false;
	return is_call(i) || (class != BPF_JMP && class != BPF_JMP32 && i->dst_reg == BPF_REG_1);
}

/* The place of the instruction that loaded the map a call has in r1; -1: not known. */
static int64_t loaded_at(const struct bpf_insn *insns, const uint8_t *entered, uint32_t call)
{
	uint32_t pc = call;

	while (pc && !entered[pc]) {
		pc--;
		if (pc && isa_is_wide(&insns[pc - 1])) /* its second half */
			pc--;
		if (BPF_CLASS(insns[pc].code) == BPF_JMP && !is_call(&insns[pc]))
			return -1;
		if (changes_r1(&insns[pc]))
			return isa_is_wide(&insns[pc]) && insns[pc].src_reg == BPF_PSEUDO_MAP_FD ? (int64_t)pc : -1;
	}
	return -1;
}

/* Where the program may come to by other ways than from the instruction before. */
static void mark_entries(const struct bpf_insn *insns, uint32_t n, uint8_t *entered)
{
	uint32_t pc;

	for (pc = 0; pc < n; pc += isa_is_wide(&insns[pc]) ? 2 : 1) {
		int64_t to = isa_target(insns, pc);

		if (to >= 0 && to < n)
			entered[to] = 1;
	}
}

int helper_check(struct vm_program *p, struct sluice_err *err)
{
	const struct bpf_insn *insns;
	uint32_t n, pc;
	uint8_t *entered;
	struct obj *obj;
	int64_t at;
	int e = 0;

	insns = vm_prog_insns(p->code, &n);
	entered = calloc(n, 1);
	if (!entered)
		return err_nomem(err);
	mark_entries(insns, n, entered);
	for (pc = 0; pc < n && !e; pc += isa_is_wide(&insns[pc]) ? 2 : 1) {
		if (!is_call(&insns[pc]) || insns[pc].src_reg || !writes_map(insns[pc].imm))
			continue;
		at = loaded_at(insns, entered, pc);
		if (at < 0 || obj_of_fd(p->vm, insns[at].imm, OBJ_MAP, &obj))
			continue;
		if (((struct map *)obj)->flags & BPF_F_RDONLY_PROG)
			e = err_set(err, -EACCES,
				    "instruction %u: %s writes into map %s, which programs may only read", pc,
				    isa_helper_name(insns[pc].imm), ((struct map *)obj)->name);
		obj_put(obj);
	}
	free(entered);
	return e;
}
