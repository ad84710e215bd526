// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Bounds of an ELF object: sections, strings, symbols, relocations. See elf_check.h; types: btf_check.c. */
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "bpf/elf_check.h"

#define SECTION_MAX (256u << 20) /* of .bss, which takes no room in the file */

struct elf {
	const uint8_t *bytes;
	size_t len;
	Elf64_Ehdr h;
	Elf64_Shdr *sh; /* copies: the file may be laid out in any way */
	struct sluice_err *err;
};

static int damaged(struct elf *f, const char *what, uint32_t index)
{
	return err_set(f->err, -EBADMSG, "damaged: %s %u points out of the file or to the wrong kind of thing", what, index);
}

static int check_header(struct elf *f)
{
	const Elf64_Ehdr *h = &f->h;

	if (f->len < 4 || memcmp(f->bytes, ELFMAG, SELFMAG) != 0)
		return err_set(f->err, -ENOEXEC, "not an ELF object; clang -target bpf makes them");
	if (f->len < sizeof(*h))
		return err_set(f->err, -EBADMSG, "truncated: an ELF header has 64 bytes, here are %zu", f->len);
	memcpy(&f->h, f->bytes, sizeof(*h));
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || (h->e_machine != EM_BPF && h->e_machine != EM_NONE))
		return err_set(f->err, -ENOEXEC,
			       "an ELF file, but not for BPF (machine %u, wanted %u); compile it with clang -target bpf",
			       h->e_machine, EM_BPF);
	if (h->e_ident[EI_DATA] != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB))
		return err_set(f->err, -ENOEXEC, "a BPF object of the other byte order; compile it with clang -target bpf");
	if (h->e_type != ET_REL)
		return err_set(f->err, -ENOEXEC, "a linked ELF file; wanted the relocatable object that clang -c writes");
	if (h->e_shoff > f->len || (uint64_t)h->e_shnum * h->e_shentsize > f->len - h->e_shoff)
		return err_set(f->err, -EBADMSG, "truncated: its section table ends at byte %llu, the file at %zu",
			       (unsigned long long)(h->e_shoff + (uint64_t)h->e_shnum * h->e_shentsize), f->len);
	if (h->e_version != EV_CURRENT || h->e_ident[EI_VERSION] != EV_CURRENT || h->e_ehsize != sizeof(*h) ||
	    h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum < 2 || h->e_shstrndx >= h->e_shnum || h->e_phnum)
		return err_set(f->err, -EBADMSG, "damaged: its ELF header contradicts itself");
	return 0;
}

static bool is_strings(const struct elf *f, uint32_t i)
{
	const Elf64_Shdr *s = &f->sh[i];

	return i < f->h.e_shnum && s->sh_type == SHT_STRTAB && s->sh_size && !f->bytes[s->sh_offset + s->sh_size - 1];
}

static int check_sections(struct elf *f)
{
	uint32_t i, symtabs = 0;

	for (i = 1; i < f->h.e_shnum; i++) {
		const Elf64_Shdr *s = &f->sh[i];

		if (s->sh_type != SHT_NOBITS && (s->sh_offset > f->len || s->sh_size > f->len - s->sh_offset))
			return err_set(f->err, -EBADMSG, "truncated: section %u ends at byte %llu, the file at %zu", i,
				       (unsigned long long)(s->sh_offset + s->sh_size), f->len);
		/* libelf reads tables through pointers of their type */
		if (s->sh_size > SECTION_MAX || s->sh_flags & SHF_COMPRESSED || s->sh_addralign & (s->sh_addralign - 1) ||
		    s->sh_addralign > 4096 || (s->sh_addralign && s->sh_type != SHT_NOBITS && s->sh_offset % s->sh_addralign))
			return damaged(f, "section", i);
		symtabs += s->sh_type == SHT_SYMTAB;
	}
	if (f->sh[0].sh_type != SHT_NULL || f->sh[0].sh_size || f->sh[0].sh_link || symtabs > 1 || !is_strings(f, f->h.e_shstrndx))
		return damaged(f, "section", 0);
	for (i = 0; i < f->h.e_shnum; i++)
		if (f->sh[i].sh_name >= f->sh[f->h.e_shstrndx].sh_size)
			return damaged(f, "the name of section", i);
	return 0;
}

