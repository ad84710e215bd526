// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the program made of a packet, against what was expected. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

#include "unit/unit.h"

#define ROW 16	   /* bytes of a row */
#define ROWS_MAX 8 /* differing rows that are shown */

static bool no_packet(struct sluice_test *t)
{
	return unit_say(t, "failed", "no packet ran");
}

bool sluice_test_packet_at(struct sluice_test_at at, const char *format, ...)
{
	struct sluice_test *t = at.test;
	struct vm *before = unit_enter(t);
	struct sluice_err err = {0};
	char *text = NULL;
	va_list args;
	int e;

	va_start(args, format);
	e = vasprintf(&text, format, args);
	va_end(args);
	if (e < 0)
		return unit_leave(&at, before, unit_say(t, "failed", "out of memory"));
	if (!t->ran)
		no_packet(t);
	else if (sluice_packet_match(text, t->result.data, t->result.len, &err)) {
		unit_say_err(t, &err);
		unit_say(t, "expected", "%.*s", UNIT_PACKET_TEXT, text);
		if (err.code == -ENOENT)
			unit_say_packet(t, "got", t->result.data, t->result.len);
	}
	free(text);
	return unit_leave(&at, before, t->ran && !err.code);
}

static void put_row(struct sluice_test *t, const char *name, const uint8_t *b, size_t len, size_t from,
		    bool with_offset)
{
	struct buf row = {0};
	size_t i;

	for (i = from; i < from + ROW && i < len; i++)
		buf_printf(&row, " %02x", b[i]);
	if (with_offset)
		buf_printf(&t->report, "\n  %04zx  %-8s%s", from, name,
			   row.len ? (char *)row.data : " nothing");
	else
		buf_printf(&t->report, "\n        %-8s%s", name, row.len ? (char *)row.data : " nothing");
	buf_free(&row);
}

void unit_bytes_differ(struct sluice_test *t, const uint8_t *want, size_t want_len, const uint8_t *got,
		       size_t got_len)
{
	size_t at, i, most = want_len > got_len ? want_len : got_len, rows = 0, last;

	for (at = 0; at < most; at += ROW) {
		char marks[3 * ROW + 1];

		memset(marks, ' ', sizeof(marks));
		last = 0;
		for (i = at; i < at + ROW && i < most; i++) {
			if (i < want_len && i < got_len && want[i] == got[i])
				continue;
			last = 3 * (i - at) + 3;
			marks[last - 1] = marks[last - 2] = '^';
		}
		if (!last)
			continue;
		if (++rows > ROWS_MAX)
			continue;
		marks[last] = '\0';
		put_row(t, "expected", want, want_len, at, true);
		put_row(t, "got", got, got_len, at, false);
		buf_printf(&t->report, "\n                %s", marks);
	}
	if (rows > ROWS_MAX)
		buf_printf(&t->report, "\n  and %zu more rows", rows - ROWS_MAX);
}

static bool same_bytes(struct sluice_test *t, const uint8_t *want, size_t len)
{
	if (!t->ran)
		return no_packet(t);
	if (t->result.len == len && !memcmp(t->result.data, want, len))
		return true;
	unit_say_packet(t, "expected", want, len);
	unit_say_packet(t, "got", t->result.data, t->result.len);
	if (t->result.len != len)
		unit_say(t, "length", "expected %zu bytes, got %zu", len, t->result.len);
	unit_bytes_differ(t, want, len, t->result.data, t->result.len);
	return false;
}

bool sluice_test_bytes_at(struct sluice_test_at at, const void *bytes, size_t len)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, same_bytes(at.test, bytes, len));
}

bool sluice_test_unchanged_at(struct sluice_test_at at)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, same_bytes(at.test, at.test->sent.data, at.test->sent.len));
}

static bool same_target(struct sluice_test *t, const char *want)
{
	const char *got = t->targets.len ? (const char *)t->targets.data : "";
	char verdict[32];

	if (!t->ran)
		return no_packet(t);
	if (t->result.verdict == XDP_REDIRECT && !t->vm) {
		t->unknown++;
		return true;
	}
	if (t->result.verdict == XDP_REDIRECT && !strcmp(want, got))
		return true;
	unit_say_packet(t, "packet", t->sent.data, t->sent.len);
	unit_say(t, "expected", "XDP_REDIRECT to %s", want);
	unit_verdict(t->result.verdict, verdict, sizeof(verdict));
	return unit_say(t, "got", t->result.verdict == XDP_REDIRECT ? "%s to %s" : "%s", verdict, got);
}

bool sluice_test_target_at(struct sluice_test_at at, const char *text)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, same_target(at.test, text));
}

bool sluice_test_true_at(struct sluice_test_at at, bool holds)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, holds ? true : unit_say(at.test, "failed", "this does not hold"));
}
