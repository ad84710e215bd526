/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets of addresses as sorted lists of spans, IPv4 and IPv6 apart; addresses, prefixes and ranges as text. */
#ifndef POLICY_SPANS_H
#define POLICY_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>
#include "net/addr.h"

/* An IPv6 address as a number in host order: the first byte on the wire is the highest. */
struct policy_addr6 {
	uint64_t hi, lo;
};

/* From first to last, both inclusive, host order. */
struct policy_span4 {
	uint32_t first, last;
};
struct policy_span6 {
	struct policy_addr6 first, last;
};

/* One of either family. IPv4 is in the low 32 bits of lo, hi is 0. */
struct policy_range {
	struct policy_addr6 first, last;
	bool v6;
};

/* Sorted, disjoint, not adjacent after policy_spans_sort(); memory of malloc(), n4 and n6 spans of each. */
struct policy_spans {
	struct policy_span4 *v4;
	struct policy_span6 *v6;
	uint32_t n4, n6, cap4, cap6;
	bool failed; /* out of memory once: what came later is missing */
};

struct policy_addr6 policy_addr6_of(const struct net_addr *addr); /* of IPv4, too: then lo alone */
int policy_addr6_cmp(struct policy_addr6 a, struct policy_addr6 b);

/*
 * policy_range_parse() reads ADDRESS, PREFIX/LENGTH or FIRST-LAST, len characters. What lies in ::ffff:0:0/96 is the
 * IPv4 addresses that it is made of; all of it stays IPv6: lists of what is never on the wire have it.
 *
 * out:     *loose  bits beyond a prefix length were set; they are taken as 0. NULL: that is a mistake
 * errors:  -EINVAL with a sentence that quotes the text
 */
int policy_range_parse(const char *text, size_t len, struct policy_range *r, bool *loose,
		       struct sluice_err *err);

/* policy_range_format() writes the shortest of the three forms; size at least POLICY_RANGE_TEXT. Returns to. */
#define POLICY_RANGE_TEXT (2 * NET_ADDR_TEXT)
char *policy_range_format(const struct policy_range *r, char *to, size_t size);

/* policy_range_bits(): the length of the prefix that the range is, or -1 if it is none. */
int policy_range_bits(const struct policy_range *r);

void policy_spans_add(struct policy_spans *s, const struct policy_range *r);
void policy_spans_sort(struct policy_spans *s);
bool policy_spans_has(const struct policy_spans *s, const struct net_addr *addr);
void policy_spans_free(struct policy_spans *s);

/* policy_spans_copy() puts the spans of another list into an empty one; 0 or -ENOMEM. */
int policy_spans_copy(struct policy_spans *to, const struct policy_spans *from);

/* policy_spans_count(): how many addresses of a family, as a double since IPv6 has many. */
double policy_spans_count(const struct policy_spans *s, bool v6);

/* policy_spans_not() makes out the complement of s within one family (out empty before). */
void policy_spans_not(const struct policy_spans *s, bool v6, struct policy_spans *out);

/*
 * policy_span4_take(), policy_span6_take() take the first of the fewest prefixes that make up a span off it.
 *
 * in:      span   not empty; its first address is the prefix's
 * out:     *span  what is left, *more  whether anything is
 * returns: the prefix's length
 */
unsigned int policy_span4_take(struct policy_span4 *span, bool *more);
unsigned int policy_span6_take(struct policy_span6 *span, bool *more);

/*
 * policy_spans_prefixes() counts the different prefixes of the spans of both families, each span for itself: what a
 * set holds as elements, and its size counts (filter_sets_elems() in src/filter/sets.h makes them).
 *
 * in:      enough  doubles are left out only if there would be more than these
 * errors:  -ENOMEM
 * cost:    no memory up to enough; beyond it n log n
 */
int policy_spans_prefixes(const struct policy_spans *s, uint64_t enough, uint64_t *n);

/*
 * policy_netset_read() adds the addresses of a text as they stand in it: one address, prefix or range a line, # and ;
 * begin comments, blanks around are allowed.
 *
 * out:     *stat  elements: the lines that hold one; loose: those with bits beyond their prefix length;
 *          bad_at, bad_len, bad_line: where the first wrong element stands, on -EINVAL
 * cost:    a million prefixes in a tenth of a second or so
 */
struct policy_netset_stat {
	uint64_t elements, loose;
	size_t bad_at, bad_len;
	uint32_t bad_line;
};
int policy_netset_read(const char *text, size_t len, struct policy_spans *s, struct policy_netset_stat *stat,
		       struct sluice_err *err);

#endif
