// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rates and amounts: 1k/s, 30/m, 10Mbit/s, 200, 64kB. Whole numbers only: what is printed means the same
 * again. */
#include <errno.h>
#include <string.h>

#include "policy/parse.h"

#define AMOUNT_MAX UINT64_C(1000000000000)

/* NUMBER[.DIGITS][k|M|G], at most AMOUNT_MAX; the characters read, 0 if there is no number, it is not a whole one
 * or *large. */
static size_t amount(const char *s, size_t len, uint64_t *out, bool *large)
{
	static const struct {
		char c;
		uint64_t factor;
	} factors[] = {{'k', 1000}, {'M', 1000000}, {'G', 1000000000}};
	uint64_t v = 0, below = 1, factor = 1;
	bool point = false;
	size_t at, i;

	*large = false;

	for (at = 0; at < len && ((s[at] >= '0' && s[at] <= '9') || (s[at] == '.' && !point && at)); at++) {
		if (s[at] == '.') {
			point = true;
			continue;
		}
		if (v > AMOUNT_MAX || below > 1000000000) {
			*large = !point;
			return 0;
		}
		v = v * 10 + (uint64_t)(s[at] - '0');
		below *= point ? 10 : 1;
	}
	if (!at || s[at - 1] == '.')
		return 0;
	for (i = 0; at < len && i < 3; i++)
		factor = s[at] == factors[i].c ? factors[i].factor : factor;
	at += factor > 1;
	*large = v / below > AMOUNT_MAX / factor;
	if (*large || v * factor / factor != v || v * factor % below)
		return 0;
	*large = v * factor / below > AMOUNT_MAX;
	if (*large)
		return 0;
	*out = v * factor / below;
	return at;
}

static bool too_large(struct parse *c, const char *most)
{
	char said[80];

	policy_error(c->p, c->t.pos, "%s is too large, at most %s", token_say(&c->t, said, sizeof(said)), most);
	return false;
}

static bool ends(const char *s, size_t len, const char *unit)
{
	return len == strlen(unit) && !memcmp(s, unit, len);
}

/* The unit of a rate; false if it is none. */
static bool unit(const char *s, size_t len, struct policy_rate *r)
{
	static const struct {
		const char *name;
		uint32_t seconds;
		bool bits;
	} units[] = {
		{"/s", 1, false},  {"/m", 60, false},  {"/h", 3600, false}, {"/d", 86400, false},
		{"pps", 1, false}, {"bit/s", 1, true}, {"bps", 1, true},
	};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!ends(s, len, units[i].name))
			continue;
		r->seconds = units[i].seconds;
		r->bits = units[i].bits;
		return true;
	}
	return false;
}

bool parse_is_rate(const struct token *t, bool wanted)
{
	struct policy_rate r;
	bool point = false;
	size_t n, i;

	if (t->kind != TOKEN_WORD || t->s[0] < '0' || t->s[0] > '9')
		return false;
	for (n = 0; n < t->len && ((t->s[n] >= '0' && t->s[n] <= '9') || (t->s[n] == '.' && !point)); n++)
		point |= t->s[n] == '.';
	n += n < t->len && memchr("kMG", t->s[n], 3);
	if (unit(t->s + n, t->len - n, &r) || !wanted)
		return unit(t->s + n, t->len - n, &r);
	for (i = n; i < t->len; i++) /* addresses, prefixes, ranges */
		if (t->s[i] == '.' || t->s[i] == ':' || t->s[i] == '-')
			return false;
	return n == t->len || t->s[n] != '/' || n + 1 == t->len || t->s[n + 1] < '0' || t->s[n + 1] > '9';
}

bool parse_rate(struct parse *c, struct policy_rate *rate, bool bits)
{
	bool large = false;
	size_t n = c->t.kind == TOKEN_WORD ? amount(c->t.s, c->t.len, &rate->amount, &large) : 0;

	if (large)
		return too_large(c, bits ? "100M/s or 64Gbit/s" : "100M/s");
	if (!n || !rate->amount || !unit(c->t.s + n, c->t.len - n, rate) || (rate->bits && !bits))
		return parse_expected(c, bits ? "a rate in whole numbers (100/s, 1k/s, 30/m, 10Mbit/s)"
					      : "a rate in packets (100/s, 1k/s, 30/m)");
	parse_next(c);
	return true;
}

bool parse_amount(struct parse *c, bool bits, uint64_t *out)
{
	bool large = false;
	size_t n = c->t.kind == TOKEN_WORD ? amount(c->t.s, c->t.len, out, &large) : 0;
	bool ok = n && *out, bytes = ok && bits && ends(c->t.s + n, c->t.len - n, "B");

	if (large || (bytes && *out > AMOUNT_MAX / 8) || (ok && !bits && n == c->t.len && *out > 1000000000))
		return too_large(c, bits ? "1000Gbit or 125GB" : "1G");
	if (bytes)
		*out *= 8;
	else if (ok)
		ok = bits ? ends(c->t.s + n, c->t.len - n, "bit") : n == c->t.len;
	if (!ok)
		return parse_expected(c, bits ? "an amount of data (64kB, 1Mbit)"
					      : "a number of packets up to 1G (200, 10k)");
	parse_next(c);
	return true;
}
