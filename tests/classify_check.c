// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * classify-check WHAT...: compiled rules against the search through all of them.
 *
 *   made KIND FAMILY N SETS   SETS rule sets of N rules, every structure and front forced in turn
 *   given FAMILY FILE...      ClassBench files
 *   edges                     few rules of every shape; what is refused, and how
 *   lists KIND FAMILY N SETS  the same with rules that go on and ids: all that match, up to the first that decides
 *   damage                    images with random bytes in them: any answer, but no access outside their place
 *   engine vm|kernel OBJECT   the lookup as a BPF program, all answers against the native ones
 *
 * Exits 1 at the first difference, 4 where the engine cannot be used.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/classify.h"
#include "bpf/seam.h"
#include "classify_rules.h"
#include "datapath/lib/classify.h"
#include "vm/vm.h"

static uint8_t *room; /* CLASSIFY_ROOM + CLASSIFY_SLACK bytes between two pages that nobody may touch */
static unsigned long n_packets;

static void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void make_room(void)
{
	size_t page = 4096, bytes = (CLASSIFY_ROOM + CLASSIFY_SLACK + page - 1) / page * page;
	uint8_t *p =
		mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, bytes, PROT_READ | PROT_WRITE))
		fail("no memory for an image");
	/* flush with the upper page, as far as alignment lets it */
	room = p + page + (bytes - (CLASSIFY_ROOM + CLASSIFY_SLACK)) / 8 * 8;
}

static uint32_t lookup(const struct header *h)
{
	const struct classify_service s = {h->sport, h->dport, h->flags, h->proto, h->extra};

	if (h->family == 6)
		return classify_ipv6(room, rules_word(h->src, 8), rules_word(h->src + 8, 8),
				     rules_word(h->dst, 8), rules_word(h->dst + 8, 8), &s);
	return classify_ipv4(room, (uint32_t)rules_word(h->src, 4), (uint32_t)rules_word(h->dst, 4), &s);
}

/* 1 if it was compiled into the room, 0 if a forced structure cannot hold it. */
static int compile(const struct rule_set *set, const struct classify_opts *opts,
		   struct classify_report *report)
{
	struct sluice_err err;
	void *image;
	size_t bytes;
	int e = classify_compile(set->rules, set->n, opts, &image, &bytes, report, &err);

	if (e == -ENOSPC && opts && (opts->structure || opts->max_below) && strstr(err.text, "would not fit"))
		return 0;
	if (e)
		fail("%zu rules: %s", set->n, err.text);
	memset(room, 0, CLASSIFY_ROOM + CLASSIFY_SLACK);
	memcpy(room, image, bytes);
	free(image);
	return 1;
}

static void some_header(const struct rule_set *set, unsigned long i, uint64_t *state, struct header *h)
{
	if (!set->n || i % 8 == 0)
		rules_any_header(i % 16 ? 4 : 6, state, h);
	else
		rules_header(set, rules_below(state, (uint32_t)set->n), i % 2, state, h);
}

static void compare(const char *what, const struct rule_set *set, unsigned long n, uint64_t seed)
{
	uint64_t state = seed;
	struct header h;
	uint32_t want, got;
	unsigned long i;

	for (i = 0; i < n; i++, n_packets++) {
		some_header(set, i, &state, &h);
		want = rules_search(set, &h);
		got = lookup(&h);
		if (got != want)
			fail("%s, %zu rules: packet %lu of seed %llu: rule %u, should be %u", what, set->n, i,
			     (unsigned long long)seed, got, want);
		if (lookup(&h) != want) /* and from the cache */
			fail("%s, %zu rules: packet %lu of seed %llu: another answer the second time", what,
			     set->n, i, (unsigned long long)seed);
	}
}

