// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From BTF to shapes: how a type is typed and shown, and which members a struct has. Naming layouts is
 * value_layout.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bpf/value.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define ALIASES_MAX 64		  /* typedefs and qualifiers in a row */
#define SIZE_MAX_BYTES (1u << 30) /* of one type: no map value is larger */

static const struct as_name {
	const char *name;
	enum sluice_as as;
	enum value_kind kind;
	uint32_t size; /* 0: any */
} as_names[] = {
	{"ip", SLUICE_AS_IP, VALUE_IP, 4},
	{"ip6", SLUICE_AS_IP6, VALUE_IP6, 16},
	{"mac", SLUICE_AS_MAC, VALUE_MAC, 6},
	{"hex", SLUICE_AS_HEX, VALUE_BYTES, 0},
	{"text", SLUICE_AS_TEXT, VALUE_STRING, 0},
	{"u8", SLUICE_AS_U8, VALUE_UINT, 1},
	{"u16", SLUICE_AS_U16, VALUE_UINT, 2},
	{"u32", SLUICE_AS_U32, VALUE_UINT, 4},
	{"u64", SLUICE_AS_U64, VALUE_UINT, 8},
	{"s8", SLUICE_AS_S8, VALUE_SINT, 1},
	{"s16", SLUICE_AS_S16, VALUE_SINT, 2},
	{"s32", SLUICE_AS_S32, VALUE_SINT, 4},
	{"s64", SLUICE_AS_S64, VALUE_SINT, 8},
	{"be16", SLUICE_AS_BE16, VALUE_BE, 2},
	{"be32", SLUICE_AS_BE32, VALUE_BE, 4},
	{"be64", SLUICE_AS_BE64, VALUE_BE, 8},
};

int sluice_as_parse(const char *text, enum sluice_as *as, struct sluice_err *err)
{
	size_t i;

	for (i = 0; i < COUNT(as_names); i++) {
		if (strcmp(as_names[i].name, text))
			continue;
		*as = as_names[i].as;
		return 0;
	}
	return err_set(err, -EINVAL,
		"'%.40s' is no interpretation; there are ip, ip6, mac, hex, text, u8, u16, u32, u64, s8, "
		"s16, s32, "
		"s64, be16, be32, be64",
		text);
}

const char *value_as_name(enum sluice_as as)
{
	size_t i;

	for (i = 0; i < COUNT(as_names); i++)
		if (as_names[i].as == as)
			return as_names[i].name;
	return "its type";
}

int value_as_shape(
	enum sluice_as as, uint32_t size, const char *what, struct value_shape *s, struct sluice_err *err)
{
	size_t i;

	for (i = 0; i < COUNT(as_names) && as_names[i].as != as; i++)
		;
	if (i == COUNT(as_names))
		return err_set(err, -EINVAL, "no interpretation number %d", (int)as);
	if (as_names[i].size && as_names[i].size != size)
		return err_set(err, -EINVAL, "%s has %u bytes, %s has %u", what, size, as_names[i].name,
			as_names[i].size);
	memset(s, 0, sizeof(*s));
	s->kind = as_names[i].kind;
	s->size = size;
	s->is_signed = s->kind == VALUE_SINT;
	return 0;
}

static const char *name_of(const struct btf *btf, const struct btf_type *t)
{
	const char *name = btf__name_by_offset(btf, t->name_off);

	return name ? name : "";
}

