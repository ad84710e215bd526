/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the steps of one compilation share: memory that ends with it, the image as it grows, and the rules of
 * one family as class numbers.
 */
#ifndef CLASSIFY_WORK_H
#define CLASSIFY_WORK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/classify.h"
#include "base/buf.h"
#include "classify/classify.h"

typedef unsigned __int128 classify_u128;

struct work_block;

struct work {
	struct work_block *blocks;
	struct buf image;
	size_t limit;
	const struct classify_opts *opts;
	struct sluice_err *err;
};

/* work_array(): n zeroed elements, freed by work_free() at the latest; NULL with err set when memory is
 * short. */
void *work_array(struct work *w, size_t n, size_t size);
void work_drop(struct work *w, void *array); /* frees one early */
void work_free(struct work *w);

/* work_table() adds n zeroed elements to the image: their offset, 0 with err set if that is beyond the limit.
 */
uint32_t work_table(struct work *w, size_t n, size_t size);
/* work_lines() adds bytes (NULL: zeroes), beginning at a multiple of two cache lines: likewise. */
uint32_t work_lines(struct work *w, const void *data, size_t bytes);
#define WORK_AT(w, type, off) ((type *)(void *)((w)->image.data + (off)))

/* work_sort() sorts numbers in ascending order. */
int work_sort(struct work *w, uint64_t *v, size_t n);

/* The prefixes of one side. Class 0 is /0, whether a rule has it or not; a prefix comes before those inside
 * it. */
struct side {
	uint32_t n;
	classify_u128 *start; /* IPv4 in the top 32 bits */
	uint8_t *len;
	uint32_t *parent; /* the next shorter prefix around it; of class 0: 0 */
	uint32_t *last;	  /* the last class inside it */
	uint32_t *of_rule;
	/* what side_widen() makes of them */
	uint8_t *level;	      /* enum side_level */
	uint32_t *same_level; /* how many classes up to this one have level 0, 1, 2: three numbers each */
	uint32_t *upper;      /* number of the longest middle or wide prefix */
	uint32_t *wide;	      /* wide class */
	uint32_t *wide_last;  /* by wide class: the last one inside it */
	uint32_t n_wide, n_upper;
	uint32_t numbered; /* how many classes come before these, in what is a part of a side: front6.c */
};

enum side_level { SIDE_NARROW, SIDE_MIDDLE, SIDE_WIDE };

static inline uint32_t side_record(const struct side *s, uint32_t class)
{
	return (class + s->numbered) | s->upper[class] << CLASSIFY_CLASS_BITS;
}

/* Addresses from start on belong to class, until the next one's start. */
struct side_range {
	classify_u128 start;
	uint32_t class;
};

/* The services of the rules: specifications (0: any), and what classes of packets these tell apart. */
struct services {
	uint32_t n_specs, n_classes;
	uint32_t *of_rule;   /* specification */
	uint32_t spec_words; /* of 64 bits */
	uint64_t *match;     /* by class: a bit for each specification */
	uint32_t class_words;
	uint64_t *classes; /* by specification: a bit for each class */
};

/* The rules of one family. */
struct family {
	const struct classify_rule **rules; /* in order */
	const uint32_t *ids;		    /* by rule */
	const uint8_t *goes_on;		    /* by rule; NULL: none does */
	uint32_t n;
	bool v6;
	uint32_t part; /* offset of its struct classify_part in the image */
	struct side side[2];
	struct services services;
	uint32_t depth; /* IPv6: reads on the longest way to a record */
	struct classify_part_report *report;
};

static inline struct classify_part *family_part(const struct work *w, const struct family *f)
{
	return WORK_AT(w, struct classify_part, f->part);
}

/* The steps. Each returns 0 or -errno with w->err set. */
int side_read(struct work *w, const struct family *f, int which, struct side *s);
/*
 * side_widen(): wide are /0 and the prefixes with more than max_below others inside them, middle those of the
 * rest with more than narrow_below. What is around a wide prefix is wide, what is around a middle one middle
 * or wide.
 */
void side_widen(struct side *s, uint32_t narrow_below, uint32_t max_below);
/* How many classes inside a class are of its level, itself included. */
uint32_t side_alike(const struct side *s, uint32_t class);
int side_ranges(struct work *w, const struct side *s, struct side_range **ranges, uint32_t *n);

int services_read(struct work *w, struct family *f);
int front4_build(struct work *w, struct family *f);
int front6_build(struct work *w, struct family *f);
/* What a table is too large by; most 0: by nothing. */
struct over {
	const char *of;
	double need, most;
};
/* cross_build(): over  of the order that needs least beyond what is allowed, where none fits. */
int cross_build(struct work *w, struct family *f, bool *fits, struct over *over);
int split_widen(struct work *w, struct family *f); /* before split_build(): decides what is wide */
int split_build(struct work *w, struct family *f);

/* Rows of a rule by service class, each kept once. */
struct rows {
	struct work *w;
	const struct services *services;
	uint32_t n, size; /* size: of the hash table, a power of two */
	uint32_t *table;  /* offsets in the image */
	uint64_t *left;
	uint32_t *row;
	uint32_t *last, n_last, last_row; /* what was put last */
};

int rows_init(struct rows *r, struct work *w, const struct services *services, uint32_t n_rules);
/* rows_left() makes all classes open; rows_claim() takes those of an entry: did it get any, is any left open?
 */
void rows_left(struct rows *r);
bool rows_claim(struct rows *r, uint32_t entry, bool *open);
/* rows_put(): the row of a list of entries (ascending by rule), its offset in the image; 0 with err set on
 * failure. */
uint32_t rows_put(struct rows *r, const uint32_t *entries, uint32_t n);

#endif
