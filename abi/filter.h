/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What datapath/filter.bpf.c and src/filter share: a compiled filter.
 *
 *     packet --> facts, service --> lookup (abi/classify.h) --> rules, in order --> verdict
 *
 * The lookup says which rules can match, by what it knows: addresses and service. A rule that asks for more
 * has rows of tests, each of which leads to another row, to a match, or to the next rule.
 *
 *     at most 64 rules                  words of a bit for each rule, for each thing asked; ANDed (struct
 *                                       filter_bits)
 *     every rule certain and final      the lookup's rule decides
 *     else, if the lists fit            a list of rules that may match, up to the first that surely decides
 *     else                              the first rule that surely decides, and the list of the others
 *
 * Everything is in one memory (map `tables`), offsets count bytes from its start; the image of
 * abi/classify.h is at 0, the place of the other tables is in struct filter_config, a constant of the
 * loaded program.
 */
#ifndef ABI_FILTER_H
#define ABI_FILTER_H

#include <linux/types.h>

#include "abi/limit.h"

#define FILTER_END 0xffffffffu /* of a list */
#define FILTER_ROWS 16	       /* rows or rules in one turn of the walk */

/* What tests can ask for. FILTER_ABSENT: the packet has no such thing; every test fails. */
enum filter_fact {
	FACT_LENGTH,
	FACT_MALFORMED, /* POLICY_MAL_* of src/policy */
	FACT_IN,	/* number of the interface */
	FACT_VLAN,	/* FILTER_NO_VLAN: no tag */
	FACT_INNER_VLAN,
	FACT_ETHER_TYPE,
	FACT_TTL,
	FACT_DSCP,
	FACT_MAC_FROM_HI, /* 24 bits each */
	FACT_MAC_FROM_LO,
	FACT_MAC_TO_HI,
	FACT_MAC_TO_LO,
	FACT_CERTAIN, /* 0: for tests that always hold */
	FACT_MATCHING_LO, /* a bit for each pcap expression: abi/filter_matching.h */
	FACT_MATCHING_HI,
	FILTER_FACTS = 16,
};
/* Those that are not known anyhow. */
#define FILTER_ODD_FACTS (0xffffu & ~(1u << FACT_LENGTH | 1u << FACT_CERTAIN))
#define FILTER_ABSENT 0xffffffffu
#define FILTER_NO_VLAN 4096

/*
 * The packet's "extra" of struct classify_service: what it has beyond its IP header, and which part of it
 * this is. fragment: enum packet_fragment of datapath/lib/parse.h
 */
enum filter_has { HAS_NOTHING, HAS_PORTS, HAS_PORTS_FLAGS, HAS_ICMP, FILTER_HAS };
#define FILTER_EXTRA(has, fragment) ((has) + FILTER_HAS * (fragment))

/* holds: (fact & mask) - lo <= span, in 32 bits. */
struct filter_test {
	__u32 mask, lo, span;
	__u32 fact;
};

/* Where rows lead to besides rows. */
#define FILTER_MATCH 0x80000000u /* the rule matches */
#define FILTER_NEXT 0x80000001u	 /* it does not: the next one */

#define FILTER_ROW_TESTS 3
struct filter_row {
	struct filter_test test[FILTER_ROW_TESTS];
	__u32 then, otherwise; /* all tests hold, or not */
	__u32 set; /* also the address is in this one (abi/filter_sets.h); 0: none is asked */
	__u32 pad;
};

enum filter_verdict { FILTER_PASS, FILTER_DROP, FILTER_REDIRECT, FILTER_CPU };
enum filter_per { PER_RULE, PER_SOURCE, PER_DESTINATION, PER_FLOW };

enum { RULE_GOES_ON = 1, RULE_LIMIT = 2, RULE_LOG = 4 };
struct filter_rule {
	__u32 row;	 /* the first; FILTER_MATCH: there is nothing left to ask */
	__u32 target;	 /* REDIRECT: interface; CPU: where its list of u32 begins */
	__u32 n_targets; /* CPU: how many */
	__u32 limit;	 /* LIMIT: which */
	__u32 log_every; /* LOG: one packet in so many, */
	__u32 log_limit; /* and none over this limit */
	__u8 verdict;	 /* enum filter_verdict */
	__u8 does;	 /* RULE_* */
	__u8 per;	 /* LIMIT: enum filter_per */
	__u8 pad;
	__u32 mask4; /* LIMIT: bits of the address that count */
	__u64 mask6[2];
	__u64 unused[2];
};

