// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program's code in a form that outlives descriptors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/code.h"
#include "bpf/privilege.h"

#define LD_IMM64 (BPF_LD | BPF_IMM | BPF_DW)

bool code_is_map(const struct bpf_insn *insn)
{
	return insn->code == LD_IMM64 && (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE);
}

bool code_is_module_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_KFUNC_CALL && insn->off != 0;
}

static int add_ref(struct code *c, enum code_ref_kind kind, uint32_t id, uint32_t *index)
{
	uint32_t i;

	for (i = 0; i < c->n_refs; i++)
		if (c->ref[i].kind == kind && c->ref[i].id == id)
			break;
	if (!id || i == CODE_MAX_REFS)
		return -ENOSPC;
	c->ref[i] = (struct code_ref){kind, id};
	if (i == c->n_refs)
		c->n_refs++;
	*index = i;
	return 0;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static uint32_t btf_id(int fd)
{
	struct bpf_btf_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* Descriptors in the instructions become indexes into ref. */
static int take_refs(struct code *c, const int *fd_array)
{
	uint32_t i, index;

	for (i = 0; i < c->n_insns; i++) {
		struct bpf_insn *insn = &c->insns[i];

		if (code_is_map(insn)) {
			if (add_ref(c, CODE_REF_MAP, map_id(insn->imm), &index))
				return -ENOSPC;
			insn->imm = (int32_t)index;
		} else if (code_is_module_call(insn)) {
			if (!fd_array || insn->off < 0 ||
			    add_ref(c, CODE_REF_BTF, btf_id(fd_array[insn->off]), &index))
				return -ENOSPC;
			insn->off = (int16_t)(index + 1);
		}
		if (insn->code == LD_IMM64)
			i++;
	}
	return 0;
}

/* n records of rec_size bytes each, of which the first `size` are known here. */
static void *copy_records(uint64_t from, uint32_t n, uint32_t rec_size, size_t size)
{
	uint8_t *to = calloc(n ? n : 1, size);
	uint32_t i;

	for (i = 0; to && i < n; i++)
		memcpy(to + i * size, (const uint8_t *)(uintptr_t)from + (size_t)i * rec_size,
		       rec_size < size ? rec_size : size);
	return to;
}

/* By the descriptor that the load was given: opening it by its number would take CAP_SYS_ADMIN. */
static int take_btf(struct code *c, int fd)
{
	struct bpf_btf_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	c->btf_len = info.btf_size;
	c->btf = malloc(c->btf_len ? c->btf_len : 1);
	if (!c->btf)
		return -ENOMEM;
	info = (struct bpf_btf_info){.btf = (uintptr_t)c->btf, .btf_size = c->btf_len};
	len = sizeof(info);
	return bpf_obj_get_info_by_fd(fd, &info, &len) ? -errno : 0;
}

static int from_attr(const union bpf_attr *attr, struct code **code)
{
	struct code *c = calloc(1, sizeof(*c));
	int e;

	*code = NULL;
	if (!c)
		return -ENOMEM;
	c->n_insns = attr->insn_cnt;
	c->insns = copy_records(attr->insns, c->n_insns, sizeof(*c->insns), sizeof(*c->insns));
	c->n_funcs = attr->func_info_cnt;
	c->funcs = copy_records(attr->func_info, c->n_funcs, attr->func_info_rec_size, sizeof(*c->funcs));
	c->n_lines = attr->line_info_cnt;
	c->lines = copy_records(attr->line_info, c->n_lines, attr->line_info_rec_size, sizeof(*c->lines));
	c->frags = attr->prog_flags & BPF_F_XDP_HAS_FRAGS;
	if (attr->license)
		snprintf(c->license, sizeof(c->license), "%s", (const char *)(uintptr_t)attr->license);
	e = c->insns && c->funcs && c->lines ? take_refs(c, (const int *)(uintptr_t)attr->fd_array) : -ENOMEM;
	if (!e && c->n_funcs)
		e = take_btf(c, (int)attr->prog_btf_fd);
	if (e)
		code_free(c);
	else
		*code = c;
	return e;
}

static void loaded(struct seam_capture *self, const union bpf_attr *attr, int prog_fd)
{
	struct code_capture *capture = (struct code_capture *)self;
	struct code_capture_item *item;
	int saved = errno;

	item = realloc(capture->item, (capture->n + 1) * sizeof(*item));
	if (!item) {
		capture->failed = true;
	} else {
		capture->item = item;
		item += capture->n++;
		item->id = prog_id(prog_fd);
		item->e = from_attr(attr, &item->code);
	}
	errno = saved;
}

void code_capture_start(struct code_capture *capture)
{
	memset(capture, 0, sizeof(*capture));
	capture->seam.loaded = loaded;
	seam_capture(&capture->seam);
}

void code_capture_stop(struct code_capture *capture)
{
	(void)capture;
	seam_capture(NULL);
}

int code_capture_take(struct code_capture *capture, int prog_fd, struct code **code, struct sluice_err *err)
{
	uint32_t id = prog_id(prog_fd);
	size_t i;

	*code = NULL;
	if (capture->failed)
		return err_nomem(err);
	for (i = 0; i < capture->n && id; i++) {
		if (capture->item[i].id != id)
			continue;
		*code = capture->item[i].code;
		capture->item[i].code = NULL;
		switch (capture->item[i].e) {
		case 0:
			return 0;
		case -EPERM:
			return privilege_missing("reading back a program's type information", err);
		case -ENOSPC:
			return err_set(err, -ENOSPC, "the program refers to more than %d maps", CODE_MAX_REFS);
		default:
			return err_set(err, capture->item[i].e, "keeping the program's code: %s", strerror(-capture->item[i].e));
		}
	}
	if (!seam_works())
		return err_set(err, -EOPNOTSUPP,
			       "libbpf's system calls do not come through libsluice; link libsluice before libc, "
			       "or load it with RTLD_GLOBAL before libbpf");
	return err_set(err, -ENOENT, "the program was not loaded");
}

void code_capture_free(struct code_capture *capture)
{
	size_t i;

	for (i = 0; i < capture->n; i++)
		code_free(capture->item[i].code);
	free(capture->item);
	memset(capture, 0, sizeof(*capture));
}

void code_free(struct code *code)
{
	if (!code)
		return;
	free(code->insns);
	free(code->funcs);
	free(code->lines);
	free(code->btf);
	free(code);
}

void code_write(const struct code *code, struct buf *to)
{
	buf_u32(to, code->n_insns);
	buf_put(to, code->insns, code->n_insns * sizeof(*code->insns));
	buf_u32(to, code->n_funcs);
	buf_put(to, code->funcs, code->n_funcs * sizeof(*code->funcs));
	buf_u32(to, code->n_lines);
	buf_put(to, code->lines, code->n_lines * sizeof(*code->lines));
	buf_u32(to, code->btf_len);
	buf_put(to, code->btf, code->btf_len);
	buf_u32(to, code->n_refs);
	buf_put(to, code->ref, code->n_refs * sizeof(*code->ref));
	buf_u32(to, code->frags);
	buf_str(to, code->license);
}

/* A count of at most max, then as many items of size bytes, into fresh memory. */
static void *read_items(struct view *from, uint32_t *n, size_t size, uint32_t max)
{
	const void *p;
	void *to;

	*n = view_u32(from);
	p = *n <= max ? view_take(from, *n * size) : NULL;
	to = p ? malloc(*n * size + 1) : NULL;
	if (to)
		memcpy(to, p, *n * size);
	else
		from->failed = true;
	return to;
}

static bool consistent(const struct code *c)
{
	uint32_t i;

	for (i = 0; i < c->n_insns; i++) {
		const struct bpf_insn *insn = &c->insns[i];

		if (code_is_map(insn) && ((uint32_t)insn->imm >= c->n_refs || c->ref[insn->imm].kind != CODE_REF_MAP))
			return false;
		if (code_is_module_call(insn) && (insn->off < 0 || (uint32_t)insn->off > c->n_refs ||
						  c->ref[insn->off - 1].kind != CODE_REF_BTF))
			return false;
		if (insn->code == LD_IMM64 && ++i == c->n_insns)
			return false;
	}
	for (i = 0; i < c->n_funcs; i++)
		if (c->funcs[i].insn_off >= c->n_insns || (i && c->funcs[i].insn_off <= c->funcs[i - 1].insn_off))
			return false;
	for (i = 0; i < c->n_lines; i++)
		if (c->lines[i].insn_off >= c->n_insns || (i && c->lines[i].insn_off <= c->lines[i - 1].insn_off))
			return false;
	return c->n_insns > 0;
}

void code_read(struct view *from, struct code **code)
{
	struct code *c = calloc(1, sizeof(*c));

	*code = NULL;
	if (!c) {
		from->failed = true;
		return;
	}
	c->insns = read_items(from, &c->n_insns, sizeof(*c->insns), CODE_MAX_INSNS);
	c->funcs = read_items(from, &c->n_funcs, sizeof(*c->funcs), CODE_MAX_INSNS);
	c->lines = read_items(from, &c->n_lines, sizeof(*c->lines), CODE_MAX_INSNS);
	c->btf = read_items(from, &c->btf_len, 1, 64u << 20);
	c->n_refs = view_u32(from);
	if (c->n_refs > CODE_MAX_REFS)
		from->failed = true;
	else
		view_copy(from, c->ref, c->n_refs * sizeof(*c->ref));
	c->frags = view_u32(from);
	view_str(from, c->license, sizeof(c->license));
	if (!view_ok(from) || !consistent(c)) {
		from->failed = true;
		code_free(c);
		return;
	}
	*code = c;
}

int code_copy(const struct code *code, struct code **copy, struct sluice_err *err)
{
	struct buf b = {0};
	struct view v;

	*copy = NULL;
	code_write(code, &b);
	if (!b.failed) {
		v = view_of(b.data, b.len);
		code_read(&v, copy);
	}
	buf_free(&b);
	return *copy ? 0 : err_nomem(err);
}
