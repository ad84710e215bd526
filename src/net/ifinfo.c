// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Facts about an interface that matter to XDP. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "net/ifinfo.h"

/* the netdev family: its header is younger than the oldest headers this is built with */
#define NETDEV_FAMILY "netdev"
#define CMD_DEV_GET 1
#define ATTR_IFINDEX 1
#define ATTR_XDP_FEATURES 3

struct list {
	struct net_ifinfo *item;
	size_t n, cap;
	bool failed;
};

static void take_text(const struct nlattr *attr, char *to, size_t size)
{
	if (!mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
		snprintf(to, size, "%s", mnl_attr_get_str(attr));
}

static uint32_t take_u32(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_U32) ? 0 : mnl_attr_get_u32(attr);
}

static void take_linkinfo(const struct nlattr *nest, struct net_ifinfo *info)
{
	const struct nlattr *attr, *inner, *data = NULL;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_DATA)
			data = attr;
		else if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			take_text(attr, info->kind, sizeof(info->kind));
		else if (mnl_attr_get_type(attr) == IFLA_INFO_SLAVE_KIND)
			take_text(attr, info->port_kind, sizeof(info->port_kind));
	}
	if (!data || strcmp(info->kind, "vlan") != 0)
		return;
	mnl_attr_for_each_nested(inner, data)
	{
		if (mnl_attr_get_type(inner) == IFLA_VLAN_ID && !mnl_attr_validate(inner, MNL_TYPE_U16))
			info->vlan = mnl_attr_get_u16(inner) & 0xfff;
	}
}

static void take_xdp(const struct nlattr *nest, struct net_ifinfo *info)
{
	const struct nlattr *attr;
	uint32_t only = 0;
	uint8_t how = XDP_ATTACHED_NONE;

	mnl_attr_for_each_nested(attr, nest)
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_XDP_ATTACHED:
			how = mnl_attr_validate(attr, MNL_TYPE_U8) ? 0 : mnl_attr_get_u8(attr);
			break;
		case IFLA_XDP_PROG_ID:
			only = take_u32(attr);
			break;
		case IFLA_XDP_DRV_PROG_ID:
			info->xdp_id[0] = take_u32(attr);
			break;
		case IFLA_XDP_SKB_PROG_ID:
			info->xdp_id[1] = take_u32(attr);
			break;
		case IFLA_XDP_HW_PROG_ID:
			info->xdp_id[2] = take_u32(attr);
			break;
		}
	}
	/* kernels before 4.19 give the one number alone */
	if (how >= XDP_ATTACHED_DRV && how <= XDP_ATTACHED_HW && !info->xdp_id[how - XDP_ATTACHED_DRV])
		info->xdp_id[how - XDP_ATTACHED_DRV] = only;
}

int net_ifinfo_parse(const struct nlmsghdr *nlh, struct net_ifinfo *info)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	*info = (struct net_ifinfo){.lower_nsid = -1};
	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi))
		return -EBADMSG;
	info->index = ifi->ifi_index;
	info->flags = ifi->ifi_flags;
	info->is_loopback = ifi->ifi_flags & IFF_LOOPBACK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			take_text(attr, info->name, sizeof(info->name));
			break;
		case IFLA_MTU:
			info->mtu = take_u32(attr);
			break;
		case IFLA_NUM_RX_QUEUES:
			info->n_rx = take_u32(attr);
			break;
		case IFLA_NUM_TX_QUEUES:
			info->n_tx = take_u32(attr);
			break;
		case IFLA_MASTER:
			info->master = (int)take_u32(attr);
			break;
		case IFLA_LINK:
			info->lower = (int)take_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			info->lower_nsid = (int)take_u32(attr);
			break;
		case IFLA_LINKINFO:
			take_linkinfo(attr, info);
			break;
		case IFLA_XDP:
			take_xdp(attr, info);
			break;
		}
	}
	/* hardware names itself as what it stands on */
	if (info->lower == info->index && info->lower_nsid < 0)
		info->lower = 0;
	return info->name[0] ? 0 : -EBADMSG;
}

