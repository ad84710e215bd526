// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Virtual addresses: ranges of ports to blocks, blocks to buckets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/vips.h"
#include "base/err.h"

/* The largest block that begins at first and ends by last: its level. */
static uint32_t block(uint32_t first, uint32_t last)
{
	uint32_t level = 0;

	while (level < 16 && !(first & 1u << level) && first + (2u << level) - 1 <= last)
		level++;
	return level;
}

static uint32_t n_blocks(const struct balance_virtual *v)
{
	uint32_t first = v->first, n = 0;

	for (; first <= v->last; first += 1u << block(first, v->last))
		n++;
	return n;
}

uint32_t vips_blocks(const struct balance_service *s)
{
	uint32_t n = 0;
	size_t i;

	for (i = 0; i < s->n_virtuals; i++)
		n += 1 + n_blocks(&s->virtuals[i]);
	return n;
}

static int compare(const void *a, const void *b)
{
	const struct balance_vip *x = a, *y = b;

	if (x->addr[0] != y->addr[0])
		return x->addr[0] < y->addr[0] ? -1 : 1;
	if (x->addr[1] != y->addr[1])
		return x->addr[1] < y->addr[1] ? -1 : 1;
	return (x->key > y->key) - (x->key < y->key);
}

static void add(struct vips *v, const struct balance_virtual *of, uint32_t service, uint32_t on)
{
	struct balance_vip e = {.on = on, .service = (__u16)service};
	uint64_t words[2];
	uint32_t first = of->first, level;

	net_addr_words(&of->addr, &words[0], &words[1]);
	e.addr[0] = words[0];
	e.addr[1] = words[1];
	for (; first <= of->last; first += 1u << level) {
		level = block(first, of->last);
		e.key = BALANCE_VIP_KEY(of->addr.v6, of->proto, level, first);
		v->levels |= 1u << level;
		v->v[v->n++] = e;
	}
	e.key = BALANCE_VIP_KEY(of->addr.v6, 0, BALANCE_VIP_ADDR, 0);
	e.service = BALANCE_VIP_NOBODY;
	v->v[v->n++] = e;
}

int vips_of(const struct balance_model *m, const uint32_t *numbers, const uint32_t *on, struct vips *v,
	    struct sluice_err *err)
{
	uint32_t room = 0, n, k;
	size_t i, j;

	*v = (struct vips){0};
	for (i = 0; i < m->n_services; i++)
		room += vips_blocks(m->services[i]);
	v->v = calloc(room + 1, sizeof(*v->v));
	if (!v->v)
		return err_nomem(err);
	for (i = 0; i < m->n_services; i++)
		for (j = 0; j < m->services[i]->n_virtuals; j++)
			add(v, &m->services[i]->virtuals[j], numbers[i], on ? on[i] : ~0u);
	qsort(v->v, v->n, sizeof(*v->v), compare);
	for (n = k = 0; k < v->n; k++) { /* one entry for an address that is there several times */
		if (n && !compare(&v->v[n - 1], &v->v[k]))
			v->v[n - 1].on |= v->v[k].on;
		else
			v->v[n++] = v->v[k];
	}
	v->n = n;
	return 0;
}

void vips_free(struct vips *v)
{
	free(v->v);
	*v = (struct vips){0};
}

bool vips_same(const struct vips *a, const struct vips *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

/* Multiplication of two halves with a seed each, folded: as datapath/lib/hash.h says; and which of them, balance_choose.h. */
static uint64_t halves(uint64_t word, const __u64 *seed)
{
	return (seed[0] + (uint32_t)word) * (seed[1] + (word >> 32));
}

static uint32_t bucket_of(const struct balance_vip *e, const struct balance_config *c)
{
	uint64_t sum = halves(e->addr[1], c->vip_seed);

	sum += (c->vip_seed[4] + e->key) * (c->vip_seed[5] | 1);
	if (e->key & 1u << 30)
		sum += halves(e->addr[0], c->vip_seed + 2);
	return (uint32_t)((sum ^ sum >> 32) * 0x9e3779b97f4a7c15u >> 32);
}

int vips_write(const struct vips *v, const struct balance_config *c, uint32_t half, struct balance_vip *to,
	       struct sluice_err *err)
{
	struct balance_vip *all = to + (size_t)half * c->vip_buckets * BALANCE_VIP_WAYS, *b;
	uint32_t i, k, way, home;

	memset(all, 0, (size_t)c->vip_buckets * BALANCE_VIP_WAYS * sizeof(*all));
	for (i = 0; i < v->n; i++) {
		home = bucket_of(&v->v[i], c);
		for (k = 0, way = BALANCE_VIP_WAYS; k < BALANCE_VIP_PROBES && way == BALANCE_VIP_WAYS; k++) {
			b = all + ((home + k) & (c->vip_buckets - 1)) * BALANCE_VIP_WAYS;
			for (way = 0; way < BALANCE_VIP_WAYS && b[way].key; way++)
				;
			if (way == BALANCE_VIP_WAYS)
				b[0].more = 1;
		}
		if (way == BALANCE_VIP_WAYS)
			return err_set(err, -ENOSPC, "no room for %u blocks of ports of virtual addresses",
				       v->n);
		k = b[way].more;
		b[way] = v->v[i];
		b[way].more = (__u16)k;
	}
	return 0;
}

int vips_fit(const struct vips *v, const struct balance_config *c, struct sluice_err *err)
{
	struct balance_vip *to = calloc((size_t)c->vip_buckets * BALANCE_VIP_WAYS, sizeof(*to));
	int e = to ? vips_write(v, c, 0, to, err) : err_nomem(err);

	free(to);
	return e;
}
