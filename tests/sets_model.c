// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sets-model SEED OPERATIONS: random changes to sets of every kind, each against a sorted array, while two
 * threads look up addresses whose answer never changes.
 *
 * Elements that never change ("stable") and addresses that are never covered ("absent") lie among those that
 * do, in the same buckets and cells: of the four bits an element's last cell looks at, stable prefixes have
 * all set and changing ones never; absent addresses have all bits set from the twentieth on.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

#include "sets_common.h"

#define READERS 2
#define STABLE 400
#define ABSENT 400
#define ROOM 2400 /* elements: the smallest table, well filled */
#define MOST 2150

static const struct variant *v;
static struct sets *set;
static uint8_t *mem;
static size_t bytes;
static struct sets_elem stable[STABLE], absent[ABSENT];
static struct sets_elem *model;
static size_t n_model, n_full;
static uint32_t now;

static bool stop;
static uint64_t passes[READERS], looked[READERS];

static struct sets_elem *model_at(const struct sets_elem *e, bool *there)
{
	size_t lo = 0, hi = n_model, mid;
	int c;

	*there = false;
	while (lo < hi) {
		mid = (lo + hi) / 2;
		c = sets_order(&model[mid], e);
		if (!c) {
			*there = true;
			return &model[mid];
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &model[lo];
}

static void model_put(const struct sets_elem *e)
{
	bool there;
	struct sets_elem *at = model_at(e, &there);

	if (!there) {
		memmove(at + 1, at, (size_t)(model + n_model - at) * sizeof(*at));
		n_model++;
	}
	*at = *e;
}

static void model_drop(struct sets_elem *at)
{
	memmove(at, at + 1, (size_t)(model + --n_model - at) * sizeof(*at));
}

/* The longest element that covers an address, or false. */
static bool model_covers(uint64_t hi, uint64_t lo, struct sets_elem *e)
{
	int len = longest(v), least = v->kind == SET_ADDRS ? len : 0;
	bool there;

	for (; len >= least; len--) {
		struct sets_elem want = {.hi = hi, .lo = lo, .len = (uint8_t)len}, *at;

		cut(v, &want);
		at = model_at(&want, &there);
		if (there) {
			*e = *at;
			return true;
		}
	}
	return false;
}

static void put_octet(struct sets_elem *e, uint32_t octet)
{
	if (v->family == 6)
		e->hi = (e->hi & UINT64_MAX >> 8) | (uint64_t)octet << 56;
	else
		e->lo = (e->lo & 0xffffff) | (uint64_t)octet << 24;
}

/* The bits of the cell that an element of more than 20 bits lies in, those that it has: all set or not? */
static bool group_set(const struct sets_elem *e, bool make)
{
	unsigned int level = (e->len - 1u) & ~3u, n = e->len - level;
	unsigned int shift = (v->family == 6 ? 64 : 32) - level % 64 - n;
	uint64_t *word = (uint64_t *)(v->family == 6 && level < 64 ? &e->hi : &e->lo),
		 mask = ((1u << n) - 1ull) << shift;

	if (make)
		*word |= mask;
	return (*word & mask) == mask;
}

/* An address or prefix out of few enough that they meet again, nest and share cells. */
static struct sets_elem any_elem(void)
{
	struct sets_elem e = {.len = longest(v)};

	if (v->kind == SET_ADDRS) {
		e.lo = v->family == 4 ? 0xc0a80000u | rnd(16384) : (uint64_t)rnd(64) << 40 | rnd(64);
		e.hi = v->family == 6 ? 0x20010db800000000ull | rnd(4) : 0;
		return e;
	}
	e.hi = v->family == 6 ? (uint64_t)rnd(8) << 52 | (uint64_t)rnd(4) << 36 | rnd(3) << 12 | rnd(16) : 0;
	e.lo = v->family == 6 ? (uint64_t)rnd(2) << 60 | rnd(64) : (rnd(8) << 16 | rnd(4) << 12 | rnd(4096));
	e.len = (uint8_t)(1 + rnd(longest(v)));
	put_octet(&e, e.len < 8 ? 0x80 + rnd(128) : e.len <= 20 ? 0x20 + rnd(2) : 0x20 + rnd(8));
	return e;
}

static struct sets_elem changing(void)
{
	struct sets_elem e;

	do {
		e = any_elem();
		cut(v, &e);
	} while (v->kind == SET_ADDRS ? !(e.lo & 1) : e.len > 20 && group_set(&e, false));
	if (v->flags & SET_EXPIRES && rnd(2))
		e.expires = now + 1 + rnd(1000);
	return e;
}

static void choose_stable(void)
{
	struct sets_elem found;
	size_t i;

	for (i = 0; i < STABLE; i++) {
		do {
			stable[i] = any_elem();
		} while (v->kind == SET_PREFIXES && stable[i].len <= 20);
		if (v->kind == SET_PREFIXES)
			group_set(&stable[i], true);
		else
			stable[i].lo &= ~UINT64_C(3);
		cut(v, &stable[i]);
		model_put(&stable[i]);
		if (sets_add(set, &stable[i], NULL, NULL))
			FAIL("no room for the first elements");
	}
	for (i = 0; i < ABSENT; i++)
		do {
			absent[i] = any_elem();
			if (v->kind == SET_ADDRS) {
				absent[i].lo = (absent[i].lo & ~UINT64_C(3)) | 2;
				continue;
			}
			put_octet(&absent[i], 0x22 + rnd(6));
			absent[i].hi |= v->family == 6 ? UINT64_MAX >> 20 : 0;
			absent[i].lo |= v->family == 6 ? UINT64_MAX : 0xfff;
			absent[i].lo &= v->family == 6 ? UINT64_MAX : UINT32_MAX;
		} while (model_covers(absent[i].hi, absent[i].lo, &found));
}

static void *reader(void *arg)
{
	size_t me = (size_t)arg, i;
	uint64_t seed = 77 + me, r;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < 64; i++) {
			const struct sets_elem *s = &stable[(r = rnd_of(&seed)) % STABLE],
					       *a = &absent[(r >> 32) % ABSENT];
			struct sets_elem host = {.hi = UINT64_MAX, .lo = UINT64_MAX, .len = s->len};

			r = rnd_of(&seed);
			cut(v, &host);
			if (!has(v, mem, bytes, s->hi | (r & ~host.hi), s->lo | (r & ~host.lo)))
				FAIL("a reader missed %s", text(v, s));
			if (has(v, mem, bytes, a->hi, a->lo))
				FAIL("a reader found %s", text(v, a));
		}
		looked[me] += 128;
		__atomic_fetch_add(&passes[me], 1, __ATOMIC_ACQ_REL);
	}
	/* never more: whoever waits goes on */
	__atomic_store_n(&passes[me], UINT64_MAX, __ATOMIC_RELEASE);
	return NULL;
}

