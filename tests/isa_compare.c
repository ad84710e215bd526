// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * isa-compare --forms        assembler source of every instruction, as bytes
 * isa-compare OBJECT < TEXT  holds isa_print() against what "llvm-objdump -d --no-show-raw-insn OBJECT" wrote
 * about each instruction. Both are brought into one form first; what is known to be written differently:
 *
 *   here                            there                     why
 *   (bf) r1 = r2                    r1 = r2                   the opcode is the kernel's log's
 *   if r1 == 0x5 goto pc+3          if r1 == 5 goto +3 <L>    numbers are compared, names of labels left out
 *   r1 = 0x5 (two slots)            r1 = 5 ll                 the kernel's log does not mark it
 *   r1 = map[fd:0], map[fd:0]+0     r1 = 0 ll                 objects before relocation hold no maps yet
 *   r1 = subprog[+7]                r1 = 7 ll                 the same
 *   call bpf_redirect#23            call 23                   it knows no names
 *   call pc+7                       call 7                    and not helpers from functions
 *   r1 = atomic64_fetch_add(...)    r1 = atomic_fetch_add(..) the kernel's log tells both widths apart by
 * name r1 = atomic64_xchg((u64 *)(r2 +0), r1)                    r1 = xchg_64(r2 + 0, r1) r0 =
 * atomic64_cmpxchg((u64 *)(r2 +0), r0, r1)             r0 = cmpxchg_64(r2 + 0, r0, r1)
 *
 * Prints what differs beyond that and how many instructions there were; exits 1 if any did.
 */
#include <ctype.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "isa/isa.h"

#define TEXT 256

/* Takes every `what` out of s. */
static void drop(char *s, const char *what)
{
	size_t n = strlen(what);
	char *p;

	while ((p = strstr(s, what)) != NULL)
		memmove(p, p + n, strlen(p + n) + 1);
}

static void replace(char *s, size_t size, const char *what, const char *by)
{
	char rest[TEXT], *p = strstr(s, what);

	if (!p)
		return;
	snprintf(rest, sizeof(rest), "%s", p + strlen(what));
	snprintf(p, size - (size_t)(p - s), "%s%s", by, rest);
}

/* Numbers in decimal, those of 32 bits signed; blanks out. */
static void plain(const char *s, char *to, size_t size)
{
	size_t n = 0;
	char *end, before = ' ';

	for (; *s && n + 32 < size; before = *s, s++) {
		bool minus = *s == '-' && isdigit((unsigned char)s[1]);
		long long v;

		if (isspace((unsigned char)*s))
			continue;
		if ((!minus && !isdigit((unsigned char)*s)) || isalnum((unsigned char)before) || before == '_') {
			to[n++] = *s;
			continue;
		}
		v = (long long)strtoull(s, &end, 0); /* a minus in front is part of it */
		n += (size_t)snprintf(to + n, size - n, "%lld",
				      v >= INT32_MIN && v <= UINT32_MAX ? (long long)(int32_t)(uint32_t)v : v);
		s = end - 1;
	}
	to[n] = '\0';
}

static void ours(const struct bpf_insn *insn, uint32_t left, char *to, size_t size)
{
	char text[TEXT], *p;

	isa_print(insn, left, text, sizeof(text));
	p = strchr(text, ')');
	p = p ? p + 1 : text;
	drop(p, "pc");
	replace(p, sizeof(text) - (size_t)(p - text), "map[fd:", "");
	replace(p, sizeof(text) - (size_t)(p - text), "subprog[", "");
	if (isa_is_wide(insn) && strchr(p, ']'))
		*strchr(p, ']') = '\0';
	if (isa_decode(insn) == ISA_CALL)
		snprintf(p, sizeof(text) - (size_t)(p - text), "call %d", insn->imm);
	replace(p, sizeof(text) - (size_t)(p - text), "call +", "call ");
	replace(p, sizeof(text) - (size_t)(p - text), "atomic64_fetch", "atomic_fetch");
	replace(p, sizeof(text) - (size_t)(p - text), "atomic64_xchg((u64 *)(", "xchg_64(");
	replace(p, sizeof(text) - (size_t)(p - text), "atomic_xchg((u32 *)(", "xchg32_32(");
	replace(p, sizeof(text) - (size_t)(p - text), "atomic64_cmpxchg((u64 *)(", "cmpxchg_64(");
	replace(p, sizeof(text) - (size_t)(p - text), "atomic_cmpxchg((u32 *)(", "cmpxchg32_32(");
	if (strstr(p, "xchg"))
		replace(p, sizeof(text) - (size_t)(p - text), "),", ",");
	plain(p, to, size);
}

static void theirs(char *text, char *to, size_t size)
{
	size_t n = strlen(text);
	char *p;

	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	p = strrchr(text, '<');
	if (n && text[n - 1] == '>' && p)
		*p = '\0';
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	if (n > 3 && !strcmp(text + n - 3, " ll"))
		text[n - 3] = '\0';
	plain(text, to, size);
}

