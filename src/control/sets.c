// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run-time sets: opening the memory, finding sets in it, one element at a time. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "control/sets_inside.h"

#define LINES(bytes) ((bytes) / SET_LINE)

/* --- the directory --- */

static int damaged(struct sluice_err *err, const char *what)
{
	return err_set(err, -EBADMSG, "the run-time sets' memory is damaged: %s; apply the policy again",
		       what);
}

static int map_size(int fd, size_t *bytes, struct sluice_err *err)
{
	struct bpf_map_info info;
	uint32_t len = sizeof(info);
	int e;

	memset(&info, 0, sizeof(info));
	e = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (e)
		return err_set(err, e, "the map of the run-time sets: %s", strerror(-e));
	if (info.type != BPF_MAP_TYPE_ARRAY || !(info.map_flags & BPF_F_MMAPABLE) || info.max_entries != 1 ||
	    info.value_size < FILTER_SETS_PAGE || info.value_size > FILTER_SETS_BYTES)
		return err_set(err, -EBADMSG, "map %u (%.16s) has no run-time sets in it", info.id,
			       info.name);
	*bytes = info.value_size;
	return 0;
}

static void *map_part(const struct control_sets *s, uint64_t at, uint64_t len, struct sluice_err *err)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)at);

	if (p != MAP_FAILED)
		return p;
	err_set(err, -errno, "mapping the run-time sets: %s", strerror(errno));
	return NULL;
}

static bool is_text(const struct control_sets *s, uint64_t at)
{
	return !at || (at < s->dir_bytes && memchr(s->dir + at, '\0', s->dir_bytes - at));
}

static int check_set(const struct control_sets *s, const struct filter_set *set, struct sluice_err *err)
{
	const char *c;

	if (!memchr(set->name, '\0', sizeof(set->name)))
		return damaged(err, "a name without an end");
	for (c = set->name; *c; c++)
		if (*c < '!' || *c > '~')
			return damaged(err, "a name that is none");
	if (!is_text(s, set->file) || set->given % 8 ||
	    set->given + (uint64_t)set->n_given * sizeof(struct filter_set_given) > s->dir_bytes)
		return damaged(err, "a place beyond its end");
	if (set->flags & ~(uint32_t)(SET_EXPIRES | SET_COUNTS))
		return damaged(err, "flags there are none of");
	return 0;
}

static int open_dir(struct control_sets *s, struct sluice_err *err)
{
	struct filter_sets_head *head;
	size_t bytes = 0, blocks;
	uint32_t i;
	int e = map_size(s->fd, &bytes, err);

	if (e)
		return e;
	head = map_part(s, 0, FILTER_SETS_PAGE, err);
	if (!head)
		return -EIO;
	s->n = head->n;
	s->lines = head->lines;
	s->first = head->blocks;
	e = head->magic != FILTER_SETS_MAGIC || head->version != FILTER_SETS_VERSION;
	munmap(head, FILTER_SETS_PAGE);
	if (e)
		return err_set(err, -EBADMSG, "there are no run-time sets in this map");
	blocks = (size_t)s->first * SET_LINE;
	if ((size_t)s->lines * SET_LINE != bytes || s->n > FILTER_SETS_MOST || blocks > bytes ||
	    blocks % FILTER_SETS_PAGE || blocks < sizeof(*head) + (size_t)s->n * sizeof(struct filter_set))
		return damaged(err, "sizes that do not agree");
	s->dir = map_part(s, 0, blocks, err);
	if (!s->dir)
		return -EIO;
	s->dir_bytes = blocks;
	s->set = (struct filter_set *)(void *)(s->dir + sizeof(*head));
	s->blocks = calloc((size_t)s->n * FILTER_BLOCKS + 1, sizeof(*s->blocks));
	if (!s->blocks)
		return err_nomem(err);
	for (i = 0; i < s->n && !e; i++)
		e = check_set(s, &s->set[i], err);
	return e;
}

int control_sets_open(int fd, struct control_sets **sets, struct sluice_err *err)
{
	struct control_sets *s = calloc(1, sizeof(*s));
	int e;

	*sets = NULL;
	if (!s)
		return err_nomem(err);
	s->fd = fd;
	e = open_dir(s, err);
	if (e)
		control_sets_close(s);
	else
		*sets = s;
	return e;
}

static void unmap(struct sets_block *b)
{
	sets_free(b->set);
	if (b->map)
		munmap(b->map, b->len);
	b->map = b->set = NULL;
	b->line = 0;
}

