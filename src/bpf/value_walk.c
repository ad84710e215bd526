// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The walk over a value's bytes, leaf by leaf in the order people see them. What is made of it is the
 * visitor's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bpf/value.h"

struct walk {
	const struct sluice_type *type;
	const uint8_t *value;
	struct value_more more; /* n is at least 1 */
	const struct value_visitor *v;
	void *ctx;
	struct sluice_err *err;
	uint32_t steps, depth;
};

static int walk_value(struct walk *w, uint32_t id, const char *name, uint64_t bit_off, uint32_t bits);

static void scalar(struct walk *w, const char *name, struct value_scalar s)
{
	w->v->scalar(w->ctx, name, &s);
}

static void text(struct walk *w, const char *name, const char *t)
{
	scalar(w, name, (struct value_scalar){.kind = VALUE_ENUM, .text = t});
}

static unsigned __int128 extend(unsigned __int128 u, uint32_t bits, bool is_signed)
{
	return is_signed && bits < 128 && u >> (bits - 1) & 1 ? u | ~(unsigned __int128)0 << bits : u;
}

static void integer(struct walk *w, const char *name, unsigned __int128 u, uint32_t bits, bool is_signed)
{
	scalar(w, name,
		(struct value_scalar){.kind = is_signed ? VALUE_SINT : VALUE_UINT,
			.u = extend(u, bits, is_signed),
			.bits = bits});
}

/* A counter: over all CPUs, in more bits if they are needed, and what came in since. */
static void counter(struct walk *w, const char *name, uint64_t bit_off, uint32_t bits, bool is_signed)
{
	unsigned __int128 sum = 0, was = 0;
	struct value_scalar s = {.kind = is_signed ? VALUE_SINT : VALUE_UINT, .bits = bits};
	uint32_t i;

	for (i = 0; i < w->more.n; i++) {
		sum += extend(value_bits_get(w->value + (size_t)i * w->more.stride, bit_off, bits), bits,
			is_signed);
		if (w->more.before)
			was += extend(
				value_bits_get(w->more.before + (size_t)i * w->more.stride, bit_off, bits),
				bits, is_signed);
	}
	if (w->more.n > 1 && bits <= 64)
		s.bits = is_signed || sum <= UINT64_MAX ? 64 : 128;
	s.u = sum;
	s.has_delta = w->more.before != NULL;
	s.delta = (__int128)(sum - was);
	scalar(w, name, s);
}

/* The first CPU's value in which these bits are not all zero; the first one if there is none. */
static const uint8_t *telling(struct walk *w, uint64_t bit_off, uint64_t bits)
{
	uint64_t at, n;
	uint32_t i;

	for (i = 0; i < w->more.n; i++) {
		for (at = 0; at < bits; at += n) {
			n = bits - at < 128 ? bits - at : 128;
			if (value_bits_get(w->value + (size_t)i * w->more.stride, bit_off + at, (uint32_t)n))
				return w->value + (size_t)i * w->more.stride;
		}
	}
	return w->value;
}

static void enumerator(
	struct walk *w, const struct value_shape *s, const char *name, uint64_t u, uint32_t bits)
{
	uint64_t mask = bits >= 64 ? UINT64_MAX : (1ull << bits) - 1, v;
	uint32_t i, n = btf_vlen(s->t);
	const char *e;

	for (i = 0; i < n; i++) {
		bool wide = btf_is_enum64(s->t);

		v = wide ? btf_enum64_value(btf_enum64(s->t) + i) : (uint64_t)(int64_t)btf_enum(s->t)[i].val;
		if (!wide && !s->is_signed)
			v = (uint32_t)v;
		/* an enumerator that the bitfield's width cuts could not be typed */
		if ((v & mask) != u ||
			(s->is_signed ? (int64_t)(v << (64 - bits)) >> (64 - bits) != (int64_t)v : v != u))
			continue;
		e = btf__name_by_offset(
			w->type->btf, wide ? btf_enum64(s->t)[i].name_off : btf_enum(s->t)[i].name_off);
		if (!e || !*e)
			continue;
		text(w, name, e);
		return;
	}
	integer(w, name, u, bits, s->is_signed);
}

