// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The type information of a joined program. It is not decoration: without function records the kernel takes no
 * tail call in a function, and line records make its log speak the programmer's language.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

#include "base/err.h"
#include "bpf/run_config.h"
#include "hook/join_internal.h"

struct records {
	struct buf funcs, lines;
	int proto; /* int (struct xdp_md *): for the functions that have no record of their own */
};

static int int_type(struct btf *btf)
{
	return btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
}

static int add_protos(struct btf *btf, struct records *r)
{
	int i = int_type(btf), s, p;

	if (i < 0)
		return i;
	s = btf__add_struct(btf, "xdp_md", 0);
	p = s < 0 ? s : btf__add_ptr(btf, s);
	r->proto = p < 0 ? p : btf__add_func_proto(btf, i);
	if (r->proto < 0)
		return r->proto;
	return btf__add_func_param(btf, "ctx", p);
}

static int add_func(struct btf *btf, struct records *r, const char *name, uint32_t insn_off)
{
	int id = btf__add_func(btf, name, BTF_FUNC_STATIC, r->proto);
	struct bpf_func_info f = {.insn_off = insn_off, .type_id = (uint32_t)id};

	if (id < 0)
		return id;
	buf_put(&r->funcs, &f, sizeof(f));
	return 0;
}

static int add_line(struct btf *btf, struct records *r, uint32_t insn_off, const char *file, const char *text, uint32_t col)
{
	struct bpf_line_info l = {.insn_off = insn_off, .line_col = col};
	int f = btf__add_str(btf, file), t = btf__add_str(btf, text);

	if (f < 0 || t < 0)
		return f < 0 ? f : t;
	l.file_name_off = (uint32_t)f;
	l.line_off = (uint32_t)t;
	buf_put(&r->lines, &l, sizeof(l));
	return 0;
}

/* Starts of the functions of [from, n_insns) of a part that has no records: the targets of its calls. */
static int guess_funcs(struct btf *btf, struct records *r, const struct code *c, const struct piece *p, bool with_main)
{
	uint8_t *start = calloc(c->n_insns, 1);
	uint32_t i;
	int e = 0;

	if (!start)
		return -ENOMEM;
	start[0] = with_main;
	for (i = 0; i < c->n_insns; i++) {
		const struct bpf_insn *n = &c->insns[i];
		bool wide = n->code == (BPF_LD | BPF_IMM | BPF_DW);
		int64_t to = (int64_t)i + 1 + n->imm;

		if (((n->code == (BPF_JMP | BPF_CALL) && n->src_reg == BPF_PSEUDO_CALL) ||
		     (wide && n->src_reg == BPF_PSEUDO_FUNC)) && to > 0 && to < c->n_insns)
			start[to] = 1;
		i += wide;
	}
	for (i = 0; i < c->n_insns && !e; i++)
		if (start[i])
			e = add_func(btf, r, "part", piece_place(p, i));
	free(start);
	return e;
}

/* A part's own records, moved; main's function record only where main is a function still. */
static int move_records(struct btf *btf, struct records *r, const struct code *c, const struct piece *p, bool inlined)
{
	struct btf *own = btf__new(c->btf, c->btf_len);
	uint32_t i, base;
	int first, e = 0;

	if (!own)
		return -EBADMSG;
	first = btf__add_btf(btf, own);
	if (first < 0) {
		btf__free(own);
		return first;
	}
	base = (uint32_t)first - 1;
	for (i = 0; i < c->n_funcs; i++) {
		struct bpf_func_info f = c->funcs[i];
		bool main_func = f.insn_off == 0;
		struct btf_type *t;

		f.type_id += base;
		t = (struct btf_type *)btf__type_by_id(btf, f.type_id);
		if (!t || !btf_is_func(t)) {
			e = -EBADMSG;
			break;
		}
		if (main_func) /* verified with the dispatcher's context in place, not as a program entry */
			t->info = BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC;
		f.insn_off = piece_place(p, f.insn_off);
		if (!main_func || !inlined)
			buf_put(&r->funcs, &f, sizeof(f));
	}
	for (i = 0; i < c->n_lines && !e; i++) {
		const struct bpf_line_info *l = &c->lines[i];
		const char *file = btf__str_by_offset(own, l->file_name_off), *text = btf__str_by_offset(own, l->line_off);

		e = add_line(btf, r, piece_place(p, l->insn_off), file ?: "", text ?: "", l->line_col);
	}
	btf__free(own);
	return e;
}