static void unmap_head(struct sets_block *b)
{
	if (b->head)
		munmap(b->head, FILTER_SETS_PAGE);
	b->head = NULL;
}

void control_sets_close(struct control_sets *s)
{
	uint32_t i;

	if (!s)
		return;
	for (i = 0; s->blocks && i < s->n * FILTER_BLOCKS; i++) {
		unmap(&s->blocks[i]);
		unmap_head(&s->blocks[i]);
	}
	free(s->blocks);
	if (s->dir)
		munmap(s->dir, s->dir_bytes);
	free(s);
}

/* --- blocks --- */

static int open_block(struct control_sets *s, struct sets_block *b, uint32_t line, struct sluice_err *err)
{
	uint64_t at = (uint64_t)line * SET_LINE, len;
	struct set_head *head;

	if (line < s->first || line % LINES(FILTER_SETS_PAGE) || line >= s->lines)
		return damaged(err, "a block beyond its end");
	head = map_part(s, at, FILTER_SETS_PAGE, err);
	if (!head)
		return -EIO;
	len = ((uint64_t)head->lines * SET_LINE + FILTER_SETS_PAGE - 1) / FILTER_SETS_PAGE * FILTER_SETS_PAGE;
	munmap(head, FILTER_SETS_PAGE);
	if (!len || at + len > (uint64_t)s->lines * SET_LINE)
		return damaged(err, "a block longer than it");
	b->map = map_part(s, at, len, err);
	if (!b->map)
		return -EIO;
	b->len = len;
	b->line = line;
	return sets_open(b->map, len, NULL, NULL, &b->set, err);
}

int sets_block_of(struct control_sets *s, uint32_t nr, enum filter_block block, struct sets **set,
		  struct sluice_err *err)
{
	static const uint8_t kinds[] = {SET_ADDRS, SET_PREFIXES};
	struct sets_block *b = &s->blocks[nr * FILTER_BLOCKS + block];
	uint32_t line = __atomic_load_n(&s->set[nr].block[block], __ATOMIC_ACQUIRE);
	struct sets_stats stats = {0};
	int e = 0;

	*set = NULL;
	if (b->set && b->line == line) {
		*set = b->set;
		return 0;
	}
	unmap(b);
	if (!line)
		return 0;
	e = open_block(s, b, line, err);
	if (!e) {
		stats.family = ((struct set_head *)b->map)->family;
		stats.kind = ((struct set_head *)b->map)->kind;
		if (stats.family != (block >= FILTER_BLOCK_ADDRS6 ? 6 : 4) ||
		    stats.kind != kinds[block % 2] || ((struct set_head *)b->map)->flags != s->set[nr].flags)
			e = damaged(err, "a block of another kind");
	}
	if (e) {
		unmap(b);
		return *s->set[nr].name ? err_prefix(err, "set '%s'", s->set[nr].name) : e;
	}
	*set = b->set;
	return 0;
}

enum filter_block sets_block_for(const struct control_sets *s, uint32_t nr, bool v6, uint32_t len)
{
	enum filter_block addrs = v6 ? FILTER_BLOCK_ADDRS6 : FILTER_BLOCK_ADDRS4;

	return len == (v6 ? 128 : 32) && s->set[nr].block[addrs] ? addrs : addrs + 1;
}

/* The first page of a block alone; *head NULL: there is no block. */
static int head_of(struct control_sets *s, uint32_t nr, enum filter_block block, const struct set_head **head,
		   struct sluice_err *err)
{
	struct sets_block *b = &s->blocks[nr * FILTER_BLOCKS + block];
	uint32_t line = __atomic_load_n(&s->set[nr].block[block], __ATOMIC_ACQUIRE);

	*head = NULL;
	if (!line)
		return 0;
	if (line < s->first || line % LINES(FILTER_SETS_PAGE) || line >= s->lines)
		return damaged(err, "a block beyond its end");
	if (b->head && b->head_line != line)
		unmap_head(b);
	if (!b->head)
		b->head = map_part(s, (uint64_t)line * SET_LINE, FILTER_SETS_PAGE, err);
	if (!b->head)
		return -EIO;
	b->head_line = line;
	if (b->head->magic != SET_MAGIC || b->head->front.bits > 24 || b->head->book.bits > 24 ||
	    b->head->n > (uint64_t)s->lines * SET_LINE || b->head->lines > s->lines)
		return damaged(err, "a block that is none");
	*head = b->head;
	return 0;
}

