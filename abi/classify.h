/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The image of a compiled rule set: what src/classify writes and datapath/lib/classify.h reads.
 *
 *     struct classify_image   magic, size
 *     struct classify_part    IPv4: parameters and the small tables of the services
 *     struct classify_part    IPv6
 *     struct classify_part    the rules that go on, where they are apart: IPv4
 *     struct classify_part    IPv6
 *     tables                  of both; every offset counts bytes from the start of the image
 *
 * A packet's two addresses and its service (protocol, flags, ports) become class numbers; how the three give
 * a rule is the part's structure. doc/classify.md says why it is so.
 */
#ifndef ABI_CLASSIFY_H
#define ABI_CLASSIFY_H

#include <linux/types.h>

#define CLASSIFY_MAGIC 0x31534c43u /* "CLS1" */
#define CLASSIFY_NONE 0x1ffffu	   /* no rule matches; rules are numbered below it */
#define CLASSIFY_RULE_BITS 17
#define CLASSIFY_MIX \
	0x9e3779b97f4a7c15ull /* 2^64 by the golden ratio: a hash is the upper bits of the product */
#define CLASSIFY_EXTRAS 32    /* values of a packet's "extra" field */

/*
 * A record: what an address is. The class is its longest prefix; the upper bits say which its longest middle
 * or wide one is (struct classify_upper by that number), or, where the split has no middle ones, its wide
 * class itself.
 */
#define CLASSIFY_CLASS_BITS 17
#define CLASSIFY_CLASS_MASK ((1u << CLASSIFY_CLASS_BITS) - 1)
#define CLASSIFY_UPPER_BITS 15

/* An entry of a list: the service it wants and the rule. CLASSIFY_NONE with service 0 (any) ends a list. */
#define CLASSIFY_ENTRY(service, rule) ((__u32)(service) << CLASSIFY_RULE_BITS | (rule))
#define CLASSIFY_SPEC_BITS 15
#define CLASSIFY_LIST_MAX \
	8 /* entries of a list, its end not counted; longer ones are rows by service class */

/* A reference to a list: 0 none; bit 0 clear: a list's offset; set: a row's, or of rows by wide class,
 * plus 1. */
#define CLASSIFY_REF_ROW 1u

#define CLASSIFY_LIST_END 0xffffffffu

enum classify_structure {
	CLASSIFY_EMPTY, /* no rules of this family */
	CLASSIFY_CROSS, /* pair table, then rows by the third class */
	CLASSIFY_SPLIT, /* narrow pairs hashed, lists by one narrow address, cells of wide pairs */
};

/* How an address becomes a record. */
enum classify_front_kind {
	CLASSIFY_FRONT_CELLS,  /* IPv4: three cells of 12, 10 and 10 bits or 16, 8 and 8 */
	CLASSIFY_FRONT_LEAVES, /* IPv4: a cell of 16 bits, a fork and a leaf, which search among boundaries */
	CLASSIFY_FRONT_FORKS,  /* IPv4: the same with two forks, one below the other */
	CLASSIFY_FRONT_TRIE,   /* IPv6: a root by some bits, tries */
	CLASSIFY_FRONT_PIECES, /* IPv6: a root by some bits, forks and leaves by the next 32, tries for the rest */
};

/* A cell: an index into the next level's table and a shift that says how many of the next bits are added to
 * it. */
#define CLASSIFY_CELL(index, shift) ((__u32)(index) << 6 | (shift))

