// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rate limits in virtual time: rates, bursts, what many keys do to one another. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/test.h"
#include "datapath/lib/hash.h"
#include "datapath/lib/limit.h"
#include "filter/limit.h"

#define NS 1000000000ull
#define CELLS (1u << 18)
#define BUCKETS (CELLS / LIMIT_WAYS)

static const __u64 seed[2] = {0x1234567890abcdefull, 0xfedcba0987654321ull};
static uint64_t random_state = 7;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static struct limit made(uint64_t amount, uint32_t seconds, bool bits, uint64_t burst, uint64_t jiffy_ns)
{
	const struct filter_rate rate = {amount, seconds, bits, burst};
	struct sluice_err err;
	struct limit l;

	assert_int_equal(filter_limit(&rate, jiffy_ns, &l, &err), 0);
	l.mask = BUCKETS - 1;
	l.keyed = 1;
	return l;
}

static int ask(__u64 *cells, const struct limit *l, uint64_t key, uint64_t ns, uint32_t bytes)
{
	uint64_t hash = hash_fold(hash_word(key, seed));
	uint32_t now = limit_now(l, ns), cost = limit_cost(l, bytes);

	if (!l->keyed)
		return limit_one(cells + l->first, 1, now, l->depth, cost);
	return limit_keyed(cells + limit_bucket(l, hash), hash, now, l->depth, cost);
}

static __u64 *table(void)
{
	__u64 *cells = calloc(CELLS, sizeof(*cells));

	assert_non_null(cells);
	return cells;
}

/* Twice the rate for ten seconds: what passes is the rate and one burst. */
static void rates(void **unused)
{
	static const struct {
		uint64_t amount;
		uint32_t seconds;
		uint64_t burst;
	} rate[] = {{1, 1, 1}, {10, 1, 5}, {1000, 1, 200}, {999, 7, 3}, {100000, 1, 1000}, {3333333, 1, 64}, {10000000, 1, 100000}};
	__u64 *cells = table();
	uint64_t ns, step, passed, start;
	struct limit l;
	double want;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(rate) / sizeof(*rate); i++) {
		l = made(rate[i].amount, rate[i].seconds, false, rate[i].burst, 0);
		assert_int_equal(l.clock, LIMIT_KTIME);
		step = NS * rate[i].seconds / rate[i].amount / 2;
		start = NS * 1000000 * (i + 1);
		passed = 0;
		for (ns = 0; ns < 10 * NS * rate[i].seconds; ns += step)
			passed += (uint64_t)ask(cells, &l, 42 + i, start + ns, 64);
		want = 10.0 * (double)rate[i].amount + (double)rate[i].burst;
		if ((double)passed < want * 0.98 - 1 || (double)passed > want * 1.02 + 1)
			fail_msg("%lu in %u s, burst %lu: %lu passed, %.0f expected", (unsigned long)rate[i].amount,
				 rate[i].seconds, (unsigned long)rate[i].burst, (unsigned long)passed, want);
	}
	free(cells);
}

/* Bits: packets of several sizes share what there is. */
static void bits(void **unused)
{
	static const uint32_t size[] = {60, 1514, 590, 9000};
	struct limit l = made(10000000, 1, true, 400000, 0);
	__u64 *cells = table();
	uint64_t ns, passed = 0, i = 0;

	(void)unused;
	for (ns = 0; ns < 10 * NS; ns += 100000, i++)
		if (ask(cells, &l, 1, NS + ns, size[i % 4]))
			passed += size[i % 4] * 8ull;
	assert_in_range(passed, 98000000, 102400000);
	free(cells);
}

/* The burst is exact, to the packet, also after long and very long pauses, and with the coarse clock. */
static void bursts(void **unused)
{
	static const uint64_t pause[] = {NS, 10 * NS, 4444444444ull, 86400 * NS + 7, 7654321 * NS, 365 * 86400 * NS};
	static const uint64_t burst[] = {1, 2, 7, 200, 5000};
	__u64 *cells = table();
	uint64_t ns = NS * 1000, passed;
	uint32_t clock, b, i, n;
	struct limit l;

	(void)unused;
	for (clock = 0; clock < 2; clock++) {
		for (b = 0; b < 5; b++) {
			l = made(5000, 1, false, burst[b], clock ? 4000000 : 0);
			assert_int_equal(l.clock, clock && burst[b] >= 200 ? LIMIT_JIFFIES : LIMIT_KTIME);
			for (i = 0; i < sizeof(pause) / sizeof(*pause); i++) {
				ns += pause[i];
				passed = 0;
				for (n = 0; n < burst[b] + 100; n++)
					passed += (uint64_t)ask(cells, &l, b, ns, 64);
				assert_int_equal(passed, burst[b]);
			}
		}
	}
	free(cells);
}

/*
 * A source within its rate keeps its budget whatever else comes; one over its rate does not get more by it.
 * sources: spoofed, each packet one of them at random.
 */
