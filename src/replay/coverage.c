// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counting in programs while they run, then gathering by file and line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "isa/isa.h"
#include "replay/coverage.h"
#include "vm/lines.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"

struct counted {
	const struct vm_prog *prog;
	const struct vm_lines *lines;
	uint64_t *runs, *taken; /* of each instruction */
	uint32_t n;
};

/* What is known of one source line in one program, then of all. */
struct row {
	const char *file, *func;
	uint32_t line;
	enum { ROW_FUNC, ROW_BRANCH, ROW_LINE } kind;
	uint32_t block; /* of a branch: its instruction */
	uint64_t runs, taken;
};

struct coverage {
	struct vm_watch watch;
	struct counted *prog;
	size_t n;
	struct counted *last; /* that ran */
	uint32_t last_pc;
	bool jumping; /* last_pc is a conditional jump */
	struct row *row;
	size_t n_rows, cap;
};

static bool is_branch(const struct bpf_insn *i)
{
	uint8_t class = BPF_CLASS(i->code), op = BPF_OP(i->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_JA && op != BPF_CALL && op != BPF_EXIT;
}

static struct counted *find(struct coverage *c, const struct vm_prog *prog)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->prog[i].prog == prog)
			return &c->prog[i];
	return NULL;
}

static void step(struct vm_watch *watch, struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
		 const uint64_t reg[11])
{
	struct coverage *c = (struct coverage *)watch;
	struct counted *p = c->last && c->last->prog == prog ? c->last : find(c, prog);
	uint32_t n;

	if (p && p == c->last && c->jumping && pc != c->last_pc + 1)
		p->taken[c->last_pc]++;
	c->last = p;
	c->last_pc = pc;
	c->jumping = p && is_branch(&vm_prog_insns(prog, &n)[pc]);
	if (p)
		p->runs[pc]++;
	(void)run, (void)reg;
}

struct vm_watch *coverage_watch(struct coverage *c)
{
	return &c->watch;
}

/* The programs stay: a worker will hold the engine's objects, and whoever loaded them their descriptors. */
static int add_programs(struct coverage *c, struct vm *vm)
{
	const struct obj *o;
	struct counted *p;
	size_t n = 0;

	for (o = vm->first[OBJ_PROG]; o; o = o->next)
		n++;
	c->prog = calloc(n ? n : 1, sizeof(*c->prog));
	if (!c->prog)
		return -ENOMEM;
	for (o = vm->first[OBJ_PROG]; o && c->n < n; o = o->next) {
		const struct vm_program *program = (const struct vm_program *)o;

		if (!program->lines.n_lines)
			continue;
		p = &c->prog[c->n++];
		p->prog = program->code;
		p->lines = &program->lines;
		vm_prog_insns(p->prog, &p->n);
		p->runs = calloc(p->n, sizeof(*p->runs));
		p->taken = calloc(p->n, sizeof(*p->taken));
		if (!p->runs || !p->taken)
			return -ENOMEM;
	}
	return 0;
}

int coverage_new(struct vm *vm, struct coverage **to, struct sluice_err *err)
{
	struct coverage *c = calloc(1, sizeof(*c));
	int e;

	*to = NULL;
	if (!c)
		return err_nomem(err);
	c->watch = (struct vm_watch){.step = step};
	pthread_mutex_lock(&vm->lock);
	e = add_programs(c, vm);
	pthread_mutex_unlock(&vm->lock);
	if (e)
		e = err_nomem(err);
	else if (!c->n)
		e = err_set(err, -ENOENT,
			    "no program has line records, so no line can be covered: compile with -g");
	if (e)
		coverage_free(c);
	else
		*to = c;
	return e;
}

void coverage_free(struct coverage *c)
{
	size_t i;

	for (i = 0; c && i < c->n; i++) {
		free(c->prog[i].runs);
		free(c->prog[i].taken);
	}
	if (c) {
		free(c->prog);
		free(c->row);
	}
	free(c);
}

static int add_row(struct coverage *c, const struct row *row)
{
	size_t cap = c->cap ? c->cap * 2 : 256;
	struct row *more;

	if (c->n_rows == c->cap) {
		more = realloc(c->row, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		c->row = more;
		c->cap = cap;
	}
	c->row[c->n_rows++] = *row;
	return 0;
}

static int order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int d = strcmp(x->file, y->file);

	if (!d)
		d = (x->kind > y->kind) - (x->kind < y->kind);
	if (!d)
		d = (x->line > y->line) - (x->line < y->line);
	if (!d && x->kind == ROW_FUNC)
		d = strcmp(x->func, y->func);
	return d ? d : (x->block > y->block) - (x->block < y->block);
}

static bool same(const struct row *a, const struct row *b)
{
	return a->kind == b->kind && a->line == b->line && a->block == b->block &&
	       !strcmp(a->file, b->file) && (a->kind != ROW_FUNC || !strcmp(a->func, b->func));
}

/* Sorted rows, of which equal ones become one: of one program's line the most, of several programs the sum. */
static void merge(struct coverage *c, size_t from, bool most)
{
	size_t i, n = from;

	if (c->n_rows == from)
		return;
	qsort(c->row + from, c->n_rows - from, sizeof(*c->row), order);
	for (i = from + 1; i < c->n_rows; i++) {
		struct row *to = &c->row[n], *r = &c->row[i];

		if (!same(to, r)) {
			c->row[++n] = *r;
		} else if (most) {
			to->runs = r->runs > to->runs ? r->runs : to->runs;
		} else {
			to->runs += r->runs;
			to->taken += r->taken;
		}
	}
	c->n_rows = n + 1;
}

