// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sending: system calls of many packets each while nobody asked for a rate, of a few at a time otherwise; and what
 * became of the packets.
 */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/err.h"
#include "port/traffic_priv.h"

#define SECOND UINT64_C(1000000000)
#define CHUNK_NS (SECOND / 50) /* one system call: short enough to stop at once, long enough not to matter */
#define CHUNK_UNHELD_NS (SECOND / 2)   /* each costs 24 ms then (traffic_host.h) */
#define BURST_NS (SECOND / 2000)       /* paced: 13 us of overhead each, so 3 % of a CPU */
#define BACKLOG_NS (SECOND / 10)       /* what a late sender catches up at most */
#define CHECK_NS (SECOND / 10)

enum { KERNEL_ENOTSUPP = 524 }; /* not in errno.h, but bpf(2) returns it */

static uint64_t done(const struct sluice_traffic *t)
{
	return *(volatile __u64 *)&t->state->sent;
}

uint64_t sluice_traffic_sent(const struct sluice_traffic *t)
{
	return done(t);
}

static int check(struct sluice_traffic *t, uint64_t now, struct sluice_err *err)
{
	struct net_dev dev;
	int e;

	t->checked_ns = now;
	e = net_dev_read(&t->nl, t->dev.info.index, NULL, &dev, err);
	if (e == -ENODEV)
		return err_set(err, e, "%s disappeared after %llu packets", t->dev.info.name,
			       (unsigned long long)done(t));
	if (e)
		return e;
	if (!(dev.info.flags & IFF_UP))
		return err_set(err, -ENETDOWN, "%s was taken down; about %llu packets were sent before",
			       t->dev.info.name, (unsigned long long)done(t));
	return 0;
}

static int send_some(struct sluice_traffic *t, uint64_t n, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->plan->frame, .data_size_in = t->plan->frame_len,
		.repeat = (int)n, .batch_size = n < t->batch ? (__u32)n : t->batch,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	uint64_t refused = t->state->refused;
	int e = bpf_prog_test_run_opts(sluice_program_fd(t->prog), &opts);

	if (e && errno == EINTR)
		return -EINTR;
	if (e && errno == EINVAL)
		return err_set(err, -EOPNOTSUPP,
			       "this kernel refuses live frames of %u bytes: before Linux 5.18 it has none, "
			       "and a "
			       "larger CONFIG_MAX_SKB_FRAGS leaves less room in a page",
			       t->plan->frame_len);
	if (e)
		return err_set(err, errno == KERNEL_ENOTSUPP ? -EOPNOTSUPP : -errno, "sending on %s: %s",
			       t->dev.info.name, strerror(errno));
	if (t->state->refused != refused)
		return check(t, clock_mono_ns(), err);
	return 0;
}

/* How many packets are due now; if none, when the next ones are. */
static uint64_t due(struct sluice_traffic *t, uint64_t now, uint64_t *next_ns)
{
	uint64_t burst = t->pps * BURST_NS / SECOND + 1, elapsed = now - t->pace_ns, n;

	if (elapsed > SECOND) { /* keeps the product below 64 bits at any rate and time */
		n = t->pps * (elapsed / SECOND);
		t->pace_ns += elapsed / SECOND * SECOND;
		t->pace_sent += n;
		elapsed %= SECOND;
	}
	n = t->pace_sent + t->pps * elapsed / SECOND + 1;
	n = n > done(t) ? n - done(t) : 0;
	if (n > t->pps * BACKLOG_NS / SECOND + burst) {
		t->pace_ns = now; /* too late to catch up: the rate holds from here on */
		t->pace_sent = done(t);
		return burst;
	}
	if (n >= burst)
		return n;
	*next_ns = t->pace_ns + (done(t) + burst - 1 - t->pace_sent) * SECOND / t->pps + 1;
	return 0;
}

/* Returns -EINTR when a signal came. */
static int sleep_until(uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};

	return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* As many as go into a system call of the wanted length, by how long the last one took. */
static void adapt_chunk(struct sluice_traffic *t, uint64_t n, uint64_t took_ns)
{
	uint64_t want = t->hold.link >= 0 ? CHUNK_NS : CHUNK_UNHELD_NS;
	uint64_t next = took_ns ? n * want / took_ns : n * 2;

	if (next > 4 * n) /* the first calls are slow, or a signal cut them short */
		next = 4 * n;
	if (next < t->batch)
		next = t->batch;
	t->chunk = next < 1u << 24 ? next : 1u << 24;
}

/* The next system call's packets: 0 if none are due before *wake_ns. */
static uint64_t how_many(struct sluice_traffic *t, uint64_t now, uint64_t *wake_ns)
{
	uint64_t n = t->pps ? due(t, now, wake_ns) : t->chunk;

	if (n > t->chunk) /* whoever is behind its rate still looks at the clock */
		n = t->chunk;
	return t->count && n > t->count - done(t) ? t->count - done(t) : n;
}

