/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A lock of four bytes for a handful of instructions. Fits struct bpf_spin_lock. */
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

#endif
