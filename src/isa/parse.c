// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The assembler: a line is held against the text of every row of isa.def, labels are filled in at
 * the end. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "isa/isa.h"

#define NAME_MAX_LEN 64

struct label {
	char name[NAME_MAX_LEN];
	uint32_t pc, line; /* of a use: the instruction that uses it */
};

struct parse {
	struct buf insns, labels, uses;
	uint32_t line;
	struct sluice_err *err;
};

/* What one line was read as. */
struct found {
	struct bpf_insn insn[2];
	char label[NAME_MAX_LEN];
	bool by_offset; /* the label goes into the offset, not the immediate */
};

static const char *skip(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

static bool number(const char **s, int64_t min, uint64_t max, uint64_t *value)
{
	const char *p = *s;
	bool minus = *p == '-';
	char *end;
	uint64_t v;

	if (*p == '-' || *p == '+')
		p++;
	if (!isdigit((unsigned char)*p))
		return false;
	errno = 0;
	v = strtoull(p, &end, 0);
	if (errno || isalnum((unsigned char)*end))
		return false;
	if (minus ? v > (uint64_t)0 - (uint64_t)min : v > max)
		return false;
	*value = minus ? 0 - v : v;
	*s = end;
	return true;
}

/* "rN", or "wN" of width 32; again: it was read before and must be the same. */
static bool reg(const char **s, char letter, unsigned int *n)
{
	const char *p = *s;
	char *end;
	unsigned long v;

	if (*p != letter || !isdigit((unsigned char)p[1]))
		return false;
	v = strtoul(p + 1, &end, 10);
	if (v > 15 || (*n != 16 && *n != v))
		return false;
	*n = (unsigned int)v;
	*s = end;
	return true;
}

static size_t word_len(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')
		n++;
	return n;
}

static bool jump(const char **s, struct found *f, bool by_offset)
{
	int64_t min = by_offset ? INT16_MIN : INT32_MIN;
	uint64_t v;
	size_t n;
	const char *p = *s;

	if (!strncmp(p, "pc+", 3) || !strncmp(p, "pc-", 3))
		p += 2;
	if (*p == '+' || *p == '-') {
		if (!number(&p, min, by_offset ? INT16_MAX : INT32_MAX, &v))
			return false;
		if (by_offset)
			f->insn[0].off = (int16_t)v;
		else
			f->insn[0].imm = (int32_t)v;
		*s = p;
		return true;
	}
	n = word_len(p);
	if (!n || n >= NAME_MAX_LEN || strchr(p, '#'))
		return false;
	memcpy(f->label, p, n);
	f->label[n] = '\0';
	f->by_offset = by_offset;
	*s = p + n;
	return true;
}

static bool helper(const char **s, struct found *f)
{
	const char *p = *s;
	size_t n = word_len(p);
	uint64_t v;
	int32_t known = isa_helper_number(p, n);

	if (p[n] == '#') {
		p += n + 1;
		if (!number(&p, INT32_MIN, INT32_MAX, &v))
			return false;
		f->insn[0].imm = (int32_t)v;
	} else {
		if (known < 0)
			return false;
		f->insn[0].imm = known;
		p += n;
	}
	*s = p;
	return true;
}

static bool field(const char **s, char which, struct found *f, unsigned int *dst, unsigned int *src)
{
	uint64_t v;
	uint8_t code;
	bool wide;

	switch (which) {
	case 'd':
	case 'D':
		return reg(s, which == 'd' ? 'r' : 'w', dst);
	case 's':
	case 'S':
		return reg(s, which == 's' ? 'r' : 'w', src);
	case 'i':
	case 'x':
		/* 64-bit operations sign-extend: 0xffffffff would not be what it says */
		code = f->insn[0].code;
		wide = which == 'i' && (BPF_CLASS(code) == BPF_ALU64 || code == (BPF_ST | BPF_MEM | BPF_DW));
		if (!number(s, INT32_MIN, wide ? INT32_MAX : UINT32_MAX, &v))
			return false;
		f->insn[0].imm = (int32_t)v;
		return true;
	case 'h':
		if (!number(s, INT32_MIN, UINT32_MAX, &v))
			return false;
		f->insn[1].imm = (int32_t)v;
		return true;
	case 'q':
		if (strncmp(*s, "0x", 2) != 0 || !number(s, 0, UINT64_MAX, &v))
			return false;
		f->insn[0].imm = (int32_t)v;
		f->insn[1].imm = (int32_t)(v >> 32);
		return true;
	case 'o':
		if (!number(s, INT16_MIN, INT16_MAX, &v))
			return false;
		f->insn[0].off = (int16_t)v;
		return true;
	case 'j':
		return jump(s, f, true);
	case 'l':
	case 'f':
		return jump(s, f, false);
	case 'c':
		return helper(s, f);
	}
	return **s == which && (*s)++;
}

/* Is the whole of s this row? Blanks count for nothing. */
static bool matches(const char *s, enum isa_id id, struct found *f)
{
	unsigned int dst = 16, src = 16;
	const char *p;

	memset(f, 0, sizeof(*f));
	f->insn[0] = isa_make(id);
	for (p = isa_op(id)->text; *p; p++) {
		s = skip(s);
		if (*p == ' ')
			continue;
		if (*p == '%' ? !field(&s, *++p, f, &dst, &src) : *s++ != *p)
			return false;
	}
	if (*skip(s))
		return false;
	if (dst != 16)
		f->insn[0].dst_reg = dst & 15;
	if (src != 16)
		f->insn[0].src_reg = src & 15;
	return true;
}

static void add_label(struct buf *b, const char *name, uint32_t pc, uint32_t line)
{
	struct label l = {.pc = pc, .line = line};

	snprintf(l.name, sizeof(l.name), "%s", name);
	buf_put(b, &l, sizeof(l));
}

/* code: the opcode byte that was written in front, -1: none. Without one the first row wins: "r1 =
 * 5" is a mov. */
static int parse_insn(struct parse *p, const char *s, int code)
{
	struct found f;
	enum isa_id id;

	for (id = 0; id < ISA_N_OPS; id++)
		if ((code < 0 || isa_op(id)->code == code) && matches(s, id, &f))
			break;
	if (id == ISA_N_OPS)
		return err_set(p->err, -EINVAL, "line %u: \"%s\" is no instruction", p->line, s);
	if (f.label[0])
		add_label(&p->uses, f.label,
			  (uint32_t)(p->insns.len / sizeof(struct bpf_insn)) | (uint32_t)f.by_offset << 31,
			  p->line);
	buf_put(&p->insns, f.insn, isa_is_wide(f.insn) ? 16 : 8);
	return 0;
}

static int parse_line(struct parse *p, char *line)
{
	char *s, *c;
	char name[NAME_MAX_LEN];
	int code = -1;
	size_t n;

	c = strpbrk(line, ";\n");
	if (c)
		*c = '\0';
	s = (char *)skip(line);
	for (c = s; *c; c++)
		if (*c == '#' && (c == s || c[-1] == ' ' || c[-1] == '\t'))
			*c-- = '\0';
	for (c = s + strlen(s); c > s && isspace((unsigned char)c[-1]);)
		*--c = '\0';
	n = word_len(s);
	if (n && n < sizeof(name) && s[n] == ':') {
		memcpy(name, s, n);
		name[n] = '\0';
		if (!isdigit((unsigned char)name[0]))
			add_label(&p->labels, name, (uint32_t)(p->insns.len / sizeof(struct bpf_insn)),
				  p->line);
		s = (char *)skip(s + n + 1);
	}
	if (s[0] == '(' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2]) && s[3] == ')') {
		code = (int)strtoul(s + 1, NULL, 16);
		s = (char *)skip(s + 4);
	}
	return *s ? parse_insn(p, s, code) : 0;
}

