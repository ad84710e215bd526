// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the kernel knows about one interface. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <linux/genetlink.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "net/dev.h"

/* linux/netdev.h is younger than the oldest headers Sluice builds with; these numbers are ABI. */
enum { NETDEV_DEV_GET = 1, NETDEV_A_IFINDEX = 1, NETDEV_A_XDP_FEATURES = 3, XDP_NDO_XMIT = 1 << 2 };

static void read_kind(const struct nlattr *info, struct net_dev *dev)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND && !mnl_attr_validate(a, MNL_TYPE_STRING))
			snprintf(dev->kind, sizeof(dev->kind), "%.*s", (int)mnl_attr_get_payload_len(a),
				 mnl_attr_get_str(a));
}

static void read_stats(const struct nlattr *a, struct net_dev_stats *to)
{
	struct rtnl_link_stats64 s = {0}; /* copied: attributes are aligned to 4 */
	size_t len = mnl_attr_get_payload_len(a);

	memcpy(&s, mnl_attr_get_payload(a), len < sizeof(s) ? len : sizeof(s));
	*to = (struct net_dev_stats){.rx_packets = s.rx_packets, .tx_packets = s.tx_packets, .rx_bytes = s.rx_bytes,
		.tx_bytes = s.tx_bytes, .rx_dropped = s.rx_dropped, .tx_dropped = s.tx_dropped,
		.tx_errors = s.tx_errors};
}

static int read_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct net_dev *dev = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi))
		return MNL_CB_OK;
	*dev = (struct net_dev){.index = ifi->ifi_index, .flags = ifi->ifi_flags, .link_netns = -1};
	mnl_attr_for_each(a, nlh, sizeof(*ifi)) {
		uint16_t len = mnl_attr_get_payload_len(a);

		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			snprintf(dev->name, sizeof(dev->name), "%.*s", (int)len, mnl_attr_get_str(a));
			break;
		case IFLA_ADDRESS:
			if (len == 6 && ifi->ifi_type == ARPHRD_ETHER) {
				memcpy(dev->mac, mnl_attr_get_payload(a), 6);
				dev->has_mac = true;
			}
			break;
		case IFLA_MTU:
			dev->mtu = len == 4 ? mnl_attr_get_u32(a) : 0;
			break;
		case IFLA_LINK:
			dev->link = len == 4 ? (int)mnl_attr_get_u32(a) : 0;
			break;
		case IFLA_LINK_NETNSID:
			dev->link_netns = len == 4 ? (int)mnl_attr_get_u32(a) : -1;
			break;
		case IFLA_MASTER:
			dev->master = len == 4 ? (int)mnl_attr_get_u32(a) : 0;
			break;
		case IFLA_LINKINFO:
			read_kind(a, dev);
			break;
		case IFLA_STATS64:
			read_stats(a, &dev->stats);
			break;
		default:
			break;
		}
	}
	return MNL_CB_OK;
}

static int ask(struct net_nl *nl, int netns_id, int index, const char *name, struct net_dev *dev,
	       struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ifinfomsg *ifi = net_nl_begin(&msg, RTM_GETLINK, 0, sizeof(*ifi));
	int e;

	ifi->ifi_index = index;
	if (netns_id >= 0)
		mnl_attr_put_u32(msg.head, IFLA_TARGET_NETNSID, (uint32_t)netns_id);
	if (!index)
		mnl_attr_put_strz(msg.head, IFLA_IFNAME, name);
	*dev = (struct net_dev){0};
	e = net_nl_ask(nl, &msg, read_link, dev, err);
	if (!e && !dev->index)
		e = -ENODEV;
	if ((e == -ENODEV || e == -EINVAL) && !index)
		return err_set(err, -ENODEV, "no interface '%s'", name);
	if (e == -ENODEV || e == -EINVAL)
		return err_set(err, -ENODEV, "no interface of index %d", index);
	return e;
}

int net_dev_read(struct net_nl *nl, int index, const char *name, struct net_dev *dev, struct sluice_err *err)
{
	return ask(nl, -1, index, name, dev, err);
}

int net_dev_read_in(struct net_nl *nl, int netns_id, int index, struct net_dev *dev, struct sluice_err *err)
{
	return ask(nl, netns_id, index, NULL, dev, err);
}

static int read_features(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *a;
	uint64_t *features = data;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == NETDEV_A_XDP_FEATURES && mnl_attr_get_payload_len(a) == 8)
			memcpy(features, mnl_attr_get_payload(a), 8);
	return MNL_CB_OK;
}

int net_dev_xdp_xmit(int index)
{
	struct net_nl_msg msg;
	struct genlmsghdr *g;
	uint64_t features = 0;
	struct net_nl nl;
	uint16_t family;
	int e;

	e = net_nl_open(&nl, NETLINK_GENERIC, NULL);
	if (!e)
		e = net_nl_family(&nl, "netdev", &family, NULL);
	if (!e) {
		g = net_nl_begin(&msg, family, 0, sizeof(*g));
		g->cmd = NETDEV_DEV_GET;
		g->version = 1;
		mnl_attr_put_u32(msg.head, NETDEV_A_IFINDEX, (uint32_t)index);
		e = net_nl_ask(&nl, &msg, read_features, &features, NULL);
	}
	net_nl_close(&nl);
	return e ? e : (features & XDP_NDO_XMIT) != 0;
}
