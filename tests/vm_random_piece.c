// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Random XDP programs, piece by piece. Between two pieces holds:
 *
 *     r6 context, r7 r8 r9 any numbers, four of them on the stack at -8 to -32; -40 to -80 is for keys and
 * buffers
 *
 * r0 to r5 hold nothing there. Each piece leaves that as it found it, so that the verifier follows any row of
 * them.
 */
#include <stdbool.h>

#include "isa/build.h"
#include "vm_random_xdp.h"

#define PIECES 9
#define SCRATCH (-80) /* bytes of the stack that keys and buffers are in: 48 from here */

const struct map_shape shapes[N_MAPS] = {
	[ARRAY] = {BPF_MAP_TYPE_ARRAY, 4, 16, 6, 0},
	[PERCPU] = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 3, 0},
	[HASH] = {BPF_MAP_TYPE_HASH, 8, 16, 8, 0},
	[LPM] = {BPF_MAP_TYPE_LPM_TRIE, 8, 16, 16, BPF_F_NO_PREALLOC},
	[QUEUE] = {BPF_MAP_TYPE_QUEUE, 0, 8, 4, 0},
	[PROGS] = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0},
};

static uint64_t state;

void random_seed(uint64_t seed)
{
	state = seed * 2654435761u + 88172645463325252ull;
}

uint64_t random_bits(void)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)(random_bits() >> 33) % n;
}

static struct isa_build *b; /* of the program being made */

static void put(enum isa_id id, uint8_t dst, uint8_t src, int off, int32_t imm)
{
	isa_put(b, id, dst, src, (int16_t)off, imm);
}

static void call(int32_t helper)
{
	put(ISA_CALL, 0, 0, 0, helper);
}

static uint8_t number(void) /* a register that holds one */
{
	return (uint8_t)(7 + below(3));
}

static int word(void)
{
	return -8 * (1 + (int)below(4));
}

static bool is_alu(enum isa_id id)
{
	switch ((enum isa_form)isa_op(id)->form) {
	case ISA_FORM_ALU64_K:
	case ISA_FORM_ALU64_X:
	case ISA_FORM_ALU32_K:
	case ISA_FORM_ALU32_X:
	case ISA_FORM_MOV_K:
	case ISA_FORM_MOV_X:
	case ISA_FORM_UNARY:
		return true;
	default:
		return false;
	}
}

/* One computation of a number and a number. */
static void alu(uint8_t dst, uint8_t src)
{
	int32_t imm = below(3) ? (int32_t)random_bits() : (int32_t)below(70);
	enum isa_form form;
	enum isa_id id;
	uint8_t op;

	do
		id = below(ISA_N_OPS);
	while (!is_alu(id));
	form = (enum isa_form)isa_op(id)->form;
	op = BPF_OP(isa_op(id)->code);
	if (form == ISA_FORM_ALU64_K || form == ISA_FORM_ALU32_K) {
		if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
			imm = (int32_t)below(form == ISA_FORM_ALU64_K ? 64 : 32);
		if ((op == BPF_DIV || op == BPF_MOD) && !imm)
			imm = 7;
	}
	put(id, dst, isa_op(id)->fields & ISA_S ? src : 0, 0, isa_op(id)->fields & ISA_I ? imm : 0);
}

static enum isa_id load_of(uint32_t *bytes)
{
	static const enum isa_id loads[] = {ISA_LDX8,  ISA_LDX16,  ISA_LDX32, ISA_LDX64,
					    ISA_LDSX8, ISA_LDSX16, ISA_LDSX32};
	uint32_t i = below(7);

	*bytes = 1u << i % 4;
	return loads[i];
}

static void store_to(uint8_t base, int off, uint32_t room)
{
	static const enum isa_id regs[] = {ISA_ST8_X, ISA_ST16_X, ISA_ST32_X, ISA_ST64_X};
	static const enum isa_id imms[] = {ISA_ST8_K, ISA_ST16_K, ISA_ST32_K, ISA_ST64_K};
	uint32_t size = below(4), at;

	while (1u << size > room)
		size--;
	at = below(room - (1u << size) + 1);
	if (below(3))
		put(regs[size], base, number(), off + (int)at, 0);
	else
		put(imms[size], base, 0, off + (int)at, (int32_t)random_bits());
}

