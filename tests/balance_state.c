// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * balance-state ENGINE DIR random SEED ROUNDS | killed SEED ROUNDS | damaged SEED ROUNDS | settle | next SEED ROUNDS
 *
 * The balancer's state in files under DIR, and its program with the memory that belongs to it. random: a handle is opened for
 * every change and closed; packets go where the oracle says. killed: processes that change something die at each step and at
 * random moments; who comes next finishes. damaged: files with other bytes are refused. settle: slots become stateless again
 * when no flow is elsewhere. ticks: the flow table's clock. next: generations follow each other under a flow table that they share, and come back.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <bpf/bpf.h>

#include "balance/nat.h"
#include "balance_state_bed.h"
#include "base/clock.h"
#include "control/files.h"

static void random_changes(uint32_t rounds)
{
	struct balance_live *b = state_first();
	struct sluice_err err;
	uint32_t i;

	/* in the kernel nobody's time passes quickly: all deadlines are shared after eight changes, but none comes */
	for (i = 0; i < rounds; i++) {
		state_packets(b, 150);
		state_pass_time();
		state_notes(b);
		state_must(balance_live_commit(b, state_bed.now, NULL, &err), &err);
		balance_live_close(b);
		b = state_open();
		state_tell(b);
	}
	printf("%u by hash, %u known, %u new, %u to the previous, %u to the current one, %u nobody\n", state_why[0], state_why[1],
	       state_why[2], state_why[3], state_why[4], state_why[5]);
	if (!state_why[0] || !state_why[1] || !state_why[2] || !state_why[3])
		fail("not everything was seen");
	state_last(b);
}

/* --- processes that die --- */

static uint32_t die_at, steps;

static void die(void *ctx, const char *done)
{
	(void)ctx;
	(void)done;
	if (++steps == die_at)
		_exit(9);
}

/* Of each service all of what was noted counts, or nothing. */
static void check_whole(const struct balance_live *b, const struct balance_model *before, const struct balance_model *after)
{
	size_t i, n = 0;

	for (i = 0; i < before->n_services; i++) {
		const struct balance_service *s = balance_live_model(b)->services[i], *x = before->services[i], *y = after->services[i];
		size_t bytes = s->n_backends * sizeof(*s->backends);

		if (memcmp(s->backends, x->backends, bytes) != 0 && memcmp(s->backends, y->backends, bytes) != 0)
			fail("service %s is neither as it was nor as it was to be", s->name);
		n += memcmp(s->backends, x->backends, bytes) != 0;
	}
}

