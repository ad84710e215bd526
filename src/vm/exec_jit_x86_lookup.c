// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * x86-64: lookups in maps that are known. Arrays and tables of short keys without a call, the others by their map's
 * own function.
 */
#if defined(__x86_64__)
#include "vm/exec_jit_x86.h"

/* 32 bits of [base + off] */
static void load32(struct jit *j, unsigned int reg, unsigned int base, int32_t off)
{
	x_rex(j, false, reg, base, false);
	x_byte(j, 0x8b);
	x_mem(j, reg, base, off);
}

/* reg = the number of the CPU */
static void cpu_number(struct jit *j, const struct vm_lookup *how, unsigned int reg)
{
	x_load(j, reg, R12, RUN(host));
	load32(j, reg, reg, (int32_t)how->cpu_off);
}

/* reg *= by */
static void times(struct jit *j, unsigned int reg, uint32_t by)
{
	bool byte = by < 128;

	if (by && !(by & (by - 1))) {
		x_rex(j, true, 0, reg, false);
		x_byte(j, 0xc1);
		x_byte(j, 0xe0 | (reg & 7));
		x_byte(j, (unsigned int)__builtin_ctz(by));
		return;
	}
	x_rex(j, true, reg, reg, false);
	x_byte(j, byte ? 0x6b : 0x69);
	x_byte(j, 0xc0 | (reg & 7) << 3 | (reg & 7));
	if (byte)
		x_byte(j, by);
	else
		x_u32(j, by);
}

/* rax += the CPU's number * bytes + base */
static void cpu_part(struct jit *j, const struct vm_lookup *how, uint64_t bytes, uint64_t base)
{
	if (bytes) {
		cpu_number(j, how, R9);
		x_const(j, R10, bytes);
		x_0f_rr(j, true, 0xaf, R9, R10, false);
		x_rr(j, true, 0x01, R9, RAX);
	}
	x_const(j, R10, base);
	x_rr(j, true, 0x01, R10, RAX);
}

/* rax = the value of key [rsi], 0 if there is none */
static void lookup_array(struct jit *j, const struct vm_lookup *how)
{
	uint32_t none, done;

	load32(j, RAX, RSI, 0);
	x_ri(j, false, 7, RAX, (int32_t)how->max_entries);
	none = x_short(j, CC_AE);
	times(j, RAX, how->stride);
	cpu_part(j, how, how->cpu_stride, (uintptr_t)how->data);
	done = x_short(j, -1);
	x_aim_short(j, none);
	x_const(j, RAX, 0);
	x_aim_short(j, done);
}

/* rax = fold(rax, by): both halves of the product in one; rdx too */
static void fold(struct jit *j, unsigned int by)
{
	x_rex(j, true, 0, by, false);
	x_byte(j, 0xf7);
	x_byte(j, 0xe0 | (by & 7));
	x_rr(j, true, 0x31, RDX, RAX);
}

static void xor_const(struct jit *j, unsigned int reg, uint64_t v)
{
	x_const(j, R10, v);
	x_rr(j, true, 0x31, R10, reg);
}

/* rdi, and of 16 bytes r9 = the key; rax = its hash */
static void hash_key(struct jit *j, const struct vm_lookup *how)
{
	if (how->key_bytes == 4) {
		load32(j, RDI, RSI, 0);
		x_mov(j, true, RAX, RDI);
		x_rex(j, true, 0, RAX, false);
		x_byte(j, 0xc1);
		x_byte(j, 0xe0);
		x_byte(j, 32);
		x_rr(j, true, 0x09, RDI, RAX);
	} else {
		x_load(j, RDI, RSI, 0);
		x_mov(j, true, RAX, RDI);
	}
	xor_const(j, RAX, how->mix[0]);
	x_const(j, RCX, how->mix[1]);
	if (how->key_bytes == 16) {
		x_load(j, R9, RSI, 8);
		x_rr(j, true, 0x31, R9, RCX);
	}
	fold(j, RCX);
	x_const(j, RCX, how->mix[2]);
	fold(j, RCX);
}

/* cmp [rcx + off], reg; where to aim if they differ */
static uint32_t differs(struct jit *j, bool w, int32_t off, unsigned int reg)
{
	x_rex(j, w, reg, RCX, false);
	x_byte(j, 0x39);
	x_mem(j, reg, RCX, off);
	return x_short(j, CC_NE);
}