static int by_insn(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b; /* insn_off comes first in both records */

	return x < y ? -1 : x > y;
}

/* The kernel wants a line record at the start of every function, once there is one at all. */
static int complete_lines(struct btf *btf, struct records *r)
{
	size_t n_funcs = r->funcs.len / sizeof(struct bpf_func_info), had = r->lines.len / sizeof(struct bpf_line_info), i;
	int e;

	for (i = 0; i < n_funcs; i++) {
		uint32_t at = ((struct bpf_func_info *)r->funcs.data)[i].insn_off;

		if (had && bsearch(&at, r->lines.data, had, sizeof(struct bpf_line_info), by_insn))
			continue;
		e = add_line(btf, r, at, "sluice", "/* joined by sluice */", 0);
		if (e)
			return e;
	}
	if (r->lines.failed)
		return -ENOMEM;
	qsort(r->lines.data, r->lines.len / sizeof(struct bpf_line_info), sizeof(struct bpf_line_info), by_insn);
	return 0;
}

static int fill(struct join *j, struct btf *btf, struct records *r)
{
	struct run_config config[JOIN_MAX_PARTS];
	uint32_t i;
	int e = add_protos(btf, r);

	if (!e)
		e = add_func(btf, r, "sluice_chain", 0);
	for (i = 0; i < j->n_observer_funcs && !e; i++)
		e = add_func(btf, r, "sluice_observer", j->observer_at[i]);
	for (i = 0; i < j->in->n_parts && !e; i++) {
		const struct join_part *p = &j->in->part[i];

		config[i] = (struct run_config){p->name, p->priority, p->go_on};
		if (p->code->n_funcs)
			e = move_records(btf, r, p->code, &j->piece[i], p->inlined);
		else
			e = guess_funcs(btf, r, p->code, &j->piece[i], !p->inlined);
	}
	if (!e)
		e = run_config_write(btf, config, j->in->n_parts);
	if (e || r->funcs.failed || r->lines.failed)
		return e ?: -ENOMEM;
	qsort(r->funcs.data, r->funcs.len / sizeof(struct bpf_func_info), sizeof(struct bpf_func_info), by_insn);
	if (r->lines.len) /* objects without line information have none */
		qsort(r->lines.data, r->lines.len / sizeof(struct bpf_line_info), sizeof(struct bpf_line_info), by_insn);
	return complete_lines(btf, r);
}

int join_btf(struct join *j, struct sluice_err *err)
{
	struct btf *btf = btf__new_empty();
	struct records r = {0};
	const void *raw;
	int e = btf ? fill(j, btf, &r) : -ENOMEM;

	if (!e) {
		raw = btf__raw_data(btf, &j->out->btf_len);
		j->out->btf = raw ? malloc(j->out->btf_len) : NULL;
		if (j->out->btf)
			memcpy(j->out->btf, raw, j->out->btf_len);
		else
			e = -ENOMEM;
	}
	btf__free(btf);
	if (e) {
		buf_free(&r.funcs);
		buf_free(&r.lines);
		return err_set(err, e, e == -ENOMEM ? "out of memory" : "the type information of a member cannot be joined");
	}
	j->out->funcs = (struct bpf_func_info *)r.funcs.data;
	j->out->n_funcs = (uint32_t)(r.funcs.len / sizeof(struct bpf_func_info));
	j->out->lines = (struct bpf_line_info *)r.lines.data;
	j->out->n_lines = (uint32_t)(r.lines.len / sizeof(struct bpf_line_info));
	return 0;
}
