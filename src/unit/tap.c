// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The runner: cases one after the other, a fresh test each, TAP (testanything.org, version 12) on the stream
 * given. */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

enum outcome { PASSED, FAILED, SKIPPED };

/* Every line of text as a comment. */
static void comment(FILE *to, const char *text)
{
	const char *end;

	for (; *text; text = *end ? end + 1 : end) {
		end = text + strcspn(text, "\n");
		fprintf(to, "# %.*s\n", (int)(end - text), text);
	}
}

static void skipped(FILE *to, size_t nth, const char *name, const char *why)
{
	fprintf(to, "ok %zu - %s # SKIP %.*s\n", nth, name, (int)strcspn(why, "\n"), why);
}

static enum outcome run_case(const struct sluice_test_config *config, void (*set_up)(struct sluice_test *),
			     const struct sluice_test_case *c, size_t nth, FILE *tap)
{
	enum outcome outcome = PASSED;
	struct sluice_err err = {0};
	struct sluice_test *t;
	int e = sluice_test_open(config, &t, &err);

	if (e) {
		fprintf(tap, "not ok %zu - %s\n", nth, c->name);
		comment(tap, err.text);
		return FAILED;
	}
	if (set_up)
		set_up(t);
	if (t->load_err.code != -EPERM)
		c->run(t);
	if (t->load_err.code == -EPERM || (t->why_not[0] && !t->failures)) {
		skipped(tap, nth, c->name, t->why_not[0] ? t->why_not : t->load_err.text);
		outcome = SKIPPED;
	} else {
		fprintf(tap, "%s %zu - %s\n", t->failures ? "not ok" : "ok", nth, c->name);
		outcome = t->failures ? FAILED : PASSED;
	}
	if (t->kept.len && outcome == FAILED)
		comment(tap, (const char *)t->kept.data);
	if (t->unknown)
		fprintf(tap, "# %u redirect targets not checked: the kernel does not tell them\n",
			t->unknown);
	sluice_test_close(t);
	return outcome;
}

int sluice_test_run_all(const struct sluice_test_config *config, void (*set_up)(struct sluice_test *test),
			const struct sluice_test_case *cases, size_t n_cases, FILE *tap)
{
	size_t n[3] = {0}, i;

	fprintf(tap, "1..%zu\n", n_cases);
	for (i = 0; i < n_cases; i++) {
		n[run_case(config, set_up, &cases[i], i + 1, tap)]++;
		fflush(tap);
	}
	return n[FAILED] ? 1 : n[PASSED] || !n_cases ? 0 : 4;
}
