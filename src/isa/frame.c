// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a function's frame holds: compilers spill what they know to be constant, and what is read from there again is as known. A
 * frame is followed in words of 32 bits, where ways meet; between such places there is one state, which goes from
 * instruction to instruction.
 *
 * Nobody else writes to a frame unless the function has made a register of r10: then each call, and each store to what is not known
 * to be a map's, may.
 */
#include <string.h>

#include "isa/fold_inside.h"

/* Which word is at r10 + off; -1: none, or not whole. */
static int word_at(int32_t off, uint32_t size)
{
	if (off < -FRAME_BYTES || off % 4 || size % 4 || off + (int32_t)size > 0)
		return -1;
	return (off + FRAME_BYTES) / 4;
}

static bool is_memory(const struct bpf_insn *i)
{
	return BPF_MODE(i->code) == BPF_MEM;
}

/* Of a number the word at the lower address, or at the higher one. */
static uint32_t half(uint64_t v, int second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint32_t)(second ? v >> 32 : v);
#else
	return (uint32_t)(second ? v : v >> 32);
#endif
}

struct value frame_load(const struct frame *f, const struct bpf_insn *i)
{
	uint32_t size = fold_size(i);
	int at = word_at(i->off, size);
	const struct frame_word *w = at < 0 ? NULL : &f->word[at];
	struct value is = {0, ANYTHING};

	if (!w || !is_memory(i) || w[0].holds < NUMBER)
		return is;
	if (size == 4 && w[0].holds == NUMBER)
		return fold_number(w[0].v);
	if (size != 8 || w[1].holds != w[0].holds)
		return is;
	if (w[0].holds == NUMBER)
		return fold_number(half(1, 0) ? w[0].v | (uint64_t)w[1].v << 32 : w[1].v | (uint64_t)w[0].v << 32);
	if (!w[0].second && w[1].second && w[0].v == w[1].v)
		is = (struct value){w[0].v, w[0].holds};
	return is;
}

static void forget(struct frame *f)
{
	uint32_t k;

	for (k = 0; k < FRAME_WORDS; k++)
		f->word[k] = (struct frame_word){0, ANYTHING, 0};
}

/* `size` bytes at r10 + off hold something else, whatever. */
static void spoil(struct frame *f, int32_t off, int32_t size)
{
	int32_t k, first = off + FRAME_BYTES, last = first + size - 1;

	for (k = first >> 2; k <= last >> 2; k++)
		if (k >= 0 && k < FRAME_WORDS)
			f->word[k] = (struct frame_word){0, ANYTHING, 0};
}

static void store(struct frame *f, const struct bpf_insn *i, struct value v)
{
	uint32_t size = fold_size(i), k;
	int at = word_at(i->off, size);

	spoil(f, i->off, (int32_t)size);
	if (at < 0 || v.holds < NUMBER || (v.holds >= POINTER && size != 8))
		return;
	for (k = 0; k < size / 4; k++) {
		f->word[at + (int)k].holds = v.holds;
		f->word[at + (int)k].v = v.holds >= POINTER ? (uint32_t)v.v : size == 4 ? (uint32_t)v.v : half(v.v, (int)k);
		f->word[at + (int)k].second = v.holds >= POINTER && k;
	}
}

bool frame_shows(const struct bpf_insn *i)
{
	uint8_t class = BPF_CLASS(i->code);

	return i->src_reg == BPF_REG_10 &&
	       (class == BPF_STX || ((class == BPF_ALU || class == BPF_ALU64) && BPF_SRC(i->code) == BPF_X));
}

void frame_step(struct frame *f, const struct bpf_insn *i, const struct value *regs)
{
	uint8_t class = BPF_CLASS(i->code);

	if (class == BPF_ST || class == BPF_STX) {
		if (i->dst_reg == BPF_REG_10 && is_memory(i))
			store(f, i, class == BPF_ST ? fold_number((uint64_t)(int64_t)i->imm) : regs[i->src_reg]);
		else if (i->dst_reg == BPF_REG_10)
			spoil(f, i->off, 8);
		else if (f->is_shown && regs[i->dst_reg].holds < POINTER)
			forget(f);
	} else if (i->code == (BPF_JMP | BPF_CALL) && f->is_shown) {
		forget(f);
	}
	f->is_shown |= frame_shows(i);
}

void frame_enter(struct frame *f)
{
	forget(f);
	f->is_shown = false;
	f->is_seen = true;
}

bool frame_meet(struct frame *to, const struct frame *from)
{
	bool changed = !to->is_seen;
	uint32_t k;

	if (!to->is_seen) {
		*to = *from;
		return true;
	}
	if (from->is_shown && !to->is_shown)
		changed = to->is_shown = true;
	for (k = 0; k < FRAME_WORDS; k++) {
		if (to->word[k].holds == ANYTHING || !memcmp(&to->word[k], &from->word[k], sizeof(to->word[k])))
			continue;
		to->word[k] = (struct frame_word){0, ANYTHING, 0};
		changed = true;
	}
	return changed;
}
