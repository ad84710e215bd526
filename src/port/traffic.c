// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The traffic generator: opening, the loop that sends, the report. What a packet looks like is decided in
 * traffic_plan.c; the packets are made in datapath/traffic.bpf.c.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sluice/object.h>
#include <sluice/traffic.h>

#include "base/embedded.h"
#include "base/err.h"
#include "base/priv.h"
#include "net/route.h"
#include "port/traffic_priv.h"

/* No CPU makes more; beyond it there is nothing to hold back, and nanoseconds times rate would leave 64 bits. */
#define PPS_MAX UINT64_C(1000000000)

enum { ANSWER_MS = 1000 }; /* how long a next hop may take to say its MAC address */

/* What the driver says; a kernel before 6.3 does not tell, and the report has to. */
static bool takes_redirects(int index)
{
	uint64_t features = 0;
	struct net_nl genl;
	int e = net_nl_open(&genl, NETLINK_GENERIC, NULL);

	if (!e)
		e = net_xdp_features(&genl, index, &features, NULL);
	net_nl_close(&genl);
	return e || (features & NET_XDP_TARGET);
}

/* The interface itself: there, up, Ethernet, not the one this host lives on, able to take redirected frames. */
static int check_interface(struct sluice_traffic *t, const struct sluice_traffic_opts *opts,
			   struct sluice_err *err)
{
	const char *name = t->dev.info.name;
	char carrier[IF_NAMESIZE] = "?";
	int via, e;

	if (!t->dev.has_mac && !(t->dev.info.flags & IFF_LOOPBACK))
		return err_set(err, -EOPNOTSUPP, "%s carries no Ethernet frames", name);
	if (!(t->dev.info.flags & IFF_UP))
		return err_set(err, -ENETDOWN, "%s is down; ip link set %s up", name, name);
	e = net_route_default_via(&t->nl, t->dev.info.index, &via, err);
	if (e)
		return e;
	if (via && !opts->force) {
		if_indextoname((unsigned int)via, carrier);
		return err_set(err, -EBUSY,
			       "%s carries the default route of this host%s%s; --force sends there all the "
			       "same",
			       name, via == t->dev.info.index ? "" : " through ",
			       via == t->dev.info.index ? "" : carrier);
	}
	if (takes_redirects(t->dev.info.index))
		return 0;
	if (!strcmp(t->dev.info.kind, "veth"))
		return err_set(err, -EOPNOTSUPP,
			       "%s takes no frames from XDP as long as its peer has neither an XDP program "
			       "nor GRO; ethtool -K PEER gro on, in the peer's network namespace",
			       name);
	return err_set(err, -EOPNOTSUPP,
		       "%s takes no frames from XDP: its driver%s%s%s has no support for it%s", name,
		       t->dev.info.kind[0] ? " (" : "", t->dev.info.kind, t->dev.info.kind[0] ? ")" : "",
		       t->dev.info.flags & IFF_LOOPBACK ? "; use a veth pair"
						   : ", or wants an XDP program attached first");
}

/* Own source address and MAC, and the MAC address of whoever is next on the way to the first destination. */
static int fill_defaults(struct sluice_traffic *t, struct traffic_aim *aim, struct sluice_err *err)
{
	struct net_dev peer;
	char dst[NET_ADDR_TEXT];
	struct sluice_err why;
	int e;

	if (!aim->has_src)
		(void)net_route_own_addr(&t->nl, t->dev.info.index, aim->src.first.v6, &aim->src.first, NULL);
	if (!aim->has_src_mac)
		memcpy(aim->src_mac, t->dev.mac, 6);
	if (aim->has_dst_mac)
		return 0;
	e = net_route_mac(&t->nl, t->dev.info.index, &aim->dst.first, ANSWER_MS, aim->dst_mac, &why);
	if (e != -ENOENT) {
		if (e)
			err_set(err, e, "%s", why.text);
		return e;
	}
	if (!strcmp(t->dev.info.kind, "veth") && t->dev.info.lower > 0) {
		e = t->dev.info.lower_nsid < 0
			    ? net_dev_read(&t->nl, t->dev.info.lower, NULL, &peer, NULL)
			    : net_dev_read_in(&t->nl, t->dev.info.lower_nsid, t->dev.info.lower, &peer, NULL);
		if (!e && peer.has_mac) {
			memcpy(aim->dst_mac, peer.mac, 6);
			return 0;
		}
	}
	return err_set(err, -EINVAL, "no MAC address for %s on %s (%s); give it with --dst-mac",
		       net_addr_format(&aim->dst.first, dst, sizeof(dst)), t->dev.info.name, why.text);
}

