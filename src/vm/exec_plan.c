// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What can be known about a program before it is compiled: see exec_plan.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/exec_plan.h"

/* What is known about the registers at one instruction. */
struct known {
	uint8_t kind[ISA_REGS];
	bool is_map[ISA_REGS], is_frame[ISA_REGS];
	uint64_t map[ISA_REGS]; /* the map's address */
	int32_t off[ISA_REGS];	/* from the frame pointer */
};

/* isa_decode() was asked when the program was loaded. */
static enum isa_id id_at(const struct vm_prog *p, uint32_t pc)
{
	uint16_t n = p->which[pc];

	return n == VM_HANDLER_TAIL ? ISA_CALL : n >= VM_HANDLER_BACK ? n - VM_HANDLER_BACK : n;
}

bool plan_access(const struct bpf_insn *i, uint8_t *base, uint32_t *bytes, bool *write)
{
	static const uint8_t size[] = {[BPF_W >> 3] = 4,
				       [BPF_H >> 3] = 2,
				       [BPF_B >> 3] = 1,
				       [BPF_DW >> 3] = 8};
	uint8_t class = BPF_CLASS(i->code);

	if (class != BPF_LDX && class != BPF_ST && class != BPF_STX)
		return false;
	*write = class != BPF_LDX &&
		 (class == BPF_ST || BPF_MODE(i->code) != BPF_ATOMIC || i->imm != ISA_LOAD_ACQUIRE);
	*base = *write ? i->dst_reg : i->src_reg;
	*bytes = size[BPF_SIZE(i->code) >> 3];
	return true;
}

uint32_t plan_stack_bytes(const struct bpf_insn *insns, uint32_t n)
{
	int32_t deep = 0, off;
	uint32_t pc, bytes;
	uint8_t base;
	bool write;

	for (pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &insns[pc];

		off = 0;
		if (plan_access(i, &base, &bytes, &write) && base == 10)
			off = i->off;
		else if (BPF_CLASS(i->code) == BPF_ALU64 && i->src_reg == 10 && BPF_OP(i->code) == BPF_MOV &&
			 pc + 1 < n && i[1].code == (BPF_ALU64 | BPF_ADD | BPF_K) &&
			 i[1].dst_reg == i->dst_reg && i[1].imm < 0)
			off = i[1].imm < -VM_FRAME_BYTES ? -VM_FRAME_BYTES : i[1].imm;
		deep = off < deep ? off : deep;
		pc += isa_is_wide(i);
	}
	/* whole pieces of 16 bytes; what reaches further finds out while it runs */
	return deep < -VM_FRAME_BYTES ? VM_FRAME_BYTES : ((uint32_t)-deep + 15) & ~15u;
}

static uint64_t pack(const struct known *k)
{
	uint64_t v = 1; /* so that it is not 0 */
	unsigned int r;

	for (r = 0; r < 10; r++)
		v = v << 5 | k->kind[r];
	return v;
}

static void unpack(struct known *k, uint64_t v)
{
	unsigned int r;

	for (r = 10; r-- > 0; v >>= 5)
		k->kind[r] = v & 31;
}

static void forget(struct known *k, unsigned int r)
{
	k->kind[r] = PLAN_ANY;
	k->is_map[r] = k->is_frame[r] = false;
}

/* Control may come from elsewhere: what was proved does not hold. */
static void forget_proofs(struct known *k)
{
	memset(k->is_map, 0, sizeof(k->is_map));
	memset(k->is_frame, 0, sizeof(k->is_frame));
	k->is_frame[10] = true;
}

static void start_function(struct known *k, bool main_function)
{
	memset(k, 0, sizeof(*k));
	k->kind[1] = main_function ? PLAN_CTX : PLAN_ANY;
	k->kind[10] = PLAN_STACK;
	k->is_frame[10] = true;
}

static void lookup(struct plan *p, const struct known *k, uint32_t pc, uint8_t *kind)
{
	const struct vm_linker *l = p->spec->linker;
	struct plan_lookup *to = &p->lookups[p->n_lookups];

	if (!k->is_map[1] || !l || !l->lookup || !l->lookup(p->spec->owner, k->map[1], &to->how))
		return;
	to->key_known = k->is_frame[2] && k->off[2] >= -(int32_t)p->prog->stack_bytes &&
			k->off[2] <= -(int32_t)to->how.key_bytes;
	to->value = PLAN_VALUES;
	if (to->how.any_value && to->how.value_bytes <= INT32_MAX && p->n_values < PLAN_VALUES) {
		to->value = (uint8_t)p->n_values;
		p->value[p->n_values].len = to->how.value_bytes;
		p->value[p->n_values++].writable = to->how.writable;
		*kind = (uint8_t)(PLAN_VALUE + to->value);
	}
	p->note[pc] = ++p->n_lookups;
}