/*
 * What a rule that matches does, in a byte, where that is all there is to it: XDP_PASS, XDP_DROP, or
 * FILTER_ON: it counts. FILTER_WALK: there is more to it, struct filter_rule says what. Words of bits know
 * FILTER_ON | FILTER_LIMIT, too: a rate, of all packets, or by source or destination, is kept.
 */
#define FILTER_LIMIT 0x20
#define FILTER_ON 0x40
#define FILTER_WALK 0x80

/*
 * Up to 64 rules, one family: a rule is a bit. Each thing a packet has leads to a word with the bits of the
 * rules that it suits; the rules that match are in all of these words. A cell leads on: with the next bits of
 * what is looked up, shifted, added to an index (FILTER_CELL).
 *
 *     address --> root --> cell [--> cell] --> word     12, 10, 10 bits; 8 each where that would be large
 *     port, length --> by upper byte: cell --> word
 *     protocol and what else is known of the service --> word
 *
 * A cell holds where its table begins, in bytes from the start of all tables, and how far what is looked up,
 * its next bits at the upper end of 64, has to be shifted to be added to that. What is below an entry's size
 * is cut off.
 */
#define FILTER_CELL(at, shift) ((__u32)(at) << 6 | (shift))
#define FILTER_BITS 64
#define FILTER_BITS_SLOTS 128
/* A rule's bit alone as a number below 128, each another; 0 for no bit. (De Bruijn) */
#define FILTER_BITS_SLOT(bit) ((bit) * 0x03f79d71b4cb0a89ull >> 57)
#define FILTER_LENGTHS 65536 /* and what is beyond, as one */

#define FILTER_ROOT 12
#define FILTER_BITS_SETS 2 /* run-time sets without counters that are asked in line; others are walked to */
struct filter_bits_set {
	__u32 ask; /* as in struct filter_row; 0: none */
	__u32 unused;
	__u64 in, out; /* rules for what is in the set, and for what is not */
};
struct filter_bits { /* what every packet needs comes first, where one instruction reaches it */
	__u64 on;   /* rules that go on, FILTER_ON */
	__u64 walk; /* rules with FILTER_WALK */
	struct filter_bits_set set[FILTER_BITS_SETS];
	__u8 rule[FILTER_BITS_SLOTS], does[FILTER_BITS_SLOTS]; /* by slot; at 0 the default's */
	__u64 plain[256];					       /* by protocol, of plain packets */
	__u32 ports[2][256], lengths[512];
	__u32 root[2][1 << FILTER_ROOT]; /* source, destination */
	__u64 flags[256], type[256], code[256]; /* TCP, ICMP */
	__u64 odd[16 * 256];			/* by extra << 8 | protocol, of other packets */
};

/*
 * IPv6: the root leads from two fields of an address, width[i] bits of one half behind skip[i] (from 64 on: of the lower), together FILTER_ROOT, to a few prefixes that it
 * may be in: a word and a key, a `chain` of prefixes of the key, of less than 64 bits, `high` other prefixes of less than 64 bits, `whole`
 * ones of 64 and `deep` longer ones, with those of 64 if `whole` is 0. Every one that the address is in changes the word to its own from that of the prefix
 * around it: `high` ones by changing it. Those of the others are in the word, and those that the address is outside of are taken away.
 */
#define FILTER_NEAR 16 /* together */
struct filter_near_chain {
	__u64 limit, change; /* (address ^ key) >> 1 <= limit: the upper half of the address is in it */
};
struct filter_near_high {
	__u64 hi, change, shift; /* (address ^ hi) >> shift == 0: the upper half of the address is in it */
};
struct filter_near_whole {
	__u64 hi, change;
};
struct filter_near_deep {
	__u64 hi, lo, change, mask; /* mask: of the lower half */
};
struct filter_side6 {
	__u8 skip[2], width[2];
	__u8 chain, high, whole, deep; /* how many a record has, in this order */
};

/* The first rule with FILTER_LIMIT: its rate is kept in line, by constants; those of others in a function. */
struct filter_in_line {
	__u64 bit; /* in words of struct filter_bits; 0: there is none */
	struct limit limit;
	__u32 rule;
	__u32 mask4; /* as in struct filter_rule */
	__u8 to;     /* by destination */
	__u8 others; /* are there more rules with FILTER_LIMIT? */
	__u8 pad[6];
};

/*
 * Rules of words of bits that only count, where they are few: nobody foresees which of them a packet meets on its way, so each
 * set of them, with the rule that decides, has a counter of its own, and who reads adds up. Those counters are
 * behind the rules' own: the decider's number << n, and a bit for each of rule[].
 */
#define FILTER_SUMS 3
struct filter_sums {
	__u8 n;			/* 0: there are none, or too many */
	__u8 rule[FILTER_SUMS]; /* in order */
};

