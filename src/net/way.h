/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way to an address, of which a program that sends frames itself has to know all: interface, next hop, its MAC
 * address, how large packets may be. And the kernel's notifications of everything that may change it.
 */
#ifndef NET_WAY_H
#define NET_WAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "net/addr.h"
#include "net/nl.h"

struct net_way {
	uint8_t type; /* RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE... */
	int index;    /* the interface; 0: none */
	bool has_router;
	struct net_addr via; /* the neighbour: a router, or the address itself; may be of the other family */
	uint32_t mtu;	     /* of the route, or what was learned of the path; 0: the interface's */
};

/*
 * net_way_route() asks the tables as for a packet of this host's; of several next hops it is one of them.
 * errors:  -ENETUNREACH no route, or one that forbids it; -ENOMEM and others: it could not be asked
 */
int net_way_route(struct net_nl *nl, const struct net_addr *dst, struct net_way *way, struct sluice_err *err);

struct net_neigh {
	uint16_t state; /* NUD_*; 0: there is no entry */
	bool has_mac;	/* it can be sent to */
	uint8_t mac[6];
};

/*
 * net_way_neigh() looks a neighbour up in the kernel's table; one that is not there is no error.
 * net_way_ask() has the kernel ask for it, or ask again if what it knows is old. errors: -EPERM
 */
int net_way_neigh(struct net_nl *nl, int index, const struct net_addr *addr, struct net_neigh *neigh,
		  struct sluice_err *err);
int net_way_ask(struct net_nl *nl, int index, const struct net_addr *addr, struct sluice_err *err);

/* A notification. */
struct net_way_event {
	enum {
		NET_WAY_NEIGH,	/* index, addr, neigh */
		NET_WAY_ROUTES, /* routes, rules or next hops */
		NET_WAY_LINK,	/* index */
		NET_WAY_LOST,	/* some were: everything may be different */
	} what;
	int index;
	struct net_addr addr;
	struct net_neigh neigh;
};

/*
 * net_way_watch() opens a socket of notifications, non-blocking; closed by net_nl_close().
 * net_way_read() reads what is there, and calls each for every notification. errors: -EIO the socket is broken
 */
int net_way_watch(struct net_nl *nl, struct sluice_err *err);
int net_way_read(struct net_nl *nl, void (*each)(void *arg, const struct net_way_event *e), void *arg,
		 struct sluice_err *err);

#endif
