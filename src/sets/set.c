// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A set: its memory laid out, opened, repaired; elements added, deleted, found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/grace.h"
#include "sets/inside.h"

#define MOST_BYTES (512u << 20) /* what the verifier lets a program reach from one constant */
#define DEEP_BITS 2		/* entries of deep a bucket (log2): doc/sets.md */
#define FREED_MIN 4096		/* slots freed before room is asked for unasked */

static int kernel_grace(void *unused)
{
	(void)unused;
	return grace_wait(NULL);
}

/* Everything of the head that the spec decides; the size in lines. */
static void lay_out(const struct sets_spec *spec, struct set_head *head)
{
	bool prefixes = spec->kind == SET_PREFIXES, v6 = spec->family == 6;
	uint16_t version = spec->version ? spec->version : SET_VERSION;
	struct table_need front = {
		.n = prefixes && spec->cells ? spec->cells : spec->n,
		.narrow = !v6,
		.values = prefixes,
		.summary = !prefixes || (v6 && version > SET_VERSION_PLAIN6),
		.info = !prefixes && spec->flags & SET_EXPIRES,
		.counts = !prefixes && spec->flags & SET_COUNTS,
	};
	struct table_need book = {.n = spec->n,
				  .summary = true,
				  .info = true,
				  .counts = spec->flags & SET_COUNTS};
	uint64_t line = sizeof(*head) / SET_LINE;
	uint32_t root_bits = sets_root_bits(spec);
	struct set_table sized;

	*head = (struct set_head){.version = version,
				  .kind = spec->kind,
				  .family = spec->family,
				  .flags = spec->flags};
	if (prefixes) {
		head->root = (uint32_t)line;
		head->root_shift = (v6 ? 64 : 32) - root_bits;
		line += ((uint64_t)4 << root_bits) / SET_LINE;
	}
	if (prefixes && v6) {
		table_size(&sized, &front, &(uint64_t){0});
		head->deep = (uint32_t)line;
		head->deep_shift = 64 - (sized.bits + DEEP_BITS);
		line += ((uint64_t)4 << (sized.bits + DEEP_BITS)) / SET_LINE;
	}
	table_size(&head->front, &front, &line);
	if (prefixes && v6 && root_bits == 20 && version > SET_VERSION_PLAIN6) {
		head->blocks = (uint32_t)line;
		line += (2u << 20) / 8 / SET_LINE;
	}
	if (prefixes) { /* the writer's own: of what is last programs do not read the last line */
		head->short_bits = (uint32_t)line;
		line += ((uint64_t)2 << (root_bits + 4)) / 8 / SET_LINE;
	}
	if (prefixes && !v6 && root_bits == 20 && version > SET_VERSION_COARSE) {
		head->blocks = (uint32_t)line;
		line += (1u << 22) / 8 / SET_LINE;
		head->named = (uint32_t)line;
		line += ((uint64_t)4 << root_bits) / SET_LINE;
	}
	if (prefixes && spec->flags)
		table_size(&head->book, &book, &line);
	head->lines = (uint32_t)line;
}

static int check_spec(const struct sets_spec *spec, struct set_head *head, struct sluice_err *err)
{
	if ((spec->family != 4 && spec->family != 6) ||
	    (spec->kind != SET_ADDRS && spec->kind != SET_PREFIXES) ||
	    (spec->root_bits && spec->root_bits != 16 && spec->root_bits != 20) ||
	    (spec->version && (spec->version < SET_VERSION_COARSE || spec->version > SET_VERSION)) ||
	    spec->flags & ~(uint32_t)(SET_EXPIRES | SET_COUNTS))
		return err_set(err, -EINVAL,
			       "a set of family %u, kind %u, flags %#x and version %u does not exist",
			       spec->family, spec->kind, spec->flags, spec->version);
	if (spec->n > 1u << 27 || spec->cells > 1u << 27)
		return err_set(err, -EINVAL, "a set cannot have %llu elements; split it",
			       (unsigned long long)spec->n);
	lay_out(spec, head);
	if ((uint64_t)head->lines * SET_LINE > MOST_BYTES)
		return err_set(err, -EINVAL,
			       "a set of %llu elements needs %llu MB, a program reaches %u; split it",
			       (unsigned long long)spec->n,
			       (unsigned long long)((uint64_t)head->lines * SET_LINE >> 20),
			       MOST_BYTES >> 20);
	return 0;
}

int sets_bytes(const struct sets_spec *spec, size_t *bytes, struct sluice_err *err)
{
	struct set_head head;
	int e = check_spec(spec, &head, err);

	*bytes = e ? 0 : (size_t)head.lines * SET_LINE;
	return e;
}

