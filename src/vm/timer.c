// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Timers: found by address in a hash, the next one due at the top of a binary heap. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vm/helper_fn.h"
#include "vm/lock.h"
#include "vm/map_hash.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/timer.h"

#define TIMER_BYTES 16 /* struct bpf_timer */
#define MOST_CLOCKS 16
#define ABSOLUTE 1 /* BPF_F_TIMER_ABS */
#define CPU_PIN 2  /* BPF_F_TIMER_CPU_PIN: wherever it is called back, that is the CPU */
#define NEVER UINT64_MAX

struct timer {
	struct timer *next; /* in its bucket */
	struct map *map;
	struct vm_program *prog; /* NULL: no callback */
	const struct vm_run *runner;
	uint64_t addr, func, at_ns;
	uint32_t place; /* in the heap + 1; 0: not started */
	clockid_t clock;
	bool gone;
};

struct vm_timers {
	uint32_t lock, n, n_heap, cap_heap, mask;
	struct timer **bucket, **heap;
	uint64_t next_ns; /* read without the lock */
};

static struct timer **bucket(struct vm_timers *t, uint64_t addr)
{
	return &t->bucket[(addr * 0x9e3779b97f4a7c15ull >> 32) & t->mask];
}

static struct timer *find(struct vm_timers *t, uint64_t addr)
{
	struct timer *it = *bucket(t, addr);

	while (it && it->addr != addr)
		it = it->next;
	return it;
}

static void settle(struct vm_timers *t, uint32_t i, struct timer *it)
{
	t->heap[i] = it;
	it->place = i + 1;
}

static void up(struct vm_timers *t, uint32_t i)
{
	struct timer *it = t->heap[i];

	for (; i && t->heap[(i - 1) / 2]->at_ns > it->at_ns; i = (i - 1) / 2)
		settle(t, i, t->heap[(i - 1) / 2]);
	settle(t, i, it);
}

static void down(struct vm_timers *t, uint32_t i)
{
	struct timer *it = t->heap[i];
	uint32_t child;

	for (;; i = child) {
		child = 2 * i + 1;
		if (child >= t->n_heap)
			break;
		if (child + 1 < t->n_heap && t->heap[child + 1]->at_ns < t->heap[child]->at_ns)
			child++;
		if (t->heap[child]->at_ns >= it->at_ns)
			break;
		settle(t, i, t->heap[child]);
	}
	settle(t, i, it);
}

static void note_next(struct vm_timers *t)
{
	__atomic_store_n(&t->next_ns, t->n_heap ? t->heap[0]->at_ns : NEVER, __ATOMIC_RELAXED);
}

static bool stop(struct vm_timers *t, struct timer *it)
{
	uint32_t i = it->place - 1;
	struct timer *last;

	if (!it->place)
		return false;
	it->place = 0;
	last = t->heap[--t->n_heap];
	if (last != it) {
		settle(t, i, last);
		up(t, i);
		down(t, last->place - 1);
	}
	note_next(t);
	return true;
}

