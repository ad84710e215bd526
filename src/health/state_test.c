// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The state machine in virtual time: against an oracle that reads everything that ever happened, and by its promises. */
#include <math.h>
#include <stdio.h>

#include "base/test.h"
#include "health/heap.h"
#include "health/state.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define FLIGHTS 128

static uint64_t seed = 20261121;

static uint64_t chance(void)
{
	uint64_t x = seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t up_to(uint64_t n)
{
	return chance() % (n + 1);
}

/* ---- the oracle: what happened, in order */

enum what { ROUND_OVER, TO_UP, TO_DOWN, ANSWER_GOOD, ANSWER_BAD, ANSWER_UNTOLD };

struct log {
	struct {
		enum what what;
		uint64_t at;
		bool supposed; /* a change of what was only supposed */
	} lines[200000];
	size_t n;
};

static struct log history;

static void note(enum what what, uint64_t at, bool supposed)
{
	assert_true(history.n < sizeof(history.lines) / sizeof(history.lines[0]));
	history.lines[history.n].what = what;
	history.lines[history.n].supposed = supposed;
	history.lines[history.n++].at = at;
}

/* How many answers of one kind there are since the last line of another that stops the search. */
static uint32_t since(enum what count, unsigned int stops)
{
	uint32_t n = 0;

	for (size_t i = history.n; i-- && !(stops >> history.lines[i].what & 1);)
		n += history.lines[i].what == count;
	return n;
}

/* Every change's thousand, halved as often as half lives have passed since; each time bounded as a whole. */
static double oracle_penalty(const struct state_rules *r, uint64_t now)
{
	double ceiling = r->reuse * pow(2, (double)r->hold_max_ns / (double)r->half_life_ns), p = 0;
	uint64_t at = 0;

	for (size_t i = 0; i < history.n; i++) {
		if ((history.lines[i].what != TO_UP && history.lines[i].what != TO_DOWN) ||
		    history.lines[i].supposed)
			continue;
		p = p * pow(0.5, (double)(history.lines[i].at - at) / (double)r->half_life_ns) + 1000;
		p = p > ceiling ? ceiling : p;
		at = history.lines[i].at;
	}
	return p * pow(0.5, (double)(now - at) / (double)r->half_life_ns);
}

/* Held since the last time it went down with too much, if the rest has been too much at every good chance since. */
static bool oracle_held(const struct state_rules *r, uint64_t now)
{
	size_t i = history.n;

	while (i && history.lines[i - 1].what != TO_DOWN && history.lines[i - 1].what != TO_UP)
		i--;
	if (!r->cut || !i || history.lines[i - 1].what == TO_UP)
		return false;
	return oracle_penalty(r, history.lines[i - 1].at) > r->cut && oracle_penalty(r, now) >= r->reuse;
}

/* ---- the world: probes with ends and outcomes */

struct world {
	struct state s;
	struct state_rules r;
	uint64_t now, timeout_ns;
	struct {
		uint64_t start, end;
		enum state_outcome o;
	} flights[FLIGHTS];
	size_t n;
	unsigned int good_percent, untold_percent;
	bool dead; /* nothing answers any more */
	uint64_t last_round, probes, most;
	uint64_t untold; /* of the last round: each is one probe more */
};

static void begin(struct world *w, bool up)
{
	history.n = 0;
	w->n = 0;
	w->probes = w->most = 0;
	w->dead = false;
	w->now = S * 1000 + up_to(S);
	w->last_round = w->untold = 0;
	state_begin(&w->s, &w->r, up, w->now, chance());
	assert_true(w->s.next_ns >= w->now && w->s.next_ns <= w->now + w->r.interval_ns);
}

static void start(struct world *w)
{
	enum state_outcome o = up_to(99) < w->good_percent ? STATE_GOOD : STATE_BAD;
	bool fresh = !w->s.in_round;

	assert_true(w->n < FLIGHTS);
	assert_true(w->n < w->r.fall && (w->r.overlap || !w->n));
	if (!w->s.up)
		assert_int_equal(w->n, 0);
	w->flights[w->n].o = up_to(99) < w->untold_percent ? STATE_UNTOLD : w->dead ? STATE_BAD : o;
	w->flights[w->n].end = w->now + (w->dead ? w->timeout_ns : up_to(w->timeout_ns));
	w->flights[w->n].start = w->now;
	w->n++;
	w->most = w->n > w->most ? w->n : w->most;
	w->probes++;
	state_started(&w->s, &w->r, w->now);
	if (fresh && w->s.proven && w->last_round) /* not later than planned, as nobody was late */
		assert_true(w->now <= w->last_round + state_period(&w->r) + w->r.fall * w->timeout_ns * 2 +
					      w->untold * (w->timeout_ns + state_gap(&w->r)));
	if (!fresh)
		return;
	w->last_round = w->now;
	w->untold = 0;
}

/* What the answer has to lead to, from the history. */
static void answer(struct world *w, size_t i)
{
	const unsigned int changes = 1u << TO_UP | 1u << TO_DOWN;
	enum state_outcome o = w->flights[i].o;
	bool was_up = w->s.up, was_proven = w->s.proven, up = was_up;
	unsigned int bits;

	w->flights[i] = w->flights[--w->n];
	w->untold += o == STATE_UNTOLD;
	note(o == STATE_GOOD ? ANSWER_GOOD : o == STATE_BAD ? ANSWER_BAD : ANSWER_UNTOLD, w->now, false);
	if (was_up && since(ANSWER_BAD, 1u << ROUND_OVER | changes) >= w->r.fall)
		up = false;
	if (!was_up && since(ANSWER_GOOD, 1u << ANSWER_BAD | changes) >= w->r.rise && o == STATE_GOOD)
		up = !oracle_held(&w->r, w->now);
	bits = state_answer(&w->s, &w->r, o, w->n, w->now, chance());
	assert_int_equal(w->s.up, up);
	assert_int_equal(!!(bits & STATE_CHANGED), up != was_up);
	assert_int_equal(!!(bits & STATE_HELD),
			 !was_up && !up && o == STATE_GOOD && oracle_held(&w->r, w->now) &&
				 since(ANSWER_GOOD, 1u << ANSWER_BAD | changes) >= w->r.rise);
	if (bits & STATE_PROVEN)
		assert_false(was_proven);
	/* what says nothing ends nothing that has begun to fail */
	if (was_up && o == STATE_UNTOLD)
		assert_true(!!(bits & STATE_ENDED) ==
			    (!w->n && !since(ANSWER_BAD, 1u << ROUND_OVER | changes)));
	if (up != was_up)
		note(up ? TO_UP : TO_DOWN, w->now, !was_proven);
	if (bits & STATE_ENDED) {
		note(ROUND_OVER, w->now, false);
		w->n = 0;
	}
	if (!w->dead || !w->s.up)
		assert_true(!!(bits & STATE_ENDED) == !w->s.in_round);
	assert_true(fabs(state_penalty(&w->s, &w->r, w->now) - oracle_penalty(&w->r, w->now)) < 1e-6);
}

/* The next thing that happens; there always is one. */
static void step(struct world *w)
{
	size_t first = 0;

	for (size_t i = 1; i < w->n; i++)
		if (w->flights[i].end < w->flights[first].end)
			first = i;
	assert_true(w->n || w->s.next_ns != STATE_NEVER);
	if (w->n && w->flights[first].end <= w->s.next_ns) {
		w->now = w->flights[first].end;
		answer(w, first);
	} else {
		assert_true(w->s.next_ns >= w->now);
		w->now = w->s.next_ns;
		start(w);
	}
}

static void random_rules(struct world *w)
{
	w->r = (struct state_rules){
		.interval_ns = 100 * MS + up_to(5 * S),
		.rise = 1 + (uint32_t)up_to(4),
		.fall = 1 + (uint32_t)up_to(9),
		.jitter = (uint32_t)up_to(50),
		.cut = up_to(1) ? 2500 + (uint32_t)up_to(5000) : 0,
		.reuse = 500 + (uint32_t)up_to(1900),
		.half_life_ns = S + up_to(60 * S),
		.overlap = up_to(3) != 0,
	};
	w->r.hold_max_ns = w->r.half_life_ns * (1 + up_to(6));
	w->timeout_ns = 10 * MS + up_to(w->r.interval_ns);
	w->good_percent = (unsigned int)up_to(100);
	w->untold_percent = up_to(1) ? (unsigned int)up_to(30) : 0;
}

static void test_oracle(void **state)
{
	struct world w = {0};
	size_t held = 0, ups = 0, downs = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		random_rules(&w);
		begin(&w, up_to(1));
		for (int j = 0; j < 400; j++) {
			if (up_to(49) == 0)
				w.good_percent = (unsigned int)up_to(100);
			step(&w);
			held += w.s.held;
		}
		for (size_t k = 0; k < history.n; k++) {
			ups += history.lines[k].what == TO_UP;
			downs += history.lines[k].what == TO_DOWN;
		}
	}
	assert_true(held > 1000 && ups > 1000 && downs > 1000);
}

