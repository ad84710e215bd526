/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The run-time sets of a policy: one memory, the map filter_sets of all its filters, that programs read while
 * sets in it are changed.
 *
 *     head | struct filter_set, one for each set | texts, constants | blocks (abi/set.h) | room for larger ones
 *
 * Whoever finds the map knows all of it: names, files, timeouts, and where the elements are. A set has up to
 * two blocks in each family, one for addresses and one for prefixes; where there is none for addresses, they are
 * prefixes of full length. A block that became too small is made again elsewhere in the memory, and then its
 * number here replaced, by one store.
 */
#ifndef ABI_FILTER_SETS_H
#define ABI_FILTER_SETS_H

#include <linux/types.h>

#include "abi/set.h"

#define FILTER_SETS_MAGIC 0x5e75d14eu
#define FILTER_SETS_VERSION 1
#define FILTER_SETS_MOST 1024
#define FILTER_SETS_PAGE 4096 /* blocks begin at a multiple: so each can be mapped for itself */
#define FILTER_SET_NAME 64

struct filter_sets_head {
	__u32 magic;
	__u16 version, reserved;
	__u32 n;      /* sets */
	__u32 lines;  /* all of it, in lines of SET_LINE bytes */
	__u32 blocks; /* the line where blocks may begin */
	__u32 pad[11];
};

enum filter_block {
	FILTER_BLOCK_ADDRS4,
	FILTER_BLOCK_PREFIXES4,
	FILTER_BLOCK_ADDRS6,
	FILTER_BLOCK_PREFIXES6
};
#define FILTER_BLOCKS 4

enum filter_set_what {
	FILTER_SET_FILE = 1, /* its elements without expiry are those of its file */
	FILTER_SET_PART = 2, /* constants of one rule beside a run-time set: not for people */
};

struct filter_set {
	char name[FILTER_SET_NAME]; /* ends with a NUL */
	__u32 block[FILTER_BLOCKS]; /* line where it begins; 0: none */
	__u32 flags;		    /* enum set_flags of all its blocks */
	__u32 what;		    /* enum filter_set_what */
	__u32 timeout;		    /* seconds of elements that come at run time; 0: for good */
	__u32 file;		    /* byte where its path begins, ends with a NUL; 0: none */
	__u64 size;		    /* elements it may have; 0: as many as there is room for */
	__u32 given,
		n_given; /* byte where its struct filter_set_given begin: what the policy's text puts in */
	__u64 pad[2];
};

struct filter_set_given {
	__u64 hi, lo;
	__u32 family, len;
};

/* A constant of the loaded program. */
struct filter_sets_config {
	__u32 limit; /* bytes of the memory less SET_LINE; 0: the policy has no such sets */
	__u8 flags;  /* enum set_flags of any set */
	__u8 blocks; /* bits 1 << enum filter_block of any set */
	__u8 pad[2];
};

/* What a row asks (struct filter_row): the number of a set plus 1, and of which address. */
#define FILTER_ASK_TO 0x80000000u

_Static_assert(sizeof(struct filter_sets_head) == 64, "struct filter_sets_head is shared");
_Static_assert(sizeof(struct filter_set) == 128, "struct filter_set is shared");
_Static_assert(sizeof(struct filter_set_given) == 24, "struct filter_set_given is shared");
_Static_assert(sizeof(struct filter_sets_config) == 8, "struct filter_sets_config is shared");

#endif
