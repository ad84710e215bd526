// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-memory WHEN: what a load costs that waits for the one before it, from memory of a megabyte to 64: the same cache lines in an order
 * that nobody can foresee (Sattolo 1986: one cycle through all of them). A shared machine's caches are anybody's: all figures with
 * tables beyond the second level are to be read beside these. WHEN is part of the figures' names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "bench/bench.h"

#define LINE 64u
#define LOADS (1u << 20)
#define ROUNDS 9u

static uint64_t chance = 1;

static uint64_t below(uint64_t n)
{
	chance = chance * 6364136223846793005u + 1442695040888963407u; /* Knuth, volume 2, 3.3.4 */
	return (chance >> 33) % n;
}

static void chain(char *at, size_t n)
{
	uint32_t *order = malloc(n * sizeof(*order)), swap;
	size_t i, k;

	if (!order)
		die("out of memory");
	for (i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (i = n - 1; i > 0; i--) {
		k = below(i);
		swap = order[i];
		order[i] = order[k];
		order[k] = swap;
	}
	for (i = 0; i < n; i++)
		*(void **)(at + i * LINE) = at + (size_t)order[i] * LINE;
	free(order);
}

static double load_ns(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *volatile *p = (void *volatile *)at;
	double ns[ROUNDS];
	uint64_t began;
	uint32_t i, k;

	if (at == MAP_FAILED)
		die("out of memory");
	madvise(at, bytes, MADV_NOHUGEPAGE); /* maps of the kernel are in small pages, too */
	chain(at, bytes / LINE);
	for (i = 0; i < ROUNDS; i++) {
		began = clock_mono_ns();
		for (k = 0; k < LOADS; k++)
			p = *p;
		ns[i] = (double)(clock_mono_ns() - began) / LOADS;
	}
	munmap(at, bytes);
	return bench_median(ns, ROUNDS);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1, 4, 16, 64};
	char name[64];
	size_t i;

	if (argc != 2)
		die("usage: bench-memory WHEN");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "memory_%s_load_from_%u_MB", argv[1], sizes[i]);
		bench_note(name, load_ns((size_t)sizes[i] << 20), "ns");
	}
	return 0;
}