static int gather_lines(struct coverage *c, const struct counted *p)
{
	struct vm_line line, next;
	uint32_t i, pc, end;
	uint64_t most;
	int e = 0;

	for (i = 0; lines_get(p->lines, i, &line) && !e; i++) {
		end = lines_get(p->lines, i + 1, &next) ? next.pc : p->n;
		for (most = 0, pc = line.pc; pc < end; pc++)
			most = p->runs[pc] > most ? p->runs[pc] : most;
		if (line.line && *line.file)
			e = add_row(c, &(struct row){.file = line.file,
						     .line = line.line,
						     .kind = ROW_LINE,
						     .runs = most});
	}
	return e;
}

static int gather_rest(struct coverage *c, const struct counted *p)
{
	const struct bpf_insn *insns;
	struct vm_line line;
	const char *name;
	uint32_t i, pc, n;
	int e = 0;

	for (i = 0; (name = lines_func(p->lines, i, &pc)) && !e; i++)
		if (lines_at(p->lines, pc, &line) && line.line && *line.file)
			e = add_row(c, &(struct row){.file = line.file,
						     .func = name,
						     .line = line.line,
						     .kind = ROW_FUNC,
						     .runs = p->runs[pc]});
	insns = vm_prog_insns(p->prog, &n);
	if (!p->runs[0]) /* it may have been joined into another, which has the same jumps elsewhere */
		n = 0;
	for (pc = 0; pc < n && !e; pc++) {
		if (is_branch(&insns[pc]) && lines_at(p->lines, pc, &line) && line.line && *line.file)
			e = add_row(c, &(struct row){.file = line.file,
						     .line = line.line,
						     .kind = ROW_BRANCH,
						     .block = pc,
						     .runs = p->runs[pc],
						     .taken = p->taken[pc]});
		if (insns[pc].code == (BPF_LD | BPF_IMM | BPF_DW))
			pc++;
	}
	return e;
}

/* A function that was joined into another program is none there, but its first line is. */
static void mend_funcs(struct coverage *c)
{
	struct row want, *line;
	size_t i;

	for (i = 0; i < c->n_rows; i++) {
		if (c->row[i].kind != ROW_FUNC || c->row[i].runs)
			continue;
		want = (struct row){.file = c->row[i].file, .line = c->row[i].line, .kind = ROW_LINE};
		line = bsearch(&want, c->row, c->n_rows, sizeof(*c->row), order);
		if (line)
			c->row[i].runs = line->runs;
	}
}

static void write_row(const struct row *r, uint32_t block, FILE *to, struct coverage_sum *s)
{
	unsigned long long runs = r->runs, taken = r->taken;

	switch (r->kind) {
	case ROW_FUNC:
		fprintf(to, "FN:%u,%s\nFNDA:%llu,%s\n", r->line, r->func, runs, r->func);
		s->funcs++;
		s->funcs_hit += runs > 0;
		break;
	case ROW_BRANCH:
		if (runs)
			fprintf(to, "BRDA:%u,%u,0,%llu\nBRDA:%u,%u,1,%llu\n", r->line, block, taken, r->line,
				block, runs - taken);
		else
			fprintf(to, "BRDA:%u,%u,0,-\nBRDA:%u,%u,1,-\n", r->line, block, r->line, block);
		s->branches += 2;
		s->branches_hit += (taken > 0) + (runs > taken);
		break;
	case ROW_LINE:
		fprintf(to, "DA:%u,%llu\n", r->line, runs);
		s->lines++;
		s->lines_hit += runs > 0;
		break;
	}
}

static void write_file(const struct row *r, size_t n, FILE *to, struct coverage_sum *sum)
{
	struct coverage_sum s = {0};
	uint32_t block = 0;
	size_t i;

	fprintf(to, "TN:\nSF:%s\n", r->file);
	for (i = 0; i < n; i++) {
		/* blocks are numbered within their line */
		block = i && r[i].line == r[i - 1].line && r[i].kind == r[i - 1].kind ? block + 1 : 0;
		write_row(&r[i], block, to, &s);
	}
	fprintf(to, "FNF:%u\nFNH:%u\nBRF:%u\nBRH:%u\nLF:%u\nLH:%u\nend_of_record\n", s.funcs, s.funcs_hit,
		s.branches, s.branches_hit, s.lines, s.lines_hit);
	sum->files++;
	sum->funcs += s.funcs;
	sum->funcs_hit += s.funcs_hit;
	sum->branches += s.branches;
	sum->branches_hit += s.branches_hit;
	sum->lines += s.lines;
	sum->lines_hit += s.lines_hit;
}

int coverage_write(struct coverage *c, FILE *to, struct coverage_sum *sum, struct sluice_err *err)
{
	size_t i, from;
	int e = 0;

	*sum = (struct coverage_sum){0};
	c->n_rows = 0;
	for (i = 0; i < c->n && !e; i++) {
		from = c->n_rows;
		e = gather_lines(c, &c->prog[i]);
		if (!e)
			merge(c, from, true);
		if (!e)
			e = gather_rest(c, &c->prog[i]);
	}
	if (e)
		return err_nomem(err);
	merge(c, 0, false);
	mend_funcs(c);
	for (i = 0; i < c->n_rows; i = from) {
		for (from = i; from < c->n_rows && !strcmp(c->row[from].file, c->row[i].file); from++)
			;
		write_file(&c->row[i], from - i, to, sum);
	}
	return 0;
}
