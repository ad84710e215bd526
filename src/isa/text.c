// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Instructions as text, in the notation of the kernel's log: printing walks the text of a row of
 * isa.def. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "isa/isa.h"

/* the mapper of headers since 6.3 leaves commas to us */
#ifdef ___BPF_FUNC_MAPPER
#define NAME(x, ...) [BPF_FUNC_##x] = "bpf_" #x,
#else
#define NAME(x) [BPF_FUNC_##x] = "bpf_" #x
#endif
static const char *const helpers[] = {__BPF_FUNC_MAPPER(NAME)};

const char *isa_helper_name(int32_t number)
{
	return number > 0 && (size_t)number < sizeof(helpers) / sizeof(*helpers) ? helpers[number] : NULL;
}

int32_t isa_helper_number(const char *name, size_t len)
{
	size_t i;

	for (i = 1; i < sizeof(helpers) / sizeof(*helpers); i++)
		if (strlen(helpers[i]) == len && !memcmp(helpers[i], name, len))
			return (int32_t)i;
	return -1;
}

struct out {
	char *to;
	size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->to + o->len, o->size - o->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len = o->len + (size_t)n < o->size ? o->len + (size_t)n : o->size - 1;
}

static void put_field(struct out *o, char field, const struct bpf_insn *i, int32_t high)
{
	const char *name;

	switch (field) {
	case 'd':
		put(o, "r%u", i->dst_reg);
		break;
	case 's':
		put(o, "r%u", i->src_reg);
		break;
	case 'D':
		put(o, "w%u", i->dst_reg);
		break;
	case 'S':
		put(o, "w%u", i->src_reg);
		break;
	case 'i':
		put(o, "%d", i->imm);
		break;
	case 'h':
		put(o, "%d", high);
		break;
	case 'x':
		put(o, "0x%x", (uint32_t)i->imm);
		break;
	case 'q':
		put(o, "0x%llx", (unsigned long long)(uint32_t)high << 32 | (uint32_t)i->imm);
		break;
	case 'o':
		put(o, "%+d", i->off);
		break;
	case 'j':
		put(o, "pc%+d", i->off);
		break;
	case 'l':
		put(o, "pc%+d", i->imm);
		break;
	case 'f':
		put(o, "%+d", i->imm);
		break;
	case 'c':
		name = isa_helper_name(i->imm);
		put(o, "%s#%d", name ? name : "unknown", i->imm);
		break;
	default:
		put(o, "%c", field);
	}
}

char *isa_print(const struct bpf_insn *insns, uint32_t left, char *to, size_t size)
{
	struct out o = {to, size, 0};
	enum isa_id id = isa_decode(insns);
	int32_t high = isa_is_wide(insns) && left > 1 ? insns[1].imm : 0;
	const char *p;

	to[0] = '\0';
	put(&o, "(%02x) ", insns->code);
	if (id == ISA_UNKNOWN) {
		put(&o, "unknown: dst %u, src %u, off %d, imm %d", insns->dst_reg, insns->src_reg, insns->off,
		    insns->imm);
		return to;
	}
	for (p = isa_op(id)->text; *p; p++) {
		if (*p == '%')
			put_field(&o, *++p, insns, high);
		else
			put(&o, "%c", *p);
	}
	return to;
}
