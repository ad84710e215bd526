/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a BTF type is typed and shown: shapes, the members of a struct as people see them, and the walk over
 * a value that text and JSON are both made from. The text itself is described in sluice/value.h.
 */
#ifndef BPF_VALUE_H
#define BPF_VALUE_H

#include <bpf/btf.h>
#include <sluice/value.h>

#include "base/buf.h"

enum value_kind {
	VALUE_UINT,
	VALUE_SINT,
	VALUE_BOOL,
	VALUE_CHAR,
	VALUE_ENUM,
	VALUE_FLOAT, /* 4 or 8 bytes */
	VALUE_POINTER,
	VALUE_BE, /* unsigned integer in wire order */
	VALUE_IP,
	VALUE_IP6,
	VALUE_MAC,
	VALUE_STRING, /* char[N] */
	VALUE_BYTES,
	VALUE_ARRAY,
	VALUE_STRUCT, /* struct, union, or the variables of a section */
	VALUE_KERNEL, /* struct bpf_spin_lock and its like */
};

struct value_shape {
	enum value_kind kind;
	uint32_t id;   /* of the type behind typedefs and qualifiers */
	uint32_t size; /* bytes */
	bool is_signed;
	uint32_t elem, n; /* of an array: element type and count */
	const struct btf_type *t;
};

/*
 * value_shape() finds out how the type id is shown; name is the member's (NULL: none), for the overrides
 * of type.
 * errors: -EBADMSG damaged BTF, -EOPNOTSUPP a kind that is no value, -EINVAL an override of another size
 */
int value_shape(const struct sluice_type *type, uint32_t id, const char *name, struct value_shape *s,
	struct sluice_err *err);
int value_as_shape(
	enum sluice_as as, uint32_t size, const char *what, struct value_shape *s, struct sluice_err *err);
const char *value_as_name(enum sluice_as as);

/* What is left of a shape in a bitfield: integers without wire order; -EBADMSG for what cannot be one. */
int value_bitfield_shape(struct value_shape *s, uint32_t bits, struct sluice_err *err);

/* The part of an LPM key behind the prefix length, if it reads as one address; false if it does not. */
bool value_prefix_shape(const struct sluice_type *type, struct value_shape *s);

/*
 * Members of a struct, anonymous structs and unions opened up: in pre-order, an anonymous group followed
 * by the n_inside nodes within. The first node stands for the type itself.
 */
enum value_node_kind { NODE_LEAF, NODE_STRUCT, NODE_UNION };

struct value_node {
	enum value_node_kind kind;
	const char *name; /* of a leaf */
	uint32_t type;	  /* of a leaf */
	uint64_t bit_off; /* from the struct's start */
	uint32_t bits;	  /* width of a bitfield, 0: none */
	uint32_t size;	  /* bytes; 0 for a bitfield */
	uint32_t n_inside;
	bool given;  /* the parser's mark */
	bool hidden; /* VALUE_KERNEL: neither typed nor shown */
	bool pointer;
};

struct value_nodes {
	struct value_node *node;
	uint32_t n, cap;
	uint32_t n_leaves; /* not hidden */
	bool has_union;	   /* an anonymous one inside */
};

/*
 * value_nodes_read() fills *nodes (zeroed by the caller), which value_nodes_free() frees, also after
 * failure.
 */
int value_nodes_read(const struct sluice_type *type, const struct value_shape *s, struct value_nodes *nodes,
	struct sluice_err *err);
void value_nodes_free(struct value_nodes *nodes);

/*
 * Names are BTF's, and BTF can come from anybody: value_tame() makes ? of what a terminal would obey.
 * Returns text.
 */
char *value_tame(char *text);

/* A type's name as C writes it, without declarator: "struct key", "__u64 *", "char[16]". */
void value_type_name(const struct btf *btf, uint32_t id, struct buf *out);

/* Integers at a bit offset, bits 1..128, in the host's bit order. */
unsigned __int128 value_bits_get(const uint8_t *p, uint64_t bit_off, uint32_t bits);
void value_bits_put(uint8_t *p, uint64_t bit_off, uint32_t bits, unsigned __int128 v);

/* What a walk meets at its ends. text is NUL-terminated where it is set. */
struct value_scalar {
	/* SINT, UINT (any width), CHAR, BOOL, FLOAT, STRING, BYTES; everything else comes as ENUM with text */
	enum value_kind kind;
	unsigned __int128 u; /* UINT, BOOL; SINT, CHAR: two's complement; bits of FLOAT */
	uint32_t bits;	     /* of UINT, SINT, FLOAT */
	double f;
	const char *text;     /* enumerators, addresses, prefixes */
	const uint8_t *bytes; /* STRING, BYTES */
	uint32_t len;
	bool has_delta; /* UINT, SINT, FLOAT, with value_more.before */
	__int128 delta;
	double delta_f;
};

/* Values that are shown as one, and what they were before. */
struct value_more {
	uint32_t n, stride;    /* of every CPU: integers and floats are added up */
	const uint8_t *before; /* as many; NULL: no differences */
};

/*
 * Called in order. name is the member's or NULL in arrays and at the top.
 * repeat (may be NULL: then every element is walked) says that the element just walked stands for n equal
 * ones.
 */
struct value_visitor {
	void (*open)(void *ctx, const char *name, bool array);
	void (*close)(void *ctx, bool array);
	void (*scalar)(void *ctx, const char *name, const struct value_scalar *s);
	void (*repeat)(void *ctx, uint32_t n);
};

/*
 * value_walk() walks over type->size bytes of value; more may be NULL (one value, no differences).
 * value_text() makes text of the walk: the caller frees *text.
 * errors: -EBADMSG, -ENOMEM, -EINVAL as sluice_type_print()
 */
int value_walk(const struct sluice_type *type, const void *value, const struct value_more *more,
	const struct value_visitor *v, void *ctx, struct sluice_err *err);
int value_text(const struct sluice_type *type, const void *value, const struct value_more *more, char **text,
	struct sluice_err *err);

/* A char[N]'s text with its quotes and escapes; the NULs at its end are left out. */
void value_quote(struct buf *b, const uint8_t *bytes, size_t len);

/* Where a parse stands. Used by value_parse.c and value_scalar.c alone. */
struct value_cursor {
	const struct sluice_type *type;
	const char *text, *at;
	uint8_t *value;
	unsigned int depth;
	uint32_t steps;
	struct sluice_err *err;
};

/* value_refuse() writes "column N: ..." and returns -EINVAL; at points into c->text. */
int value_refuse(struct value_cursor *c, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * value_found() is "'x' found, WANTED wanted" (or "nothing there, ..." at the end) as value_refuse() at the
 * cursor.
 */
int value_found(struct value_cursor *c, const char *wanted);

/* value_parse_scalar() reads anything but a struct or an array to bit_off (bits as in value_node). */
int value_parse_scalar(
	struct value_cursor *c, const struct value_shape *s, uint32_t id, uint64_t bit_off, uint32_t bits);
int value_parse_hex(struct value_cursor *c, uint8_t *to, uint32_t size, bool spaced);
int value_parse_prefix(struct value_cursor *c, const struct value_shape *s);
bool value_is_address(const char *word);
size_t value_word(const char *at); /* length of the bare word there */

#define VALUE_DEPTH_MAX 32
#define VALUE_STEPS_MAX 1000000 /* nodes of one value: hostile BTF can nest exponentially */

#endif
