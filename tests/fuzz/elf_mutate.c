// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * elf-mutate SEED N FILE...: hurts objects in N ways each and runs the fuzz target on the result: bits, bytes, numbers at
 * their limits, pieces cut, moved and repeated, and fields of the ELF header, section headers, symbols, BTF.
 * A mutation depends on nothing but seed, file and number; one that crashes is named and written to crash.o.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "fuzz/fuzz.h"

#define INPUT_MAX (1u << 20)

static uint64_t state;
static unsigned long at_number;
static const char *at_file;
static const uint8_t *at_bytes;
static size_t at_len;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 32) % below : 0;
}

static uint64_t limit(void)
{
	static const uint64_t values[] = {0, 1, 2, 3, 4, 7, 8, 16, 0x7f, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
					  0xfffffff0, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffff00, 0xffffffffffffffff};

	return values[draw(sizeof(values) / sizeof(*values))];
}

static void put(uint8_t *b, size_t len, size_t at, size_t width)
{
	uint64_t v = draw(3) ? limit() : draw((uint32_t)len);

	if (at < len && width <= len - at)
		memcpy(b + at, &v, width);
}

/* A place in a section, more often than not one that libbpf parses. */
static size_t in_section(const uint8_t *b, size_t len)
{
	Elf64_Ehdr h;
	Elf64_Shdr s;
	size_t at;
	int tries;

	memcpy(&h, b, sizeof(h));
	for (tries = 0; tries < 8 && h.e_shnum; tries++) {
		at = h.e_shoff + (size_t)draw(h.e_shnum) * sizeof(s);
		if (at > len || sizeof(s) > len - at)
			break;
		memcpy(&s, b + at, sizeof(s));
		if (s.sh_size && s.sh_offset < len && (s.sh_type != SHT_PROGBITS || draw(2)))
			return s.sh_offset + draw((uint32_t)(draw(3) ? s.sh_size : s.sh_size < 64 ? s.sh_size : 64));
	}
	return draw((uint32_t)len);
}

static void hurt(uint8_t *b, size_t *len)
{
	static const uint8_t widths[] = {1, 2, 4, 8};
	size_t at, n;
	Elf64_Ehdr h;

	if (*len < sizeof(h))
		return;
	memcpy(&h, b, sizeof(h));
	switch (draw(8)) {
	case 0:
		b[draw((uint32_t)*len)] ^= (uint8_t)(1u << draw(8));
		break;
	case 1:
		*len = draw((uint32_t)*len);
		break;
	case 2: /* ELF header, behind its magic */
		at = 16 + draw(48);
		put(b, *len, at & ~1u, 2u << draw(2));
		break;
	case 3:
	case 4: /* a field of a section header */
		at = h.e_shoff + (size_t)draw(h.e_shnum) * sizeof(Elf64_Shdr) + 4u * draw(16);
		put(b, *len, at, draw(2) ? 4 : 8);
		break;
	case 5:
		put(b, *len, in_section(b, *len) & ~3ul, 4);
		break;
	case 6:
		put(b, *len, in_section(b, *len), widths[draw(4)]);
		break;
	default:
		at = in_section(b, *len);
		n = draw(64);
		if (at + n <= *len)
			memmove(b + draw((uint32_t)(*len - n)), b + at, n);
	}
}

static void crashed(int sig)
{
	int fd = open("crash.o", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	dprintf(2, "signal %d at mutation %lu of %s\n", sig, at_number, at_file);
	if (fd >= 0 && write(fd, at_bytes, at_len) != (ssize_t)at_len)
		dprintf(2, "crash.o is incomplete\n");
	signal(sig, SIG_DFL);
	raise(sig);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 3 ? strtoull(argv[1], NULL, 0) : 0;
	unsigned long n = argc > 3 ? strtoul(argv[2], NULL, 0) : 0, i;
	uint8_t *file = malloc(INPUT_MAX), *copy;
	size_t size, len;
	uint32_t times;
	FILE *f;
	int a;

	if (argc < 4 || !file)
		return 2;
	libbpf_set_print(quiet);
	signal(SIGSEGV, crashed);
	signal(SIGBUS, crashed);
	signal(SIGABRT, crashed);
	signal(SIGFPE, crashed);
	for (a = 3; a < argc; a++) {
		f = fopen(argv[a], "re");
		if (!f)
			return 2;
		size = fread(file, 1, INPUT_MAX, f);
		fclose(f);
		LLVMFuzzerTestOneInput(file, size);
		for (i = 0; i < n; i++) {
			state = (seed + i * 0x9e3779b97f4a7c15ull) | 1;
			draw(2);
			len = size;
			copy = malloc(size);
			if (!copy)
				return 2;
			memcpy(copy, file, size);
			for (times = 1 + draw(3); times > 0; times--)
				hurt(copy, &len);
			copy = realloc(copy, len ? len : 1); /* just this size: a sanitizer sees a read beyond it */
			at_number = i;
			at_file = argv[a];
			at_bytes = copy;
			at_len = len;
			LLVMFuzzerTestOneInput(copy, len);
			free(copy);
		}
		printf("%s: %lu mutations\n", argv[a], n);
	}
	free(file);
	return 0;
}
