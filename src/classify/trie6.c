// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where IPv6 prefixes lie too close for the boundaries of front6.c: a trie that looks only at bits which tell prefixes
 * apart (Morrison 1968, "PATRICIA"), several of them at a step (Nilsson and Karlsson 1999, "IP-address lookup using
 * LC-tries"), with as many steps to every leaf. What lies between these bits is not looked at on the way; the prefix at
 * the end is compared with the address, and of it and those around it the longest that agrees is meant: no other can
 * match, since where an address agrees in the bits that count, it is led into. How many bits each step takes is chosen
 * for the least memory.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "classify/trie6.h"

#define LEAF 0x80000000u /* a reference: the number of a class, else of a node */
#define STEP_BITS CLASSIFY_STEP_BITS
#define STEPS CLASSIFY_STEPS_MAX
#define FREE_BYTES (48u << 10)
#define LARGE_BYTES (6u << 20)
#define STEP_PRICE 2 /* bits: one step costs as much as four times the memory */
#define N_WAYS 8
#define SECOND_PRICE 12. /* of a second line, in tests */
#define TOO_MUCH (1u << 30)

/* Tests that first lines may have: of the upper half, of both. */
static const uint32_t ways[N_WAYS][2] = {{2, 0}, {2, 1}, {4, 0}, {4, 1}, {2, 3}, {6, 0}, {6, 1}, {4, 3}};
static const double TEST_PRICE[2] = {1, 1.5};

/* A bit that tells prefixes apart. */
struct node {
	uint8_t bit; /* 0: the first of the address */
	uint32_t child[2];
	uint32_t cell; /* once it has an array: how to get there */
};

struct trie {
	struct work *w;
	const struct side *side;
	const struct trie6_region *regions;
	uint32_t n_regions, *tops; /* by region: a reference */
	struct node *nodes;
	uint32_t n_nodes;
	/* by number of steps left (from 1 on) and node: bytes of its array and those behind it, and bits it takes */
	uint32_t *cost[STEPS + 1];
	uint8_t *width[STEPS + 1];
	uint32_t steps[2];    /* by bits of the upper half, of the lower one */
	uint32_t tests[2][2]; /* of first lines and others: of the upper half, of both */
	uint32_t *line[2];    /* by class: number of its first line, of its other one, plus 1 */
	struct buf lines, arrays;
};

static uint32_t bit_of(classify_u128 start, uint32_t bit)
{
	return (uint32_t)(start >> (127 - bit)) & 1;
}

static uint32_t first_difference(classify_u128 a, classify_u128 b)
{
	uint64_t high = (uint64_t)((a ^ b) >> 64), low = (uint64_t)(a ^ b);

	return high ? (uint32_t)__builtin_clzll(high) : 64 + (uint32_t)__builtin_clzll(low);
}

/* The trie of the classes first..end - 1, one at least, all inside the same and none the same as another. */
static uint32_t divide(struct trie *t, uint32_t first, uint32_t end)
{
	const struct side *s = t->side;
	uint32_t number, low, high, mid, bit, child;

	while (first + 1 < end && s->last[first] >= end - 1)
		first++; /* around all others: whoever leads to one of these has it */
	if (first + 1 == end)
		return LEAF | first;
	bit = first_difference(s->start[first], s->start[end - 1]);
	for (low = first, high = end - 1; high - low > 1;) {
		mid = low + (high - low) / 2;
		if (bit_of(s->start[mid], bit))
			high = mid;
		else
			low = mid;
	}
	number = t->n_nodes++;
	t->nodes[number].bit = (uint8_t)bit;
	child = divide(t, first, high);
	t->nodes[number].child[0] = child;
	child = divide(t, high, end);
	t->nodes[number].child[1] = child;
	return number;
}

/* Bytes of an array of 2^bits cells. */
static uint32_t array_bytes(uint32_t bits)
{
	return bits < 2 ? CLASSIFY_UNIT : 4u << bits;
}

/* What nodes from bit `end` on take that can be reached from a reference, with `left` steps in the half of `end`. */
static uint32_t cost_behind(const struct trie *t, uint32_t ref, uint32_t end, uint32_t left)
{
	const struct node *n = &t->nodes[ref];
	uint32_t half = end > 64, a;

	if (ref & LEAF)
		return 0;
	if (n->bit >= 64 && !half)
		return t->cost[t->steps[1]][ref];
	if (n->bit >= end)
		return left ? t->cost[left][ref] : TOO_MUCH;
	a = cost_behind(t, n->child[0], end, left);
	if (a >= TOO_MUCH)
		return TOO_MUCH;
	a += cost_behind(t, n->child[1], end, left);
	return a < TOO_MUCH ? a : TOO_MUCH;
}

/* The least memory with so many steps, for all nodes of a half: those inside come first. */
static void weigh(struct trie *t, uint32_t half, uint32_t steps)
{
	uint32_t i, bits, most, sum, best;

	for (i = t->n_nodes; i-- > 0;) {
		if (t->nodes[i].bit / 64 != half)
			continue;
		best = TOO_MUCH;
		most = 64 * (half + 1) - t->nodes[i].bit;
		for (bits = 1; bits <= STEP_BITS && bits <= most && array_bytes(bits) < best; bits++) {
			sum = array_bytes(bits) + cost_behind(t, i, t->nodes[i].bit + bits, steps - 1);
			if (sum < best) {
				best = sum;
				t->width[steps][i] = (uint8_t)bits;
			}
		}
		t->cost[steps][i] = best;
	}
}

/* How good so many steps are, less is better: one costs as much as four times the memory, where that matters. */
static uint64_t price(uint64_t bytes, uint32_t steps)
{
	uint64_t floor = bytes < FREE_BYTES ? FREE_BYTES : bytes;

	return (bytes > LARGE_BYTES ? 64 * floor : floor) << (STEP_PRICE * steps);
}

/* Steps of one half: until more would not take less. */
static void choose_half(struct trie *t, uint32_t half)
{
	uint64_t best = UINT64_MAX, bytes, before = UINT64_MAX;
	uint32_t steps, i;

	for (i = 0; i < t->n_nodes && t->nodes[i].bit / 64 != half; i++)
		;
	for (steps = 1; i < t->n_nodes && steps <= STEPS; steps++, before = bytes) {
		weigh(t, half, steps);
		for (i = 0, bytes = 0; i < t->n_nodes; i++) /* those inside others count again: no matter */
			bytes += t->nodes[i].bit / 64 == half ? t->cost[steps][i] : 0;
		i = 0;
		if (bytes < TOO_MUCH && price(bytes, steps) < best) {
			best = price(bytes, steps);
			t->steps[half] = steps;
		}
		if (bytes < TOO_MUCH && (bytes <= FREE_BYTES || bytes > before - before / 8))
			break;
	}
}

static int choose_steps(struct trie *t)
{
	uint32_t i;

	for (i = 1; i <= STEPS; i++) {
		t->cost[i] = work_array(t->w, t->n_nodes + 1, 4);
		t->width[i] = work_array(t->w, t->n_nodes + 1, 1);
		if (!t->cost[i] || !t->width[i])
			return -ENOMEM;
	}
	choose_half(t, 1);
	choose_half(t, 0);
	return 0;
}

/* An address inside a prefix, anywhere: the same one for the same number. */
static classify_u128 some_address(classify_u128 start, uint32_t len, uint64_t number)
{
	uint64_t high = (number + 1) * CLASSIFY_MIX, low;
	classify_u128 any;

	high = (high ^ high >> 32) * CLASSIFY_MIX;
	low = (high ^ high >> 32) * CLASSIFY_MIX;
	any = (classify_u128)high << 64 | low;
	return len ? (start >> (128 - len) << (128 - len)) | (len < 128 ? any >> len : 0) : any;
}

/* For each way to have tests, how many addresses need a second line. */
struct second {
	uint32_t n[N_WAYS];
	uint32_t asked, low; /* low: some prefix reaches into the lower half */
};

/* What an address of a region is led to, and which of the prefixes there is the longest around it. */
static void ask(const struct trie *t, uint32_t region, classify_u128 address, struct second *to)
{
	const struct trie6_region *r = &t->regions[region];
	uint32_t ref = t->tops[region], at, n[2] = {0, 0}, before[2] = {0, 0}, k;
	const struct side *s = t->side;
	bool met = false;

	while (!(ref & LEAF))
		ref = t->nodes[ref].child[bit_of(address, t->nodes[ref].bit)];
	for (at = ref & ~LEAF; at && s->len[at] > r->exact; at = s->parent[at]) {
		if (!met && !((address ^ s->start[at]) >> (128 - s->len[at]))) {
			met = true;
			memcpy(before, n, sizeof(before));
		}
		n[s->len[at] > 64]++;
	}
	to->asked++;
	to->low |= n[1];
	for (k = 0; k < N_WAYS; k++)
		if (n[1] > ways[k][1])
			to->n[k] += !met || before[0] || before[1] >= ways[k][1];
		else
			to->n[k] += n[0] > ways[k][0] && (!met || before[0] >= ways[k][0]);
}

/*
 * How many tests first lines have: each costs all packets something, a second line those that need one more, and a
 * branch that is hard to predict. How many these are is told by addresses: one inside each prefix, one anywhere in each region.
 */
static void choose_tests(struct trie *t)
{
	struct second to = {.asked = 0};
	uint32_t region, class, k, best = 0;
	const struct side *s = t->side;
	const struct trie6_region *r;
	double cost, least = 0;

	for (region = 0; region < t->n_regions; region++) {
		r = &t->regions[region];
		if (r->outside || r->first >= r->end)
			continue;
		for (class = r->first; class < r->end; class ++)
			ask(t, region, some_address(s->start[class], s->len[class], class), &to);
		ask(t, region, some_address(s->start[r->first], r->exact, s->n + region), &to);
	}
	for (k = 0; k < N_WAYS; k++) {
		cost = TEST_PRICE[0] * ways[k][0] + TEST_PRICE[1] * ways[k][1];
		cost += to.asked ? SECOND_PRICE * to.n[k] / to.asked : 0;
		if (to.low && !ways[k][1])
			continue;
		if (!least || cost < least) {
			least = cost;
			best = k;
		}
	}
	memcpy(t->tests[0], ways[best], sizeof(t->tests[0]));
	t->tests[1][0] = CLASSIFY_TESTS_HIGH;
	t->tests[1][1] = CLASSIFY_TESTS_LOW;
}

/*
 * The tests of one half of an address, of the prefixes class[0..n-1] with the longest first. Tests stand the
 * shortest first; where there are more of them than prefixes, the longest one is asked for again.
 */
static void put_tests(const struct trie *t, const uint32_t n_tests[2], struct classify_line *line,
		      uint32_t half, const uint32_t *class, uint32_t n)
{
	uint32_t at = half ? n_tests[0] : 0, i, k;

	for (i = 0; i < n_tests[half]; i++) {
		k = n ? class[i < n ? n - 1 - i : 0] : 0;
		line->shifts |= (uint64_t)(n ? 64 * (half + 1) - t->side->len[k] : 0) << 8 * (at + i);
		line->record[at + i + 1] = n ? side_record(t->side, k) : line->record[at];
	}
}

/*
 * A line of a class: its number. Prefixes around it that there are no tests for are left to another line. exact: what
 * is no longer than that surely has the address. other: not the first line on the way. anew: not one that is there.
 */
static int put_line(struct trie *t, uint32_t class, uint32_t exact, bool other, bool anew, uint32_t *number)
{
	uint32_t around[129], n[2] = {0, 0}, took[2], at, next = 0;
	const uint32_t *tests = t->tests[other];
	const struct side *s = t->side;
	struct classify_line line = {.self = 0};
	int e = 0;

	*number = t->line[other][class] - 1;
	if (t->line[other][class] && !anew)
		return 0;
	for (at = class; at && s->len[at] > exact; at = s->parent[at]) {
		around[n[0] + n[1]] = at;
		n[s->len[at] > 64]++;
	}
	line.record[0] = side_record(s, at);
	took[1] = n[1] < tests[1] ? n[1] : tests[1];
	took[0] = took[1] < n[1] ? 0 : n[0] < tests[0] ? n[0] : tests[0];
	if (took[0] + took[1] < n[0] + n[1]) {
		line.record[0] = CLASSIFY_NO_RECORD;
		e = put_line(t, around[took[0] + took[1]], exact, true, anew, &next);
	}
	if (e)
		return e;
	line.key[0] = (uint64_t)(s->start[class] >> 64);
	line.key[1] = (uint64_t)s->start[class];
	line.next = next * (uint32_t)sizeof(line);
	put_tests(t, tests, &line, 0, around + n[1], took[0]);
	put_tests(t, tests, &line, 1, around, took[1]);
	*number = (uint32_t)(t->lines.len / sizeof(line));
	line.self = CLASSIFY_STEP(*number * (uint32_t)sizeof(line), 0, 0);
	if (!anew)
		t->line[other][class] = *number + 1;
	buf_put(&t->lines, &line, sizeof(line));
	return t->lines.failed ? err_nomem(t->w->err) : 0;
}

/* Room for cells: its place, counted from the lines on. */
static int reserve(struct trie *t, uint32_t bytes, uint32_t *place)
{
	*place = (uint32_t)(t->lines.len + t->arrays.len);
	return buf_add(&t->arrays, bytes) ? 0 : err_nomem(t->w->err);
}

static uint32_t *cell_at(struct trie *t, uint32_t place, uint32_t index)
{
	return (uint32_t *)(void *)(t->arrays.data + (place - t->lines.len)) + index;
}

static uint32_t line_cell(const struct trie *t, uint32_t class)
{
	return CLASSIFY_STEP((t->line[0][class] - 1) * (uint32_t)sizeof(struct classify_line), 0, 0);
}

/* Where bits from a node's to the one before end lead to. */
static uint32_t follow(const struct trie *t, uint32_t ref, uint64_t bits, uint32_t end)
{
	while (!(ref & LEAF) && t->nodes[ref].bit < end)
		ref = t->nodes[ref].child[bits >> (end - 1 - t->nodes[ref].bit) & 1];
	return ref;
}

static int cell_for(struct trie *t, uint32_t ref, uint32_t half, uint32_t left, uint32_t *cell);

/* The array of a node, with `left` steps from it on in its half. */
static int put_array(struct trie *t, uint32_t ref, uint32_t left, uint32_t *cell)
{
	uint32_t bits = t->width[left][ref], end = t->nodes[ref].bit + bits, place, i, to = 0;
	int e = reserve(t, array_bytes(bits), &place);

	*cell = CLASSIFY_STEP(place, t->nodes[ref].bit % 64, bits);
	for (i = 0; !e && i < 1u << bits; i++) {
		e = cell_for(t, follow(t, ref, i, end), t->nodes[ref].bit / 64, left - 1, &to);
		if (!e)
			*cell_at(t, place, i) = to;
	}
	return e;
}

/* The cell that leads to a leaf or node from a half in which so many steps are left. */
static int cell_for(struct trie *t, uint32_t ref, uint32_t half, uint32_t left, uint32_t *cell)
{
	struct node *n = &t->nodes[ref & ~LEAF];
	uint32_t place;
	bool early;
	int e = 0;

	if (ref & LEAF) {
		*cell = line_cell(t, ref & ~LEAF);
		return 0;
	}
	if (!n->cell) {
		early = n->bit / 64 > half;
		e = put_array(t, ref, early ? t->steps[1] : left, &n->cell);
		for (; !e && early && left; left--) { /* nothing to tell apart in the upper half any more */
			e = reserve(t, CLASSIFY_UNIT, &place);
			if (!e)
				*cell_at(t, place, 0) = n->cell;
			n->cell = CLASSIFY_STEP(place, 0, 0);
		}
	}
	*cell = n->cell;
	return e;
}

/* Lines and arrays into the image, where places count from its start; *base: that of the first line. */
static int store(struct trie *t, uint32_t *base)
{
	size_t bytes = t->lines.len + t->arrays.len, i;
	uint32_t at = work_lines(t->w, NULL, bytes);
	struct classify_line *lines;
	uint32_t *cells;

	if (!at)
		return -ENOSPC;
	if (at + bytes > CLASSIFY_STEP_PLACE)
		return err_set(t->w->err, -ENOSPC,
			       "the rules would not fit: %zu bytes for addresses after %u, of %u", bytes, at,
			       CLASSIFY_STEP_PLACE);
	memcpy(t->w->image.data + at, t->lines.data, t->lines.len);
	lines = WORK_AT(t->w, struct classify_line, at);
	for (i = 0; i < t->lines.len / sizeof(*lines); i++) {
		lines[i].self += at;
		lines[i].next += at;
	}
	cells = WORK_AT(t->w, uint32_t, at + t->lines.len);
	for (i = 0; i < t->arrays.len / 4; i++)
		cells[i] = ((uint32_t *)(void *)t->arrays.data)[i] + at;
	*base = at;
	return 0;
}

/* Lines first, since what comes behind them counts from their end. */
static int put_all(struct trie *t, uint32_t *cells)
{
	const struct trie6_region *r;
	uint32_t i, class, number = 0, base = 0;
	int e = 0;

	for (i = 0; !e && i < t->n_regions; i++) {
		r = &t->regions[i];
		for (class = r->first; !e && !r->outside && class < r->end; class ++)
			if (class + 1 == r->end || t->side->last[class] == class)
				e = put_line(t, class, r->exact, false, false, &number);
		if (r->outside)
			e = put_line(t, r->first, 0, false, true, &number);
		cells[i] = CLASSIFY_STEP(number * (uint32_t)sizeof(struct classify_line), 0, 0);
	}
	for (i = 0; !e && i < t->n_regions; i++)
		if (!t->regions[i].outside && t->regions[i].first < t->regions[i].end)
			e = cell_for(t, t->tops[i], 0, t->steps[0], &cells[i]);
	if (!e)
		e = store(t, &base);
	for (i = 0; !e && i < t->n_regions; i++)
		cells[i] += base;
	return e;
}

int trie6_build(struct work *w, const struct side *s, const struct trie6_region *regions, uint32_t n,
		uint32_t *cells, struct classify_front *front)
{
	struct trie t = {.w = w, .side = s, .regions = regions, .n_regions = n};
	uint32_t i;
	int e;

	t.tops = work_array(w, n + 1, 4);
	t.nodes = work_array(w, s->n + 1, sizeof(*t.nodes));
	t.line[0] = work_array(w, s->n + 1, 4);
	t.line[1] = work_array(w, s->n + 1, 4);
	if (!t.tops || !t.nodes || !t.line[0] || !t.line[1])
		return -ENOMEM;
	for (i = 0; i < n; i++)
		if (regions[i].first < regions[i].end)
			t.tops[i] = divide(&t, regions[i].first, regions[i].end);
	e = choose_steps(&t);
	choose_tests(&t);
	if (!e && n)
		e = put_all(&t, cells);
	for (i = 0; i < 2; i++)
		front->steps[i] = (uint8_t)t.steps[i];
	for (i = 0; i < 2; i++)
		front->tests[i] = (uint8_t)t.tests[0][i];
	for (i = 1; i <= STEPS; i++) {
		work_drop(w, t.cost[i]);
		work_drop(w, t.width[i]);
	}
	work_drop(w, t.tops);
	work_drop(w, t.nodes);
	work_drop(w, t.line[0]);
	work_drop(w, t.line[1]);
	buf_free(&t.lines);
	buf_free(&t.arrays);
	return e;
}