static void load_from(uint8_t base, int off, uint32_t room)
{
	uint32_t bytes, at;
	enum isa_id id;

	do
		id = load_of(&bytes);
	while (bytes > room);
	at = below(room - bytes + 1);
	put(id, 5, base, off + (int)at, 0);
	put(ISA_XOR64_X, number(), 5, 0, 0);
}

static void jump(uint32_t label)
{
	enum isa_id id;

	do
		id = below(ISA_N_OPS);
	while (isa_op(id)->form < ISA_FORM_JUMP64_K || isa_op(id)->form > ISA_FORM_JUMP32_X);
	isa_put_jump(b, id, number(), isa_op(id)->fields & ISA_S ? number() : 0,
		     isa_op(id)->fields & ISA_I ? (int32_t)random_bits() : 0, label);
}

static void compute(uint32_t end)
{
	uint32_t n = 2 + below(6);

	while (n--) {
		alu(number(), number());
		switch (below(5)) {
		case 0:
			put(ISA_ST64_X, 10, number(), word(), 0);
			break;
		case 1:
			put(ISA_LDX64, number(), 10, word(), 0);
			break;
		case 2:
			jump(end);
			break;
		default:
			break;
		}
	}
}

/* r1 = a place in the packet behind which `room` bytes are there; otherwise on to end. */
static void packet(uint32_t end, uint32_t room, bool computed)
{
	put(ISA_LDX32, 1, 6, 0, 0);
	put(ISA_LDX32, 2, 6, 4, 0);
	if (computed) {
		put(ISA_MOV64_X, 4, number(), 0, 0);
		put(ISA_AND64_K, 4, 0, 0, 63);
		put(ISA_ADD64_X, 1, 4, 0, 0);
	} else {
		put(ISA_ADD64_K, 1, 0, 0, (int32_t)below(40));
	}
	put(ISA_MOV64_X, 3, 1, 0, 0);
	put(ISA_ADD64_K, 3, 0, 0, (int32_t)room);
	isa_put_jump(b, ISA_JGT64_X, 3, 2, 0, end);
}

static void touch_packet(uint32_t end)
{
	uint32_t room = 1 + below(24), n = 1 + below(4);

	packet(end, room, below(2));
	while (n--)
		if (below(2))
			store_to(1, 0, room);
		else
			load_from(1, 0, room);
}

/* The key of a map at SCRATCH, a pointer to it in r2, the map in r1. */
static void key_of(enum map_nr m)
{
	put(ISA_MOV64_X, 1, number(), 0, 0);
	put(ISA_AND64_K, 1, 0, 0, 15);
	if (m == LPM) {
		put(ISA_ST32_K, 10, 0, SCRATCH, (int32_t)below(33));
		put(ISA_ST32_X, 10, below(2) ? 1 : number(), SCRATCH + 4, 0);
	} else if (shapes[m].key == 8) {
		put(ISA_ST64_X, 10, 1, SCRATCH, 0);
	} else {
		put(ISA_AND64_K, 1, 0, 0, 7);
		put(ISA_ST32_X, 10, 1, SCRATCH, 0);
	}
	put(ISA_MOV64_X, 2, 10, 0, 0);
	put(ISA_ADD64_K, 2, 0, 0, SCRATCH);
	isa_put64(b, ISA_LD64_MAP_FD, 1, m);
}

static void atomic(uint8_t base)
{
	static const enum isa_id ids[] = {ISA_AADD64,	   ISA_AADD32, ISA_AOR64,
					  ISA_AAND32,	   ISA_AXOR64, ISA_FETCH_ADD64,
					  ISA_FETCH_XOR32, ISA_XCHG64, ISA_XCHG32};

	put(ids[below(sizeof(ids) / sizeof(*ids))], base, number(), 8 * (int)below(2), 0);
}

static void look_up(uint32_t end)
{
	enum map_nr m = below(QUEUE);
	uint32_t n = 1 + below(4);

	key_of(m);
	call(BPF_FUNC_map_lookup_elem);
	isa_put_jump(b, ISA_JEQ64_K, 0, 0, 0, end);
	while (n--) {
		switch (below(3)) {
		case 0:
			store_to(0, 0, shapes[m].value);
			break;
		case 1:
			load_from(0, 0, shapes[m].value);
			break;
		default:
			atomic(0);
		}
	}
}

