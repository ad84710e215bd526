// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets held against a capture, one by one in order; lines for people about what differs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "replay/expect.h"
#include "replay/in.h"

#define SHOWN 10
#define ROWS 8 /* of 16 bytes, that are shown of one packet */

struct replay_expect {
	struct replay_in *in;
	char *name;
	uint64_t wanted, n_wrong, surplus; /* packets of the capture so far; that differ; beyond its end */
	struct buf diff;
};

int replay_expect_new(const char *path, struct replay_expect **to, struct sluice_err *err)
{
	struct replay_expect *x = calloc(1, sizeof(*x));
	int e;

	*to = NULL;
	if (!x || !(x->name = strdup(path))) {
		free(x);
		return err_nomem(err);
	}
	e = replay_in_new(&path, 1, true, &x->in, err);
	if (e)
		replay_expect_free(x);
	else
		*to = x;
	return e;
}

void replay_expect_free(struct replay_expect *x)
{
	if (!x)
		return;
	replay_in_free(x->in);
	buf_free(&x->diff);
	free(x->name);
	free(x);
}

static void row(struct buf *b, char sign, const uint8_t *p, uint32_t len, uint32_t at)
{
	uint32_t i;

	if (at >= len)
		return;
	buf_printf(b, "  %c%04x ", sign, at);
	for (i = at; i < len && i < at + 16; i++)
		buf_printf(b, " %02x", p[i]);
	buf_printf(b, "\n");
}

static uint32_t overlap(uint32_t len, uint32_t at)
{
	return len <= at ? 0 : len - at < 16 ? len - at : 16;
}

/* Rows of 16 bytes that differ: - as wanted, + as they are. */
static void rows(struct buf *b, const uint8_t *want, uint32_t n_want, const uint8_t *is, uint32_t n_is)
{
	uint32_t at, shown = 0, more = 0, a, c;

	for (at = 0; at < n_want || at < n_is; at += 16) {
		a = overlap(n_want, at);
		c = overlap(n_is, at);
		if (a == c && !memcmp(want + at, is + at, a))
			continue;
		if (shown++ >= ROWS) {
			more++;
			continue;
		}
		row(b, '-', want, n_want, at);
		row(b, '+', is, n_is, at);
	}
	if (more)
		buf_printf(b, "  and %u more rows\n", more);
}

static uint32_t differing(const uint8_t *a, const uint8_t *b, uint32_t len, uint32_t *first)
{
	uint32_t i, n = 0;

	for (i = 0; i < len; i++)
		if (a[i] != b[i] && !n++)
			*first = i;
	return n;
}

static void compare(struct replay_expect *x, const struct replay_packet *want, uint64_t number,
		    const char *verdict, const uint8_t *data, uint32_t len)
{
	uint32_t n, first = 0, least = len < want->len ? len : want->len;

	n = differing(want->data, data, least, &first);
	if (!n && len == want->len)
		return;
	if (x->n_wrong++ >= SHOWN)
		return;
	buf_printf(&x->diff, "%s: packet %llu (packet %llu of the input, %s): ", x->name,
		   (unsigned long long)x->wanted, (unsigned long long)number, verdict);
	if (len != want->len)
		buf_printf(&x->diff, "%u bytes, wanted %u%s", len, want->len, n ? "; " : "");
	if (n)
		buf_printf(&x->diff, "%u byte%s differ%s, the first at %u", n, n == 1 ? "" : "s",
			   n == 1 ? "s" : "", first);
	buf_printf(&x->diff, "\n");
	rows(&x->diff, want->data, want->len, data, len);
}

int replay_expect_packet(struct replay_expect *x, uint64_t number, const char *verdict, const void *data,
			 uint32_t len, struct sluice_err *err)
{
	struct replay_packet want;
	int got = x->surplus ? 0 : replay_in_next(x->in, &want, err);

	if (got < 0)
		return got;
	if (got) {
		x->wanted++;
		compare(x, &want, number, verdict, data, len);
		return 0;
	}
	if (!x->surplus++)
		buf_printf(&x->diff,
			   "%s: has %llu packets; packet %llu of the input (%s, %u bytes) is one too many\n",
			   x->name, (unsigned long long)x->wanted, (unsigned long long)number, verdict, len);
	return 0;
}

int replay_expect_end(struct replay_expect *x, uint64_t *n_wrong, struct buf *diff, struct sluice_err *err)
{
	struct replay_packet want;
	uint64_t missing = 0, had = x->wanted;
	int got = 0;

	while (!x->surplus && (got = replay_in_next(x->in, &want, err)) > 0)
		missing++;
	if (got < 0)
		return got;
	if (x->n_wrong > SHOWN)
		buf_printf(&x->diff, "%s: %llu more packets differ\n", x->name,
			   (unsigned long long)(x->n_wrong - SHOWN));
	if (x->surplus > 1)
		buf_printf(&x->diff, "%s: %llu packets are too many\n", x->name,
			   (unsigned long long)x->surplus);
	if (missing)
		buf_printf(&x->diff, "%s: %llu packet%s missing, only the first %llu came\n", x->name,
			   (unsigned long long)missing, missing == 1 ? " is" : "s are",
			   (unsigned long long)had);
	*n_wrong = x->n_wrong + x->surplus + missing;
	buf_printf(diff, "%s", x->diff.data ? (const char *)x->diff.data : "");
	return x->diff.failed || diff->failed ? err_nomem(err) : 0;
}