int sets_total(struct control_sets *s, uint32_t nr, uint64_t n[2], struct sluice_err *err)
{
	const struct set_head *head;
	uint32_t b;
	int e = 0;

	n[0] = n[1] = 0;
	for (b = 0; b < FILTER_BLOCKS && !e; b++) {
		e = head_of(s, nr, b, &head, err);
		if (!e && head)
			n[b / 2] += head->n;
	}
	return e;
}

/* --- sets --- */

uint32_t control_sets_n(const struct control_sets *s)
{
	return s->n;
}

uint32_t control_sets_now(void)
{
	return (uint32_t)(clock_mono_ns() / 1000000000);
}

int control_sets_get(struct control_sets *s, uint32_t nr, struct control_set *set, struct sluice_err *err)
{
	const struct filter_set *of = &s->set[nr];
	const struct set_head *head;
	uint32_t b;
	int e = sets_total(s, nr, set->n, err);

	if (e)
		return e;
	set->name = of->name;
	set->file = of->file ? (const char *)s->dir + of->file : NULL;
	set->timeout = of->timeout;
	set->size = of->size;
	set->expires = of->flags & SET_EXPIRES;
	set->counts = of->flags & SET_COUNTS;
	set->room[0] = set->room[1] = set->bytes = 0;
	for (b = 0; b < FILTER_BLOCKS; b++) {
		e = head_of(s, nr, b, &head, err);
		if (e)
			return e;
		if (!head)
			continue;
		set->bytes += (uint64_t)head->lines * SET_LINE;
		/* a prefix set's book says how many elements; without one, its cells do */
		set->room[b / 2] +=
			((uint64_t)96 << (head->book.bits ? head->book.bits : head->front.bits)) / 10;
	}
	return 0;
}

int control_sets_find(struct control_sets *s, const char *name, uint32_t *nr, struct sluice_err *err)
{
	const char *names[100];
	uint32_t i, n = 0;
	int near;

	for (i = 0; i < s->n; i++) {
		if (!*s->set[i].name)
			continue;
		if (!strcmp(s->set[i].name, name)) {
			*nr = i;
			return 0;
		}
		if (n < 100)
			names[n++] = s->set[i].name;
	}
	near = text_nearest(name, names, n);
	if (near >= 0)
		return err_set(err, -ENOENT, "no set '%s' changes at run time, did you mean '%s'?", name,
			       names[near]);
	return err_set(err, -ENOENT,
		       "no set '%s' changes at run time; those do that have a file, timeout, size or "
		       "counters, or "
		       "are empty",
		       name);
}

int sets_full(const struct control_sets *s, uint32_t nr, struct sluice_err *err)
{
	const struct filter_set *set = &s->set[nr];

	if (set->size)
		return err_set(err, -ENOSPC,
			       "set '%s' is full: it has the %llu elements of its size; write a larger size "
			       "into the policy and apply it",
			       set->name, (unsigned long long)set->size);
	if (set->file)
		return err_set(err, -ENOSPC,
			       "set '%s' has no room for so many elements; apply the policy again, which "
			       "makes "
			       "room for what is in %s, or give the set a size there",
			       set->name, (const char *)s->dir + set->file);
	return err_set(err, -ENOSPC, "set '%s' is full; give it a size in the policy (size 1M) and apply it",
		       set->name);
}

/* --- elements --- */

static int insert(struct control_sets *s, uint32_t nr, bool v6, const struct sets_elem *elem, uint32_t now,
		  struct sluice_err *err)
{
	enum filter_block block = sets_block_for(s, nr, v6, elem->len);
	struct sluice_err why;
	struct sets *set;
	uint64_t gone;
	int e = sets_block_of(s, nr, block, &set, err);

	if (e)
		return e;
	if (!set)
		return damaged(err, "a set without a block");
	e = sets_add(set, elem, NULL, &why);
	if (e == -ENOSPC) {
		e = sets_block_sweep(s, nr, block, now, &gone, err);
		if (e)
			return e;
		e = gone ? sets_add(set, elem, NULL, &why) : -ENOSPC;
	}
	if (e == -ENOSPC) {
		e = sets_block_grow(s, nr, block, 0, err);
		if (e)
			return e == -ENOSPC ? sets_full(s, nr, err) : e;
		e = sets_block_of(s, nr, block, &set, err);
		if (!e)
			e = sets_add(set, elem, NULL, &why);
	}
	return e ? err_set(err, e, "set '%s': %s", s->set[nr].name, why.text) : 0;
}

