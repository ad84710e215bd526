// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sets-calls: single cases of the calls in sets/set.h: plans, mistakes with their sentences. */
#include <errno.h>
#include <stdbool.h>

#include "sets_common.h"

static struct sluice_err err;

static void says(int got, int want, const char *sentence)
{
	if (got != want || strcmp(err.text, sentence) != 0)
		FAIL("%d '%s', not %d '%s'", got, err.text, want, sentence);
}

static int stop(void *arg, const struct sets_elem *e, const struct set_count *counts)
{
	(void)e, (void)counts;
	return ++*(int *)arg == 2 ? 7 : 0;
}

static bool allowed;

static int no_grace(void *arg)
{
	++*(int *)arg;
	return allowed ? 0 : -EOPNOTSUPP;
}

static struct sets *make(const struct sets_spec *spec, uint8_t **mem, size_t *bytes)
{
	struct sets *set;

	if (sets_bytes(spec, bytes, &err))
		FAIL("%s", err.text);
	*mem = guarded(*bytes);
	if (sets_create(*mem, *bytes, spec, &set, &err))
		FAIL("%s", err.text);
	return set;
}

static void mistakes(void)
{
	struct sets_spec spec = {.family = 5, .kind = SET_ADDRS, .n = 10};
	struct sets_elem e = {.lo = 1, .len = 24};
	struct sets *set;
	char want[100];
	uint8_t *mem;
	size_t bytes;

	says(sets_bytes(&spec, &bytes, &err), -EINVAL,
	     "a set of family 5, kind 1, flags 0 and version 0 does not exist");
	spec.family = 6;
	spec.n = 1u << 24;
	says(sets_bytes(&spec, &bytes, &err), -EINVAL,
	     "a set of 16777216 elements needs 624 MB, a program reaches 512; split it");
	spec.n = 10000000;
	if (sets_bytes(&spec, &bytes, &err))
		FAIL("10 million IPv6 addresses do not fit: %s", err.text);
	spec = (struct sets_spec){.family = 4, .kind = SET_ADDRS, .n = 10};
	set = make(&spec, &mem, &bytes);
	says(sets_add(set, &e, NULL, &err), -EINVAL, "a prefix of 24 bits in a set of IPv4 addresses");
	e.len = 32;
	says(sets_del(set, &e, &err), -ENOENT, "the set has no such element");
	e.expires = 5;
	says(sets_add(set, &e, NULL, &err), -EINVAL, "an element that expires in a set made without expiry");
	sets_free(set);
	if (sets_open(mem, 100, NULL, NULL, &set, &err) != -EINVAL ||
	    strncmp(err.text, "100 bytes at ", 13) != 0)
		FAIL("100 bytes were taken for a set: %s", err.text);
	mem[0] ^= 1;
	says(sets_open(mem, bytes, NULL, NULL, &set, &err), -EBADMSG,
	     "this memory holds no set, or a damaged one; build it again");
	guarded_free(mem, bytes);
	spec.kind = SET_PREFIXES;
	set = make(&spec, &mem, &bytes);
	e = (struct sets_elem){.lo = 0xc0000201, .len = 24};
	says(sets_add(set, &e, NULL, &err), -EINVAL,
	     "a prefix has bits beyond its length of 24; leave them 0");
	e = (struct sets_elem){.lo = 0, .len = 33};
	says(sets_add(set, &e, NULL, &err), -EINVAL, "a prefix of 33 bits in a set of IPv4 prefixes");
	e = (struct sets_elem){.hi = 1, .lo = 0, .len = 32};
	says(sets_add(set, &e, NULL, &err), -EINVAL,
	     "a prefix has bits beyond its length of 32; leave them 0");
	sets_free(set);
	snprintf(want, sizeof(want), "%zu bytes for a set that needs %zu, from a multiple of 64 on",
		 bytes - 64, bytes);
	says(sets_create(mem, bytes - 64, &spec, &set, &err), -EINVAL, want);
	guarded_free(mem, bytes);
}

