// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where packets of this host go. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "net/ifinfo.h"
#include "net/route.h"

#define VIA_MAX 64 /* interfaces that carry a default route: more than that is not looked at one by one */

struct defaults {
	int via[VIA_MAX];
	size_t n;
	bool overflow;
};

static void add_via(struct defaults *d, int index)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->via[i] == index)
			return;
	if (d->n == VIA_MAX)
		d->overflow = true;
	else
		d->via[d->n++] = index;
}

static void add_hops(struct defaults *d, const struct nlattr *multipath)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left) {
		size_t step = RTNH_ALIGN(hop->rtnh_len);

		add_via(d, hop->rtnh_ifindex);
		left -= step < left ? step : left;
		hop = (const void *)((const char *)hop + step);
	}
}

/* A length of 1 is a default route in two halves, as VPN clients write it. */
static int read_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*r) ||
	    r->rtm_dst_len > 1 || r->rtm_type != RTN_UNICAST || (r->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*r)) {
		if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4)
			add_via(data, (int)mnl_attr_get_u32(a));
		else if (mnl_attr_get_type(a) == RTA_MULTIPATH)
			add_hops(data, a);
	}
	return MNL_CB_OK;
}

bool net_route_goes_over(struct net_nl *nl, int upper, int index)
{
	struct net_ifinfo info;
	int at = upper, steps;

	for (steps = 0; at && steps < 8; steps++) {
		if (at == index)
			return true;
		if (net_ifinfo_read(nl, at, -1, &info, NULL) || info.lower_nsid >= 0 ||
		    !strcmp(info.kind, "veth"))
			break;
		at = info.lower;
	}
	for (at = index, steps = 0; at && steps < 8; steps++) {
		if (net_ifinfo_read(nl, at, -1, &info, NULL))
			break;
		at = info.master;
		if (at == upper)
			return true;
	}
	return false;
}

static bool is_one_of(const char *kind, const char *const *kinds, size_t n)
{
	while (n--)
		if (!strcmp(kind, kinds[n]))
			return true;
	return false;
}

/* What has no Ethernet and is made by software is one (WireGuard, IPIP, GRE, tun, PPP, XFRM), but for a few. */
static bool is_tunnel(const struct net_dev *dev)
{
	static const char *const ethernet[] = {"vxlan",	    "geneve", "gretap", "ip6gretap", "erspan",
					       "ip6erspan", "tun",    "macsec", "batadv"};
	static const char *const others[] = {"ipoib", "bond", "team", "wwan", "rmnet", "netkit"};
	const char *kind = dev->info.kind;

	if (dev->has_mac)
		return is_one_of(kind, ethernet, sizeof(ethernet) / sizeof(*ethernet));
	return kind[0] && !dev->info.is_loopback &&
	       !is_one_of(kind, others, sizeof(others) / sizeof(*others));
}

bool net_route_tunnel(struct net_nl *nl, int upper, struct net_dev *tunnel)
{
	int at = upper, steps;

	for (steps = 0; at && steps < 8; steps++) {
		if (net_dev_read(nl, at, NULL, tunnel, NULL))
			break;
		if (is_tunnel(tunnel))
			return true;
		if (tunnel->info.lower_nsid >= 0 || !strcmp(tunnel->info.kind, "veth"))
			break;
		at = tunnel->info.lower;
	}
	return false;
}

int net_route_default_via(struct net_nl *nl, int index, int *via, struct sluice_err *err)
{
	static const unsigned char families[] = {AF_INET, AF_INET6};
	struct defaults d = {.n = 0};
	struct net_nl_msg msg;
	struct rtmsg *r;
	size_t i;
	int e;

	*via = 0;
	for (i = 0; i < 2; i++) {
		r = net_nl_begin(&msg, RTM_GETROUTE, NLM_F_DUMP, sizeof(*r));
		r->rtm_family = families[i];
		e = net_nl_ask(nl, &msg, read_route, &d, err);
		if (e == -EAFNOSUPPORT || e == -EOPNOTSUPP) /* a kernel without IPv6 */
			continue;
		if (e)
			return err_prefix(err, "reading the routes");
	}
	for (i = 0; i < d.n && !*via; i++)
		if (net_route_goes_over(nl, d.via[i], index))
			*via = d.via[i];
	if (!*via && d.overflow)
		*via = index;
	return 0;
}