static void arithmetic(struct known *k, const struct bpf_insn *i)
{
	unsigned int d = i->dst_reg, s = i->src_reg;

	if (i->code == (BPF_ALU64 | BPF_MOV | BPF_X) && !i->off) {
		k->kind[d] = k->kind[s];
		k->is_map[d] = k->is_map[s];
		k->map[d] = k->map[s];
		k->is_frame[d] = k->is_frame[s];
		k->off[d] = k->off[s];
		return;
	}
	k->is_map[d] = false;
	switch (i->code) {
	case BPF_ALU64 | BPF_ADD | BPF_K:
		k->is_frame[d] &=
			i->imm >= -4096 && i->imm <= 4096 && k->off[d] >= -4096 && k->off[d] <= 4096;
		if (k->is_frame[d])
			k->off[d] += i->imm;
		return;
	case BPF_ALU64 | BPF_ADD | BPF_X:
		k->is_frame[d] = false;
		k->kind[d] = k->kind[d] ? k->kind[d] : k->kind[s];
		return;
	case BPF_ALU64 | BPF_SUB | BPF_K:
	case BPF_ALU64 | BPF_SUB | BPF_X:
		k->is_frame[d] = false;
		return;
	}
	forget(k, d);
}

/* What an instruction makes of what is known. */
static void follow(struct plan *p, struct known *k, uint32_t pc, enum isa_id id)
{
	const struct bpf_insn *i = &p->prog->insns[pc];
	uint8_t kind = PLAN_ANY;
	unsigned int r;

	switch (BPF_CLASS(i->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		arithmetic(k, i);
		return;
	case BPF_LDX:
		if (id == ISA_LDX32 && k->kind[i->src_reg] == PLAN_CTX)
			kind = PLAN_PACKET; /* data and data_end; what else is there is no address */
		break;
	case BPF_STX:
		if (isa_op(id)->form == ISA_FORM_CMPXCHG)
			forget(k, 0);
		if (isa_op(id)->fields & ISA_WS)
			forget(k, i->src_reg);
		if (!(isa_op(id)->fields & ISA_W))
			return;
		break;
	case BPF_LD:
		forget(k, i->dst_reg);
		k->is_map[i->dst_reg] = id == ISA_LD64_MAP_FD || id == ISA_LD64_MAP_IDX;
		k->map[i->dst_reg] = p->prog->ops[pc + 1].value;
		return;
	case BPF_JMP:
		if (isa_op(id)->form != ISA_FORM_CALL && id != ISA_CALL_LOCAL && id != ISA_CALL_KFUNC)
			return;
		if (id == ISA_CALL && i->imm == BPF_FUNC_map_lookup_elem)
			lookup(p, k, pc, &kind);
		for (r = 0; r < 6; r++)
			forget(k, r);
		k->kind[0] = kind;
		return;
	default:
		return;
	}
	forget(k, i->dst_reg);
	k->kind[i->dst_reg] = kind;
}

static bool changes(const struct bpf_insn *i, enum isa_id id, uint8_t base)
{
	uint16_t f = isa_op(id)->fields;

	return (f & ISA_W && i->dst_reg == base) || (f & ISA_WS && i->src_reg == base) ||
	       (isa_op(id)->form == ISA_FORM_CMPXCHG && base == 0);
}

/* The access at pc and those after it that one check can cover. */
static void group(struct plan *p, uint32_t pc, uint32_t end, uint8_t kind, struct plan_group *g)
{
	const struct bpf_insn *insns = p->prog->insns;
	uint32_t at, bytes;
	uint8_t base;
	bool write;

	plan_access(&insns[pc], &base, &bytes, &write);
	*g = (struct plan_group){pc, pc, insns[pc].off, insns[pc].off + (int32_t)bytes, base, kind, 1, write};
	for (at = pc; at < end && at < pc + PLAN_REACH; at++) {
		enum isa_id id = id_at(p->prog, at);

		if (at != pc) {
			if (p->leader[at] || BPF_CLASS(insns[at].code) == BPF_JMP ||
			    BPF_CLASS(insns[at].code) == BPF_JMP32)
				return;
			if (plan_access(&insns[at], &base, &bytes, &write) && base == g->base) {
				g->min = insns[at].off < g->min ? insns[at].off : g->min;
				g->max = insns[at].off + (int32_t)bytes > g->max
						 ? insns[at].off + (int32_t)bytes
						 : g->max;
				g->end = at;
				g->n++;
				g->write |= write;
			}
		}
		if (changes(&insns[at], id, g->base))
			return;
		at += isa_is_wide(&insns[at]);
	}
}

/* Can the check of a group ask one region only? */
static bool fits(const struct plan *p, const struct plan_group *g)
{
	unsigned int v = g->kind - PLAN_VALUE;

	if (g->kind < PLAN_VALUE)
		return g->kind != PLAN_ANY;
	return (uint32_t)(g->max - g->min) <= p->value[v].len && (!g->write || p->value[v].writable);
}

static void accesses(struct plan *p, const struct known *k, uint32_t pc, uint32_t end)
{
	const struct bpf_insn *insns = p->prog->insns;
	struct plan_group *g = &p->groups[p->n_groups];
	uint32_t at, bytes;
	uint8_t base;
	bool write;

	if (p->note[pc] || !plan_access(&insns[pc], &base, &bytes, &write) ||
	    plan_own(p->prog, base, insns[pc].off, bytes))
		return;
	group(p, pc, end, k->kind[base], g);
	if (!fits(p, g))
		g->kind = PLAN_ANY;
	if (g->kind == PLAN_ANY && g->n == 1)
		return;
	for (at = pc + 1; at <= g->end; at++)
		if (plan_access(&insns[at], &base, &bytes, &write) && base == g->base)
			p->note[at] = PLAN_COVERED;
	p->note[pc] = ++p->n_groups;
}

static void one_function(struct plan *p, uint32_t from, uint32_t end)
{
	const struct bpf_insn *insns = p->prog->insns;
	bool falls = true; /* does control come from the instruction before? */
	struct known k;
	enum isa_id id;
	uint32_t pc;
	int64_t to;

	start_function(&k, from == 0);
	for (pc = from; pc < end; pc++) {
		id = id_at(p->prog, pc);
		if (p->leader[pc]) {
			forget_proofs(&k);
			if (!falls && p->entering[pc])
				unpack(&k, p->entering[pc]);
		}
		if (!p->prog->trusted)
			accesses(p, &k, pc, end);
		to = isa_op(id)->fields & ISA_J || id == ISA_GOTOL ? isa_target(insns, pc) : -1;
		if (to > pc && !p->entering[to])
			p->entering[to] = pack(&k);
		falls = id != ISA_GOTO && id != ISA_GOTOL && id != ISA_EXIT;
		follow(p, &k, pc, id);
		pc += isa_is_wide(&insns[pc]);
	}
}

int plan_make(struct plan *p, const struct vm_prog *prog, const struct vm_prog_spec *spec)
{
	uint32_t n = prog->n_insns, i, pc, n_calls = 1;
	enum isa_id id;
	int64_t to;

	*p = (struct plan){.prog = prog, .spec = spec};
	for (pc = 0; pc < n; pc++)
		n_calls += prog->insns[pc].code == (BPF_JMP | BPF_CALL);
	p->note = calloc(n, sizeof(*p->note));
	p->leader = calloc(n, 1);
	p->entering = calloc(n, sizeof(*p->entering));
	p->groups = malloc(n * sizeof(*p->groups));
	p->lookups = malloc(n_calls * sizeof(*p->lookups));
	if (!p->note || !p->leader || !p->entering || !p->groups || !p->lookups)
		return -ENOMEM;
	for (pc = 0; pc < n; pc += 1u + isa_is_wide(&prog->insns[pc])) {
		id = id_at(prog, pc);
		if (!(isa_op(id)->fields & (ISA_J | ISA_L)) && id != ISA_LD64_FUNC)
			continue;
		to = (int64_t)pc + 1 +
		     (isa_op(id)->fields & ISA_J ? prog->insns[pc].off : prog->insns[pc].imm);
		p->leader[to] = 1;
	}
	for (i = 0; i < prog->n_funcs; i++)
		one_function(p, prog->funcs[i].pc, prog->funcs[i].pc + prog->funcs[i].len);
	return 0;
}

void plan_free(struct plan *p)
{
	free(p->note);
	free(p->leader);
	free(p->entering);
	free(p->groups);
	free(p->lookups);
}