static const struct {
	const char *name;
	struct classify_opts opts;
} ways[] = {
	{"chosen", {0}},
	{"pair table", {.structure = CLASSIFY_ONLY_CROSS, .fronts = CLASSIFY_FRONTS_CELLS}},
	{"pair table, leaves", {.structure = CLASSIFY_ONLY_CROSS, .fronts = CLASSIFY_FRONTS_LEAVES}},
	{"split", {.structure = CLASSIFY_ONLY_SPLIT, .fronts = CLASSIFY_FRONTS_LEAVES, .cache = -1}},
	{"split, cache", {.structure = CLASSIFY_ONLY_SPLIT, .fronts = CLASSIFY_FRONTS_CELLS, .cache = 1}},
	{"split, forks", {.structure = CLASSIFY_ONLY_SPLIT, .fronts = CLASSIFY_FRONTS_FORKS, .cache = -1}},
	{"split, most prefixes wide", {.structure = CLASSIFY_ONLY_SPLIT, .cache = -1, .max_below = 1}},
	{"split, few prefixes wide", {.structure = CLASSIFY_ONLY_SPLIT, .cache = -1, .max_below = 200}},
};
#define N_WAYS (sizeof(ways) / sizeof(*ways))

static unsigned int n_compiled[N_WAYS];

static void all_ways(const struct rule_set *set, unsigned long packets, uint64_t seed)
{
	struct classify_report report;
	size_t k;

	for (k = 0; k < N_WAYS; k++)
		if (compile(set, &ways[k].opts, &report)) {
			n_compiled[k]++;
			compare(ways[k].name, set, packets, seed);
		}
}

static void say_ways(void)
{
	size_t k;

	for (k = 0; k < N_WAYS; k++)
		printf("%s: %u sets\n", ways[k].name, n_compiled[k]);
	printf("%lu packets\n", n_packets);
}

static void made(const char *kind, uint8_t family, size_t n, uint64_t sets)
{
	unsigned long packets = n > 20000 ? 400 : n > 2000 ? 2000 : 4000;
	struct rule_set set;
	uint64_t i;

	for (i = 1; i <= sets; i++) {
		rules_make(&set, kind, family, n, i);
		all_ways(&set, packets, i);
		rules_free(&set);
	}
	say_ways();
	if (!n_compiled[0])
		fail("nothing compiled");
}

static void given(uint8_t family, int argc, char **argv)
{
	struct rule_set set;
	int i;

	for (i = 0; i < argc; i++) {
		if (rules_read(&set, argv[i], family))
			fail("%s: no rules in it", argv[i]);
		all_ways(&set, 5000, (uint64_t)i + 1);
		rules_free(&set);
	}
	say_ways();
}

static const struct classify_rule everything = {.family = 4,
						.sport = {0, 65535},
						.dport = {0, 65535},
						.extras = UINT32_MAX};

static void refused(struct classify_rule r, const struct classify_opts *opts, size_t n, int code,
		    const char *text)
{
	struct classify_rule *rules = calloc(n, sizeof(*rules));
	struct sluice_err err;
	size_t bytes = 1, i;
	void *image = &err;
	int e;

	for (i = 0; i < n; i++)
		rules[i] = i == n - 1 ? r : everything;
	e = classify_compile(rules, n, opts, &image, &bytes, NULL, &err);
	if (e != code || err.code != code || image || bytes || strcmp(err.text, text) != 0)
		fail("wanted %d \"%s\", got %d \"%s\"", code, text, e, err.text);
	free(rules);
}

static void look_part(const struct header *h, uint32_t k, uint32_t *found, const uint32_t **list)
{
	const struct classify_part *p = &((const struct classify_image *)(void *)room)->part[k + (h->family == 6)];
	const struct classify_service s = {h->sport, h->dport, h->flags, h->proto, h->extra};

	*found = h->family == 6 ? classify_part6(room, p, rules_word(h->src, 8), rules_word(h->src + 8, 8),
						 rules_word(h->dst, 8), rules_word(h->dst + 8, 8), &s)
				: classify_part4(room, p, (uint32_t)rules_word(h->src, 4),
						 (uint32_t)rules_word(h->dst, 4), &s);
	*list = NULL;
	if (p->structure == CLASSIFY_CROSS && p->cross.lists)
		*list = CLASSIFY_AT(room, uint32_t, CLASSIFY_AT32(room, p->cross.lists + 4 * *found));
}