struct found {
	int index;
	bool v6, hit;
	struct net_addr addr;
	uint8_t mac[6];
};

static void take_addr(struct net_addr *to, bool v6, const struct nlattr *a)
{
	*to = (struct net_addr){.v6 = v6};
	if (mnl_attr_get_payload_len(a) == (v6 ? 16 : 4))
		memcpy(to->bytes, mnl_attr_get_payload(a), v6 ? 16 : 4);
}

/* The first address wins, but one of wide scope over a link-local one. */
static int read_addr(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *addr = NULL;
	struct found *f = data;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    (int)m->ifa_index != f->index || m->ifa_family != (f->v6 ? AF_INET6 : AF_INET) ||
	    (f->hit && m->ifa_scope == RT_SCOPE_LINK))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == IFA_LOCAL || (mnl_attr_get_type(a) == IFA_ADDRESS && !addr))
			addr = a;
	if (addr && (!f->hit || (f->v6 && f->addr.bytes[0] == 0xfe))) {
		take_addr(&f->addr, f->v6, addr);
		f->hit = true;
	}
	return MNL_CB_OK;
}

int net_route_own_addr(struct net_nl *nl, int index, bool v6, struct net_addr *addr, struct sluice_err *err)
{
	struct found f = {.index = index, .v6 = v6};
	struct net_nl_msg msg;
	struct ifaddrmsg *m = net_nl_begin(&msg, RTM_GETADDR, NLM_F_DUMP, sizeof(*m));
	int e;

	m->ifa_family = v6 ? AF_INET6 : AF_INET;
	e = net_nl_ask(nl, &msg, read_addr, &f, err);
	if (e)
		return err_prefix(err, "reading the addresses");
	if (!f.hit)
		return err_set(err, -ENOENT, "the interface has no %s address", v6 ? "IPv6" : "IPv4");
	*addr = f.addr;
	return 0;
}

static int read_hop(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(nlh);
	struct found *f = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*r))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*r)) {
		if (mnl_attr_get_type(a) == RTA_GATEWAY)
			take_addr(&f->addr, f->v6, a);
		if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4)
			f->hit = (int)mnl_attr_get_u32(a) == f->index;
	}
	return MNL_CB_OK;
}

static int read_neigh(const struct nlmsghdr *nlh, void *data)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(nlh);
	struct found *f = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    !(m->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == 6) {
			memcpy(f->mac, mnl_attr_get_payload(a), 6);
			f->hit = true;
		}
	return MNL_CB_OK;
}

/* One request about a neighbour: looking it up, or starting to ask for it. */
static int neigh(struct net_nl *nl, bool start, struct found *f, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ndmsg *m = net_nl_begin(&msg, start ? RTM_NEWNEIGH : RTM_GETNEIGH,
		start ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*m));

	m->ndm_family = f->v6 ? AF_INET6 : AF_INET;
	m->ndm_ifindex = f->index;
	if (start)
		m->ndm_flags = NTF_USE;
	mnl_attr_put(msg.head, NDA_DST, f->v6 ? 16 : 4, f->addr.bytes);
	return net_nl_ask(nl, &msg, start ? NULL : read_neigh, f, err);
}

static void multicast_mac(const struct net_addr *a, uint8_t mac[6])
{
	static const uint8_t v4[3] = {0x01, 0x00, 0x5e};

	if (a->v6) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, a->bytes + 12, 4);
	} else {
		memcpy(mac, v4, 3);
		memcpy(mac + 3, a->bytes + 1, 3);
		mac[3] &= 0x7f;
	}
}

