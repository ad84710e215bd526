// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ways and neighbours by rtnetlink, and its notifications. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "net/way.h"

#define CAN_SEND (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)
/* Notifications of a few thousand neighbours may come at once; what is lost costs a look at everything. */
#define RECEIVE_BYTES (1 << 20)

#ifndef RTNLGRP_NEXTHOP
#define RTNLGRP_NEXTHOP 32
#endif

static bool take_addr(const struct nlattr *a, bool v6, struct net_addr *to)
{
	if (mnl_attr_get_payload_len(a) != (v6 ? 16 : 4))
		return false;
	*to = (struct net_addr){.v6 = v6};
	memcpy(to->bytes, mnl_attr_get_payload(a), v6 ? 16 : 4);
	return true;
}

/* RFC 5549: a router of the other family. */
static bool take_via(const struct nlattr *a, struct net_addr *to)
{
	const struct rtvia *via = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);
	bool v6;

	if (len < sizeof(*via))
		return false;
	v6 = via->rtvia_family == AF_INET6;
	if (len != sizeof(*via) + (v6 ? 16 : 4))
		return false;
	*to = (struct net_addr){.v6 = v6};
	memcpy(to->bytes, via->rtvia_addr, v6 ? 16 : 4);
	return true;
}

static uint32_t mtu_of(const struct nlattr *metrics)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, metrics)
	{
		if (mnl_attr_get_type(a) == RTAX_MTU && mnl_attr_get_payload_len(a) == 4)
			return mnl_attr_get_u32(a);
	}
	return 0;
}

static int read_way(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(nlh);
	struct net_way *w = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*r))
		return MNL_CB_OK;
	w->type = r->rtm_type;
	mnl_attr_for_each(a, nlh, sizeof(*r))
	{
		switch (mnl_attr_get_type(a)) {
		case RTA_GATEWAY:
			w->has_router |= take_addr(a, r->rtm_family == AF_INET6, &w->via);
			break;
		case RTA_VIA:
			w->has_router |= take_via(a, &w->via);
			break;
		case RTA_OIF:
			if (mnl_attr_get_payload_len(a) == 4)
				w->index = (int)mnl_attr_get_u32(a);
			break;
		case RTA_METRICS:
			w->mtu = mtu_of(a);
			break;
		}
	}
	return MNL_CB_OK;
}

int net_way_route(struct net_nl *nl, const struct net_addr *dst, struct net_way *way, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct rtmsg *r = net_nl_begin(&msg, RTM_GETROUTE, 0, sizeof(*r));
	int e;

	*way = (struct net_way){.via = *dst};
	r->rtm_family = dst->v6 ? AF_INET6 : AF_INET;
	r->rtm_dst_len = dst->v6 ? 128 : 32;
	mnl_attr_put(msg.head, RTA_DST, dst->v6 ? 16 : 4, dst->bytes);
	e = net_nl_ask(nl, &msg, read_way, way, err);
	/* as the kernel tells types of routes that lead nowhere: fib_props of fib_semantics.c */
	if (e == -EHOSTUNREACH || e == -EACCES || e == -EINVAL || e == -ESRCH || e == -EAFNOSUPPORT)
		e = -ENETUNREACH;
	if (!e && (!way->index || (way->type != RTN_UNICAST && way->type != RTN_LOCAL)))
		e = -ENETUNREACH;
	return e == -ENETUNREACH ? err_set(err, e, "there is no route") : e;
}

static void take_neigh(const struct nlmsghdr *nlh, struct net_neigh *n, struct net_addr *dst)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	*n = (struct net_neigh){.state = m->ndm_state};
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == NDA_DST && dst)
			take_addr(a, m->ndm_family == AF_INET6, dst);
		if (mnl_attr_get_type(a) != NDA_LLADDR || mnl_attr_get_payload_len(a) != 6)
			continue;
		memcpy(n->mac, mnl_attr_get_payload(a), 6);
		n->has_mac = m->ndm_state & CAN_SEND;
	}
}

