/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rules in, a table to look them up in out: datapath/lib/classify.h reads the image that classify_compile()
 * makes. What a rule can ask of a packet is both addresses' prefixes and its service: protocol, ports, flags,
 * and whatever the caller puts into the extra field.
 */
#ifndef CLASSIFY_CLASSIFY_H
#define CLASSIFY_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#define CLASSIFY_MAX_RULES 131000u

struct classify_ports {
	uint16_t first, last;
};

/* A packet matches if every part does. Rules are numbered from 0 on; the smallest number wins. */
struct classify_rule {
	uint8_t family;		   /* 4 or 6 */
	uint8_t src_len, dst_len;  /* prefix lengths; bits of the addresses beyond them do not matter */
	uint8_t proto, proto_mask; /* mask 0: any */
	uint8_t src[16], dst[16];  /* as on the wire; IPv4 in the first four bytes */
	struct classify_ports sport, dport;
	uint16_t flags, flags_mask; /* as in struct classify_service of datapath/lib/classify.h */
	uint32_t extras;	    /* bit N: matches packets whose extra value is N */
};

enum classify_choice { CLASSIFY_CHOOSE, CLASSIFY_ONLY_CROSS, CLASSIFY_ONLY_SPLIT };
enum classify_fronts {
	CLASSIFY_FRONTS_CHOOSE,
	CLASSIFY_FRONTS_CELLS,
	CLASSIFY_FRONTS_LEAVES,
	CLASSIFY_FRONTS_FORKS
};

struct classify_opts {
	size_t limit_bytes; /* 0: 32 MiB */
	const uint32_t *ids; /* by rule, ascending: what the lookup says in place of its number; NULL: that */
	/*
	 * By rule: 1 if a packet that matches it goes on to the next one; NULL: none does. Then the lookup
	 * gives lists: all matching ids that go on, each once, up to and with the first that does not.
	 * Where that would be too large, two answers: the first rule that does not go on, and the list of
	 * those that do.
	 */
	const uint8_t *goes_on;
	/* for tests and benchmarks: what the compiler would otherwise choose by cost */
	enum classify_choice structure;
	enum classify_fronts fronts; /* IPv4; IPv6: cells are tries, leaves and forks pieces */
	int cache;		     /* 0 choose, 1 always, -1 never */
	uint32_t max_below; /* prefixes with more others inside are wide, with more than a quarter middle; 0:
			       choose */
};

/* What became of the rules of one family. */
struct classify_part_report {
	uint32_t n_rules;
	uint32_t structure; /* enum classify_structure, abi/classify.h */
	uint32_t front[2];  /* enum classify_front_kind */
	uint32_t n_classes[2], n_wide[2], n_services;
	size_t front_bytes, service_bytes, rule_bytes, cache_bytes; /* rule_bytes: pairs, lists, rows */
	uint32_t n_pairs;		  /* narrow pairs, or cells of the pair table */
	uint32_t n_rows;		  /* rows by the last class, each kept once */
	uint32_t narrow_below, max_below; /* narrow, middle and wide prefixes: others inside them, at most */
	uint32_t expected_loads,
		worst_loads; /* reads of memory that follow one another, for a packet of some rule */
	char why[160];	     /* why this structure */
	bool lists_over;     /* refused, since the lists of those that go on would be too much */
};

struct classify_report {
	size_t bytes;
	struct classify_part_report part[4]; /* IPv4, IPv6; those that go on, where they are apart */
};

/*
 * classify_compile() makes the image of rules. The same rules and options give the same bytes.
 *
 * in:      rules    n of them, 0 to CLASSIFY_MAX_RULES; opts may be NULL
 * out:     *image   aligned to 8, *bytes of it (a multiple of 8); NULL on failure. report may be NULL
 * owns:    the caller frees *image
 * errors:  -EINVAL (a rule cannot be: its number is named), -ENOSPC (it would not fit; err has the numbers),
 * -ENOMEM
 */
int classify_compile(const struct classify_rule *rules, size_t n, const struct classify_opts *opts,
		     void **image, size_t *bytes, struct classify_report *report, struct sluice_err *err);

#endif