static bool one_of(const char *word, const char *const *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/*
 * The type behind typedefs and qualifiers; NULL if the BTF is damaged. *wire: one of the typedefs means
 * wire order.
 */
static const struct btf_type *strip(const struct btf *btf, uint32_t *id, bool *wire)
{
	static const char *const wires[] = {
		"__be16", "__be32", "__be64", "be16", "be32", "be64", "__sum16", "in_addr_t", "in_port_t"};
	const struct btf_type *t;
	int i;

	*wire = false;
	for (i = 0; i < ALIASES_MAX; i++) {
		t = btf__type_by_id(btf, *id);
		if (!t)
			return NULL;
		switch (btf_kind(t)) {
		case BTF_KIND_TYPEDEF:
			if (one_of(name_of(btf, t), wires, COUNT(wires)))
				*wire = true;
			break;
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
		case BTF_KIND_VAR:
			break;
		default:
			return t;
		}
		*id = t->type;
	}
	return NULL;
}

static void int_shape(const struct btf *btf, const struct btf_type *t, bool wire, struct value_shape *s)
{
	uint8_t encoding = btf_int_encoding(t);
	uint32_t n = s->size;

	s->is_signed = encoding & BTF_INT_SIGNED;
	if (n == 0 || n > 16 || (n & (n - 1)))
		s->kind = VALUE_BYTES;
	else if ((encoding & BTF_INT_BOOL) && n == 1)
		s->kind = VALUE_BOOL;
	else if (n == 1 && !strcmp(name_of(btf, t), "char"))
		s->kind = VALUE_CHAR;
	else if (wire && n > 1 && n < 16)
		s->kind = n == 4 ? VALUE_IP : VALUE_BE;
	else
		s->kind = s->is_signed ? VALUE_SINT : VALUE_UINT;
}

static int shape_at(const struct sluice_type *type, uint32_t id, const char *name, struct value_shape *s,
	int depth, struct sluice_err *err);

static int array_shape(const struct sluice_type *type, const struct btf_type *t, struct value_shape *s,
	int depth, struct sluice_err *err)
{
	const struct btf_array *a = btf_array(t);
	struct value_shape elem;
	uint64_t bytes;
	int rc = shape_at(type, a->type, NULL, &elem, depth + 1, err);

	if (rc)
		return rc;
	bytes = (uint64_t)elem.size * a->nelems;
	if (bytes > SIZE_MAX_BYTES)
		return err_set(
			err, -EBADMSG, "type %u: an array of %llu bytes", s->id, (unsigned long long)bytes);
	s->size = (uint32_t)bytes;
	s->elem = a->type;
	s->n = elem.size ? a->nelems : 0;
	if (elem.kind == VALUE_CHAR)
		s->kind = VALUE_STRING;
	else if (elem.kind == VALUE_UINT && elem.size == 1)
		s->kind = s->n == 6 ? VALUE_MAC : s->n == 16 ? VALUE_IP6 : VALUE_BYTES;
	else if (elem.kind == VALUE_KERNEL)
		s->kind = VALUE_KERNEL;
	else if (elem.kind == VALUE_IP && s->n == 4 && btf_is_int(elem.t))
		s->kind = VALUE_IP6;
	else
		s->kind = VALUE_ARRAY;
	return 0;
}

static void struct_shape(const struct btf *btf, const struct btf_type *t, struct value_shape *s, bool inside)
{
	static const char *const kernels[] = {
		"bpf_spin_lock",
		"bpf_res_spin_lock",
		"bpf_timer",
		"bpf_wq",
		"bpf_task_work",
		"bpf_list_head",
		"bpf_list_node",
		"bpf_rb_root",
		"bpf_rb_node",
		"bpf_refcount",
	};
	const char *name = name_of(btf, t);

	s->kind = VALUE_STRUCT;
	if (s->size == 4 && !strcmp(name, "in_addr"))
		s->kind = VALUE_IP;
	else if (s->size == 16 && !strcmp(name, "in6_addr"))
		s->kind = VALUE_IP6;
	else if (inside && one_of(name, kernels, COUNT(kernels)))
		s->kind = VALUE_KERNEL;
}

static int shape_at(const struct sluice_type *type, uint32_t id, const char *name, struct value_shape *s,
	int depth, struct sluice_err *err)
{
	const struct btf_type *t;
	uint32_t at = id;
	bool wire;

	t = depth < VALUE_DEPTH_MAX ? strip(type->btf, &at, &wire) : NULL;
	if (!t)
		return err_set(err, -EBADMSG, "type %u: damaged BTF", id);
	*s = (struct value_shape){.t = t, .id = at, .size = t->size};
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		int_shape(type->btf, t, wire, s);
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		if (s->size != 1 && s->size != 2 && s->size != 4 && s->size != 8)
			return err_set(err, -EBADMSG, "type %u: an enum of %u bytes", at, s->size);
		s->kind = VALUE_ENUM;
		s->is_signed = btf_kflag(t);
		break;
	case BTF_KIND_FLOAT:
		s->kind = s->size == 4 || s->size == 8 ? VALUE_FLOAT : VALUE_BYTES;
		break;
	case BTF_KIND_PTR:
		s->kind = VALUE_POINTER;
		s->size = 8;
		break;
	case BTF_KIND_ARRAY:
		if (array_shape(type, t, s, depth, err))
			return -EBADMSG;
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
		struct_shape(type->btf, t, s, name != NULL || depth > 0);
		break;
	default:
		return err_set(err, -EBADMSG, "type %u: kind %u has no values", at, btf_kind(t));
	}
	if (s->size > SIZE_MAX_BYTES)
		return err_set(err, -EBADMSG, "type %u: %u bytes", at, s->size);
	return 0;
}