static int read_neigh(const struct nlmsghdr *nlh, void *data)
{
	if (nlh->nlmsg_type == RTM_NEWNEIGH && mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct ndmsg))
		take_neigh(nlh, data, NULL);
	return MNL_CB_OK;
}

static struct ndmsg *about(struct net_nl_msg *msg, uint16_t type, uint16_t flags, int index,
			   const struct net_addr *addr)
{
	struct ndmsg *m = net_nl_begin(msg, type, flags, sizeof(*m));

	m->ndm_family = addr->v6 ? AF_INET6 : AF_INET;
	m->ndm_ifindex = index;
	mnl_attr_put(msg->head, NDA_DST, addr->v6 ? 16 : 4, addr->bytes);
	return m;
}

int net_way_neigh(struct net_nl *nl, int index, const struct net_addr *addr, struct net_neigh *neigh,
		  struct sluice_err *err)
{
	struct net_nl_msg msg;
	int e;

	*neigh = (struct net_neigh){0};
	about(&msg, RTM_GETNEIGH, 0, index, addr);
	e = net_nl_ask(nl, &msg, read_neigh, neigh, err);
	return e == -ENOENT || e == -ENODEV ? 0 : e;
}

int net_way_ask(struct net_nl *nl, int index, const struct net_addr *addr, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ndmsg *m = about(&msg, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index, addr);

	m->ndm_flags = NTF_USE;
	return net_nl_ask(nl, &msg, NULL, NULL, err);
}

int net_way_watch(struct net_nl *nl, struct sluice_err *err)
{
	static const unsigned int groups[] = {RTNLGRP_NEIGH,	  RTNLGRP_LINK,	     RTNLGRP_IPV4_ROUTE,
					      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
					      RTNLGRP_NEXTHOP};
	int bytes = RECEIVE_BYTES;
	size_t i;

	*nl = (struct net_nl){.sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK)};
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(err, -errno, "cannot open a netlink socket: %s", strerror(errno));
	if (setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	for (i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		int group = (int)groups[i];

		/* a kernel without IPv6 or next hop objects has no such group, and nothing to tell of it */
		if (mnl_socket_setsockopt(nl->sock, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 &&
		    i < 3)
			return err_set(err, -errno, "cannot ask netlink for notifications: %s",
				       strerror(errno));
	}
	return 0;
}

static bool event_of(const struct nlmsghdr *h, struct net_way_event *e)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);

	*e = (struct net_way_event){.what = NET_WAY_ROUTES};
	switch (h->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		/* what bridges learn comes in the same way */
		if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
		    (m->ndm_family != AF_INET && m->ndm_family != AF_INET6))
			return false;
		e->what = NET_WAY_NEIGH;
		e->index = m->ndm_ifindex;
		take_neigh(h, &e->neigh, &e->addr);
		if (h->nlmsg_type == RTM_DELNEIGH)
			e->neigh = (struct net_neigh){0};
		return true;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (mnl_nlmsg_get_payload_len(h) < sizeof(struct ifinfomsg))
			return false;
		e->what = NET_WAY_LINK;
		e->index = ((const struct ifinfomsg *)mnl_nlmsg_get_payload(h))->ifi_index;
		return true;
	default:
		return true;
	}
}

int net_way_read(struct net_nl *nl, void (*each)(void *arg, const struct net_way_event *e), void *arg,
		 struct sluice_err *err)
{
	_Alignas(8) char bytes[32768];
	const struct nlmsghdr *h;
	struct net_way_event e;
	ssize_t n;
	int left;

	for (;;) {
		n = mnl_socket_recvfrom(nl->sock, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
			e = (struct net_way_event){.what = NET_WAY_LOST};
			each(arg, &e);
			continue;
		}
		if (n <= 0)
			return err_set(err, -EIO, "reading netlink's notifications: %s",
				       n ? strerror(errno) : "no more come");
		left = (int)n;
		for (h = (const void *)bytes; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			if (h->nlmsg_type >= NLMSG_MIN_TYPE && event_of(h, &e))
				each(arg, &e);
	}
}
