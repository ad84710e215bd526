/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bench/classify.bpf.c and its users share: headers that stand for the packets', one a run, in turn. */
#ifndef BENCH_CLASSIFY_H
#define BENCH_CLASSIFY_H

#include <linux/types.h>

#define CLASSIFY_HEADERS 65536

struct header4 {
	__u32 src, dst;
	__u16 sport, dport, flags;
	__u8 proto, extra;
};

struct header6 {
	__u64 src[2], dst[2];
	__u16 sport, dport, flags;
	__u8 proto, extra;
};

/* The .bss of classify.bpf.o. */
struct classify_bench {
	__u32 turn;	 /* which header is next */
	__u32 n_headers; /* a power of two; 0: all */
	__u64 sum;	 /* of the rules found */
	union {
		struct header4 four[CLASSIFY_HEADERS];
		struct header6 six[CLASSIFY_HEADERS];
	} headers;
	__u32 answers[CLASSIFY_HEADERS];
	__u64 image[((32u << 20) + 1024) / 8]
		__attribute__((aligned(128))); /* lines of cache are the image's */
};

#ifndef __bpf__
#include "tests/classify_rules.h"

/* The i-th header, of the family it has. */
static inline void classify_bench_put(struct classify_bench *b, uint32_t i, const struct header *h)
{
	if (h->family == 4)
		b->headers.four[i] = (struct header4){.src = (uint32_t)rules_word(h->src, 4),
						      .dst = (uint32_t)rules_word(h->dst, 4),
						      .sport = h->sport,
						      .dport = h->dport,
						      .flags = h->flags,
						      .proto = h->proto,
						      .extra = h->extra};
	else
		b->headers.six[i] =
			(struct header6){.src = {rules_word(h->src, 8), rules_word(h->src + 8, 8)},
					 .dst = {rules_word(h->dst, 8), rules_word(h->dst + 8, 8)},
					 .sport = h->sport,
					 .dport = h->dport,
					 .flags = h->flags,
					 .proto = h->proto,
					 .extra = h->extra};
}
#endif

#endif
