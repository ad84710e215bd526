// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The network of this host, asked for by netlink: four dumps. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/lwtunnel.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "net/nl.h"
#include "vm/fib.h"

#define ETHERNET_HEAD 14
#define GOOD (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

struct dump {
	struct fib *fib;
	bool full; /* no memory for more */
};

static bool u32_of(const struct nlattr *a, uint32_t *to)
{
	if (mnl_attr_get_payload_len(a) < sizeof(*to))
		return false;
	memcpy(to, mnl_attr_get_payload(a), sizeof(*to));
	return true;
}

static bool addr_of(const struct nlattr *a, bool v6, struct net_addr *to)
{
	*to = (struct net_addr){.v6 = v6};
	if (mnl_attr_get_payload_len(a) != (v6 ? 16 : 4))
		return false;
	memcpy(to->bytes, mnl_attr_get_payload(a), v6 ? 16 : 4);
	return true;
}

/* An array of settings, the first of which may be whether it forwards. */
static void forwards(const struct nlattr *conf, size_t at, bool *to)
{
	int32_t v;

	if (mnl_attr_get_payload_len(conf) < (at + 1) * sizeof(v))
		return;
	memcpy(&v, (const char *)mnl_attr_get_payload(conf) + at * sizeof(v), sizeof(v));
	*to = v != 0;
}

/* IPv4 counts its settings from 1, IPv6 from 0. */
static void settings(const struct nlattr *spec, struct fib_link *link)
{
	const struct nlattr *family, *a;

	mnl_attr_for_each_nested(family, spec)
	{
		bool v6 = mnl_attr_get_type(family) == AF_INET6;

		if (!v6 && mnl_attr_get_type(family) != AF_INET)
			continue;
		mnl_attr_for_each_nested(a, family)
		{
			if (mnl_attr_get_type(a) == (v6 ? IFLA_INET6_CONF : IFLA_INET_CONF))
				forwards(a, v6 ? DEVCONF_FORWARDING : IPV4_DEVCONF_FORWARDING - 1,
					 &link->forwards[v6]);
		}
	}
}

static int read_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);
	struct fib_link link = {.mtu = 1500};
	struct dump *d = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return MNL_CB_OK;
	link.index = (uint32_t)m->ifi_index;
	link.head = m->ifi_type == ARPHRD_ETHER || m->ifi_type == ARPHRD_LOOPBACK ? ETHERNET_HEAD : 0;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_MTU:
			u32_of(a, &link.mtu);
			break;
		case IFLA_IFNAME:
			strncpy(link.name, mnl_attr_get_str(a), sizeof(link.name) - 1);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(a) == sizeof(link.mac))
				memcpy(link.mac, mnl_attr_get_payload(a), sizeof(link.mac));
			break;
		case IFLA_AF_SPEC:
			settings(a, &link);
			break;
		}
	}
	d->full |= !fib_link_add(d->fib, &link);
	return MNL_CB_OK;
}

static int read_addr(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	struct fib_addr addr = {.index = 0};
	bool has = false, v6;
	struct dump *d = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return MNL_CB_OK;
	v6 = m->ifa_family == AF_INET6;
	addr.index = m->ifa_index;
	addr.plen = m->ifa_prefixlen <= (v6 ? 128 : 32) ? m->ifa_prefixlen : 0;
	addr.scope = m->ifa_scope;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == IFA_LOCAL || (mnl_attr_get_type(a) == IFA_ADDRESS && !has))
			has = addr_of(a, v6, &addr.addr);
	}
	d->full |= has && !fib_addr_add(d->fib, &addr);
	return MNL_CB_OK;
}

static bool gateway(const struct nlattr *a, bool v6, struct fib_hop *hop)
{
	struct rtvia via;

	if (mnl_attr_get_type(a) == RTA_GATEWAY)
		return addr_of(a, v6, &hop->via);
	if (mnl_attr_get_type(a) != RTA_VIA || mnl_attr_get_payload_len(a) < sizeof(via))
		return false;
	memcpy(&via, mnl_attr_get_payload(a), sizeof(via));
	if (via.rtvia_family != AF_INET6 || mnl_attr_get_payload_len(a) < sizeof(via) + 16)
		return false;
	hop->via = (struct net_addr){.v6 = true};
	memcpy(hop->via.bytes, (const char *)mnl_attr_get_payload(a) + sizeof(via), 16);
	return true;
}

static void hop_attr(const struct nlattr *a, bool v6, struct fib_hop *hop)
{
	uint16_t type = mnl_attr_get_type(a);

	if (type == RTA_OIF)
		u32_of(a, &hop->index);
	else if (type == RTA_GATEWAY || type == RTA_VIA)
		hop->has_via |= gateway(a, v6, hop);
	else if (type == RTA_ENCAP_TYPE)
		hop->encap = true;
}

