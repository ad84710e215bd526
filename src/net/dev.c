// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One interface by name or index. */
#include <errno.h>
#include <string.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "net/dev.h"

static void read_stats(const struct nlattr *a, struct net_dev_stats *to)
{
	struct rtnl_link_stats64 s = {0}; /* copied: attributes are aligned to 4 */
	size_t len = mnl_attr_get_payload_len(a);

	memcpy(&s, mnl_attr_get_payload(a), len < sizeof(s) ? len : sizeof(s));
	*to = (struct net_dev_stats){.rx_packets = s.rx_packets,
				     .tx_packets = s.tx_packets,
				     .rx_bytes = s.rx_bytes,
				     .tx_bytes = s.tx_bytes,
				     .rx_dropped = s.rx_dropped,
				     .tx_dropped = s.tx_dropped,
				     .tx_errors = s.tx_errors};
}

static int read_link(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct net_dev *dev = data;
	const struct nlattr *a;

	*dev = (struct net_dev){.has_mac = false};
	if (net_ifinfo_parse(nlh, &dev->info))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*ifi)) {
		if (mnl_attr_get_type(a) == IFLA_STATS64)
			read_stats(a, &dev->stats);
		if (mnl_attr_get_type(a) != IFLA_ADDRESS || mnl_attr_get_payload_len(a) != 6 ||
		    ifi->ifi_type != ARPHRD_ETHER)
			continue;
		memcpy(dev->mac, mnl_attr_get_payload(a), 6);
		dev->has_mac = true;
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
	*dev = (struct net_dev){.has_mac = false};
	e = net_nl_ask(nl, &msg, read_link, dev, err);
	if (!e && !dev->info.index)
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
