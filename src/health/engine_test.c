// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The ends of commands: whatever a program was doing when its check ends, nothing is left of it, its slot is free, and the next
 * command has its turn.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/test.h"
#include "health/inside.h"

#define SLOTS 2u
#define ROUNDS 6u /* more than there are slots: one that is not given back is missed */
#define MS UINT64_C(1000000)
#define PATIENCE_NS (20000 * MS)

struct told {
	unsigned int n[HEALTH_UNTOLD + 1];
	char why[HEALTH_WHY];
};

static void on_result(void *arg, const struct health_result *r)
{
	struct told *told = arg;

	told->n[r->outcome]++;
	snprintf(told->why, sizeof(told->why), "%s", r->why);
}

static struct health *fresh(struct told *told)
{
	struct health *h;

	*told = (struct told){.why = ""};
	assert_int_equal(health_new(&(struct health_options){.max_flights = 16,
							     .max_commands = SLOTS,
							     .on_result = on_result,
							     .arg = told},
				    &h, NULL),
			 0);
	return h;
}

/* n targets (127.0.0.1 and on) that a script checks. */
static void check(struct health *h, const char *script, uint64_t timeout_ns, size_t n)
{
	const char *const argv[] = {"/bin/sh", "-c", script};
	struct health_probe p = {.kind = HEALTH_COMMAND,
				 .interval_ns = HEALTH_INTERVAL_MIN_NS,
				 .timeout_ns = timeout_ns,
				 .rise = 1,
				 .fall = 1,
				 .argv = argv,
				 .n_argv = 3};
	struct health_target t[8];

	for (size_t i = 0; i < n; i++)
		t[i] = (struct health_target){.id = i, .addr.bytes = {127, 0, 0, (uint8_t)(i + 1)}};
	assert_int_equal(health_apply(h, &p, 1, t, n, NULL, NULL), 0);
}

static void go_on(struct health *h)
{
	struct pollfd fd = {.fd = health_fd(h), .events = POLLIN};

	poll(&fd, 1, 10);
	assert_int_equal(health_run(h, NULL), 0);
}

/* Runs until the only command has done its work up to here: got bytes of output were read. */
static struct flight *running(struct health *h, uint32_t got)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;

	while (!h->n_flights || !h->flights[0]->kind || h->flights[0]->pid <= 0 || h->flights[0]->got < got) {
		assert_true(clock_mono_ns() < end);
		go_on(h);
	}
	return h->flights[0];
}

/* Waits until it has ended, and leaves its end to the engine to see. */
static void ended(const struct flight *f)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)f->pid, &info, WEXITED | WNOWAIT), 0);
}

/* Nothing is under way, as the engine counts it. */
static void none_left(struct health *h)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;

	while (h->n_dying) {
		assert_true(clock_mono_ns() < end);
		go_on(h);
	}
	assert_int_equal(h->stats.commands, 0);
	assert_int_equal(h->stats.flights, 0);
	for (uint32_t i = 0; i < h->n_flights; i++)
		assert_null(h->flights[i]->kind);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Checks are still made. */
static void goes_on(struct health *h, struct told *told)
{
	uint64_t end = clock_mono_ns() + PATIENCE_NS;

	told->n[HEALTH_GOOD] = 0;
	check(h, "exit 0", 10000 * MS, 4);
	while (told->n[HEALTH_GOOD] < 8) {
		assert_true(clock_mono_ns() < end);
		go_on(h);
	}
	check(h, "", MS * 1000, 0);
	none_left(h);
	health_free(h);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* It has ended, nobody has seen it, and its target goes. */
static void test_cancelled_after_its_end(void **state)
{
	struct told told;
	struct health *h = fresh(&told);

	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		check(h, "exit 3", 10000 * MS, 1);
		ended(running(h, 0));
		check(h, "", MS * 1000, 0);
		assert_int_equal(h->n_dying, 0);
		none_left(h);
	}
	goes_on(h, &told);
}

static void test_cancelled_while_it_runs(void **state)
{
	struct told told;
	struct health *h = fresh(&told);

	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		check(h, "exec sleep 30", 60000 * MS, 1);
		running(h, 0);
		check(h, "", MS * 1000, 0);
		none_left(h);
	}
	goes_on(h, &told);
}

/* Its output is too much, and it has ended when that is seen. */
static void test_output_after_its_end(void **state)
{
	struct told told;
	struct health *h = fresh(&told);

	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		check(h, "head -c 65536 /dev/zero; sleep 0.1; echo more", 20000 * MS, 1);
		ended(running(h, HEALTH_OUTPUT_BYTES));
		while (!told.n[HEALTH_BAD])
			go_on(h);
		assert_string_equal(told.why, "more than 65536 bytes of output");
		told.n[HEALTH_BAD] = 0;
		check(h, "", MS * 1000, 0);
		none_left(h);
	}
	goes_on(h, &told);
}

/* Somebody else in the process saw its end. */
static void test_reaped_by_another(void **state)
{
	struct told told;
	struct health *h = fresh(&told);

	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct flight *f;

		check(h, "exit 0", 10000 * MS, 1);
		f = running(h, 0);
		assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
		check(h, "", MS * 1000, 0);
		none_left(h);
	}
	goes_on(h, &told);
}

/* Killed for their time: some are gone before that is looked for, most are not. */
static void test_timeouts(void **state)
{
	struct told told;
	struct health *h = fresh(&told);
	uint64_t end = clock_mono_ns() + PATIENCE_NS;

	(void)state;
	check(h, "exec sleep 30", HEALTH_TIMEOUT_MIN_NS, 8);
	while (told.n[HEALTH_BAD] < 50) {
		assert_true(clock_mono_ns() < end);
		go_on(h);
		assert_true(h->stats.commands <= SLOTS);
		assert_true(h->n_dying <= 8);
	}
	check(h, "", MS * 1000, 0);
	none_left(h);
	goes_on(h, &told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cancelled_after_its_end), cmocka_unit_test(test_cancelled_while_it_runs),
		cmocka_unit_test(test_output_after_its_end),	cmocka_unit_test(test_reaped_by_another),
		cmocka_unit_test(test_timeouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
