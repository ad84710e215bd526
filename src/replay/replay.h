/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets of captures through a loaded program, on the user-space engine or in the kernel, and what came of
 * them.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "replay/in.h"

struct vm;
struct vm_watch;

#define REPLAY_VERDICTS 6	     /* XDP_ABORTED to XDP_REDIRECT, [5] any other value */
#define REPLAY_KEPT_BYTES (1u << 30) /* of packets kept in memory for repeating */

/* A packet as the program left it; the pointers are valid during the call. */
struct replay_result {
	uint32_t verdict;    /* as returned; XDP_ABORTED after a fault */
	const uint8_t *data; /* without metadata */
	uint32_t len, meta_len;
	uint32_t n_targets; /* of XDP_REDIRECT */
	const char *fault;  /* what the program did wrong, or why a redirect went nowhere; NULL */
};

enum replay_target_kind { REPLAY_TO_IF, REPLAY_TO_CPU, REPLAY_TO_XSK };

/* One place that a redirected packet went to, with the packet as it got there. */
struct replay_target {
	enum replay_target_kind kind;
	uint32_t index;	  /* interface, CPU, or slot */
	const char *map;  /* that it went through, NULL: none */
	uint32_t verdict; /* of the map entry's program, XDP_PASS if it has none */
	const uint8_t *data;
	uint32_t len;
};

/* Who wants to see packets. target() comes before done() of the same packet. An error ends the replay. */
struct replay_sink {
	bool each; /* done() and target() are wanted; false: fault() only, which costs nothing */
	void (*target)(struct replay_sink *sink, const struct replay_packet *packet,
		       const struct replay_target *target);
	int (*done)(struct replay_sink *sink, const struct replay_packet *packet,
		    const struct replay_result *result, struct sluice_err *err);
	void (*fault)(struct replay_sink *sink, const struct replay_packet *packet, const char *text);
	bool (*stop)(struct replay_sink *sink); /* asked now and then; may be NULL */
};

struct replay_config {
	struct vm *vm;	  /* NULL: the kernel */
	int prog_fd;	  /* of that engine */
	uint32_t ifindex; /* on which packets come in; 0: the first, lo */
	uint32_t n_cpus;  /* packet n runs on CPU (n - 1) % n_cpus, with that receive queue; 0: all on CPU 0.
			     Not the kernel */
	uint64_t seed;	  /* of random numbers; 0: the engine's */
	bool real_clock;  /* false: clocks say when the packet was captured, and never go back */
	int64_t budget;	  /* instructions of one run; 0: VM_BUDGET */
	uint64_t repeat;  /* how often the packets are run; only the first time counts, but for run_ns */
	bool stop_on_fault;
	struct vm_watch *watch; /* who looks on at all packets; NULL: nobody */
	struct vm_watch *look;	/* who looks on at packet look_packet, the first time it runs; NULL: nobody */
	uint64_t look_packet;
	struct replay_sink *sink;
};

struct replay_stats {
	uint64_t packets, bytes;					   /* run */
	uint64_t verdict[REPLAY_VERDICTS], verdict_bytes[REPLAY_VERDICTS]; /* bytes as they left */
	uint64_t faults;						   /* of verdict[0] */
	uint64_t lost;	       /* of verdict[4]: redirected nowhere */
	uint64_t refused;      /* by the kernel's test run: not run */
	uint64_t runs, run_ns; /* all of them: packets times repeat, and the time that the program took */
	bool stopped;	       /* before the end: stop_on_fault, or stop() */
};

/*
 * replay_run() runs every packet of in.
 *
 * out:     *stats   also on failure, of what was run before
 * errors:  those of replay_in_next(), vm_worker_new(), the sink; -ENOSPC more than REPLAY_KEPT_BYTES to
 * repeat; -EPERM, -EINVAL the kernel refuses to run the program at all
 */
int replay_run(struct replay_in *in, const struct replay_config *config, struct replay_stats *stats,
	       struct sluice_err *err);

/* "pass"; "other" for what is none. */
const char *replay_verdict(uint32_t verdict);

#endif
