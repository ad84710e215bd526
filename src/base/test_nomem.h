/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For tests of what happens without memory: malloc() and its kin, replaced for the whole program, so that the
 * calls of libraries count, too. Included by the one .c file of a test, where NOMEM_TEST is 1 (sanitizers have a
 * malloc() of their own).
 *
 *     nomem_begin(n)   the allocation behind the next n fails, and all after it
 *     nomem_end()      no more; returns whether one did
 *     nomem_live       pieces of memory that there are
 */
#ifndef BASE_TEST_NOMEM_H
#define BASE_TEST_NOMEM_H

#include <stdbool.h>

#include "base/test.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define NOMEM_TEST 0
#else
#define NOMEM_TEST 1

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *reallocarray(void *p, size_t n, size_t size);
void free(void *p);

static long nomem_left = -1; /* allocations before the one that fails; negative: none does */
static long nomem_live;
static bool nomem_failed;

static bool nomem_fails(void)
{
	if (nomem_left == 0) {
		errno = ENOMEM;
		nomem_failed = true;
		return true;
	}
	nomem_left -= nomem_left > 0;
	return false;
}

static void *nomem_counted(void *p)
{
	nomem_live += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return nomem_fails() ? NULL : nomem_counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return nomem_fails() ? NULL : nomem_counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	void *q = nomem_fails() ? NULL : __libc_realloc(p, n);

	nomem_live += q && !p;
	return q;
}

void *reallocarray(void *p, size_t n, size_t size)
{
	return size && n > SIZE_MAX / size ? NULL : realloc(p, n * size);
}

void free(void *p)
{
	nomem_live -= p != NULL;
	__libc_free(p);
}

static inline void nomem_begin(long n)
{
	nomem_failed = false;
	nomem_left = n;
}

static inline bool nomem_end(void)
{
	nomem_left = -1;
	return nomem_failed;
}
#endif

#endif
