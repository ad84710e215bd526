// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Words of bits for IPv6 addresses: for random lists of nested, neighbouring, negated and ragged stretches, and addresses
 * at and around their edges, the tables say what a walk through the lists says.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/test.h"
#include "filter/work.h"

#define RULES 24
#define MANY 60 /* some are too close together then */
#define LISTS 6
#define POLICIES 1500

static uint64_t state = 7;

static uint32_t below(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((state >> 33) % n);
}

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *text = ctx;

	(void)path, (void)max, (void)err;
	buf_put(to, text->data, text->len);
	return 0;
}

static bool is_in_one; /* all in one network of 64 bits */
static uint32_t n_lists;

/* An address of few families, so that prefixes nest and meet. */
static struct policy_addr6 address(void)
{
	struct policy_addr6 a = {0x20010db800000000ull, 0};

	if (is_in_one) {
		a.lo = (uint64_t)below(3) << 61 | (uint64_t)below(4) << 30 | (uint64_t)below(16) << 9 |
		       below(4);
		return a;
	}
	a.hi ^= (uint64_t)below(3) << 61 | (uint64_t)below(4) << 30 | (uint64_t)below(3) << 15 | below(3);
	a.lo = (uint64_t)below(3) << 62 | (uint64_t)below(2) << 30 | below(4);
	return a;
}

static void put_address(struct buf *text, struct policy_addr6 a)
{
	uint32_t i;

	for (i = 0; i < 8; i++)
		buf_printf(text, "%s%x", i ? ":" : "", (uint32_t)((i < 4 ? a.hi : a.lo) >> (48 - 16 * (i % 4)) & 0xffff));
}

static void put_stretch(struct buf *text)
{
	static const uint8_t lens[] = {3, 16, 31, 32, 33, 36, 48, 49, 60, 63, 64, 65, 96, 127, 128};
	uint32_t len = lens[below(sizeof(lens))];
	struct policy_addr6 a = address(), b = a;

	if (!below(8)) { /* a range that may be no prefix */
		b.lo |= below(7);
		put_address(text, a);
		buf_printf(text, "-");
		put_address(text, b);
		return;
	}
	if (len <= 64) {
		a.lo = 0;
		a.hi &= ~0ull << (64 - len);
	} else if (len < 128) {
		a.lo &= ~0ull << (128 - len);
	}
	put_address(text, a);
	buf_printf(text, "/%u", len);
}

static struct policy *policy_of(struct buf *text, uint32_t n)
{
	struct policy_files files = {.read = read_text, .ctx = text};
	struct sluice_err err;
	struct policy *p;
	uint32_t i, k, lists;

	buf_printf(text, "filter on eth0 {\n");
	for (i = 0; i < n; i++) {
		buf_printf(text, "\tdrop ip6");
		if (below(5)) {
			buf_printf(text, " from %s{ ", below(4) ? "" : "not ");
			for (k = 0, lists = 1 + below(n_lists); k < lists; k++) {
				if (k)
					buf_printf(text, ", ");
				put_stretch(text);
			}
			buf_printf(text, " }");
		}
		buf_printf(text, "\n");
	}
	buf_printf(text, "\tdefault pass\n}\n");
	if (policy_read("test", &files, &p, &err))
		fail_msg("%.*s\n%s: %s", (int)text->len, (const char *)text->data, err.text,
			 p && p->n_diags ? p->diags[0].text : "");
	return p;
}

/* As the packet path looks an address up (datapath/lib/filter_find.h). */
static uint64_t look_up(const struct buf *tables, const uint32_t *root, const struct filter_side6 *how,
			struct policy_addr6 a)
{
	uint64_t first = how->skip[0] < 64 ? a.hi : a.lo, second = how->skip[1] < 64 ? a.hi : a.lo;
	uint32_t i, bucket = (uint32_t)(first << how->skip[0] % 64 >> (64 - how->width[0]) << how->width[1] |
					second << how->skip[1] % 64 >> (64 - how->width[1]));
	const uint64_t *record = (const void *)(tables->data + root[bucket]);
	const struct filter_near_chain *c = (const void *)(record + 2);
	const struct filter_near_high *h = (const void *)(c + how->chain);
	const struct filter_near_whole *w = (const void *)(h + how->high);
	const struct filter_near_deep *d = (const void *)(w + how->whole);
	uint64_t word = *record;

