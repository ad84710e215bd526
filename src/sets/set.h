/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sets of addresses or prefixes in memory that packet programs read while it is changed (abi/set.h has the
 * layout, datapath/lib/set.h the lookup). All of a set is in its memory, what the writer needs included:
 * whoever opens it after the writer died goes on.
 *
 * thread:  (all calls) one writer at a time, the caller sees to that; readers anywhere, any number, any time
 * errors:  (calls with err) -EINVAL the caller's mistake, -ENOMEM; what else is said below
 */
#ifndef SETS_SET_H
#define SETS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/set.h"

struct sets;

/* An address or prefix in host order, IPv4 in lo alone; bits beyond len are 0. */
struct sets_elem {
	uint64_t hi, lo;
	uint32_t expires; /* seconds on the owner's clock, 0 never; sets without SET_EXPIRES have only 0 */
	uint8_t len;	  /* addresses: 32 or 128 */
};

struct sets_spec {
	uint8_t family;		 /* 4 or 6 */
	uint8_t kind;		 /* enum set_kind */
	uint32_t flags;		 /* enum set_flags */
	uint64_t n;		 /* elements to make room for */
	uint64_t cells;		 /* of them in prefix sets, sets_plan() counts; 0: as many as elements */
	uint8_t root_bits;	 /* of prefix sets, 16 or 20; 0: as the number of cells suggests */
	uint16_t version;	 /* SET_VERSION_*, which programs that read it know; 0: SET_VERSION */
	uint64_t seed;		 /* unknown to those whose packets are looked up */
	int (*grace)(void *arg); /* 0 once every lookup that ran has ended; NULL: grace_wait() */
	void *grace_arg;
};

/* sets_plan() picks kind and counts for elements sorted by sets_order(); it leaves the rest. */
void sets_plan(struct sets_spec *spec, const struct sets_elem *elems, size_t n);

/* sets_order() compares by address, then length: for qsort(). */
int sets_order(const void *a, const void *b);

/* sets_bytes() says how much memory a set needs. -EINVAL: more than the 512 MB a program can address. */
int sets_bytes(const struct sets_spec *spec, size_t *bytes, struct sluice_err *err);

/*
 * sets_create() makes an empty set in memory, which it overwrites; sets_open() takes one over.
 *
 * in:      mem     aligned to SET_LINE; bytes >= sets_bytes()
 * out:     *set    NULL on failure
 * owns:    the caller frees with sets_free(), which leaves the memory as it is; mem must outlive the set
 * errors:  -EBADMSG  (open) what is there is no set, or damaged
 * cost:    open: microseconds; milliseconds to a second per million elements if the last writer died at work
 */
int sets_create(void *mem, size_t bytes, const struct sets_spec *spec, struct sets **set,
		struct sluice_err *err);
int sets_open(void *mem, size_t bytes, int (*grace)(void *arg), void *arg, struct sets **set,
	      struct sluice_err *err);
void sets_free(struct sets *set);

/*
 * sets_add() adds an element; one that is there gets the new expiry. sets_del() takes it out.
 *
 * out:     *added  false if it was there already; may be NULL
 * errors:  -ENOSPC full: build a larger set and swap it in; -ENOENT (del) no such element
 * cost:    below a microsecond; when room that was freed has to be waited for, a grace period
 */
int sets_add(struct sets *set, const struct sets_elem *elem, bool *added, struct sluice_err *err);
int sets_del(struct sets *set, const struct sets_elem *elem, struct sluice_err *err);

/* sets_get() finds this very element, its expiry and counts (either may be NULL); 0 or -ENOENT. */
int sets_get(struct sets *set, const struct sets_elem *elem, uint32_t *expires, struct set_count *counts);

/* sets_count() adds to an element's counters, where the set has some; 0 or -ENOENT. */
int sets_count(struct sets *set, const struct sets_elem *elem, const struct set_count *more);

/* sets_test() finds the longest element that covers an address; 0 or -ENOENT. */
int sets_test(struct sets *set, uint64_t hi, uint64_t lo, struct sets_elem *elem);

/* sets_walk() calls for every element, in no order, until a call returns other than 0, and returns that. */
int sets_walk(struct sets *set,
	      int (*each)(void *arg, const struct sets_elem *elem, const struct set_count *counts),
	      void *arg);

/* sets_build() adds many. -ENOSPC as sets_add(); those before the one that did not fit are in. */
int sets_build(struct sets *set, const struct sets_elem *elems, size_t n, struct sluice_err *err);

struct sets_change {
	uint64_t added, removed, kept;
};

/*
 * sets_apply() changes a set from one list to another, element by element, additions first, so that an
 * address in both is never missing. Both lists sorted by sets_order() without doubles.
 */
int sets_apply(struct sets *set, const struct sets_elem *old, size_t n_old, const struct sets_elem *now,
	       size_t n_now, struct sets_change *done, struct sluice_err *err);

/* sets_expire() takes out what expires at or before now; *n of them. */
int sets_expire(struct sets *set, uint32_t now, uint64_t *n, struct sluice_err *err);

/* sets_settle() waits for a grace period, so that room freed so far can be used again. */
int sets_settle(struct sets *set, struct sluice_err *err);

struct sets_stats {
	uint8_t family, kind;
	uint32_t flags;
	uint64_t n, cells, spilled, freed;
	uint64_t slots;	      /* of the table that readers look at */
	uint64_t bytes, read; /* all memory; the part of it that lookups without a hit touch */
};
void sets_stats(const struct sets *set, struct sets_stats *stats);

#endif
