// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Services: which specifications the rules have, which packets these cannot tell apart, and the tables that
 * say so: bytes of protocol, flags and extra -> kind; kind and source port -> product; product and
 * destination port -> class. Every step keeps combinations that the same specifications accept as one (Gupta
 * and McKeown, "Packet classification on multiple fields", SIGCOMM 1999).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "classify/sets.h"

#define MAX_PRODUCT (4u << 20) /* combinations of two steps' classes, and 8 MB of 16 bits */

struct spec {
	struct classify_ports port[2];
	uint16_t flags, flags_mask;
	uint8_t proto, proto_mask;
	uint16_t zero; /* compared as bytes */
	uint32_t extras;
};

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct spec));
}

/* Distinct specifications, sorted; the first is the one that asks for nothing. */
static int read_specs(struct work *w, struct family *f, struct spec **to)
{
	const struct spec any = {.port = {{0, 65535}, {0, 65535}}, .extras = UINT32_MAX};
	struct spec *all = work_array(w, f->n + 1, sizeof(*all)), *v = work_array(w, f->n + 1, sizeof(*v)),
		    *p;
	struct services *s = &f->services;
	const struct classify_rule *r;
	uint32_t i, n = 0;

	s->of_rule = work_array(w, f->n + 1, 4);
	if (!all || !v || !s->of_rule)
		return -ENOMEM;
	for (i = 0; i < f->n; i++) {
		r = f->rules[i];
		all[i] = (struct spec){.port = {r->sport, r->dport},
				       .flags = r->flags & r->flags_mask,
				       .flags_mask = r->flags_mask,
				       .proto = r->proto & r->proto_mask,
				       .proto_mask = r->proto_mask,
				       .extras = r->extras};
	}
	memcpy(v + 1, all, f->n * sizeof(*v));
	qsort(v + 1, f->n, sizeof(*v), by_bytes);
	v[n++] = any;
	for (i = 1; i <= f->n; i++)
		if (memcmp(v + i, &any, sizeof(any)) != 0 &&
		    (n == 1 || memcmp(v + i, v + n - 1, sizeof(*v)) != 0))
			v[n++] = v[i];
	if (n > 1u << CLASSIFY_SPEC_BITS)
		return err_set(w->err, -ENOSPC,
			       "the rules name %u different services, at most %u can be told apart", n,
			       1u << CLASSIFY_SPEC_BITS);
	for (i = 0; i < f->n; i++) {
		p = bsearch(all + i, v + 1, n - 1, sizeof(*v), by_bytes);
		s->of_rule[i] = p ? (uint32_t)(p - v) : 0;
	}
	work_drop(w, all);
	s->n_specs = n;
	s->spec_words = (n + 63) / 64;
	*to = v;
	return 0;
}

static void set_bit(uint64_t *set, uint32_t bit)
{
	set[bit / 64] |= 1ull << bit % 64;
}

/* What each value of one byte is accepted by: part 0 protocol, 1 and 2 upper and lower byte of the flags, 3
 * extra. */
static bool accepts(const struct spec *s, int part, uint32_t value)
{
	switch (part) {
	case 0:
		return (value & s->proto_mask) == s->proto;
	case 1:
		return (value & s->flags_mask >> 8) == s->flags >> 8;
	case 2:
		return (value & s->flags_mask & 255) == (s->flags & 255);
	default:
		return value >= CLASSIFY_EXTRAS || (s->extras >> value & 1);
	}
}

