/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a set of addresses or prefixes lies in memory: what datapath/lib/set.h reads and src/sets writes.
 *
 * One block of memory, one family. Positions are numbers of 64-byte lines from its start, so that whatever
 * stands in a damaged header, nothing is misaligned; the reader holds every one against the memory's size.
 *
 *     head | root | deep | table "front": summary, buckets, keys, spill, info, counts, trees | bits | blocks | named | "book"
 *
 * A table is a hash of buckets of 16 lanes of 16 bits. Lane 15 is the bucket's flags; each other lane is a
 * slot: 0 free, 0x8000 | print taken, anything else (the top bit clear) a slot that was freed in that epoch.
 * What goes with a slot lies in arrays under the slot's number: key, value, tree, info, counts. A table without values, and one of
 * IPv6 cells, has a summary: a word for each bucket with the marks of all its prints (all ones if it has spilled keys). It is a quarter
 * of the buckets' memory (of IPv6 cells an eighth), and says of most keys that are not there that they are not.
 *
 * Addresses: the front table's keys are the addresses. Prefixes: the keys are cells. A cell of level T (a
 * multiple of 4) stands for T leading bits; its value has a bit for each of the 16 prefixes of T + 4 bits
 * that are covered by an element of T + 1 to T + 4 bits. The root is an array by the first 16 or 20 bits: what
 * elements of up to four bits more cover, and which levels there are below. A reader looks at all levels named for
 * its address; levels know nothing of each other, so a change touches one cell. IPv4 has levels 20, 24, 28;
 * IPv6 20 to 124 (a root by 20 bits leaves level 20 out), those from 28 on named in the array "deep", by a hash of the first 28 bits.
 *
 * IPv4's root by 20 bits has two bits for each of its sixteen /24 instead: SET_FINE_*. In front of it "blocks" has a bit for each /22 of
 * which any is not SET_FINE_NONE; "named", the writer's own, the levels there are also below a /24 that is covered. In front of
 * IPv6's root by 20 bits "blocks" has two bits for each of its entries: SET_BLOCK_*.
 *
 * doc/sets.md has the reasons, the order of stores, and the measurements.
 */
#ifndef ABI_SET_H
#define ABI_SET_H

#include <linux/types.h>

#define SET_MAGIC 0x5e75a1ceu
#define SET_VERSION 4
/* As programs of these versions read it; the rest is the same. */
#define SET_VERSION_PLAIN6 3 /* IPv6 prefixes without summary and blocks */
#define SET_VERSION_COARSE 2 /* and IPv4's without fine roots */

#define SET_LINE 64
#define SET_LANES 16 /* one of them the flags */
#define SET_FLAGS_LANE 15
#define SET_USED 0x8000u /* in a slot */
#define SET_SPILLED 1u	 /* in the flags: keys of this bucket are in the spill area */
#define SET_EPOCH_MASK 0x3fffu
#define SET_WINDOW 16		  /* entries of the spill area that are looked at */
#define SET_ROOT_LEVEL (1u << 16) /* of a root entry: level 20; next bits: 24, 28 (IPv6: 28 up) */

/* What a fine root says of a /24. */
#define SET_FINE_NONE 0u   /* nothing of it is in the set */
#define SET_FINE_ALL 1u	   /* all of it is */
#define SET_FINE_DEEP 2u   /* level 28 knows */
#define SET_FINE_DEEPER 3u /* levels 24 and 28 know */

/* What is said of an entry of IPv6's root. */
#define SET_BLOCK_NONE 0u /* it is 0 */
#define SET_BLOCK_DEEP 1u /* it says that levels from 28 on are to be looked up in "deep", and no more */
#define SET_BLOCK_ROOT 2u /* it is to be looked at */

#define SET_EXACT_BITS 17 /* buckets (log2) from which bucket and print together are the whole 32-bit key */

enum set_kind {
	SET_ADDRS = 1,
	SET_PREFIXES = 2,
};

/* Positions are in lines; 0: not there. */
struct set_table {
	__u32 buckets;
	__u32 bucket_shift; /* 5; 6 with values: 16 of 16 bits behind the lanes */
	__u32 index_shift;  /* bucket = hash >> this */
	__u32 print_shift;  /* print = (hash >> this) & 0x7fff */
	__u32 keys;  /* struct set_key or, in a narrow table, __u32; not there if bucket and print say all */
	__u32 spill; /* struct set_spill */
	__u32 spill_mask; /* entries - 1; SET_WINDOW - 1 more follow */
	__u32 info;	  /* struct set_info */
	__u32 counts;	  /* struct set_count */
	__u32 trees;	  /* __u32 */
	__u32 bits;	  /* log2 of the number of buckets */
	__u32 narrow;	  /* keys of 32 bits */
	__u32 summary;	  /* __u64 for each bucket */
	__u32 reserved[3];
};