int value_shape(const struct sluice_type *type, uint32_t id, const char *name, struct value_shape *s,
	struct sluice_err *err)
{
	int rc = shape_at(type, id, name, s, 0, err);
	size_t i;

	for (i = 0; !rc && name && i < type->n_members; i++) {
		if (strcmp(type->member[i].name, name) || type->member[i].as == SLUICE_AS_TYPE)
			continue;
		return value_as_shape(type->member[i].as, s->size, name, s, err);
	}
	return rc;
}

int value_bitfield_shape(struct value_shape *s, uint32_t bits, struct sluice_err *err)
{
	if (!bits)
		return 0;
	if (s->kind == VALUE_BE || s->kind == VALUE_IP)
		s->kind = VALUE_UINT;
	if (s->kind > VALUE_ENUM || bits > s->size * 8)
		return err_set(err, -EBADMSG, "type %u: a bitfield of %u bits", s->id, bits);
	return 0;
}

static struct value_node *add_node(struct value_nodes *nodes)
{
	struct value_node *p;

	if (nodes->n == nodes->cap) {
		uint32_t cap = nodes->cap ? nodes->cap * 2 : 16;

		p = cap > VALUE_STEPS_MAX ? NULL : realloc(nodes->node, cap * sizeof(*p));
		if (!p)
			return NULL;
		nodes->node = p;
		nodes->cap = cap;
	}
	p = &nodes->node[nodes->n++];
	memset(p, 0, sizeof(*p));
	return p;
}

/* The i-th member of a struct or union, or the i-th variable of a section. */
struct member {
	const char *name;
	uint32_t type;
	uint64_t bit_off;
	uint32_t bits;
};

static bool member_at(const struct btf *btf, const struct btf_type *t, uint32_t i, struct member *m)
{
	if (btf_is_datasec(t)) {
		const struct btf_var_secinfo *v = btf_var_secinfos(t) + i;
		const struct btf_type *var = btf__type_by_id(btf, v->type);

		if (!var || !btf_is_var(var))
			return false;
		*m = (struct member){name_of(btf, var), var->type, (uint64_t)v->offset * 8, 0};
		return true;
	}
	*m = (struct member){name_of(btf, &(struct btf_type){.name_off = btf_members(t)[i].name_off}),
		btf_members(t)[i].type, btf_member_bit_offset(t, i), btf_member_bitfield_size(t, i)};
	return true;
}

/* Before kind_flag, a bitfield was an INT narrower than its size, with an offset of its own. */
static void old_bitfield(struct member *m, const struct value_shape *s)
{
	uint32_t bits;

	if (m->bits || !s->t || !btf_is_int(s->t))
		return;
	bits = btf_int_bits(s->t);
	if (bits && bits < s->size * 8) {
		m->bits = bits;
		m->bit_off += btf_int_offset(s->t);
	}
}

