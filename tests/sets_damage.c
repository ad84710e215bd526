// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sets-damage SEED TIMES: memory of a set with random damage, between pages that fault. Lookups must stay
 * inside it and end; sets_open() must refuse it or make a set of it that can be read, walked and changed.
 */
#include <errno.h>
#include <stdbool.h>

#include "sets_common.h"

#define ELEMS 600

static uint64_t n_opened, n_refused, n_lookups;

static int ready(void *arg)
{
	(void)arg;
	return 0;
}

static struct sets_elem any(const struct variant *v)
{
	struct sets_elem e = {.hi = v->family == 6 ? rnd_of(&rnd_state) & 0x3f00ff0000ff000full : 0,
			      .lo = rnd_of(&rnd_state)};

	if (v->family == 4)
		e.lo &= 0xff0f0fff;
	e.len = v->kind == SET_ADDRS ? longest(v) : (uint8_t)rnd(longest(v) + 1u);
	e.expires = v->flags & SET_EXPIRES ? rnd(100) : 0;
	cut(v, &e);
	return e;
}

static void lookups(const struct variant *v, uint8_t *mem, size_t bytes)
{
	unsigned int i;

	for (i = 0; i < 400; i++) {
		uint64_t hi = rnd_of(&rnd_state),
			 lo = v->family == 4 ? rnd_of(&rnd_state) >> 32 : rnd_of(&rnd_state);
		struct sets_elem e = any(v);

		n_lookups += 4;
		/* either family's lookup: the head may say anything */
		if (has(v, mem, bytes, hi, lo) + has(v, mem, bytes, e.hi, e.lo) +
			    hit(v, mem, bytes, e.hi, e.lo, 60, 5) +
			    (v->family == 6 ? set_hit4(mem, bytes - SET_LINE, 0, (uint32_t)lo, 60, 0)
					    : set_hit6(mem, bytes - SET_LINE, 0, hi, lo, 60, 0)) >
		    4)
			FAIL("a lookup answers more than yes");
	}
}

static int each(void *arg, const struct sets_elem *e, const struct set_count *counts)
{
	*(uint64_t *)arg += e->hi + e->lo + e->len + (counts ? counts->packets : 0);
	return 0;
}

/* Whatever the calls answer: they must come back, and touch nothing outside. */
static void host(const struct variant *v, uint8_t *mem, size_t bytes)
{
	struct sets_elem *list, e;
	struct sets_stats stats;
	struct sets_change done;
	struct sluice_err err;
	uint64_t sum = 0, n;
	unsigned int i;
	struct sets *set;
	size_t k;
	int error;

	error = sets_open(mem, bytes, ready, NULL, &set, &err);
	if (error) {
		if (error != -EBADMSG)
			FAIL("opening damaged memory gave %d: %s", error, err.text);
		n_refused++;
		return;
	}
	n_opened++;
	sets_walk(set, each, &sum);
	for (i = 0; i < 50; i++) {
		e = any(v);
		error = i % 2 ? sets_add(set, &e, NULL, &err) : sets_del(set, &e, &err);
		if (error && error != -ENOSPC && error != -ENOENT)
			FAIL("a change in damaged memory gave %d: %s", error, err.text);
		sets_test(set, e.hi, e.lo, &e);
	}
	list = list_of(set, &k);
	sets_apply(set, list, k, list, k / 2, &done, &err);
	free(list);
	sets_expire(set, 50, &n, &err);
	sets_stats(set, &stats);
	sets_free(set);
}

static void damage(uint8_t *mem, size_t bytes)
{
	uint32_t n = 1 + rnd(40), i, kind = rnd(4);

	for (i = 0; i < n; i++) {
		size_t at = kind == 0 ? rnd(sizeof(struct set_head)) : rnd((uint32_t)bytes);

		mem[at] = rnd(3) ? (uint8_t)rnd(256) : rnd(2) ? 0xff : 0;
	}
	if (kind == 1) /* a stretch of noise */
		for (i = 0, n = rnd(4096); i < n; i++)
			mem[(rnd((uint32_t)bytes) / 4096 * 4096 + i) % bytes] = (uint8_t)rnd(256);
	if (kind == 2) /* the head is sound, the writer died, everything else is noise */
		for (i = sizeof(struct set_head); i < bytes; i++)
			mem[i] = (uint8_t)rnd_of(&rnd_state);
	if (kind == 3 && rnd(2)) /* numbers of the head that are large, or nearly right */
		((uint32_t *)(void *)mem)[rnd(sizeof(struct set_head) / 4)] =
			rnd(2) ? UINT32_MAX - rnd(3) : rnd(1u << rnd(28));
	if (kind >= 2)
		((struct set_head *)(void *)mem)->busy = rnd(2);
}

int main(int argc, char **argv)
{
	unsigned long times, t;

	if (argc != 3)
		FAIL("usage: sets-damage SEED TIMES");
	rnd_state = strtoull(argv[1], NULL, 10);
	times = strtoul(argv[2], NULL, 10);
	for (t = 0; t < times; t++) {
		const struct variant *v = &variants[t % N_VARIANTS];
		struct sets_spec spec = {.family = v->family,
					 .kind = v->kind,
					 .flags = v->flags,
					 .root_bits = v->root_bits,
					 .version = v->version,
					 .n = ELEMS,
					 .seed = t};
		struct sluice_err err;
		struct sets *set;
		uint8_t *mem, head[sizeof(struct set_head)];
		size_t bytes;
		uint32_t i;

		if (sets_bytes(&spec, &bytes, &err))
			FAIL("%s", err.text);
		mem = guarded(bytes);
		if (sets_create(mem, bytes, &spec, &set, &err))
			FAIL("%s", err.text);
		for (i = 0; i < ELEMS; i++) {
			struct sets_elem e = any(v);

			if (sets_add(set, &e, NULL, &err))
				FAIL("%s", err.text);
		}
		sets_free(set);
		memcpy(head, mem, sizeof(head));
		damage(mem, bytes);
		lookups(v, mem, bytes);
		host(v, mem, bytes);
		/* and with the head as it was: what else is damaged is all that is */
		memcpy(mem, head, sizeof(head));
		((struct set_head *)(void *)mem)->busy = rnd(2);
		lookups(v, mem, bytes);
		host(v, mem, bytes);
		guarded_free(mem, bytes);
	}
	printf("%lu damaged sets, %llu opened, %llu refused, %llu lookups: none left its memory\n", times,
	       (unsigned long long)n_opened, (unsigned long long)n_refused, (unsigned long long)n_lookups);
	if (!n_opened || !n_refused)
		FAIL("the damage was one-sided");
	return 0;
}
