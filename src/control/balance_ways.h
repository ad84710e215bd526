/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How packets get to backends: route and neighbour of each address, kept as the kernel's tables change. Nothing here
 * writes into a data path.
 *
 *     addresses ── route ──> interface, neighbour ── its MAC address ──> struct balance_hop
 *                    ^                ^
 *                    └── netlink ─────┘        a neighbour that is not known, or not certain any more, is asked for
 *
 * A program in the packet path that sends frames itself never makes the kernel look whether a neighbour is still there,
 * so it is asked every WAYS_ASK_NS.
 *
 * thread:  one at a time; it stays in the network namespace in which it was made
 */
#ifndef CONTROL_BALANCE_WAYS_H
#define CONTROL_BALANCE_WAYS_H

#include "abi/balance.h"
#include "net/way.h"

#define WAYS_ASK_NS UINT64_C(20000000000)
#define WAYS_MAX (1u << 17)

enum way_state {
	WAY_NEW, /* not looked up yet */
	WAY_READY,
	WAY_ASKED,  /* the neighbour has not answered yet */
	WAY_SILENT, /* it does not answer */
	WAY_NO_ROUTE,
	WAY_LOCAL,  /* an address of this host */
	WAY_ROUTER, /* to be reached directly, but a router is in between */
	WAY_DEVICE, /* the interface is down, or has no MAC addresses */
};

struct way_want {
	struct net_addr addr;
	bool direct; /* the backend itself has to be the neighbour (forward l2) */
};

struct way {
	struct way_want to;
	enum way_state state;
	struct balance_hop
		hop; /* ifindex 0 unless WAY_READY; mtu is the interface's or the route's, with tunnel heads */
	struct net_way route; /* unless WAY_NEW, WAY_NO_ROUTE */
};

struct ways;

/*
 * ways_new() makes one without addresses.
 * in:      watch  notifications are wanted: ways_fd() is readable when there are any
 * errors:  of netlink sockets; -ENOMEM
 */
int ways_new(bool watch, struct ways **w, struct sluice_err *err);
void ways_free(struct ways *w);
int ways_fd(const struct ways *w);

/*
 * ways_want() makes these addresses the whole of what is looked up; the same one may stand several times. Those that
 * stay are as they were, those that come are WAY_NEW until ways_turn().
 * errors:  -ENOSPC more than WAYS_MAX; -ENOMEM; nothing has changed then
 */
int ways_want(struct ways *w, const struct way_want *want, size_t n, struct sluice_err *err);

/*
 * ways_turn() does what there is to do: takes notifications, looks up a few hundred addresses at most, asks for neighbours.
 *
 * out:     *wait_ns  until the next time, also if nothing becomes readable; 0: at once
 *          changed   is called for each way whose hop or state is another one; may be NULL
 * errors:  -EIO, -EPERM
 */
int ways_turn(struct ways *w, void (*changed)(void *arg, const struct way *way), void *arg, uint64_t *wait_ns,
	      struct sluice_err *err);

/* ways_settle() goes on until every way is found or cannot be, for wait_ns at most. */
int ways_settle(struct ways *w, uint64_t wait_ns, struct sluice_err *err);

const struct way *ways_find(const struct ways *w,
			    const struct way_want *want); /* NULL: it is not looked up */

/* ways_compare() is an order of addresses, 0: the same way. */
int ways_compare(const struct way_want *a, const struct way_want *b);

/* ways_say() writes why a way is not ready: a part of a sentence behind the backend's name ("has no route"). */
#define WAYS_TEXT 160
char *ways_say(const struct way *way, char to[WAYS_TEXT]);

#endif
