/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The run-time sets of a policy as they live: the map filter_sets (abi/filter_sets.h), made from a plan
 * (src/filter/sets.h), and changed while programs read it.
 *
 *     filter_sets_plan() ──> control_sets_make(plan, the map before) ──> map ──> control_filter_load_sets()
 *                                                    control_sets_open(map) ──> add, del, load, list ...
 *
 * thread:  (all calls) whoever has a map open holds the lock of control/state.h until it is closed, also for
 *          reading: opening may finish what a writer that was killed left half done. Programs read without.
 * errors:  (calls with err) -EPERM privilege missing, -ENOMEM, -EBADMSG the memory is damaged
 */
#ifndef CONTROL_SETS_H
#define CONTROL_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "filter/sets.h"

struct control_sets;

/*
 * control_sets_make() makes the map of a policy on the engine of the thread and fills it: with what text and
 * files say, and with what was added at run time to sets of the same name in the map before, with the time it
 * has left. Counters of elements go on. What was taken out at run time of what the text says is in again.
 *
 * in:      before  the map of the policy in force, -1: none
 * out:     *fd     close-on-exec, the caller's; -1 on failure, and if the plan has no sets
 * errors:  -EBADMSG before is damaged: make without it; -ENOSPC there is no memory for all that was added at run
 *          time (the size that the policy says does not keep it out): err says how many of which set
 * cost:    a million prefixes in 0.2 to 0.4 s
 */
int control_sets_make(const struct filter_sets *plan, int before, int *fd, struct sluice_err *err);

/*
 * control_sets_room() lays a plan out anew, so that what control_sets_make() or control_sets_return() takes from a map
 * has room in it, and more as ever. What is too much for any memory is left to those to tell of.
 * control_sets_like() makes a plan's memory as large as a map of the same policy, for code that was made for that.
 * control_sets_return() puts into a map what came at run time into sets of another one, as control_sets_make() does.
 *
 * in:      besides  a map whose sets are passed over; -1: none
 * errors:  -EBADMSG a map is damaged; -ESTALE (like) there is more in the sets than fits into memory of that size,
 *          or they are of a version that other code reads
 */
int control_sets_room(struct filter_sets *plan, int before, int besides, struct sluice_err *err);
int control_sets_like(struct filter_sets *plan, int map, struct sluice_err *err);
int control_sets_return(int map, int before, int besides, struct sluice_err *err);

/*
 * control_sets_open() opens a map that control_sets_make() made, its descriptor (not kept).
 *
 * out:     *sets  NULL on failure; control_sets_close()
 * errors:  -EBADMSG it is no such map, or damaged
 */
int control_sets_open(int fd, struct control_sets **sets, struct sluice_err *err);
void control_sets_close(struct control_sets *sets);

uint32_t control_sets_n(const struct control_sets *sets);

struct control_set {
	const char *
		name; /* as long as the sets are open; "" for constants of rules, which are not to be changed */
	const char *file; /* NULL: none */
	uint32_t timeout; /* seconds of what is added at run time, 0: for good */
	uint64_t size;	  /* as the policy says; 0: it does not */
	bool expires, counts;
	uint64_t n[2];	  /* elements, IPv4 and IPv6, expired ones that were not swept among them */
	uint64_t room[2]; /* for so many as they are now, about */
	uint64_t bytes;
};

/*
 * control_sets_lost() counts what came at run time into the sets of a map and is not in those of the one that takes its
 * place, per set; sets that lose nothing are not named.
 *
 * in:      now  -1: there is no such map
 * out:     *v  for free()
 */
struct control_lost {
	char set[FILTER_SET_NAME];
	uint64_t n;
};
int control_sets_lost(int before, int now, struct control_lost **v, uint32_t *n, struct sluice_err *err);

/* control_sets_get(): set number nr. control_sets_find(): by name, -ENOENT names the nearest. */
int control_sets_get(struct control_sets *sets, uint32_t nr, struct control_set *set, struct sluice_err *err);
int control_sets_find(struct control_sets *sets, const char *name, uint32_t *nr, struct sluice_err *err);

/* control_sets_now(): seconds of the clock that elements expire by (CLOCK_MONOTONIC). */
uint32_t control_sets_now(void);

/* What control_sets_add() did. */
enum control_added { CONTROL_ADDED, CONTROL_CHANGED, CONTROL_FOR_GOOD };

/*
 * control_sets_add() adds an element; one that is there gets the new expiry, but what is there for good stays so
 * (CONTROL_FOR_GOOD). control_sets_del() takes one out.
 *
 * in:      elem   expires: a second of control_sets_now(), 0: for good; what expired before now is not there
 * errors:  -ENOSPC full, and no room to grow: err says what to do; -EINVAL the set keeps no times;
 *          -ENOENT (del) no such element
 * cost:    microseconds; growing 0.2 s a million, and a grace period
 */
int control_sets_add(struct control_sets *sets, uint32_t nr, bool v6, const struct sets_elem *elem,
		     uint32_t now, enum control_added *what, struct sluice_err *err);
int control_sets_del(struct control_sets *sets, uint32_t nr, bool v6, const struct sets_elem *elem,
		     uint32_t now, struct sluice_err *err);

/* control_sets_test(): the longest element that covers an address and has not expired at now; 0 or -ENOENT. */
int control_sets_test(struct control_sets *sets, uint32_t nr, bool v6, uint64_t hi, uint64_t lo, uint32_t now,
		      struct sets_elem *elem, struct set_count *counts, struct sluice_err *err);

/* Elements of one family, sorted, without those that have expired. */
struct control_elem {
	struct sets_elem elem;
	struct set_count counts;
};
int control_sets_list(struct control_sets *sets, uint32_t nr, bool v6, uint32_t now,
		      struct control_elem **elems, size_t *n, struct sluice_err *err);

/*
 * control_sets_load() makes the elements that are there for good those of a list, by difference; those that
 * expire stay until they do. What is in both is never missing. control_sets_load_timed() does that, and puts others in
 * for a time, or gives them that; the set must keep times. control_sets_flush() takes out everything.
 *
 * in:      elems  IPv4, IPv6; timed  likewise, their expires a second of control_sets_now(); NULL: none
 * errors:  -ENOSPC: then the set is as it was, or the part of the list that fits is in it and err says so
 */
int control_sets_load(struct control_sets *sets, uint32_t nr, const struct filter_elems elems[2],
		      struct sets_change *done, struct sluice_err *err);
int control_sets_load_timed(struct control_sets *sets, uint32_t nr, const struct filter_elems elems[2],
			    const struct filter_elems timed[2], struct sets_change *done,
			    struct sluice_err *err);
int control_sets_flush(struct control_sets *sets, uint32_t nr, uint64_t *n, struct sluice_err *err);

/* control_sets_expire() takes out of all sets what has expired; *n of them. */
int control_sets_expire(struct control_sets *sets, uint32_t now, uint64_t *n, struct sluice_err *err);

#endif
