// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of helpers, and those that know no packet: maps, time, numbers, loops, locks, ring buffers. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "vm/helper_fn.h"
#include "vm/lock.h"
#include "vm/map_hash.h"
#include "vm/map_ring.h"
#include "vm/sys.h"

static const struct vm_helper table[] = {
#define HELPER(name_, a, b, c, d, e)                         \
	[BPF_FUNC_##name_] = {.name = #name_,                \
			      .fn = helper_##name_,          \
			      .arg = KINDS(a, b, c, d, e), \
			      .size = SIZES(a, b, c, d, e)},
#define HELPER_GPL HELPER
#include "vm/helper.def"
#undef HELPER
#undef HELPER_GPL
};

static const bool gpl[] = {
#define HELPER(name, a, b, c, d, e) [BPF_FUNC_##name] = false,
#define HELPER_GPL(name, a, b, c, d, e) [BPF_FUNC_##name] = true,
#include "vm/helper.def"
#undef HELPER
#undef HELPER_GPL
};

const struct vm_helper *helper_find(int32_t number)
{
	return number > 0 && (size_t)number < sizeof(table) / sizeof(*table) && table[number].fn ? &table[number] : NULL;
}

bool helper_is_gpl(int32_t number)
{
	return number > 0 && (size_t)number < sizeof(gpl) / sizeof(*gpl) && gpl[number];
}

bool helper_licence_is_gpl(const char *licence)
{
	static const char *const ones[] = {"GPL",	   "GPL v2",	   "GPL and additional rights",
					   "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
	size_t i;

	for (i = 0; i < sizeof(ones) / sizeof(*ones); i++)
		if (strcmp(licence, ones[i]) == 0)
			return true;
	return false;
}

uint64_t host_readable(struct vm_run *run, uint64_t addr)
{
	uint64_t stack = (uintptr_t)run->stack;
	struct vm_region more;
	unsigned int i;

	for (i = 0; i < VM_REGIONS; i++)
		if (addr - run->region[i].start < run->region[i].len && run->region[i].reads[0])
			return run->region[i].len - (addr - run->region[i].start);
	if (vm_prog_trusted(run->prog) && addr - stack < sizeof(run->stack)) /* its frames are not kept track of */
		return sizeof(run->stack) - (addr - stack);
	return run->env->region && run->env->region(run, addr, &more) && more.reads[0] ? more.len - (addr - more.start) : 0;
}

DEFINE(map_lookup_elem)
{
	struct map *map = map_of(a1);

	return (uintptr_t)map->lookup(map, ptr(a2), host_of(run)->cpu);
}

DEFINE(map_lookup_percpu_elem)
{
	struct map *map = map_of(a1);

	return (uint32_t)a3 < map->n_cpus && map->ops->percpu ? (uintptr_t)map->lookup(map, ptr(a2), (uint32_t)a3) : 0;
}

/* Maps that programs may only read: most calls are refused when the program is loaded (helper_check()). */
static bool may_write(struct vm_run *run, const struct map *map)
{
	if (map->flags & BPF_F_RDONLY_PROG)
		vm_run_fail(run, "writes into a map that programs may only read");
	return !(map->flags & BPF_F_RDONLY_PROG);
}

DEFINE(map_update_elem)
{
	struct map *map = map_of(a1);

	if (!may_write(run, map))
		return 0;
	if (a4 & BPF_F_LOCK && host_of(run)->held) {
		vm_run_fail(run, "updates under a lock while it holds one");
		return 0;
	}
	return answer(map->ops->update(map, ptr(a2), ptr(a3), a4, host_of(run)->cpu));
}

DEFINE(map_delete_elem)
{
	struct map *map = map_of(a1);

	return may_write(run, map) ? answer(map->ops->del(map, ptr(a2))) : 0;
}

DEFINE(map_push_elem)
{
	struct map *map = map_of(a1);

	if (!may_write(run, map))
		return 0;
	return answer(map->ops->push ? map->ops->push(map, ptr(a2), a3) : -EOPNOTSUPP);
}

DEFINE(map_pop_elem)
{
	struct map *map = map_of(a1);

	if (!may_write(run, map))
		return 0;
	return answer(map->ops->pop ? map->ops->pop(map, ptr(a2)) : -EOPNOTSUPP);
}

DEFINE(map_peek_elem)
{
	struct map *map = map_of(a1);

	return (uint64_t)(int64_t)(map->ops->peek ? map->ops->peek(map, ptr(a2)) : -EOPNOTSUPP);
}

/* One step: false ends the walk. */
static bool visit(struct vm_run *run, uint64_t func, uint64_t args[5], struct map *map, const void *key, void *value)
{
	uint64_t ret;

	args[1] = (uintptr_t)key;
	args[2] = (uintptr_t)value;
	vm_run_region(run, VM_REGION_MORE, key, map->key_size, false);
	return !vm_callback(run, func, args, &ret) && !ret;
}

static uint64_t each_index(struct vm_run *run, struct map *map, uint64_t func, uint64_t args[5])
{
	uint32_t i, key;

	for (i = 0; i < map->max_entries; i++) {
		key = i;
		if (!vm_run_charge(run, 1) || !visit(run, func, args, map, &key, map->lookup(map, &key, host_of(run)->cpu)))
			return i + 1;
	}
	return i;
}

/* By slot, so that the callback may delete what it is shown: what it adds meanwhile is seen or not, as in the kernel. */
static uint64_t each_element(struct vm_run *run, struct map *map, uint64_t func, uint64_t args[5])
{
	const struct map_hash *h = (const struct map_hash *)map;
	uint32_t i, most = __atomic_load_n(&h->touched, __ATOMIC_ACQUIRE);
	uint8_t key[MAP_MOST_KEY];
	uint64_t n = 0;
	void *value;

	for (i = 0; i < most; i++) {
		const struct hash_elem *e = (const void *)(h->slab + (uint64_t)i * h->elem_bytes);

		if (!vm_run_charge(run, 1))
			break;
		if (!(__atomic_load_n(&e->tag, __ATOMIC_ACQUIRE) & HASH_LIVE))
			continue;
		memcpy(key, e->key, map->key_size);
		value = map->lookup(map, key, host_of(run)->cpu);
		if (!value)
			continue;
		n++;
		if (!visit(run, func, args, map, key, value))
			break;
	}
	return n;
}

DEFINE(for_each_map_elem)
{
	struct map *map = map_of(a1);
	const struct vm_region outer = run->region[VM_REGION_MORE]; /* the key of a walk around this one */
	uint64_t args[5] = {a1, 0, 0, a3, 0}, n = 0;

	if (a4)
		return answer(-EINVAL);
	switch (map->type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		n = each_index(run, map, a2, args);
		break;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		if (map->key_size > MAP_MOST_KEY)
			return answer(-EINVAL);
		n = each_element(run, map, a2, args);
		break;
	default:
		vm_run_fail(run, "walks over a map that is neither an array nor a hash table");
	}
	run->region[VM_REGION_MORE] = outer;
	return n;
}

uint64_t host_now(const struct vm_run *run, clockid_t clock)
{
	const struct vm_host *host = run->host;
	uint64_t ns = host->now_ns ? host->now_ns : __atomic_load_n(&host->vm->now_ns, __ATOMIC_RELAXED);

	return ns ? ns : clock_of(clock);
}

DEFINE(ktime_get_ns)
{
	return host_now(run, CLOCK_MONOTONIC);
}

DEFINE(ktime_get_boot_ns)
{
	return host_now(run, CLOCK_BOOTTIME);
}

DEFINE(ktime_get_coarse_ns)
{
	return host_now(run, CLOCK_MONOTONIC_COARSE);
}

DEFINE(ktime_get_tai_ns)
{
	return host_now(run, CLOCK_TAI);
}

DEFINE(jiffies64)
{
	return host_now(run, CLOCK_MONOTONIC_COARSE) / 4000000; /* 250 a second, as distributions build it */
}

DEFINE(get_prandom_u32)
{
	uint64_t *s = &host_of(run)->random;

	*s = *s * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*s >> 32 ^ *s >> 11);
}

