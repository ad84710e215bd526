/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the two files of the daemon's balancer part share. */
#ifndef CONTROL_BALANCE_SERVE_INSIDE_H
#define CONTROL_BALANCE_SERVE_INSIDE_H

#include "control/balance_hops.h"
#include "control/balance_serve.h"
#include "control/balance_targets.h"

#define MS(n) ((n)*UINT64_C(1000000))

struct serve {
	struct serve_options o;
	int epoll, inotify, alone_fd; /* alone_fd: locked by the one daemon that has the balancer */
	char alone[128];
	bool elsewhere, followed;
	struct health *health;
	struct ways *ways;
	struct inner *inner; /* NULL: no check goes through a tunnel */
	bool past_tunnels;   /* since this kernel cannot do otherwise */
	struct hops hops;
	struct targets t;
	struct control_state *st; /* of b */
	struct balance_live *b;	  /* NULL: nothing is followed */
	char generation[CONTROL_NAME];
	uint32_t n_pending, n_ways; /* verdicts, ways that packets do not meet yet */
	bool commit;		    /* although nothing is pending */
	uint64_t commit_ns;	    /* not before that */
	uint64_t free_ns;	    /* and in no case before that: commits are to leave time for checks */
	uint64_t busy_ns;	    /* the same process has had the lock since; 0 */
	char holder[160];	    /* that one, in words */
	uint64_t look_ns, settle_ns, settled_ns;
	uint64_t checks_ns; /* what checks say is to be written then; 0: it is */
	char (*all_down)[BALANCE_NAME]; /* services of which that was told, in order of names */
	size_t n_all_down;
	char trouble[512]; /* told last */
};

/* balance_serve.c */
void serve_tell(struct serve *s, bool routine, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void serve_trouble(struct serve *s, const char *why); /* once, until it is another one */

/* balance_verdicts.c: from verdicts and ways to the data path */
int serve_health_new(struct serve *s, struct sluice_err *err);
void serve_pend(struct serve *s, struct checked *c, bool up, bool urgent);
int serve_commit(struct serve *s, struct sluice_err *err);
int serve_settle(struct serve *s, uint64_t now, struct sluice_err *err);
int serve_ways_want(struct serve *s, struct sluice_err *err);
void serve_way_changed(void *arg, const struct way *way);
void serve_say_all_down(struct serve *s);
void serve_checks(struct serve *s, uint64_t now); /* writes for others what checks say, if it is time */
void serve_checks_anew(struct serve *s);	  /* of all: another generation is followed */

#endif
