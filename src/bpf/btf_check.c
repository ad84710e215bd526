// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Type information in bounds and without types that contain themselves. See elf_check.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <linux/btf.h>

#include "base/err.h"
#include "base/view.h"
#include "bpf/elf_check.h"

#define KIND_ENUM64 19 /* the last kind that libbpf 1.1 knows */
#define TYPES_MAX 1000000u

struct types {
	const uint8_t *at; /* first type */
	uint32_t *offset;  /* of type id; [0] is void and unused */
	uint32_t n;	   /* ids are 1..n */
	uint32_t str_len;
	struct sluice_err *err;
};

static struct btf_type type_of(const struct types *t, uint32_t id)
{
	struct btf_type x;

	memcpy(&x, t->at + t->offset[id], sizeof(x));
	return x;
}

static uint32_t kind_of(const struct types *t, uint32_t id)
{
	struct btf_type x;

	if (!id)
		return BTF_KIND_UNKN;
	x = type_of(t, id);
	return BTF_INFO_KIND(x.info);
}

/* Bytes behind the common part; -1 for a kind that does not exist. */
static int64_t tail_size(uint32_t info)
{
	uint64_t n = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (int64_t)(n * sizeof(struct btf_member));
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return (int64_t)(n * 8);
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return (int64_t)(n * 12);
	case BTF_KIND_UNKN:
		return -1;
	default:
		return BTF_INFO_KIND(info) <= KIND_ENUM64 ? 0 : -1;
	}
}

static int damaged(const struct types *t, uint32_t id)
{
	return err_set(t->err, -EBADMSG, "damaged: type %u of its type information is impossible", id);
}

static int find_types(struct types *t, size_t len)
{
	struct view v = view_of(t->at, len);
	struct btf_type x;
	int64_t tail;

	for (t->n = 0; v.left; t->n++) {
		uint32_t at = (uint32_t)(v.at - t->at);

		if (t->n >= TYPES_MAX || !view_copy(&v, &x, sizeof(x)) || (tail = tail_size(x.info)) < 0 ||
		    !view_take(&v, (size_t)tail))
			return damaged(t, t->n + 1);
		t->offset[t->n + 1] = at;
	}
	return 0;
}

/* Entry k of a type's tail; name and type are where all kinds but one have them. */
static bool entry_fine(const struct types *t, uint32_t id, uint32_t kind, uint32_t k)
{
	const uint8_t *tail = t->at + t->offset[id] + sizeof(struct btf_type);
	uint32_t words[3];

	switch (kind) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		memcpy(words, tail + k * 12, 12);
		return words[0] < t->str_len && words[1] <= t->n && words[1];
	case BTF_KIND_FUNC_PROTO:
		memcpy(words, tail + k * 8, 8);
		return words[0] < t->str_len && words[1] <= t->n;
	case BTF_KIND_ENUM:
		memcpy(words, tail + k * 8, 8);
		return words[0] < t->str_len;
	case KIND_ENUM64:
		memcpy(words, tail + k * 12, 12);
		return words[0] < t->str_len;
	default: /* DATASEC */
		memcpy(words, tail + k * 12, 12);
		return words[0] && words[0] <= t->n &&
		       (kind_of(t, words[0]) == BTF_KIND_VAR || kind_of(t, words[0]) == BTF_KIND_FUNC);
	}
}

static int check_type(const struct types *t, uint32_t id)
{
	struct btf_type x = type_of(t, id);
	uint32_t kind = BTF_INFO_KIND(x.info), k;
	struct btf_array a;

	if (x.name_off >= t->str_len)
		return damaged(t, id);
	switch (kind) {
	case BTF_KIND_PTR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
	case BTF_KIND_DECL_TAG:
	case BTF_KIND_FUNC_PROTO:
		if (x.type > t->n)
			return damaged(t, id);
		break;
	case BTF_KIND_FUNC:
		if (x.type > t->n || kind_of(t, x.type) != BTF_KIND_FUNC_PROTO)
			return damaged(t, id);
		break;
	case BTF_KIND_VAR:
		if (!x.type || x.type > t->n)
			return damaged(t, id);
		break;
	case BTF_KIND_ARRAY:
		memcpy(&a, t->at + t->offset[id] + sizeof(x), sizeof(a));
		if (!a.type || a.type > t->n || a.index_type > t->n)
			return damaged(t, id);
		break;
	}
	for (k = 0; k < BTF_INFO_VLEN(x.info); k++)
		if (tail_size(x.info) && kind != BTF_KIND_INT && kind != BTF_KIND_VAR && kind != BTF_KIND_DECL_TAG &&
		    kind != BTF_KIND_ARRAY && !entry_fine(t, id, kind, k))
			return damaged(t, id);
	return 0;
}

/* What a type contains by value: part k of it, 0 when there are no more. Pointers and functions contain nothing. */
static uint32_t part_of(const struct types *t, uint32_t id, uint32_t k)
{
	struct btf_type x = type_of(t, id);
	struct btf_member m;
	struct btf_array a;

	switch (BTF_INFO_KIND(x.info)) {
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
	case BTF_KIND_VAR:
		return k == 0 ? x.type : 0;
	case BTF_KIND_ARRAY:
		memcpy(&a, t->at + t->offset[id] + sizeof(x), sizeof(a));
		return k == 0 ? a.type : 0;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		if (k >= BTF_INFO_VLEN(x.info))
			return 0;
		memcpy(&m, t->at + t->offset[id] + sizeof(x) + k * sizeof(m), sizeof(m));
		return m.type;
	default:
		return 0;
	}
}

