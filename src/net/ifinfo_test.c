// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/test.h"
#include "net/ifinfo.h"

static struct nlmsghdr *begin(struct net_nl_msg *msg, int index)
{
	struct ifinfomsg *ifi = net_nl_begin(msg, RTM_NEWLINK, 0, sizeof(*ifi));

	ifi->ifi_index = index;
	ifi->ifi_flags = IFF_UP;
	return msg->head;
}

static void whole(void **state)
{
	struct net_ifinfo info;
	struct net_nl_msg msg;
	struct nlmsghdr *nlh = begin(&msg, 7);
	struct nlattr *nest;

	(void)state;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "veth0");
	mnl_attr_put_u32(nlh, IFLA_MTU, 9000);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, 4);
	mnl_attr_put_u32(nlh, IFLA_LINK, 7);
	mnl_attr_put_u32(nlh, IFLA_LINK_NETNSID, 0);
	mnl_attr_put_u32(nlh, IFLA_MASTER, 3);
	nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	mnl_attr_put_strz(nlh, IFLA_INFO_SLAVE_KIND, "bridge");
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u8(nlh, IFLA_XDP_ATTACHED, XDP_ATTACHED_MULTI);
	mnl_attr_put_u32(nlh, IFLA_XDP_DRV_PROG_ID, 11);
	mnl_attr_put_u32(nlh, IFLA_XDP_SKB_PROG_ID, 12);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(net_ifinfo_parse(nlh, &info), 0);
	assert_int_equal(info.index, 7);
	assert_string_equal(info.name, "veth0");
	assert_string_equal(info.kind, "veth");
	assert_string_equal(info.port_kind, "bridge");
	assert_int_equal(info.mtu, 9000);
	assert_int_equal(info.n_rx, 4);
	assert_int_equal(info.master, 3);
	/* the same number in another namespace is another interface */
	assert_int_equal(info.lower, 7);
	assert_int_equal(info.lower_nsid, 0);
	assert_int_equal(info.xdp_id[0], 11);
	assert_int_equal(info.xdp_id[1], 12);
	assert_int_equal(info.xdp_id[2], 0);
	assert_int_equal(info.vlan, 0);
}

/* What a kind says about itself; of another kind the same number means something else. */
static void vlan(void **state)
{
	static const char *const kinds[] = {"vlan", "vxlan"};
	struct nlattr *nest, *data;
	struct net_ifinfo info;
	struct net_nl_msg msg;
	struct nlmsghdr *nlh;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		nlh = begin(&msg, 7);
		mnl_attr_put_strz(nlh, IFLA_IFNAME, "eth0.9");
		nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
		data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
		mnl_attr_put_u16(nlh, IFLA_VLAN_ID, 9);
		mnl_attr_nest_end(nlh, data);
		mnl_attr_put_strz(nlh, IFLA_INFO_KIND, kinds[i]);
		mnl_attr_nest_end(nlh, nest);
		assert_int_equal(net_ifinfo_parse(nlh, &info), 0);
		assert_int_equal(info.vlan, i ? 0 : 9);
	}
}

static void old_xdp(void **state)
{
	struct net_ifinfo info;
	struct net_nl_msg msg;
	struct nlmsghdr *nlh = begin(&msg, 7);
	struct nlattr *nest;

	(void)state;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "eth0");
	mnl_attr_put_u32(nlh, IFLA_LINK, 7);
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u8(nlh, IFLA_XDP_ATTACHED, XDP_ATTACHED_SKB);
	mnl_attr_put_u32(nlh, IFLA_XDP_PROG_ID, 5);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(net_ifinfo_parse(nlh, &info), 0);
	assert_int_equal(info.xdp_id[1], 5);
	assert_int_equal(info.lower, 0);
	assert_int_equal(info.lower_nsid, -1);
}

static void wrong(void **state)
{
	struct net_ifinfo info;
	struct net_nl_msg msg;
	struct nlmsghdr *nlh = begin(&msg, 7);

	(void)state;
	assert_int_equal(net_ifinfo_parse(nlh, &info), -EBADMSG); /* no name */
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "eth0");
	mnl_attr_put_u8(nlh, IFLA_MTU, 1); /* too short a number is no number */
	assert_int_equal(net_ifinfo_parse(nlh, &info), 0);
	assert_int_equal(info.mtu, 0);
	nlh->nlmsg_type = RTM_DELLINK;
	assert_int_equal(net_ifinfo_parse(nlh, &info), -EBADMSG);
	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_len = NLMSG_HDRLEN + 4;
	assert_int_equal(net_ifinfo_parse(nlh, &info), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole), cmocka_unit_test(vlan),
		cmocka_unit_test(old_xdp),
		cmocka_unit_test(wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
