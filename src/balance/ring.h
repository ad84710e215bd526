/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's slots over time: which backend a slot has, and which had it before while flows of that time may
 * still come. Layout: abi/balance.h. What happens to a slot whose backend changes from c to w:
 *
 *     settled                         w, previous c until now + hold
 *     changed, in transition from p   w, previous p until p's deadline: flows of c opened while the slot was
 *                                     changed, so they are in the flow table
 *     changed, deadline over          w, previous c until now + hold
 *     c is down                       w, nobody to go back to; in a changed slot the table is still asked
 *
 * What comes back to p before p's deadline has nobody to go back to: flows of p that nobody knows are at home.
 * A previous backend that goes down or is removed is dropped from all slots. A slot stays changed until
 * ring_settle() is told that no flow of it is elsewhere.
 */
#ifndef BALANCE_RING_H
#define BALANCE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/balance.h"
#include "balance/balance.h"
#include "base/view.h"

struct ring_backend {
	struct net_addr addr;
	uint16_t port;
	uint8_t state;	/* enum balance_target_state */
	uint64_t freed; /* when it went, counted in changes: the number that is free longest is used next */
};

struct ring {
	uint32_t n_slots;
	uint32_t id_max; /* the largest number of a backend */
	uint32_t flags;
	uint32_t *slots; /* words */
	uint64_t until[BALANCE_EPOCHS];	    /* ns */
	uint32_t epoch;			    /* the latest */
	uint32_t n_waiting[BALANCE_EPOCHS]; /* slots with a previous backend, by epoch */
	uint32_t n_unsettled;
	struct ring_backend *backends;	 /* by number; [0] is nobody */
	uint32_t n_backends;		 /* numbers in use, with 0: below this */
	uint64_t n_changes, n_published; /* how many of the changes */
	uint32_t *dirty;		 /* slots to be published */
	uint32_t n_dirty;
	uint8_t *is_dirty;
};

struct ring_report {
	uint32_t moved;	  /* slots that have another current backend than before */
	uint32_t changed; /* slots for which the flow table is asked, now */
	uint32_t waiting; /* of them, slots with a previous backend that counts */
	uint64_t until;	  /* the last deadline of these; 0: none */
};

/*
 * ring_new() makes the slots of a service, all without a backend; wide ones, of two bytes for a data path, have room
 * for BALANCE_ID_MAX backends, others for BALANCE_ID_NARROW, with those that went lately. errors: -EINVAL n_slots, -ENOMEM
 */
int ring_new(uint32_t n_slots, bool wide, struct ring **r, struct sluice_err *err);
bool ring_wide(const struct ring *r);
void ring_free(struct ring *r);

/*
 * ring_change() brings a ring to what its service says. Backends keep their numbers, also one that is removed
 * and comes back; that of a removed one is given to another as late as possible. Each change is to be published
 * before the next: deadlines share an epoch and numbers are not used again until then.
 *
 * in:      s       checked; its n_slots is the ring's
 *          now_ns  of the monotonic clock
 *          memo    may be NULL
 * out:     report  may be NULL
 * errors:  -EINVAL, -ENOSPC (no number is free), -ENOMEM; nothing has changed then
 * cost:    maglev_build() and a pass over the slots
 */
int ring_change(struct ring *r, const struct balance_service *s, uint64_t now_ns, struct maglev_memo *memo,
		struct ring_report *report, struct sluice_err *err);

/* ring_expire() takes previous backends out whose deadline is over; their slots stay changed. */
void ring_expire(struct ring *r, uint64_t now_ns, struct ring_report *report);

/*
 * ring_settle() makes slots settled again: those that are changed, have nobody to go back to, and whose bit in
 * elsewhere is 0: no flow in the table belongs to the slot and to a backend other than its current one.
 * elsewhere: n_slots bits, bit 0 of byte 0 first.
 */
void ring_settle(struct ring *r, uint64_t now_ns, const uint8_t *elsewhere, struct ring_report *report);

/*
 * ring_publish() writes what has changed since the last time into memory that a data path reads meanwhile, by
 * plain stores: backends that come, then deadlines, then slots, then states of backends that go. A reader that takes
 * a slot before its change sees each as it was or as it is, or a slot as it was with its change as it is, which
 * sends flows that are not known where they are at home; what it names is there.
 *
 * in:      to       only ->n_slots, ->flags and ->until are written
 *          m        the ring's stretches of the flat memory; of the targets all but ->hop is written, which becomes 0
 *                   when a number gets another backend
 *          all      everything is compared with what the memory says, which may be anything: zeroes, what a writer that was
 *                   killed left of this change, or another service's that nobody looks at any more
 * errors:  -ENOSPC  n_targets is too small; nothing is written then
 */
struct ring_memory {
	void *slots; /* n_slots bytes, or 16-bit words */
	uint16_t *changes; /* n_slots */
	uint8_t *marks;	   /* bits, the first is number mark */
	uint32_t mark;
	struct balance_target *targets;
	uint32_t n_targets; /* of which ring->n_backends are used */
};
int ring_publish(struct ring *r, bool all, struct balance_ring *to, const struct ring_memory *m,
		 struct sluice_err *err);

/* ring_find() is a backend's number; 0: none. */
uint32_t ring_find(const struct ring *r, const struct net_addr *addr, uint16_t port);

/*
 * ring_save() appends a ring to bytes, ring_load() makes one of them; what had not been published by then is not known to be
 * dirty: it is published with `all`. The bytes are not trusted.
 *
 * errors: -EBADMSG they cannot be a ring (err says why); -ENOMEM
 */
void ring_save(const struct ring *r, struct buf *to);
int ring_load(struct view *from, struct ring **r, struct sluice_err *err);

/*
 * ring_widen() makes a ring of narrow slots a wide one; the next publication is to be into memory of its own, with `all`.
 *
 * ring_prepare_return() prepares a ring for the case that another one of the same service, which goes on from it, counts for a
 * while and then this one again, with the same flow table: numbers that the other gave out, below n_max, are kept
 * free, as if their backends had been there and gone, and slots that are settled and the other's are not the same become
 * changed, so that flows which are opened at the other's backends are found. *any: there is something to be published.
 * errors: -ENOMEM
 */
void ring_widen(struct ring *r);
int ring_prepare_return(struct ring *r, const struct ring *other, uint32_t n_max, bool *any, struct sluice_err *err);

/* ring_ids() finds the numbers of n backends by address and port; 0: none. errors: -ENOMEM */
int ring_ids(const struct ring *r, const struct balance_backend *b, size_t n, uint32_t *ids, struct sluice_err *err);

/* Bytes that a data path has to hold for the ring as it is: slots, targets and struct balance_ring. */
size_t ring_bytes(const struct ring *r);

#endif