static void read_hops(const struct nlattr *multipath, bool v6, struct dump *d)
{
	const char *at = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);
	const struct nlattr *a;
	struct rtnexthop h;
	int inner;

	while (left >= sizeof(h)) {
		struct fib_hop hop = {.weight = 1};

		memcpy(&h, at, sizeof(h));
		if (h.rtnh_len < sizeof(h) || h.rtnh_len > left)
			break;
		hop.index = (uint32_t)h.rtnh_ifindex;
		hop.weight = h.rtnh_hops + 1u;
		hop.dead = h.rtnh_flags & RTNH_F_DEAD;
		inner = (int)h.rtnh_len - (int)sizeof(h);
		for (a = (const void *)(at + sizeof(h)); mnl_attr_ok(a, inner); a = mnl_attr_next(a)) {
			hop_attr(a, v6, &hop);
			inner -= (int)MNL_ALIGN(a->nla_len);
		}
		d->full |= !fib_hop_add(d->fib, &hop);
		if ((size_t)RTNH_ALIGN(h.rtnh_len) >= left)
			break;
		left -= RTNH_ALIGN(h.rtnh_len);
		at += RTNH_ALIGN(h.rtnh_len);
	}
}

/* Only a locked MTU counts: RTAX_LOCK has a bit for each metric. */
static uint32_t locked_mtu(const struct nlattr *metrics)
{
	uint32_t lock = 0, mtu = 0;
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, metrics)
	{
		if (mnl_attr_get_type(a) == RTAX_LOCK)
			u32_of(a, &lock);
		else if (mnl_attr_get_type(a) == RTAX_MTU)
			u32_of(a, &mtu);
	}
	return lock & 1u << RTAX_MTU ? mtu : 0;
}

static int read_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *multipath = NULL;
	struct fib_hop hop = {.weight = 1};
	struct fib_route r = {.plen = 0};
	struct dump *d = data;
	bool v6;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    m->rtm_flags & RTM_F_CLONED || (m->rtm_family != AF_INET && m->rtm_family != AF_INET6) ||
	    m->rtm_dst_len > (m->rtm_family == AF_INET6 ? 128 : 32))
		return MNL_CB_OK;
	v6 = m->rtm_family == AF_INET6;
	r = (struct fib_route){.dst.v6 = v6,
			       .plen = m->rtm_dst_len,
			       .type = m->rtm_type,
			       .tos = m->rtm_tos,
			       .scope = m->rtm_scope,
			       .table = m->rtm_table};
	hop.dead = m->rtm_flags & RTNH_F_DEAD;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		switch (mnl_attr_get_type(a)) {
		case RTA_DST:
			addr_of(a, v6, &r.dst);
			break;
		case RTA_TABLE:
			u32_of(a, &r.table);
			break;
		case RTA_PRIORITY:
			u32_of(a, &r.metric);
			break;
		case RTA_PREFSRC:
			r.has_src = addr_of(a, v6, &r.src);
			break;
		case RTA_METRICS:
			r.mtu = locked_mtu(a);
			break;
		case RTA_MULTIPATH:
			multipath = a;
			break;
		default:
			hop_attr(a, v6, &hop);
		}
	}
	d->full |= !fib_route_add(d->fib, &r);
	if (!d->full && multipath)
		read_hops(multipath, v6, d);
	else if (!d->full && hop.index)
		d->full |= !fib_hop_add(d->fib, &hop);
	return MNL_CB_OK;
}

static int read_neigh(const struct nlmsghdr *nlh, void *data)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(nlh);
	struct fib_neigh n = {.index = 0};
	bool has = false, mac = false;
	struct dump *d = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    (m->ndm_family != AF_INET && m->ndm_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == NDA_DST)
			has = addr_of(a, m->ndm_family == AF_INET6, &n.addr);
		if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == sizeof(n.mac)) {
			memcpy(n.mac, mnl_attr_get_payload(a), sizeof(n.mac));
			mac = true;
		}
	}
	n.index = (uint32_t)m->ndm_ifindex;
	n.valid = mac && m->ndm_state & GOOD;
	d->full |= has && !fib_neigh_add(d->fib, &n);
	return MNL_CB_OK;
}

/* Interfaces come without family, the rest of both. */
static int ask(struct net_nl *nl, uint16_t type, size_t head, mnl_cb_t each, struct dump *d,
	       struct sluice_err *err)
{
	struct net_nl_msg msg;

	net_nl_begin(&msg, type, NLM_F_DUMP, head);
	return net_nl_ask(nl, &msg, each, d, err);
}

int fib_dump_host(struct fib *fib, struct sluice_err *err)
{
	struct dump d = {.fib = fib};
	struct net_nl nl;
	int e = net_nl_open(&nl, NETLINK_ROUTE, err);

	if (!e)
		e = ask(&nl, RTM_GETLINK, sizeof(struct ifinfomsg), read_link, &d, err);
	if (!e)
		e = ask(&nl, RTM_GETADDR, sizeof(struct ifaddrmsg), read_addr, &d, err);
	if (!e)
		e = ask(&nl, RTM_GETROUTE, sizeof(struct rtmsg), read_route, &d, err);
	if (!e)
		e = ask(&nl, RTM_GETNEIGH, sizeof(struct ndmsg), read_neigh, &d, err);
	net_nl_close(&nl);
	return e ? err_prefix(err, "reading the host's network") : d.full ? err_nomem(err) : 0;
}