static int make_plan(struct sluice_traffic *t, const struct sluice_traffic_opts *opts, struct sluice_err *err)
{
	/* what the kernel lets through to an interface: MTU, Ethernet header, one tag */
	uint32_t frame_max = t->dev.info.mtu + 18 < TRAFFIC_FRAME_MAX ? t->dev.info.mtu + 18 : TRAFFIC_FRAME_MAX;
	struct traffic_aim aim;
	int e;

	if (opts->kind == SLUICE_TRAFFIC_PCAP) {
		e = port_pcap_read(opts->pcap, frame_max, &t->cap, err);
		if (!e)
			traffic_plan_replay(opts, &t->cap, t->plan);
		return e;
	}
	e = traffic_plan_parse(opts, &aim, err);
	if (!e)
		e = fill_defaults(t, &aim, err);
	if (!e)
		e = traffic_plan_build(opts, &aim, frame_max, t->plan, err);
	memcpy(t->dst_mac, aim.dst_mac, 6);
	return e;
}

static int map_bytes(int fd, size_t len, void **to, struct sluice_err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, (len + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				0);

	if (p == MAP_FAILED)
		return err_set(err, fd < 0 ? fd : -errno, "mapping the generator's memory: %s",
			       strerror(fd < 0 ? -fd : errno));
	*to = p;
	return 0;
}

static int copy_in(int fd, const void *bytes, size_t len, struct sluice_err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *to;
	int e = map_bytes(fd, len, &to, err);

	if (e)
		return e;
	memcpy(to, bytes, len);
	munmap(to, (len + page - 1) & ~(page - 1));
	return 0;
}

/* The arena ends with room for the longest frame, so that the program needs one comparison. */
static int size_replay(struct sluice_traffic *t, struct sluice_err *err)
{
	struct bpf_map *arena = bpf_object__find_map_by_name(sluice_object_libbpf(t->obj), "traffic_arena");
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	uint32_t len = (uint32_t)(t->cap.bytes.len + TRAFFIC_FRAME_MAX + page - 1) / page * page;

	if (!arena || bpf_map__set_value_size(arena, len))
		return err_set(err, -EINVAL, "the generator's object lacks traffic_arena");
	return sluice_object_resize(t->obj, "traffic_index", t->cap.n_frames, err);
}

static int load(struct sluice_traffic *t, struct sluice_err *err)
{
	const struct traffic_conf *conf = &t->plan->conf;
	uint32_t slot = 0, index = (uint32_t)t->dev.info.index;
	int e, fd;

	e = sluice_object_open_mem(embedded_traffic, embedded_traffic_len, "traffic", &t->obj, err);
	if (!e)
		e = sluice_object_set_bytes(t->obj, "traffic_conf", conf, sizeof(*conf), err);
	if (!e && conf->replay)
		e = size_replay(t, err);
	if (!e)
		e = sluice_object_program(t->obj, "sluice_traffic", &t->prog, err);
	if (!e)
		e = sluice_object_load(t->obj, err);
	if (e)
		return e;
	fd = bpf_object__find_map_fd_by_name(sluice_object_libbpf(t->obj), ".bss");
	e = map_bytes(fd, sizeof(*t->state), (void **)&t->state, err);
	if (!e && conf->replay)
		e = copy_in(sluice_object_map_fd(t->obj, "traffic_arena", NULL), t->cap.bytes.data,
			    t->cap.bytes.len, err);
	if (!e && conf->replay)
		e = copy_in(sluice_object_map_fd(t->obj, "traffic_index", NULL), t->cap.frames.data,
			    t->cap.frames.len, err);
	if (e)
		return e;
	if (bpf_map_update_elem(sluice_object_map_fd(t->obj, "traffic_port", NULL), &slot, &index, 0))
		return err_set(err, errno == EINVAL ? -ENODEV : -errno,
			       "%s cannot be a target of redirects: %s", t->dev.info.name, strerror(errno));
	return 0;
}

