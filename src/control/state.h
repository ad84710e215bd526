/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is in force in a network namespace, and where it is kept.
 *
 *     /run/sluice/policy-net4026531840/        0700; gone with the boot, as pins are
 *         lock                                 flock(2); whoever changes anything holds it
 *         record                               struct control_record
 *         7-0f3a5b.../                         one folder per generation (control/generation.h)
 *     BPFFS/sluice/net4026531840_policy/       0700
 *         7-0f3a5b.../                         its maps, pinned: enum control_map
 *     /var/lib/sluice/policy/host/             0700; outlives the boot (control/store.h)
 *
 * A generation is a policy as it was applied once. Its name is its number and the beginning of the SHA-256 of
 * the policy's printed form and of the files of its sets. Generations that nothing in the record names are
 * left over from a process that was killed: the next one that takes the lock removes them.
 */
#ifndef CONTROL_STATE_H
#define CONTROL_STATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "policy/policy.h"

#define CONTROL_NAME 32		       /* NUMBER-HASH with its NUL */
#define CONTROL_WAIT_NS 30000000000ull /* for the lock, where a person waits */
#define CONTROL_OWNER "sluice-policy"  /* of the policy's members of every chain: */
#define CONTROL_PRIORITY 10	       /* the first one's place, before what is attached without one */

/* What a policy puts onto an interface, in this order: each is a member of its chain. */
enum control_kind {
	CONTROL_FILTER,
	CONTROL_BALANCE, /* all balance blocks of the interface */
	CONTROL_KINDS
};

/* What a change that is under way, or that was killed, is about. */
enum control_change {
	CONTROL_NONE,
	CONTROL_APPLY,	/* next is being put in the place of live: one interface, one link update */
	CONTROL_JOINT,	/* the same on several interfaces, by next's deadline: 0 until it is done */
	CONTROL_DOWN,	/* live is being taken off */
	CONTROL_TRIAL,	/* live is on trial: its deadline decides whether it is in force, or `before` is */
	CONTROL_SETTLE, /* live is in force for good, some interfaces may still have the detour of a trial */
	CONTROL_RETURN, /* the same: live is what was there before a trial, next is what was tried */
};

/* Written whole, by rename. Names are "" where there is none. */
struct control_record {
	enum control_change change;
	char live[CONTROL_NAME], before[CONTROL_NAME], next[CONTROL_NAME];
	char past[CONTROL_NAME]; /* the one of another policy, where `before` is of live's own */
	uint64_t since_ns;	  /* CLOCK_REALTIME: live is in force */
	uint64_t rolled_back_ns;  /* CLOCK_REALTIME: the last trial ended by itself; 0: it did not */
	char tried[CONTROL_NAME]; /* that trial's */
};

struct control_state {
	uint64_t netns, cookie; /* of the namespace: its inode, and what no other one has until the next boot */
	char run[64];	 /* /run/sluice/policy-netN */
	char pins[256];	 /* BPFFS/sluice/netN_policy; "" if there is no bpffs */
	char lib[128];	 /* /var/lib/sluice/policy/host, netns-NAME or netN-COOKIE */
	char bpffs[200]; /* where the caller wants pins; "": where they usually are */
	char boot[40];	 /* the kernel's boot_id: what is under /run is of no other boot */
	int lock_fd;	 /* -1: not locked */
	void (*step)(void *ctx, const char *done); /* for tests: called after every step of a change; may be NULL */
	void *step_ctx;
	struct sluice_err *warned; /* what went wrong and does not count as a failure; may be NULL */
	struct control_record record; /* as it was when the state was opened or locked */
};

/*
 * control_state_open() finds the state of the calling thread's network namespace; nothing has to be there.
 *
 * in:      bpffs  NULL: as sluice_chain_attach() finds it; make  creates the folders (and mounts a bpffs)
 * out:     *st, for control_state_close(), which unlocks; NULL on failure
 * errors:  -EPERM privilege missing (named), -EBADMSG the record is damaged, -ENOENT no bpffs to be had
 */
int control_state_open(const char *bpffs, bool make, struct control_state **st, struct sluice_err *err);
void control_state_close(struct control_state *st);

/* control_state_reset() removes a record that cannot be read. errors: -EPERM, -EBUSY */
int control_state_reset(const char *bpffs, struct sluice_err *err);