/* What follows for a packet, as the data path goes through it, against all rules one by one. */
static uint32_t compare_lists(const struct rule_set *set, const uint8_t *goes_on, const uint32_t *ids,
			      const struct header *h)
{
	static const uint32_t nothing = CLASSIFY_LIST_END;
	const uint32_t *list, *more;
	uint32_t i, k, n = 0, said = CLASSIFY_LIST_END, rule[2], got;
	struct rule_set one = {.n = 1};

	for (k = 0; k < 2; k++) {
		look_part(h, 2 * k, &rule[k], k ? &more : &list);
		if (rule[k] == CLASSIFY_NONE)
			rule[k] = CLASSIFY_LIST_END;
	}
	if (list && more)
		fail("lists in two parts");
	rule[0] = list ? CLASSIFY_LIST_END : rule[0];
	list = list ? list : more ? more : &nothing;
	for (i = 0; i < set->n; i++) {
		one.rules = &set->rules[i];
		if (rules_search(&one, h) == CLASSIFY_NONE || ids[i] == said)
			continue;
		said = ids[i];
		got = *list < rule[0] ? *list++ : rule[0];
		if (got != said)
			fail("rule %u where %u should be", got, said);
		n++;
		if (!goes_on[i])
			return n;
	}
	if (*list != CLASSIFY_LIST_END || rule[0] != CLASSIFY_LIST_END)
		fail("rule %u, where there should be no more", *list < rule[0] ? *list : rule[0]);
	return n;
}

static void lists(const char *kind, uint8_t family, size_t n, uint64_t sets)
{
	uint64_t seed, state, longest = 0, apart = 0;
	struct classify_report report;
	uint32_t *ids = calloc(n, 4), found;
	uint8_t *goes_on = calloc(n, 1);
	struct rule_set set;
	struct header h;
	size_t i;

	for (seed = 1; seed <= sets; seed++) {
		rules_make(&set, kind, family, n, seed);
		state = seed;
		for (i = 0; i < set.n; i++) { /* several boxes of one rule are alike in this */
			ids[i] = !i ? 3 : ids[i - 1] + (rules_below(&state, 3) ? 1 : 0);
			goes_on[i] = i && ids[i] == ids[i - 1]
					     ? goes_on[i - 1]
					     : rules_below(&state, 100) < (n > 2000 ? 1 : 60);
		}
		if (!compile(&set, &(struct classify_opts){.ids = ids, .goes_on = goes_on}, &report))
			fail("does not compile");
		apart += report.part[2].n_rules || report.part[3].n_rules;
		for (i = 0; i < 4000; i++, n_packets++) {
			some_header(&set, i, &state, &h);
			found = compare_lists(&set, goes_on, ids, &h);
			longest = found > longest ? found : longest;
		}
		rules_free(&set);
	}
	free(ids);
	free(goes_on);
	printf("%lu packets, at most %llu rules for one; %llu sets with those that go on apart\n", n_packets,
	       (unsigned long long)longest, (unsigned long long)apart);
	if (longest < (n > 2000 ? 1 : 2) || (n > 2000) != (apart > 0))
		fail("too few, or in the other way");
}

/* Same rules, same bytes. */
static void twice(const struct rule_set *set)
{
	void *image[2];
	size_t bytes[2], i;

	for (i = 0; i < 2; i++)
		if (classify_compile(set->rules, set->n, NULL, &image[i], &bytes[i], NULL, NULL))
			fail("does not compile");
	if (bytes[0] != bytes[1] || memcmp(image[0], image[1], bytes[0]) != 0)
		fail("the same rules gave two images");
	free(image[0]);
	free(image[1]);
}

