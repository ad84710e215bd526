// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * IPv6 addresses to records. A root by a window of bits; below each of its cells the next 32 bits are searched among
 * boundaries, eight pieces to a leaf and, in larger sets, with forks of eight ways in between, as many on every way, so
 * that no branch depends on the address. Where the upper half's last bits or the lower half matter, a piece leads to a
 * trie (trie6.c). Where the lower half alone tells prefixes apart, it takes the place of the upper one here (put_inner()).
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "classify/trie6.h"

#define PIECES CLASSIFY_LEAF6
#define WAYS CLASSIFY_FORK6
#define WIDTH_MAX 12
#define FROM_MAX 47	/* so that with 16 bits the window ends before the upper half does */
#define TRIES_MAX 20000 /* classes of a side; doc/classify.md has the measurement */
#define DEPTH_MAX CLASSIFY_DEPTH_MAX
#define LEAVES_MAX (384u << 10) /* bytes without forks */
#define FORKS_MAX (512u << 10)	/* with one level of them; beyond, two if that takes less */

/* Values of the 32 bits from `at` on, until the next one's. */
struct piece {
	uint32_t at;
	uint32_t target; /* a class, or of inner ones a region */
	bool inner;
};

struct slots {
	struct work *w;
	const struct side *side;
	const struct side_range *ranges;
	uint32_t n_ranges;
	uint32_t from, end, exact; /* bits of the window; bits that the pieces see to, too */
	struct piece *pieces;	   /* of slot 0 (outside the window), 1, ... */
	uint32_t *first;	   /* by slot, and one more */
	uint32_t n_slots;
	uint8_t *width; /* by slot: bits that its cell takes */
	struct trie6_region *regions;
	uint32_t n_regions, *cells;
	struct buf forks, leaves;
	uint32_t *shared; /* by class: the cell of slots that are wholly its, plus 1 */
	uint32_t depth;
};

static classify_u128 slot_start(const struct slots *t, uint32_t slot)
{
	classify_u128 base = t->side->start[t->side->n - 1];

	base = t->from ? base >> (128 - t->from) << (128 - t->from) : 0;
	return base | (classify_u128)(slot - 1) << (128 - t->end);
}

static uint32_t value_of(const struct slots *t, classify_u128 start)
{
	return (uint32_t)((uint64_t)(start >> 64) << t->end >> 32);
}

