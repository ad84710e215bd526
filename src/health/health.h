/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Health checks: targets are probed, and changes between up and down are told. What follows from a change, and what
 * to do when nobody is up, is the caller's.
 *
 * An engine belongs to one thread. It has one descriptor that becomes readable whenever health_run() has something
 * to do (a timer is behind it), so it fits into any event loop, or poll().
 */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "health/limits.h"
#include "net/addr.h"

#define HEALTH_TARGETS 65536u
#define HEALTH_STATUSES 8    /* ranges of statuses */
#define HEALTH_WHY 160	     /* bytes of a reason with its NUL */
#define HEALTH_FLIGHTS 4096u /* probes at a time, by default */
#define HEALTH_COMMANDS 32u  /* of which commands, by default */
#define HEALTH_HEADER_BYTES \
	16384u			 /* of an answer, before its body: nginx and Apache allow 4 to 8 kB a line */
#define HEALTH_BODY_BYTES 65536u /* of a body are searched */
#define HEALTH_OUTPUT_BYTES 65536u /* of a command's output are read */

enum health_kind {
	HEALTH_TCP, /* the connection is made */
	HEALTH_HTTP,
	HEALTH_HTTPS,
	HEALTH_ICMP,	/* an echo request is answered */
	HEALTH_COMMAND, /* a program ends with 0 */
};

struct health_range {
	uint16_t lo, hi;
};

/*
 * How to probe. Zero means the default where one is given. Texts are the caller's and copied by health_apply().
 */
struct health_probe {
	enum health_kind kind;
	uint16_t port; /* 0: the target's */
	uint64_t interval_ns, timeout_ns;
	uint32_t rise, fall; /* 1 to 100 */
	uint32_t jitter;     /* per cent, to 50: so much earlier than planned may a round begin */
	bool initially_down; /* until proven up; otherwise up until proven down */
	bool fin;	   /* tcp, http(s): close as others do; otherwise by RST, which leaves no TIME_WAIT */
	uint32_t damp_cut; /* the penalty that suppresses (state.h); 0: no damping */
	uint32_t damp_reuse;   /* 0: HEALTH_DAMP_REUSE */
	uint64_t damp_half_ns; /* 0: HEALTH_DAMP_HALF_NS */
	uint64_t damp_hold_ns; /* 0: HEALTH_DAMP_HOLD_NS */

	/* http, https */
	const char *path; /* NULL: "/" */
	const char *host; /* NULL: the address; https: the name in SNI, too */
	const char *body; /* what the body has to contain; NULL: anything */
	struct health_range status[HEALTH_STATUSES];
	size_t n_status; /* 0: 200 to 399 */
	bool head;	 /* HEAD instead of GET; not with body */
	bool verify;	 /* https: the certificate has to be valid for host, by the system's authorities */

	/* command: argv[0] is an absolute path; no shell is involved. $ADDRESS and $PORT in words are the target's */
	const char *const *argv;
	size_t n_argv;
};

/*
 * What to probe, and how to get there: mark, interface and source are those of its packets, so that routing, or a program
 * behind it, takes them the way that traffic takes (through a tunnel, for one).
 */
struct health_target {
	uint64_t id;	/* the caller's: the same id is the same target */
	uint32_t probe; /* index of its probe */
	struct net_addr addr;
	uint16_t port;
	uint32_t scope;	    /* interface index of a link-local IPv6 address */
	uint32_t mark;	    /* SO_MARK; 0: none; needs CAP_NET_ADMIN */
	char interface[16]; /* SO_BINDTODEVICE; empty: any */
	bool has_source;
	struct net_addr source; /* of the same family */
	bool own_port; /* its local port, or identification, is no other probe's: an answer can be told by it alone */
	struct net_addr through; /* where its tunnel leads, for who has one; not the same, with its port, is another way */
	uint16_t through_port;
	uint16_t
		segment_max; /* TCP_MAXSEG: bytes of a segment, where there is less room than the kernel knows; 0: it knows */
	bool known, known_up; /* what a new target is taken for instead of the probe's initial state */
};