/* Prefixes one inside the other, of all lengths, and some beside them. */
static void nested(uint8_t family)
{
	uint32_t n = family == 6 ? 128 : 32, i;
	struct rule_set set = {.rules = calloc(2 * n, sizeof(*set.rules)), .n = 2 * n};
	uint64_t state = family;

	for (i = 0; i < 2 * n; i++) {
		struct classify_rule *r = &set.rules[i];

		*r = everything;
		r->family = family;
		r->src_len = (uint8_t)(n - i / 2);
		r->dst_len = (uint8_t)(i % 2 ? n - i / 2 : i / 4);
		memset(r->src, 0xa5, 16);
		memset(r->dst, 0x3c, 16);
		if (i % 8 == 7) /* its last bit another one */
			r->src[(r->src_len - 1) / 8] ^= (uint8_t)(0x80 >> (r->src_len - 1) % 8);
		if (i % 16 == 5)
			r->dst[rules_below(&state, 16)] ^= 0x10;
	}
	all_ways(&set, 20000, family);
	rules_free(&set);
}

/*
 * All in one network of 64 or 96 bits, or with some around that, of up to 64 bits and of more: the lower half alone tells them apart. Every
 * fourth has one elsewhere.
 */
static void inside(uint64_t i)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	static const uint8_t lens[] = {0, 1, 16, 40, 63, 64, 65, 80, 96};
	const struct classify_front *front = ((const struct classify_image *)room)->part[1].front;
	struct rule_set set;
	uint32_t k;

	rules_make(&set, kinds[i % 3], 6, 30 + 20 * i, 3 + 4 * i);
	for (k = 0; k < set.n && i % 2;
	     k++) { /* otherwise the lower half begins with the same 32 bits in all */
		set.rules[k].src[8] = (uint8_t)(set.rules[k].src[13] << 4);
		set.rules[k].dst[8] = set.rules[k].dst[14];
		set.rules[k].dst[11] = (uint8_t)k;
	}
	for (k = 0; k < i && k < set.n; k++) {
		set.rules[k * 7 % set.n].src_len = lens[(i + k) % sizeof(lens)];
		set.rules[k * 5 % set.n].dst_len = lens[(i * 5 + k) % sizeof(lens)];
	}
	if (i % 4 == 3) {
		set.rules[0].src_len = 96;
		set.rules[0].src[2] ^= 0x40;
	}
	all_ways(&set, 4000, i);
	if (!front[0].n_around != (i % 4 == 3) || !front[1].n_around)
		fail("%u, %u prefixes around set %llu", front[0].n_around, front[1].n_around,
		     (unsigned long long)i);
	rules_free(&set);
}

/*
 * However many others were asked for before, and however full it is, the class cache keeps what 60,000 headers bring when they come again and
 * again: of the second half of them next to none changes a word any more. And what it says is right, full or not.
 */
static void kept(uint8_t family)
{
	const struct classify_opts opts = {.structure = CLASSIFY_ONLY_SPLIT, .cache = 1};
	const struct classify_split *split = &((const struct classify_image *)room)->part[family == 6].split;
	struct classify_report report;
	struct rule_set set;
	struct header h;
	uint32_t turn, i, n = 0, used = 0, found, bytes;
	uint64_t state, *before, *words;

	rules_make(&set, "acl", family, 100000, 3);
	if (!compile(&set, &opts, &report) || !split->cache)
		fail("no class cache");
	bytes = (uint32_t)report.part[family == 6].cache_bytes;
	words = (void *)(room + split->cache);
	before = malloc(bytes);
	for (turn = 0; turn < 12; turn++) {
		for (i = 0, state = turn ? 0 : 1; i < (turn ? 60000 : 3000000); i++) {
			if (i == 30000)
				memcpy(before, words, bytes);
			rules_header(&set, rules_below(&state, 100000), 0, &state, &h);
			found = lookup(&h);
			if (i % (turn ? 512 : 8192) == 0 && found != rules_search(&set, &h))
				fail("IPv%u, turn %u, header %u: rule %u", family, turn, i, found);
		}
	}
	for (i = 0; i < bytes / 8; i++) {
		n += before[i] != words[i];
		used += words[i] != 0;
	}
	if (n > 60 || used < bytes / 8 / 100 * 99)
		fail("IPv%u: %u words changed of %u", family, n, used);
	printf("IPv%u: %u of %u words of the class cache change\n", family, n, used);
	free(before);
	rules_free(&set);
}