	for (i = 0; i < how->chain; i++)
		if ((a.hi ^ record[1]) >> 1 > c[i].limit) {
			assert_in_range(c[i].limit, 0, INT64_MAX);
			word ^= c[i].change;
		}
	for (i = 0; i < how->high; i++)
		if (h[i].change && !((a.hi ^ h[i].hi) >> h[i].shift)) {
			assert_in_range(h[i].shift, 1, 63); /* what the packet path can tell is below 2^63 */
			word ^= h[i].change;
		}
	for (i = 0; i < how->whole; i++)
		if (a.hi != w[i].hi)
			word ^= w[i].change;
	for (i = 0; i < how->deep; i++)
		if (a.hi != d[i].hi || (a.lo ^ d[i].lo) & d[i].mask)
			word ^= d[i].change;
	return word;
}

static uint64_t walk(const struct policy *p, struct policy_addr6 a)
{
	const struct policy_ruleset *set = &p->rulesets[0];
	struct policy_spans spans;
	uint64_t word = 0;
	uint32_t r, i;

	for (r = 0; r < set->n; r++) {
		if (!FILTER_HAS_FIELD(&set->rules[r], POLICY_FROM)) {
			word |= 1ull << r;
			continue;
		}
		assert_int_equal(filter_spans(p, NULL, &set->rules[r].ip[1].from, true, &spans), 0);
		for (i = 0; i < spans.n6; i++)
			if (policy_addr6_cmp(spans.v6[i].first, a) <= 0 && policy_addr6_cmp(spans.v6[i].last, a) >= 0)
				word |= 1ull << r;
		policy_spans_free(&spans);
	}
	return word;
}

static struct policy_addr6 near_by(struct policy_addr6 a)
{
	switch (below(6)) {
	case 0:
		a.lo++;
		a.hi += !a.lo;
		break;
	case 1:
		a.hi -= !a.lo;
		a.lo--;
		break;
	case 2:
		a.lo = ~0ull;
		break;
	case 3:
		a.hi ^= 1ull << below(64);
		break;
	case 4:
		a.lo ^= 1ull << below(64);
		break;
	}
	return a;
}

static void tables_say_what_lists_say(void **nothing)
{
	uint32_t *root = calloc(1u << FILTER_ROOT, sizeof(*root)), i, k, fit = 0, deep = 0, chain = 0,
		 low = 0, whole = 0;
	uint8_t does[RULES + 1], asks;
	struct filter_side6 how;
	struct policy *p;
	struct buf text, tables;
	struct policy_addr6 a;
	uint64_t is, should;
	int e;

	(void)nothing;
	assert_non_null(root);
	memset(does, 1, sizeof(does));
	for (i = 0; i < POLICIES; i++) {
		text = tables = (struct buf){0};
		is_in_one = i % 3 == 2;
		n_lists = i % 5 ? LISTS : MANY;
		p = policy_of(&text, 1 + below(i % 2 ? 4 : RULES));
		buf_add(&tables, 64);
		asks = 0;
		e = filter_bits6(p, NULL, &p->rulesets[0], does, 0, &tables, root, &how, &asks);
		assert_true(!e || e == -EFBIG);
		fit += !e;
		deep += !e && how.deep;
		chain += !e && how.chain > 2;
		whole += !e && how.whole;
		low += !e && (how.skip[0] >= 64 || how.skip[1] >= 64);
		assert_true(e || how.chain + how.high + how.whole + how.deep <= FILTER_NEAR);
		for (k = 0; !e && k < 300; k++) {
			a = near_by(address());
			is = look_up(&tables, root, &how, a);
			should = walk(p, a);
			if (is != should)
				fail_msg("policy %u: %016llx%016llx: %llx instead of %llx\n%.*s", i, (unsigned long long)a.hi,
					 (unsigned long long)a.lo, (unsigned long long)is, (unsigned long long)should,
					 (int)text.len, (const char *)text.data);
		}
		policy_free(p);
		buf_free(&text);
		buf_free(&tables);
	}
	free(root);
	assert_in_range(fit, POLICIES / 4, POLICIES - 1);
	assert_in_range(deep, 100, POLICIES);
	assert_in_range(chain, 100, POLICIES);
	assert_in_range(low, 100, POLICIES);
	assert_in_range(whole, 20, POLICIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_say_what_lists_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
