// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The links of a lab, by rtnetlink. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "base/err.h"
#include "lab/link.h"
#include "lab/netns.h"
#include "net/ethtool.h"

/* All of a lab's links are in this interface group of the box, so that they can go in one request. */
#define LAB_GROUP 0x51ce

int lab_door_open(struct lab_door *door, struct sluice_err *err)
{
	int e;

	*door = (struct lab_door){.inet = -1, .netns = -1};
	e = net_nl_open(&door->nl, NETLINK_ROUTE, err);
	if (!e)
		e = lab_netns_current(&door->netns, err);
	if (e)
		return e;
	door->inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return door->inet >= 0 ? 0 : err_set(err, -errno, "cannot open a socket: %s", strerror(errno));
}

void lab_door_close(struct lab_door *door)
{
	net_nl_close(&door->nl);
	if (door->inet >= 0)
		close(door->inet);
	if (door->netns >= 0)
		close(door->netns);
	*door = (struct lab_door){.inet = -1, .netns = -1};
}

void lab_end(const struct lab *lab, uint32_t i, bool box, struct lab_end *end)
{
	int last = box ? 1 : 2;

	*end = (struct lab_end){0};
	if (box)
		snprintf(end->netns, sizeof(end->netns), "sluice-%s-box", lab->name);
	else
		snprintf(end->netns, sizeof(end->netns), "sluice-%s-h%u", lab->name, i);
	if (box)
		snprintf(end->ifname, sizeof(end->ifname), "to%u", i);
	else
		snprintf(end->ifname, sizeof(end->ifname), "eth0");
	snprintf(end->ipv4, sizeof(end->ipv4), "198.18.%u.%d/24", i, last);
	if (lab->ipv6)
		snprintf(end->ipv6, sizeof(end->ipv6), "2001:db8:%u::%d/64", i, last);
	snprintf(end->mac, sizeof(end->mac), "02:00:c6:12:%02x:%02x", i & 0xff, last);
}

static void mac_bytes(uint32_t i, bool box, uint8_t mac[6])
{
	memcpy(mac, (uint8_t[6]){0x02, 0x00, 0xc6, 0x12, (uint8_t)i, box ? 1 : 2}, 6);
}

static int find_index(struct lab_door *door, const char *ifname, int *index, struct sluice_err *err)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(door->inet, SIOCGIFINDEX, &ifr))
		return err_set(err, -errno, "interface %s: %s", ifname, strerror(errno));
	*index = ifr.ifr_ifindex;
	return 0;
}

static void put_end(struct nlmsghdr *nlh, const struct lab *lab, uint32_t i, bool box)
{
	struct lab_end end;
	uint8_t mac[6];

	lab_end(lab, i, box, &end);
	mac_bytes(i, box, mac);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, end.ifname);
	mnl_attr_put(nlh, IFLA_ADDRESS, sizeof(mac), mac);
	mnl_attr_put_u32(nlh, IFLA_MTU, lab->mtu);
	mnl_attr_put_u32(nlh, IFLA_NUM_TX_QUEUES, lab->n_queues);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, lab->n_queues);
}

static int make_pair(const struct lab *lab, uint32_t i, struct lab_door *box, struct lab_door *host,
		     struct sluice_err *err)
{
	struct nlattr *info, *data, *peer;
	struct net_nl_msg msg;
	int e;