/* From any moment on nothing answers: it is down within an interval and a timeout. */
static void test_leaves_in_time(void **state)
{
	struct world w = {0};
	uint64_t fault;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		random_rules(&w);
		w.untold_percent = 0;
		w.r.overlap = true;
		w.good_percent = 100;
		begin(&w, true);
		for (uint64_t n = up_to(40); n; n--)
			step(&w);
		fault = w.now + up_to(w.r.interval_ns);
		while (w.now < fault && (w.n || w.s.next_ns < fault))
			step(&w);
		/* what has not answered by then does not */
		w.dead = true;
		for (size_t k = 0; k < w.n; k++) {
			w.flights[k].o = STATE_BAD;
			w.flights[k].end = w.flights[k].start + w.timeout_ns;
		}
		fault = w.now;
		while (w.s.up)
			step(&w);
		assert_true(w.now <= fault + w.r.interval_ns + w.timeout_ns);
		assert_true(w.most <= w.r.fall);
	}
}

/* One that refuses at once: within one interval of its first refusal, however long the timeout is. */
static void test_refusing(void **state)
{
	struct state_rules r = {.interval_ns = 2 * S, .rise = 2, .fall = 3, .overlap = true};
	uint64_t now = 100 * S;
	struct state s;

	(void)state;
	state_begin(&s, &r, true, now, 0);
	assert_int_equal(s.next_ns, 100 * S);
	for (int i = 0; i < 3; i++) {
		assert_true(s.up);
		assert_int_equal(s.next_ns, 100 * S + (uint64_t)i * (2 * S / 12));
		now = s.next_ns;
		state_started(&s, &r, now);
		assert_int_equal(state_answer(&s, &r, STATE_BAD, false, now, 0),
				 i == 2 ? STATE_CHANGED | STATE_PROVEN | STATE_ENDED : 0);
	}
	assert_false(s.up);
	assert_int_equal(now, 100 * S + 2 * (2 * S / 12));
	/* down: one probe a period, counted from the round's start */
	assert_int_equal(s.next_ns, 100 * S + 2 * S - 2 * (2 * S / 12));
}

