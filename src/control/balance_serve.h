/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the daemon does for the balancer of the policy in force: checks backends, keeps the ways to them.
 *
 *     record, trial ──> the generation in force ── balance_targets.h ──> health (src/health), ways (balance_ways.h)
 *                                                                          │ up, down          │ hop
 *                                          lock, files, memory <── commit ─┘                   └──> memory
 *
 * Packets depend on nothing of it: what was said last stays. What it finds it takes over: a backend that was down is down
 * until it has answered `rise` times.
 *
 * thread:  one at a time
 */
#ifndef CONTROL_BALANCE_SERVE_H
#define CONTROL_BALANCE_SERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

struct serve;

/* A sentence without a full stop; routine: of interest to who asks for all of it. */
typedef void serve_say(void *ctx, bool routine, const char *sentence);

struct serve_options {
	const char *bpffs; /* NULL: as control_state_open() finds it; outlives the daemon */
	uint64_t nofile;   /* soft limit of open files of commands, 0: the process's */
	serve_say *say;	   /* called from serve_turn() */
	void *ctx;
};

/*
 * serve_new() begins; there need not be a policy yet.
 * errors:  -ENOSPC the limit of open files is too low; of epoll, inotify, netlink; -ENOMEM
 */
int serve_new(const struct serve_options *options, struct serve **s, struct sluice_err *err);
void serve_free(struct serve *s);

/* serve_fd() is readable when there is something to do. */
int serve_fd(const struct serve *s);

/*
 * serve_turn() does what there is to do. It never waits for the lock: what cannot be said now is said a few milliseconds later.
 *
 * out:     *wait_ns  until the next time, also if nothing becomes readable
 * errors:  -EPERM privilege missing; -ENOMEM; what is broken for good. Everything else is told, and tried again
 */
int serve_turn(struct serve *s, uint64_t *wait_ns, struct sluice_err *err);

/* serve_again() has everything looked at again at the next turn. */
void serve_again(struct serve *s);

struct serve_sum {
	bool elsewhere;					     /* another process has the balancer */
	uint32_t services, backends, checked, down, waiting; /* waiting: changes that do not count yet */
	uint64_t probes, late_max_ns;
};
void serve_sum(const struct serve *s, struct serve_sum *sum);

#endif
