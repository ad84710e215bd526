/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every key that top follows, with its figures: an open-addressed table that grows to a bound and then
 * forgets the keys that matter least, so that a flood of new keys costs a constant amount of memory and
 * hides nobody large.
 */
#ifndef OBSERVE_TOP_KEYS_H
#define OBSERVE_TOP_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct top_key {
	uint64_t packets, bytes;	 /* since the key is followed, the interval's included */
	uint64_t now_packets, now_bytes; /* of interval `seen` */
	uint32_t tag;			 /* abi/top.h: kind and interface; 0: a free slot */
	uint32_t seen;
	uint64_t k[]; /* n_words */
};

struct top_sum {
	uint64_t packets, bytes;
};

struct top_keys {
	uint8_t *slots;
	size_t stride, n_words;
	size_t n, n_slots, max; /* n_slots is a power of two; at most max keys */
	uint32_t interval;
	uint64_t seed[2];
	struct top_sum forgotten_now,
		forgotten; /* figures of keys that were dropped: of the interval, and since open */
	uint64_t n_forgotten;
};

int top_keys_init(struct top_keys *t, size_t n_words, size_t max, const uint64_t seed[2]); /* 0 or -ENOMEM */
void top_keys_fini(struct top_keys *t);

uint64_t top_keys_hash(const struct top_keys *t, const uint64_t *k, uint32_t tag);
void top_keys_prefetch(const struct top_keys *t, uint64_t hash);

/*
 * top_keys_add() cannot fail: when there is no room, or no memory to make room, the least keys are
 * forgotten.
 */
void top_keys_add(struct top_keys *t, const uint64_t *k, uint32_t tag, uint64_t hash, uint64_t packets,
		  uint64_t bytes);

/* top_keys_next() walks: *at starts at 0; NULL past the last. */
const struct top_key *top_keys_next(const struct top_keys *t, size_t *at);

static inline bool top_keys_is_now(const struct top_keys *t, const struct top_key *key)
{
	return key->seen == t->interval;
}

void top_keys_end_interval(struct top_keys *t);

#endif
