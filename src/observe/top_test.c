// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The program and its reader together, in the kernel, with packets one by one: sums, overflow, forgetting,
 * many halves.
 */
#include <arpa/inet.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <sluice/top.h>

#include "base/clock.h"
#include "base/test.h"
#include "observe/top_table.h"

static struct sluice_top *open_top(const struct sluice_top_opts *opts)
{
	struct sluice_err err = {0};
	struct sluice_top *top;
	int rc;

	if (geteuid()) {
		print_message("# needs root\n");
		skip();
	}
	rc = sluice_top_open(opts, &top, &err);
	if (rc)
		fail_msg("sluice_top_open: %s", err.text);
	return top;
}

static void packet(struct sluice_top *top, uint32_t source, bool frags)
{
	static uint8_t frame[60] = {2, 0, 0,	0, 0, 1,  2, 0, 0, 0, 0,  2,
				    8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	uint32_t be = htonl(source);

	memcpy(frame + 26, &be, 4);
	assert_int_equal(bpf_prog_test_run_opts(sluice_program_fd(sluice_top_program(top, frags)), &opts), 0);
	assert_int_equal(opts.retval, 2);
}

static struct sluice_top_report *read_top(struct sluice_top *top, size_t rows)
{
	struct sluice_top_report *r;
	struct sluice_err err = {0};

	if (sluice_top_read(top, SLUICE_TOP_SORT_PACKETS, rows, &r, &err))
		fail_msg("sluice_top_read: %s", err.text);
	assert_int_equal(r->now.seen.packets,
			 r->now.keys.packets + r->now.overflow.packets + r->now.untracked.packets);
	assert_int_equal(r->now.seen.bytes,
			 r->now.keys.bytes + r->now.overflow.bytes + r->now.untracked.bytes);
	assert_int_equal(r->total.seen.packets,
			 r->total.keys.packets + r->total.overflow.packets + r->total.untracked.packets);
	assert_int_equal(r->total.seen.bytes,
			 r->total.keys.bytes + r->total.overflow.bytes + r->total.untracked.bytes);
	assert_int_equal(r->now.seen.bytes, r->now.seen.packets * 60);
	return r;
}

static void intervals(void **state)
{
	struct sluice_top_opts opts = {0};
	struct sluice_top *top = open_top(&opts);
	struct sluice_top_report *r;
	char text[SLUICE_TOP_TEXT_MAX];
	unsigned int i, n;

	(void)state;
	for (n = 1; n <= 5; n++) {
		for (i = 0; i < 100; i++) {
			packet(top, 0x0a000000 + i, i & 1);
			if (i < n)
				packet(top, 0x0a000000 + i, i & 1);
		}
		r = read_top(top, 3);
		assert_int_equal(r->n_rows, 3);
		assert_int_equal(r->n_keys, 100);
		assert_int_equal(r->now.seen.packets, 100 + n);
		assert_int_equal(r->row[0].now.packets, 2);
		assert_int_equal(r->row[0].total.packets, 2 * n);
		assert_string_equal(sluice_top_row_text(&r->row[0], text, sizeof(text)), "10.0.0.0");
		assert_true(r->row[0].share_packets > 1.99 / (100 + n) &&
			    r->row[0].share_packets < 2.01 / (100 + n));
		free(r);
	}
	r = read_top(top, 3);
	assert_int_equal(r->n_rows, 0);
	assert_int_equal(r->now.seen.packets, 0);
	assert_int_equal(r->total.seen.packets, 515);
	assert_int_equal(r->n_keys_total, 100);
	free(r);
	sluice_top_close(top);
}

/*
 * A table of a few hundred entries and ten times as many sources: one large sender got in first and stays
 * exact.
 */
static void overflow(void **state)
{
	struct sluice_top_opts opts = {.table_bytes = 1};
	struct sluice_top *top = open_top(&opts);
	struct sluice_top_report *r;
	unsigned int i, round;

	(void)state;
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 5000; i++) {
			packet(top, 0x0b000000 + round * 5000 + i, false);
			if (i % 50 == 0)
				packet(top, 0xc0000207, false);
		}
		r = read_top(top, 1);
		assert_int_equal(r->now.seen.packets, 5100);
		assert_true(r->now.overflow.packets > 2000 && r->now.overflow.packets < 5000);
		assert_int_equal(r->row[0].now.packets, 100);
		assert_int_equal(r->row[0].src[3], 7);
		free(r);
	}
	sluice_top_close(top);
}

/* The same with the table emptied in time: hardly anything overflows, but not all keys can be followed. */
static void forgetting(void **state)
{
	struct sluice_top_opts opts = {.table_bytes = 1 << 20, .max_keys = 1024};
	struct sluice_top *top = open_top(&opts);
	struct sluice_top_report *r;
	unsigned int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		packet(top, 0x0b000000 + i, false);
		if (i % 50 == 0)
			packet(top, 0xc0000207, false);
		if (i % 500 == 0)
			assert_int_equal(sluice_top_poll(top, NULL), 0);
	}
	r = read_top(top, 1);
	assert_int_equal(r->now.seen.packets, 20400);
	assert_true(r->now.overflow.packets < 100); /* a block may be full by chance */
	assert_true(r->now.untracked.packets > 18000);
	assert_true(r->n_keys_total <= 1024);
	assert_true(r->row[0].now.packets >= 398 && r->row[0].now.packets <= 400);
	free(r);
	sluice_top_close(top);
}

static void refused(void **state)
{
	struct sluice_top_opts by = {.by = 99}, prefix = {.by = SLUICE_TOP_BY_PREFIX, .prefix4 = 33},
			       keys = {.max_keys = 10};
	struct sluice_top *top;

	(void)state;
	assert_int_equal(sluice_top_open(&by, &top, NULL), -EINVAL);
	assert_int_equal(sluice_top_open(&prefix, &top, NULL), -EINVAL);
	assert_int_equal(sluice_top_open(&keys, &top, NULL), -EINVAL);
	assert_null(top);
	sluice_top_close(NULL);
}

static void sizes(void **state)
{
	uint32_t n;

	(void)state;
	assert_true(top_table_cpus() >= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
	for (n = 1; n <= 1024; n = n * 2 + 1)
		assert_true(((size_t)n * 2 * TOP_BLOCK << top_table_bits(32 << 20, n)) <= 32 << 20);
	assert_int_equal(top_table_bits(16 << 20, 2), 13);
	assert_int_equal(top_table_bits(0, 2), 4);
}

/* Descriptors come and go with the handle. */
static void leaks_nothing(void **state)
{
	struct sluice_top_opts opts = {.by = SLUICE_TOP_BY_FLOW};
	int before, after;

	(void)state;
	sluice_top_close(open_top(&opts));
	before = dup(0);
	close(before);
	sluice_top_close(open_top(&opts));
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals),
		cmocka_unit_test(overflow),
		cmocka_unit_test(forgetting),
		cmocka_unit_test(refused),
		cmocka_unit_test(sizes),
		cmocka_unit_test(leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
