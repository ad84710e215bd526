// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maglev: against the slow way, against the paper's promises, and against numbers computed elsewhere. */
#include <stdio.h>

#include "balance/maglev.h"
#include "balance/oracle.h"
#include "base/test.h"

static struct maglev_backend some[MAGLEV_BACKENDS + 1];
static uint16_t table[MAGLEV_SLOTS_MAX], other[MAGLEV_SLOTS_MAX];
static uint64_t state;

static uint32_t below(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % n);
}

static struct maglev_backend backend(const char *addr, uint16_t port, uint32_t weight)
{
	struct maglev_backend b = {.port = port, .weight = weight};

	assert_int_equal(net_addr_parse(addr, &b.addr, NULL), 0);
	return b;
}

static void make(size_t n, uint32_t weight)
{
	size_t i;

	for (i = 0; i < n; i++)
		some[i] = (struct maglev_backend){.addr.bytes = {10, 1, (uint8_t)(i >> 8), (uint8_t)i},
						  .weight = weight};
}

static void build(const struct maglev_backend *b, size_t n, uint32_t n_slots, uint16_t *to)
{
	struct sluice_err err = {0};

	if (maglev_build(b, n, n_slots, to, &err))
		fail_msg("%s", err.text);
}

static uint32_t differing(uint32_t n_slots)
{
	uint32_t i, n = 0;

	for (i = 0; i < n_slots; i++)
		n += table[i] != other[i];
	return n;
}

/* Computed from maglev.h's words by a program of another language: what must not change between releases. */
static void known_numbers(void **s)
{
	struct maglev_backend four = backend("10.1.0.11", 0, 1), six = backend("2001:db8::11", 8080, 1);
	uint32_t offset, skip;

	(void)s;
	maglev_permutation(&four, 65537, &offset, &skip);
	assert_int_equal(offset, 63568);
	assert_int_equal(skip, 57921);
	maglev_permutation(&six, 65537, &offset, &skip);
	assert_int_equal(offset, 29288);
	assert_int_equal(skip, 47045);
	build(&four, 1, 65537, table);
	assert_int_equal(table[63568], 0);
	assert_int_equal(table[0], 0);
}

static void as_the_slow_way(void **s)
{
	static const uint32_t sizes[] = {251, 257, 509, 1009, 4099};
	struct sluice_err err;
	uint32_t round, n, n_slots, i, weight;

	(void)s;
	state = 7;
	for (round = 0; round < 300; round++) {
		n_slots = sizes[below(5)];
		n = below(round % 10 ? 40 : 251);
		weight = (uint32_t[]){1, 2, 10, 1000, 65535}[below(5)];
		for (i = 0; i < n; i++) {
			some[i] = (struct maglev_backend){.addr.v6 = below(2), .weight = below(weight + 1)};
			some[i].addr.bytes[0] = 0x20;
			some[i].addr.bytes[1] = (uint8_t)(i >> 8);
			some[i].addr.bytes[some[i].addr.v6 ? 15 : 3] = (uint8_t)i;
			some[i].port = (uint16_t)(below(2) ? 80 : 0);
		}
		build(some, n, n_slots, table);
		assert_int_equal(oracle_table(some, n, n_slots, other, &err), 0);
		if (differing(n_slots))
			fail_msg("round %u: %u backends, %u slots: %u differ", round, n, n_slots,
				 differing(n_slots));
	}
	make(100, 10);
	some[17].weight = 25;
	build(some, 100, MAGLEV_SLOTS, table);
	assert_int_equal(oracle_table(some, 100, MAGLEV_SLOTS, other, &err), 0);
	assert_int_equal(differing(MAGLEV_SLOTS), 0);
}