	net_nl_begin(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	put_end(msg.head, lab, i, true);
	mnl_attr_put_u32(msg.head, IFLA_GROUP, LAB_GROUP);
	info = mnl_attr_nest_start(msg.head, IFLA_LINKINFO);
	mnl_attr_put_strz(msg.head, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(msg.head, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(msg.head, VETH_INFO_PEER);
	memset(mnl_nlmsg_put_extra_header(msg.head, sizeof(struct ifinfomsg)), 0, sizeof(struct ifinfomsg));
	put_end(msg.head, lab, i, false);
	mnl_attr_put_u32(msg.head, IFLA_NET_NS_FD, (uint32_t)host->netns);
	mnl_attr_nest_end(msg.head, peer);
	mnl_attr_nest_end(msg.head, data);
	mnl_attr_nest_end(msg.head, info);
	e = net_nl_ask(&box->nl, &msg, NULL, NULL, err);
	if (e == -EOPNOTSUPP)
		return err_set(err, e, "this kernel has no veth interfaces (CONFIG_VETH): modprobe veth");
	return e ? err_prefix(err, "making the link to h%u", i) : 0;
}

/*
 * Frames as on a wire. GRO switches the receive loop (NAPI) on: without it, frames that an XDP program redirects or
 * sends back into the other end vanish. Without checksum offload (segmentation offload goes along) nobody is handed a packet
 * whose checksum was left for hardware that does not exist: such packets die when XDP redirects them. Without VLAN
 * offload the tag is in the frame, where an XDP program looks for it.
 */
static int make_like_wire(const struct lab *lab, uint32_t i, bool box, struct lab_door *door,
			  struct sluice_err *err)
{
	struct lab_end self;
	uint32_t flags = 0;
	int e;

	lab_end(lab, i, box, &self);
	e = net_ethtool_set(door->inet, self.ifname, ETHTOOL_SGRO, 1, err);
	if (!e)
		e = net_ethtool_set(door->inet, self.ifname, ETHTOOL_STXCSUM, 0, err);
	if (!e)
		e = net_ethtool_get(door->inet, self.ifname, ETHTOOL_GFLAGS, &flags, err);
	if (!e)
		e = net_ethtool_set(door->inet, self.ifname, ETHTOOL_SFLAGS,
				    flags & ~(uint32_t)ETH_FLAG_TXVLAN, err);
	return e;
}

int lab_link_up(struct lab_door *door, const char *ifname, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ifinfomsg *ifi = net_nl_begin(&msg, RTM_NEWLINK, 0, sizeof(*ifi));
	int e = find_index(door, ifname, &ifi->ifi_index, err);

	if (e)
		return e;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	e = net_nl_ask(&door->nl, &msg, NULL, NULL, err);
	return e ? err_prefix(err, "switching %s on", ifname) : 0;
}

/* "198.18.1.2/24" into its bytes; the texts are lab_end()'s own. */
static size_t addr_bytes(const char *text, uint8_t addr[16], uint8_t *prefix_len)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	char plain[48];

	snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(text, "/"), text);
	*prefix_len = family == AF_INET ? 24 : 64;
	inet_pton(family, plain, addr);
	return family == AF_INET ? 4 : 16;
}

static int add_addr(struct lab_door *door, int index, const char *text, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ifaddrmsg *ifa = net_nl_begin(&msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*ifa));
	uint8_t addr[16];
	size_t len = addr_bytes(text, addr, &ifa->ifa_prefixlen);
	int e;

	ifa->ifa_family = len == 4 ? AF_INET : AF_INET6;
	ifa->ifa_index = (uint32_t)index;
	mnl_attr_put(msg.head, IFA_LOCAL, len, addr);
	mnl_attr_put(msg.head, IFA_ADDRESS, len, addr);
	mnl_attr_put_u32(msg.head, IFA_FLAGS, IFA_F_NODAD | IFA_F_PERMANENT);
	e = net_nl_ask(&door->nl, &msg, NULL, NULL, err);
	return e ? err_prefix(err, "address %s", text) : 0;
}

static int add_neighbour(struct lab_door *door, int index, const char *text, const uint8_t mac[6],
			 struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct ndmsg *nd = net_nl_begin(&msg, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*nd));
	uint8_t addr[16], prefix_len;
	size_t len = addr_bytes(text, addr, &prefix_len);
	int e;

	nd->ndm_family = len == 4 ? AF_INET : AF_INET6;
	nd->ndm_ifindex = index;
	nd->ndm_state = NUD_PERMANENT;
	mnl_attr_put(msg.head, NDA_DST, len, addr);
	mnl_attr_put(msg.head, NDA_LLADDR, 6, mac);
	e = net_nl_ask(&door->nl, &msg, NULL, NULL, err);
	return e ? err_prefix(err, "neighbour %s", text) : 0;
}

/*
 * The networks that labs are made of, through the box. Not a default route: an interface that carries one is taken
 * for the machine's way out, and sluice traffic leaves it alone.
 */