struct classify_front {
	__u32 kind;
	__u32 root;   /* IPv4: cells by address >> shift; IPv6: cells by upper half << shift >> bits, behind the outside's */
	__u32 cells;  /* IPv4: the second level: cells or struct classify_fork; IPv6: struct classify_fork6 */
	__u32 leaves; /* IPv4: struct classify_leaf, or (CELLS) records; IPv6: struct classify_leaf6 */
	__u8 shift, bits; /* IPv4: bits in front of the last level */
	/* IPv6: the root's first cell is for halves that differ from base before the last `outside` + 1 bits */
	__u8 outside, depth;	 /* depth: forks above each leaf */
	__u8 steps[2]; /* of tries: steps to a line by bits of the upper half, of the lower one */
	__u8 tests[2]; /* of the first line, for each half */
	__u64 base;
	/*
	 * IPv6, where each prefix either has at most 64 bits and is around all others, or has more, and the same upper half as all of
	 * those: struct classify_around by prefix around it of less than 64 bits, the longest first, /0 last; and what is said above
	 * of the upper half is of the lower one. n_around 0: elsewhere
	 */
	__u32 around, n_around;
	__u64 common; /* that upper half */
};

#define CLASSIFY_AROUND_MAX 64
struct classify_around {
	__u32 shift; /* what is left of the difference to `common` behind it has to be 0; of the last one nothing has */
	__u32 record;
};

/*
 * The last 15 bits of an address against four boundaries: it counts how many are not above. A fork adds that
 * to the number of a leaf (or of another fork), a leaf picks a record by it. CLASSIFY_NO_BOUND is above
 * everything.
 */
#define CLASSIFY_NO_BOUND 0x8000u

struct classify_fork {
	__u64 bounds; /* four of 16 bits, ascending from the low end */
	__u32 next;
	__u32 unused;
};

struct classify_leaf { /* half a cache line */
	__u64 bounds;
	__u32 record[5];
	__u32 unused;
};

/*
 * IPv6: the 32 bits behind the root's window against seven boundaries, as above. A record whose bit in `inner` is set is
 * a cell of a trie.
 */
#define CLASSIFY_LEAF6 8u
#define CLASSIFY_FORK6 8u
#define CLASSIFY_DEPTH_MAX 2
#define CLASSIFY_NO_LIMIT 0xffffffffu /* a limit is the last value before a boundary */

struct classify_fork6 { /* half a cache line */
	__u32 limit[7];
	__u32 next;
};

struct classify_leaf6 {
	__u32 limit[7];
	__u32 inner;
	__u32 record[8];
};

/*
 * Its tries: a cell has the place of the next array of cells, a multiple of CLASSIFY_UNIT, and which bits of one half of
 * the address pick one of them; with no bits that place is a line's. A line begins with a cell that leads to itself, so
 * that the steps that are left do no harm.
 */
#define CLASSIFY_UNIT 16
#define CLASSIFY_STEPS_MAX 8 /* in each half */
#define CLASSIFY_STEP_BITS 14
#define CLASSIFY_STEP_PLACE 0x3fffff0u
#define CLASSIFY_STEP(place, bit, bits) ((__u32)(bit) << 26 | (place) | (CLASSIFY_STEP_BITS - (__u32)(bits)))

/*
 * A cache line for a prefix and those around it: which of them the address is in is told by shifts after which nothing
 * may be left of its difference to the key. First the tests of the upper half, then those of both; of each the widest
 * prefix first. The record is that by the number of tests passed; CLASSIFY_NO_RECORD: another line has it.
 */
#define CLASSIFY_TESTS 7
/* In the first line 2, 4 or 6 tests of the upper half, 0, 1 or 3 of both; in the following ones: */
#define CLASSIFY_TESTS_HIGH 4
#define CLASSIFY_TESTS_LOW 3
#define CLASSIFY_NO_RECORD 0xffffffffu
#define CLASSIFY_LINES_MAX 40 /* one behind the other: 64 / 4 + 64 / 3 and one */

struct classify_line {
	__u32 self;
	__u32 next; /* place of another line */
	__u64 key[2];
	__u64 shifts; /* six bits in each byte, the first test's in the lowest */
	__u32 record[CLASSIFY_TESTS + 1];
};

/* A pair of narrow or middle classes. key 0: free. Two make a bucket, a key is in one of two buckets. */
struct classify_pair {
	__u64 key;   /* source class | destination class << CLASSIFY_CLASS_BITS, plus 1 */
	__u32 first; /* entry */
	__u32 rest;  /* reference */
};