static void order_says_nothing(void **s)
{
	struct maglev_memo memo = {0};
	uint16_t number[500], swap;
	struct maglev_backend shuffled[500], b;
	uint32_t round, i, k;

	(void)s;
	state = 3;
	make(500, 1);
	for (i = 0; i < 500; i++) {
		some[i].weight = below(30);
		number[i] = (uint16_t)i;
	}
	memcpy(shuffled, some, sizeof(shuffled));
	build(some, 500, MAGLEV_SLOTS, table);
	for (round = 0; round < 4; round++) {
		for (i = 499; i; i--) {
			k = below(i + 1);
			b = shuffled[i];
			shuffled[i] = shuffled[k];
			shuffled[k] = b;
			swap = number[i];
			number[i] = number[k];
			number[k] = swap;
		}
		if (round % 2)
			build(shuffled, 500, MAGLEV_SLOTS, other);
		else
			assert_int_equal(maglev_memo_build(&memo, shuffled, 500, MAGLEV_SLOTS, other, NULL),
					 0);
		for (i = 0; i < MAGLEV_SLOTS; i++)
			other[i] = number[other[i]];
		assert_int_equal(differing(MAGLEV_SLOTS), 0);
	}
	assert_int_equal(memo.misses, 1);
	assert_int_equal(memo.hits, 1);
	maglev_memo_free(&memo);
}

static void memo_tells_sets_apart(void **s)
{
	struct maglev_memo memo = {0};
	uint32_t round, k;

	(void)s;
	for (round = 0; round < 40; round++) {
		k = round % 11;
		make(5 + k / 2, 3);
		some[0].weight = 3 + k % 2;
		some[4].weight = round % 3 ? 3 : 0;
		build(some, 5 + k / 2, 1009, table);
		assert_int_equal(maglev_memo_build(&memo, some, 5 + k / 2, 1009, other, NULL), 0);
		assert_int_equal(differing(1009), 0);
	}
	assert_int_equal(memo.hits + memo.misses, 40);
	make(3, 0);
	assert_int_equal(maglev_memo_build(&memo, some, 3, 1009, other, NULL), 0);
	for (k = 0; k < 1009; k++)
		assert_int_equal(other[k], MAGLEV_NONE);
	maglev_memo_free(&memo);
}

static void shares(size_t n, uint32_t n_slots, uint32_t *count)
{
	uint32_t i;

	memset(count, 0, n * sizeof(*count));
	for (i = 0; i < n_slots; i++) {
		assert_true(table[i] < n);
		count[table[i]]++;
	}
}

/* The paper, section 3.4: with slots 100 times the backends, at most 1 % of difference between their shares. */
static void balanced(void **s)
{
	static uint32_t count[MAGLEV_BACKENDS];
	size_t n, i;

	(void)s;
	for (n = 1; n <= 655; n += 109) {
		make(n, 7);
		build(some, n, MAGLEV_SLOTS, table);
		shares(n, MAGLEV_SLOTS, count);
		for (i = 0; i < n; i++)
			assert_in_range(count[i], MAGLEV_SLOTS / n, MAGLEV_SLOTS / n + 1);
	}
	make(4000, 1);
	build(some, 4000, MAGLEV_SLOTS, table);
	shares(4000, MAGLEV_SLOTS, count);
	for (i = 0; i < 4000; i++)
		assert_in_range(count[i], 16, 17);
}

/* With weights: within a slot of the weight's share, rounded up to 1. */
static void balanced_by_weight(void **s)
{
	static uint32_t count[MAGLEV_BACKENDS];
	uint32_t round, n, i;
	uint64_t sum;

	(void)s;
	state = 11;
	for (round = 0; round < 12; round++) {
		n = 1 + below(round % 3 ? 100 : 4000);
		make(n, 1);
		for (i = 0, sum = 0; i < n; i++) {
			some[i].weight = round % 2 ? 1 + below(MAGLEV_WEIGHT_MAX) : i == n / 2 ? 65535 : 1;
			sum += some[i].weight;
		}
		build(some, n, MAGLEV_SLOTS, table);
		shares(n, MAGLEV_SLOTS, count);
		for (i = 0; i < n; i++) {
			double fair = (double)some[i].weight * MAGLEV_SLOTS / (double)sum;

			/* turns at time 0 are everybody's: at worst each of the others has one slot too many */
			if (count[i] < 1 || count[i] > fair + 1 ||
			    count[i] < fair * (1 - n / (double)MAGLEV_SLOTS) - 1)
				fail_msg("round %u: weight %u of %llu has %u slots, fair are %.2f", round,
					 some[i].weight, (unsigned long long)sum, count[i], fair);
		}
	}
}