static void flood(uint64_t sources, uint64_t flood_pps, uint64_t *good, uint64_t *bad)
{
	struct limit l = made(100, 1, false, 20, 0);
	__u64 *cells = table();
	uint64_t ns = NS, i, per = flood_pps / 1000;

	*good = *bad = 0;
	for (i = 0; i < 4000; i++, ns += NS / 1000) { /* each millisecond */
		uint64_t n;

		for (n = 0; n < per; n++)
			ask(cells, &l, 1000 + draw() % sources, ns, 64);
		if (i % 12 == 0) /* 83 a second */
			*good += (uint64_t)ask(cells, &l, 1, ns, 64);
		*bad += (uint64_t)ask(cells, &l, 2, ns, 64); /* 1000 a second */
	}
	free(cells);
}

static void spoofed_sources(void **unused)
{
	uint64_t good, bad;

	(void)unused;
	flood(1000000, 2000000, &good, &bad);
	assert_int_equal(good, 334);
	assert_in_range(bad, 400, 428); /* 4 s and a burst of 20 */
	flood(16000000, 4000000, &good, &bad);
	assert_in_range(good, 330, 334);
	assert_in_range(bad, 400, 440);
}

/* The table that a rate gets, under as many frames as it is made for, of sources seen once, for two seconds. */
static void as_laid_out(void **unused)
{
	struct limit l = made(1000, 1, false, 50, 0);
	uint64_t ns = NS, good = 0, sent = 0, bad = 0, i, n;
	__u64 *cells = table();

	(void)unused;
	l.mask = filter_limit_cells(&l) / LIMIT_WAYS - 1;
	assert_true(l.mask < BUCKETS);
	for (i = 0; i < 2000; i++, ns += NS / 1000) {
		for (n = 0; n < 14880; n++)
			ask(cells, &l, 1000 + (draw() & 0xffffff), ns + n * 67, 64);
		if (i % 6) { /* 833 a second */
			good += (uint64_t)ask(cells, &l, 1, ns, 64);
			sent++;
		}
		for (n = 0; n < 10; n++)
			bad += (uint64_t)ask(cells, &l, 2, ns + n, 64);
	}
	assert_int_equal(good, sent);
	assert_in_range(bad, 2000, 2100);
	free(cells);
}

/* Sources at nine tenths of their rate, all real: an eighth of the cells serves them, at half of them some collide. */
static uint64_t real_refused(uint32_t sources)
{
	struct limit l = made(10, 1, false, 5, 0);
	__u64 *cells = table();
	uint64_t ns, refused = 0, key;
	uint32_t round;

	for (round = 0, ns = NS; round < 40; round++, ns += NS / 9)
		for (key = 0; key < sources; key++)
			refused += !ask(cells, &l, key, ns, 64);
	free(cells);
	return refused;
}

static void many_real_sources(void **unused)
{
	(void)unused;
	assert_int_equal(real_refused(CELLS / 64), 0);
	assert_in_range(real_refused(CELLS / 8), 0, CELLS / 8 * 40 / 2000);
	assert_in_range(real_refused(CELLS / 2), 1, CELLS / 2 * 40 / 20);
}

static void one_for_all(void **unused)
{
	struct limit l = made(1000, 1, false, 10, 0);
	__u64 *cells = table();
	uint64_t ns, passed = 0;

	(void)unused;
	l.keyed = 0;
	l.first = 77;
	for (ns = 0; ns < 2 * NS; ns += 100000)
		passed += (uint64_t)ask(cells, &l, draw(), NS + ns, 64);
	assert_in_range(passed, 2000, 2020);
	assert_int_equal(cells[76], 0);
	assert_int_equal(cells[78], 0);
	free(cells);
}

/* Two CPUs of which one's clock is behind, by less than the burst: both together get the rate. */
static void clocks_apart(void **unused)
{
	struct limit l = made(1000, 1, false, 100, 0);
	__u64 *cells = table();
	uint64_t ns, passed = 0;

	(void)unused;
	for (ns = NS; ns < 11 * NS; ns += 100000) {
		passed += (uint64_t)ask(cells, &l, 5, ns, 64);
		passed += (uint64_t)ask(cells, &l, 5, ns - 90000000, 64);
	}
	assert_in_range(passed, 10000, 10200);
	free(cells);
}

/* Two threads, one key, one clock that both move: of two that pass at once only one is counted, at most. */
struct racer {
	__u64 *cells;
	uint64_t *ns, passed;
	const struct limit *l;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	uint64_t ns;

	while ((ns = __atomic_fetch_add(r->ns, 500, __ATOMIC_RELAXED)) < 5 * NS)
		r->passed += (uint64_t)ask(r->cells, r->l, 5, ns, 64);
	return NULL;
}

