// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of keys against a plain list, and what it does at its bound. */
#include "base/test.h"
#include "observe/top_keys.h"

static const uint64_t seed[2] = {0x1234567890abcdefu, 0xfedcba0987654321u};

static void add(struct top_keys *t, uint64_t k0, uint32_t tag, uint64_t packets)
{
	uint64_t k[5] = {k0, ~k0, 3, 4, 5};

	top_keys_add(t, k, tag, top_keys_hash(t, k, tag), packets, packets * 60);
}

static const struct top_key *get(const struct top_keys *t, uint64_t k0, uint32_t tag)
{
	const struct top_key *key;
	size_t at = 0;

	while ((key = top_keys_next(t, &at)))
		if (key->k[0] == k0 && key->tag == tag)
			return key;
	return NULL;
}

/* Sum over all keys plus what was forgotten; the same for the interval. */
static void sums(const struct top_keys *t, uint64_t *all, uint64_t *now)
{
	const struct top_key *key;
	size_t at = 0, n = 0;

	*all = t->forgotten.packets;
	*now = t->forgotten_now.packets;
	while ((key = top_keys_next(t, &at))) {
		n++;
		*all += key->packets;
		*now += top_keys_is_now(t, key) ? key->now_packets : 0;
		assert_int_equal(key->bytes, key->packets * 60);
	}
	assert_int_equal(n, t->n);
}

static void counts(void **state)
{
	struct top_keys t;
	uint64_t want[2000] = {0}, all, now, i, total = 0, r = 1;

	(void)state;
	assert_int_equal(top_keys_init(&t, 2, 100000, seed), 0);
	for (i = 0; i < 200000; i++) {
		r = r * 6364136223846793005u + 1442695040888963407u;
		add(&t, (r >> 33) % 1000, 1 + (uint32_t)(r >> 63), i % 3 + 1);
		want[(r >> 33) % 1000 * 2 + (r >> 63)] += i % 3 + 1;
		total += i % 3 + 1;
	}
	for (i = 0; i < 2000; i++)
		assert_int_equal(get(&t, i / 2, 1 + (uint32_t)(i & 1))->packets, want[i]);
	sums(&t, &all, &now);
	assert_int_equal(all, total);
	assert_int_equal(now, total);
	top_keys_fini(&t);
}

static void intervals(void **state)
{
	struct top_keys t;
	uint64_t all, now;

	(void)state;
	assert_int_equal(top_keys_init(&t, 5, 1024, seed), 0);
	add(&t, 1, 1, 10);
	add(&t, 2, 1, 20);
	top_keys_end_interval(&t);
	add(&t, 2, 1, 5);
	sums(&t, &all, &now);
	assert_int_equal(all, 35);
	assert_int_equal(now, 5);
	assert_int_equal(get(&t, 2, 1)->packets, 25);
	assert_int_equal(get(&t, 2, 1)->now_packets, 5);
	assert_false(top_keys_is_now(&t, get(&t, 1, 1)));
	top_keys_fini(&t);
}

/* A flood of single packets: the bound holds, nothing is lost from the sums, and the large senders stay. */
static void bounded(void **state)
{
	struct top_keys t;
	uint64_t all, now, i, j, total = 0;

	(void)state;
	assert_int_equal(top_keys_init(&t, 2, 10000, seed), 0);
	for (j = 0; j < 5; j++) {
		for (i = 0; i < 100000; i++) {
			add(&t, 1000 + j * 100000 + i, 1, 1);
			total++;
			if (i % 100 == 0) {
				add(&t, i / 100 % 10, 1, 7);
				total += 7;
			}
			assert_true(t.n <= 10000);
		}
		sums(&t, &all, &now);
		assert_int_equal(all, total);
		assert_int_equal(now, 107000);
		top_keys_end_interval(&t);
	}
	for (i = 0; i < 10; i++)
		assert_int_equal(get(&t, i, 1)->packets, 5 * 700);
	assert_true(t.n_slots <= 16384);
	top_keys_fini(&t);
}

/* Whatever is forgotten, the rest stays spread over the table: no run of taken slots gets long. */
static void spread(void **state)
{
	struct top_keys t;
	size_t i, run, longest;

	(void)state;
	assert_int_equal(top_keys_init(&t, 2, 12288, seed), 0);
	for (i = 0; i < 200000; i++) {
		add(&t, i, 1, 1);
		if (i % 30000 == 0)
			top_keys_end_interval(&t);
	}
	assert_int_equal(t.n_slots, 16384);
	for (i = run = longest = 0; i < t.n_slots; i++) {
		run = ((struct top_key *)(t.slots + i * t.stride))->tag ? run + 1 : 0;
		if (run > longest)
			longest = run;
	}
	assert_true(longest < 400);
	top_keys_fini(&t);
}

/* A key that was large once gives way in the end, one that is large now does not. */
static void fades(void **state)
{
	struct top_keys t;
	uint64_t i, j;

	(void)state;
	assert_int_equal(top_keys_init(&t, 2, 2000, seed), 0);
	add(&t, 1, 1, 1000);
	for (j = 0; j < 20; j++) {
		for (i = 0; i < 3000; i++)
			add(&t, 1000 + j * 3000 + i, 1, 2);
		add(&t, 2, 1, 100);
		if (j == 3)
			assert_non_null(get(&t, 1, 1));
		top_keys_end_interval(&t);
	}
	assert_null(get(&t, 1, 1));
	assert_int_equal(get(&t, 2, 1)->packets, 2000);
	top_keys_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),
		cmocka_unit_test(intervals),
		cmocka_unit_test(bounded),
		cmocka_unit_test(spread),
		cmocka_unit_test(fades),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