/* Protocol, flags and extra -> kinds, which keeps the sets of the kinds. */
static int build_kinds(struct work *w, struct family *f, const struct spec *specs, struct sets *kinds,
		       uint32_t *n_index, uint32_t **of_index)
{
	struct services *s = &f->services;
	struct classify_part *p = family_part(w, f);
	uint16_t *tables[4] = {p->proto, p->high, p->low, p->extra};
	uint64_t *set = work_array(w, s->spec_words, 8), n = 1;
	struct sets parts[4];
	uint32_t value, i, k, rest, size;
	int64_t nr;
	int part;

	if (!set)
		return -ENOMEM;
	for (part = 0; part < 4; part++) {
		if (sets_init(&parts[part], w, s->spec_words))
			return -ENOMEM;
		for (value = 0; value < (part == 3 ? CLASSIFY_EXTRAS : 256); value++) {
			memset(set, 0, (size_t)s->spec_words * 8);
			for (i = 0; i < s->n_specs; i++)
				if (accepts(specs + i, part, value))
					set_bit(set, i);
			nr = sets_put(&parts[part], set);
			if (nr < 0)
				return -ENOMEM;
			if ((uint64_t)nr * n > 65535)
				return err_set(w->err, -ENOSPC,
					       "protocols, flags and attributes of the rules make %llu or "
					       "more combinations, at most 65536 can be told apart",
					       (unsigned long long)((uint64_t)nr * n));
			tables[part][value] = (uint16_t)((uint64_t)nr * n);
		}
		n *= parts[part].n;
	}
	if (n > 65536 || sets_init(kinds, w, s->spec_words) || !(*of_index = work_array(w, n, 4)))
		return n > 65536 ? err_set(w->err, -ENOSPC,
					   "protocols, flags and attributes of the rules make %llu "
					   "combinations, at most 65536 can be told apart",
					   (unsigned long long)n)
				 : -ENOMEM;
	for (i = 0; i < n; i++) {
		memset(set, 0xff, (size_t)s->spec_words * 8);
		for (part = 0, rest = i; part < 4; part++) {
			size = parts[part].n;
			for (k = 0; k < s->spec_words; k++)
				set[k] &= sets_at(&parts[part], rest % size)[k];
			rest /= size;
		}
		nr = sets_put(kinds, set);
		if (nr < 0)
			return -ENOMEM;
		(*of_index)[i] = (uint32_t)nr;
	}
	*n_index = (uint32_t)n;
	return 0;
}

struct port_edge {
	uint32_t port, spec; /* spec << 1 | 1: ends before port */
};

static int by_port(const void *a, const void *b)
{
	const struct port_edge *x = a, *y = b;

	return x->port != y->port ? (x->port < y->port ? -1 : 1) : 0;
}

/* The classes of one side's ports, and its table: blocks of 256 ports, each kept once. */
static int build_ports(struct work *w, struct family *f, const struct spec *specs, int side,
		       struct sets *ports)
{
	struct services *s = &f->services;
	struct port_edge *edges = work_array(w, 2 * (size_t)s->n_specs, sizeof(*edges));
	uint64_t *set = work_array(w, s->spec_words, 8);
	uint16_t *of_port = work_array(w, 65536, 2), start[256];
	uint32_t port, i, at = 0, n = 0, n_blocks = 0, table, b;
	int64_t nr = 0;

	if (!edges || !set || !of_port || sets_init(ports, w, s->spec_words))
		return -ENOMEM;
	for (i = 0; i < s->n_specs; i++) {
		if (specs[i].port[side].first > specs[i].port[side].last)
			continue;
		edges[n++] = (struct port_edge){specs[i].port[side].first, i << 1};
		edges[n++] = (struct port_edge){specs[i].port[side].last + 1u, i << 1 | 1};
	}
	qsort(edges, n, sizeof(*edges), by_port);
	for (port = 0; port < 65536; port++) {
		if (!port || (at < n && edges[at].port == port)) {
			for (; at < n && edges[at].port == port; at++)
				set[edges[at].spec / 128] ^= 1ull << edges[at].spec / 2 % 64;
			nr = sets_put(ports, set);
			if (nr < 0)
				return -ENOMEM;
		}
		of_port[port] = (uint16_t)nr;
	}
	for (i = 0; i < 256; i++) {
		for (b = 0; b < n_blocks; b++)
			if (!memcmp(of_port + start[b] * 256u, of_port + i * 256, 512))
				break;
		if (b == n_blocks)
			start[n_blocks++] = (uint16_t)i;
		family_part(w, f)->block[side][i] = (uint16_t)(b * 256);
	}
	table = work_table(w, n_blocks * 256u, 2);
	if (!table)
		return -ENOSPC;
	for (b = 0; b < n_blocks; b++)
		memcpy(WORK_AT(w, uint16_t, table) + b * 256u, of_port + start[b] * 256u, 512);
	family_part(w, f)->ports[side] = table;
	work_drop(w, edges);
	work_drop(w, of_port);
	return 0;
}

