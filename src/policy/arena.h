/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that lives as long as a policy: taken piece by piece, given back as one. */
#ifndef POLICY_ARENA_H
#define POLICY_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

/* After an allocation failure it stays failed: check once, at the end. All zeroes is an empty one. */
struct arena {
	struct arena_chunk *chunks;
	char *at;
	size_t left;
	bool failed;
};

void *arena_add(struct arena *a, size_t len);			 /* zeroed, aligned to 16; NULL once failed */
void *arena_copy(struct arena *a, const void *data, size_t len); /* of nothing: a place for nothing */
char *arena_text(struct arena *a, const char *s, size_t len);	 /* with a NUL behind; NULL once failed */
void arena_free(struct arena *a);

#endif
