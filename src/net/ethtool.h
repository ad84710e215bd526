/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the ethtool ioctl tells and changes about an interface. fd is any inet socket of its network namespace. */
#ifndef NET_ETHTOOL_H
#define NET_ETHTOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/ethtool.h>
#include <sluice/err.h>

/*
 * net_ethtool_get() reads a number (ETHTOOL_GGRO, ETHTOOL_GFLAGS, ...), net_ethtool_set() writes one.
 *
 * errors:  -ENODEV no such interface, -EOPNOTSUPP the driver has no such knob, -EPERM CAP_NET_ADMIN is missing
 */
int net_ethtool_get(int fd, const char *ifname, uint32_t cmd, uint32_t *value, struct sluice_err *err);
int net_ethtool_set(int fd, const char *ifname, uint32_t cmd, uint32_t value, struct sluice_err *err);

/* Driver name, version and bus address. */
int net_ethtool_driver(int fd, const char *ifname, struct ethtool_drvinfo *info, struct sluice_err *err);

/* Numbers of queues, as set now and as the driver allows. */
int net_ethtool_channels(int fd, const char *ifname, struct ethtool_channels *ch, struct sluice_err *err);

/* net_ethtool_feature() tells whether a named feature ("rx-gro-hw") is on; -ENOENT if this kernel has none of that name. */
int net_ethtool_feature(int fd, const char *ifname, const char *feature, bool *on, struct sluice_err *err);

#endif
