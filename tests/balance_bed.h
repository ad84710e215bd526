/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balancer's program with a model's tables on an engine, packets made by hand, and what comes out of it. */
#ifndef TESTS_BALANCE_BED_H
#define TESTS_BALANCE_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/tables.h"
#include "control/balance.h"
#include "vm/worker.h"

#define FRAME_ROOM 4096
#define HOP_IN 1 /* the way number 1 leads back where packets come from, 2 to interface 7 */
#define HOP_OUT 2

struct frame {
	uint8_t b[FRAME_ROOM];
	uint32_t len, l3, l4; /* where the IP header and what follows it begin */
};

/* What a packet is made of; zeroes are nothing special. */
struct make {
	const char *src, *dst;
	uint16_t sport, dport;
	uint8_t proto; /* 6 and 17 get checksums */
	uint8_t flags; /* of TCP */
	uint32_t
		payload; /* bytes behind the header of TCP or UDP, or of anything else behind the IP header */
	uint32_t n_tags, options; /* IPv4: words of options; IPv6: destination options headers of 8 bytes */
	uint8_t tos;
	bool df, more, fragment; /* fragment: IPv6 with a fragment header */
	uint32_t offset, ident;	 /* offset: in units of 8 bytes */
};

struct bed {
	struct balance_model m;
	struct tables *t;
	struct control_balance b;
	struct vm_worker *worker;
	uint64_t now;
};

extern bool kernel;
extern uint64_t seed_now; /* what fail() names */

void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void engine_open(const char *name); /* interp, jit, kernel */
void engine_close(void);

struct net_addr addr(const char *text);

/* bed_open() loads the program for m, which is the bed's from then on, bed_load() for the tables that the bed has. bed_change()
 * after changes to m. */
void bed_load(struct bed *bed, const struct control_balance_opts *opts);
void bed_open(struct bed *bed, const struct control_balance_opts *opts);
void bed_change(struct bed *bed);
void bed_close(struct bed *bed);

/* Backends get their way: HOP_IN. */
void bed_ways(struct bed *bed, uint32_t hop);
uint64_t bed_reason(const struct bed *bed, int service, enum balance_reason reason);

/* bed_run() gives the program a frame; what it made of it is in *out. Returns the verdict. */
uint32_t bed_run(struct bed *bed, const struct frame *in, struct frame *out);

void frame_make(struct frame *f, const struct make *m);
void frame_put(struct frame *f, const void *data, uint32_t len);
void frame_be16(struct frame *f, uint32_t v);
void frame_be32(struct frame *f, uint32_t v);
uint16_t frame_sum(const void *data, uint32_t len, uint32_t start); /* the Internet checksum, word by word */

#endif
