/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of this room share: rules, targets, flights (probes under way), and what a kind of probe can do. */
#ifndef HEALTH_INSIDE_H
#define HEALTH_INSIDE_H

#include <sys/types.h>

#include "health/heap.h"
#include "health/health.h"
#include "health/http.h"
#include "health/state.h"
#include "health/tls.h"

/* A probe with texts of its own, and what is computed from it once. */
struct rule {
	struct health_probe p;
	struct state_rules r;
	struct http_want want;
	bool kept; /* by the change that is being made */
};

struct flight;

struct target {
	struct heap_node due;
	struct health_target t;
	struct rule *rule;
	struct state s;
	struct flight *flights;	    /* of the running round */
	struct target *next, *prev; /* in the queue for a slot */
	bool queued, kept;
	uint64_t since_ns, last_ns, took_ns;
	uint8_t last; /* enum health_outcome */
	char why[HEALTH_WHY];
};

/* What one step of a probe came to: an outcome, or not yet. */
enum step {
	STEP_GOOD = HEALTH_GOOD,
	STEP_BAD = HEALTH_BAD,
	STEP_UNTOLD = HEALTH_UNTOLD,
	STEP_WAIT,
};

enum stage {
	STAGE_CONNECT,
	STAGE_TLS,
	STAGE_SEND,
	STAGE_ANSWER,
	STAGE_DYING, /* a killed command that nobody has reaped yet; its target may be gone */
};

struct flight {
	struct heap_node end; /* its deadline */
	uint32_t index,
		generation; /* what epoll gives back: a slot that was used anew is another generation */
	const struct kind *kind;
	struct target *target;	    /* NULL: the command is dying */
	uint64_t of;		    /* its id */
	struct flight *next, *prev; /* of the same target; next: of free ones */
	uint64_t start_ns;
	int fd;	   /* the socket, or the pipe from a command; -1: none */
	int pidfd; /* -1: none */
	int said;  /* by a command that could not begin; -1: none */
	pid_t pid;
	uint8_t stage;	 /* enum stage */
	bool raw;	 /* icmp: not a ping socket */
	bool over;	 /* a command ended its output */
	uint32_t events; /* that epoll waits for at fd */
	uint32_t seen;	 /* and that it has told last */
	uint32_t sent;
	uint32_t got;  /* bytes of a command's output, or from the network */
	uint32_t line; /* of which so many are in why */
	uint64_t nonce;
	struct http_answer answer;
	struct tls tls;
	char why[HEALTH_WHY];
};

/*
 * A kind of probe. start() and ready() return how far it got, and write why if that is an end; second: the event is
 * of pidfd. silent() writes why for a deadline that passed. stop() lets go of everything but descriptors, and
 * returns true if the flight has to stay until pidfd is readable (stage is STAGE_DYING then, and only then; stop() again
 * waits for that, until over_ns).
 */
struct kind {
	enum step (*start)(struct health *h, struct flight *f);
	enum step (*ready)(struct health *h, struct flight *f, bool second);
	void (*silent)(struct flight *f);
	bool (*stop)(struct health *h, struct flight *f);
};

extern const struct kind kind_tcp, kind_http, kind_icmp, kind_command;

struct queue {
	struct target *first, *last;
};

struct health {
	struct health_options o;
	int epoll, timer;
	uint64_t armed_ns; /* STATE_NEVER: not */
	uint64_t chance;
	struct rule **rules;
	size_t n_rules;
	struct target **targets; /* by id */
	size_t n_targets;
	struct heap due, ends;
	struct queue queues[2]; /* for a slot; for a slot of a command */
	struct flight **flights;
	uint32_t n_flights; /* slots that have ever been used */
	struct flight *free;
	struct tls_trust trust;
	struct health_stats stats;
	uint32_t n_dying;
	uint64_t over_ns; /* at the end: who is still dying then is left to init */
};

/* engine.c */
uint64_t health_chance(struct health *h);
void health_schedule(struct health *h, struct target *t); /* as its state says; out of the queue */
void health_cancel(struct health *h, struct target *t);	  /* all its flights */
int health_arm(struct health *h, struct sluice_err *err); /* the timer, for what is due first */
struct target *health_find(const struct health *h, uint64_t id);

/* flight.c: slots and their descriptors */
struct flight *flight_take(struct health *h);			       /* NULL: no slot, or no memory */
void flight_release(struct health *h, struct flight *f);	       /* closes */
int flight_watch(struct health *h, struct flight *f, uint32_t events); /* at fd; 0 or a negative errno */
int flight_watch_pid(struct health *h, struct flight *f);
void flight_timeout_text(const struct flight *f, char to[24]);

/* rule.c */
int rule_new(const struct health_probe *p, size_t number, struct rule **rule, struct sluice_err *err);
void rule_free(struct rule *r);
bool rule_same(const struct rule *r, const struct health_probe *p);
const struct kind *rule_kind(const struct rule *r);
int rule_check_target(const struct health_target *t, const struct health_probe *p, struct sluice_err *err);

/* socket.c: a socket that takes the target's way */
enum step socket_open(struct flight *f, int type, int protocol); /* f->fd, if there is none yet */
enum step socket_connect(struct health *h, struct flight *f);	 /* STEP_WAIT: under way, or done at once */
enum step socket_failed(struct flight *f, int error, const char *what);
int socket_error(const struct flight *f); /* of a connection that is ready: 0, or an errno */
int socket_address(const struct target *t, uint16_t port, void *to); /* struct sockaddr_storage; its length */
uint16_t target_port(const struct target *t);

/* flight_why() writes a reason, printable. */
void flight_why(struct flight *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