static int check_symbols(struct elf *f, uint32_t table)
{
	const Elf64_Shdr *s = &f->sh[table];
	uint32_t i, n = (uint32_t)(s->sh_size / sizeof(Elf64_Sym));

	if (s->sh_entsize != sizeof(Elf64_Sym) || s->sh_size % sizeof(Elf64_Sym) || s->sh_addralign % 8 || s->sh_link >= f->h.e_shnum ||
	    !is_strings(f, s->sh_link))
		return damaged(f, "symbol table", table);
	for (i = 0; i < n; i++) {
		const Elf64_Shdr *in;
		Elf64_Sym sym;

		memcpy(&sym, f->bytes + s->sh_offset + i * sizeof(sym), sizeof(sym));
		if (sym.st_name >= f->sh[s->sh_link].sh_size)
			return damaged(f, "the name of symbol", i);
		if (sym.st_shndx == SHN_UNDEF || sym.st_shndx >= SHN_LORESERVE)
			continue;
		if (sym.st_shndx >= f->h.e_shnum)
			return damaged(f, "symbol", i);
		in = &f->sh[sym.st_shndx];
		if (sym.st_value > in->sh_size || sym.st_size > in->sh_size - sym.st_value)
			return damaged(f, "symbol", i);
	}
	return 0;
}

static int check_relocations(struct elf *f, uint32_t table)
{
	const Elf64_Shdr *s = &f->sh[table], *to, *symbols;
	uint32_t i;

	if (s->sh_entsize != sizeof(Elf64_Rel) || s->sh_size % sizeof(Elf64_Rel) || s->sh_addralign % 8 || s->sh_link >= f->h.e_shnum ||
	    s->sh_info >= f->h.e_shnum || f->sh[s->sh_link].sh_type != SHT_SYMTAB)
		return damaged(f, "relocation table", table);
	to = &f->sh[s->sh_info];
	symbols = &f->sh[s->sh_link];
	for (i = 0; i < s->sh_size / sizeof(Elf64_Rel); i++) {
		Elf64_Rel r;

		memcpy(&r, f->bytes + s->sh_offset + i * sizeof(r), sizeof(r));
		if (ELF64_R_SYM(r.r_info) >= symbols->sh_size / sizeof(Elf64_Sym) || r.r_offset >= to->sh_size)
			return damaged(f, "relocation", i);
		if (to->sh_flags & SHF_EXECINSTR && (r.r_offset % 8 || to->sh_size - r.r_offset < 8))
			return damaged(f, "relocation", i);
	}
	return 0;
}

static int check_types(struct elf *f)
{
	const Elf64_Shdr *names = &f->sh[f->h.e_shstrndx], *btf = NULL, *ext = NULL;
	uint32_t i;

	for (i = 1; i < f->h.e_shnum; i++) {
		const char *name = (const char *)f->bytes + names->sh_offset + f->sh[i].sh_name;

		if (!strcmp(name, ".BTF"))
			btf = &f->sh[i];
		else if (!strcmp(name, ".BTF.ext"))
			ext = &f->sh[i];
		else
			continue;
		if (f->sh[i].sh_type == SHT_NOBITS || f->sh[i].sh_offset % 4)
			return damaged(f, "section", i);
	}
	if (!btf)
		return 0;
	return btf_check(f->bytes + btf->sh_offset, btf->sh_size, ext ? f->bytes + ext->sh_offset : NULL, ext ? ext->sh_size : 0,
			 f->err);
}

int elf_check(const void *bytes, size_t len, struct sluice_err *err)
{
	struct elf f = {.bytes = bytes, .len = len, .err = err};
	int e = check_header(&f);
	uint32_t i;

	if (e)
		return e;
	f.sh = malloc(f.h.e_shnum * sizeof(*f.sh));
	if (!f.sh)
		return err_nomem(err);
	memcpy(f.sh, f.bytes + f.h.e_shoff, f.h.e_shnum * sizeof(*f.sh));
	e = check_sections(&f);
	for (i = 1; i < f.h.e_shnum && !e; i++) {
		if (f.sh[i].sh_type == SHT_SYMTAB)
			e = check_symbols(&f, i);
		else if (f.sh[i].sh_type == SHT_REL)
			e = check_relocations(&f, i);
	}
	if (!e)
		e = check_types(&f);
	free(f.sh);
	return e;
}