/* Everything, nothing, and both around a smaller element; the last address there is. */
static void default_route(const struct variant *v)
{
	struct sets_spec spec = {.family = v->family,
				 .kind = SET_PREFIXES,
				 .n = 10,
				 .seed = 4,
				 .root_bits = v->root_bits,
				 .version = v->version};
	struct sets_elem all = {.len = 0},
			 one = {.hi = v->family == 6 ? 1ull << 40 : 0, .lo = 0x0a000000, .len = 32},
			 last = all, found;
	struct sets *set;
	uint8_t *mem;
	size_t bytes;
	unsigned int i;
	int n = 0;

	cut(v, &one);
	set = make(&spec, &mem, &bytes);
	if (sets_add(set, &one, NULL, &err) || sets_add(set, &all, NULL, &err))
		FAIL("%s", err.text);
	for (i = 0; i < 100; i++)
		if (!has(v, mem, bytes, rnd_of(&rnd_state), rnd_of(&rnd_state) >> 32))
			FAIL("not everything is in a set of everything");
	if (sets_walk(set, stop, &n) != 7 || n != 2)
		FAIL("a walk did not stop");
	if (sets_test(set, one.hi, one.lo, &found) || found.len != 32)
		FAIL("not the longest prefix is found");
	if (sets_del(set, &all, &err) || sets_test(set, 5, 5, &found) != -ENOENT ||
	    has(v, mem, bytes, 5, 5) || !has(v, mem, bytes, one.hi, one.lo))
		FAIL("what is left is not what was left");
	fill(v, &last);
	last.len = longest(v);
	if (sets_add(set, &last, NULL, &err) || !has(v, mem, bytes, last.hi, last.lo))
		FAIL("%s: the last address is not found", v->name);
	sets_free(set);
	guarded_free(mem, bytes);
}

/* What a fine root says of an address; what is in the set must be named, and nothing else. */
static uint32_t fine(const uint8_t *mem, uint32_t addr)
{
	const struct set_head *head = (const void *)mem;
	const uint32_t *root = (const void *)(mem + (size_t)head->root * SET_LINE);
	const uint32_t *blocks = (const void *)(mem + (size_t)head->blocks * SET_LINE);
	uint32_t said = root[addr >> 12] >> (addr >> 8 & 15) * 2 & 3;

	if (!head->blocks || (said && !(blocks[addr >> 15] >> (addr >> 10 & 31) & 1)))
		FAIL("a block is not marked");
	return said;
}

/* Levels are named below what covers them, too, and not for longer than there are cells. */
static void fine_root(void)
{
	struct sets_spec spec = {.family = 4, .kind = SET_PREFIXES, .n = 100, .seed = 8, .root_bits = 20};
	static const struct sets_elem e[] = {
		{.lo = 0x0a010203, .len = 32}, {.lo = 0x0a010205, .len = 32}, {.lo = 0x0a0102f0, .len = 30},
		{.lo = 0x0a010280, .len = 26}, {.lo = 0x0a010000, .len = 16}, {.lo = 0x0a010200, .len = 24},
	};
	/* which of them come and go, and what is said of 10.1.2.0/24 then */
	static const struct {
		int8_t which;
		uint8_t says;
	} steps[] = {{0, SET_FINE_DEEP},  {1, SET_FINE_DEEP},	{2, SET_FINE_DEEP},    {-1, SET_FINE_DEEP},
		     {-2, SET_FINE_DEEP}, {3, SET_FINE_DEEPER}, {4, SET_FINE_ALL},     {-3, SET_FINE_ALL},
		     {5, SET_FINE_ALL},	  {-5, SET_FINE_ALL},	{-6, SET_FINE_DEEPER}, {2, SET_FINE_DEEPER},
		     {-4, SET_FINE_DEEP}, {5, SET_FINE_ALL},	{-3, SET_FINE_ALL},    {-6, SET_FINE_NONE}};
	struct sets *set;
	uint8_t *mem;
	size_t bytes, i, at;
	int error;

	set = make(&spec, &mem, &bytes);
	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		at = (size_t)(steps[i].which < 0 ? -steps[i].which - 1 : steps[i].which);
		error = steps[i].which < 0 ? sets_del(set, &e[at], &err) : sets_add(set, &e[at], NULL, &err);
		if (error || fine(mem, 0x0a010200) != steps[i].says)
			FAIL("step %zu: %d, the root says %u", i, error, fine(mem, 0x0a010200));
		if (fine(mem, 0x0a020200))
			FAIL("step %zu: the root says something of what was never there", i);
	}
	for (i = 0; i < 1u << 17; i++)
		if (((const uint32_t *)(const void *)(mem + (size_t)((struct set_head *)(void *)mem)->blocks *
								    SET_LINE))[i])
			FAIL("a block of an empty set is marked");
	sets_free(set);
	guarded_free(mem, bytes);
}