static int check_opts(const struct sluice_traffic_opts *o, struct sluice_err *err)
{
	if (o->batch > SLUICE_TRAFFIC_BATCH_MAX)
		return err_set(err, -EINVAL, "a batch of %u frames is too large, 1 to %u is possible",
			       o->batch, SLUICE_TRAFFIC_BATCH_MAX);
	if (o->kind == SLUICE_TRAFFIC_PCAP && !o->pcap)
		return err_set(err, -EINVAL, "no capture file given");
	if (o->n_vlan > 2)
		return err_set(err, -EINVAL, "%u VLAN tags; two are possible", o->n_vlan);
	if (o->frame_bytes > TRAFFIC_FRAME_MAX)
		return err_set(err, -EINVAL, "a frame of %u bytes is too large: live frames hold at most %u",
			       o->frame_bytes, TRAFFIC_FRAME_MAX);
	return 0;
}

static void set_limits(struct sluice_traffic *t, const struct sluice_traffic_opts *o)
{
	t->pps = o->pps <= PPS_MAX ? o->pps : 0;
	t->count = o->count;
	t->batch = o->batch ? o->batch : 64;
	t->cpu = o->cpu;
	if (o->once && o->kind == SLUICE_TRAFFIC_PCAP && (!t->count || t->count > t->cap.n_frames))
		t->count = t->cap.n_frames;
	t->duration_ns = o->duration_ns;
	if (!t->duration_ns && !t->count)
		t->duration_ns = UINT64_C(10000000000);
}

int sluice_traffic_open(const char *ifname, const struct sluice_traffic_opts *opts,
			struct sluice_traffic **out, struct sluice_err *err)
{
	struct sluice_traffic *t = calloc(1, sizeof(*t));
	int e;

	*out = NULL;
	if (!t)
		return err_nomem(err);
	t->hold = (struct traffic_hold){.netns = -1, .link = -1};
	t->plan = calloc(1, sizeof(*t->plan));
	e = t->plan ? check_opts(opts, err) : err_nomem(err);
	if (!e)
		e = net_nl_open(&t->nl, NETLINK_ROUTE, err);
	if (!e)
		e = strlen(ifname) > 15 ? err_set(err, -ENODEV, "no interface '%s'", ifname)
					: net_dev_read(&t->nl, 0, ifname, &t->dev, err);
	if (!e)
		e = check_interface(t, opts, err);
	if (!e)
		e = priv_need(CAP_NET_ADMIN, "sending packets", err);
	if (!e)
		e = make_plan(t, opts, err);
	if (!e)
		e = load(t, err);
	if (!e && opts->peer) {
		e = traffic_peer_open(&t->peer, opts->peer, err);
		t->has_peer = true;
	}
	if (e) {
		sluice_traffic_close(t);
		return e;
	}
	set_limits(t, opts);
	port_pcap_drop(&t->cap);
	(void)traffic_hold_open(&t->hold, sluice_program_fd(t->prog));
	*out = t;
	return 0;
}

void sluice_traffic_close(struct sluice_traffic *t)
{
	if (!t)
		return;
	traffic_hold_close(&t->hold);
	if (t->has_peer)
		traffic_peer_close(&t->peer);
	if (t->state)
		munmap(t->state, (size_t)sysconf(_SC_PAGESIZE));
	sluice_object_free(t->obj);
	net_nl_close(&t->nl);
	port_pcap_free(&t->cap);
	free(t->plan);
	free(t);
}