static void edges(void)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	const struct classify_opts little = {.limit_bytes = 20000};
	struct classify_rule r = everything;
	struct rule_set set = {0};
	uint64_t i;

	for (i = 0; i < 400; i++) { /* 0 to 19 rules of both families */
		rules_make(&set, kinds[i % 3], 0, i / 20, i);
		all_ways(&set, 300, i);
		rules_free(&set);
	}
	nested(4);
	nested(6);
	for (i = 0; i < 16; i++)
		inside(i);
	kept(4);
	kept(6);
	rules_make(&set, "ipc", 0, 3000, 9);
	twice(&set);
	set.rules[17].family = 5;
	rules_free(&set);
	refused((r.family = 5, r), NULL, 18, -EINVAL, "rule 17: family 5, must be 4 or 6");
	r = everything;
	refused((r.dst_len = 33, r), NULL, 2, -EINVAL, "rule 1: a prefix of 33 bits, IPv4 has at most 32");
	r = everything;
	refused((r.family = 6, r.src_len = 129, r), NULL, 1, -EINVAL,
		"rule 0: a prefix of 129 bits, IPv6 has at most 128");
	r = everything;
	refused((r.sport.first = 9, r.sport.last = 8, r), NULL, 1, -EINVAL,
		"rule 0: a port range that ends before it begins");
	refused(everything, NULL, CLASSIFY_MAX_RULES + 1, -ENOSPC, "131001 rules, at most 131000");
	refused(everything, &little, 1, -ENOSPC,
		"IPv4: the rules would not fit: a table of 130 x 128 bytes after 12584, of 20000 that are "
		"allowed; fewer different prefixes and ports are needed, or long lists in sets that have a file, "
		"a timeout or a size");
	say_ways();
}

static void damage(void)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	unsigned long i, k, rounds = 0;
	struct classify_report report;
	struct rule_set set;
	uint64_t state = 4;
	struct header h;
	uint8_t *copy = malloc(CLASSIFY_ROOM);

	for (k = 0; copy && k < 3 * N_WAYS; k++) {
		rules_make(&set, kinds[k % 3], 0, 700, k);
		if (!compile(&set, &ways[k / 3].opts, &report))
			continue;
		memcpy(copy, room, report.bytes);
		for (i = 0; i < 3000; i++, rounds++) {
			uint64_t *at = (uint64_t *)(void *)room;
			uint32_t n = i % 3 ? sizeof(struct classify_image) : (uint32_t)report.bytes, m;

			for (m = 0; m < 1 + i % 5; m++)
				at[rules_below(&state, n / 8)] ^=
					i % 2 ? rules_random(&state) : 1ull << rules_below(&state, 64);
			for (m = 0; m < 40; m++) {
				some_header(&set, m, &state, &h);
				lookup(&h);
			}
			memcpy(room, copy, sizeof(struct classify_image));
			if (i % 100 == 0)
				memcpy(room, copy, report.bytes);
		}
		rules_free(&set);
	}
	free(copy);
	printf("%lu damaged images\n", rounds);
	if (rounds < 3000 * N_WAYS)
		fail("too few of them");
}

static struct classify_bench *bench_of(struct bpf_object *obj)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, ".bss");
	void *p = !map ? MAP_FAILED
		       : mmap(NULL, bpf_map__value_size(map), PROT_READ | PROT_WRITE, MAP_SHARED,
			      bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		fail("no .bss in the object");
	return p;
}