static int read_nodes(const struct sluice_type *type, const struct value_shape *s, uint64_t base,
	uint64_t limit, struct value_nodes *nodes, int depth, struct sluice_err *err)
{
	uint32_t at = nodes->n, i, vlen = btf_vlen(s->t);
	struct value_node *node = add_node(nodes);
	struct value_shape ms;
	struct member m;
	uint64_t end;
	int rc;

	if (!node || depth > VALUE_DEPTH_MAX)
		return err_set(
			err, node ? -EBADMSG : -ENOMEM, "type %u: nested too deep or too large", s->id);
	*node = (struct value_node){
		.kind = btf_is_union(s->t) ? NODE_UNION : NODE_STRUCT, .bit_off = base, .size = s->size};
	for (i = 0; i < vlen; i++) {
		if (!member_at(type->btf, s->t, i, &m))
			return err_set(err, -EBADMSG, "type %u: damaged BTF", s->id);
		rc = value_shape(type, m.type, m.name, &ms, err);
		if (rc)
			return rc;
		old_bitfield(&m, &ms);
		m.bit_off += base;
		end = m.bit_off + (m.bits ? m.bits : (uint64_t)ms.size * 8);
		if (end > limit || m.bits > 128 || (!m.bits && m.bit_off % 8))
			return err_set(err, -EBADMSG, "type %u: member %.60s lies outside", s->id, m.name);
		if (!m.name[0] && ms.kind == VALUE_STRUCT && !m.bits) {
			nodes->has_union |= btf_is_union(ms.t);
			rc = read_nodes(type, &ms, m.bit_off, end, nodes, depth + 1, err);
			if (rc)
				return rc;
			continue;
		}
		if (!m.name[0])
			continue; /* an unnamed bitfield is padding */
		node = add_node(nodes);
		if (!node)
			return err_set(err, -ENOMEM, "type %u: too many members", s->id);
		*node = (struct value_node){.kind = NODE_LEAF,
			.name = m.name,
			.type = m.type,
			.bit_off = m.bit_off,
			.bits = m.bits,
			.size = m.bits ? 0 : ms.size,
			.hidden = ms.kind == VALUE_KERNEL,
			.pointer = ms.kind == VALUE_POINTER};
		nodes->n_leaves += !node->hidden;
	}
	nodes->node[at].n_inside = nodes->n - at - 1;
	return 0;
}

int value_nodes_read(const struct sluice_type *type, const struct value_shape *s, struct value_nodes *nodes,
	struct sluice_err *err)
{
	return read_nodes(type, s, 0, (uint64_t)s->size * 8, nodes, 0, err);
}

void value_nodes_free(struct value_nodes *nodes)
{
	free(nodes->node);
	memset(nodes, 0, sizeof(*nodes));
}

bool value_prefix_shape(const struct sluice_type *type, struct value_shape *s)
{
	struct value_nodes nodes = {0};
	struct value_shape whole, first;
	bool fits = false;

	if (!type->prefix || type->as != SLUICE_AS_TYPE || (type->size != 8 && type->size != 20))
		return false;
	if (type->btf && type->id) {
		/* a number in front, then one thing of an address's size */
		if (!value_shape(type, type->id, NULL, &whole, NULL) && whole.kind == VALUE_STRUCT &&
			!btf_is_union(whole.t) && !value_nodes_read(type, &whole, &nodes, NULL) &&
			nodes.n > 2 && nodes.node[1].kind == NODE_LEAF &&
			!value_shape(type, nodes.node[1].type, NULL, &first, NULL) &&
			first.kind == VALUE_UINT && first.size == 4 && nodes.node[2].bit_off == 32 &&
			nodes.node[2].size == type->size - 4 && nodes.node[2].n_inside == nodes.n - 3)
			fits = true;
		value_nodes_free(&nodes);
		if (!fits)
			return false;
	}
	*s = (struct value_shape){.kind = type->size == 8 ? VALUE_IP : VALUE_IP6, .size = type->size - 4};
	return true;
}

unsigned __int128 value_bits_get(const uint8_t *p, uint64_t bit_off, uint32_t bits)
{
	unsigned __int128 v = 0;
	uint32_t i;
	uint64_t at;

	for (i = 0; i < bits; i++) {
		at = bit_off + i;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		v |= (unsigned __int128)(p[at / 8] >> at % 8 & 1) << i;
#else
		v = v << 1 | (p[at / 8] >> (7 - at % 8) & 1);
#endif
	}
	return v;
}

void value_bits_put(uint8_t *p, uint64_t bit_off, uint32_t bits, unsigned __int128 v)
{
	uint32_t i, shift;
	uint64_t at;

	for (i = 0; i < bits; i++) {
		at = bit_off + i;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		shift = at % 8;
		p[at / 8] = (uint8_t)((p[at / 8] & ~(1u << shift)) | (unsigned int)(v >> i & 1) << shift);
#else
		shift = 7 - at % 8;
		p[at / 8] = (uint8_t)((p[at / 8] & ~(1u << shift)) | (unsigned int)(v >> (bits - 1 - i) & 1)
									     << shift);
#endif
	}
}