/* One of 100 leaves: 1 % of the slots must go; at least 98 % stay, the paper's figures 11 and 12 are of this kind. */
static void few_move(void **s)
{
	static uint32_t count[100];
	uint32_t i, lost, worst = 0, k;

	(void)s;
	make(100, 10);
	build(some, 100, MAGLEV_SLOTS, table);
	shares(100, MAGLEV_SLOTS, count);
	for (i = 0; i < 100; i++) {
		some[i].weight = 0;
		build(some, 100, MAGLEV_SLOTS, other);
		some[i].weight = 10;
		lost = differing(MAGLEV_SLOTS);
		for (k = 0; k < MAGLEV_SLOTS; k++)
			assert_int_not_equal(other[k], i);
		assert_true(lost >= count[i]);
		worst = lost > worst ? lost : worst;
	}
	assert_true(worst <= MAGLEV_SLOTS / 100 * 17 / 10); /* 98.3 % stay */
	for (i = 0, worst = 0; i < 100; i++) {		    /* weight doubled: 0.99 % must come to it */
		some[i].weight = 20;
		build(some, 100, MAGLEV_SLOTS, other);
		some[i].weight = 10;
		lost = differing(MAGLEV_SLOTS);
		worst = lost > worst ? lost : worst;
	}
	assert_true(worst <= MAGLEV_SLOTS / 100 * 17 / 10);
	for (i = 0, worst = 0; i < 100; i++) { /* one tenth more: 0.1 % must */
		some[i].weight = 11;
		build(some, 100, MAGLEV_SLOTS, other);
		some[i].weight = 10;
		lost = differing(MAGLEV_SLOTS);
		worst = lost > worst ? lost : worst;
	}
	assert_true(worst <= MAGLEV_SLOTS / 1000 * 5);
	for (i = 0; i < 100; i++) /* all weights by the same factor: nothing */
		some[i].weight = 30;
	build(some, 100, MAGLEV_SLOTS, other);
	assert_int_equal(differing(MAGLEV_SLOTS), 0);
}

static void refused(int code, const char *text, size_t n, uint32_t n_slots)
{
	struct maglev_memo memo = {0};
	struct sluice_err err = {0};

	memset(table, 0x55, 4096);
	assert_int_equal(maglev_build(some, n, n_slots, table, &err), code);
	assert_string_equal(err.text, text);
	err = (struct sluice_err){0};
	assert_int_equal(maglev_memo_build(&memo, some, n, n_slots, table, &err), code);
	assert_string_equal(err.text, text);
	assert_int_equal(err.code, code);
	assert_int_equal(table[0], 0x5555);
	assert_int_equal(table[250], 0x5555);
	maglev_memo_free(&memo);
}

static void refusals(void **s)
{
	(void)s;
	make(4001, 1);
	refused(-EINVAL, "a table of 65536 slots; it must be a prime, such as 65521 or 65537", 2, 65536);
	refused(-EINVAL, "a table of 250 slots; it can have 251 to 655373", 2, 250);
	refused(-EINVAL, "a table of 655374 slots; it can have 251 to 655373", 2, 655374);
	refused(-ENOSPC, "4001 backends; a table of 65537 slots can have 4000", 4001, 65537);
	refused(-ENOSPC, "252 backends; a table of 251 slots can have 251", 252, 251);
	some[3] = some[1];
	refused(-EINVAL, "backend 10.1.0.1 is there twice", 4, 251);
	some[3] = some[1] = backend("2001:db8::5", 80, 0);
	refused(-EINVAL, "backend 2001:db8::5 port 80 is there twice", 4, 251);
	some[3] = backend("10.0.0.9", 0, 65536);
	refused(-EINVAL, "backend 10.0.0.9 has a weight above 65535", 4, 251);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_numbers),      cmocka_unit_test(as_the_slow_way),
		cmocka_unit_test(order_says_nothing), cmocka_unit_test(memo_tells_sets_apart),
		cmocka_unit_test(balanced),	      cmocka_unit_test(balanced_by_weight),
		cmocka_unit_test(few_move),	      cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
