// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Memory that lives as long as a policy. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/arena.h"

#define CHUNK_BYTES (256u << 10)
#define ALIGN 16u

struct arena_chunk {
	struct arena_chunk *next;
	char pad[ALIGN - sizeof(void *)];
	char bytes[];
};

void *arena_add(struct arena *a, size_t len)
{
	size_t need = (len + ALIGN - 1) & ~(size_t)(ALIGN - 1),
	       room = need > CHUNK_BYTES ? need : CHUNK_BYTES;
	struct arena_chunk *c;
	void *p;

	if (a->failed || need < len)
		goto fail;
	if (need > a->left) {
		c = malloc(sizeof(*c) + room);
		if (!c)
			goto fail;
		c->next = a->chunks;
		a->chunks = c;
		a->at = c->bytes;
		a->left = room;
	}
	p = a->at;
	a->at += need;
	a->left -= need;
	return memset(p, 0, len);
fail:
	a->failed = true;
	return NULL;
}

void *arena_copy(struct arena *a, const void *data, size_t len)
{
	void *p = arena_add(a, len ? len : 1);

	return p && len ? memcpy(p, data, len) : p;
}

char *arena_text(struct arena *a, const char *s, size_t len)
{
	char *p = len < SIZE_MAX ? arena_add(a, len + 1) : NULL;

	return p ? memcpy(p, s, len) : NULL;
}

void arena_free(struct arena *a)
{
	struct arena_chunk *c, *next;

	for (c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	memset(a, 0, sizeof(*a));
}