static void plans(void)
{
	struct sets_elem e[4] = {{.lo = 0x0a000000, .len = 32},
				 {.lo = 0x0a000001, .len = 32},
				 {.lo = 0x0a000010, .len = 29},
				 {.lo = 0x0b000000, .len = 8}};
	struct sets_spec spec = {.family = 4};

	sets_plan(&spec, e, 2);
	if (spec.kind != SET_ADDRS || spec.n != 2)
		FAIL("two addresses are not planned as that");
	sets_plan(&spec, e, 4);
	if (spec.kind != SET_PREFIXES || spec.n != 4 || spec.cells != 2)
		FAIL("four elements in two cells: kind %u, %llu cells", spec.kind,
		     (unsigned long long)spec.cells);
}

/* Full: says so, after waiting for room in vain, and keeps what it has. */
static void full(void)
{
	int graces = 0;
	struct sets_spec spec =
		{.family = 6, .kind = SET_ADDRS, .n = 1, .seed = 8, .grace = no_grace, .grace_arg = &graces};
	struct sets_stats stats;
	struct sets_elem e = {.hi = 7, .len = 128};
	struct sets *set;
	char want[80];
	uint8_t *mem;
	size_t bytes;
	uint64_t n, slots[50];
	const struct set_key *keys;
	unsigned int i, kept;
	int r;

	set = make(&spec, &mem, &bytes);
	for (e.lo = 0; !(r = sets_add(set, &e, NULL, &err)); e.lo++)
		;
	n = e.lo;
	snprintf(want, sizeof(want), "the set is full with %llu elements; build a larger one",
		 (unsigned long long)n);
	says(r, -ENOSPC, want);
	if (n < 2400 || graces)
		FAIL("full with %llu of 2457 elements, %d waits", (unsigned long long)n, graces);
	for (e.lo = 0; e.lo < n; e.lo++)
		if (!set_addr6(mem, bytes - SET_LINE, 0, e.hi, e.lo, &(struct set_want){0}))
			FAIL("a full set lost an element");
	/* what was freed keeps its key until a grace period has passed: a reader may be at it */
	keys = (const struct set_key *)(const void *)(mem + ((struct set_head *)(void *)mem)->front.keys *
								    SET_LINE);
	for (e.lo = 0; e.lo < 50; e.lo++) {
		slots[e.lo] = set_addr6(mem, bytes - SET_LINE, 0, e.hi, e.lo, &(struct set_want){0}) - 1;
		if (sets_del(set, &e, &err))
			FAIL("%s", err.text);
	}
	for (e.lo = n; e.lo < n + 5000; e.lo++)
		sets_add(set, &e, NULL, NULL);
	for (i = kept = 0; i < 50; i++)
		if (slots[i] < 256 * SET_LANES && keys[slots[i]].hi == e.hi && keys[slots[i]].lo == i)
			kept++;
	sets_stats(set, &stats);
	if (kept < 45 || graces < 1000 || stats.freed != 50)
		FAIL("of 50 freed slots %u keep their keys, %d waits, %llu freed", kept, graces,
		     (unsigned long long)stats.freed);
	/* an hour later */
	allowed = true;
	for (e.lo = n; e.lo < n + 5000; e.lo++)
		sets_add(set, &e, NULL, NULL);
	for (i = kept = 0; i < 50; i++)
		if (slots[i] < 256 * SET_LANES && keys[slots[i]].lo == i)
			kept++;
	sets_stats(set, &stats);
	if (kept > 5 || stats.n < n - 5)
		FAIL("of 50 freed slots %u are not used again, %llu elements", kept,
		     (unsigned long long)stats.n);
	sets_free(set);
	guarded_free(mem, bytes);
}

