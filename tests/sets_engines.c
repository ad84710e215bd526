// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sets-engines OBJECT [kernel]: the lookups as BPF programs, on the user-space engine and, if asked, in the
 * kernel, against the same lookups in C and against what the writer knows; for every kind of set. Elements
 * nest, spill and expire; counts must come out the same everywhere. In the kernel, a writer also changes a
 * set under a running program, with grace periods of the kernel's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/seam.h"
#include "sets_common.h"
#include "vm/vm.h"

#define ELEMS 2300
#define LOOKUPS 1000

struct side {
	const char *name;
	struct vm *vm;
	struct bpf_object *obj;
	uint8_t *mem;
	int has, hit;
	bool mapped;
	struct sets *set;
};

static const char *path;
static size_t bytes;

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static void open_side(struct side *s, const struct variant *v)
{
	const char *names[2] = {v->family == 6 ? "has6" : "has4", v->family == 6 ? "hit6" : "hit4"};
	uint64_t limit = bytes - SET_LINE;
	struct bpf_map *m;

	seam_engine(s->vm);
	s->obj = bpf_object__open(path);
	if (!s->obj)
		FAIL("cannot open %s", path);
	m = bpf_object__find_map_by_name(s->obj, ".rodata.limit");
	if (!m || bpf_map__set_initial_value(m, &limit, sizeof(limit)))
		FAIL("cannot set the limit");
	m = bpf_object__find_map_by_name(s->obj, "set_memory");
	bpf_map__set_value_size(m, (uint32_t)bytes);
	if (bpf_object__load(s->obj))
		FAIL("%s: cannot load: %s", s->name, strerror(errno));
	s->mem = mmap(NULL, (bytes + 4095) & ~4095ul, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(m), 0);
	if (s->mem == MAP_FAILED)
		FAIL("%s: mmap: %s", s->name, strerror(errno));
	s->has = bpf_program__fd(bpf_object__find_program_by_name(s->obj, names[0]));
	s->hit = bpf_program__fd(bpf_object__find_program_by_name(s->obj, names[1]));
	seam_engine(NULL);
}

static void close_side(struct side *s)
{
	sets_free(s->set);
	munmap(s->mem, (bytes + 4095) & ~4095ul);
	seam_engine(s->vm);
	bpf_object__close(s->obj);
	seam_engine(NULL);
	vm_free(s->vm);
}

static uint32_t ask(const struct side *s, int prog, uint64_t hi, uint64_t lo, uint32_t now)
{
	struct {
		uint8_t head[16];
		uint64_t hi, lo;
		uint32_t now, rest[10];
	} packet = {.hi = hi, .lo = lo, .now = now};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = &packet, .data_size_in = sizeof(packet), .repeat = 1);

	seam_engine(s->vm);
	if (bpf_prog_test_run_opts(prog, &o) || (o.retval != 1 && o.retval != 2))
		FAIL("%s: running gave verdict %u: %s", s->name, o.retval, strerror(errno));
	seam_engine(NULL);
	return o.retval == 1;
}

static struct sets_elem any(const struct variant *v)
{
	struct sets_elem e = {.hi = v->family == 6 ? 0x2001000000000000ull |
							     (rnd_of(&rnd_state) & 0x0fff000f00000fffull)
						   : 0,
			      .lo = rnd_of(&rnd_state) &
				    (v->family == 6 ? 0xff000000000000ffull : 0xff0f0f1f)};

	e.len = v->kind == SET_ADDRS ? longest(v)
		: rnd(8)	     ? (uint8_t)(longest(v) / 4 + rnd(longest(v) * 3u / 4 + 1))
				     : 20;
	if (v->flags & SET_EXPIRES && rnd(2))
		e.expires = 1 + rnd(100);
	cut(v, &e);
	return e;
}

/* The longest element there is for it that lives at now; what programs count for. */
static bool live(struct sets *set, const struct variant *v, struct sets_elem at, uint32_t now,
		 struct sets_elem *e)
{
	int len = longest(v), least = v->kind == SET_ADDRS ? len : 0;

	for (; len >= least; len--) {
		*e = at;
		e->len = (uint8_t)len;
		e->expires = 0;
		cut(v, e);
		if (!sets_get(set, e, &e->expires, NULL) && (!e->expires || !now || e->expires > now))
			return true;
	}
	return false;
}

static void compare(const struct variant *v, struct side *sides, size_t n_sides)
{
	uint64_t hits = 0, expired = 0, counted[ELEMS] = {0};
	struct sets_elem *list, found;
	struct set_count counts;
	size_t n, i, k, j;

	list = list_of(sides[0].set, &n);
	for (i = 0; i < LOOKUPS; i++) {
		struct sets_elem e = i % 3 ? any(v) : list[rnd((uint32_t)n)];
		uint32_t now = i % 2 ? 50 : 0;
		bool want = !sets_test(sides[0].set, e.hi, e.lo, &found),
		     want_hit = live(sides[0].set, v, e, now, &found);

		hits += want_hit;
		expired += want && !want_hit;
		for (k = 0; want_hit && k < n; k++)
			if (!sets_order(&list[k], &found))
				counted[k]++;
		for (j = 0; j < n_sides; j++) {
			const struct side *s = &sides[j];
			uint32_t is =
				s->mapped ? ask(s, s->has, e.hi, e.lo, 0) : has(v, s->mem, bytes, e.hi, e.lo);
			uint32_t live_is = s->mapped ? ask(s, s->hit, e.hi, e.lo, now)
						     : hit(v, s->mem, bytes, e.hi, e.lo, 60, now);

			if (is != want || live_is != want_hit)
				FAIL("%s: the address of %s: has %u, hit %u; not %d, %d", s->name,
				     text(v, &e), is, live_is, want, want_hit);
		}
	}
	if (hits < LOOKUPS / 5 || hits > LOOKUPS * 9 / 10 || (v->flags && !expired))
		FAIL("%s: %llu hits of %u, %llu expired: no test", v->name, (unsigned long long)hits, LOOKUPS,
		     (unsigned long long)expired);
	for (j = 0; j < n_sides && v->flags & SET_COUNTS; j++)
		for (k = 0; k < n; k++)
			if (sets_get(sides[j].set, &list[k], NULL, &counts) || counts.packets != counted[k] ||
			    counts.bytes != counted[k] * 60)
				FAIL("%s: %s counted %llu packets, not %llu", sides[j].name,
				     text(v, &list[k]), (unsigned long long)counts.packets,
				     (unsigned long long)counted[k]);
	free(list);
}