/* All headers of one family through the program, against the native lookup in the same image. */
static void run(struct bpf_object *obj, struct classify_bench *b, const struct rule_set *set, int family,
		uint32_t n)
{
	uint8_t packet[64] = {[12] = family == 4 ? 0x08 : 0x86, [13] = family == 4 ? 0 : 0xdd,
			      [14] = family == 4 ? 0x45 : 0x60, [17] = family == 4 ? 28 : 0,
			      [19] = family == 4 ? 0 : 8,	[20] = family == 4 ? 0 : 17,
			      [23] = family == 4 ? 17 : 0};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = (int)n);
	struct bpf_program *p = bpf_object__find_program_by_name(obj, family == 4 ? "answer4" : "answer6");
	struct header *h = calloc(n, sizeof(*h));
	uint64_t state = 77;
	uint32_t i, want;
	int e;

	for (i = 0; i < n; i++) {
		rules_header(set, rules_below(&state, (uint32_t)set->n), i & 1, &state, &h[i]);
		classify_bench_put(b, i, &h[i]);
	}
	b->turn = 0;
	b->n_headers = n;
	memset(b->answers, 0xff, sizeof(b->answers));
	e = bpf_prog_test_run_opts(bpf_program__fd(p), &o);
	if (e || o.retval != XDP_DROP)
		fail("running it: %s, verdict %u", strerror(-e), o.retval);
	for (i = 0; i < n; i++, n_packets++) {
		want = lookup(&h[i]);
		if (i % 64 == 0 && want != rules_search(set, &h[i]))
			fail("header %u: the native lookup says %u", i, want);
		if (b->answers[i] != want)
			fail("header %u: rule %u, should be %u", i, b->answers[i], want);
	}
	free(h);
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level, (void)fmt, (void)args;
	return 0;
}

static int engine(const char *name, const char *path)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	uint32_t n = strcmp(name, "vm") ? CLASSIFY_HEADERS : 4096, k, sets = 0;
	struct classify_report report;
	struct sluice_err err;
	struct vm *vm = NULL;
	struct bpf_object *obj;
	struct classify_bench *b;
	struct rule_set set;
	int family, e;

	libbpf_set_print(silent);
	if (!strcmp(name, "vm")) {
		if (vm_new(NULL, &vm, &err))
			fail("%s", err.text);
		seam_engine(vm);
	}
	obj = bpf_object__open(path);
	e = obj ? bpf_object__load(obj) : -errno;
	if (e == -EPERM)
		return 4;
	if (e)
		fail("%s: %s", path, strerror(-e));
	b = bench_of(obj);
	for (k = 0; k < 3 * N_WAYS; k++) {
		family = k % 2 ? 6 : 4;
		rules_make(&set, kinds[k % 3], (uint8_t)family, k < 3 ? 10000 : 800, k);
		if (compile(&set, &ways[k / 3].opts, &report)) {
			memcpy(b->image, room, CLASSIFY_ROOM + CLASSIFY_SLACK);
			run(obj, b, &set, family, n);
			sets++;
		}
		rules_free(&set);
	}
	munmap(b, sizeof(*b));
	bpf_object__close(obj);
	seam_engine(NULL);
	vm_free(vm);
	printf("%u sets, %lu packets\n", sets, n_packets);
	return sets > 2 * N_WAYS ? 0 : 1;
}

int main(int argc, char **argv)
{
	make_room();
	if (argc == 6 && !strcmp(argv[1], "made"))
		made(argv[2], (uint8_t)strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
		     strtoul(argv[5], NULL, 10));
	else if (argc == 6 && !strcmp(argv[1], "lists"))
		lists(argv[2], (uint8_t)strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
		      strtoul(argv[5], NULL, 10));
	else if (argc > 3 && !strcmp(argv[1], "given"))
		given((uint8_t)strtoul(argv[2], NULL, 10), argc - 3, argv + 3);
	else if (argc == 2 && !strcmp(argv[1], "edges"))
		edges();
	else if (argc == 2 && !strcmp(argv[1], "damage"))
		damage();
	else if (argc == 4 && !strcmp(argv[1], "engine"))
		return engine(argv[2], argv[3]);
	else
		return 2;
	return 0;
}
