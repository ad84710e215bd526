/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Format strings as the kernel's bpf_trace_printk() and bpf_snprintf() know them. */
#ifndef VM_FORMAT_H
#define VM_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_ARGS 12 /* MAX_BPRINTF_VARARGS */
#define FORMAT_ARG_BYTES \
	512 /* MAX_BPRINTF_BIN_ARGS: what the arguments of one call may take, strings included */
#define FORMAT_LINE_BYTES 1024 /* MAX_BPRINTF_BUF: longest line of a trace */

/* How much memory of the program's is readable at addr: bytes, 0 for none. */
typedef uint64_t (*format_readable_fn)(void *arg, uint64_t addr);

struct format_arg {
	uint8_t kind, flags;
	char conv;
	uint32_t width; /* UINT32_MAX: none */
	uint32_t end;	/* offset in the format behind this conversion */
	uint64_t value; /* or where in text the string begins */
};

/* A format with its arguments, checked and fetched. */
struct format {
	const char *fmt;
	struct format_arg arg[FORMAT_ARGS];
	uint32_t n, used, len;
	char text[FORMAT_ARG_BYTES];
};

/*
 * format_prepare() checks a format and fetches its arguments; strings and addresses are read from the
 * program's memory, what is not readable counts as an empty string or as zeros. Rules and limits are those of
 * Linux' bpf_bprintf_prepare() (kernel/bpf/helpers.c).
 *
 * in:      fmt, len  the NUL must be among the len bytes; args, n: at most FORMAT_ARGS; args NULL: only check
 * errors:  -EINVAL a character or conversion that is not allowed, or more of them than arguments; -ENOSPC the
 * arguments take more than FORMAT_ARG_BYTES
 */
int format_prepare(struct format *f, const char *fmt, uint64_t len, const uint64_t *args, uint32_t n,
		   format_readable_fn readable, void *arg);

/* format_print() writes the text, cut to size with its NUL; returns the length it has uncut. */
int format_print(const struct format *f, char *to, size_t size);

#endif