static void killed(uint32_t rounds)
{
	struct balance_live *b = state_first();
	uint32_t i, k, died = 0, finished = 0, written = 0;
	struct sluice_err err;
	int status;
	pid_t pid;

	for (i = 0; i < rounds; i++) {
		struct balance_model before = {0}, after = {0};
		struct balance_live *other = state_open();

		state_pass_time();
		state_notes(other);
		state_must(live_copy_model(balance_live_model(b), &before, &err), &err);
		state_must(live_copy_model(balance_live_model(b), &after, &err), &err);
		for (k = 0; k < other->n_notes; k++) {
			const struct live_note *n = &other->notes[k];

			other->services[n->service].overlay[n->backend].said[n->matter] = n->said;
		}
		for (k = 0; k < after.n_services; k++) {
			live_overlay(other, k);
			memcpy(after.services[k]->backends, other->model.services[k]->backends,
			       after.services[k]->n_backends * sizeof(struct balance_backend));
		}
		/* files of the half that is ahead of the memory, at each step, and at any moment */
		die_at = state_below(3) ? 1 + state_below(6) : 0;
		steps = 0;
		fflush(stdout);
		pid = fork();
		if (!pid) {
			state_st.step = die;
			balance_live_commit(other, state_bed.now, NULL, &err);
			_exit(0);
		}
		if (pid > 0 && !die_at) {
			usleep(state_below(1500));
			kill(pid, SIGKILL);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			fail("a process that changes something");
		died += !WIFEXITED(status) || WEXITSTATUS(status);
		finished += WIFEXITED(status) && !WEXITSTATUS(status);
		balance_live_close(other);
		balance_live_close(b);
		b = state_open();
		check_whole(b, &before, &after);
		for (k = 0; k < before.n_services; k++)
			written += !tables_published(b->t, b->services[k].number, b->services[k].serial);
		state_must(balance_live_commit(b, state_bed.now, NULL, &err), &err);
		for (k = 0; k < before.n_services; k++)
			if (!tables_published(b->t, b->services[k].number, b->services[k].serial))
				fail("service %u has not been finished", k);
		state_tell(b);
		state_packets(b, 100);
		balance_model_free(&before);
		balance_model_free(&after);
	}
	printf("%u died, %u did not; %u services were finished by who came next\n", died, finished, written);
	if (died < rounds / 4 || !finished || written < rounds / 10)
		fail("that was no test");
	state_last(b);
}

/* --- damage --- */

/* Opening is refused, with a sentence; "" for one that begins with the file's path at least. */
static void expect(const char *name, const char *sentence)
{
	struct balance_maps maps = state_maps(&state_bed.b);
	struct balance_live *b = NULL;
	struct sluice_err err = {0};
	int e = balance_live_open_at(state_dir, &maps, &b, &err);
	size_t n = strlen(state_dir);

	if (e != -EBADMSG || b)
		fail("%s: %d, '%s', and not -EBADMSG", name, e, err.text);
	if (sentence[0] ? strcmp(err.text, sentence) != 0
			: strncmp(err.text, state_dir, n) != 0 || err.text[n] != '/' || strncmp(err.text + n + 1, name, strlen(name)) != 0)
		fail("%s: '%s'", name, err.text);
}

static void put_whole(const char *name, const void *bytes, size_t len)
{
	struct sluice_err err;

	state_must(files_write(state_dir, name, bytes, len, false, &err), &err);
}

/* The checksum (CRC-32 behind byte 16, at byte 12) as a writer would have it who wants to harm. */
static void seal(uint8_t *bytes, size_t len)
{
	uint32_t sum;
	uint64_t n = len;

	memcpy(bytes + 16, &n, 8);
	sum = (uint32_t)crc32(crc32(0, NULL, 0), bytes + 16, (uInt)(len - 16));
	memcpy(bytes + 12, &sum, 4);
}

static void damaged(uint32_t rounds)
{
	static const char *const names[] = {"balance_state", "balance_0", "balance_1", "balance_2"};
	uint32_t i, k, n, at, refused = 0, version = 7;
	struct balance_live *b = state_first(), *other;
	struct balance_maps maps = state_maps(&state_bed.b);
	struct buf was[4] = {{0}};
	char sentence[512];
	struct sluice_err err;
	uint8_t *bytes;
	int e;

	state_notes(b);
	state_must(balance_live_commit(b, state_bed.now, NULL, &err), &err);
	for (i = 0; i < 4; i++)
		state_must(files_read(state_dir, names[i], 1u << 26, &was[i], &err), &err);
	for (i = 0; i < rounds; i++) {
		const char *name = names[i % 4];
		const struct buf *from = &was[i % 4];

		bytes = malloc(from->len);
		memcpy(bytes, from->data, from->len);
		n = state_below(4) ? (uint32_t)from->len : state_below((uint32_t)from->len);
		snprintf(sentence, sizeof(sentence), "%s/%s is damaged; sluice apply FILE makes it anew", state_dir, name);
		if (i / 4 % 2) { /* damage that a checksum tells */
			at = 16 + state_below((uint32_t)from->len - 16);
			bytes[at] ^= (uint8_t)(1 + state_below(255));
			put_whole(name, bytes, n);
			expect(name, sentence);
			refused++;
		} else { /* and what it does not */
			for (k = 0; k < 1 + state_below(4); k++) {
				at = 16 + state_below(state_below(2) || from->len < 200 ? (uint32_t)from->len - 16 : 180);
				bytes[at] = state_below(2) ? (uint8_t)state_below(256) : 0xff;
			}
			n = n < 32 ? 32 : n;
			seal(bytes, n);
			put_whole(name, bytes, n);
			e = balance_live_open_at(state_dir, &maps, &other, &err);
			if (e && (e != -EBADMSG || !err.text[0]))
				fail("%s: %d, '%s'", name, e, err.text);
			refused += e != 0;
			if (!e)
				balance_live_commit(other, state_bed.now, NULL, &err);
			balance_live_close(other);
		}
		free(bytes);
		put_whole(name, from->data, from->len);
	}
	for (i = 0; i < 2; i++) { /* another version; another file's bytes */
		bytes = malloc(was[0].len);
		memcpy(bytes, was[i].data, 16);
		memcpy(bytes + 8, &version, 4);
		put_whole(names[i], bytes, 40);
		free(bytes);
		snprintf(sentence, sizeof(sentence), "%s/%s is of another version of Sluice (7, not 2)", state_dir, names[i]);
		expect(names[i], sentence);
		put_whole(names[i], was[i].data, was[i].len);
	}
	put_whole(names[1], was[2].data, was[2].len);
	snprintf(sentence, sizeof(sentence), "%s/balance_0: it is not of service s0", state_dir);
	expect(names[1], sentence);
	put_whole(names[1], was[1].data, was[1].len);
	printf("%u of %u refused\n", refused, rounds);
	if (refused < rounds / 2)
		fail("that was no test");
	for (i = 0; i < 4; i++)
		buf_free(&was[i]);
	balance_live_close(b);
	b = state_open();
	state_last(b);
}

/* --- back to stateless slots --- */

static uint32_t changed(struct balance_live *b, uint32_t service, uint32_t *waiting)
{
	struct balance_live_service s = {0};
	struct sluice_err err;

	state_must(balance_live_service(b, service, &s, &err), &err);
	if (waiting)
		*waiting = s.waiting;
	return s.changed;
}

static void flows_of(uint32_t service, uint32_t n, enum balance_packet kind, struct balance_live *b)
{
	struct oracle_packet p = {.proto = 6, .dport = 80, .kind = kind};
	struct frame in, out;
	uint32_t i;

	p.src = addr("198.51.100.0");
	p.dst = addr("203.0.113.10");
	p.dst.bytes[3] = (uint8_t)(10 + service);
	for (i = 0; i < n; i++) {
		p.src.bytes[3] = (uint8_t)i;
		p.sport = (uint16_t)(2000 + i);
		state_frame(&p, &in);
		if (bed_run(&state_bed, &in, &out) != 3)
			fail("a packet was not forwarded");
	}
	(void)b;
}

static struct balance_tally tally_of(struct balance_live *b, uint32_t service, uint32_t backend, uint32_t active_s)
{
	struct balance_live_backend x;
	struct balance_tally *v, t;
	struct sluice_err err;
	uint32_t n;

	state_must(balance_live_backend(b, service, backend, &x, &err), &err);
	state_must(balance_live_tally(b, state_bed.now, active_s, &v, &n, &err), &err);
	if (x.target >= n)
		fail("backend %u has no place among %u", backend, n);
	t = v[x.target];
	free(v);
	return t;
}

static int count_flow(void *arg, const struct balance_live_flow *f)
{
	uint32_t *n = arg;

	if (f->service >= N_SERVICES || f->backend >= N_BACKENDS || f->age_s > 4000)
		fail("a flow of service %u, backend %u, %u s old", f->service, f->backend, f->age_s);
	n[f->service]++;
	return 0;
}

static void settle(void)
{
	struct balance_live *b = state_first();
	uint32_t flows[N_SERVICES] = {0}, waiting, i, n, slots[N_BACKENDS], sum = 0;
	struct balance_live_service s = {.slots = slots};
	struct ring_report report;
	struct balance_tally t;
	struct balance_count c;
	struct sluice_err err;

	state_must(balance_live_service(b, 0, &s, &err), &err);
	for (i = 0; i < N_BACKENDS; i++)
		sum += slots[i];
	if (sum != 509 || s.changed || s.n_slots != 509)
		fail("%u of %u slots are somebody's", sum, s.n_slots);
	for (i = 0; i < 2; i++)
		state_must(balance_live_drain(b, i, 2, true, BALANCE_WHO_OPERATOR, &err), &err);
	state_must(balance_live_commit(b, state_bed.now, &report, &err), &err);
	n = changed(b, 0, &waiting);
	if (!n || n != waiting || report.changed != n + changed(b, 1, NULL) || report.until != state_bed.now + 10 * SECOND)
		fail("%u slots changed, %u wait; %u reported", n, waiting, report.changed);
	for (i = 0; i < 2; i++) /* twice: seen, then kept */
		flows_of(0, 250, BALANCE_PACKET_GOES_ON, b);
	flows_of(1, 250, BALANCE_PACKET_GOES_ON, b);
	t = tally_of(b, 0, 2, 0);
	state_must(balance_live_flows(b, state_bed.now, count_flow, flows, &err), &err);
	state_must(balance_live_counts(b, 0, 2, &c, &err), &err);
	if (!t.kept || t.fresh || flows[0] < t.kept || !flows[1] || flows[2] || c.packets != 2 * t.kept || c.opened)
		fail("%u kept, %u new flows; %u of service 0; %llu packets", t.kept, t.fresh, flows[0],
		     (unsigned long long)c.packets);
	/* before the deadline nothing happens, after it nobody waits, but flows are elsewhere */
	state_must(balance_live_settle(b, state_bed.now, &report, &err), &err);
	if (changed(b, 0, &waiting) != n || waiting != n)
		fail("slots have settled before their time");
	state_bed.now += 11 * SECOND;
	state_must(balance_live_settle(b, state_bed.now, &report, &err), &err);
	sum = changed(b, 0, &waiting);
	if (waiting || !sum || sum >= n || sum > t.kept)
		fail("%u slots are changed, %u wait, %u flows", sum, waiting, t.kept);
	if (!changed(b, 1, NULL) || tally_of(b, 0, 2, 3600).kept != t.kept)
		fail("flows have been forgotten");
	flows_of(0, 250, BALANCE_PACKET_GOES_ON, b); /* at home still */
	if (tally_of(b, 0, 2, 5).kept != t.kept)
		fail("a flow has left a backend that drains");
	/* new ones go after the idle time, and with them all of service 1 */
	state_bed.now += 400 * SECOND;
	state_must(balance_live_settle(b, state_bed.now, &report, &err), &err);
	if (changed(b, 1, NULL) || changed(b, 0, NULL) != sum || tally_of(b, 0, 2, 300).kept)
		fail("%u and %u slots are changed", changed(b, 0, NULL), changed(b, 1, NULL));
	/* kept ones after 51 minutes */
	state_bed.now += 3200 * SECOND;
	state_must(balance_live_settle(b, state_bed.now, &report, &err), &err);
	if (changed(b, 0, NULL) || report.changed || tally_of(b, 0, 2, 0).kept)
		fail("%u slots are changed", changed(b, 0, NULL));
	balance_live_close(b);
	b = state_open();
	state_last(b);
}

/* Jiffies of any length make ticks of 4 s or a little more, and times of flows are as many of them as they say. */
static void tick_lengths(void)
{
	static const struct {
		uint32_t jiffy_ns, shift;
		uint16_t new, kept;
	} want[] = {{1000000, 12, 8, 1817}, {4000000, 10, 8, 1817}, {10000000, 9, 6, 1454}, {3333333, 11, 5, 1090}};
	struct nat_config c = {0};
	uint32_t i, shift;

	for (i = 0; i < 4; i++) {
		shift = control_balance_tick_shift(want[i].jiffy_ns);
		nat_times(&c, (uint64_t)want[i].jiffy_ns << shift);
		if (shift != want[i].shift || c.idle[NAT_NEW] != want[i].new || c.idle[NAT_KEPT] != want[i].kept ||
		    c.idle[NAT_CLOSED] != NAT_TIME)
			fail("jiffies of %u ns: shift %u, and flows have %u and %u ticks", want[i].jiffy_ns, shift, c.idle[NAT_NEW],
			     c.idle[NAT_KEPT]);
	}
	if (state_bed.b.config.tick_shift != control_balance_tick_shift(control_balance_jiffy_ns()))
		fail("the program has ticks of %u bits", state_bed.b.config.tick_shift);
}

/* The flow table's clock as the program reads it, and as it is worked out of the monotonic clock. */
static void ticks(void)
{
	uint8_t frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1);
	struct balance_live *b = state_first();
	struct sluice_program *prog;
	struct sluice_err err;
	uint32_t mine;
	int e;

	state_must(sluice_object_program(state_bed.b.obj, "balance_ticks", &prog, &err), &err);
	tick_lengths();
	mine = live_ticks(b, clock_mono_ns());
	e = bpf_prog_test_run_opts(sluice_program_fd(prog), &o);
	if (e)
		fail("running it: %s", strerror(-e));
	if (((o.retval + 1 - mine) & 1023) > 2)
		fail("the program's clock is at %u, and here it is %u", o.retval, mine);
	state_last(b);
}

int main(int argc, char **argv)
{
	uint32_t rounds = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 0) : 1;

	if (argc < 4)
		fail("usage: balance-state ENGINE DIR random|killed|damaged|settle|next [SEED ROUNDS]");
	engine_open(argv[1]);
	snprintf(state_dir, sizeof(state_dir), "%s", argv[2]);
	seed_now = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	state_rng = seed_now * 0x9e3779b97f4a7c15u + 1;
	if (!strcmp(argv[3], "random"))
		random_changes(rounds);
	else if (!strcmp(argv[3], "killed"))
		killed(rounds);
	else if (!strcmp(argv[3], "damaged"))
		damaged(rounds);
	else if (!strcmp(argv[3], "settle"))
		settle();
	else if (!strcmp(argv[3], "next"))
		state_next(rounds);
	else if (!strcmp(argv[3], "ticks"))
		ticks();
	else
		fail("what is %s?", argv[3]);
	engine_close();
	return 0;
}