DEFINE(get_smp_processor_id)
{
	return host_of(run)->cpu;
}

DEFINE(get_numa_node_id)
{
	return 0;
}

DEFINE(loop)
{
	uint64_t args[5] = {0, a3}, ret, i, n = (uint32_t)a1;

	if (a4)
		return (uint64_t)-EINVAL;
	if (n > 1u << 23)
		return (uint64_t)-E2BIG;
	for (i = 0; i < n; i++) {
		args[0] = i;
		if (vm_callback(run, a2, args, &ret))
			return i;
		if (ret)
			return i + 1;
	}
	return n;
}

#define YIELD_WORK 1000 /* instructions' worth of waiting that giving way to others is */

/* One lock at a time, given back by whoever took it: what the kernel's verifier wants to see, and nothing hangs. */
DEFINE(spin_lock)
{
	struct vm_host *host = host_of(run);
	uint32_t *lock;

	if (!host_mem(run, NAME, a1, 4, true, 1))
		return 0;
	if (a1 % 4) {
		vm_run_fail(run, "takes a lock at an address that is no multiple of 4");
		return 0;
	}
	if (host->held) {
		vm_run_fail(run, "takes a lock while it holds one");
		return 0;
	}
	lock = value_lock(&host->vm->value_locks, ptr(a1));
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
		run->budget -= YIELD_WORK;
		if (run->budget < 0) {
			vm_run_fail(run, "waits too long for a lock");
			return 0;
		}
		sched_yield();
	}
	host->held = lock;
	host->held_word = ptr(a1);
	return 0;
}

DEFINE(spin_unlock)
{
	struct vm_host *host = host_of(run);

	if (!host_mem(run, NAME, a1, 4, true, 1))
		return 0;
	if (!host->held || host->held_word != ptr(a1))
		vm_run_fail(run, "gives back a lock that it does not hold");
	else
		helper_give_back(host);
	return 0;
}

void helper_give_back(struct vm_host *host)
{
	if (host->held)
		spin_drop(host->held);
	host->held = NULL;
}

static bool is_ring(const struct map *map)
{
	return map->ops == &map_ring_ops;
}

DEFINE(ringbuf_output)
{
	return (uint64_t)(int64_t)(is_ring(map_of(a1)) ? ring_output(map_of(a1), ptr(a2), a3, a4) : -EINVAL);
}

DEFINE(ringbuf_reserve)
{
	return is_ring(map_of(a1)) ? (uintptr_t)ring_reserve(map_of(a1), run, a2, a3) : 0;
}

void host_ring_finish(struct vm_run *run, uint64_t record, uint64_t flags, bool discard)
{
	struct map *map = host_ring_of(run, record);

	if (!map) {
		vm_run_fail(run, "that is no record of a ring buffer");
		return;
	}
	vm_run_forget(run, ptr(record), map->max_entries);
	ring_submit(map, ptr(record), flags, discard);
}

DEFINE(ringbuf_submit)
{
	host_ring_finish(run, a1, a2, false);
	return 0;
}

DEFINE(ringbuf_discard)
{
	host_ring_finish(run, a1, a2, true);
	return 0;
}

DEFINE(ringbuf_query)
{
	return is_ring(map_of(a1)) ? ring_query(map_of(a1), a2) : 0;
}