/* A dead backend of which every third probe says nothing is down all the same, as many failed, within two intervals. */
static void test_untold(void **state)
{
	struct state_rules r = {.interval_ns = 2 * S, .rise = 2, .fall = 3};
	uint64_t now, answers;
	unsigned int bits = 0;
	struct state s;

	(void)state;
	for (int overlap = 0; overlap < 2; overlap++)
		for (unsigned int first = 0; first < 3; first++) {
			r.overlap = overlap;
			now = 100 * S;
			state_begin(&s, &r, true, now, 0);
			for (answers = 0; s.up; answers++) {
				assert_true(s.next_ns >= now && s.next_ns <= 104 * S);
				now = s.next_ns;
				state_started(&s, &r, now);
				bits = state_answer(&s, &r, answers % 3 == first ? STATE_UNTOLD : STATE_BAD,
						    false, now, 0);
			}
			assert_int_equal(bits, STATE_CHANGED | STATE_PROVEN | STATE_ENDED);
			assert_int_equal(answers, first ? 4 : 5);
		}
	/* alone, or with others to come, it counts for nothing */
	state_begin(&s, &r, true, now, 0);
	state_started(&s, &r, now);
	assert_int_equal(state_answer(&s, &r, STATE_UNTOLD, true, now, 0), 0);
	assert_int_equal(state_answer(&s, &r, STATE_UNTOLD, false, now, 0), STATE_ENDED);
	assert_false(s.in_round || s.proven);
}