/* Depth first, without recursion: a type met again while it is still open contains itself. */
static int check_cycles(const struct types *t)
{
	uint8_t *seen = calloc(t->n + 1, 1); /* 1 open, 2 done */
	uint32_t *path = calloc(t->n + 1, sizeof(*path)), *part = calloc(t->n + 1, sizeof(*part)), depth, id, next;
	int e = seen && path && part ? 0 : err_nomem(t->err);

	for (id = 1; id <= t->n && !e; id++) {
		if (seen[id])
			continue;
		depth = 0;
		path[0] = id;
		part[0] = 0;
		seen[id] = 1;
		for (;;) {
			next = part_of(t, path[depth], part[depth]++);
			if (!next) {
				seen[path[depth]] = 2;
				if (depth-- == 0)
					break;
			} else if (seen[next] == 1) {
				e = damaged(t, next);
				break;
			} else if (!seen[next]) {
				seen[next] = 1;
				path[++depth] = next;
				part[depth] = 0;
			}
		}
	}
	free(seen);
	free(path);
	free(part);
	return e;
}

/* One kind of records in .BTF.ext: record size, then per section its name, a count and that many records. */
static bool records_fine(const struct types *t, struct view v, uint32_t which)
{
	static const uint32_t least[] = {8, 16, 16};
	uint32_t size, name, n, words[4];

	if (!v.left)
		return true;
	size = view_u32(&v);
	if (size < least[which] || size % 4 || size > 256)
		return false;
	while (v.left && view_ok(&v)) {
		name = view_u32(&v);
		n = view_u32(&v);
		if (name >= t->str_len || !n || !view_ok(&v) || n > v.left / size)
			return false;
		while (n-- > 0) {
			memcpy(words, v.at, least[which]);
			view_take(&v, size);
			if (which == 0 && (words[1] > t->n || kind_of(t, words[1]) != BTF_KIND_FUNC))
				return false;
			if (which == 1 && (words[1] >= t->str_len || words[2] >= t->str_len))
				return false;
			if (which == 2 && (!words[1] || words[1] > t->n || words[2] >= t->str_len))
				return false;
		}
	}
	return view_ok(&v);
}

static int check_ext(const struct types *t, const void *ext, size_t len)
{
	struct view v = view_of(ext, len);
	uint32_t head[2], off, size, i, parts;
	bool fine;

	view_copy(&v, head, sizeof(head)); /* magic, version, flags; length */
	fine = view_ok(&v) && (head[0] & 0xffff) == BTF_MAGIC && head[1] >= 24 && head[1] <= len && head[1] % 4 == 0;
	parts = fine && head[1] >= 32 ? 3 : 2;
	for (i = 0; i < parts && fine; i++) {
		off = view_u32(&v);
		size = view_u32(&v);
		fine = view_ok(&v) && off % 4 == 0 && off <= len - head[1] && size <= len - head[1] - off &&
		       records_fine(t, view_of((const uint8_t *)ext + head[1] + off, size), i);
	}
	return fine ? 0 : err_set(t->err, -EBADMSG, "damaged: the records of its functions and lines (.BTF.ext) are impossible");
}

int btf_check(const void *btf, size_t len, const void *ext, size_t ext_len, struct sluice_err *err)
{
	const uint8_t *bytes = btf, *strings;
	struct types t = {.err = err};
	struct btf_header h;
	uint32_t id;
	int e;

	if (len < sizeof(h))
		return err_set(err, -EBADMSG, "truncated: its type information has %zu bytes", len);
	memcpy(&h, btf, sizeof(h));
	if (h.magic != BTF_MAGIC || h.version != BTF_VERSION || h.hdr_len < sizeof(h) || h.hdr_len > len || h.hdr_len % 4 ||
	    h.type_off % 4 || h.type_off > len - h.hdr_len || h.type_len > len - h.hdr_len - h.type_off ||
	    h.str_off > len - h.hdr_len || h.str_len > len - h.hdr_len - h.str_off || !h.str_len ||
	    h.str_off < h.type_off + h.type_len)
		return err_set(err, -EBADMSG, "damaged: the header of its type information contradicts itself");
	strings = bytes + h.hdr_len + h.str_off;
	if (strings[0] || strings[h.str_len - 1])
		return err_set(err, -EBADMSG, "damaged: the strings of its type information have no end");
	t.at = bytes + h.hdr_len + h.type_off;
	t.str_len = h.str_len;
	t.offset = calloc(h.type_len / sizeof(struct btf_type) + 2, sizeof(*t.offset));
	if (!t.offset)
		return err_nomem(err);
	e = find_types(&t, h.type_len);
	for (id = 1; id <= t.n && !e; id++)
		e = check_type(&t, id);
	if (!e)
		e = check_cycles(&t);
	if (!e && ext)
		e = check_ext(&t, ext, ext_len);
	free(t.offset);
	return e;
}