/* Every lookup that runs now has ended when each reader has begun another round. */
static int wait_for_readers(void *arg)
{
	uint64_t was[READERS];
	size_t i;

	for (i = 0; i < READERS; i++)
		was[i] = __atomic_load_n(&passes[i], __ATOMIC_ACQUIRE);
	for (i = 0; i < READERS; i++)
		while (was[i] != UINT64_MAX && __atomic_load_n(&passes[i], __ATOMIC_ACQUIRE) == was[i])
			sched_yield();
	++*(uint64_t *)arg;
	return 0;
}

static void compare_all(void)
{
	struct sets_elem *list, found;
	struct sets_stats stats;
	size_t n, i;

	list = list_of(set, &n);
	if (n != n_model)
		FAIL("%zu elements, not %zu (%s)", n, n_model, v->name);
	for (i = 0; i < n; i++)
		if (sets_order(&list[i], &model[i]) || list[i].expires != model[i].expires)
			FAIL("element %zu is %s, not %s", i, text(v, &list[i]), text(v, &model[i]));
	free(list);
	sets_stats(set, &stats);
	if (stats.n != n_model)
		FAIL("the count is %llu, not %zu", (unsigned long long)stats.n, n_model);
	for (i = 0; i < 2000; i++) {
		struct sets_elem e = i % 2 ? any_elem() : model[rnd((uint32_t)n_model)];
		bool want = model_covers(e.hi, e.lo, &found);

		if (has(v, mem, bytes, e.hi, e.lo) != want)
			FAIL("the address of %s is%s covered", text(v, &e), want ? "" : " not");
	}
}

static void expire(void)
{
	struct sluice_err err;
	size_t i, k = 0;
	uint64_t n;

	now += rnd(400);
	if (sets_expire(set, now, &n, &err))
		FAIL("%s", err.text);
	for (i = 0; i < n_model; i++)
		if (!model[i].expires || model[i].expires > now)
			model[k++] = model[i];
	if (n != n_model - k)
		FAIL("%llu expired, not %zu", (unsigned long long)n, n_model - k);
	n_model = k;
}

