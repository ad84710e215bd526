// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Numbers with units as people type them, and as they read them. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

struct unit {
	const char *name;
	double factor;
};

int text_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct sluice_err *err)
{
	unsigned long long v;
	char *end;

	if (text[0] == '-' && isdigit((unsigned char)text[1]) && !text[1 + strspn(text + 1, "0123456789")])
		return err_set(err, -EINVAL, "%s is out of range, %llu to %llu is possible", text,
			       (unsigned long long)min, (unsigned long long)max);
	if (!isdigit((unsigned char)text[0]))
		return err_set(err, -EINVAL, "'%s' is not a number", text);
	errno = 0;
	v = strtoull(text, &end, 0);
	if (*end)
		return err_set(err, -EINVAL, "'%s' is not a number", text);
	if (errno || v < min || v > max)
		return err_set(err, -EINVAL, "%s is out of range, %llu to %llu is possible", text,
			       (unsigned long long)min, (unsigned long long)max);
	*out = v;
	return 0;
}

/* NUMBER with one of units behind it; the first unit is the one meant when there is none. */
static int with_unit(const char *text, const char *what, const struct unit *units, size_t n_units,
		     uint64_t *out, struct sluice_err *err)
{
	double v, factor = 0;
	char *end;
	size_t i;

	if (!isdigit((unsigned char)text[0]) || strpbrk(text, "xXpPeE+-") == text + 1)
		return err_set(err, -EINVAL, "'%s' is not %s", text, what);
	errno = 0;
	v = strtod(text, &end);
	if (!*end)
		factor = units[0].factor;
	for (i = 0; *end && i < n_units; i++)
		if (!strcmp(end, units[i].name))
			factor = units[i].factor;
	if (factor == 0 || errno || !isfinite(v))
		return err_set(err, -EINVAL, "'%s' is not %s", text, what);
	v = v * factor + 0.5;
	if (v >= 18e18)
		return err_set(err, -EINVAL, "'%s' is too large", text);
	*out = (uint64_t)v;
	return 0;
}

int text_count(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct sluice_err *err)
{
	static const struct unit units[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
	uint64_t v;
	int rc;

	if (!text[0] || !strchr("kMG", text[strlen(text) - 1]))
		return text_u64(text, min, max, out, err);
	rc = with_unit(text, "a number (1000, 100k, 2M)", units, sizeof(units) / sizeof(*units), &v, err);
	if (!rc && (v < min || v > max))
		rc = err_set(err, -EINVAL, "%s is out of range, %llu to %llu is possible", text,
			     (unsigned long long)min, (unsigned long long)max);
	if (!rc)
		*out = v;
	return rc;
}

int text_time(const char *text, uint64_t *out_ns, struct sluice_err *err)
{
	static const struct unit units[] = {
		{"s", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"m", 60e9}, {"min", 60e9}, {"h", 3600e9},
	};

	return with_unit(text, "a time (500ms, 10s, 5m)", units, sizeof(units) / sizeof(*units), out_ns, err);
}

int text_rate(const char *text, uint64_t *out, struct sluice_err *err)
{
	static const struct unit units[] = {
		{"/s", 1},	 {"pps", 1},	 {"k", 1e3},   {"k/s", 1e3}, {"kpps", 1e3}, {"M", 1e6},
		{"M/s", 1e6}, {"Mpps", 1e6}, {"G", 1e9}, {"G/s", 1e9},
	};

	return with_unit(text, "a rate (500, 10k/s, 1M/s)", units, sizeof(units) / sizeof(*units), out, err);
}

int text_size(const char *text, uint64_t *out, struct sluice_err *err)
{
	static const struct unit units[] = {
		{"", 1}, {"k", 1024}, {"K", 1024}, {"M", 1048576}, {"G", 1073741824},
	};

	return with_unit(text, "a size (1500, 64k, 1M)", units, sizeof(units) / sizeof(*units), out, err);
}

char *text_si(double v, char *to, size_t size)
{
	static const char suffix[] = " kMGTPE";
	size_t i = 0;

	while (v >= 999.5 && i + 2 < sizeof(suffix)) {
		v /= 1000;
		i++;
	}
	if (i == 0)
		snprintf(to, size, "%.0f", v);
	else
		snprintf(to, size, "%.*f%c", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, suffix[i]);
	return to;
}

/* Levenshtein distance of words up to 31 characters; longer ones are taken as far apart. */
static unsigned int distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), i, j;
	unsigned int row[32], diag, up;

	if (n > 31 || m > 31)
		return 99;
	for (j = 0; j <= m; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= n; i++) {
		diag = row[0];
		row[0] = (unsigned int)i;
		for (j = 1; j <= m; j++) {
			up = row[j];
			row[j] = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < row[j])
				row[j] = up + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diag = up;
		}
	}
	return row[m];
}

int text_nearest(const char *typed, const char *const *words, size_t n_words)
{
	unsigned int best = 3, d;
	int found = -1;
	size_t i;

	if (strlen(typed) / 2 + 1 < best)
		best = (unsigned int)(strlen(typed) / 2 + 1);
	for (i = 0; i < n_words; i++) {
		if (strlen(typed) >= 3 && !strncmp(words[i], typed, strlen(typed)))
			return (int)i;
		d = distance(typed, words[i]);
		if (d < best) {
			best = d;
			found = (int)i;
		}
	}
	return found;
}

char *text_printable(const char *s, char *to, size_t size)
{
	size_t i;

	for (i = 0; s[i] && i + 1 < size; i++)
		to[i] = isprint((unsigned char)s[i]) ? s[i] : '?';
	to[i] = '\0';
	return to;
}

/* The second byte of some characters has a range of its own (RFC 3629, 4): else they would be too long, or none. */
static bool second_fits(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xc2: /* control characters */
	case 0xe0:
		return second >= 0xa0;
	case 0xed:
		return second < 0xa0;
	case 0xf0:
		return second >= 0x90;
	case 0xf4:
		return second < 0x90;
	}
	return true;
}

size_t text_glyph(const char *s, const char *end)
{
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0, i;

	if (!n || n > (size_t)(end - s) || c < ' ' || c == 0x7f || c == 0xc0 || c == 0xc1 || c > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n > 1 && !second_fits(c, (unsigned char)s[1]) ? 0 : n;
}

char *text_harmless(char *s)
{
	char *end = s + strlen(s), *at;
	size_t n;

	for (at = s; at < end; at += n ? n : 1) {
		n = text_glyph(at, end);
		if (!n)
			*at = '?';
	}
	return s;
}