static int add_route(struct lab_door *door, int index, const char *via, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct rtmsg *rt = net_nl_begin(&msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*rt));
	uint8_t addr[16], dst[16], unused;
	size_t len = addr_bytes(via, addr, &unused);
	const char *net = len == 4 ? "198.18.0.0" : "2001:db8::"; /* RFC 2544, RFC 3849 */
	int e;

	addr_bytes(net, dst, &unused);
	rt->rtm_dst_len = len == 4 ? 15 : 32;
	rt->rtm_family = len == 4 ? AF_INET : AF_INET6;
	rt->rtm_table = RT_TABLE_MAIN;
	rt->rtm_protocol = RTPROT_STATIC;
	rt->rtm_scope = RT_SCOPE_UNIVERSE;
	rt->rtm_type = RTN_UNICAST;
	mnl_attr_put(msg.head, RTA_DST, len, dst);
	mnl_attr_put(msg.head, RTA_GATEWAY, len, addr);
	mnl_attr_put_u32(msg.head, RTA_OIF, (uint32_t)index);
	e = net_nl_ask(&door->nl, &msg, NULL, NULL, err);
	return e ? err_prefix(err, "route to %s via %s", net, via) : 0;
}

static int set_up_end(const struct lab *lab, uint32_t i, bool box, struct lab_door *door, int *index,
		      struct sluice_err *err)
{
	struct lab_end self;
	int e;

	lab_end(lab, i, box, &self);
	e = find_index(door, self.ifname, index, err);
	if (!e)
		e = add_addr(door, *index, self.ipv4, err);
	if (!e && lab->ipv6)
		e = add_addr(door, *index, self.ipv6, err);
	if (!e)
		e = lab_link_up(door, self.ifname, err);
	return e;
}

static int meet_other(const struct lab *lab, uint32_t i, bool box, struct lab_door *door, int index,
		      struct sluice_err *err)
{
	struct lab_end other;
	uint8_t mac[6];
	int e;

	lab_end(lab, i, !box, &other);
	mac_bytes(i, !box, mac);
	e = add_neighbour(door, index, other.ipv4, mac, err);
	if (!e && lab->ipv6)
		e = add_neighbour(door, index, other.ipv6, mac, err);
	if (!e && !box)
		e = add_route(door, index, other.ipv4, err);
	if (!e && !box && lab->ipv6)
		e = add_route(door, index, other.ipv6, err);
	return e;
}

int lab_link_join(const struct lab *lab, uint32_t i, struct lab_door *box, struct lab_door *host,
		  struct sluice_err *err)
{
	int box_index = 0, host_index = 0, e;

	e = make_pair(lab, i, box, host, err);
	if (e)
		return e;
	/* both ends first: as an interface comes up it looks whether its peer can receive redirected frames */
	e = make_like_wire(lab, i, true, box, err);
	if (!e)
		e = make_like_wire(lab, i, false, host, err);
	if (!e)
		e = set_up_end(lab, i, true, box, &box_index, err);
	if (!e)
		e = set_up_end(lab, i, false, host, &host_index, err);
	if (!e) /* both ends are up: only now do routes and neighbours stay */
		e = meet_other(lab, i, true, box, box_index, err);
	if (!e)
		e = meet_other(lab, i, false, host, host_index, err);
	return e ? err_prefix(err, "link between box and h%u", i) : 0;
}

int lab_link_pass(struct lab_door *host, struct sluice_err *err)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	struct net_nl_msg msg;
	struct ifinfomsg *ifi = net_nl_begin(&msg, RTM_SETLINK, 0, sizeof(*ifi));
	struct nlattr *xdp;
	int fd, e;

	e = find_index(host, "eth0", &ifi->ifi_index, err);
	if (e)
		return e;
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "lab_pass", "GPL", pass, sizeof(pass) / sizeof(*pass), &opts);
	if (fd < 0)
		return err_set(err, fd, "loading a program for the hosts: %s", strerror(-fd));
	xdp = mnl_attr_nest_start(msg.head, IFLA_XDP);
	mnl_attr_put_u32(msg.head, IFLA_XDP_FD, (uint32_t)fd);
	mnl_attr_put_u32(msg.head, IFLA_XDP_FLAGS, XDP_FLAGS_DRV_MODE);
	mnl_attr_nest_end(msg.head, xdp);
	e = net_nl_ask(&host->nl, &msg, NULL, NULL, err);
	close(fd);
	return e ? err_prefix(err, "attaching a program to a host's eth0") : 0;
}

int lab_links_remove(struct lab_door *box, struct sluice_err *err)
{
	struct net_nl_msg msg;
	int e;

	net_nl_begin(&msg, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(msg.head, IFLA_GROUP, LAB_GROUP);
	e = net_nl_ask(&box->nl, &msg, NULL, NULL, err);
	return e == -ENODEV || !e ? 0 : err_prefix(err, "deleting the lab's links");
}
