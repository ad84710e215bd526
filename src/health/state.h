/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When a backend is probed, and what the answers make of it. Pure: time and chance come in as numbers.
 *
 * Probes come in rounds. A round of a backend that is up ends with the first good answer, or with `fall` bad ones
 * and the backend down. Its probes start a gap apart, whether the one before has answered or not (`overlap`), so
 * that a fault is told at most `interval + timeout` after it happened: rounds start interval - (fall - 1) * gap
 * apart at most, gap being interval / (4 * fall). A probe that says nothing ends a round only if no other has failed in
 * it: otherwise one more is started in its place. A round of a backend that is down is one probe. A backend about
 * which nothing was proven yet is asked a gap apart in either case.
 *
 * Damping follows RFC 2439, section 4.4: each change adds to a penalty, which halves in `half_life`; a backend that
 * goes down with more than `cut` is held down until less than `reuse` is left, which is `hold_max` at most. Only
 * coming up is held back. The numbers of HEALTH_DAMP_* are those of routers: 1000 a change, cut 6000 (RFC 7196,
 * section 6), with times for servers instead of routes.
 */
#ifndef HEALTH_STATE_H
#define HEALTH_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define STATE_NEVER UINT64_MAX

#define HEALTH_DAMP_CHANGE 1000u
#define HEALTH_DAMP_CUT 6000u
#define HEALTH_DAMP_REUSE 2000u
#define HEALTH_DAMP_HALF_NS UINT64_C(60000000000)
#define HEALTH_DAMP_HOLD_NS UINT64_C(300000000000)

struct state_rules {
	uint64_t interval_ns, half_life_ns, hold_max_ns;
	uint32_t rise, fall; /* at least 1 */
	uint32_t jitter;     /* per cent of the time between rounds that chance may take off */
	uint32_t cut, reuse; /* of the penalty; cut 0: no damping */
	bool overlap;	     /* probes of a round do not wait for each other's end */
};

struct state {
	bool up, proven, held; /* proven: not merely the initial state any more */
	bool in_round;
	uint32_t good;	  /* good answers in a row of a backend that is down */
	uint32_t started; /* probes of this round */
	uint32_t bad;	  /* of which so many failed */
	uint32_t changes;
	uint64_t round_ns, last_ns; /* start of the round, and of its last probe */
	uint64_t next_ns;	    /* start of the next probe; STATE_NEVER: not before an answer */
	double penalty;
	uint64_t penalty_ns; /* when it was so much */
};

enum state_outcome {
	STATE_GOOD,
	STATE_BAD,
	STATE_UNTOLD, /* the checking host could not ask: says nothing about the backend */
};

/* What an answer led to; bits. */
#define STATE_CHANGED 1u /* up became down, or down up */
#define STATE_PROVEN 2u	 /* the first verdict, a change or not */
#define STATE_ENDED 4u	 /* the round is over: its other probes do not matter any more */
#define STATE_HELD 8u	 /* it would be up, but is held down */

/* state_begin() starts: the first probe is within one interval, at a time that chance (any number) decides. */
void state_begin(struct state *s, const struct state_rules *r, bool up, uint64_t now_ns, uint64_t chance);

/* state_rules_changed() begins another round under new rules; up, down and the penalty stay. */
void state_rules_changed(struct state *s, const struct state_rules *r, uint64_t now_ns, uint64_t chance);

/* state_started() says that the probe that was due has been started. */
void state_started(struct state *s, const struct state_rules *r, uint64_t now_ns);

/*
 * state_answer() takes the outcome of a probe of the round.
 *
 * in:      more  other probes of the round have not answered yet
 * out:     bits, as above; after STATE_ENDED answers of that round must not come in
 */
unsigned int state_answer(struct state *s, const struct state_rules *r, enum state_outcome o, bool more,
			  uint64_t now_ns, uint64_t chance);

/* state_penalty() is what is left of the penalty. */
double state_penalty(const struct state *s, const struct state_rules *r, uint64_t now_ns);

/* state_gap() is the time between starts within a round, state_period() at most that between rounds. */
uint64_t state_gap(const struct state_rules *r);
uint64_t state_period(const struct state_rules *r);

#endif