static int start(struct vm_timers *t, struct timer *it, uint64_t at_ns)
{
	struct timer **more;

	stop(t, it);
	if (t->n_heap == t->cap_heap) {
		more = reallocarray(t->heap, t->cap_heap ? 2 * t->cap_heap : 16, sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->heap = more;
		t->cap_heap = t->cap_heap ? 2 * t->cap_heap : 16;
	}
	it->at_ns = at_ns;
	settle(t, t->n_heap++, it);
	up(t, it->place - 1);
	note_next(t);
	return 0;
}

/* Twice the buckets when there are more timers than that. */
static int grow(struct vm_timers *t)
{
	struct vm_timers new = {.mask = t->bucket ? 2 * t->mask + 1 : 63};
	struct timer *it, *next;
	uint32_t i;

	if (t->bucket && t->n <= t->mask)
		return 0;
	new.bucket = calloc(new.mask + 1, sizeof(*new.bucket));
	if (!new.bucket)
		return t->bucket ? 0 : -ENOMEM;
	for (i = 0; t->bucket && i <= t->mask; i++)
		for (it = t->bucket[i]; it; it = next) {
			next = it->next;
			it->next = *bucket(&new, it->addr);
			*bucket(&new, it->addr) = it;
		}
	free(t->bucket);
	t->bucket = new.bucket;
	t->mask = new.mask;
	return 0;
}

static struct vm_timers *timers_of(struct vm *vm)
{
	return __atomic_load_n(&vm->timers, __ATOMIC_ACQUIRE);
}

static struct vm_timers *timers_make(struct vm *vm)
{
	struct vm_timers *none = NULL, *t = timers_of(vm);

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->next_ns = NEVER;
	if (__atomic_compare_exchange_n(&vm->timers, &none, t, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return t;
	free(t);
	return none;
}

/* Out of the hash; freed now, or by whoever calls it back at this moment. */
static void forget(struct vm_timers *t, struct timer *it)
{
	struct timer **at = bucket(t, it->addr);

	stop(t, it);
	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	t->n--;
	it->gone = true;
	if (!it->runner)
		free(it);
}

void timer_value_gone(struct map *map, const void *value)
{
	struct vm_timers *t = timers_of(map->vm);
	struct timer *it;
	uint32_t i;

	if (!t)
		return;
	spin_take(&t->lock);
	for (i = 0; t->bucket && i < map->n_holes; i++) {
		it = find(t, (uint64_t)(uintptr_t)value + map->hole[i].off);
		if (it)
			forget(t, it);
	}
	spin_drop(&t->lock);
}

static void each(struct vm *vm, struct map *map, struct vm_program *prog)
{
	struct vm_timers *t = timers_of(vm);
	struct timer *it, *next;
	uint32_t i;

	if (!t)
		return;
	spin_take(&t->lock);
	for (i = 0; t->bucket && i <= t->mask; i++)
		for (it = t->bucket[i]; it; it = next) {
			next = it->next;
			if (it->map == map)
				forget(t, it);
			else if (prog && it->prog == prog) {
				stop(t, it);
				it->prog = NULL;
			}
		}
	spin_drop(&t->lock);
}

void timer_map_gone(struct map *map)
{
	if (map->has_special)
		each(map->vm, map, NULL);
}

void timer_prog_gone(struct vm_program *prog)
{
	if (prog->vm)
		each(prog->vm, NULL, prog);
}

void timer_free_all(struct vm *vm)
{
	struct vm_timers *t = vm->timers;
	struct timer *it, *next;
	uint32_t i;

	for (i = 0; t && t->bucket && i <= t->mask; i++)
		for (it = t->bucket[i]; it; it = next) {
			next = it->next;
			free(it);
		}
	if (t) {
		free(t->bucket);
		free(t->heap);
	}
	free(t);
	vm->timers = NULL;
}

/* Is there a struct bpf_timer in a value of the map there? */
static bool is_timer(struct map *map, uint64_t addr)
{
	uint64_t value, len;
	uint32_t i;

	if (!map->has_special || !map->ops->region || !map->ops->region(map, addr, &value, &len))
		return false;
	for (i = 0; i < map->n_holes; i++)
		if (map->hole[i].len == TIMER_BYTES && addr == value + map->hole[i].off)
			return true;
	return false;
}

static int make(struct vm_timers *t, struct map *map, uint64_t addr, clockid_t clock)
{
	struct timer *it = t->bucket ? find(t, addr) : NULL;

	if (it)
		return -EBUSY;
	it = calloc(1, sizeof(*it));
	if (!it || grow(t)) {
		free(it);
		return -ENOMEM;
	}
	*it = (struct timer){.next = *bucket(t, addr), .map = map, .addr = addr, .clock = clock};
	*bucket(t, addr) = it;
	t->n++;
	return 0;
}

DEFINE(timer_init)
{
	clockid_t clock = (clockid_t)(a3 & (MOST_CLOCKS - 1));
	struct vm_timers *t;
	int e;

	if (!is_timer(map_of(a2), a1)) {
		vm_run_fail(run, "that is no timer in a value of the map");
		return 0;
	}
	if (a3 >= MOST_CLOCKS ||
	    (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME))
		return answer(-EINVAL);
	t = timers_make(host_of(run)->vm);
	if (!t)
		return answer(-ENOMEM);
	spin_take(&t->lock);
	e = make(t, map_of(a2), a1, clock);
	spin_drop(&t->lock);
	return answer(e);
}

/* The timer at addr, with the lock held; NULL, without it: there is none. */
static struct timer *take(struct vm_run *run, uint64_t addr, struct vm_timers **of)
{
	struct vm_timers *t = timers_of(host_of(run)->vm);
	struct timer *it;

	*of = t;
	if (!t)
		return NULL;
	spin_take(&t->lock);
	it = t->bucket ? find(t, addr) : NULL;
	if (!it)
		spin_drop(&t->lock);
	return it;
}

DEFINE(timer_set_callback)
{
	struct vm_timers *t;
	struct timer *it = take(run, a1, &t);

	if (!it)
		return answer(-EINVAL);
	it->prog = vm_prog_owner(run->prog);
	it->func = a2;
	spin_drop(&t->lock);
	return 0;
}

DEFINE(timer_start)
{
	uint64_t now = host_now(run, CLOCK_MONOTONIC), by, at;
	struct vm_timers *t;
	struct timer *it;
	int e;

	if (a3 & ~(uint64_t)(ABSOLUTE | CPU_PIN))
		return answer(-EINVAL);
	it = take(run, a1, &t);
	if (!it)
		return answer(-EINVAL);
	by = host_now(run, it->clock);
	at = a3 & ABSOLUTE ? (a2 > by ? a2 - by : 0) : a2;
	at = __builtin_add_overflow(now, at, &at) ? NEVER - 1 : at;
	e = it->prog ? start(t, it, at) : -EINVAL;
	spin_drop(&t->lock);
	return answer(e);
}

DEFINE(timer_cancel)
{
	struct vm_timers *t;
	struct timer *it = take(run, a1, &t);
	bool was;

	if (!it)
		return answer(-EINVAL);
	if (it->runner == run) {
		spin_drop(&t->lock);
		return answer(-EDEADLK);
	}
	was = stop(t, it);
	it->prog = NULL;
	spin_drop(&t->lock);
	return was;
}

/* The key of the value that addr lies in, which is in front of it or is its place. */
static bool key_of(struct map *map, uint64_t addr, uint8_t *key, uint64_t *value)
{
	uint64_t len;
	uint32_t i;

	if (!map->ops->region(map, addr, value, &len) || map->key_size > MAP_MOST_KEY)
		return false;
	if (map->type == BPF_MAP_TYPE_ARRAY) {
		i = (uint32_t)((*value - (uintptr_t)map->data) / map->stride);
		memcpy(key, &i, sizeof(i));
	} else {
		memcpy(key,
		       ((const struct hash_elem *)ptr(*value - ((struct map_hash *)map)->value_off))->key,
		       map->key_size);
	}
	return true;
}

static int call_back(struct vm_run *run, struct map *map, uint64_t func, uint64_t addr)
{
	uint64_t args[5] = {(uintptr_t)map}, ret;
	uint8_t key[MAP_MOST_KEY];
	int e;

	if (!key_of(map, addr, key, &args[2]))
		return 0;
	args[1] = (uintptr_t)key;
	vm_run_region(run, VM_REGION_PACKET, NULL, 0, false);
	vm_run_region(run, VM_REGION_MORE, key, map->key_size, false);
	run->budget = VM_BUDGET;
	e = vm_exec_func(run, func, (uintptr_t)&host_of(run)->packet->ctx, args, &ret);
	vm_run_region(run, VM_REGION_MORE, NULL, 0, false);
	helper_give_back(host_of(run));
	return e;
}

int timer_run(struct vm_run *run)
{
	struct vm_timers *t = timers_of(host_of(run)->vm);
	uint64_t now, addr, func;
	struct timer *it;
	struct map *map;
	uint32_t left;
	int e = 0;

	if (!t || __atomic_load_n(&t->next_ns, __ATOMIC_RELAXED) == NEVER)
		return 0;
	now = host_now(run, CLOCK_MONOTONIC);
	spin_take(&t->lock);
	for (left = t->n_heap; left && !e && t->n_heap && t->heap[0]->at_ns <= now; left--) {
		it = t->heap[0];
		if (it->runner) /* started again while it is called back: one at a time, the next packet's run sees to it */
			break;
		stop(t, it);
		it->runner = run;
		map = it->map;
		func = it->func;
		addr = it->addr;
		spin_drop(&t->lock);
		e = call_back(run, map, func, addr);
		spin_take(&t->lock);
		it->runner = NULL;
		if (it->gone)
			free(it);
	}
	spin_drop(&t->lock);
	return e;
}
