/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the import share: rulesets of others, halfway. */
#ifndef POLICY_IMPORT_PARTS_H
#define POLICY_IMPORT_PARTS_H

#include "policy/import.h"
#include "policy/policy.h"

enum import_verdict { IMPORT_GOES_ON, IMPORT_ACCEPT, IMPORT_DROP, IMPORT_RETURN, IMPORT_JUMP, IMPORT_REDIRECT };

/* Conditions in the words of the language: value[field] as it stands behind the field's words, NULL: none. */
struct import_conds {
	const char *value[POLICY_N_FIELDS];
	uint32_t negated; /* bits */
	uint8_t fams;	  /* POLICY_V4 | POLICY_V6 | POLICY_NO_IP: which packets it speaks of */
};

struct import_rule {
	uint32_t line;
	const char *text; /* of the source, one line */
	const char *why;  /* it has no counterpart; NULL: it has */
	struct import_conds c;
	uint8_t verdict;
	const char *target; /* a chain, or an interface */
	const char *name, *limit, *log_max;
	const char *tag; /* the comment as it was */
	bool log;
	bool any_port; /* ports without saying of which protocol */
};

struct import_chain {
	const char *table, *name; /* table: with its family in front */
	uint32_t line;
	uint8_t fams;
	bool base, drops; /* a hook is there; its policy */
	int priority;
	const char *on;	 /* devices of an ingress hook, NULL: none are named */
	const char *why; /* a base chain that cannot be taken */
	struct buf rules; /* struct import_rule */
	bool has_return, busy, listed;
};

struct import_set {
	const char *table, *name, *values; /* as in { }; NULL: not a plain set of addresses */
	uint32_t line;
	bool used;
};

struct import {
	struct arena arena;
	const char *text;
	size_t len;
	const char *name, *on;
	struct buf chains, sets; /* struct import_chain, struct import_set */
	void *chain_names;	 /* tsearch() tree */
	void *rule_names;
	struct import_text *to;
	uint32_t emitted, jumps;
	struct buf scratch;
	const char *last_limit; /* the conditions of the limit that was written last, and its tag */
	const char *last_tag;
};

int import_nft(struct import *m, struct sluice_err *err);
int import_tables(struct import *m, bool v6, struct sluice_err *err);

/* import_say() is printf into the arena; "" without memory (then m->arena.failed). */
const char *import_say(struct import *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* import_line() makes one line of a piece of the source, clipped. */
const char *import_line(struct import *m, const char *s, size_t len);

/* import_set_field() adds a condition; two different ones on the same field set r->why. */
void import_set_field(struct import *m, struct import_rule *r, enum policy_field f, bool negated, const char *value);

/* import_fams() keeps some families only. */
void import_fams(struct import_rule *r, uint8_t fams);

/* import_chain_add() opens a chain, or finds it; import_chain_find() gives NULL if there is none. */
struct import_chain *import_chain_add(struct import *m, const char *table, const char *name);
struct import_chain *import_chain_find(struct import *m, const char *table, const char *name);

/*
 * Values, len characters of the source, as the language has them; NULL if they are not exactly sayable.
 */
enum import_kind {
	IMPORT_ADDR4, IMPORT_ADDR6, IMPORT_PORT, IMPORT_PROTO, IMPORT_TYPE4, IMPORT_TYPE6, IMPORT_CODE, IMPORT_BYTE,
	IMPORT_DSCP, IMPORT_MAC, IMPORT_ETHER, IMPORT_IF
};
const char *import_value(struct import *m, enum import_kind kind, const char *s, size_t len);

#endif