static void value_of(int at)
{
	put(ISA_ST64_X, 10, number(), at, 0);
	put(ISA_ST64_X, 10, number(), at + 8, 0);
	put(ISA_MOV64_X, 3, 10, 0, 0);
	put(ISA_ADD64_K, 3, 0, 0, at);
}

static void change_map(void)
{
	enum map_nr m = below(QUEUE);

	key_of(m);
	if (below(3)) {
		value_of(SCRATCH + 8);
		put(ISA_MOV64_K, 4, 0, 0, (int32_t)below(3));
		call(BPF_FUNC_map_update_elem);
	} else {
		call(BPF_FUNC_map_delete_elem);
	}
	put(ISA_XOR64_X, number(), 0, 0, 0);
}

static void queue(void)
{
	put(ISA_ST64_X, 10, number(), SCRATCH, 0);
	put(ISA_MOV64_X, 2, 10, 0, 0);
	put(ISA_ADD64_K, 2, 0, 0, SCRATCH);
	isa_put64(b, ISA_LD64_MAP_FD, 1, QUEUE);
	if (below(2)) {
		put(ISA_MOV64_K, 3, 0, 0, below(2) ? BPF_EXIST : 0);
		call(BPF_FUNC_map_push_elem);
	} else {
		call(below(2) ? BPF_FUNC_map_pop_elem : BPF_FUNC_map_peek_elem);
		put(ISA_LDX64, 5, 10, SCRATCH, 0);
		put(ISA_ADD64_X, number(), 5, 0, 0);
	}
	put(ISA_XOR64_X, number(), 0, 0, 0);
}

static void move_edges(void)
{
	static const int32_t helpers[] = {BPF_FUNC_xdp_adjust_head, BPF_FUNC_xdp_adjust_tail,
					  BPF_FUNC_xdp_adjust_meta};
	uint32_t which = below(3);

	put(ISA_MOV64_X, 1, 6, 0, 0);
	if (below(2)) {
		put(ISA_MOV64_X, 2, number(), 0, 0);
		put(ISA_AND64_K, 2, 0, 0, 31);
		put(ISA_SUB64_K, 2, 0, 0, 16);
	} else {
		put(ISA_MOV64_K, 2, 0, 0, which == 2 ? -4 * (int32_t)below(10) : (int32_t)below(40) - 20);
	}
	call(helpers[which]);
	put(ISA_XOR64_X, number(), 0, 0, 0);
}

static void copy_bytes(void)
{
	uint32_t n = 1 + below(16);

	value_of(SCRATCH);
	put(ISA_MOV64_X, 1, 6, 0, 0);
	put(ISA_MOV64_X, 2, number(), 0, 0);
	put(ISA_AND64_K, 2, 0, 0, 127);
	put(ISA_MOV64_K, 4, 0, 0, (int32_t)n);
	call(below(2) ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_xdp_store_bytes);
	put(ISA_XOR64_X, number(), 0, 0, 0);
	put(ISA_LDX64, 5, 10, SCRATCH, 0);
	put(ISA_XOR64_X, number(), 5, 0, 0);
}

static void ask(void)
{
	switch (below(4)) {
	case 0:
		value_of(SCRATCH);
		put(ISA_MOV64_X, 1, 3, 0, 0);
		put(ISA_MOV64_K, 2, 0, 0, 4 * (int32_t)below(5));
		put(ISA_MOV64_X, 3, 10, 0, 0);
		put(ISA_ADD64_K, 3, 0, 0, -32);
		put(ISA_MOV64_K, 4, 0, 0, 4 * (int32_t)below(9));
		put(ISA_MOV32_X, 5, number(), 0, 0);
		call(BPF_FUNC_csum_diff);
		break;
	case 1:
		put(ISA_MOV64_X, 1, 6, 0, 0);
		call(BPF_FUNC_xdp_get_buff_len);
		break;
	case 2:
		call(BPF_FUNC_get_smp_processor_id);
		break;
	default:
		put(ISA_MOV64_K, 1, 0, 0, (int32_t)below(5));
		put(ISA_MOV64_K, 2, 0, 0, (int32_t)below(2));
		call(BPF_FUNC_redirect);
	}
	put(ISA_XOR64_X, number(), 0, 0, 0);
}