/* 4,000 that begin at once, and stay together through a standstill of a minute. */
static void test_spread(void **state)
{
	struct state_rules r = {.interval_ns = 2 * S, .rise = 2, .fall = 3, .jitter = 10, .overlap = true};
	static struct state s[4000];
	unsigned int per_ms[2001] = {0}, most = 0;
	uint64_t now = 500 * S;

	(void)state;
	for (size_t i = 0; i < 4000; i++)
		state_begin(&s[i], &r, true, now, chance());
	now += 60 * S;
	for (size_t i = 0; i < 4000; i++) {
		state_started(&s[i], &r, now);
		assert_int_equal(state_answer(&s[i], &r, STATE_GOOD, false, now, chance()) & STATE_ENDED,
				 STATE_ENDED);
		assert_true(s[i].next_ns >= now && s[i].next_ns <= now + 2 * S);
		per_ms[(s[i].next_ns - now) / MS]++;
	}
	for (size_t i = 0; i <= 2000; i++)
		most = per_ms[i] > most ? per_ms[i] : most;
	/* 4,000 over 1,667 ms are 2.4 a ms */
	assert_true(most <= 16);
}

/* What RFC 2439 calls for, by numbers: seven changes in a row suppress, a half life and a half later it is free. */
static void test_damping(void **state)
{
	struct state_rules r = {.interval_ns = S,
				.rise = 1,
				.fall = 1,
				.cut = HEALTH_DAMP_CUT,
				.reuse = HEALTH_DAMP_REUSE,
				.half_life_ns = HEALTH_DAMP_HALF_NS,
				.hold_max_ns = HEALTH_DAMP_HOLD_NS};
	uint64_t now = 1000 * S, held_from = 0;
	struct state s;
	int changes = 0;

	(void)state;
	state_begin(&s, &r, true, now, 0);
	s.proven = true;
	for (int i = 0; i < 100 && !s.held; i++) {
		now = s.next_ns;
		state_started(&s, &r, now);
		changes += state_answer(&s, &r, s.up ? STATE_BAD : STATE_GOOD, false, now, 0) & STATE_CHANGED;
	}
	assert_true(s.held && !s.up);
	assert_int_equal(changes, 7);
	held_from = now;
	while (!s.up) {
		now = s.next_ns;
		state_started(&s, &r, now);
		state_answer(&s, &r, STATE_GOOD, false, now, 0);
		assert_true(now < held_from + HEALTH_DAMP_HOLD_NS);
	}
	/* 1000 * (1 + 2^(-1/60) + ...) is 6764 then; to 2000 it is log2(6764 / 2000) half lives */
	assert_int_equal((now - held_from) / S, 106);
}

static void test_clock(void **state)
{
	struct state_rules r = {.interval_ns = S,
				.rise = 1,
				.fall = 2,
				.jitter = 0,
				.overlap = true,
				.cut = 3000,
				.reuse = 1000,
				.half_life_ns = S,
				.hold_max_ns = S};
	struct state s;

	(void)state;
	/* a clock that stands still or goes back (no monotonic one does) harms nobody */
	state_begin(&s, &r, true, 10 * S, 0);
	state_started(&s, &r, 9 * S);
	assert_int_equal(state_answer(&s, &r, STATE_GOOD, false, 8 * S, 0), STATE_ENDED | STATE_PROVEN);
	assert_true(s.next_ns >= 8 * S && s.next_ns <= 10 * S);
	assert_true(state_penalty(&s, &r, 0) == 0);
}

static void test_heap(void **state)
{
	enum { N = 500 };
	static struct heap_node nodes[N];
	struct heap h = {0};
	uint64_t at;

	(void)state;
	assert_true(heap_reserve(&h, N));
	for (int i = 0; i < 200000; i++) {
		struct heap_node *node = &nodes[up_to(N - 1)];

		if (up_to(2))
			heap_put(&h, node, up_to(1000));
		else
			heap_drop(&h, node);
		at = UINT64_MAX;
		for (int k = 0; i % 50 == 0 && k < N; k++)
			if (nodes[k].place && nodes[k].at < at)
				at = nodes[k].at;
		if (i % 50 == 0)
			assert_true(heap_first(&h) ? heap_first(&h)->at == at : at == UINT64_MAX);
	}
	at = 0;
	while (heap_first(&h)) {
		assert_true(heap_first(&h)->at >= at);
		at = heap_first(&h)->at;
		heap_drop(&h, heap_first(&h));
	}
	heap_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle),	 cmocka_unit_test(test_leaves_in_time),
		cmocka_unit_test(test_refusing), cmocka_unit_test(test_untold),
		cmocka_unit_test(test_spread),	 cmocka_unit_test(test_damping),
		cmocka_unit_test(test_clock),	 cmocka_unit_test(test_heap),
	};

	if (getenv("SEED"))
		seed = strtoull(getenv("SEED"), NULL, 0);
	print_message("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