struct classify_upper {
	__u32 class, wide;
};

/* What one narrow or middle class has with all wide ones on the other side: a reference, and its smallest
 * rule. */
struct classify_side {
	__u32 first_rule, ref;
};

/* An entry of such a list: for wide classes low..high of the other side. */
struct classify_wide_entry {
	__u32 entry;
	__u16 low, high;
};

struct classify_cross {
	__u32 order;	/* which class comes last: 0 service, 1 destination, 2 source */
	__u32 n_second; /* of the pair's second class */
	__u32 n_third;
	__u32 pair; /* u16 by (first * n_second + second): a row's number */
	__u32 rows; /* u16 by (row * n_third + third): a rule, or a list's number */
	__u32 lists; /* u32 by list: where its u32 rules begin, ended by CLASSIFY_LIST_END; 0: rows hold rules */
};

/* Words of a place of the class cache, which begins at a multiple of its size. */
#define CLASSIFY_CACHE_PLACE 16u

struct classify_split {
	__u32 pairs; /* buckets of two struct classify_pair */
	__u32 n_buckets;
	__u32 upper[2];	   /* struct classify_upper of source, destination; 0: there are no middle prefixes */
	__u32 side[2];	   /* struct classify_side by source class, by destination class; 0: none has any */
	__u32 wides;	   /* struct classify_side by (source wide * n_wide + destination wide); 0: none */
	__u32 n_wide;	   /* destination wide classes */
	__u32 match;	   /* by service class: a bit for each specification */
	__u32 match_bytes; /* of one service class */
	__u32 cache;	   /* u64, in places of CLASSIFY_CACHE_PLACE, 0: none */
	__u32 cache_shift; /* 64 - log2 of how many u64 */
	__u32 cache_dst, cache_service; /* where these begin in the cache's key, in bits */
};

/* 256 values each, added up: which protocol, flags and extra value, as an index into kinds. */
struct classify_part {
	__u32 structure;
	__u32 index_of;			/* u32 by rule: its number in the caller's list; 0: the same */
	struct classify_front front[2]; /* source, destination */
	__u32 kinds;	/* u32: class of protocol, flags and extra, times the number of source port classes */
	__u32 ports[2]; /* u16 by block and low byte: class of a port */
	__u32 products; /* u32 by kind + source port class: times the number of destination port classes */
	__u32 services; /* u16 by product + destination port class: service class */
	struct classify_cross cross;
	struct classify_split split;
	__u32 unused[9];
	__u16 proto[256], high[256], low[256]; /* protocol, upper and lower byte of the flags */
	__u16 block[2][256];		       /* by the upper byte of a port: where in ports its 256 begin */
	__u16 extra[CLASSIFY_EXTRAS];
};

struct classify_image {
	__u32 magic, bytes;
	__u32 unused[14];
	struct classify_part part[4]; /* IPv4, IPv6; rules that go on of IPv4, IPv6 */
};

_Static_assert(sizeof(struct classify_fork) == 16, "classify_fork");
_Static_assert(sizeof(struct classify_leaf) == 32, "classify_leaf");
_Static_assert(sizeof(struct classify_front) == 48, "classify_front");
_Static_assert(sizeof(struct classify_line) == 64, "classify_line");
_Static_assert(sizeof(struct classify_fork6) == 32, "classify_fork6");
_Static_assert(sizeof(struct classify_leaf6) == 64, "classify_leaf6");
_Static_assert(sizeof(struct classify_pair) == 16, "classify_pair");
_Static_assert(sizeof(struct classify_side) == 8, "classify_side");
_Static_assert(sizeof(struct classify_wide_entry) == 8, "classify_wide_entry");
_Static_assert((CLASSIFY_CACHE_PLACE & (CLASSIFY_CACHE_PLACE - 1)) == 0, "a place is a power of two");
_Static_assert(sizeof(struct classify_part) % 8 == 0, "classify_part");
_Static_assert(sizeof(struct classify_image) % 8 == 0, "classify_image");

#endif