/* The bytes of a section, NULL if there is no such one. */
static const uint8_t *section(Elf *elf, const char *name, size_t *len)
{
	Elf_Scn *scn = NULL;
	Elf_Data *data;
	GElf_Shdr h;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn)) != NULL) {
		const char *is = gelf_getshdr(scn, &h) ? elf_strptr(elf, names, h.sh_name) : NULL;

		if (!is || strcmp(is, name) != 0)
			continue;
		data = elf_rawdata(scn, NULL);
		if (!data)
			return NULL;
		*len = data->d_size;
		return data->d_buf;
	}
	return NULL;
}

static int compare(Elf *elf, unsigned long *n, unsigned long *differ, unsigned long *unknown)
{
	char line[1024], mine[TEXT], other[TEXT];
	const struct bpf_insn *insns = NULL;
	unsigned long pc;
	size_t len = 0;
	char *end;

	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "Disassembly of section ", 23)) {
			line[strcspn(line, "\n") - 1] = '\0';
			insns = (const void *)section(elf, line + 23, &len);
			if (!insns) {
				fprintf(stderr, "there is no section %s\n", line + 23);
				return 1;
			}
			continue;
		}
		pc = strtoul(line, &end, 10);
		if (end == line || *end != ':' || !insns)
			continue;
		if (pc >= len / sizeof(*insns)) {
			fprintf(stderr, "instruction %lu lies behind the section\n", pc);
			return 1;
		}
		ours(&insns[pc], (uint32_t)(len / sizeof(*insns) - pc), mine, sizeof(mine));
		if (strstr(end + 1, "<unknown>")) {
			(*unknown)++;
			continue;
		}
		theirs(end + 1, other, sizeof(other));
		(*n)++;
		if (strcmp(mine, other) != 0 && ++*differ <= 20)
			printf("%lu: %s, there %s", pc, mine, other), putchar('\n');
	}
	return 0;
}

/* What LLVM 14 takes for another instruction of the same opcode, or has no notation for: instructions of cpu
 * v4 and later, addresses that a loader fills in, skb[r1 + 7] without its 7, one atomic operation that its
 * assembler cannot make either. */
static bool misread(enum isa_id id)
{
	uint8_t form = isa_op(id)->form;

	return (isa_by(isa_op(id)->code) == ISA_BY_OFF && isa_op(id)->variant) || form == ISA_FORM_ACQUIRE ||
	       form == ISA_FORM_RELEASE || (form == ISA_FORM_LD64 && id != ISA_LD64) ||
	       id == ISA_CALL_KFUNC || id == ISA_CALLX || id == ISA_FETCH_ADD32 ||
	       (id >= ISA_IND8 && id <= ISA_IND32);
}

/* Every instruction as bytes for the assembler, each with small and with large numbers. */
static void print_forms(void)
{
	struct bpf_insn insn[2];
	const uint8_t *b;
	enum isa_id id;
	uint16_t f;
	size_t i;
	int k;

	puts("\t.text");
	for (id = 0; id < ISA_N_OPS; id++)
		for (k = 0; k < 2; k++) {
			if (misread(id))
				continue;
			memset(insn, 0, sizeof(insn));
			insn[0] = isa_make(id);
			f = isa_op(id)->fields;
			if (f & (ISA_R | ISA_W))
				insn[0].dst_reg = k ? 9 : 1;
			if (f & ISA_S)
				insn[0].src_reg = k ? 6 : 2;
			if (f & (ISA_O | ISA_J))
				insn[0].off = k ? -32768 : 5;
			if (f & (ISA_I | ISA_L))
				insn[0].imm = k ? -17 : 7;
			if (id == ISA_LD64)
				insn[1].imm = k ? 0x12345678 : 0;
			b = (const uint8_t *)insn;
			for (i = 0; i < (isa_is_wide(insn) ? 16 : 8); i++)
				printf("%s0x%02x", i ? "," : "\t.byte ", b[i]);
			putchar('\n');
		}
}

int main(int argc, char **argv)
{
	unsigned long n = 0, differ = 0, unknown = 0;
	Elf *elf;
	int fd, bad;

	if (argc != 2)
		return 2;
	if (!strcmp(argv[1], "--forms")) {
		print_forms();
		return 0;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	elf = fd >= 0 && elf_version(EV_CURRENT) != EV_NONE ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	if (!elf) {
		fprintf(stderr, "cannot read %s\n", argv[1]);
		return 2;
	}
	bad = compare(elf, &n, &differ, &unknown);
	elf_end(elf);
	close(fd);
	printf("%lu instructions, %lu differ, %lu unknown there\n", n, differ, unknown);
	return bad || differ || !n;
}
