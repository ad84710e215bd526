/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tests of sets share: the kinds there are, seeded numbers, lookups as programs do them. */
#ifndef TESTS_SETS_COMMON_H
#define TESTS_SETS_COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "datapath/lib/set.h"
#include "sets/set.h"

static const struct variant {
	const char *name;
	uint8_t family, kind;
	uint32_t flags;
	uint8_t root_bits;
	uint16_t version;
} variants[] = {
	{"IPv4 addresses", 4, SET_ADDRS, 0},
	{"IPv4 addresses that expire and count", 4, SET_ADDRS, SET_EXPIRES | SET_COUNTS},
	{"IPv6 addresses", 6, SET_ADDRS, 0},
	{"IPv6 addresses that expire and count", 6, SET_ADDRS, SET_EXPIRES | SET_COUNTS},
	{"IPv4 prefixes", 4, SET_PREFIXES, 0},
	{"IPv4 prefixes that expire and count", 4, SET_PREFIXES, SET_EXPIRES | SET_COUNTS},
	{"IPv6 prefixes", 6, SET_PREFIXES, 0},
	{"IPv6 prefixes that expire and count", 6, SET_PREFIXES, SET_EXPIRES | SET_COUNTS},
	{"IPv4 prefixes, large root", 4, SET_PREFIXES, 0, 20},
	{"IPv6 prefixes that expire and count, large root", 6, SET_PREFIXES, SET_EXPIRES | SET_COUNTS, 20},
	{"IPv4 prefixes, large root of version 2", 4, SET_PREFIXES, 0, 20, SET_VERSION_COARSE},
	{"IPv6 prefixes, large root", 6, SET_PREFIXES, 0, 20},
	{"IPv6 prefixes, large root of version 3", 6, SET_PREFIXES, 0, 20, SET_VERSION_PLAIN6},
};
#define N_VARIANTS (sizeof(variants) / sizeof(*variants))

#define FAIL(...) (fprintf(stderr, "not right: " __VA_ARGS__), fputc('\n', stderr), exit(1))

static uint64_t rnd_state;

/* splitmix64 */
static inline uint64_t rnd_of(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint32_t rnd(uint32_t n)
{
	return (uint32_t)(((rnd_of(&rnd_state) >> 32) * n) >> 32);
}

static inline uint8_t longest(const struct variant *v)
{
	return v->family == 6 ? 128 : 32;
}

/* Bits beyond len become 0. */
static inline void cut(const struct variant *v, struct sets_elem *e)
{
	unsigned int host = longest(v) - e->len;

	e->lo &= host >= 64 ? 0 : UINT64_MAX << host;
	e->hi &= host < 64 ? UINT64_MAX : host == 128 ? 0 : UINT64_MAX << (host - 64);
}

/* They become 1: the last address of a prefix. */
static inline void fill(const struct variant *v, struct sets_elem *e)
{
	unsigned int host = longest(v) - e->len;

	e->lo |= v->family == 4 ? (UINT64_C(1) << host) - 1 : host >= 64 ? UINT64_MAX : ~(UINT64_MAX << host);
	e->hi |= host <= 64 ? 0 : host == 128 ? UINT64_MAX : ~(UINT64_MAX << (host - 64));
}

static inline uint32_t has(const struct variant *v, const void *mem, size_t bytes, uint64_t hi, uint64_t lo)
{
	return v->family == 6 ? set_has6(mem, bytes - SET_LINE, 0, hi, lo)
			      : set_has4(mem, bytes - SET_LINE, 0, (uint32_t)lo);
}

static inline uint32_t hit(const struct variant *v, void *mem, size_t bytes, uint64_t hi, uint64_t lo,
			   uint32_t len, uint32_t now)
{
	return v->family == 6 ? set_hit6(mem, bytes - SET_LINE, 0, hi, lo, len, now)
			      : set_hit4(mem, bytes - SET_LINE, 0, (uint32_t)lo, len, now);
}

struct listed {
	struct sets_elem *v;
	size_t n, room;
};

static inline int list_one(void *arg, const struct sets_elem *e, const struct set_count *counts)
{
	struct listed *l = (struct listed *)arg;

	(void)counts;
	if (l->n == l->room) {
		l->room = l->room * 2 + 1000;
		l->v = (struct sets_elem *)realloc(l->v, l->room * sizeof(*l->v));
		if (!l->v)
			FAIL("out of memory");
	}
	l->v[l->n++] = *e;
	return 0;
}

/* All elements, sorted, for free(). */
static inline struct sets_elem *list_of(struct sets *set, size_t *n)
{
	struct listed l = {NULL, 0, 0};

	sets_walk(set, list_one, &l);
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), sets_order);
	*n = l.n;
	return l.v;
}

static inline const char *text(const struct variant *v, const struct sets_elem *e)
{
	static char to[4][64];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(to[turn], sizeof(to[turn]), "%016llx%016llx/%u of %s", (unsigned long long)e->hi,
		 (unsigned long long)e->lo, e->len, v->name);
	return to[turn];
}

/* Memory that ends where reading further faults, and begins so: with no byte more than asked for. */
static inline uint8_t *guarded(size_t bytes)
{
	size_t pages = (bytes + 4095) & ~(size_t)4095;
	uint8_t *p = mmap(NULL, pages + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + 4096, pages, PROT_READ | PROT_WRITE))
		FAIL("no memory");
	return p + 4096 + (pages - bytes);
}

static inline void guarded_free(uint8_t *p, size_t bytes)
{
	size_t pages = (bytes + 4095) & ~(size_t)4095;

	munmap(p - (pages - bytes) - 4096, pages + 8192);
}

#endif
