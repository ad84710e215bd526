/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel knows about one interface: its facts and its counters. */
#ifndef NET_DEV_H
#define NET_DEV_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>
#include "net/nl.h"

struct net_dev_stats {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, tx_errors;
};

struct net_dev {
	int index;
	char name[16];
	char kind[16]; /* "veth", "bridge"; "" for hardware */
	uint8_t mac[6];
	bool has_mac; /* Ethernet */
	unsigned int flags; /* IFF_UP... */
	uint32_t mtu;
	int link;	/* the interface below, or a veth's peer; 0 if none */
	int link_netns; /* the kernel's id of the namespace that link is in; -1: this one */
	int master;	/* bridge or bond this one belongs to; 0 if none */
	struct net_dev_stats stats;
};

/*
 * net_dev_read() reads one interface of the namespace that nl was opened in; by index, or by name if index is 0.
 * net_dev_read_in() reads one of another namespace, by the kernel's id as in net_dev.link_netns.
 *
 * errors:  -ENODEV no such interface, -EPERM the other namespace is not ours
 */
int net_dev_read(struct net_nl *nl, int index, const char *name, struct net_dev *dev, struct sluice_err *err);
int net_dev_read_in(struct net_nl *nl, int netns_id, int index, struct net_dev *dev, struct sluice_err *err);

/*
 * net_dev_xdp_xmit() asks whether the driver takes frames that XDP redirects to the interface: 1 yes, 0 no,
 * negative if this kernel (before 6.3) does not tell.
 */
int net_dev_xdp_xmit(int index);

#endif