static void address(struct walk *w, const struct value_shape *s, const char *name, const uint8_t *p)
{
	char t[INET6_ADDRSTRLEN];

	if (s->kind == VALUE_MAC)
		snprintf(t, sizeof(t), "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2], p[3], p[4], p[5]);
	else
		inet_ntop(s->kind == VALUE_IP ? AF_INET : AF_INET6, p, t, sizeof(t));
	text(w, name, t);
}

static double real(const uint8_t *p, uint32_t size)
{
	double d;
	float f;

	if (size == 4) {
		memcpy(&f, p, 4);
		return (double)f;
	}
	memcpy(&d, p, 8);
	return d;
}

static void floating(struct walk *w, const struct value_shape *s, const char *name, uint64_t bit_off)
{
	struct value_scalar out = {
		.kind = VALUE_FLOAT, .bits = s->size * 8, .has_delta = w->more.before != NULL};
	uint32_t i;

	out.u = value_bits_get(w->value, bit_off, out.bits);
	out.f = real(w->value + bit_off / 8, s->size);
	for (i = 1; i < w->more.n; i++)
		out.f += real(w->value + (size_t)i * w->more.stride + bit_off / 8, s->size);
	out.delta_f = out.f;
	for (i = 0; w->more.before && i < w->more.n; i++)
		out.delta_f -= real(w->more.before + (size_t)i * w->more.stride + bit_off / 8, s->size);
	scalar(w, name, out);
}

static void walk_scalar(
	struct walk *w, const struct value_shape *s, const char *name, uint64_t bit_off, uint32_t bits)
{
	const uint8_t *value = w->value, *p;
	unsigned __int128 u = 0;
	uint32_t i;

	if (!bits)
		bits = s->size * 8;
	if (s->kind == VALUE_UINT || s->kind == VALUE_SINT) {
		counter(w, name, bit_off, bits, s->kind == VALUE_SINT);
		return;
	}
	if (s->kind == VALUE_FLOAT) {
		floating(w, s, name, bit_off);
		return;
	}
	if (w->more.n > 1)
		value = telling(w, bit_off, s->kind <= VALUE_ENUM ? bits : (uint64_t)s->size * 8);
	p = value + bit_off / 8;
	if (s->kind == VALUE_BE)
		for (i = 0; i < s->size; i++)
			u = u << 8 | p[i];
	else if (s->kind <= VALUE_ENUM || s->kind == VALUE_POINTER)
		u = value_bits_get(value, bit_off, bits);
	switch (s->kind) {
	case VALUE_CHAR:
		scalar(w, name,
			(struct value_scalar){
				.kind = VALUE_CHAR, .u = extend(u, bits, s->is_signed), .bits = bits});
		break;
	case VALUE_BOOL:
		scalar(w, name, (struct value_scalar){.kind = VALUE_BOOL, .u = u, .bits = bits});
		break;
	case VALUE_ENUM:
		enumerator(w, s, name, (uint64_t)u, bits);
		break;
	case VALUE_IP:
	case VALUE_IP6:
	case VALUE_MAC:
		address(w, s, name, p);
		break;
	case VALUE_STRING:
	case VALUE_BYTES:
		scalar(w, name, (struct value_scalar){.kind = s->kind, .bytes = p, .len = s->size});
		break;
	case VALUE_KERNEL:
		text(w, name, "kernel");
		break;
	default:
		integer(w, name, u, bits, false);
	}
}

static int walk_array(struct walk *w, const struct value_shape *s, const char *name, uint64_t bit_off)
{
	uint32_t size = s->n ? s->size / s->n : 0, i, same;
	const uint8_t *p = w->value + bit_off / 8;
	bool one = w->v->repeat && w->more.n == 1 && !w->more.before;
	int rc = 0;

	w->v->open(w->ctx, name, true);
	for (i = 0; i < s->n && !rc; i += same) {
		for (same = 1; one && i + same < s->n; same++)
			if (memcmp(p + (uint64_t)i * size, p + (uint64_t)(i + same) * size, size) != 0)
				break;
		if (same < 4)
			same = 1;
		rc = walk_value(w, s->elem, NULL, bit_off + (uint64_t)i * size * 8, 0);
		if (same > 1)
			w->v->repeat(w->ctx, same);
	}
	w->v->close(w->ctx, true);
	return rc;
}

/* Which alternative stands for a union: the largest, a pointer only if there is nothing else. */
static uint32_t choose(const struct value_nodes *nodes, uint32_t i)
{
	const struct value_node *node = nodes->node;
	uint32_t at, best = 0, bits, most = 0;

	for (at = i + 1; at <= i + node[i].n_inside; at += node[at].n_inside + 1) {
		bits = node[at].bits ? node[at].bits : node[at].size * 8;
		if (node[at].hidden || (best && bits <= most && (!node[best].pointer || node[at].pointer)))
			continue;
		if (best && node[at].pointer)
			continue;
		best = at;
		most = bits;
	}
	return best;
}

static int walk_nodes(
	struct walk *w, const struct value_nodes *nodes, uint32_t i, uint64_t base, uint8_t *seen)
{
	const struct value_node *node = &nodes->node[i];
	uint64_t b, bits;
	uint32_t at;
	int rc = 0;

	if (node->kind == NODE_UNION) {
		at = choose(nodes, i);
		return at ? walk_nodes(w, nodes, at, base, seen) : 0;
	}
	if (node->kind == NODE_STRUCT) {
		for (at = i + 1; at <= i + node->n_inside && !rc; at += nodes->node[at].n_inside + 1)
			rc = walk_nodes(w, nodes, at, base, seen);
		return rc;
	}
	bits = node->bits ? node->bits : (uint64_t)node->size * 8;
	if (!node->bits)
		memset(seen + node->bit_off / 8, 0xff, node->size);
	else
		for (b = node->bit_off; b < node->bit_off + bits; b++)
			seen[b / 8] |= (uint8_t)(1u << b % 8);
	return node->hidden ? 0 : walk_value(w, node->type, node->name, base + node->bit_off, node->bits);
}

/* Bytes that are not zero where no member is: without them, a key printed would not be the key in the map. */
static void padding(struct walk *w, const uint8_t *value, const uint8_t *seen, uint32_t size)
{
	uint8_t run[64];
	char name[16];
	uint32_t i, n;

	for (i = 0; i < size; i += n ? n : 1) {
		for (n = 0; n < sizeof(run) && i + n < size && value[i + n] & ~seen[i + n]; n++)
			run[n] = (uint8_t)(value[i + n] & ~seen[i + n]);
		if (!n)
			continue;
		snprintf(name, sizeof(name), "@%u", i);
		scalar(w, name, (struct value_scalar){.kind = VALUE_BYTES, .bytes = run, .len = n});
	}
}

static int walk_struct(struct walk *w, const struct value_shape *s, const char *name, uint64_t bit_off)
{
	struct value_nodes nodes = {0};
	uint8_t *seen = NULL;
	int rc = value_nodes_read(w->type, s, &nodes, w->err);

	if (rc)
		goto out;
	w->steps += nodes.n;
	seen = calloc(1, (size_t)s->size + 1);
	if (!seen) {
		rc = err_nomem(w->err);
		goto out;
	}
	w->v->open(w->ctx, name, false);
	rc = walk_nodes(w, &nodes, 0, bit_off, seen);
	if (!rc && w->more.n == 1)
		padding(w, w->value + bit_off / 8, seen, s->size);
	w->v->close(w->ctx, false);
out:
	free(seen);
	value_nodes_free(&nodes);
	return rc;
}

static int walk_value(struct walk *w, uint32_t id, const char *name, uint64_t bit_off, uint32_t bits)
{
	struct value_shape s;
	int rc = value_shape(w->type, id, name, &s, w->err);

	if (!rc)
		rc = value_bitfield_shape(&s, bits, w->err);
	if (rc)
		return rc;
	if (++w->steps > VALUE_STEPS_MAX || w->depth >= VALUE_DEPTH_MAX)
		return err_set(w->err, -EBADMSG, "type %u: nested too deep or too large", id);
	w->depth++;
	if (s.kind == VALUE_STRUCT)
		rc = walk_struct(w, &s, name, bit_off);
	else if (s.kind == VALUE_ARRAY)
		rc = walk_array(w, &s, name, bit_off);
	else
		walk_scalar(w, &s, name, bit_off, bits);
	w->depth--;
	return rc;
}

static void walk_prefix(struct walk *w, const struct value_shape *s, uint32_t len)
{
	char t[INET6_ADDRSTRLEN + 8];
	size_t n;

	inet_ntop(s->kind == VALUE_IP ? AF_INET : AF_INET6, w->value + 4, t, INET6_ADDRSTRLEN);
	n = strlen(t);
	snprintf(t + n, sizeof(t) - n, "/%u", len);
	text(w, NULL, t);
}

int value_walk(const struct sluice_type *type, const void *value, const struct value_more *more,
	const struct value_visitor *v, void *ctx, struct sluice_err *err)
{
	struct walk w = {.type = type, .value = value, .more = {.n = 1}, .v = v, .ctx = ctx, .err = err};
	struct value_shape s;
	uint32_t len;
	int rc;

	if (more)
		w.more = *more;
	if (type->as != SLUICE_AS_TYPE) {
		rc = value_as_shape(type->as, type->size, "it", &s, err);
		if (!rc)
			walk_scalar(&w, &s, NULL, 0, 0);
		return rc;
	}
	if (value_prefix_shape(type, &s)) {
		memcpy(&len, value, 4);
		if (len <= s.size * 8) {
			walk_prefix(&w, &s, len);
			return 0;
		}
	}
	if (!type->btf || !type->id) {
		bool number = type->size == 1 || type->size == 2 || type->size == 4 || type->size == 8;

		s = (struct value_shape){
			.kind = number && !type->prefix ? VALUE_UINT : VALUE_BYTES, .size = type->size};
		walk_scalar(&w, &s, NULL, 0, 0);
		return 0;
	}
	rc = value_shape(type, type->id, NULL, &s, err);
	if (!rc && s.size != type->size)
		return err_set(err, -EBADMSG, "BTF says %u bytes, the value has %u", s.size, type->size);
	return rc ? rc : walk_value(&w, type->id, NULL, 0, 0);
}