static int read_one(const struct nlmsghdr *nlh, void *data)
{
	return net_ifinfo_parse(nlh, data) ? MNL_CB_ERROR : MNL_CB_OK;
}

int net_ifinfo_read(struct net_nl *route, int index, int nsid, struct net_ifinfo *info,
		    struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ifinfomsg *ifi = net_nl_begin(&msg, RTM_GETLINK, 0, sizeof(*ifi));
	int e;

	*info = (struct net_ifinfo){.lower_nsid = -1};
	ifi->ifi_index = index;
	if (nsid >= 0)
		mnl_attr_put_u32(msg.head, IFLA_TARGET_NETNSID, (uint32_t)nsid);
	e = net_nl_ask(route, &msg, read_one, info, err);
	if (!e && !info->index)
		return err_set(err, -EBADMSG, "the kernel tells nothing about interface %d", index);
	return e ? err_prefix(err, "interface %d", index) : 0;
}

static int read_each(const struct nlmsghdr *nlh, void *data)
{
	struct list *l = data;
	void *more;

	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 32;
		more = realloc(l->item, l->cap * sizeof(*l->item));
		if (!more) {
			l->failed = true;
			return MNL_CB_ERROR;
		}
		l->item = more;
	}
	return net_ifinfo_parse(nlh, &l->item[l->n++]) ? MNL_CB_ERROR : MNL_CB_OK;
}

int net_ifinfo_all(struct net_nl *route, struct net_ifinfo **all, size_t *n, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct list l = {0};
	int e, tries;

	for (tries = 0, e = -EAGAIN; e == -EAGAIN && tries < 10; tries++) {
		l.n = 0;
		net_nl_begin(&msg, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
		e = net_nl_ask(route, &msg, read_each, &l, err);
	}
	if (e) {
		free(l.item);
		l = (struct list){.failed = l.failed};
		e = l.failed ? err_nomem(err) : e;
	}
	*all = l.item;
	*n = l.n;
	return e;
}

static int read_nsid(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct rtgenmsg)) if (mnl_attr_get_type(attr) == NETNSA_NSID) *
		(int *)data = (int)take_u32(attr);
	return MNL_CB_OK;
}

int net_nsid_of(struct net_nl *route, int netns_fd, int *nsid, struct sluice_err *err)
{
	struct net_nl_msg msg;
	int e;

	*nsid = NETNSA_NSID_NOT_ASSIGNED;
	net_nl_begin(&msg, RTM_GETNSID, 0, sizeof(struct rtgenmsg));
	mnl_attr_put_u32(msg.head, NETNSA_FD, (uint32_t)netns_fd);
	e = net_nl_ask(route, &msg, read_nsid, nsid, err);
	if (!e && *nsid < 0)
		return err_set(err, -ENOENT, "that network namespace has no number here");
	return e;
}

static int read_features(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh,
			  sizeof(struct genlmsghdr)) if (mnl_attr_get_type(attr) == ATTR_XDP_FEATURES &&
							 !mnl_attr_validate(attr, MNL_TYPE_U64)) *
		(uint64_t *)data = mnl_attr_get_u64(attr);
	return MNL_CB_OK;
}

int net_xdp_features(struct net_nl *genl, int index, uint64_t *features, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct genlmsghdr *g;
	uint16_t family;
	int e = net_nl_family(genl, NETDEV_FAMILY, &family, err);

	*features = UINT64_MAX;
	if (e)
		return e == -ENOENT
			       ? err_set(err, -EOPNOTSUPP,
					 "this kernel does not tell what a driver can do (6.3 and later do)")
			       : e;
	g = net_nl_begin(&msg, family, 0, sizeof(*g));
	g->cmd = CMD_DEV_GET;
	g->version = 1;
	mnl_attr_put_u32(msg.head, ATTR_IFINDEX, (uint32_t)index);
	e = net_nl_ask(genl, &msg, read_features, features, err);
	if (!e && *features == UINT64_MAX)
		return err_set(err, -EOPNOTSUPP, "this kernel does not tell what the driver can do");
	return e;
}
