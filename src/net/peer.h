/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other end of a veth, also if it is in another network namespace. */
#ifndef NET_PEER_H
#define NET_PEER_H

#include "net/ifinfo.h"

/*
 * net_peer_feature() asks whether a feature ("rx-gro") of the other end of a veth is on.
 *
 * in:      veth  as net_ifinfo_read() tells of it
 * out:     name  of the other end, "" if that is not known
 * errors:  -ENOENT it is out of sight: it is in a namespace without a name in /run/netns; of net_ethtool_feature(), setns(2)
 */
int net_peer_feature(struct net_nl *route, const struct net_ifinfo *veth, const char *feature, char name[16], bool *on,
		     struct sluice_err *err);

#endif