/* The handle of a set whose head is known to be sound. */
static struct sets *handle(void *mem, size_t bytes, int (*grace)(void *arg), void *arg)
{
	struct set_head *head = mem;
	struct sets *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->mem = mem;
	set->bytes = bytes;
	set->head = head;
	set->prefixes = head->kind == SET_PREFIXES;
	set->v6 = head->family == 6;
	set->flags = head->flags;
	set->has_book = set->prefixes && head->flags;
	set->grace = grace ? grace : kernel_grace;
	set->grace_arg = arg;
	table_open(&set->front, mem, &head->front);
	if (set->has_book)
		table_open(&set->book, mem, &head->book);
	if (set->prefixes) {
		set->root = (uint32_t *)mem + (uint64_t)head->root * SET_LINE / 4;
		set->deep = (uint32_t *)mem + (uint64_t)head->deep * SET_LINE / 4;
		set->deep_shift = head->deep_shift;
		set->root_bits = (set->v6 ? 64 : 32) - head->root_shift;
		set->most_short = set->root_bits + 4;
		set->shorts = (uint64_t *)mem + (uint64_t)head->short_bits * SET_LINE / 8;
		if (head->blocks)
			set->blocks = (uint32_t *)mem + (uint64_t)head->blocks * SET_LINE / 4;
		if (head->named)
			set->named = (uint32_t *)mem + (uint64_t)head->named * SET_LINE / 4;
	}
	return set;
}

int sets_create(void *mem, size_t bytes, const struct sets_spec *spec, struct sets **set,
		struct sluice_err *err)
{
	struct set_head head;
	unsigned int i;
	int e = check_spec(spec, &head, err);

