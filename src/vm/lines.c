// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of functions and source lines: taken from the load, asked for by faults, traces and coverage. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

#include "vm/lines.h"
#include "vm/prog.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

#define MOST_RECORD 252 /* bytes: MAX_FUNCINFO_REC_SIZE, MAX_LINEINFO_REC_SIZE */

/* n records of rec bytes, of which `size` are known; what is behind must be zero. */
static int copy(void **to, uint64_t from, uint32_t n, uint32_t rec, uint32_t size)
{
	struct user_buf all;
	const uint8_t *p;
	uint32_t i;
	int e;

	if (rec < size || rec > MOST_RECORD || rec % 4)
		return -EINVAL;
	e = user_in(&all, from, (uint64_t)n * rec);
	if (e)
		return e;
	p = all.p;
	for (i = 0; i < n && !e; i++)
		if (!sys_tail_zero(p + (size_t)i * rec + size, rec - size))
			e = -E2BIG;
	*to = e ? NULL : malloc((size_t)n * size);
	for (i = 0; i < n && *to; i++)
		memcpy((uint8_t *)*to + (size_t)i * size, p + (size_t)i * rec, size);
	user_in_done(&all);
	return e ? e : *to ? 0 : -ENOMEM;
}

static int take_funcs(struct vm_lines *l, const union bpf_attr *attr)
{
	const struct btf_type *t;
	uint32_t i, n = attr->func_info_cnt;
	int e;

	if (!n)
		return 0;
	if (n > l->n_insns)
		return -EINVAL;
	e = copy((void **)&l->func, attr->func_info, n, attr->func_info_rec_size, sizeof(*l->func));
	if (e)
		return e;
	for (i = 0; i < n; i++) {
		const struct bpf_func_info *f = &l->func[i];

		t = btf__type_by_id(l->btf, f->type_id);
		if (i ? f->insn_off <= f[-1].insn_off : f->insn_off)
			return -EINVAL;
		if (f->insn_off >= l->n_insns || !t || !btf_is_func(t))
			return -EINVAL;
	}
	l->n_funcs = n;
	return 0;
}

static int take_lines(struct vm_lines *l, const union bpf_attr *attr)
{
	uint32_t i, n = attr->line_info_cnt;
	int e;

	if (!n)
		return 0;
	if (n > INT32_MAX / sizeof(*l->line))
		return -EINVAL;
	if (n > l->n_insns)
		return -EINVAL; /* each has an instruction of its own */
	e = copy((void **)&l->line, attr->line_info, n, attr->line_info_rec_size, sizeof(*l->line));
	if (e)
		return e;
	for (i = 0; i < n; i++) {
		const struct bpf_line_info *r = &l->line[i];

		if (r->insn_off >= l->n_insns || (i && r->insn_off <= r[-1].insn_off))
			return -EINVAL;
		if (!btf__str_by_offset(l->btf, r->line_off) || !btf__str_by_offset(l->btf, r->file_name_off))
			return -EINVAL;
	}
	l->n_lines = n;
	return 0;
}

int lines_take(struct vm_lines *to, const union bpf_attr *attr, const struct btf *btf)
{
	int e;

	*to = (struct vm_lines){.btf = btf, .n_insns = attr->insn_cnt};
	if (!attr->func_info_cnt && !attr->line_info_cnt)
		return 0;
	if (!btf)
		return -EINVAL;
	e = take_funcs(to, attr);
	return e ? e : take_lines(to, attr);
}

void lines_free(struct vm_lines *l)
{
	free(l->line);
	free(l->func);
	*l = (struct vm_lines){0};
}

const struct vm_lines *lines_of(const struct vm_prog *prog)
{
	const struct vm_program *p = vm_prog_owner(prog);

	return p ? &p->lines : NULL;
}

bool lines_get(const struct vm_lines *l, uint32_t i, struct vm_line *to)
{
	const struct bpf_line_info *r;

	if (!l || i >= l->n_lines)
		return false;
	r = &l->line[i];
	*to = (struct vm_line){.file = btf__str_by_offset(l->btf, r->file_name_off),
			       .text = btf__str_by_offset(l->btf, r->line_off),
			       .line = BPF_LINE_INFO_LINE_NUM(r->line_col),
			       .col = BPF_LINE_INFO_LINE_COL(r->line_col),
			       .pc = r->insn_off};
	return true;
}

/* The last of n records of size bytes, each starting with its instruction's index, that starts at or before
 * pc; -1. */
static int64_t last_before(const void *records, uint32_t n, size_t size, uint32_t pc)
{
	uint32_t low = 0, high = n, mid, at;

	while (low < high) {
		mid = low + (high - low) / 2;
		memcpy(&at, (const uint8_t *)records + mid * size, sizeof(at));
		if (at <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	return (int64_t)low - 1;
}

bool lines_at(const struct vm_lines *l, uint32_t pc, struct vm_line *to)
{
	int64_t i = l ? last_before(l->line, l->n_lines, sizeof(*l->line), pc) : -1;

	return i >= 0 && lines_get(l, (uint32_t)i, to);
}

const char *lines_func(const struct vm_lines *l, uint32_t i, uint32_t *pc)
{
	const struct btf_type *t;

	if (!l || i >= l->n_funcs)
		return NULL;
	*pc = l->func[i].insn_off;
	t = btf__type_by_id(l->btf, l->func[i].type_id);
	return t ? btf__str_by_offset(l->btf, t->name_off) : NULL;
}

int lines_func_at(const struct vm_lines *l, uint32_t pc)
{
	return l ? (int)last_before(l->func, l->n_funcs, sizeof(*l->func), pc) : -1;
}

bool lines_say(void *owner, uint32_t pc, char *to, size_t size)
{
	const struct vm_program *p = owner;
	struct vm_line line;

	if (!lines_at(&p->lines, pc, &line))
		return false;
	line.text += strspn(line.text, " \t");
	snprintf(to, size, "%s:%u: %s", line.file, line.line, line.text);
	return true;
}
