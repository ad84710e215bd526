// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs from calls: see build.h. */
#include <errno.h>

#include "base/err.h"
#include "isa/build.h"

struct use {
	uint32_t pc, label;
};

void isa_put(struct isa_build *b, enum isa_id id, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	struct bpf_insn insn = isa_make(id);
	enum isa_by by = isa_by(insn.code);

	insn.dst_reg = dst & 15;
	if (by != ISA_BY_SRC)
		insn.src_reg = src & 15;
	if (by != ISA_BY_OFF)
		insn.off = off;
	if (by != ISA_BY_IMM)
		insn.imm = imm;
	buf_put(&b->insns, &insn, sizeof(insn));
}

void isa_put64(struct isa_build *b, enum isa_id id, uint8_t dst, uint64_t value)
{
	struct bpf_insn high = {.imm = (int32_t)(value >> 32)};

	isa_put(b, id, dst, 0, 0, (int32_t)value);
	buf_put(&b->insns, &high, sizeof(high));
}

uint32_t isa_label(struct isa_build *b)
{
	uint32_t nowhere = UINT32_MAX;

	buf_put(&b->labels, &nowhere, sizeof(nowhere));
	return (uint32_t)(b->labels.len / sizeof(nowhere)) - 1;
}

void isa_here(struct isa_build *b, uint32_t label)
{
	if ((label + (size_t)1) * sizeof(uint32_t) <= b->labels.len)
		((uint32_t *)(void *)b->labels.data)[label] = isa_build_pc(b);
}

void isa_put_jump(struct isa_build *b, enum isa_id id, uint8_t dst, uint8_t src, int32_t imm, uint32_t label)
{
	struct use use = {isa_build_pc(b), label};

	buf_put(&b->uses, &use, sizeof(use));
	if (id == ISA_LD64_FUNC)
		isa_put64(b, id, dst, 0);
	else
		isa_put(b, id, dst, src, 0, imm);
}

static int fill(struct bpf_insn *insn, int64_t distance, struct sluice_err *err, uint32_t pc)
{
	enum isa_id id = isa_decode(insn);

	if (id == ISA_GOTO && (distance < INT16_MIN || distance > INT16_MAX)) {
		*insn = isa_make(ISA_GOTOL);
		id = ISA_GOTOL;
	}
	if (isa_op(id)->fields & ISA_J) {
		if (distance < INT16_MIN || distance > INT16_MAX)
			return err_set(err, -ERANGE,
				       "instruction %u: its target is %lld instructions away, a "
				       "conditional jump reaches 32767",
				       pc, (long long)distance);
		insn->off = (int16_t)distance;
	} else {
		insn->imm = (int32_t)distance;
	}
	return 0;
}

int isa_build_take(struct isa_build *b, struct bpf_insn **insns, uint32_t *n, struct sluice_err *err)
{
	const struct use *u = (const void *)b->uses.data;
	const uint32_t *label = (const void *)b->labels.data;
	size_t i, n_labels = b->labels.len / sizeof(*label);
	struct bpf_insn *p = (void *)b->insns.data;
	int e = 0;

	*insns = NULL;
	*n = 0;
	if (b->insns.failed || b->labels.failed || b->uses.failed)
		e = err_nomem(err);
	for (i = 0; !e && i < b->uses.len / sizeof(*u); i++) {
		if (u[i].label >= n_labels || label[u[i].label] == UINT32_MAX)
			e = err_set(err, -EINVAL, "instruction %u: label %u was never placed", u[i].pc,
				    u[i].label);
		else
			e = fill(&p[u[i].pc], (int64_t)label[u[i].label] - u[i].pc - 1, err, u[i].pc);
	}
	if (!e) {
		*insns = p;
		*n = isa_build_pc(b);
		b->insns = (struct buf){0};
	}
	isa_build_free(b);
	return e;
}

void isa_build_free(struct isa_build *b)
{
	buf_free(&b->insns);
	buf_free(&b->labels);
	buf_free(&b->uses);
	*b = (struct isa_build){0};
}
