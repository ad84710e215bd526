// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sets that change between the packets of a comparison: what the host writes, and what the oracle is told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "filter_pair.h"
#include "policy_random.h"

#define SECOND 1000000000ull

uint64_t pair_moment(struct random_state *r, uint64_t now_ns)
{
	if (kernel)
		return clock_mono_ns();
	if (!random_below(r, 12))
		return now_ns + random_below(r, 3 * SECOND);
	return now_ns + random_below(r, 1000);
}

/* The addresses that random_frame() likes, and what covers them. */
static void random_prefix(struct random_state *r, struct sets_elem *e, bool *v6)
{
	static const uint32_t nets[] = {0x0a000000, 0x0a010000, 0x0a020000, 0xc0000200, 0x0a030000};
	uint32_t len;

	*v6 = !random_below(r, 3);
	memset(e, 0, sizeof(*e));
	if (*v6) {
		e->hi = UINT64_C(0x20010db800000000) | random_below(r, 4) << 16;
		e->lo = random_below(r, 8);
		len = random_below(r, 2) ? 128 : random_below(r, 129);
		e->hi &= len >= 64 ? UINT64_MAX : len ? UINT64_MAX << (64 - len) : 0;
		e->lo &= len <= 64 ? 0 : UINT64_MAX << (128 - len);
	} else {
		e->lo = nets[random_below(r, 5)] | random_below(r, 4) << 8 | random_below(r, 8);
		len = random_below(r, 2) ? 32 : random_below(r, 33);
		e->lo &= len ? UINT32_MAX << (32 - len) & UINT32_MAX : 0;
	}
	e->len = (uint8_t)len;
}

static struct policy_range range_of(const struct sets_elem *e, bool v6)
{
	struct policy_range r = {.v6 = v6, .first = {e->hi, e->lo}, .last = {e->hi, e->lo}};

	if (!v6)
		r.last.lo |= e->len ? UINT32_MAX >> (e->len - 1) >> 1 : UINT32_MAX;
	else if (e->len <= 64)
		r.last =
			(struct policy_addr6){e->hi | (e->len ? UINT64_MAX >> (e->len - 1) >> 1 : UINT64_MAX),
					      UINT64_MAX};
	else
		r.last.lo |= UINT64_MAX >> (e->len - 65) >> 1;
	return r;
}

/* Another list of what is there for good, as a file's would be. */
static void load(struct pair *a, struct random_state *r, uint32_t nr, uint32_t set, uint32_t now)
{
	struct policy_live *live = policy_oracle_live(a->o);
	struct filter_elems lists[2] = {{NULL, 0}, {NULL, 0}};
	struct policy_spans spans = {0};
	struct policy_range range;
	struct sets_change done;
	struct control_elem *v;
	struct sluice_err err;
	struct sets_elem e;
	size_t n, i;
	uint32_t f;
	bool v6;

	for (i = random_below(r, 12); i; i--) {
		random_prefix(r, &e, &v6);
		range = range_of(&e, v6);
		policy_spans_add(&spans, &range);
	}
	for (f = 0; f < 2; f++) {
		if (control_sets_list(a->sets, nr, f, now, &v, &n, &err))
			fail("%s", err.text);
		for (i = 0; i < n; i++) {
			range = range_of(&v[i].elem, f);
			if (!v[i].elem.expires)
				policy_live_del(live, set, &range);
		}
		free(v);
		if (filter_sets_elems(&spans, f, &lists[f], &err))
			fail("%s", err.text);
		for (i = 0; i < lists[f].n; i++) {
			range = range_of(&lists[f].v[i], f);
			policy_live_add(live, set, &range, 0);
		}
	}
	if (control_sets_load(a->sets, nr, lists, &done, &err))
		fail("loading: %s", err.text);
	free(lists[0].v);
	free(lists[1].v);
	policy_spans_free(&spans);
}

/* Both sides' lists of one set are the same. */
static void compare(struct pair *a, uint32_t nr, uint32_t set, uint32_t now)
{
	struct policy_live *live = policy_oracle_live(a->o);
	struct control_elem *v;
	struct sluice_err err;
	struct policy_range r;
	struct net_addr addr;
	uint32_t f, b;
	size_t n, i;

	for (f = 0; f < 2; f++) {
		if (control_sets_list(a->sets, nr, f, now, &v, &n, &err))
			fail("%s", err.text);
		for (i = 0; i < n; i++) {
			memset(&addr, 0, sizeof(addr));
			addr.v6 = f;
			r = range_of(&v[i].elem, f);
			for (b = 0; b < (f ? 16u : 4u); b++)
				addr.bytes[b] =
					(uint8_t)(f ? (b < 8 ? r.first.hi : r.first.lo) >> (56 - 8 * (b % 8))
						    : r.first.lo >> (24 - 8 * b));
			if (!policy_live_has(live, set, &addr, now))
				fail("set %u lists what is not in it", nr);
		}
		free(v);
	}
}

static void change(struct pair *a, struct random_state *r, uint32_t nr, uint32_t set, uint64_t now_ns)
{
	uint32_t now = (uint32_t)(now_ns / SECOND), what = random_below(r, 32);
	struct policy_live *live = policy_oracle_live(a->o);
	bool expires = a->plan->v[nr].flags & SET_EXPIRES, v6;
	enum control_added added;
	struct policy_range range;
	struct sluice_err err;
	struct sets_elem e;
	uint64_t gone;
	int one, two;

	random_prefix(r, &e, &v6);
	range = range_of(&e, v6);
	n_changes++;
	if (what == 0) {
		load(a, r, nr, set, now);
	} else if (what == 1) {
		compare(a, nr, set, now);
	} else if (what == 2) {
		if (control_sets_expire(a->sets, now, &gone, &err))
			fail("%s", err.text);
	} else if (what < 12) {
		one = control_sets_del(a->sets, nr, v6, &e, now, &err);
		two = policy_live_del(live, set, &range);
		/* what has expired is gone for the one, and still in the other's list */
		if (one && one != -ENOENT)
			fail("deleting: %s", err.text);
		if (!one && two)
			fail("the set had what the oracle has not");
	} else {
		if (expires && random_below(r, 4))
			e.expires = now + random_below(r, kernel ? 2 : 6) * (kernel ? 1000 : 1);
		if (control_sets_add(a->sets, nr, v6, &e, now, &added, &err)) {
			if (err.code != -ENOSPC)
				fail("adding: %s", err.text);
			return;
		}
		if (added != CONTROL_FOR_GOOD || !e.expires)
			policy_live_add(live, set, &range, e.expires);
	}
}

void pair_change(struct pair *a, struct random_state *r, uint64_t now_ns)
{
	uint32_t nr;

	while (a->sets && !random_below(r, 3)) {
		nr = random_below(r, a->plan->n);
		if (a->plan->v[nr].set == FILTER_SETS_NONE)
			continue;
		change(a, r, nr, a->plan->v[nr].set, now_ns);
	}
}