struct set_head {
	__u32 magic;
	__u16 version;
	__u8 kind;   /* enum set_kind */
	__u8 family; /* 4 or 6 */
	__u32 root;
	__u32 deep;	  /* IPv6 prefixes */
	__u32 deep_shift; /* entry of deep = set_deep_hash() >> this */
	__u32 flags;	  /* enum set_flags */
	__u64 seed[4];
	__u32 lines;	  /* all of it, in lines */
	__u32 root_shift; /* entry of root = first word of the address >> this; 16 or 20 bits are left */
	struct set_table front, book;
	/* the writer's own */
	__u32 busy;	  /* a change has begun and not ended */
	__u32 epoch;	  /* grace periods that ended */
	__u64 n;	  /* elements; right while not busy */
	__u32 short_bits; /* prefixes: which elements are in the root, bit (1 << len | prefix) */
	__u32 n_short;
	__u32 n_spilled, n_freed; /* entries in spill areas; slots freed since the epoch began */
	__u64 lens[3]; /* lengths of elements in the book, bit by bit; may name some that are gone */
	__u32 blocks;  /* in front of the root; 0: IPv4's is not fine */
	__u32 named;   /* bits as the root's: 1 level 24, 2 level 28 */
};

enum set_flags {
	SET_EXPIRES = 1,
	SET_COUNTS = 2,
};

struct set_key {
	__u64 hi, lo;
};

struct set_info {
	__u32 expires; /* seconds on the owner's clock; 0 never */
	__u32 tag;     /* in a book: the prefix length + 1 */
};

struct set_count {
	__u64 packets, bytes;
};

/* Keys that found no room in their bucket, or met another key with the same print there. */
struct set_spill {
	__u64 hi, lo;
	__u32 state; /* 0 free, SET_SPILL_USED | bucket, or freed: epoch + 1 */
	__u16 value;
	__u16 tag;
	__u32 tree;
	__u32 reserved;
};
#define SET_SPILL_USED 0x80000000u

#define SET_BOOK_AT 128 /* of struct set_head */
#define SET_LENS_AT 224

_Static_assert(sizeof(struct set_table) == 64, "struct set_table");
_Static_assert(sizeof(struct set_head) == 256, "struct set_head");
_Static_assert(__builtin_offsetof(struct set_head, book) == SET_BOOK_AT, "book");
_Static_assert(__builtin_offsetof(struct set_head, lens) == SET_LENS_AT, "lens");
_Static_assert(sizeof(struct set_spill) == 32, "struct set_spill");

/* A permutation of the 32-bit numbers: bucket and print tell the key, once the two are 32 bits together. */
static inline __attribute__((always_inline, unused)) __u32 set_mix(__u32 key, __u64 seed)
{
	__u32 h = (key ^ (__u32)seed) * 0x9e3779b1u;

	h = (h ^ h >> 15 ^ (__u32)(seed >> 32)) * 0x85ebca77u;
	return h;
}

/* What a print leaves in its bucket's word of the summary: a Bloom filter of three bits in 64. */
static inline __attribute__((always_inline, unused)) __u64 set_marks(__u64 print)
{
	__u64 h = print * 0x9e3779b97f4a7c15ull;

	return 1ull << (h >> 58) | 1ull << (h >> 52 & 63) | 1ull << (h >> 46 & 63);
}

/* Sums of products of (seed + key half), as datapath/lib/hash.h: unknown seeds keep chosen keys apart. */
static inline __attribute__((always_inline, unused)) __u64 set_hash(__u64 hi, __u64 lo, __u32 tag,
								    const volatile __u64 *seed)
{
	__u64 s = ((__u32)seed[0] + (hi & 0xffffffff)) * ((__u32)(seed[0] >> 32) + (hi >> 32)) +
		  (seed[1] + (lo & 0xffffffff)) * (seed[2] + (lo >> 32)) + tag * (seed[3] | 1);

	return (s ^ s >> 32) * 0x9e3779b97f4a7c15ull;
}

/* Of the first 28 bits of an IPv6 address; used from the top bit down. */
static inline __attribute__((always_inline, unused)) __u64 set_deep_hash(__u64 hi, __u64 seed)
{
	return ((hi >> 36) ^ (seed & 0xfffffff)) * 0x9e3779b97f4a7c15ull;
}

/*
 * The number of a lane as a slot: lane L of word W of a bucket is the bit 16 * L + W of a match, and this
 * product's top four bits differ for the sixteen of them (a de Bruijn sequence of 16 bits in four pieces).
 */
#define SET_LANE_MAGIC 0x08009a00ae00f000ull

#endif