/* rax = the value of the element at rcx, whose place in its bucket's chain was rdx */
static void value_of(struct jit *j, const struct vm_lookup *how)
{
	uint32_t marked;

	if (how->ref_off) {
		x_byte(j, 0x80);
		x_mem(j, 7, RCX, (int32_t)how->ref_off);
		x_byte(j, 0);
		marked = x_short(j, CC_NE);
		x_byte(j, 0xc6);
		x_mem(j, 0, RCX, (int32_t)how->ref_off);
		x_byte(j, 1);
		x_aim_short(j, marked);
	}
	if (how->cpu_stride) {
		x_mov(j, true, RAX, RDX);
		times(j, RAX, how->value_stride);
		cpu_part(j, how, how->cpu_stride, (uintptr_t)how->values - how->value_stride);
	} else {
		x_lea(j, RAX, RCX, (int32_t)how->value_off);
	}
}

/*
 * The same steps as the map's own function, which says why they need no lock (map_hash.h); a load of this
 * machine is an acquire.
 *
 *   eax tag   r8 bucket's number   rsi buckets   r10 one element before the slab   rcx index + 1, then element
 */
static void lookup_hash(struct jit *j, const struct vm_lookup *how)
{
	bool w = how->key_bytes > 4;
	uint32_t again, next, end, no[3], n = 0, none, done;

	hash_key(j, how);
	x_mov(j, false, R8, RAX);
	x_ri(j, false, 4, R8, (int32_t)how->mask);
	x_rex(j, true, 0, RAX, false);
	x_byte(j, 0xc1);
	x_byte(j, 0xe8);
	x_byte(j, 32);
	x_ri(j, false, 1, RAX, INT32_MIN);
	x_const(j, RSI, (uintptr_t)how->bucket);
	x_const(j, R10, (uintptr_t)how->data - how->stride);
	again = j->len;
	/* mov ecx, [rsi + r8 * 4] */
	x_byte(j, 0x42);
	x_byte(j, 0x8b);
	x_byte(j, 0x0c);
	x_byte(j, 0x86);
	next = j->len;
	x_rr(j, false, 0x85, RCX, RCX);
	end = x_short(j, CC_LE);
	if (how->cpu_stride)
		x_mov(j, false, RDX, RCX);
	times(j, RCX, how->stride);
	x_rr(j, true, 0x01, R10, RCX);
	no[n++] = differs(j, false, 4, RAX);
	no[n++] = differs(j, w, 8, RDI);
	if (how->key_bytes == 16)
		no[n++] = differs(j, true, 16, R9);
	value_of(j, how);
	done = x_short(j, -1);
	while (n-- > 0)
		x_aim_short(j, no[n]);
	load32(j, RCX, RCX, 0);
	x_jump_back(j, -1, next);
	x_aim_short(j, end);
	none = x_short(j, CC_E);
	/* a chain's end carries its bucket's number: another's, and the way led astray */
	x_ri(j, false, 6, RCX, INT32_MIN);
	x_rr(j, false, 0x39, R8, RCX);
	x_jump_back(j, CC_NE, again);
	x_aim_short(j, none);
	x_const(j, RAX, 0);
	x_aim_short(j, done);
}

void x_lookup(struct jit *j, uint32_t pc, const struct plan_lookup *l)
{
	uint32_t none = 0;

	if (j->checked && !l->key_known)
		x_check_span(j, (struct vm_site){.pc = pc, .kind = SITE_KEY, .len = l->how.key_bytes}, RSI, 0,
			     false);
	if (l->how.kind == VM_LOOKUP_ARRAY) {
		lookup_array(j, &l->how);
	} else if (l->how.kind == VM_LOOKUP_HASH) {
		lookup_hash(j, &l->how);
	} else {
		cpu_number(j, &l->how, RDX);
		x_budget_out(j);
		x_call_c(j, (uintptr_t)l->how.find);
		x_budget_in(j);
	}
	if (j->checked && l->value < PLAN_VALUES) {
		x_rr(j, true, 0x85, RAX, RAX);
		none = x_short(j, CC_E);
		x_store(j, R12, RUN(value) + 8 * l->value, RAX);
		x_aim_short(j, none);
	}
	x_forget_arguments(j);
}
#endif
