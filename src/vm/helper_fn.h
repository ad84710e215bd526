/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every helper's prototype, and what the helper*.c share. */
#ifndef VM_HELPER_FN_H
#define VM_HELPER_FN_H

#include <time.h>

#include "vm/helper.h"

#define MAP_MOST_KEY 4096 /* longer keys cannot be walked over by a program: they would not fit its stack either */

#define HELPER(name, a, b, c, d, e) \
	uint64_t helper_##name(uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, struct vm_run *run);
#define HELPER_GPL HELPER
#include "vm/helper.def"
#undef HELPER
#undef HELPER_GPL

/* Pointers to so many bytes, read or written, beside the kinds of enum vm_arg; for the tables' rows. */
#define VM_ARG_OUT2 (VM_ARG_FIXED_OUT | 2 << 8)
#define VM_ARG_OUT4 (VM_ARG_FIXED_OUT | 4 << 8)
#define VM_ARG_OUT8 (VM_ARG_FIXED_OUT | 8 << 8)
#define VM_ARG_OUT16 (VM_ARG_FIXED_OUT | 16 << 8)
#define VM_ARG_IN16 (VM_ARG_FIXED | 16 << 8)
#define VM_ARG_IN20 (VM_ARG_FIXED | 20 << 8)
#define VM_ARG_IN40 (VM_ARG_FIXED | 40 << 8)
#define KIND_OF(x) ((uint8_t)((VM_ARG_##x) & 0xff))
#define SIZE_OF(x) ((VM_ARG_##x) >> 8)
#define KINDS(a, b, c, d, e) {KIND_OF(a), KIND_OF(b), KIND_OF(c), KIND_OF(d), KIND_OF(e)}
#define SIZES(a, b, c, d, e) {SIZE_OF(a), SIZE_OF(b), SIZE_OF(c), SIZE_OF(d), SIZE_OF(e)}

#define UNUSED __attribute__((unused))
#define DEFINE(name)                                                                                                       \
	uint64_t helper_##name(UNUSED uint64_t a1, UNUSED uint64_t a2, UNUSED uint64_t a3, UNUSED uint64_t a4, \
			       UNUSED uint64_t a5, UNUSED struct vm_run *run)

static inline struct map *map_of(uint64_t a)
{
	return (struct map *)(uintptr_t)a;
}

static inline void *ptr(uint64_t a)
{
	return (void *)(uintptr_t)a;
}

static inline struct vm_host *host_of(struct vm_run *run)
{
	return run->host;
}

/* An answer that is an int of the kernel's: 0 or a negative errno. */
static inline uint64_t answer(int64_t e)
{
	return (uint64_t)e;
}

/* The name of the helper that is being defined. */
#define NAME (__func__ + sizeof("helper_") - 1)

/* vm_run_mem() for a helper that looks at memory itself: a fault names it. */
static inline bool host_mem(struct vm_run *run, const char *name, uint64_t addr, uint64_t len, bool write, int arg)
{
	bool ok = vm_run_mem(run, addr, len, write, arg);

	if (!ok)
		run->fault.what = name;
	return ok;
}

/* SipHash-2-4 of n words. */
uint64_t host_siphash(const uint64_t key[2], const uint64_t *word, size_t n);

/* How many bytes from addr on the program may read; no fault if none. */
uint64_t host_readable(struct vm_run *run, uint64_t addr);

/* What time it is for a run: its own clock, the engine's, or the system's. */
uint64_t host_now(const struct vm_run *run, clockid_t clock);

/* The ring buffer, among those the program knows, in which a record under way starts there; NULL: none. */
struct map *host_ring_of(struct vm_run *run, uint64_t record);
/* Finishes the record that starts there; ends the run if there is none. */
void host_ring_finish(struct vm_run *run, uint64_t record, uint64_t flags, bool discard);

#endif
