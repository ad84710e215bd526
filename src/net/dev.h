/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One interface by name or index: its facts (net/ifinfo.h), MAC address and counters. */
#ifndef NET_DEV_H
#define NET_DEV_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>
#include "net/ifinfo.h"

struct net_dev_stats {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, tx_errors;
};

struct net_dev {
	struct net_ifinfo info;
	uint8_t mac[6];
	bool has_mac; /* Ethernet */
	struct net_dev_stats stats;
};

/*
 * net_dev_read() reads one interface of the namespace that nl was opened in; by index, or by name if index is 0.
 * net_dev_read_in() reads one of another namespace, by the kernel's id as in net_ifinfo.lower_nsid.
 *
 * errors:  -ENODEV no such interface, -EPERM the other namespace is not ours
 */
int net_dev_read(struct net_nl *nl, int index, const char *name, struct net_dev *dev, struct sluice_err *err);
int net_dev_read_in(struct net_nl *nl, int netns_id, int index, struct net_dev *dev, struct sluice_err *err);

#endif
