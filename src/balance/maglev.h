/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maglev hashing: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
 * section 3.4. Each backend has a permutation of the table's slots; in turn, each takes the first slot of its
 * permutation that is still free, until none is. doc/balance.md says what weights do to the turns.
 */
#ifndef BALANCE_MAGLEV_H
#define BALANCE_MAGLEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "net/addr.h"

#define MAGLEV_SLOTS 65537u	 /* the default */
#define MAGLEV_SLOTS_MIN 251u	 /* with fewer, shares are too uneven to be of use */
#define MAGLEV_SLOTS_MAX 655373u /* the paper's large table */
#define MAGLEV_BACKENDS 4000u
#define MAGLEV_WEIGHT_MAX 65535u
#define MAGLEV_NONE 0xffffu

/* A backend is its address and port; weight 0: it gets no slots. */
struct maglev_backend {
	struct net_addr addr;
	uint16_t port; /* host order; 0: none */
	uint32_t weight;
};

/*
 * What a backend's permutation comes from: slot (offset + turn * skip) % n_slots, as in the paper. The hash is
 * the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA
 * 2014) chained over three numbers: upper and lower half of the address (IPv4: 0 and the address), port * 2 +
 * (1 for IPv6). It computes with numbers, so it does not depend on a machine's byte order.
 */
void maglev_permutation(const struct maglev_backend *b, uint32_t n_slots, uint32_t *offset, uint32_t *skip);

/* maglev_compare() is the order in which backends take turns at the same time: family, address, port. */
int maglev_compare(const struct maglev_backend *a, const struct maglev_backend *b);

/* A number of slots that can be: a prime within bounds. The sentence names the nearest that can. */
int maglev_check_slots(uint64_t n_slots, struct sluice_err *err);

/*
 * maglev_build() fills table with the number, in b, of each slot's backend; MAGLEV_NONE everywhere if all
 * weights are 0. The k-th turn of a backend (k from 0) is at time k / weight; so its share is within one slot
 * of its weight's, and with any weight but 0 it has a slot at least, if there are as many. The same set of
 * backends gives the same table in whatever order they stand in b.
 *
 * errors:  -EINVAL  n_slots is no prime or out of bounds, a backend is there twice, a weight is too large;
 *          -ENOSPC  more backends than MAGLEV_BACKENDS or than slots; -ENOMEM. table is untouched then.
 * cost:    n_slots * log(n_slots); 0.3 to 2 ms for 65,537 slots (doc/balance.md)
 */
int maglev_build(const struct maglev_backend *b, size_t n, uint32_t n_slots, uint16_t *table,
		 struct sluice_err *err);

/*
 * The same for many services: a table that was computed for the same backends, weights and size is taken again.
 * Zero-filled at first; it keeps MAGLEV_MEMO tables.
 */
#define MAGLEV_MEMO 8
struct maglev_memo {
	struct maglev_memory {
		struct maglev_backend *backends; /* in maglev_compare()'s order, no weight is 0 */
		size_t n;
		uint32_t n_slots;
		uint16_t *table; /* numbers in backends */
		uint64_t used;
	} memory[MAGLEV_MEMO];
	uint64_t now;
	uint64_t hits, misses;
};

int maglev_memo_build(struct maglev_memo *memo, const struct maglev_backend *b, size_t n, uint32_t n_slots,
		      uint16_t *table, struct sluice_err *err);
void maglev_memo_free(struct maglev_memo *memo);

#endif
