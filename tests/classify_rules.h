/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests and benchmarks of rule lookup share: rules in ClassBench's manner, made up or read from files,
 * headers that meet them, and the search that is obviously right.
 */
#ifndef TESTS_CLASSIFY_RULES_H
#define TESTS_CLASSIFY_RULES_H

#include <stddef.h>
#include <stdint.h>
#include "abi/classify.h"
#include "classify/classify.h"

/* A packet as far as rules see it; addresses as on the wire. */
struct header {
	uint8_t family, proto;
	uint16_t flags, sport, dport;
	uint8_t src[16], dst[16];
	uint8_t extra;
};

struct rule_set {
	struct classify_rule *rules;
	size_t n;
	uint8_t *dead; /* by rule, after rules_mark_dead(): no header was found that it is the first for */
};

uint64_t rules_random(uint64_t *state);
uint32_t rules_below(uint64_t *state, uint32_t n);

/* kind: "acl", "fw" or "ipc"; family 4 or 6, 0 for a mixture. The same arguments make the same rules. */
void rules_make(struct rule_set *set, const char *kind, uint8_t family, size_t n, uint64_t seed);
/* A ClassBench file, or one compressed by gzip; family 6: its IPv4 prefixes stretched to IPv6. Returns 0 or
 * -1. */
int rules_read(struct rule_set *set, const char *path, uint8_t family);
void rules_free(struct rule_set *set);

/* The first matching rule, CLASSIFY_NONE if none: all of them, one by one. */
uint32_t rules_search(const struct rule_set *set, const struct header *h);

/* Somewhere inside a rule; with corners at its edges and one step beyond them. */
void rules_header(const struct rule_set *set, size_t rule, int corners, uint64_t *state, struct header *h);
/*
 * Each set of the folder that the environment's CLASSBENCH names, as rules_read() has it; name: of its file, up to a
 * dot. None, or no such folder: nothing.
 */
void rules_given(uint8_t family, void (*each)(void *arg, const char *name, const struct rule_set *set),
		 void *arg);
/* n bytes as a number, as on the wire. */
uint64_t rules_word(const uint8_t *p, int n);
/* Anything at all. */
void rules_any_header(uint8_t family, uint64_t *state, struct header *h);

#endif
