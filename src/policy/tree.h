/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A policy as it is written: the tree that the parser makes, the printer prints and the oracle asks.
 *
 *     policy --> interface: name, mode
 *            --> set: elements | file, timeout, size
 *            --> filter: interfaces, default --> rule: action, name --> match: field, list of values
 *            --> balance: tree_balance.h
 *
 * Everything hangs in the policy's arena and knows where it stands in the text.
 */
#ifndef POLICY_TREE_H
#define POLICY_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy/spans.h"

/* Where something stands: byte at of source file, len bytes long. */
struct policy_pos {
	uint32_t at;
	uint16_t file, len;
};

enum policy_field {
#define FIELD(id, words, kind, names, max, expected) POLICY_##id,
#include "policy/field.def"
#undef FIELD
	POLICY_N_FIELDS
};

enum policy_kind {
	POLICY_NUM,  /* num.lo to num.hi */
	POLICY_ADDR, /* addr */
	POLICY_SET,  /* text: the set's name; set: its number, after the check */
	POLICY_TEXT, /* text */
	POLICY_MAC,  /* mac: bits of mask as in value, the others do not matter */
	POLICY_BITS, /* flags: likewise */
	POLICY_ICMP, /* num: an index into the names of ICMP types, lo and hi alike */
};

/* Numbers beyond the largest of their field, with a meaning of their own. */
enum {
	POLICY_PROTO_ICMP = 256, /* ICMP in IPv4, ICMPv6 in IPv6 */
	POLICY_PROTO_ICMP4,	 /* ICMP in IPv4 */
	POLICY_PROTO_ICMP6,	 /* ICMPv6 in IPv6 */
	POLICY_VLAN_NONE = 4096,
};
enum { POLICY_FRAGMENT_NONE, POLICY_FRAGMENT_FIRST, POLICY_FRAGMENT_LATER };
enum {
	POLICY_WELL_FORMED,
	POLICY_MAL_SHORT,
	POLICY_MAL_TAGS,
	POLICY_MAL_HEADER,
	POLICY_MAL_CUT,
	POLICY_MAL_DEEP
};

struct policy_value {
	uint8_t kind; /* enum policy_kind */
	uint32_t set;
	struct policy_pos pos;
	union {
		struct {
			uint32_t lo, hi;
		} num;
		struct policy_range addr;
		const char *text;
		struct {
			uint8_t value[6], mask[6];
		} mac;
		struct {
			uint8_t value, mask;
		} flags;
	};
};

struct policy_list {
	struct policy_value *v;
	uint32_t n;
};

struct policy_cbpf;

/* The packet's field is one of the values; or, if negated, it has the field and it is none of them. */
struct policy_match {
	uint8_t field; /* enum policy_field */
	bool negated;
	struct policy_pos pos; /* from its first word to the end of its last value */
	struct policy_list list;
	const struct policy_cbpf *cbpf; /* of MATCHING, after the check */
};

enum policy_action {
	POLICY_PASS,
	POLICY_DROP,
	POLICY_REDIRECT,
	POLICY_CPU,
	/* these go on to the next rule (POLICY_LIMIT if the packet is within the rate): */
	POLICY_COUNT,
	POLICY_LOG, /* nothing but the log */
	POLICY_LIMIT,
};

enum policy_per { POLICY_PER_RULE, POLICY_PER_SOURCE, POLICY_PER_DESTINATION, POLICY_PER_FLOW };

/* amount packets, or bits, each seconds. */
struct policy_rate {
	uint64_t amount;
	uint32_t seconds;
	bool bits;
};

struct policy_limit {
	struct policy_rate rate;
	uint64_t burst; /* packets, or bits: what may come at once after a pause */
	uint8_t per;	/* enum policy_per */
	uint8_t len4, len6;
};

struct policy_stmt {
	struct policy_pos pos; /* the rule from its first word to its last */
	const char *name;      /* NULL: none */
	struct policy_pos name_pos;
	uint8_t action; /* enum policy_action */
	bool log;
	uint32_t log_every;	    /* one packet in so many */
	struct policy_rate log_max; /* and no more than that */
	struct policy_limit limit;
	const char *redirect;	      /* an interface */
	struct policy_list cpus;      /* NUM */
	struct policy_match *matches; /* in the order of the fields, each at most once */
	uint32_t n_matches;
};

struct policy_interface {
	struct policy_pos pos;
	const char *name, *mode; /* mode: auto, native, generic */
};

struct policy_set {
	struct policy_pos pos; /* of the name */
	const char *name;
	const char *file; /* from the folder of the policy on; NULL: elements are in list */
	struct policy_pos file_pos;
	struct policy_list list; /* ADDR */
	uint64_t timeout_ns;	 /* 0: elements stay */
	uint64_t size;		 /* 0: as large as it is */
	bool counters;
	bool used;
	struct policy_spans listed; /* after the check: its elements one by one, as they stand in text or file */
	struct policy_spans spans;  /* the same, sorted and merged: what is in it when it is loaded */
};

/*
 * Whether what is in the set may change while the policy is in force. Other sets are constants: their
 * addresses stand in the rules.
 */
static inline bool policy_set_is_runtime(const struct policy_set *s)
{
	return s->file || s->timeout_ns || s->size || s->counters || !s->list.n;
}

struct policy_filter {
	struct policy_pos pos;
	struct policy_list on; /* TEXT */
	bool shadow;
	bool default_drop;
	struct policy_pos default_pos;
	struct policy_stmt *stmts;
	uint32_t n_stmts;
};

const struct policy_match *policy_match_of(const struct policy_stmt *s,
					   enum policy_field field); /* NULL: none */

/* policy_same_*(): the same but for where it stands. */
struct policy;
bool policy_same_text(const char *a, const char *b); /* both may be NULL */
bool policy_same_list(const struct policy_list *a, const struct policy_list *b);
bool policy_same_stmt(const struct policy_stmt *a, const struct policy_stmt *b);
bool policy_same(const struct policy *a, const struct policy *b);

#endif
