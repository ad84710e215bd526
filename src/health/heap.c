// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A binary heap whose nodes know their place. */
#include <stdlib.h>

#include "health/heap.h"

bool heap_reserve(struct heap *h, size_t n)
{
	struct heap_node **more;

	if (n <= h->room)
		return true;
	more = reallocarray(h->nodes, n, sizeof(struct heap_node *));
	if (!more)
		return false;
	h->nodes = more;
	h->room = n;
	return true;
}

void heap_free(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}

static void set(struct heap *h, size_t i, struct heap_node *node)
{
	h->nodes[i] = node;
	node->place = i + 1;
}

static void settle(struct heap *h, size_t i, struct heap_node *node)
{
	size_t child;

	for (; i && h->nodes[(i - 1) / 2]->at > node->at; i = (i - 1) / 2)
		set(h, i, h->nodes[(i - 1) / 2]);
	for (; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && h->nodes[child + 1]->at < h->nodes[child]->at)
			child++;
		if (h->nodes[child]->at >= node->at)
			break;
		set(h, i, h->nodes[child]);
	}
	set(h, i, node);
}

void heap_put(struct heap *h, struct heap_node *node, uint64_t at)
{
	size_t i = node->place ? node->place - 1 : h->n++;

	node->at = at;
	if (!node->place)
		set(h, i, node);
	settle(h, i, node);
}

void heap_drop(struct heap *h, struct heap_node *node)
{
	size_t i = node->place - 1;
	struct heap_node *last;

	if (!node->place)
		return;
	node->place = 0;
	last = h->nodes[--h->n];
	if (last != node)
		settle(h, i, last);
}
