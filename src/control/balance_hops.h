/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ways (balance_ways.h) brought to the backends of a generation: several services may have the same address. */
#ifndef CONTROL_BALANCE_HOPS_H
#define CONTROL_BALANCE_HOPS_H

#include "control/balance_live.h"
#include "control/balance_ways.h"

/*
 * control_balance_ways() looks up the ways to all backends, once, and sets them: for who puts a generation into force,
 * so that its first packets need not be looked up one by one. Neighbours that are not known are asked for. While a daemon keeps
 * ways, only those are looked up that backends have not taken over.
 *
 * in:      b        open, or placed; wait_ns  for answers of neighbours; the lock is held
 *          say      is told of each address that cannot be reached, a sentence without a full stop; may be NULL
 * errors:  of netlink sockets, -EPERM, -ENOMEM. That a backend cannot be reached is none
 */
int control_balance_ways(const struct control_state *st, struct balance_live *b, uint64_t wait_ns,
			 void (*say)(void *ctx, const char *sentence), void *ctx, struct sluice_err *err);

/* A backend by its places, and the way it needs. */
struct hop_of {
	struct way_want to;
	uint32_t service, backend;
	/* of the first of an address */
	bool told;    /* that it cannot be reached */
	bool pending; /* its way is not set yet */
};

struct hops {
	struct hop_of *v; /* by address */
	size_t n;
};

/* hops_make() lists the backends of a model; hops_want() has their ways looked up. errors: -ENOSPC only those of the first
 * WAYS_MAX addresses are; -ENOMEM */
int hops_make(const struct balance_model *m, struct hops *to, struct sluice_err *err);
int hops_want(const struct hops *h, struct ways *w, struct sluice_err *err);
void hops_free(struct hops *h);

/* hops_first() is the first backend with a way; NULL: there is none. */
struct hop_of *hops_first(const struct hops *h, const struct way_want *to);

/* hops_tell() writes what is to be told of a way: that it cannot be reached, or can be again; "" nothing. */
#define HOPS_TEXT (WAYS_TEXT + NET_ADDR_TEXT + 16)
void hops_tell(struct hop_of *first, const struct way *way, char say[HOPS_TEXT]);

/*
 * hops_set() sets a way that was looked up at all backends that it leads to; one that is not ready: packets are looked up.
 * in:      the lock is held, and the generation's memory is placed
 * errors:  -ENOSPC all numbers of ways are taken; -ENOMEM
 */
int hops_set(const struct hops *h, struct balance_live *b, const struct way *way, struct sluice_err *err);

#endif