static int fill_labels(struct parse *p)
{
	const struct label *l = (void *)p->labels.data, *u = (void *)p->uses.data;
	size_t nl = p->labels.len / sizeof(*l), nu = p->uses.len / sizeof(*u), i, j;
	struct bpf_insn *insns = (void *)p->insns.data;
	uint32_t pc;
	int64_t d;

	for (i = 0; i < nu; i++) {
		for (j = 0; j < nl && strcmp(l[j].name, u[i].name) != 0; j++)
			;
		if (j == nl)
			return err_set(p->err, -EINVAL, "line %u: no label \"%s\"", u[i].line, u[i].name);
		pc = u[i].pc & INT32_MAX;
		d = (int64_t)l[j].pc - pc - 1;
		if (u[i].pc & 1u << 31) {
			if (d < INT16_MIN || d > INT16_MAX)
				return err_set(p->err, -EINVAL,
					       "line %u: \"%s\" is too far away for a short jump", u[i].line,
					       u[i].name);
			insns[pc].off = (int16_t)d;
		} else {
			insns[pc].imm = (int32_t)d;
		}
	}
	return 0;
}

int isa_parse(const char *text, struct bpf_insn **insns, uint32_t *n, struct sluice_err *err)
{
	struct parse p = {.err = err};
	char line[512];
	size_t len;
	int e = 0;

	*insns = NULL;
	*n = 0;
	while (!e && *text) {
		len = strcspn(text, "\n");
		p.line++;
		if (len >= sizeof(line)) {
			e = err_set(err, -EINVAL, "line %u: longer than %zu characters", p.line,
				    sizeof(line) - 1);
			break;
		}
		memcpy(line, text, len);
		line[len] = '\0';
		e = parse_line(&p, line);
		text += len + (text[len] == '\n');
	}
	if (!e && (p.insns.failed || p.labels.failed || p.uses.failed))
		e = err_nomem(err);
	if (!e)
		e = fill_labels(&p);
	if (!e) {
		*insns = (void *)p.insns.data;
		*n = (uint32_t)(p.insns.len / sizeof(struct bpf_insn));
		p.insns = (struct buf){0};
	}
	buf_free(&p.insns);
	buf_free(&p.labels);
	buf_free(&p.uses);
	return e;
}