static int run_loop(struct sluice_traffic *t, uint64_t end_ns, struct sluice_err *err)
{
	uint64_t stop_ns = t->duration_ns ? t->start_ns + t->duration_ns : UINT64_MAX, now, wake_ns = 0, n;
	int e = 0;

	while (!e) {
		now = clock_mono_ns();
		if (now >= stop_ns || (t->count && done(t) >= t->count))
			return 0;
		if (now >= end_ns)
			return 1;
		if (now - t->checked_ns >= CHECK_NS)
			e = check(t, now, err);
		if (e)
			break;
		n = how_many(t, now, &wake_ns);
		if (!n) {
			if (wake_ns > now + CHECK_NS)
				wake_ns = now + CHECK_NS;
			if (wake_ns > end_ns)
				wake_ns = end_ns;
			e = sleep_until(wake_ns < stop_ns ? wake_ns : stop_ns);
			continue;
		}
		e = send_some(t, n, err);
		if (!e && n == t->chunk)
			adapt_chunk(t, n, clock_mono_ns() - now);
	}
	return e == -EINTR ? 1 : e;
}

int sluice_traffic_run(struct sluice_traffic *t, uint64_t for_ns, struct sluice_err *err)
{
	uint64_t wall = clock_mono_ns(), cpu = clock_of(CLOCK_THREAD_CPUTIME_ID);
	cpu_set_t before, one;
	bool pinned = false;
	int e;

	if (t->cpu >= 0) {
		CPU_ZERO(&one);
		CPU_SET((size_t)t->cpu, &one);
		if (t->cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before) ||
		    sched_setaffinity(0, sizeof(one), &one))
			return err_set(err, -EINVAL, "cannot run on CPU %d: %s", t->cpu,
				       t->cpu >= CPU_SETSIZE ? "there is none" : strerror(errno));
		pinned = true;
	}
	if (!t->started) {
		t->started = true;
		t->start_ns = t->pace_ns = t->checked_ns = wall;
		t->chunk = 1024;
	}
	e = run_loop(t, for_ns < UINT64_MAX - wall ? wall + for_ns : UINT64_MAX, err);
	t->wall_ns += clock_mono_ns() - wall;
	t->cpu_ns += clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (pinned)
		(void)sched_setaffinity(0, sizeof(before), &before);
	return e;
}

static void say_why(const struct sluice_traffic *t, struct sluice_traffic_report *r, const char *gone)
{
	if (gone)
		snprintf(r->hint, sizeof(r->hint), "counters could not be read: %.200s", gone);
	else if (r->vanished)
		snprintf(r->hint, sizeof(r->hint),
			 "the peer of %s took none of these packets: it is down, or has neither an "
			 "XDP program nor GRO (ethtool -K PEER gro on)",
			 t->dev.info.name);
	else if (r->tx_dropped && r->sent && r->tx_dropped * 100 > r->sent)
		snprintf(r->hint, sizeof(r->hint),
			 "%s dropped packets that the receiver did not take in time; "
			 "a --pps or a smaller --batch helps",
			 t->dev.info.name);
}

int sluice_traffic_report(struct sluice_traffic *t, struct sluice_traffic_report *r, struct sluice_err *err)
{
	const struct net_dev_stats *s = &t->dev.stats;
	struct sluice_err why = {0};
	struct net_dev dev;
	int e = 0;

	(void)err;
	*r = (struct sluice_traffic_report){.sent = done(t),
					    .wanted = t->count,
					    .bytes = t->plan->conf.replay ? t->state->bytes
									  : done(t) * t->plan->frame_len,
					    .refused = t->state->refused,
					    .wall_ns = t->wall_ns,
					    .cpu_ns = t->cpu_ns,
					    .frame_bytes = t->plan->frame_len,
					    .frames = t->cap.n_frames,
					    .skipped_long = t->cap.skipped_long,
					    .skipped_short = t->cap.skipped_short,
					    .cut = t->cap.cut,
					    .has_peer = t->has_peer};
	memcpy(r->dst_mac, t->dst_mac, sizeof(r->dst_mac));
	if (t->has_peer) {
		e = traffic_peer_received(&t->peer, r->sent, &r->received, &why);
		r->lost = r->sent > r->received ? r->sent - r->received : 0;
	}
	if (!net_dev_read(&t->nl, t->dev.info.index, NULL, &dev, e ? NULL : &why)) {
		r->tx_packets = dev.stats.tx_packets - s->tx_packets;
		r->tx_dropped = dev.stats.tx_dropped - s->tx_dropped;
		r->tx_errors = dev.stats.tx_errors - s->tx_errors;
		/* a veth counts every frame it takes; other drivers may count redirected ones elsewhere */
		r->vanished = r->sent && !strcmp(t->dev.info.kind, "veth") && !r->tx_packets;
	}
	say_why(t, r, why.code ? why.text : NULL);
	return 0;
}
