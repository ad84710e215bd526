// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What libbpf and the verifier say: caught instead of printed, and cut down to the lines that matter. */
#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "bpf/log.h"

static __thread bool catching;
static __thread char caught[1024];
static libbpf_print_fn_t before;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[sizeof(caught)];
	const char *at = line;
	size_t n;

	if (!catching)
		return before ? before(level, fmt, ap) : 0;
	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	if (!strncmp(at, "libbpf: ", 8))
		at += 8;
	/* the last lines only repeat that it failed: keep what was said first about it */
	if (caught[0] && (strstr(at, "failed to load object") || strstr(at, "failed to load: -")))
		return 0;
	n = (size_t)snprintf(caught, sizeof(caught), "%s", at);
	n = n < sizeof(caught) ? n : sizeof(caught) - 1;
	while (n && isspace((unsigned char)caught[n - 1]))
		caught[--n] = '\0';
	return 0;
}

static void install(void)
{
	before = libbpf_set_print(print);
}

void log_catch_start(void)
{
	pthread_once(&once, install);
	caught[0] = '\0';
	catching = true;
}

void log_catch_stop(void)
{
	catching = false;
}

const char *log_caught(void)
{
	return caught;
}

struct line {
	const char *at;
	size_t len;
};

static bool is_insn(struct line l)
{
	size_t i = 0;

	while (i < l.len && isdigit((unsigned char)l.at[i]))
		i++;
	return i && l.len > i + 3 && l.at[i] == ':' && l.at[i + 1] == ' ' && l.at[i + 2] == '(';
}

static bool starts(struct line l, const char *with)
{
	return l.len >= strlen(with) && !memcmp(l.at, with, strlen(with));
}

/* "Func#3 ('name') is safe for any args that match its prototype": a global function is verified. */
static bool is_success(struct line l)
{
	static const char safe[] = " is safe for any args";

	return starts(l, "Func#") && memmem(l.at, l.len, safe, sizeof(safe) - 1);
}

static size_t put(char *to, size_t size, size_t n, struct line l)
{
	int w;

	while (l.len && isspace((unsigned char)l.at[l.len - 1]))
		l.len--;
	if (l.len > 200)
		l.len = 200;
	if (n + 1 >= size)
		return n;
	w = snprintf(to + n, size - n, "%s  %.*s", n ? "\n" : "", (int)l.len, l.at);
	return n + (size_t)w < size ? n + (size_t)w : size - 1;
}

char *log_digest(const char *log, char *to, size_t size)
{
	struct line source = {0}, insn = {0}, insn_source = {0}, said[3] = {{0}}, l;
	size_t n = 0, n_said = 0, i;

	to[0] = '\0';
	for (; *log; log = l.at + l.len + (l.at[l.len] == '\n')) {
		l = (struct line){log, strcspn(log, "\n")};
		if (is_success(l)) { /* nothing said so far is a complaint */
			source = insn = insn_source = (struct line){0};
			n_said = 0;
		} else if (starts(l, "; ")) {
			source = l;
		} else if (is_insn(l)) {
			insn = l;
			insn_source = source;
			n_said = 0;
		} else if (l.len && !starts(l, "processed ") && !starts(l, "verification time") &&
			   !starts(l, "stack depth") && !starts(l, "max_states") && !starts(l, "mark_precise:") &&
			   !starts(l, "from ") && !starts(l, "arg#") && !starts(l, "R1=ctx") && !starts(l, "func#")) {
			/* the complaint comes last: keep the last three */
			if (n_said == 3)
				memmove(said, said + 1, 2 * sizeof(*said));
			said[n_said < 3 ? n_said++ : 2] = l;
		}
	}
	if (insn_source.at)
		n = put(to, size, n, insn_source);
	if (insn.at)
		n = put(to, size, n, insn);
	for (i = 0; i < n_said; i++)
		n = put(to, size, n, said[i]);
	return to;
}
