/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Dynamic pointers: what a program holds in its 16 bytes of struct bpf_dynptr. The program could write there
 * (nobody verified it), so nothing in it is believed: every use looks for the live region again.
 */
#ifndef VM_DYNPTR_H
#define VM_DYNPTR_H

#include "vm/helper_fn.h"

#define DYNPTR_MOST ((1u << 24) - 1)
#define DYNPTR_RDONLY 0x80000000u

enum dynptr_kind { DYNPTR_LOCAL = 1, DYNPTR_RING, DYNPTR_XDP };

struct dynptr {
	uint64_t data; /* 0: null; of a packet's only that it is not 0 */
	uint32_t size; /* 24 bits; the kind above them */
	uint32_t offset;
};

/* dynptr_get() and dynptr_set() copy it from and to the program's memory, which need not be aligned. */
struct dynptr dynptr_get(uint64_t addr);
void dynptr_set(uint64_t addr, const struct dynptr *d);
void dynptr_null(uint64_t addr);
struct dynptr dynptr_make(enum dynptr_kind kind, uint64_t data, uint32_t size);
uint32_t dynptr_size(const struct dynptr *d);

/*
 * dynptr_at() is where len bytes at offset are, NULL: out of bounds, with the kernel's errno in *e (0: the
 * run is over, the pointer points to nothing that lives).
 */
void *dynptr_at(struct vm_run *run, const char *name, const struct dynptr *d, uint32_t offset, uint32_t len,
		bool write, int *e);

#endif
