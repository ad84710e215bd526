/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A lock of four bytes for a handful of instructions. */
#ifndef VM_LOCK_H
#define VM_LOCK_H

#include <sched.h>
#include <stdint.h>

static inline void spin_take(uint32_t *lock)
{
	unsigned int n = 0;

	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(lock, __ATOMIC_RELAXED))
			if (++n % 64 == 0)
				sched_yield(); /* its owner may be waiting for this CPU */
}

static inline void spin_drop(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/*
 * The locks of struct bpf_spin_lock in values. Programs and user space can write what they like into that word, so it is
 * only a name: the lock itself lies here, several names to each.
 */
#define VALUE_LOCKS 256
struct value_locks {
	uint32_t lock[VALUE_LOCKS];
};

static inline uint32_t *value_lock(struct value_locks *locks, const void *word)
{
	return &locks->lock[(uint64_t)(uintptr_t)word * 0x9e3779b97f4a7c15ull >> 56];
}

#endif