/* A change; or, with `first`, the first verdict about a target, whether it changes anything or not. */
struct health_event {
	uint64_t id;
	bool up, first;
	uint64_t since_ns; /* CLOCK_MONOTONIC, as all times here */
	const char *
		why; /* one sentence without a full stop, printable; of a target that is up: how it answered */
};

enum health_outcome {
	HEALTH_GOOD,
	HEALTH_BAD,
	HEALTH_UNTOLD, /* this host could not ask (descriptors, ports, privilege): nothing about the backend */
};

struct health_result {
	uint64_t id;
	enum health_outcome outcome;
	uint64_t took_ns;
	const char *why;
};

/* Both are called from health_run() and must not call the engine, but for health_look() and health_stats(). */
typedef void health_change_fn(void *arg, const struct health_event *e);
typedef void health_result_fn(void *arg, const struct health_result *r);

struct health_options {
	uint32_t max_flights; /* 0: HEALTH_FLIGHTS; no more in any case than RLIMIT_NOFILE leaves, less 128 */
	uint32_t max_commands; /* 0: HEALTH_COMMANDS */
	uint64_t nofile;       /* soft limit of open files of commands; 0: the process's */
	health_change_fn *on_change;
	health_result_fn *on_result; /* may be NULL */
	void *arg;
};

struct health;

/*
 * health_new() makes an engine without targets.
 *
 * errors:  -ENOMEM, -EMFILE; -ENOSPC if the limit of descriptors leaves none for probes
 * owns:    health_free() ends it: probes in flight are given up, commands killed and reaped
 */
int health_new(const struct health_options *options, struct health **h, struct sluice_err *err);
void health_free(struct health *h);

/* health_fd() is readable while health_run() has something to do; the engine's. */
int health_fd(const struct health *h);

/*
 * health_run() does what is due: starts probes, takes answers, ends those that took too long, and tells. It does
 * not wait; answers that are there count, however late it is called.
 *
 * errors:  only of epoll and timerfd themselves, which is a defect
 * cost:    5 to 25 us a probe (doc/health.md); commands: a fork each
 */
int health_run(struct health *h, struct sluice_err *err);

/* What health_apply() did. */
struct health_applied {
	size_t added, removed, changed, same;
};

/*
 * health_apply() makes targets the whole of what is probed. Targets that stay keep their state and go on as they
 * were; of those whose probe, address or way changed, the state stays, and a round begins anew. Nothing is told of
 * targets that go.
 *
 * errors:  -EINVAL   what cannot be (the sentence names the probe's number, or the target's id); -ENOSPC too many
 *          -ENOMEM; all: nothing has changed
 * cost:    n log n
 */
int health_apply(struct health *h, const struct health_probe *probes, size_t n_probes,
		 const struct health_target *targets, size_t n_targets, struct health_applied *applied,
		 struct sluice_err *err);

/*
 * health_can() tells whether a target can be checked by a probe: what health_apply() would refuse all for. The sentence has
 * no name of either in it.
 *
 * in:      probe  of the target: its number in it does not count
 * errors:  -EINVAL
 */
int health_can(const struct health_probe *probe, const struct health_target *target, struct sluice_err *err);

struct health_look {
	bool up, proven, held; /* held: it answers, and is held down because it flapped */
	uint64_t since_ns;     /* of up or down */
	uint32_t changes;
	double penalty;
	enum health_outcome last;
	uint64_t last_ns, took_ns; /* end of the last probe, 0: none yet; how long it took */
	const char *why;	   /* of the last probe; until health_run() or health_apply() */
};

/* health_look() is the state of a target; -ENOENT: none of that id. */
int health_look(const struct health *h, uint64_t id, struct health_look *look);

struct health_stats {
	uint64_t probes, good, bad, untold, cancelled;
	uint64_t
		late_max_ns; /* a probe began so much later than it should have: more slots, or fewer targets */
	uint32_t flights, commands, waiting; /* now; waiting for a slot */
	uint32_t flights_max;
};

void health_stats(const struct health *h, struct health_stats *stats);

#endif
