/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Facts about an interface that matter to XDP, from rtnetlink and the netdev family of generic netlink. Reads only. */
#ifndef NET_IFINFO_H
#define NET_IFINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/nl.h"

struct net_ifinfo {
	int index;
	char name[16];
	char kind[16];	    /* "veth", "bridge", "vlan"...; "" for a piece of hardware */
	char port_kind[16]; /* of what its master makes of it: "bridge", "bond"; "" without master */
	uint32_t flags;	    /* IFF_* */
	uint32_t mtu;
	uint32_t n_rx, n_tx; /* queues it was made with */
	int master;	     /* bridge or bond it is a port of, 0: none */
	int lower;	     /* what it stands on: VLAN's device, veth's peer; 0: none */
	int lower_nsid;	     /* network namespace of that, as this one numbers it; -1: this one */
	uint16_t vlan;	     /* its id, of kind "vlan" */
	bool is_loopback;
	uint32_t xdp_id
		[3]; /* programs attached: driver (native), skb (generic), hardware (offload); 0: none */
};

/* net_ifinfo_parse() reads an RTM_NEWLINK message; -EBADMSG if it is not one, or cut short. */
int net_ifinfo_parse(const struct nlmsghdr *nlh, struct net_ifinfo *info);

/*
 * net_ifinfo_read() asks about one interface, in the namespace numbered nsid (-1: the socket's own).
 *
 * errors:  -ENODEV no such interface, -EPERM or -EACCES the other namespace is not ours to look into
 */
int net_ifinfo_read(struct net_nl *route, int index, int nsid, struct net_ifinfo *info,
		    struct sluice_err *err);

/* net_ifinfo_all() lists every interface of the namespace; the caller frees *all with free(). */
int net_ifinfo_all(struct net_nl *route, struct net_ifinfo **all, size_t *n, struct sluice_err *err);

/* net_nsid_of() is the number the socket's namespace has for the one open as netns_fd; -ENOENT if it has none. */
int net_nsid_of(struct net_nl *route, int netns_fd, int *nsid, struct sluice_err *err);

/* What a driver says it can do (the kernel's NETDEV_XDP_ACT_*). */
#define NET_XDP_BASIC (1u << 0)	   /* native mode: pass, drop, tx */
#define NET_XDP_REDIRECT (1u << 1) /* native mode: redirect from here */
#define NET_XDP_TARGET (1u << 2)   /* redirect to here, as things stand now */
#define NET_XDP_ZEROCOPY (1u << 3) /* AF_XDP without copying */
#define NET_XDP_OFFLOAD (1u << 4)  /* programs run on the card */
#define NET_XDP_FRAGS (1u << 5)	   /* native mode: frames in several buffers */
#define NET_XDP_TARGET_FRAGS (1u << 6)

/* net_xdp_features() asks the driver; -EOPNOTSUPP if the kernel does not tell (before 6.3), genl is NETLINK_GENERIC. */
int net_xdp_features(struct net_nl *genl, int index, uint64_t *features, struct sluice_err *err);

#endif
