// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every key that top follows. Linear probing, at most three quarters full; keys are only ever taken out all
 * at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "observe/top_keys.h"

#define FIRST_SLOTS 4096
#define LINE 64

/* Zeroed and aligned to pages; huge ones where it is large, since keys are met in no order. NULL: no memory. */
static uint8_t *slots_new(size_t n_slots, size_t stride)
{
	void *p = mmap(NULL, n_slots * stride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, n_slots * stride, MADV_HUGEPAGE); /* a wish: works without */
	return p;
}

static void slots_free(struct top_keys *t)
{
	if (t->slots)
		munmap(t->slots, t->n_slots * t->stride);
	t->slots = NULL;
}

static struct top_key *slot(const struct top_keys *t, size_t i)
{
	return (struct top_key *)(t->slots + i * t->stride);
}

int top_keys_init(struct top_keys *t, size_t n_words, size_t max, const uint64_t seed[2])
{
	*t = (struct top_keys){.n_words = n_words, .max = max, .n_slots = FIRST_SLOTS, .interval = 1};
	t->stride = sizeof(struct top_key) + n_words * sizeof(uint64_t);
	t->seed[0] = seed[0];
	t->seed[1] = seed[1];
	if (t->stride < LINE) /* a key in one cache line */
		t->stride = LINE;
	t->slots = slots_new(t->n_slots, t->stride);
	return t->slots ? 0 : -ENOMEM;
}

void top_keys_fini(struct top_keys *t)
{
	slots_free(t);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t top_keys_hash(const struct top_keys *t, const uint64_t *k, uint32_t tag)
{
	uint64_t hash = t->seed[0] ^ tag;
	size_t i;

	for (i = 0; i < t->n_words; i++)
		hash = fold(hash ^ k[i], t->seed[1]) + t->seed[0];
	return fold(hash, 0x9e3779b97f4a7c15u);
}

static size_t home(const struct top_keys *t, uint64_t hash)
{
	return (size_t)hash & (t->n_slots - 1);
}

void top_keys_prefetch(const struct top_keys *t, uint64_t hash)
{
	__builtin_prefetch(slot(t, home(t, hash)), 1);
}

static bool same(const struct top_keys *t, const struct top_key *key, const uint64_t *k, uint32_t tag)
{
	uint64_t differ = key->tag ^ tag;
	size_t i;

	for (i = 0; i < t->n_words; i++)
		differ |= key->k[i] ^ k[i];
	return !differ;
}

static struct top_key *find(const struct top_keys *t, const uint64_t *k, uint32_t tag, uint64_t hash)
{
	struct top_key *key;
	size_t i = home(t, hash);

	for (;; i = (i + 1) & (t->n_slots - 1)) {
		key = slot(t, i);
		if (!key->tag || same(t, key, k, tag))
			return key;
	}
}

/* Makes the table twice as large; false if there is no memory for that. */
static bool grow(struct top_keys *t)
{
	struct top_keys larger = *t;
	const struct top_key *key;
	size_t at = 0;

	larger.n_slots = 2 * t->n_slots;
	larger.slots = slots_new(larger.n_slots, t->stride);
	if (!larger.slots)
		return false;
	while ((key = top_keys_next(t, &at)))
		memcpy(find(&larger, key->k, key->tag, top_keys_hash(t, key->k, key->tag)), key, t->stride);
	slots_free(t);
	*t = larger;
	return true;
}

/*
 * How much a key matters: its packets, half as much for every interval it has been silent; as a power of
 * two.
 */
static unsigned int weight(const struct top_keys *t, const struct top_key *key)
{
	uint32_t silent = t->interval - key->seen;
	uint64_t w = silent < 64 ? key->packets >> silent : 0;

	return w ? 64 - (unsigned int)__builtin_clzll(w) : 0;
}

static void drop(struct top_keys *t, struct top_key *key)
{
	if (top_keys_is_now(t, key)) {
		t->forgotten_now.packets += key->now_packets;
		t->forgotten_now.bytes += key->now_bytes;
	}
	t->forgotten.packets += key->packets;
	t->forgotten.bytes += key->bytes;
	t->n_forgotten++;
	t->n--;
	key->tag = 0;
}

/*
 * After keys were dropped, those that had been pushed on by them move back towards home. Starting behind a
 * free slot, each key is taken out and put in again: all that come before it in its run are in place by
 * then.
 */
static void close_gaps(struct top_keys *t)
{
	struct top_key *key, *to;
	size_t start = 0, i, n;

	while (slot(t, start)->tag)
		start++;
	for (n = 1; n < t->n_slots; n++) {
		i = (start + n) & (t->n_slots - 1);
		key = slot(t, i);
		if (!key->tag)
			continue;
		for (to = slot(t, home(t, top_keys_hash(t, key->k, key->tag))); to != key && to->tag;) {
			to = (struct top_key *)((uint8_t *)to + t->stride);
			if ((uint8_t *)to == t->slots + t->n_slots * t->stride)
				to = slot(t, 0);
		}
		if (to == key)
			continue;
		memcpy(to, key, t->stride);
		key->tag = 0;
	}
}

/*
 * Keeps the half of the keys that matters most. Of those on the border, which are most of them in a flood, every
 * so-manieth stays: evenly over the table, or the part where they stay would run full.
 */
static void forget(struct top_keys *t)
{
	size_t n[66] = {0}, i, keep = t->n / 2, due = 0;
	struct top_key *key;
	unsigned int w, cut = 65;

	for (i = 0; i < t->n_slots; i++)
		if (slot(t, i)->tag)
			n[weight(t, slot(t, i))]++;
	while (cut > 0 && n[cut - 1] <= keep)
		keep -= n[--cut];
	for (i = 0; i < t->n_slots; i++) {
		key = slot(t, i);
		if (!key->tag)
			continue;
		w = weight(t, key);
		if (w + 1 == cut)
			due += keep;
		if (w >= cut)
			continue;
		if (w + 1 == cut && due >= n[w])
			due -= n[w];
		else
			drop(t, key);
	}
	close_gaps(t);
}

void top_keys_add(struct top_keys *t, const uint64_t *k, uint32_t tag, uint64_t hash, uint64_t packets,
		  uint64_t bytes)
{
	struct top_key *key = find(t, k, tag, hash);

	if (!key->tag) {
		if (t->n >= t->max) {
			forget(t);
			key = find(t, k, tag, hash);
		} else if (t->n >= t->n_slots / 4 * 3) {
			if (!grow(t))
				forget(t);
			key = find(t, k, tag, hash);
		}
		memset(key, 0, t->stride);
		key->tag = tag;
		memcpy(key->k, k, t->n_words * sizeof(*k));
		t->n++;
	}
	if (key->seen != t->interval) {
		key->seen = t->interval;
		key->now_packets = 0;
		key->now_bytes = 0;
	}
	key->now_packets += packets;
	key->now_bytes += bytes;
	key->packets += packets;
	key->bytes += bytes;
}

const struct top_key *top_keys_next(const struct top_keys *t, size_t *at)
{
	const struct top_key *key;

	while (*at < t->n_slots) {
		key = slot(t, (*at)++);
		if (key->tag)
			return key;
	}
	return NULL;
}

void top_keys_end_interval(struct top_keys *t)
{
	t->interval++;
	t->forgotten_now = (struct top_sum){0};
}
