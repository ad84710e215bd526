/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the generator needs of the host: other network namespaces, counters, and a program the kernel keeps at hand. */
#ifndef PORT_TRAFFIC_HOST_H
#define PORT_TRAFFIC_HOST_H

#include <sluice/err.h>
#include "net/dev.h"
#include "net/nl.h"

/*
 * A program held in the kernel's XDP dispatcher. Every BPF_PROG_TEST_RUN that repeats puts its program into the
 * dispatcher and takes it out again, 24 ms of waiting for RCU (Linux 6.18, 2 CPUs); 13 us if it is there already.
 * Attached to the loopback interface of a private network namespace it stays there and meets no packet.
 */
struct traffic_hold {
	int netns, link;
};

/* traffic_hold_open() is a matter of speed alone: without CAP_SYS_ADMIN it fails, and the generator goes on. */
int traffic_hold_open(struct traffic_hold *hold, int prog_fd);
void traffic_hold_close(struct traffic_hold *hold);

/* The interface that receives, in its own network namespace. */
struct traffic_peer {
	struct net_nl nl;
	int index;
	uint64_t rx_packets; /* at the time of opening */
};

/*
 * traffic_peer_open() finds [NETNS/]INTERFACE, where NETNS is a name as of `ip netns` or the path of a namespace.
 *
 * owns:    the caller closes with traffic_peer_close(), also after a failure
 * errors:  -ENOENT no such namespace, -ENODEV no such interface, -EPERM
 */
int traffic_peer_open(struct traffic_peer *peer, const char *name, struct sluice_err *err);
void traffic_peer_close(struct traffic_peer *peer);

/*
 * traffic_peer_received() says how many packets came since opening; it waits until that is expect, or has not
 * changed for a tenth of a second, or a second is over.
 */
int traffic_peer_received(struct traffic_peer *peer, uint64_t expect, uint64_t *received,
			  struct sluice_err *err);

#endif