	*set = NULL;
	if (e)
		return e;
	if (bytes < (size_t)head.lines * SET_LINE || (uintptr_t)mem % SET_LINE)
		return err_set(err, -EINVAL, "%zu bytes for a set that needs %llu, from a multiple of %d on",
			       bytes, (unsigned long long)head.lines * SET_LINE, SET_LINE);
	memset(mem, 0, (size_t)head.lines * SET_LINE);
	head.seed[0] = spec->seed;
	for (i = 1; i < 4; i++)
		head.seed[i] = (head.seed[i - 1] + 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull ^
			       head.seed[0] >> 7;
	memcpy(mem, &head, sizeof(head));
	*set = handle(mem, bytes, spec->grace, spec->grace_arg);
	if (!*set)
		return err_nomem(err);
	__atomic_store_n(&(*set)->head->magic, SET_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

/* Does the head say what lay_out() would have made of it? */
static bool sane(const struct set_head *head, size_t bytes)
{
	struct sets_spec spec = {.family = head->family,
				 .kind = head->kind,
				 .flags = head->flags,
				 .version = head->version};
	struct set_head want;

	if (head->magic != SET_MAGIC || head->version < SET_VERSION_COARSE || head->version > SET_VERSION ||
	    head->lines > bytes / SET_LINE || head->front.bits > 24 || head->book.bits > 24 ||
	    check_spec(&spec, &want, NULL))
		return false;
	spec.cells = ((uint64_t)96 << head->front.bits) / 10;
	spec.n = head->book.bits ? ((uint64_t)96 << head->book.bits) / 10 : spec.cells;
	spec.root_bits = (uint8_t)((spec.family == 6 ? 64 : 32) - head->root_shift);
	if (spec.kind == SET_PREFIXES && spec.root_bits != 16 && spec.root_bits != 20)
		return false;
	lay_out(&spec, &want);
	return want.root_shift == head->root_shift && want.root == head->root && want.deep == head->deep &&
	       want.deep_shift == head->deep_shift && want.lines == head->lines &&
	       want.short_bits == head->short_bits && want.blocks == head->blocks &&
	       want.named == head->named && !memcmp(&want.front, &head->front, sizeof(want.front)) &&
	       !memcmp(&want.book, &head->book, sizeof(want.book));
}

/* Before the element is in the book: programs look for no other lengths there. */
static void note_len(struct sets *set, const struct sets_elem *e)
{
	__u64 *word = &set->head->lens[e->len / 64];

	__atomic_store_n(word, *word | UINT64_C(1) << (e->len % 64), __ATOMIC_RELEASE);
}

static int book_to_cells(struct sets *set)
{
	struct table_key key;
	struct sets_elem e;
	uint64_t slot;

	for (slot = table_next(&set->book, 0); slot != TABLE_NONE; slot = table_next(&set->book, slot + 1)) {
		table_key_of(&set->book, slot, &key);
		e = (struct sets_elem){.hi = key.hi, .lo = key.lo, .len = (uint8_t)(key.tag - 1)};
		if (!key.tag || key.tag > SETS_LONGEST(set->v6) + 1 || (!set->v6 && (key.hi || key.lo >> 32)))
			table_remove(&set->book, slot);
		else if (cells_add(set, &e) < 0)
			return -ENOSPC;
		else
			note_len(set, &e);
	}
	return 0;
}

static int drop_unbooked(void *arg, const struct sets_elem *e)
{
	struct table_key key = {e->hi, e->lo, e->len + 1u};
	struct sets *set = arg;

	if (table_find(&set->book, &key) == TABLE_NONE)
		cells_del(set, e);
	return 0;
}

static int count(void *arg, const struct sets_elem *e)
{
	(void)e;
	++*(uint64_t *)arg;
	return 0;
}

static uint32_t spilled(const struct table *tb)
{
	uint64_t slot = tb->n_main;
	uint32_t n = 0;

	while ((slot = table_next(tb, slot)) != TABLE_NONE)
		slot++, n++;
	return n;
}

static int wait_grace(struct sets *set)
{
	int e = set->grace(set->grace_arg);

	if (e)
		return e;
	set->head->epoch++;
	set->head->n_freed = 0;
	return 0;
}

/* After a writer that died in a change: what it left half done is finished or taken back. */
static int repair(struct sets *set)
{
	uint64_t n = 0, slot;
	int e = 0;

	/* how much was freed is not known, and what is finished here may need that room */
	set->head->n_freed = (uint32_t)(set->front.n_slots / 8);
	wait_grace(set);
	table_repair(&set->front);
	if (set->has_book)
		table_repair(&set->book);
	if (set->prefixes)
		cells_repair(set);
	if (set->has_book) {
		e = book_to_cells(set);
		cells_walk(set, drop_unbooked, set);
	}
	if (set->prefixes) {
		cells_walk(set, count, &n);
	} else {
		for (slot = table_next(&set->front, 0); slot != TABLE_NONE;
		     slot = table_next(&set->front, slot + 1))
			n++;
	}
	set->head->n = n;
	set->head->n_spilled = spilled(&set->front) + (set->has_book ? spilled(&set->book) : 0);
	set->head->busy = 0;
	return e;
}

int sets_open(void *mem, size_t bytes, int (*grace)(void *arg), void *arg, struct sets **set,
	      struct sluice_err *err)
{
	struct set_head copy;

	*set = NULL;
	if (bytes < sizeof(copy) || (uintptr_t)mem % SET_LINE)
		return err_set(err, -EINVAL, "%zu bytes at %p are no place for a set", bytes, mem);
	memcpy(&copy, mem, sizeof(copy));
	if (!sane(&copy, bytes))
		return err_set(err, -EBADMSG, "this memory holds no set, or a damaged one; build it again");
	*set = handle(mem, bytes, grace, arg);
	if (!*set)
		return err_nomem(err);
	if (copy.busy && repair(*set)) {
		free(*set);
		*set = NULL;
		return err_set(err, -EBADMSG,
			       "a set that was left in a change cannot be repaired; build it again");
	}
	return 0;
}

void sets_free(struct sets *set)
{
	free(set);
}

void sets_begin(struct sets *set)
{
	if (!set->depth++)
		__atomic_store_n(&set->head->busy, 1, __ATOMIC_SEQ_CST);
}

void sets_end(struct sets *set)
{
	if (!--set->depth)
		__atomic_store_n(&set->head->busy, 0, __ATOMIC_SEQ_CST);
}

int sets_settle(struct sets *set, struct sluice_err *err)
{
	int e = wait_grace(set);

	return e ? err_set(err, e, "cannot wait until programs that read the set are done") : 0;
}

static int check_elem(const struct sets *set, const struct sets_elem *e, struct sluice_err *err)
{
	uint64_t hi = e->hi, lo = e->lo;
	unsigned int most = SETS_LONGEST(set->v6);

	if (e->len > most || (!set->prefixes && e->len != most))
		return err_set(err, -EINVAL, "a prefix of %u bits in a set of IPv%d %s", e->len,
			       set->v6 ? 6 : 4, set->prefixes ? "prefixes" : "addresses");
	sets_mask(set->v6, e->len, &hi, &lo);
	if (hi != e->hi || lo != e->lo || (!set->v6 && (hi || lo >> 32)))
		return err_set(err, -EINVAL, "a prefix has bits beyond its length of %u; leave them 0",
			       e->len);
	if (e->expires && !(set->flags & SET_EXPIRES))
		return err_set(err, -EINVAL, "an element that expires in a set made without expiry");
	return 0;
}

static struct table_key key_of(const struct sets *set, const struct sets_elem *e)
{
	return (struct table_key){e->hi, e->lo, set->has_book ? e->len + 1u : 0};
}

/* 1 added, 0 it was there, -ENOSPC */
static int add(struct sets *set, const struct sets_elem *e)
{
	struct table *tb = set->has_book ? &set->book : &set->front;
	struct table_key key = key_of(set, e);
	uint64_t slot;
	int r;

	if (set->prefixes && !set->has_book)
		return cells_add(set, e);
	slot = table_find(tb, &key);
	if (slot != TABLE_NONE) {
		if (table_info(tb, slot))
			table_info(tb, slot)->expires = e->expires;
		return 0;
	}
	if (set->has_book)
		note_len(set, e);
	slot = table_insert(tb, &key, 0, 0, e->expires);
	if (slot == TABLE_NONE)
		return -ENOSPC;
	if (!set->has_book)
		return 1;
	r = cells_add(set, e);
	if (r < 0)
		table_remove(tb, slot);
	return r < 0 ? r : 1;
}

int sets_add(struct sets *set, const struct sets_elem *elem, bool *added, struct sluice_err *err)
{
	int r = check_elem(set, elem, err);

	if (added)
		*added = false;
	if (r)
		return r;
	sets_begin(set);
	if (set->head->n_freed > FREED_MIN && set->head->n_freed > set->front.n_slots / 16)
		wait_grace(set); /* may fail: there is room as yet */
	r = add(set, elem);
	if (r == -ENOSPC && set->head->n_freed && !wait_grace(set))
		r = add(set, elem);
	if (r > 0)
		set->head->n++;
	sets_end(set);
	if (r < 0)
		return err_set(err, r, "the set is full with %llu elements; build a larger one",
			       (unsigned long long)set->head->n);
	if (added)
		*added = r > 0;
	return 0;
}

int sets_del(struct sets *set, const struct sets_elem *elem, struct sluice_err *err)
{
	struct table *tb = set->has_book ? &set->book : &set->front;
	struct table_key key = key_of(set, elem);
	int r = check_elem(set, elem, err);
	uint64_t slot = TABLE_NONE;

	if (r)
		return r;
	sets_begin(set);
	if (!set->prefixes || set->has_book)
		slot = table_find(tb, &key);
	if (slot != TABLE_NONE)
		table_remove(tb, slot);
	r = slot != TABLE_NONE;
	if (set->prefixes)
		r |= cells_del(set, elem);
	if (r)
		set->head->n--;
	sets_end(set);
	return r ? 0 : err_set(err, -ENOENT, "the set has no such element");
}

int sets_get(struct sets *set, const struct sets_elem *elem, uint32_t *expires, struct set_count *counts)
{
	struct table *tb = set->has_book ? &set->book : &set->front;
	struct table_key key = key_of(set, elem);
	const struct set_count *c;
	uint64_t slot;

	if (expires)
		*expires = 0;
	if (counts)
		*counts = (struct set_count){0, 0};
	if (check_elem(set, elem, NULL))
		return -ENOENT;
	if (set->prefixes && !set->has_book)
		return cells_has(set, elem) ? 0 : -ENOENT;
	slot = table_find(tb, &key);
	if (slot == TABLE_NONE)
		return -ENOENT;
	if (expires && table_info(tb, slot))
		*expires = table_info(tb, slot)->expires;
	c = table_count(tb, slot);
	if (counts && c)
		*counts = (struct set_count){__atomic_load_n(&c->packets, __ATOMIC_RELAXED),
					     __atomic_load_n(&c->bytes, __ATOMIC_RELAXED)};
	return 0;
}

int sets_count(struct sets *set, const struct sets_elem *elem, const struct set_count *more)
{
	struct table *tb = set->has_book ? &set->book : &set->front;
	struct table_key key = key_of(set, elem);
	struct set_count *c;
	uint64_t slot;

	if (check_elem(set, elem, NULL))
		return -ENOENT;
	if (set->prefixes && !set->has_book)
		return cells_has(set, elem) ? 0 : -ENOENT;
	slot = table_find(tb, &key);
	if (slot == TABLE_NONE)
		return -ENOENT;
	c = table_count(tb, slot);
	if (c) {
		__atomic_fetch_add(&c->packets, more->packets, __ATOMIC_RELAXED);
		__atomic_fetch_add(&c->bytes, more->bytes, __ATOMIC_RELAXED);
	}
	return 0;
}

int sets_test(struct sets *set, uint64_t hi, uint64_t lo, struct sets_elem *elem)
{
	*elem = (struct sets_elem){.hi = set->v6 ? hi : 0, .lo = lo, .len = (uint8_t)SETS_LONGEST(set->v6)};
	if (set->prefixes && !cells_test(set, elem->hi, elem->lo, elem))
		return -ENOENT;
	return sets_get(set, elem, &elem->expires, NULL);
}