static int sweep(struct control_sets *s, uint32_t nr, uint32_t now, uint64_t n[2], struct sluice_err *err)
{
	uint64_t gone;
	uint32_t b;
	int e = 0;

	for (b = 0; b < FILTER_BLOCKS && !e; b++)
		e = sets_block_sweep(s, nr, b, now, &gone, err);
	return e ? e : sets_total(s, nr, n, err);
}

int sets_keep(struct control_sets *s, uint32_t nr, bool v6, const struct sets_elem *elem, uint32_t now, bool beyond,
	     enum control_added *what, struct sluice_err *err)
{
	uint64_t n[2];
	uint32_t expires;
	struct sets *set;
	int e = sets_total(s, nr, n, err);

	if (e)
		return e;
	if (elem->expires && !(s->set[nr].flags & SET_EXPIRES))
		return err_set(err, -EINVAL,
			       "set '%s' keeps no times, its elements are there for good; leave 'for' out, "
			       "or "
			       "give it a timeout in the policy",
			       s->set[nr].name);
	e = sets_block_of(s, nr, sets_block_for(s, nr, v6, elem->len), &set, err);
	if (e)
		return e;
	if (set && !sets_get(set, elem, &expires, NULL)) {
		*what = CONTROL_FOR_GOOD;
		if (!expires)
			return 0;
		*what = expires > now ? CONTROL_CHANGED : CONTROL_ADDED;
		return sets_add(set, elem, NULL, err);
	}
	if (!beyond && s->set[nr].size && n[0] + n[1] >= s->set[nr].size) {
		e = sweep(s, nr, now, n, err);
		if (e || n[0] + n[1] >= s->set[nr].size)
			return e ? e : sets_full(s, nr, err);
	}
	*what = CONTROL_ADDED;
	return insert(s, nr, v6, elem, now, err);
}

int control_sets_add(struct control_sets *s, uint32_t nr, bool v6, const struct sets_elem *elem, uint32_t now,
		     enum control_added *what, struct sluice_err *err)
{
	return sets_keep(s, nr, v6, elem, now, false, what, err);
}

int control_sets_del(struct control_sets *s, uint32_t nr, bool v6, const struct sets_elem *elem, uint32_t now,
		     struct sluice_err *err)
{
	struct policy_range r = {.v6 = v6, .first = {elem->hi, elem->lo}};
	char text[POLICY_RANGE_TEXT];
	struct sluice_err why;
	struct sets *set;
	uint32_t expires;
	int e = sets_block_of(s, nr, sets_block_for(s, nr, v6, elem->len), &set, err);

	if (e)
		return e;
	e = set ? sets_get(set, elem, &expires, NULL) : -ENOENT;
	if (!e)
		e = sets_del(set, elem, &why);
	if (!e && expires && expires <= now)
		e = -ENOENT;
	if (e && e != -ENOENT)
		return err_set(err, e, "set '%s': %s", s->set[nr].name, why.text);
	if (!e)
		return 0;
	r.last = r.first;
	policy_range_format(&r, text, sizeof(text));
	if (elem->len == (v6 ? 128 : 32))
		return err_set(err, e, "%s is not in set '%s'", text, s->set[nr].name);
	return err_set(err, e, "%s/%u is not in set '%s'", text, elem->len, s->set[nr].name);
}

/* The first len bits of an address. */
static struct sets_elem prefix_of(bool v6, uint64_t hi, uint64_t lo, uint32_t len)
{
	struct sets_elem e = {.hi = hi, .lo = lo, .len = (uint8_t)len};

	if (!v6) {
		e.hi = 0;
		e.lo &= len ? UINT32_MAX << (32 - len) & UINT32_MAX : 0;
	} else if (len <= 64) {
		e.hi &= len ? UINT64_MAX << (64 - len) : 0;
		e.lo = 0;
	} else {
		e.lo &= UINT64_MAX << (128 - len);
	}
	return e;
}

int control_sets_test(struct control_sets *s, uint32_t nr, bool v6, uint64_t hi, uint64_t lo, uint32_t now,
		      struct sets_elem *elem, struct set_count *counts, struct sluice_err *err)
{
	uint32_t longest = v6 ? 128 : 32, i;
	struct sets *set;
	int e;

	for (i = 0; i <= longest; i++) {
		*elem = prefix_of(v6, hi, lo, longest - i);
		e = sets_block_of(s, nr, sets_block_for(s, nr, v6, elem->len), &set, err);
		if (e)
			return e;
		if (set && !sets_get(set, elem, &elem->expires, counts) &&
		    (!elem->expires || elem->expires > now))
			return 0;
	}
	return -ENOENT;
}
