/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The links of a lab, by rtnetlink: what `ip link`, `ip addr`, `ip route`, `ip neigh` and `ethtool -K` would do. */
#ifndef LAB_LINK_H
#define LAB_LINK_H

#include <stdint.h>

#include "lab/lab.h"
#include "net/nl.h"

/* Sockets of one namespace, usable from anywhere once open. */
struct lab_door {
	struct net_nl nl;
	int inet;  /* for ethtool and interface numbers */
	int netns; /* the namespace itself */
};

/* lab_door_open() opens the sockets in the namespace the calling thread is in; close it also after a failure. */
int lab_door_open(struct lab_door *door, struct sluice_err *err);
void lab_door_close(struct lab_door *door);

/* lab_link_up() switches an interface on: lo, mostly. */
int lab_link_up(struct lab_door *door, const char *ifname, struct sluice_err *err);

/*
 * lab_link_join() makes link i between the box and host i and everything that belongs to it: both ends up, addresses,
 * neighbours, the host's routes to all other hosts.
 */
int lab_link_join(const struct lab *lab, uint32_t i, struct lab_door *box, struct lab_door *host,
		  struct sluice_err *err);

/*
 * lab_link_pass() puts a program that passes everything on a host's eth0. The kernel wakes the receiver of an XDP_TX
 * only if a program is there; GRO, which is enough for redirected frames, is not (6.18: veth_xdp_flush).
 */
int lab_link_pass(struct lab_door *host, struct sluice_err *err);

/* lab_links_remove() deletes every link that lab_link_join() made in this box, in one stroke. */
int lab_links_remove(struct lab_door *box, struct sluice_err *err);

#endif
