// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sets-kill SEED TIMES: a writer in a process of its own is killed at a random moment, TIMES times, in the
 * same sets over and over. Whoever opens the memory next must find all that the writer said was done, and go
 * on.
 *
 * What a writer does is a function of a number: it toggles element (number) of a list. It stores the number
 * before and after each step, so that of one element at most it is open whether it is there.
 */
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>

#include "sets_common.h"

#define ELEMS 3000

struct shared {
	uint64_t begun, done;
};

struct room {
	uint8_t *mem;
	size_t bytes;
	struct shared *log;
	struct sets_elem elems[ELEMS];
	bool there[ELEMS];
	uint64_t replayed, kills, repairs;
};

static struct room rooms[N_VARIANTS];

static void choose(const struct variant *v, struct room *r)
{
	size_t i, k = 0;

	while (k < ELEMS) {
		struct sets_elem e = {.hi = v->family == 6 ? 0x20010db800000000ull | rnd(40) << 4 : 0,
				      .lo = v->family == 6 ? rnd_of(&rnd_state) & 0xf00f
							   : rnd(1u << 31) & 0xc3ff0fff};

		/* few that cover many of the others */
		e.len = v->kind == SET_ADDRS ? longest(v)
			: rnd(100)	     ? (uint8_t)(longest(v) / 2 + 1 + rnd(longest(v) / 2))
					     : (uint8_t)(1 + rnd(longest(v)));
		if (v->flags & SET_EXPIRES)
			e.expires = 1 + rnd(1000);
		if (v->kind == SET_ADDRS)
			e.lo = v->family == 6 ? rnd_of(&rnd_state) : rnd_of(&rnd_state) >> 32;
		cut(v, &e);
		for (i = 0; i < k && sets_order(&r->elems[i], &e); i++)
			;
		if (i == k)
			r->elems[k++] = e;
	}
}

static uint32_t element_of(uint64_t number)
{
	uint64_t state = number * 0x2545f4914f6cdd1dull;

	return (uint32_t)(rnd_of(&state) % ELEMS);
}

/* Else most of the time would be spent, and most writers killed, waiting. */
static int nobody_reads(void *arg)
{
	(void)arg;
	return 0;
}

/* The writer; ends only by being killed. */
static void write_on(const struct variant *v, struct room *r)
{
	struct sets *set;
	struct sluice_err err;
	uint64_t i;

	(void)v;
	if (sets_open(r->mem, r->bytes, nobody_reads, NULL, &set, &err)) {
		fprintf(stderr, "the writer: %s\n", err.text);
		_exit(1);
	}
	for (i = r->replayed;; i++) {
		const struct sets_elem *e = &r->elems[element_of(i)];
		int error;

		__atomic_store_n(&r->log->begun, i + 1, __ATOMIC_SEQ_CST);
		error = r->there[element_of(i)] ? sets_del(set, e, &err) : sets_add(set, e, NULL, &err);
		if (error) {
			fprintf(stderr, "the writer, step %llu: %s\n", (unsigned long long)i, err.text);
			_exit(1);
		}
		r->there[element_of(i)] ^= true;
		__atomic_store_n(&r->log->done, i + 1, __ATOMIC_SEQ_CST);
	}
}

