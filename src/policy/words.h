/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of numbers: protocols, ports, ICMP types... They are a table of the project's own, so that a policy
 * means the same on every machine. Sources: IANA's registries; RFC 792, 4443 (ICMP), 2474, 2597, 3246, 8622
 * (DSCP).
 */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_table {
	WORDS_NONE,
	WORDS_FAMILIES,
	WORDS_PROTOS,
	WORDS_FLAGS,
	WORDS_ICMP_TYPES, /* lo: in ICMP, hi: in ICMPv6; 256: not there */
	WORDS_PORTS,
	WORDS_DSCPS,
	WORDS_FRAGMENTS,
	WORDS_VLANS,
	WORDS_ETHER_TYPES,
	WORDS_MALFORMS,
	WORDS_TABLES
};

struct policy_word {
	const char *name;
	uint32_t lo, hi;
};

/* words_find(): the row of a name, NULL if there is none. words_name(): the first name of just lo to hi, or
 * NULL. */
const struct policy_word *words_find(enum policy_table table, const char *name, size_t len);
const char *words_name(enum policy_table table, uint32_t lo, uint32_t hi);

/* words_row(): row i of a table, NULL behind the last. words_index(): the other way round. */
const struct policy_word *words_row(enum policy_table table, size_t i);
size_t words_index(enum policy_table table, const struct policy_word *row);

/* words_nearest(): the name nearest to what was typed, NULL if none is near. */
const char *words_nearest(enum policy_table table, const char *name, size_t len);

/* words_number(): the whole of s is a number, decimal or 0x hex, of 1 to max characters (at most 16). */
bool words_number(const char *s, size_t len, size_t max, uint64_t *out);

#endif
