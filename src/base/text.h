/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers with units as people type them, and as they read them. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

/*
 * Each reads the whole of text or fails with -EINVAL and a sentence that quotes it; *out is untouched then.
 * text_u64():  decimal, 0x hex or 0 octal, no sign, min..max inclusive
 * text_count(): as text_u64(), and NUMBER[k|M|G] with decimal factors
 * text_time(): NUMBER[ns|us|ms|s|m|h], bare = seconds, a decimal fraction is allowed; out in ns
 * text_rate(): NUMBER[k|M|G][/s|pps], decimal factors, a fraction is allowed; out per second
 * text_size(): NUMBER[k|M|G], binary factors (1k = 1024)
 */
int text_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct sluice_err *err);
int text_count(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct sluice_err *err);
int text_time(const char *text, uint64_t *out_ns, struct sluice_err *err);
int text_rate(const char *text, uint64_t *out, struct sluice_err *err);
int text_size(const char *text, uint64_t *out, struct sluice_err *err);

/* text_si() writes v with a decimal suffix in at most 6 characters ("1.53M"); returns to. */
char *text_si(double v, char *to, size_t size);

/* text_nearest() returns the index of the word nearest to what was typed, -1 if none is near (edit distance > 2 or half). */
int text_nearest(const char *typed, const char *const *words, size_t n_words);

/* text_printable() copies s, non-printable bytes replaced by '?': for names that come from outside; returns to. */
char *text_printable(const char *s, char *to, size_t size);

/*
 * text_glyph() is the length of a character of UTF-8 that a terminal may see, 0 for anything else: control
 * characters of both sorts (below 0x20; U+0080 to U+009F) could make it do things, what is no UTF-8 is no JSON.
 * text_harmless() replaces everything else in s by '?', byte by byte; returns s.
 */
size_t text_glyph(const char *s, const char *end);
char *text_harmless(char *s);

#endif