/* The first class that comes behind, or at, a prefix in the order of classes. */
static uint32_t class_from(const struct side *s, classify_u128 start, uint32_t len)
{
	uint32_t low = 0, high = s->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (s->start[mid] < start || (s->start[mid] == start && s->len[mid] < len))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint32_t add_region(struct slots *t, classify_u128 start, uint32_t exact)
{
	struct trie6_region *r = &t->regions[t->n_regions];
	classify_u128 behind = start + ((classify_u128)1 << (128 - exact));

	*r = (struct trie6_region){.first = class_from(t->side, start, exact + 1), .exact = exact};
	r->end = behind ? class_from(t->side, behind, 0) : t->side->n;
	return t->n_regions++;
}

/* The next piece of a slot; from what follows it, it goes on where that begins. */
static void add(struct slots *t, uint32_t slot, uint32_t *n, uint32_t at, uint32_t target, bool inner)
{
	struct piece *last = t->pieces + *n - 1;

	if (*n > t->first[slot] && last->at == at)
		last = &t->pieces[--*n - 1]; /* it would be empty */
	if (*n > t->first[slot] && !inner && !last->inner && last->target == target)
		return;
	t->pieces[(*n)++] = (struct piece){at, target, inner};
}

/* The pieces of a slot; *i is the range that its first address is in, and then that of its last one. */
static void slot_pieces(struct slots *t, uint32_t slot, uint32_t *i, uint32_t *n)
{
	classify_u128 start = slot_start(t, slot), rest = ((classify_u128)1 << (128 - t->exact)) - 1, behind;
	const struct side_range *r = t->ranges;
	uint32_t at, region;

	behind = start + ((classify_u128)1 << (128 - t->end));
	while (*i + 1 < t->n_ranges && r[*i + 1].start <= start)
		++*i;
	add(t, slot, n, 0, r[*i].class, false);
	while (*i + 1 < t->n_ranges && (!behind || r[*i + 1].start < behind)) {
		++*i;
		at = value_of(t, r[*i].start);
		if (!(r[*i].start & rest)) {
			add(t, slot, n, at, r[*i].class, false);
			continue;
		}
		region = add_region(t, r[*i].start & ~rest, t->exact);
		while (*i + 1 < t->n_ranges && !((r[*i + 1].start ^ r[*i].start) & ~rest))
			++*i;
		add(t, slot, n, at, region, true);
		if (at != value_of(t, ~(classify_u128)0))
			add(t, slot, n, at + (1u << (t->exact - t->end == 32 ? 0 : 32 - (t->exact - t->end))),
			    r[*i].class, false);
	}
}

/* How many bits tell parts of a slot apart of which none has more than max pieces; WIDTH_MAX + 1: not as many as may be. */
static uint32_t width_for(const struct piece *p, uint32_t n, uint32_t max)
{
	uint32_t width, i, part, before, count;

	for (width = 0; width <= WIDTH_MAX; width++) {
		before = 0;
		count = 1; /* what it begins with */
		for (i = 0; i < n; i++) {
			part = (uint32_t)((uint64_t)p[i].at >> (32 - width));
			if (part != before)
				count = 1;
			before = part;
			count += (uint32_t)((uint64_t)p[i].at << width) != 0;
			if (count > max)
				break;
		}
		if (i == n)
			break;
	}
	return width;
}

/* Bytes of all slots with so many forks above each leaf, and the widths that this takes. */
static size_t try_depth(struct slots *t, uint32_t depth)
{
	uint32_t slot, n, max = PIECES << 3 * depth, k, each;
	size_t bytes = 0;

	for (slot = 0; slot < t->n_slots; slot++) {
		n = t->first[slot + 1] - t->first[slot];
		t->width[slot] = (uint8_t)width_for(t->pieces + t->first[slot], n, max);
		if (n == 1 || t->width[slot] > WIDTH_MAX)
			continue;
		for (k = 0, each = PIECES; k <= depth; k++, each *= WAYS)
			bytes += (size_t)(n / each + (1u << t->width[slot])) * (k ? 32 : 64);
	}
	return bytes;
}

static void choose_depth(struct slots *t)
{
	size_t two = try_depth(t, 2), one = try_depth(t, 1);

	t->depth = try_depth(t, 0) <= LEAVES_MAX ? 0 : one <= FORKS_MAX || one <= two + two / 4 ? 1 : 2;
	try_depth(t, t->depth);
}

/* Slots that are too crowded have a trie to themselves. */
static void give_up(struct slots *t)
{
	uint32_t slot, i;

	for (slot = 1; slot < t->n_slots; slot++) {
		if (t->width[slot] <= WIDTH_MAX)
			continue;
		for (i = t->first[slot]; i < t->first[slot + 1]; i++)
			if (t->pieces[i].inner)
				t->regions[t->pieces[i].target].end = 0;
		t->pieces[t->first[slot]] =
			(struct piece){0, add_region(t, slot_start(t, slot), t->end), true};
		t->width[slot] = 0;
	}
}

/* Room for n nodes of a level, one behind the other: the first one's number. */
static int reserve(struct slots *t, uint32_t level, uint32_t n, uint32_t *first)
{
	struct buf *b = level ? &t->forks : &t->leaves;
	size_t size = level ? sizeof(struct classify_fork6) : sizeof(struct classify_leaf6);

	*first = (uint32_t)(b->len / size);
	return buf_add(b, n * size) ? 0 : err_nomem(t->w->err);
}

static void put_leaf(struct slots *t, uint32_t at, const struct piece *p, uint32_t n)
{
	struct classify_leaf6 leaf = {.inner = 0};
	uint32_t i, k;

	for (i = 0; i < PIECES; i++) {
		k = i < n ? i : n - 1;
		if (i)
			leaf.limit[i - 1] = i < n ? p[i].at - 1 : CLASSIFY_NO_LIMIT;
		leaf.record[i] = p[k].inner ? t->cells[p[k].target] : side_record(t->side, p[k].target);
		leaf.inner |= (uint32_t)p[k].inner << i;
	}
	((struct classify_leaf6 *)(void *)t->leaves.data)[at] = leaf;
}

static int put_node(struct slots *t, uint32_t level, uint32_t at, const struct piece *p, uint32_t n)
{
	uint32_t each = PIECES << 3 * (level ? level - 1 : 0), children = (n + each - 1) / each, i;
	struct classify_fork6 fork = {.next = 0};
	int e;

	if (!level) {
		put_leaf(t, at, p, n);
		return 0;
	}
	e = reserve(t, level - 1, children, &fork.next);
	for (i = 1; i < WAYS; i++)
		fork.limit[i - 1] = i < children ? p[i * each].at - 1 : CLASSIFY_NO_LIMIT;
	for (i = 0; !e && i < children; i++)
		e = put_node(t, level - 1, fork.next + i, p + i * each,
			     n - i * each < each ? n - i * each : each);
	if (!e)
		((struct classify_fork6 *)(void *)t->forks.data)[at] = fork;
	return e;
}

static int put_slot(struct slots *t, uint32_t slot, uint32_t *cell)
{
	const struct piece *p = t->pieces + t->first[slot], *end = t->pieces + t->first[slot + 1], *last;
	uint32_t width = t->width[slot], i, number, *shared = NULL;
	uint64_t behind;
	int e;

	if (p + 1 == end && !p->inner)
		shared = &t->shared[p->target];
	if (p->inner && !p->at && t->width[slot] == 0 && t->regions[p->target].exact == t->end)
		end = p + 1; /* given up */
	if (shared && *shared) {
		*cell = *shared - 1;
		return 0;
	}
	e = reserve(t, t->depth, 1u << width, &number);
	for (i = 0; !e && i < 1u << width; i++) {
		behind = (uint64_t)(i + 1) << (32 - width);
		for (last = p; last + 1 < end && last[1].at < behind;)
			last++;
		e = put_node(t, t->depth, number + i, p, (uint32_t)(last - p) + 1);
		p = last + 1 < end && last[1].at == behind ? last + 1 : last;
	}
	*cell = CLASSIFY_CELL(number, 32 - width);
	if (shared)
		*shared = *cell + 1;
	return e;
}

static int put_slots(struct slots *t, struct classify_front *front)
{
	uint32_t *root = work_array(t->w, t->n_slots, 4), slot;
	int e = root ? 0 : -ENOMEM;

	for (slot = 0; !e && slot < t->n_slots; slot++)
		e = put_slot(t, slot, &root[slot]);
	if (!e && (t->forks.failed || t->leaves.failed))
		e = err_nomem(t->w->err);
	if (e)
		return e;
	front->root = work_lines(t->w, root, (size_t)t->n_slots * 4);
	front->cells = front->root ? work_lines(t->w, t->forks.data, t->forks.len) : 0;
	front->leaves = front->cells ? work_lines(t->w, t->leaves.data, t->leaves.len) : 0;
	front->depth = (uint8_t)t->depth;
	work_drop(t->w, root);
	return front->leaves ? 0 : -ENOSPC;
}

/* Where the window stands: behind what all prefixes have in common. */
static void choose_window(struct slots *t)
{
	const struct side *s = t->side;
	uint32_t first = s->n > 1, bits;
	classify_u128 apart;

	while (first + 1 < s->n && s->last[first] == s->n - 1)
		first++;
	apart = s->start[first] ^ s->start[s->n - 1];
	for (t->from = 0; t->from < FROM_MAX && !(apart >> (127 - t->from));)
		t->from++;
	bits = s->n == 1 ? 1 : s->n > TRIES_MAX ? 16 : s->n > 4000 ? 13 : 12;
	t->end = t->from + bits;
	t->exact = t->end + 32 < 64 ? t->end + 32 : 64;
	t->n_slots = (1u << bits) + 1;
}

/* The longest class around the window: all addresses outside are in it, or not even there. */
static uint32_t around_window(const struct slots *t)
{
	uint32_t class = t->side->n - 1;

	while (t->side->len[class] > t->from)
		class = t->side->parent[class];
	return class;
}

/* All slots as pieces. The first is for addresses outside the window. */
static void cut(struct slots *t)
{
	uint32_t slot, n = 0, i = 0, around = around_window(t);

	t->regions[0] = (struct trie6_region){.first = around, .end = around + 1, .outside = true};
	t->n_regions = around != 0;
	add(t, 0, &n, 0, 0, around != 0);
	for (slot = 1; slot < t->n_slots; slot++) {
		t->first[slot] = n;
		slot_pieces(t, slot, &i, &n);
	}
	t->first[slot] = n;
}

/* Every cell of the root a trie, or at once the line of what is around it. */
static int only_tries(struct slots *t, struct classify_front *front)
{
	uint32_t *root = work_array(t->w, t->n_slots, 4), slot, i = 0, region;
	const struct trie6_region *r;
	int e;

	if (!root)
		return -ENOMEM;
	t->regions[t->n_regions++] = (struct trie6_region){.first = around_window(t),
							   .end = around_window(t) + 1,
							   .outside = true};
	for (slot = 1; slot < t->n_slots; slot++) {
		while (i + 1 < t->n_ranges && t->ranges[i + 1].start <= slot_start(t, slot))
			i++;
		region = add_region(t, slot_start(t, slot), t->end);
		r = &t->regions[region];
		if (r->first == r->end) { /* the range's class has all of it */
			t->n_regions--;
			region = t->shared[t->ranges[i].class];
			if (!region) {
				region = t->n_regions++;
				t->regions[region] = (struct trie6_region){.first = t->ranges[i].class,
									   .end = t->ranges[i].class + 1,
									   .exact = 128};
				t->shared[t->ranges[i].class] = region;
			}
		}
		root[slot] = region;
	}
	e = trie6_build(t->w, t->side, t->regions, t->n_regions, t->cells, front);
	for (slot = 0; slot < t->n_slots; slot++)
		root[slot] = t->cells[root[slot]];
	front->root = e ? 0 : work_lines(t->w, root, (size_t)t->n_slots * 4);
	work_drop(t->w, root);
	return e ? e : front->root ? 0 : -ENOSPC;
}

static int pieces(struct slots *t, struct classify_front *front)
{
	int e;

	t->pieces = work_array(t->w, (size_t)2 * t->n_ranges + t->n_slots + 2, sizeof(*t->pieces));
	t->first = work_array(t->w, t->n_slots + 1, 4);
	t->width = work_array(t->w, t->n_slots, 1);
	if (!t->pieces || !t->first || !t->width)
		return -ENOMEM;
	cut(t);
	choose_depth(t);
	give_up(t);
	e = trie6_build(t->w, t->side, t->regions, t->n_regions, t->cells, front);
	if (!e)
		e = put_slots(t, front);
	work_drop(t->w, t->pieces);
	return e;
}

/* How many prefixes are around all others, which are of more than 64 bits and have the same upper half; 0: it is not so. */
static uint32_t n_around(const struct side *s)
{
	uint32_t n = 0;

	while (n < s->n && s->len[n] <= 64 && s->last[n] == s->n - 1)
		n++;
	if (n == s->n || s->len[n] <= 64 || (s->start[n] ^ s->start[s->n - 1]) >> 64)
		return 0;
	return n;
}

/* What is inside the last of n such prefixes, with the lower half of addresses in the place of the upper one. */
static int put_inner(struct work *w, const struct side *s, uint32_t n, struct side *inner)
{
	uint32_t i, from = n - 1;

	*inner = (struct side){.n = s->n - from, .upper = s->upper + from, .numbered = from};
	inner->start = work_array(w, inner->n, sizeof(*inner->start));
	inner->len = work_array(w, inner->n, sizeof(*inner->len));
	inner->parent = work_array(w, inner->n, sizeof(*inner->parent));
	inner->last = work_array(w, inner->n, sizeof(*inner->last));
	if (!inner->start || !inner->len || !inner->parent || !inner->last)
		return -ENOMEM;
	for (i = 0; i < inner->n; i++) {
		inner->start[i] = s->start[from + i] << 64;
		inner->len[i] = i ? s->len[from + i] - 64 : 0;
		inner->parent[i] = i ? s->parent[from + i] - from : 0;
		inner->last[i] = s->last[from + i] - from;
	}
	inner->start[0] = 0;
	return 0;
}

/* The records of the prefixes around, but for one of 64 bits: whoever asks here is outside of that. */
static int put_around(struct work *w, const struct side *s, uint32_t n, struct classify_front *front)
{
	uint32_t first = n - 1 - (s->len[n - 1] == 64), i;
	struct classify_around *a;

	front->common = (uint64_t)(s->start[n] >> 64);
	front->n_around = first + 1;
	front->around = work_table(w, front->n_around, sizeof(*a));
	if (!front->around)
		return -ENOSPC;
	a = WORK_AT(w, struct classify_around, front->around);
	for (i = 0; i <= first; i++)
		a[i] = (struct classify_around){.shift = (64 - s->len[first - i]) & 63,
						.record = side_record(s, first - i)};
	return 0;
}

static int one_side(struct work *w, struct family *f, int which)
{
	struct classify_front front = {.kind = CLASSIFY_FRONT_TRIE};
	struct slots t = {.w = w, .side = &f->side[which]};
	uint32_t around = n_around(t.side), n;
	struct side inner = {.n = 0};
	struct side_range *ranges;
	int e = 0;

	if (around) {
		e = put_around(w, t.side, around, &front);
		e = e ?: put_inner(w, t.side, around, &inner);
		t.side = &inner;
	}
	e = e ?: side_ranges(w, t.side, &ranges, &t.n_ranges);
	if (e)
		return e;
	t.ranges = ranges;
	choose_window(&t);
	t.regions = work_array(w, t.n_ranges + t.n_slots + 1, sizeof(*t.regions));
	t.cells = work_array(w, t.n_ranges + t.n_slots + 1, 4);
	t.shared = work_array(w, t.side->n, 4);
	if (!t.regions || !t.cells || !t.shared)
		return -ENOMEM;
	if (w->opts->fronts ? w->opts->fronts != CLASSIFY_FRONTS_CELLS : t.side->n > TRIES_MAX)
		front.kind = CLASSIFY_FRONT_PIECES;
	e = front.kind == CLASSIFY_FRONT_PIECES ? pieces(&t, &front) : only_tries(&t, &front);
	front.base = (uint64_t)(slot_start(&t, 1) >> 64);
	front.outside = (uint8_t)(63 - t.from);
	front.shift = (uint8_t)t.from;
	front.bits = (uint8_t)(64 - (t.end - t.from));
	family_part(w, f)->front[which] = front;
	f->report->front[which] = front.kind;
	n = 3 + t.depth + (t.n_regions ? 1u + front.steps[0] + front.steps[1] : 0);
	f->depth = n > f->depth ? n : f->depth;
	buf_free(&t.forks);
	buf_free(&t.leaves);
	work_drop(w, ranges);
	work_drop(w, t.regions);
	work_drop(w, inner.start);
	work_drop(w, inner.len);
	work_drop(w, inner.parent);
	work_drop(w, inner.last);
	return e;
}

int front6_build(struct work *w, struct family *f)
{
	size_t before = w->image.len;
	int e = one_side(w, f, 0);

	if (!e)
		e = one_side(w, f, 1);
	f->report->front_bytes = w->image.len - before;
	return e;
}