static void two_threads(void **unused)
{
	struct limit l = made(1000, 1, false, 100, 0);
	__u64 *cells = table();
	uint64_t ns = NS;
	struct racer r[2];
	pthread_t t[2];
	int i;

	(void)unused;
	for (i = 0; i < 2; i++) {
		r[i] = (struct racer){.cells = cells, .ns = &ns, .l = &l};
		assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
	}
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_in_range(r[0].passed + r[1].passed, 4090, 2 * 4100);
	free(cells);
}

static void refused(void **unused)
{
	static const struct {
		struct filter_rate rate;
		int e;
		const char *why;
	} bad[] = {
		{{0, 1, false, 1}, -EINVAL, "a rate of nothing: say drop instead"},
		{{1, 0, false, 1}, -EINVAL, "a rate of nothing: say drop instead"},
		{{1, 1, false, 0}, -EINVAL, "a burst of nothing never lets anything pass"},
		{{1000, 1, true, 511}, -EINVAL, "a burst of 511 bits has no room for the smallest frame, 512 bits"},
		{{100000001, 1, false, 1}, -ERANGE, "a rate above 100 M packets a second cannot be measured"},
		{{64000000001, 1, true, 12000}, -ERANGE, "a rate above 64 Gbit a second cannot be measured"},
		{{1, 8640001, false, 1}, -ERANGE, "a rate below one in 100 days cannot be kept"},
		{{1000, 1, false, UINT64_MAX}, -ERANGE,
		 "a burst of 18446744073709551615 is too much for this rate: at most 4398045"},
	};
	struct sluice_err err;
	struct limit l;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(filter_limit(&bad[i].rate, 0, &l, &err), bad[i].e);
		assert_string_equal(err.text, bad[i].why);
	}
}

/* Whatever rate is accepted costs what it should, within 0.4 %. */
static void costs(void **unused)
{
	struct filter_rate r;
	struct sluice_err err;
	struct limit l;
	double unit, want;
	uint32_t i, n = 0;

	(void)unused;
	l = made(883, 40, true, 512, 0); /* a burst that is rounded down, a cost that is rounded up */
	assert_true(l.depth >= limit_cost(&l, 64));
	for (i = 0; i < 200000; i++) {
		r = (struct filter_rate){draw() >> (draw() % 64), (uint32_t)(draw() >> (32 + draw() % 32)), draw() & 1, draw() % 100000};
		if (filter_limit(&r, 0, &l, &err))
			continue;
		n++;
		assert_true(l.shift <= LIMIT_MOST_SHIFT);
		unit = (double)(1ull << l.shift) / (1 << LIMIT_NS_BITS);
		want = (double)r.seconds * NS / (double)r.amount / unit * (r.bits ? 512 : 1);
		if (want * 0.996 > limit_cost(&l, 64) || want * 1.004 < limit_cost(&l, 64))
			fail_msg("%lu in %u s: %u units, %.3f expected", (unsigned long)r.amount, r.seconds,
				 limit_cost(&l, 64), want);
		assert_true(l.depth >= limit_cost(&l, 64));
	}
	assert_true(n > 1000);
}

/* 14.88 M frames a second are so many sources at their rate, of eight cells each. */
static void cells(void **unused)
{
	static const struct {
		struct filter_rate rate;
		uint32_t n;
	} of[] = {
		{{1, 8640000, false, 1}, 1 << 19},   {{1, 1, false, 5}, 1 << 19},
		{{450, 1, false, 50}, 1 << 19},	     {{460, 1, false, 50}, 1 << 18},
		{{909, 1, false, 50}, 1 << 17},	     {{1000, 1, false, 50}, 1 << 17},
		{{60000, 60, false, 50}, 1 << 17},   {{2000, 1, false, 50}, 1 << 16},
		{{10000, 1, false, 50}, 1 << 15},    {{100000000, 1, false, 50}, 1 << 15},
		{{512000, 1, true, 12000}, 1 << 17}, {{1000000000, 1, true, 120000}, 1 << 15},
	};
	struct sluice_err err;
	struct limit l;
	size_t i;

	(void)unused;
	for (i = 0; i < sizeof(of) / sizeof(*of); i++) {
		assert_int_equal(filter_limit(&of[i].rate, 4000000, &l, &err), 0);
		if (filter_limit_cells(&l) != of[i].n)
			fail_msg("%zu: %u cells, expected %u", i, filter_limit_cells(&l), of[i].n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates),       cmocka_unit_test(bits),
		cmocka_unit_test(bursts),      cmocka_unit_test(spoofed_sources),
		cmocka_unit_test(as_laid_out), cmocka_unit_test(many_real_sources),
		cmocka_unit_test(one_for_all), cmocka_unit_test(clocks_apart),
		cmocka_unit_test(two_threads), cmocka_unit_test(refused),
		cmocka_unit_test(costs),       cmocka_unit_test(cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