/*
 * The next hop to dst into f->addr. The route must be in the tables: asked for one interface, the kernel takes any
 * IPv4 destination for on-link where they know nothing, and everybody would be asked about it for nothing.
 */
static int next_hop(struct net_nl *nl, const struct net_addr *dst, struct found *f)
{
	static const unsigned int flags[] = {RTM_F_FIB_MATCH, 0};
	struct net_nl_msg msg;
	struct rtmsg *r;
	size_t i;
	int e = 0;

	for (i = 0; i < 2 && !e; i++) {
		f->hit = false;
		f->addr = *dst;
		r = net_nl_begin(&msg, RTM_GETROUTE, 0, sizeof(*r));
		r->rtm_family = dst->v6 ? AF_INET6 : AF_INET;
		r->rtm_dst_len = dst->v6 ? 128 : 32;
		r->rtm_flags = flags[i];
		mnl_attr_put(msg.head, RTA_DST, dst->v6 ? 16 : 4, dst->bytes);
		mnl_attr_put_u32(msg.head, RTA_OIF, (uint32_t)f->index);
		e = net_nl_ask(nl, &msg, read_hop, f, NULL);
	}
	return e || !f->hit ? -ENOENT : 0;
}

struct way {
	int index;
	struct net_addr hop;
};

static int read_way(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(nlh);
	struct way *w = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*r))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*r)) {
		if (mnl_attr_get_type(a) == RTA_GATEWAY)
			take_addr(&w->hop, w->hop.v6, a);
		if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4)
			w->index = (int)mnl_attr_get_u32(a);
	}
	return MNL_CB_OK;
}

int net_route_to(struct net_nl *nl, const struct net_addr *dst, const struct net_addr *src, int *index,
		 struct net_addr *hop, struct sluice_err *err)
{
	struct way w = {.hop = *dst};
	uint16_t len = dst->v6 ? 16 : 4;
	struct net_nl_msg msg;
	struct rtmsg *r;
	int e;

	r = net_nl_begin(&msg, RTM_GETROUTE, 0, sizeof(*r));
	r->rtm_family = dst->v6 ? AF_INET6 : AF_INET;
	r->rtm_dst_len = dst->v6 ? 128 : 32;
	mnl_attr_put(msg.head, RTA_DST, len, dst->bytes);
	if (src) {
		r->rtm_src_len = r->rtm_dst_len;
		mnl_attr_put(msg.head, RTA_SRC, len, src->bytes);
	}
	e = net_nl_ask(nl, &msg, read_way, &w, err);
	if (e || !w.index)
		return err_set(err, -ENOENT, "there is no route");
	*index = w.index;
	*hop = w.hop;
	return 0;
}

int net_route_mac(struct net_nl *nl, int index, const struct net_addr *dst, unsigned int wait_ms,
		  uint8_t mac[6], struct sluice_err *err)
{
	struct found f = {.index = index, .v6 = dst->v6};
	static const struct timespec pause = {.tv_nsec = 10000000};
	unsigned int waited;
	int e;

	if (net_addr_is_multicast(dst)) {
		multicast_mac(dst, mac);
		return 0;
	}
	if (next_hop(nl, dst, &f))
		return err_set(err, -ENOENT, "no route on this interface");
	f.hit = false;
	for (waited = 0;; waited += 10) {
		e = neigh(nl, false, &f, NULL);
		if (!e && f.hit)
			break;
		if (waited >= wait_ms)
			return err_set(err, -ENOENT, "its next hop does not answer");
		if (!waited)
			e = neigh(nl, true, &f, err);
		if (!waited && e)
			return err_prefix(err, "asking for a neighbour");
		nanosleep(&pause, NULL);
	}
	memcpy(mac, f.mac, 6);
	return 0;
}