/* Combinations of two steps' classes -> sets of their own; of_both by a * b's number + b. */
static int combine(struct work *w, const struct sets *a, const struct sets *b, struct sets *both,
		   uint32_t **of_both)
{
	uint64_t *set = work_array(w, a->words, 8), n = (uint64_t)a->n * b->n;
	uint32_t i, j, k;
	int64_t nr;

	if (!set)
		return -ENOMEM;
	if (n > MAX_PRODUCT)
		return err_set(w->err, -ENOSPC,
			       "the services of the rules make %u x %u combinations, at most %u can be told "
			       "apart: fewer different port ranges are needed",
			       a->n, b->n, MAX_PRODUCT);
	*of_both = work_array(w, n, 4);
	if (!*of_both || sets_init(both, w, a->words))
		return -ENOMEM;
	for (i = 0; i < a->n; i++)
		for (j = 0; j < b->n; j++) {
			for (k = 0; k < a->words; k++)
				set[k] = sets_at(a, i)[k] & sets_at(b, j)[k];
			nr = sets_put(both, set);
			if (nr < 0)
				return -ENOMEM;
			(*of_both)[(size_t)i * b->n + j] = (uint32_t)nr;
		}
	return 0;
}

/* Which specifications a class has, and the other way round. */
static int both_ways(struct work *w, struct services *s, const struct sets *classes)
{
	uint32_t i, k;

	s->n_classes = classes->n;
	s->class_words = (classes->n + 63) / 64;
	s->match = classes->bits;
	s->classes = work_array(w, (size_t)s->n_specs * s->class_words, 8);
	if (!s->classes)
		return -ENOMEM;
	for (i = 0; i < classes->n; i++)
		for (k = 0; k < s->n_specs; k++)
			if (sets_at(classes, i)[k / 64] >> k % 64 & 1)
				set_bit(s->classes + (size_t)k * s->class_words, i);
	return 0;
}

int services_read(struct work *w, struct family *f)
{
	struct sets kinds, ports[2], products, classes;
	uint32_t n_index = 0, *of_index = NULL, *product, *class, t, i, side;
	size_t before = w->image.len;
	struct spec *specs = NULL;
	int e = read_specs(w, f, &specs);

	if (!e)
		e = build_kinds(w, f, specs, &kinds, &n_index, &of_index);
	for (side = 0; !e && side < 2; side++)
		e = build_ports(w, f, specs, (int)side, &ports[side]);
	if (!e)
		e = combine(w, &kinds, &ports[0], &products, &product);
	if (!e)
		e = combine(w, &products, &ports[1], &classes, &class);
	if (e)
		return e;
	if (classes.n > 65535)
		return err_set(w->err, -ENOSPC,
			       "the rules tell %u classes of services apart, at most 65535 can be: fewer different "
			       "port ranges are needed",
			       classes.n);
	t = work_table(w, n_index, 4);
	if (!t)
		return -ENOSPC;
	family_part(w, f)->kinds = t;
	for (i = 0; i < n_index; i++)
		WORK_AT(w, uint32_t, t)[i] = of_index[i] * ports[0].n;
	t = work_table(w, (size_t)kinds.n * ports[0].n, 4);
	if (!t)
		return -ENOSPC;
	family_part(w, f)->products = t;
	for (i = 0; i < kinds.n * ports[0].n; i++)
		WORK_AT(w, uint32_t, t)[i] = product[i] * ports[1].n;
	t = work_table(w, (size_t)products.n * ports[1].n, 2);
	if (!t)
		return -ENOSPC;
	family_part(w, f)->services = t;
	for (i = 0; i < products.n * ports[1].n; i++)
		WORK_AT(w, uint16_t, t)[i] = (uint16_t) class[i];
	f->report->n_services = classes.n;
	f->report->service_bytes = w->image.len - before;
	return both_ways(w, &f->services, &classes);
}