static struct {
	struct side *side;
	const struct variant *v;
	bool stop;
	uint64_t changes;
} churn;

/* Changes all but the elements of the list it began with. */
static void *change(void *unused)
{
	struct sets_elem mine[400];
	struct sluice_err err;
	size_t n = 0, i;
	bool added;

	(void)unused;
	while (n < 400) {
		struct sets_elem e = any(churn.v);

		e.expires = 0;
		if (sets_add(churn.side->set, &e, &added, &err))
			FAIL("%s", err.text);
		if (!added)
			continue;
		mine[n++] = e;
	}
	while (!__atomic_load_n(&churn.stop, __ATOMIC_ACQUIRE))
		for (i = 0; i < n; i++) {
			if (sets_del(churn.side->set, &mine[i], &err))
				FAIL("%s", err.text);
			if (sets_add(churn.side->set, &mine[(i * 7) % n], NULL, &err) ||
			    sets_add(churn.side->set, &mine[i], NULL, &err))
				FAIL("%s", err.text);
			__atomic_fetch_add(&churn.changes, 2, __ATOMIC_RELAXED);
		}
	for (i = 0; i < n; i++)
		sets_del(churn.side->set, &mine[i], &err);
	return NULL;
}

static void race(const struct variant *v, struct side *s)
{
	struct sets_elem *list;
	pthread_t thread;
	size_t n, i;

	list = list_of(s->set, &n);
	churn.side = s, churn.v = v, churn.stop = false, churn.changes = 0;
	if (pthread_create(&thread, NULL, change, NULL))
		FAIL("no thread");
	for (i = 0; i < 8000 || (i < 4000000 && __atomic_load_n(&churn.changes, __ATOMIC_RELAXED) < 4000);
	     i++) {
		const struct sets_elem *e = &list[i % n];

		if (!ask(s, s->has, e->hi, e->lo, 0))
			FAIL("%s: a program missed %s while others changed", s->name, text(v, e));
	}
	__atomic_store_n(&churn.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	if (churn.changes < 4000)
		FAIL("nothing changed meanwhile");
	free(list);
}

static int at_once(void *arg)
{
	(void)arg;
	return 0;
}

int main(int argc, char **argv)
{
	bool kernel = argc == 3 && !strcmp(argv[2], "kernel");
	const struct vm_config config = {.seed = 9};
	size_t i, j, n_sides = kernel ? 3 : 2, k;
	struct sluice_err err;

	if (argc < 2)
		FAIL("usage: sets-engines OBJECT [kernel]");
	path = argv[1];
	libbpf_set_print(silent);
	for (i = 0; i < N_VARIANTS; i++) {
		const struct variant *v = &variants[i];
		struct side sides[3] = {{.name = "C"},
					{.name = "user-space engine", .mapped = true},
					{.name = "kernel", .mapped = true}};
		struct sets_spec spec = {.family = v->family,
					 .kind = v->kind,
					 .flags = v->flags,
					 .root_bits = v->root_bits,
					 .version = v->version,
					 .n = ELEMS,
					 .seed = 3 + i,
					 .grace = at_once};

		if (sets_bytes(&spec, &bytes, &err) || vm_new(&config, &sides[1].vm, &err))
			FAIL("%s", err.text);
		sides[0].mem = guarded(bytes);
		for (j = 0; j < n_sides; j++) {
			if (sides[j].mapped)
				open_side(&sides[j], v);
			rnd_state = 100 + i;
			spec.grace = j == 2 ? NULL : at_once;
			if (sets_create(sides[j].mem, bytes, &spec, &sides[j].set, &err))
				FAIL("%s", err.text);
			for (k = 0; k < ELEMS - 500; k++) {
				struct sets_elem e = any(v), gone = any(v);

				if (sets_add(sides[j].set, &e, NULL, &err) ||
				    sets_add(sides[j].set, &gone, NULL, &err) ||
				    sets_del(sides[j].set, &gone, &err))
					FAIL("%s: %s", sides[j].name, err.text);
			}
		}
		compare(v, sides, n_sides);
		if (kernel)
			race(v, &sides[2]);
		for (j = 1; j < n_sides; j++)
			close_side(&sides[j]);
		sets_free(sides[0].set);
		guarded_free(sides[0].mem, bytes);
	}
	printf("%zu kinds of sets: %d lookups each agree in C, on the user-space engine%s\n", N_VARIANTS,
	       LOOKUPS, kernel ? ", in the kernel; and while they change" : "");
	return 0;
}