static void check(const struct variant *v, struct room *r)
{
	uint32_t open = ELEMS, busy = ((struct set_head *)(void *)r->mem)->busy, i, n = 0;
	uint64_t first = r->replayed, at;
	struct sets_elem found, last;
	struct sets_stats stats;
	struct sluice_err err;
	struct sets *set;

	for (at = r->replayed; at < r->log->done; at++)
		r->there[element_of(at)] ^= true;
	r->replayed = r->log->done;
	if (r->log->begun != r->log->done)
		open = element_of(r->log->done);
	if (sets_open(r->mem, r->bytes, nobody_reads, NULL, &set, &err))
		FAIL("%s: %s", v->name, err.text);
	for (i = 0; i < ELEMS; i++) {
		struct sets_elem *e = &r->elems[i];
		uint32_t expires;
		bool there = !sets_get(set, e, &expires, NULL), covered;

		if (i == open)
			r->there[i] = there;
		if (there != r->there[i] || (there && expires != e->expires))
			FAIL("%s after step %llu (from %llu): %s is%s there, expires %u", v->name,
			     (unsigned long long)r->replayed, (unsigned long long)first, text(v, e),
			     there ? "" : " not", expires);
		n += there;
		covered = !sets_test(set, e->hi, e->lo, &found);
		if (has(v, r->mem, r->bytes, e->hi, e->lo) != covered || (there && !covered))
			FAIL("%s: a reader and the writer differ about %s", v->name, text(v, e));
		last = *e;
		fill(v, &last);
		covered = !sets_test(set, last.hi, last.lo, &found);
		if (has(v, r->mem, r->bytes, last.hi, last.lo) != covered || (there && !covered))
			FAIL("%s: a reader and the writer differ about the last of %s", v->name, text(v, e));
	}
	sets_stats(set, &stats);
	if (stats.n != n)
		FAIL("%s: the count is %llu, not %u", v->name, (unsigned long long)stats.n, n);
	/* the step that was open counts as done if it was */
	if (open != ELEMS) {
		struct sets_elem *e = &r->elems[open];

		if (r->there[open] ? sets_del(set, e, &err) || sets_add(set, e, NULL, &err)
				   : sets_add(set, e, NULL, &err) || sets_del(set, e, &err))
			FAIL("%s: going on: %s", v->name, err.text);
	}
	r->log->begun = r->log->done;
	r->repairs += busy;
	r->kills++;
	sets_free(set);
}

int main(int argc, char **argv)
{
	unsigned long times, t;
	uint64_t kills = 0, repairs = 0, steps = 0;
	size_t i;

	if (argc != 3)
		FAIL("usage: sets-kill SEED TIMES");
	rnd_state = strtoull(argv[1], NULL, 10);
	times = strtoul(argv[2], NULL, 10);
	for (i = 0; i < N_VARIANTS; i++) {
		const struct variant *v = &variants[i];
		struct sets_spec spec = {.family = v->family,
					 .kind = v->kind,
					 .flags = v->flags,
					 .root_bits = v->root_bits,
					 .version = v->version,
					 .n = ELEMS,
					 .seed = 5 + i};
		struct room *r = &rooms[i];
		struct sluice_err err;
		struct sets *set;

		if (sets_bytes(&spec, &r->bytes, &err))
			FAIL("%s", err.text);
		r->mem = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		r->log = mmap(NULL, sizeof(*r->log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			      0);
		if (r->mem == MAP_FAILED || r->log == MAP_FAILED ||
		    sets_create(r->mem, r->bytes, &spec, &set, &err))
			FAIL("no set");
		sets_free(set);
		choose(v, r);
	}
	for (t = 0; t < times; t++) {
		struct room *r = &rooms[t % N_VARIANTS];
		struct timespec nap = {.tv_nsec = 200000 + rnd(6000000)};
		uint64_t before = r->replayed;
		int status;
		pid_t pid = fork();

		if (pid < 0)
			FAIL("no process");
		if (!pid)
			write_on(&variants[t % N_VARIANTS], r);
		/* at work, then a little more */
		while (__atomic_load_n(&r->log->begun, __ATOMIC_SEQ_CST) <= before &&
		       !waitpid(pid, &status, WNOHANG))
			;
		nanosleep(&nap, NULL);
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status))
			FAIL("a writer ended by itself");
		check(&variants[t % N_VARIANTS], r);
		steps += r->replayed - before;
	}
	for (i = 0; i < N_VARIANTS; i++) {
		kills += rooms[i].kills;
		repairs += rooms[i].repairs;
		munmap(rooms[i].mem, rooms[i].bytes);
		munmap(rooms[i].log, sizeof(*rooms[i].log));
	}
	printf("%llu writers killed after %llu steps, %llu of them in a change\n", (unsigned long long)kills,
	       (unsigned long long)steps, (unsigned long long)repairs);
	if (kills == times && repairs < times / 8)
		FAIL("too few were killed at work to say anything");
	return 0;
}
