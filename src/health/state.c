// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* When a backend is probed, and what the answers make of it: rounds, rise and fall, damping. */
#include <math.h>

#include "health/state.h"

uint64_t state_gap(const struct state_rules *r)
{
	return r->interval_ns / (4 * (uint64_t)r->fall);
}

uint64_t state_period(const struct state_rules *r)
{
	return r->interval_ns - (r->fall - 1) * state_gap(r);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A number below n; chance is 64 random bits, of which the upper ones decide. */
static uint64_t below(uint64_t chance, uint64_t n)
{
	return (uint64_t)((unsigned __int128)chance * n >> 64);
}

static void round_over(struct state *s)
{
	s->in_round = false;
	s->started = s->bad = 0;
}

/*
 * The next round is counted from when this one began, not from its end, so that slow answers do not make probes rarer.
 * After a standstill (a stopped process) everybody is late at once: rounds are then spread again.
 */
static void next_round(struct state *s, const struct state_rules *r, uint64_t now_ns, uint64_t chance)
{
	uint64_t period = state_period(r), jitter = period * r->jitter / 100;
	uint64_t at = s->round_ns + period - below(chance, jitter + 1);

	if (at + period < now_ns)
		at = now_ns + below(chance, period);
	s->next_ns = later(at, now_ns);
}

void state_begin(struct state *s, const struct state_rules *r, bool up, uint64_t now_ns, uint64_t chance)
{
	*s = (struct state){.up = up, .penalty_ns = now_ns};
	s->next_ns = now_ns + below(chance, state_period(r));
}

void state_rules_changed(struct state *s, const struct state_rules *r, uint64_t now_ns, uint64_t chance)
{
	round_over(s);
	s->good = 0;
	s->next_ns = now_ns + below(chance, state_period(r));
	if (!r->cut)
		s->held = false;
}

void state_started(struct state *s, const struct state_rules *r, uint64_t now_ns)
{
	if (!s->in_round) {
		s->in_round = true;
		s->round_ns = s->next_ns < now_ns ? s->next_ns : now_ns;
	}
	s->started++;
	s->last_ns = now_ns;
	s->next_ns = s->up && r->overlap && s->started < r->fall ? now_ns + state_gap(r) : STATE_NEVER;
}

double state_penalty(const struct state *s, const struct state_rules *r, uint64_t now_ns)
{
	if (now_ns <= s->penalty_ns || !r->half_life_ns)
		return s->penalty;
	return s->penalty * exp2(-((double)(now_ns - s->penalty_ns) / (double)r->half_life_ns));
}

static void punish(struct state *s, const struct state_rules *r, uint64_t now_ns)
{
	double ceiling =
		r->half_life_ns ? r->reuse * exp2((double)r->hold_max_ns / (double)r->half_life_ns) : r->cut;

	s->penalty = fmin(state_penalty(s, r, now_ns) + HEALTH_DAMP_CHANGE, ceiling);
	s->penalty_ns = now_ns;
	s->changes++;
}

static unsigned int verdict(struct state *s, const struct state_rules *r, bool up, uint64_t now_ns)
{
	unsigned int bits = s->proven ? 0 : STATE_PROVEN;

	s->proven = true;
	s->good = 0;
	if (s->up == up)
		return bits;
	s->up = up;
	/* what was only supposed has not flapped */
	if (!(bits & STATE_PROVEN))
		punish(s, r, now_ns);
	if (!up && r->cut && s->penalty > r->cut)
		s->held = true;
	return bits | STATE_CHANGED;
}

static unsigned int answer_down(struct state *s, const struct state_rules *r, enum state_outcome o,
				uint64_t now_ns, uint64_t chance)
{
	unsigned int bits = STATE_ENDED;

	round_over(s);
	next_round(s, r, now_ns, chance);
	if (o == STATE_UNTOLD)
		return bits;
	if (o == STATE_BAD) {
		s->good = 0;
		return s->proven ? bits : bits | verdict(s, r, false, now_ns);
	}
	if (s->good < r->rise)
		s->good++;
	if (!s->proven)
		s->next_ns = later(s->last_ns + state_gap(r), now_ns);
	if (s->good < r->rise)
		return bits;
	if (s->held && state_penalty(s, r, now_ns) >= r->reuse)
		return bits | STATE_HELD;
	s->held = false;
	next_round(s, r, now_ns, chance);
	return bits | verdict(s, r, true, now_ns);
}

/* The round goes on until fall have failed: with the next probe that it has, or, when all have answered, with one more. */
static void go_on(struct state *s, const struct state_rules *r, bool more, uint64_t now_ns)
{
	if (s->next_ns != STATE_NEVER)
		return;
	if (s->started >= r->fall && more)
		return;
	if (s->started >= r->fall)
		s->started--; /* some of the round said nothing */
	s->next_ns = later(s->last_ns + state_gap(r), now_ns);
}

unsigned int state_answer(struct state *s, const struct state_rules *r, enum state_outcome o, bool more,
			  uint64_t now_ns, uint64_t chance)
{
	unsigned int bits;

	if (!s->up)
		return answer_down(s, r, o, now_ns, chance);
	if (o == STATE_GOOD) {
		round_over(s);
		next_round(s, r, now_ns, chance);
		return STATE_ENDED | (s->proven ? 0 : verdict(s, r, true, now_ns));
	}
	if (o == STATE_UNTOLD) {
		/* others of the round may know more, and what failed has failed; alone, it is as if nobody had asked */
		if (s->bad)
			go_on(s, r, more, now_ns);
		if (s->bad || more)
			return 0;
		round_over(s);
		next_round(s, r, now_ns, chance);
		return STATE_ENDED;
	}
	if (++s->bad >= r->fall) {
		round_over(s);
		next_round(s, r, now_ns, chance);
		bits = verdict(s, r, false, now_ns);
		return bits | STATE_ENDED;
	}
	go_on(s, r, more, now_ns);
	return 0;
}