/*
 * control_state_lock() takes the lock and reads the record again. Whoever only reads maps, or writes into
 * `sets`, needs it for writing alone. Folders must have been made.
 * errors:  -EBUSY another process has had it for wait_ns (err names its pid), -EINTR, -EPERM
 */
int control_state_lock(struct control_state *st, uint64_t wait_ns, struct sluice_err *err);
void control_state_unlock(struct control_state *st);

/*
 * control_state_current() is the generation whose rules packets meet at this moment, also while a change is
 * under way, was killed, or when a trial has ended by itself: NAME, or "" if there is no policy.
 *
 * out:     trial_ns  may be NULL; nanoseconds until the trial ends, 0: it is none
 */
int control_state_current(const struct control_state *st, char name[CONTROL_NAME], uint64_t *trial_ns,
			  struct sluice_err *err);

/* The maps of a generation, pinned in its folder. Those of the first group go on from generation to generation. */
enum control_map {
	CONTROL_SETS,	 /* "sets": all run-time sets (abi/filter_sets.h); may not be there */
	CONTROL_SAMPLES, /* "samples": ring of struct filter_event */
	CONTROL_TRIAL_UNTIL, /* "trial": one u64, CLOCK_MONOTONIC; 0: not yet, ~0: for good */
	CONTROL_BALANCE_MEMORY, /* "balance_memory": the flat memory (abi/balance.h), the generation's own; these only with balance */
	CONTROL_BALANCE_FLOWS, /* "balance_flows": the flow table */
	CONTROL_BALANCE_FRAGMENTS, /* "balance_fragments" */
	CONTROL_BALANCE_COUNTS, /* "balance_counts": struct balance_count per CPU and target */
	CONTROL_BALANCE_REASONS, /* "balance_reasons": struct balance_reasons per CPU and service */
	CONTROL_BALANCE_NAT4, /* "balance_nat4": translated flows (abi/nat.h); only if a service translates */
	CONTROL_BALANCE_NAT6, /* "balance_nat6" */
	CONTROL_TABLES,	 /* "tables_F" of filter number F */
	CONTROL_CELLS,	 /* "cells_F": of its limits */
	CONTROL_CPUS,	 /* "cpus_F": of its rules with cpu { } */
	CONTROL_COUNTS,	 /* "counts_P" of part number P: struct filter_hits per CPU, FILTER_HITS() of them, in one value */
	CONTROL_MORE,	 /* "more_P": struct filter_more, likewise, of policies with limits or samples */
};

/*
 * control_state_map() opens one; which: number of the filter or part, else 0.
 * errors:  -ENOENT there is no such map, -EPERM
 */
int control_state_map(const struct control_state *st, const char *generation, enum control_map map,
		      uint32_t which, struct sluice_err *err);

/*
 * control_state_pinned() tells whether the maps of the generation in force are where they can be found from here.
 * errors:  -ENOENT they are not: the bpffs is another mount namespace's, or somebody has removed them
 */
int control_state_pinned(const struct control_state *st, const char *generation, struct sluice_err *err);

/* A program of one interface: a filter, with counters of its own, or the balancer. */
struct control_part {
	enum control_kind kind;
	uint32_t filter; /* its number in the policy; of the balancer: the interface's bit (abi/balance.h: on) */
	int ifindex;
	char ifname[16]; /* as it was called */
};

struct control_generation {
	char name[CONTROL_NAME];
	uint32_t number;
	char hash[65];	     /* SHA-256, hexadecimal */
	char path[PATH_MAX]; /* of the file that was applied */
	uint64_t made_ns;    /* CLOCK_REALTIME */
	uint32_t n_filters, n_balances, n_on;
	uint32_t n_parts; /* filters on interfaces, */
	uint32_t n_all;	  /* and with those of the balancer, which stand behind them */
	struct control_part *parts;
	struct control_part *on; /* names and globs as written, ifindex 0; filter: the number of the block */
};

/*
 * control_generation_open() reads what a generation is made of.
 * control_generation_policy() reads its policy again, as it was applied: its sets' files are those of then.
 *
 * errors:  -ENOENT there is no such generation, -EBADMSG its files are damaged, -ENOMEM
 */
int control_generation_open(const struct control_state *st, const char *name, struct control_generation **gen,
			    struct sluice_err *err);
void control_generation_free(struct control_generation *gen);
int control_generation_policy(const struct control_state *st, const char *name, struct policy **policy,
			      struct sluice_err *err);

#endif