/* What is said of an entry of IPv6's root, in front of it, follows it both ways; where a level is named it stays so. */
static void blocks6(void)
{
	struct sets_spec spec = {.family = 6, .kind = SET_PREFIXES, .n = 100, .seed = 8, .root_bits = 20};
	static const struct sets_elem e[] = {{.hi = 0x20010db800000000, .len = 48},
					     {.hi = 0x20010d0000000000, .len = 24},
					     {.hi = 0x2001000000000000, .len = 16},
					     {.hi = 0x20010c1000000000, .len = 28}};
	/* which of them come and go, and what is said of 2001:d::/20 then */
	static const struct {
		int8_t which;
		uint8_t says;
	} steps[] = {{0, SET_BLOCK_DEEP},  {1, SET_BLOCK_ROOT},	 {-2, SET_BLOCK_DEEP}, {2, SET_BLOCK_ROOT},
		     {-1, SET_BLOCK_ROOT}, {-3, SET_BLOCK_DEEP}, {3, SET_BLOCK_ROOT}};
	const uint32_t entry = 0x20010;
	const struct set_head *head;
	struct sets *set;
	uint8_t *mem;
	size_t bytes, i, at;
	uint32_t word;

	set = make(&spec, &mem, &bytes);
	head = (const void *)mem;
	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		at = (size_t)(steps[i].which < 0 ? -steps[i].which - 1 : steps[i].which);
		if (steps[i].which < 0 ? sets_del(set, &e[at], &err) : sets_add(set, &e[at], NULL, &err))
			FAIL("%s", err.text);
		word = ((const uint32_t *)(const void *)(mem + (size_t)head->blocks * SET_LINE))[entry / 16];
		if ((word >> entry % 16 * 2 & 3) != steps[i].says)
			FAIL("step %zu: %u is said of the root", i, word >> entry % 16 * 2 & 3);
	}
	sets_free(set);
	guarded_free(mem, bytes);
}

/* Memory of earlier versions is laid out as these did: numbers that builds of theirs have printed, in lines. */
static void versions(void)
{
	static const struct {
		uint8_t family, version;
		uint32_t n, flags, root_shift, deep, deep_shift, buckets, spill, short_bits, blocks, named,
			book, lines;
	} of[] = {
		{4, 2, 300000, 0, 12, 0, 0, 65540, 131076, 172044, 0, 0, 0, 237580},
		{4, 3, 300000, 0, 12, 0, 0, 65540, 131076, 172044, 237580, 245772, 0, 311308},
		{6, 3, 300000, 0, 44, 65540, 47, 73732, 237572, 278540, 0, 0, 0, 344076},
		{6, 2, 300000, 0, 44, 65540, 47, 73732, 237572, 278540, 0, 0, 0, 344076},
		{6, 3, 1000, 3, 48, 4100, 54, 4164, 5444, 5772, 0, 0, 9900, 12714},
		{4, 2, 1000, 3, 16, 0, 0, 4100, 4612, 4940, 0, 0, 9068, 11882},
	};
	struct sets *set, *again;
	struct set_head *head;
	uint8_t *mem;
	size_t bytes, i;

	for (i = 0; i < sizeof(of) / sizeof(*of); i++) {
		struct sets_spec spec = {.family = of[i].family,
					 .kind = SET_PREFIXES,
					 .n = of[i].n,
					 .flags = of[i].flags,
					 .version = of[i].version};

		set = make(&spec, &mem, &bytes);
		head = (void *)mem;
		if (head->version != of[i].version || head->root != 4 ||
		    head->root_shift != of[i].root_shift || head->deep != of[i].deep ||
		    head->deep_shift != of[i].deep_shift || head->front.summary ||
		    head->front.buckets != of[i].buckets || head->front.spill != of[i].spill ||
		    head->short_bits != of[i].short_bits || head->blocks != of[i].blocks ||
		    head->named != of[i].named || head->book.buckets != of[i].book ||
		    head->lines != of[i].lines)
			FAIL("version %u, IPv%u lies otherwise than it did", of[i].version, of[i].family);
		if (sets_open(mem, bytes, NULL, NULL, &again, &err))
			FAIL("version %u, IPv%u: %s", of[i].version, of[i].family, err.text);
		sets_free(again);
		sets_free(set);
		guarded_free(mem, bytes);
	}
}

int main(void)
{
	size_t i;

	mistakes();
	for (i = 0; i < N_VARIANTS; i++)
		if (variants[i].kind == SET_PREFIXES)
			default_route(&variants[i]);
	fine_root();
	blocks6();
	versions();
	plans();
	full();
	puts("all right");
	return 0;
}