/* Another list of about the same elements, applied by difference. */
static void difference(void)
{
	struct sets_elem *list = malloc((n_model + 100) * sizeof(*list)),
			 *old = malloc((n_model + 1) * sizeof(*old));
	struct sets_change done;
	struct sluice_err err;
	size_t n = 0, i, k, n_old = n_model, same = 0;
	bool there;

	if (!list || !old)
		FAIL("out of memory");
	memcpy(old, model, n_model * sizeof(*old));
	for (i = 0; i < n_model; i++)
		if ((v->kind == SET_ADDRS ? !(model[i].lo & 1)
					  : model[i].len > 20 && group_set(&model[i], false)) ||
		    rnd(10))
			list[n++] = model[i];
	same = n;
	for (i = 0; i < 50 && n < MOST; i++)
		list[n++] = changing();
	qsort(list, n, sizeof(*list), sets_order);
	for (i = k = 0; i < n; i++)
		if (!k || sets_order(&list[k - 1], &list[i]))
			list[k++] = list[i];
	n = k;
	i = (size_t)sets_apply(set, old, n_old, list, n, &done, &err);
	if (i)
		FAIL("a difference: %s", err.text);
	for (i = k = 0; i < n; i++)
		k += (model_at(&list[i], &there), there);
	if (done.kept != k || done.added != n - k || done.removed != n_old - k || k < same)
		FAIL("a difference: %llu added, %llu removed, %llu kept; not %zu, %zu, %zu",
		     (unsigned long long)done.added, (unsigned long long)done.removed,
		     (unsigned long long)done.kept, n - k, n_old - k, k);
	memcpy(model, list, n * sizeof(*list));
	n_model = n;
	free(list);
	free(old);
}

static void one_change(void)
{
	struct sets_elem e = changing(), *at, found;
	bool there, added, want;
	int r;

	if (n_model > STABLE && rnd(2) && rnd((uint32_t)n_model) > MOST / 8) {
		struct sets_elem x = model[rnd((uint32_t)n_model)];

		if (v->kind == SET_ADDRS ? x.lo & 1 : x.len <= 20 || !group_set(&x, false))
			e = x;
	}
	at = model_at(&e, &there);
	if (n_model < MOST && rnd(2)) {
		r = sets_add(set, &e, &added, NULL);
		if (r == -ENOSPC && !there) {
			n_full++;
			return;
		}
		if (r || added == there)
			FAIL("adding %s gave %d, added %d", text(v, &e), r, added);
		model_put(&e);
	} else {
		r = sets_del(set, &e, NULL);
		if (r != (there ? 0 : -ENOENT))
			FAIL("deleting %s gave %d", text(v, &e), r);
		if (there)
			model_drop(at);
	}
	if (rnd(v->family == 6 ? 32 : 8))
		return;
	e = any_elem();
	want = model_covers(e.hi, e.lo, &found);
	r = sets_test(set, e.hi, e.lo, &e);
	if (r != (want ? 0 : -ENOENT) || (want && (sets_order(&e, &found) || e.expires != found.expires)))
		FAIL("a test found %s (%d), not %s", text(v, &e), r, text(v, &found));
}

static void run(uint64_t n)
{
	struct sets_spec spec = {.family = v->family,
				 .kind = v->kind,
				 .flags = v->flags,
				 .root_bits = v->root_bits,
				 .version = v->version,
				 .n = ROOM,
				 .seed = rnd_state,
				 .grace = wait_for_readers};
	pthread_t threads[READERS];
	struct sluice_err err;
	struct sets_stats stats;
	uint64_t graces = 0, i;

	spec.grace_arg = &graces;
	if (sets_bytes(&spec, &bytes, &err))
		FAIL("%s", err.text);
	mem = guarded(bytes);
	if (sets_create(mem, bytes, &spec, &set, &err))
		FAIL("%s", err.text);
	n_model = n_full = now = 0;
	memset(passes, 0, sizeof(passes));
	memset(looked, 0, sizeof(looked));
	stop = false;
	choose_stable();
	for (i = 0; i < READERS; i++)
		if (pthread_create(&threads[i], NULL, reader, (void *)i))
			FAIL("no thread");
	for (i = 0; i < n; i++) {
		one_change();
		if (i % 2000 == 1000 && v->flags & SET_EXPIRES)
			expire();
		if (i % 2500 == 1500)
			difference();
		if (i % 10000 == 0)
			compare_all();
	}
	compare_all();
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	sets_stats(set, &stats);
	printf("%s: %llu operations, %zu elements at the end, %llu spilled, %zu refused for room, %llu grace "
	       "periods, "
	       "%llu lookups meanwhile\n",
	       v->name, (unsigned long long)n, n_model, (unsigned long long)stats.spilled, n_full,
	       (unsigned long long)graces, (unsigned long long)(looked[0] + looked[1]));
	if (n_full > n / 1000)
		FAIL("%zu of %llu operations refused for room", n_full, (unsigned long long)n);
	sets_free(set);
	guarded_free(mem, bytes);
}

int main(int argc, char **argv)
{
	uint64_t n;

	if (argc != 3)
		FAIL("usage: sets-model SEED OPERATIONS");
	rnd_state = strtoull(argv[1], NULL, 10);
	n = strtoull(argv[2], NULL, 10);
	model = calloc(2 * ROOM, sizeof(*model));
	for (v = variants; v < variants + N_VARIANTS; v++)
		run(n / N_VARIANTS);
	free(model);
	printf("%llu operations agree\n", (unsigned long long)n);
	return 0;
}
