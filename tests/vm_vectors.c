// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * vm-vectors FILE...: the cases of the files of tests/vm on every engine, and as root in the kernel. A file
 * is a list of cases:
 *
 *   == NAME                 a case begins
 *   memory 00 01 ...        r1 points to these bytes, r2 is how many
 *   result 0x2a             r0 at the end; or
 *   fault TEXT              the checked engines stop with a sentence that contains TEXT; others are not asked
 *   after 00 01 ...         what the memory holds at the end
 *   rfc                     with constants that only RFC 9669 allows
 *   checked                 only the checked engines promise this
 *   kernel no WHY           not for the kernel
 *   kernel new              a kernel that does not load it is too old
 *   anything else           a line of assembler (isa/isa.h)
 *
 * Prints TAP.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "isa/isa.h"
#include "vm_engines.h"

struct vector {
	char name[128], fault[256];
	struct buf text;
	uint8_t memory[MEMORY_MAX], after[MEMORY_MAX];
	uint32_t len, after_len;
	uint64_t result;
	bool has_result, has_after, rfc, checked, no_kernel, new_kernel;
	unsigned int line;
};

static int cases, bad;

static uint32_t bytes(const char *s, uint8_t *to)
{
	uint32_t n = 0;
	char *end;

	for (;;) {
		while (isspace((unsigned char)*s))
			s++;
		if (!*s || n == MEMORY_MAX)
			return n;
		to[n++] = (uint8_t)strtoul(s, &end, 16);
		if (end == s)
			return n - 1;
		s = end;
	}
}

static void report(bool ok, const struct vector *v, const char *engine, const char *why)
{
	printf("%sok %d - %s (%s)\n", ok ? "" : "not ", ++cases, v->name, engine);
	if (!ok) {
		printf("# %s\n", why);
		bad++;
	}
}

static bool same(const struct vector *v, const struct answer *a, char *why, size_t size)
{
	if (a->fault)
		snprintf(why, size, "fault: %s", a->text);
	else if (a->r0 != v->result)
		snprintf(why, size, "r0 is 0x%llx, not 0x%llx", (unsigned long long)a->r0,
			 (unsigned long long)v->result);
	else if (v->has_after && memcmp(a->memory, v->after, v->len) != 0)
		snprintf(why, size, "the memory differs");
	else if (a->text[0])
		snprintf(why, size, "%.500s", a->text);
	else
		return true;
	return false;
}

static void try(const struct vector *v, const struct bpf_insn *insns, uint32_t n)
{
	char why[1024] = "";
	struct answer a;
	int e;

	for (enum engine g = 0; g < N_ENGINES; g++) {
		memset(&a, 0, sizeof(a));
		if ((v->fault[0] || v->checked) && (g == ENGINE_TRUSTED || g == ENGINE_JIT))
			continue;
		e = engine_run(g, v->rfc, insns, n, v->memory, v->len, &a);
		if (e) {
			snprintf(why, sizeof(why), "does not load: %s", a.text);
			/* what cannot be loaded is a fault that is seen early */
			report(v->fault[0] && strstr(a.text, v->fault), v, engine_names[g], why);
		} else if (v->fault[0]) {
			snprintf(why, sizeof(why), "wanted the fault \"%s\", got %s", v->fault,
				 a.fault ? a.text : "none");
			report(a.fault && strstr(a.text, v->fault), v, engine_names[g], why);
		} else {
			report(same(v, &a, why, sizeof(why)), v, engine_names[g], why);
		}
	}
	if (v->fault[0] || v->no_kernel)
		return;
	memset(&a, 0, sizeof(a));
	e = kernel_run(insns, n, v->memory, v->len, &a);
	if (e == -EPERM) {
		printf("ok %d - %s (kernel) # SKIP needs root\n", ++cases, v->name);
		return;
	}
	if (e == -EINVAL && v->new_kernel) {
		printf("ok %d - %s (kernel) # SKIP this kernel does not know the instruction\n", ++cases,
		       v->name);
		return;
	}
	snprintf(why, sizeof(why), "%s: %s", strerror(-e), a.text);
	if (!e)
		a.text[0] = '\0';
	report(!e && same(v, &a, why, sizeof(why)), v, "kernel", why);
}

static void finish(struct vector *v)
{
	struct sluice_err err;
	struct bpf_insn *insns = NULL;
	uint32_t n;

	if (v->name[0]) {
		buf_put(&v->text, "", 1);
		if (!v->has_result == !v->fault[0])
			report(false, v, "file", "a case has either a result or a fault");
		else if (v->has_after && v->after_len != v->len)
			report(false, v, "file", "\"after\" and \"memory\" are not of the same length");
		else if (isa_parse((const char *)v->text.data, &insns, &n, &err))
			report(false, v, "file", err.text);
		else
			try(v, insns, n);
		free(insns);
	}
	buf_free(&v->text);
	memset(v, 0, sizeof(*v));
}

static void one_line(struct vector *v, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, "== ", 3)) {
		finish(v);
		snprintf(v->name, sizeof(v->name), "%.127s", line + 3);
	} else if (!strncmp(line, "memory ", 7)) {
		v->len = bytes(line + 7, v->memory);
	} else if (!strncmp(line, "after ", 6)) {
		v->after_len = bytes(line + 6, v->after);
		v->has_after = true;
	} else if (!strncmp(line, "result ", 7)) {
		v->result = strtoull(line + 7, NULL, 0);
		v->has_result = true;
	} else if (!strncmp(line, "fault ", 6)) {
		snprintf(v->fault, sizeof(v->fault), "%.255s", line + 6);
	} else if (!strcmp(line, "rfc")) {
		v->rfc = v->no_kernel = true;
	} else if (!strcmp(line, "checked")) {
		v->checked = true;
	} else if (!strncmp(line, "kernel no ", 10)) {
		v->no_kernel = true;
	} else if (!strcmp(line, "kernel new")) {
		v->new_kernel = true;
	} else if (v->name[0]) {
		buf_put(&v->text, line, strlen(line));
		buf_put(&v->text, "\n", 1);
	}
}

int main(int argc, char **argv)
{
	static struct vector v;
	char line[32768];
	FILE *f;
	int i;

	for (i = 1; i < argc; i++) {
		f = fopen(argv[i], "re");
		if (!f) {
			perror(argv[i]);
			return 1;
		}
		while (fgets(line, sizeof(line), f))
			one_line(&v, line);
		finish(&v);
		fclose(f);
	}
	printf("1..%d\n", cases);
	return bad || !cases;
}