/* A loop of a fixed number of turns. */
static void repeat(void)
{
	uint32_t again = isa_label(b);
	uint8_t r = number();

	put(ISA_MOV64_K, 4, 0, 0, 1 + (int32_t)below(6));
	isa_here(b, again);
	alu(r, r);
	alu(r, 4);
	put(ISA_SUB64_K, 4, 0, 0, 1);
	isa_put_jump(b, ISA_JNE64_K, 4, 0, 0, again);
}

static void call_function(uint32_t function)
{
	uint8_t i;

	for (i = 1; i <= 5; i++)
		put(ISA_MOV64_X, i, number(), 0, 0);
	isa_put_jump(b, ISA_CALL_LOCAL, 0, 0, 0, function);
	put(ISA_XOR64_X, number(), 0, 0, 0);
}

static void call_program(void)
{
	put(ISA_MOV64_X, 1, 6, 0, 0);
	isa_put64(b, ISA_LD64_MAP_FD, 2, PROGS);
	put(ISA_MOV64_X, 3, number(), 0, 0);
	put(ISA_AND64_K, 3, 0, 0, 7);
	call(BPF_FUNC_tail_call);
}

static void piece(uint32_t function)
{
	uint32_t end = isa_label(b);

	switch (below(20)) {
	case 0 ... 1:
		compute(end);
		break;
	case 2 ... 5:
		touch_packet(end);
		break;
	case 6 ... 9:
		look_up(end);
		break;
	case 10 ... 11:
		change_map();
		break;
	case 12:
		queue();
		break;
	case 13 ... 14:
		move_edges();
		break;
	case 15:
		copy_bytes();
		break;
	case 16:
		ask();
		break;
	case 17:
		repeat();
		break;
	case 18:
		call_function(function);
		break;
	default:
		call_program();
	}
	isa_here(b, end);
}

/* Five numbers in, one out. */
static void function_body(void)
{
	uint32_t n = 3 + below(6);

	put(ISA_ST64_X, 10, 2, -8, 0);
	put(ISA_MOV64_X, 0, 1, 0, 0);
	while (n--)
		alu(0, (uint8_t)(1 + below(5)));
	put(ISA_LDX64, 1, 10, -8, 0);
	put(ISA_XOR64_X, 0, 1, 0, 0);
	put(ISA_EXIT, 0, 0, 0, 0);
}

int make_program(struct bpf_insn **insns, uint32_t *n)
{
	struct isa_build build = {0};
	uint32_t function, i;
	struct sluice_err err;
	int at;

	b = &build;
	function = isa_label(b);
	put(ISA_MOV64_X, 6, 1, 0, 0);
	for (i = 7; i < 10; i++)
		isa_put64(b, ISA_LD64, (uint8_t)i, random_bits() >> below(64));
	/* what the packet says must matter from the beginning */
	put(ISA_LDX32, 1, 6, 0, 0);
	put(ISA_LDX32, 2, 6, 4, 0);
	put(ISA_SUB64_X, 2, 1, 0, 0);
	put(ISA_ST64_X, 10, 2, -8, 0);
	for (at = -16; at >= SCRATCH; at -= 8)
		put(ISA_ST64_X, 10, number(), at, 0);
	for (i = 0; i < PIECES; i++)
		piece(function);
	/* the function is called at least once: the kernel refuses code that nobody reaches */
	call_function(function);
	put(ISA_MOV64_X, 0, 7, 0, 0);
	for (i = 8; i < 10; i++) {
		put(ISA_MUL64_K, 0, 0, 0, 31);
		put(ISA_ADD64_X, 0, (uint8_t)i, 0, 0);
	}
	for (at = -8; at >= -32; at -= 8) {
		put(ISA_LDX64, 1, 10, at, 0);
		put(ISA_XOR64_X, 0, 1, 0, 0);
	}
	put(ISA_EXIT, 0, 0, 0, 0);
	isa_here(b, function);
	function_body();
	return isa_build_take(b, insns, n, &err);
}
