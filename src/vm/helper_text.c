// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Helpers on text: printing, and reading numbers. Memory that they have no argument type for they check
 * themselves. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "vm/format.h"
#include "vm/helper_fn.h"
#include "vm/sys.h"

#define MOST_STRTO 63 /* characters that strtol looks at behind spaces and sign */
#define BASE_MASK 0x1f

static uint64_t readable(void *run, uint64_t addr)
{
	return host_readable(run, addr);
}

/* Arguments as an array of u64 in the program's memory: 0, or an errno; -EFAULT: the run is over. */
static int array_of(struct vm_run *run, const char *name, uint64_t addr, uint64_t bytes,
		    uint64_t args[FORMAT_ARGS], int arg)
{
	bytes = (uint32_t)bytes;
	if (bytes % 8 || bytes > FORMAT_ARGS * 8 || (bytes && !addr))
		return -EINVAL;
	if (!host_mem(run, name, addr, bytes, false, arg))
		return -EFAULT;
	if (bytes)
		memcpy(args, ptr(addr), bytes);
	return 0;
}

#define WORK_BYTES 16 /* written in the time of an instruction, padding mostly */

static uint64_t print(struct vm_run *run, uint64_t fmt, uint64_t fmt_bytes, const uint64_t *args, uint32_t n)
{
	char line[FORMAT_LINE_BYTES];
	struct format f;
	int e = format_prepare(&f, ptr(fmt), (uint32_t)fmt_bytes, args, n, readable, run);

	if (e)
		return answer(e);
	e = format_print(&f, line, sizeof(line));
	if (!vm_run_charge(run, (uint64_t)e / WORK_BYTES))
		return 0;
	trace_say(&host_of(run)->vm->trace, line);
	return answer(e);
}

DEFINE(trace_printk)
{
	const uint64_t args[3] = {a3, a4, a5};

	return print(run, a1, a2, args, 3);
}

DEFINE(trace_vprintk)
{
	uint64_t args[FORMAT_ARGS];
	int e = array_of(run, NAME, a3, a4, args, 3);

	return e ? answer(e) : print(run, a1, a2, args, (uint32_t)a4 / 8);
}

/* A string that ends within what the program may read: its bytes with the NUL; 0: the run is over. */
static uint64_t string_bytes(struct vm_run *run, const char *name, uint64_t addr, int arg)
{
	uint64_t can = host_readable(run, addr), len = can ? strnlen(ptr(addr), can) : 0;

	return len < can ? len + 1 : host_mem(run, name, addr, can + 1, false, arg);
}

DEFINE(snprintf)
{
	uint64_t args[FORMAT_ARGS], size = (uint32_t)a2, bytes;
	struct format f;
	int e = array_of(run, NAME, a4, a5, args, 4);

	if (e)
		return answer(e);
	if (size && !host_mem(run, NAME, a1, size, true, 1))
		return 0;
	bytes = string_bytes(run, NAME, a3, 3);
	if (run->fault.reason)
		return 0;
	e = format_prepare(&f, ptr(a3), bytes, args, (uint32_t)a5 / 8, readable, run);
	if (e)
		return answer(e);
	e = format_print(&f, ptr(a1), size);
	vm_run_charge(run, (uint64_t)e / WORK_BYTES);
	return answer(e + 1);
}

DEFINE(strncmp)
{
	uint64_t bytes = string_bytes(run, NAME, a3, 3);
	int d;

	if (run->fault.reason)
		return 0;
	d = strncmp(ptr(a1), ptr(a3), bytes < (uint32_t)a2 ? bytes : (uint32_t)a2);
	return answer((d > 0) - (d < 0));
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0; /* the kernel's table is Latin-1 */
}

static unsigned int digit(uint8_t c)
{
	return c >= '0' && c <= '9'			? c - 48u
	       : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10u
							: UINT_MAX;
}

/* As Linux' __bpf_strtoull(): how many characters were used up, or a negative errno. */
static int to_number(const uint8_t *text, uint64_t len, uint64_t flags, uint64_t *to, bool *negative)
{
	unsigned int base = flags & BASE_MASK;
	bool overflow = false, hex;
	uint64_t i = 0, first, end, v = 0;

	if (!len || (base != 0 && base != 8 && base != 10 && base != 16) || flags & ~(uint64_t)BASE_MASK)
		return -EINVAL;
	while (i < len && is_space(text[i]))
		i++;
	*negative = i < len && text[i] == '-';
	i += *negative;
	if (i == len)
		return -EINVAL;
	end = len - i > MOST_STRTO ? i + MOST_STRTO : len;
	hex = end - i > 1 && text[i] == '0' && (text[i + 1] | 0x20) == 'x';
	if (!base)
		base = hex && end - i > 2 && digit(text[i + 2]) < 16 ? 16 : text[i] == '0' ? 8 : 10;
	i += base == 16 && hex ? 2 : 0;
	for (first = i; i < end && digit(text[i]) < base; i++)
		overflow |=
			__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit(text[i]), &v);
	*to = v;
	return overflow ? -ERANGE : i == first ? -EINVAL : (int)i;
}

/* res need not be aligned: nobody checked it. */
static uint64_t give(uint64_t res, int n, uint64_t v)
{
	if (n < 0)
		v = 0;
	memcpy(ptr(res), &v, sizeof(v));
	return answer(n);
}

DEFINE(strtol)
{
	bool negative = false;
	uint64_t v = 0;
	int n = to_number(ptr(a1), (uint32_t)a2, a3, &v, &negative);

	if (n >= 0 && (negative ? (int64_t)(0 - v) > 0 : (int64_t)v < 0))
		n = -ERANGE;
	return give(a4, n, negative ? 0 - v : v);
}

DEFINE(strtoul)
{
	bool negative = false;
	uint64_t v = 0;
	int n = to_number(ptr(a1), (uint32_t)a2, a3, &v, &negative);

	return give(a4, n >= 0 && negative ? -EINVAL : n, v);
}