struct filter_config {
	__u64 jiffy_ns;
	__u64 seed[10];	   /* of hashes; secret */
	__u64 key4;	   /* what all IPv4 addresses have in common in a limit's hash */
	__u32 uses;	   /* bits 1 << enum filter_fact: the rest is not filled in */
	__u32 n_rules;	   /* counters: one for each, then the default's, then those of sums */
	__u32 rules, rows; /* tables */
	__u32 limits;	   /* struct limit each */
	__u32 nothing;	   /* a list without a rule */
	__u32 other;	   /* the list for what is neither IPv4 nor IPv6 */
	__u32 cells_mask;  /* cells of all limits, less one: a power of two */
	__u32 turns;	   /* more than any walk through these tables takes; 0 as long as there are none */
	/* without lists and lookup: the rule for all IPv4, IPv6 packets; CLASSIFY_NONE: none */
	__u32 all4, all6;
	__u8 ip4, ip6; /* are there rules for them to be looked up? */
	__u8 lists;    /* may the lookup give lists? */
	__u8 apart;    /* may rules that go on have parts of the image for themselves? */
	__u8 has_limits, has_logs, has_rows, clock_ktime; /* is there anything that needs them? */
	__u8 shadow, default_drop;
	__u8 deep; /* addresses are looked up in steps of 8 bits */
	__u8 asks; /* FILTER_ASKS_*: what else than protocol words of bits are asked for */
	__u32 does;    /* u8 by rule, then the default's */
	__u32 bits[2]; /* IPv4, IPv6: struct filter_bits; 0: there is none */
	__u8 walks;    /* is there a FILTER_WALK? */
	__u8 matching; /* FILTER_MATCHING_* */
	__u8 bits_sets; /* how many of struct filter_bits' sets there are */
	__u8 looks;	/* FILTER_ASKS_*: what of ports, TCP flags and ICMP the lookup has to be told */
	struct filter_side6 side6[2]; /* source, destination */
	__u32 hits_stride, hits_last; /* struct filter_hits: of a CPU, in bytes; where the very last one is */
	struct filter_in_line in_line;
	struct filter_sums sums;
	__u8 pad2[4];
};

#define FILTER_ASKS_FROM 1
#define FILTER_ASKS_TO 2
#define FILTER_ASKS_SPORT 4
#define FILTER_ASKS_DPORT 8
#define FILTER_ASKS_LENGTH 16
#define FILTER_ASKS_FLAGS 32
#define FILTER_ASKS_ICMP 64

/* Per CPU and rule: what matched; of a limit: within it. */
struct filter_hits {
	__u64 packets, bytes;
};

/* Per CPU and rule, where there are limits or samples. */
struct filter_more {
	__u64 over_packets, over_bytes;
	__u64 logged, unused;
};

/* How many a CPU has: the rules', the default's, those of sums; and how far the stretches of CPUs are apart. */
#define FILTER_HITS(n_rules, n_sums) (((__u64)(n_rules) + 1) * (1 + ((n_sums) ? 1ull << (n_sums) : 0)))
#define FILTER_HITS_STRIDE(n_rules, n_sums) \
	((FILTER_HITS(n_rules, n_sums) * sizeof(struct filter_hits) + 63) & ~63ull)

/* Both, as they are added up. */
struct filter_count {
	__u64 packets, bytes; /* matched; of a limit: within it */
	__u64 over_packets, over_bytes;
	__u64 logged, unused;
};

#define FILTER_SAMPLE 128 /* bytes of a packet in a log sample */
struct filter_event {
	__u64 ns;
	__u32 rule, ifindex, length, captured;
	__u8 verdict; /* enum filter_verdict, of the rule */
	__u8 over;    /* it is over the rule's limit */
	__u16 unused;
	__u32 generation; /* of the policy whose rule it is: the constant filter_generation; 0: not numbered */
	__u8 bytes[FILTER_SAMPLE];
};

_Static_assert(sizeof(struct filter_test) == 16, "struct filter_test is shared");
_Static_assert(sizeof(struct filter_row) == 64, "struct filter_row is shared");
_Static_assert(sizeof(struct filter_rule) == 64, "struct filter_rule is shared");
_Static_assert(sizeof(struct filter_bits) % 8 == 0, "struct filter_bits is shared");
_Static_assert(sizeof(struct filter_config) == 256, "struct filter_config is shared");
_Static_assert(sizeof(struct filter_count) == 48, "struct filter_count is shared");
_Static_assert(sizeof(struct filter_event) == 160, "struct filter_event is shared");

#endif
