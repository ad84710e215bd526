/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One filter asked both ways: the oracle, and the compiled program on an engine. Any difference ends the
 * program.
 */
#ifndef TESTS_FILTER_PAIR_H
#define TESTS_FILTER_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "control/filter.h"
#include "control/sets.h"
#include "policy/oracle.h"
#include "vm/worker.h"

#define NOW 1000000000000ull
#define N_CPUS 64 /* of the user-space engine: policies name CPUs below that */
#define ROOM 65536

struct pair {
	const struct policy *p;
	uint32_t filter;
	struct filter_tables *t;
	struct control_filter f;
	struct vm_worker *worker; /* of the user-space engine */
	struct policy_oracle *o;
	struct filter_sets *plan; /* of the sets that are looked up, NULL: all are constants */
	struct control_sets *sets; /* NULL: there are none */
	int sets_fd;
};

extern uint64_t seed; /* what fail() names */
extern bool kernel;
extern const struct buf *text_now; /* the policy that fail() shows; may be NULL */

void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * pair_engine(): "interp", "jit" (of the user-space engine) or "kernel". pair_done() says what was
 * compared; the exit code.
 */
void pair_engine(const char *name);
int pair_done(void);

struct policy *pair_parse(const struct buf *text);

/*
 * pair_start(): false if the filter is refused as too large. pair_stop() compares the counters, and ends with
 * pair_free().
 */
bool pair_start(struct pair *a, const struct policy *p, uint32_t filter);
void pair_stop(struct pair *a);
void pair_free(struct pair *a);

/*
 * pair_ask() compares the verdicts; the rule that decided, or ORACLE_DEFAULT. pair_run() asks the program
 * alone.
 */
uint32_t pair_ask(struct pair *a, const uint8_t *frame, uint32_t len, uint32_t ifindex, uint64_t now_ns);
uint32_t pair_run(struct pair *a, const uint8_t *frame, uint32_t len, uint32_t ifindex, uint64_t now_ns);

/*
 * pair_change() (filter_sets.c) bans, unbans or lists something at random, on both sides; now_ns is the engine's.
 * pair_moment() is the next moment: now and then a second or more later.
 */
struct random_state;
void pair_change(struct pair *a, struct random_state *r, uint64_t now_ns);
uint64_t pair_moment(struct random_state *r, uint64_t now_ns);
extern bool moving; /* time goes on and sets change */
extern uint64_t n_changes;

/* hostile() (filter_hostile.c): frames that want to get past the rules. */
void hostile(void);

#endif
