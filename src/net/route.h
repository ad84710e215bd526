/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where packets of this host go: default routes, next hops, neighbours, own addresses. */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>
#include "net/addr.h"
#include "net/dev.h"
#include "net/nl.h"

/*
 * net_route_default_via() tells whether a default route of the host (IPv4 or IPv6, any table, also as two halves)
 * leaves through the interface: itself, through a bridge or bond it belongs to, or through an interface on top of it.
 *
 * out:     *via  the interface that carries the route, 0 if none does
 */
int net_route_default_via(struct net_nl *nl, int index, int *via, struct sluice_err *err);

/*
 * net_route_to() asks the tables where a packet to dst would leave.
 *
 * in:      src    an address of this host that it would come from, NULL: any
 * out:     *index the interface (of an address of this host: the loopback), *hop  the neighbour it would go to
 * errors:  -ENOENT there is no route
 */
int net_route_to(struct net_nl *nl, const struct net_addr *dst, const struct net_addr *src, int *index,
		 struct net_addr *hop, struct sluice_err *err);

/*
 * net_route_goes_over() tells whether what leaves through interface upper goes over interface index: that is the
 * same, its bridge or bond, or what it stands on (VLAN, macvlan, a tunnel that names its device).
 */
bool net_route_goes_over(struct net_nl *nl, int upper, int index);

/*
 * net_route_tunnel() finds the tunnel that what leaves through interface upper goes into: that is the same, or what it
 * stands on (VLAN, macvlan). What is beneath sees the tunnel's packets, and not those that are in them. Of a bridge, its
 * ports are not looked at.
 */
bool net_route_tunnel(struct net_nl *nl, int upper, struct net_dev *tunnel);

/* net_route_own_addr() finds an address of the interface; -ENOENT if it has none of the family. */
int net_route_own_addr(struct net_nl *nl, int index, bool v6, struct net_addr *addr, struct sluice_err *err);

/*
 * net_route_mac() finds the MAC address that packets to dst carry on the interface: of a multicast group, or of the
 * next hop, which is asked for (ARP, neighbour discovery) for at most wait_ms if the kernel does not know it.
 *
 * errors:  -ENOENT nobody answers, or there is no route to dst on the interface; -EPERM
 */
int net_route_mac(struct net_nl *nl, int index, const struct net_addr *dst, unsigned int wait_ms,
		  uint8_t mac[6], struct sluice_err *err);

#endif
