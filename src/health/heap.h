/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is due first: a binary heap of nodes that live in what is waiting, so that each can be taken out or moved. */
#ifndef HEALTH_HEAP_H
#define HEALTH_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t at;
	size_t place; /* 1 + index; 0: in no heap */
};

struct heap {
	struct heap_node **nodes;
	size_t n, room;
};

/* heap_reserve() makes room for n nodes in all; false: out of memory. Within it heap_put() cannot fail. */
bool heap_reserve(struct heap *h, size_t n);
void heap_free(struct heap *h);

/* heap_put() puts a node in, or moves one that is in, to another time. heap_drop() takes it out, if it is in. */
void heap_put(struct heap *h, struct heap_node *node, uint64_t at);
void heap_drop(struct heap *h, struct heap_node *node);

static inline struct heap_node *heap_first(const struct heap *h)
{
	return h->n ? h->nodes[0] : NULL;
}

#endif
