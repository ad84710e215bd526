// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What sluice doctor says about an interface. Asks the kernel only: nothing is attached to find out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <sluice/chain.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/doctor.h"
#include "lab/netns.h"
#include "net/ethtool.h"
#include "net/ifinfo.h"

/* What a page leaves of a frame for a program without multi-buffer: headroom, skb_shared_info and header off. */
#define FRAME_OVERHEAD (256 + 320 + 14)

struct patient {
	struct findings *f;
	struct net_nl route, genl;
	int inet;
	struct net_ifinfo self, peer; /* peer.index 0: not a veth, or out of sight */
	char peer_in[80]; /* what a command for the peer begins with: "", or "ip netns exec NAME " */
	bool peer_named;  /* peer_in holds */
	bool peer_gro, know_peer_gro;
	struct net_ifinfo *all;
	size_t n_all;
	uint64_t features;
	bool know_features;
	char driver[64];
	uint32_t n_rx, max_rx;	/* receive queues in use, and possible */
	const char *queue_word; /* what ethtool -L calls them */
};

static bool is_kind(const struct patient *p, const char *kind)
{
	return !strcmp(p->self.kind, kind);
}

static void say(struct patient *p, enum level level, const char *check, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void say(struct patient *p, enum level level, const char *check, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	doctor_say(p->f, level, p->self.name, check, "%s", text);
}

/* The name under which /run/netns has the namespace that is nsid here. */
static bool find_netns(struct patient *p, int nsid, char *to, size_t size)
{
	DIR *dir = opendir(LAB_NETNS_DIR);
	struct dirent *d;
	bool found = false;
	int fd, its;

	while (dir && !found && (d = readdir(dir))) {
		fd = d->d_name[0] == '.' ? -1 : openat(dirfd(dir), d->d_name, O_RDONLY | O_CLOEXEC);
		found = fd >= 0 && !net_nsid_of(&p->route, fd, &its, NULL) && its == nsid;
		if (found)
			snprintf(to, size, "%.60s", d->d_name);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Asked where the peer is: `in` is its namespace's name, "" this one. */
static void ask_peer_gro(struct patient *p, const char *in)
{
	int home = -1, fd = -1;

	if (*in && (lab_netns_current(&home, NULL) || lab_netns_enter(in, NULL))) {
		if (home >= 0)
			close(home);
		return;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	p->know_peer_gro = fd >= 0 && !net_ethtool_feature(fd, p->peer.name, "rx-gro", &p->peer_gro, NULL);
	if (fd >= 0)
		close(fd);
	if (*in)
		lab_netns_return(home, NULL);
}

static void find_peer(struct patient *p)
{
	char in[64] = "";

	if (!is_kind(p, "veth") || !p->self.lower)
		return;
	if (net_ifinfo_read(&p->route, p->self.lower, p->self.lower_nsid, &p->peer, NULL)) {
		p->peer = (struct net_ifinfo){0};
		return;
	}
	p->peer_named = p->self.lower_nsid < 0 || find_netns(p, p->self.lower_nsid, in, sizeof(in));
	if (*in)
		snprintf(p->peer_in, sizeof(p->peer_in), "ip netns exec %s ", in);
	if (p->peer_named)
		ask_peer_gro(p, in);
}

static const struct net_ifinfo *by_index(const struct patient *p, int index)
{
	size_t i;

	for (i = 0; i < p->n_all; i++)
		if (p->all[i].index == index)
			return &p->all[i];
	return NULL;
}

static void link_state(struct patient *p)
{
	if (!(p->self.flags & IFF_UP)) {
		say(p, LEVEL_WARNING, "link", "switched off: no packets come");
		doctor_fix(p->f, "ip link set %s up", p->self.name);
	} else if (!(p->self.flags & IFF_RUNNING)) {
		say(p, LEVEL_WARNING, "link", "on, but without carrier: is the other end connected and on?");
	} else {
		say(p, LEVEL_OK, "link", "on");
	}
}

static void native(struct patient *p)
{
	bool redirects = p->features & NET_XDP_REDIRECT;

	if (!p->know_features)
		say(p, LEVEL_UNKNOWN, "native",
		    "driver %s: this kernel does not tell whether it has native XDP (6.3 and later do); "
		    "sluice attach tries, and says what it got",
		    p->driver);
	else if (p->features & NET_XDP_BASIC)
		say(p, LEVEL_OK, "native", "driver %s runs XDP natively%s%s", p->driver,
		    redirects ? "" : ", but cannot redirect",
		    p->features & NET_XDP_OFFLOAD ? ", and on the card itself (offload)" : "");
	else if (is_kind(p, "veth")) {
		/* the one reason for which a veth has none */
		say(p, LEVEL_WARNING, "native",
		    "no native XDP as things are: the other end of the veth sends on more queues than the %u "
		    "received here",
		    p->n_rx);
		if (p->peer_named)
			doctor_fix(p->f, "%sethtool -L %s tx %u", p->peer_in, p->peer.name, p->n_rx);
	} else
		say(p, LEVEL_WARNING, "native",
		    "driver %s has no native XDP: programs run in generic mode, later and slower", p->driver);
}

static void fix_again(struct patient *p)
{
	doctor_fix_then(p->f, "ip link set %s down", p->self.name);
	doctor_fix_then(p->f, "ip link set %s up", p->self.name);
}

/* The kernel looks at the other end when this one is set up, and when GRO is switched while the other one is up. */
static void redirect_veth(struct patient *p)
{
	bool has = p->peer.index && (p->peer.xdp_id[0] || (p->know_peer_gro && p->peer_gro));
	bool sure = p->know_peer_gro && p->peer.flags & IFF_UP;
	const char *name = p->peer.name;

	if (!(p->features & NET_XDP_BASIC)) {
		say(p, LEVEL_WARNING, "redirect_target",
		    "frames redirected to it vanish: it has no native XDP as things are");
	} else if (has && !(p->self.flags & IFF_UP)) {
		say(p, LEVEL_WARNING, "redirect_target",
		    "frames redirected to it vanish: it is switched off");
	} else if (has) {
		say(p, LEVEL_WARNING, "redirect_target",
		    "frames redirected to it vanish: the other end (%s) has %s only since this one was set "
		    "up",
		    name, p->peer.xdp_id[0] ? "its program" : "GRO");
		fix_again(p);
	} else {
		say(p, LEVEL_WARNING, "redirect_target",
		    "frames redirected to it vanish: the other end%s%s%s has neither GRO nor an XDP "
		    "program%s",
		    p->peer.index ? " (" : "", name, p->peer.index ? ")" : "",
		    p->know_peer_gro ? "" : ", or only since this one was set up");
		if (p->peer.index && p->peer_named)
			doctor_fix(p->f, "%sethtool -K %s gro on", p->peer_in, name);
		if (p->peer.index && p->peer_named && !sure)
			fix_again(p);
	}
}

static void redirect(struct patient *p)
{
	if (!p->know_features)
		return;
	if (p->features & NET_XDP_TARGET) {
		say(p, LEVEL_OK, "redirect_target", "frames can be redirected to it%s",
		    p->features & NET_XDP_TARGET_FRAGS ? ", multi-buffer ones too" : "");
	} else if (is_kind(p, "veth")) {
		redirect_veth(p);
	} else {
		say(p, LEVEL_WARNING, "redirect_target",
		    "frames cannot be redirected to it as things are; some drivers can once they run a "
		    "program themselves");
	}
}

/* The kernel wakes the receiver of a frame sent back by XDP_TX only where a program is attached (6.18: veth_xdp_flush). */
static void send_back(struct patient *p)
{
	if (!is_kind(p, "veth"))
		return;
	if (!p->peer.index)
		say(p, LEVEL_UNKNOWN, "xdp_tx",
		    "the other end of this veth is out of sight; frames sent back by XDP_TX arrive at once only "
		    "if it has an XDP program");
	else if (p->peer.xdp_id[0])
		say(p, LEVEL_OK, "xdp_tx",
		    "the other end (%s) has a program: frames sent back by XDP_TX arrive", p->peer.name);
	else
		say(p, LEVEL_WARNING, "xdp_tx",
		    "frames sent back by XDP_TX wait until something else wakes the other end (%s): it has no "
		    "XDP program (one that passes everything will do; sluice lab up --tx-ready)",
		    p->peer.name);
}

static void zero_copy(struct patient *p)
{
	if (!p->know_features)
		return;
	say(p, LEVEL_OK, "af_xdp",
	    p->features & NET_XDP_ZEROCOPY ? "AF_XDP sockets get frames without a copy"
					   : "AF_XDP sockets get a copy of each frame (no zero-copy)");
}

static void mtu(struct patient *p)
{
	/* a veth receives what its peer sends: that is whose MTU the kernel looks at */
	const struct net_ifinfo *sender = p->peer.index ? &p->peer : &p->self;
	uint32_t limit = (uint32_t)sysconf(_SC_PAGESIZE) - FRAME_OVERHEAD;

	if (p->know_features && !(p->features & NET_XDP_BASIC))
		return; /* generic mode takes any */
	if (sender->mtu <= limit) {
		say(p, LEVEL_OK, "mtu", "%u: fits one buffer (up to %u does%s)", sender->mtu, limit,
		    is_kind(p, "veth") ? "" : ", on most drivers");
	} else if (!p->know_features) {
		say(p, LEVEL_UNKNOWN, "mtu",
		    "%u does not fit one buffer (%u); whether the driver does multi-buffer XDP, this kernel does not "
		    "tell",
		    sender->mtu, limit);
	} else {
		say(p, LEVEL_WARNING, "mtu",
		    p->features & NET_XDP_FRAGS
			    ? "%u does not fit one buffer (%u): in native mode only multi-buffer programs attach (SEC(\"xdp.frags\"))"
			    : "%u does not fit one buffer (%u) and the driver has no multi-buffer XDP: native mode is refused",
		    sender->mtu, limit);
		if (sender == &p->self || p->peer_named)
			doctor_fix(p->f, "%sip link set %s mtu 1500", sender == &p->self ? "" : p->peer_in,
				   sender->name);
	}
}

static void offloads(struct patient *p)
{
	static const struct {
		const char *feature, *flag, *check, *what;
	} bad[] = {
		{"rx-lro", "lro", "lro",
		 "packets are merged by the card (LRO), which excludes XDP on most drivers"},
		{"rx-gro-hw", "rx-gro-hw", "gro_hw",
		 "packets are merged by the card (hardware GRO), which excludes XDP on several drivers"},
	};
	size_t i, n_bad = 0, n_asked = 0;
	bool on;
	int e;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		e = net_ethtool_feature(p->inet, p->self.name, bad[i].feature, &on, NULL);
		n_asked += !e || e == -ENOENT;
		if (e || !on)
			continue;
		n_bad++;
		say(p, LEVEL_WARNING, bad[i].check, "%s", bad[i].what);
		doctor_fix(p->f, "ethtool -K %s %s off", p->self.name, bad[i].flag);
	}
	if (n_asked < i)
		say(p, LEVEL_UNKNOWN, "lro", "cannot ask whether packets are merged by the card");
	else if (!n_bad)
		say(p, LEVEL_OK, "lro", "packets are not merged by the card (no LRO, no hardware GRO)");
}

/* Receive queues in use, and how many there can be. */
static void count_queues(struct patient *p)
{
	struct ethtool_channels ch;

	p->n_rx = p->max_rx = p->self.n_rx;
	p->queue_word = "rx";
	if (net_ethtool_channels(p->inet, p->self.name, &ch, NULL) || !(ch.max_combined + ch.max_rx))
		return;
	p->n_rx = ch.combined_count + ch.rx_count;
	p->max_rx = ch.max_combined + ch.max_rx;
	if (ch.max_combined)
		p->queue_word = "combined";
}

static void queues(struct patient *p)
{
	uint32_t cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), want = p->max_rx < cpus ? p->max_rx : cpus;

	if (p->n_rx < want) {
		say(p, LEVEL_WARNING, "queues",
		    "%u receive queue%s for %u CPUs: the other CPUs take no part, %u queues are possible",
		    p->n_rx, p->n_rx == 1 ? "" : "s", cpus, p->max_rx);
		doctor_fix(p->f, "ethtool -L %s %s %u", p->self.name, p->queue_word, want);
	} else {
		say(p, LEVEL_OK, "queues", "%u receive queue%s for %u CPU%s%s", p->n_rx,
		    p->n_rx == 1 ? "" : "s", cpus, cpus == 1 ? "" : "s",
		    p->n_rx < cpus ? ", all there can be" : "");
	}
}

/* Names of the interfaces that are ports of this one, or stand on it, with commas between; false if there are none. */
static bool names(const struct patient *p, bool ports, char *to, size_t size)
{
	size_t i, n = 0;

	to[0] = '\0';
	for (i = 0; i < p->n_all; i++) {
		const struct net_ifinfo *o = &p->all[i];
		bool fits = ports ? o->master == p->self.index
				  : o->lower == p->self.index && o->lower_nsid < 0 &&
					    strcmp(o->kind, "veth") != 0;

		if (fits && n + strlen(o->name) + 2 < size)
			n += (size_t)snprintf(to + n, size - n, "%s%s", n ? "," : "", o->name);
	}
	return n > 0;
}

static void relations(struct patient *p)
{
	const struct net_ifinfo *master = p->self.master ? by_index(p, p->self.master) : NULL;
	const struct net_ifinfo *lower =
		p->self.lower && p->self.lower_nsid < 0 ? by_index(p, p->self.lower) : NULL;
	char list[160];

	if (master && !strcmp(p->self.port_kind, "bond")) {
		say(p, LEVEL_WARNING, "stacking",
		    "port of bond %s: attach there, the bond hands programs on to its ports; while it has one, "
		    "the kernel refuses another here",
		    master->name);
		doctor_fix(p->f, "sluice doctor %s", master->name);
	} else if (master) {
		say(p, LEVEL_OK, "stacking",
		    "port of %s %s: a program here sees frames before %s does, and decides first",
		    p->self.port_kind[0] ? p->self.port_kind : "master", master->name, master->name);
	}
	if (is_kind(p, "bridge") && names(p, true, list, sizeof(list))) {
		say(p, LEVEL_WARNING, "stacking",
		    "a bridge: attach to its ports instead, they see every frame and may have native XDP");
		doctor_fix(p->f, "sluice doctor %s", list);
	}
	if (is_kind(p, "bond") && names(p, true, list, sizeof(list)))
		say(p, LEVEL_OK, "stacking", "a bond: programs attached here are handed on to its ports (%s)",
		    list);
	if (lower && !is_kind(p, "veth")) {
		say(p, LEVEL_WARNING, "stacking",
		    "stands on %s: attach there, where XDP sees frames first (%s)", lower->name,
		    is_kind(p, "vlan") ? "and tagged" : "whatever they are for");
		doctor_fix(p->f, "sluice doctor %s", lower->name);
	}
	if (names(p, false, list, sizeof(list)))
		say(p, LEVEL_OK, "stacking",
		    "%s stand%s on it: a program here sees their frames too, with their tags", list,
		    strchr(list, ',') ? "" : "s");
}

static void someones(struct patient *p, const struct sluice_chain_info *c)
{
	char how[128], name[64];

	if (c->link_id && c->pinned)
		snprintf(how, sizeof(how), "pinned at %.100s", c->pin);
	else if (c->link_id && c->holder[0])
		snprintf(how, sizeof(how), "held by process %s", c->holder);
	else
		snprintf(how, sizeof(how), "%s", c->link_id ? "by a link" : "by netlink, as ip link does");
	text_printable(c->prog_name, name, sizeof(name));
	if (c->owner == SLUICE_OWNER_SLUICE) {
		say(p, LEVEL_OK, "programs", "a Sluice chain of %u program%s in %s mode%s", c->n_members,
		    c->n_members == 1 ? "" : "s", sluice_mode_name(c->mode),
		    c->n_observers ? ", watched" : "");
		return;
	}
	say(p, LEVEL_WARNING, "programs",
	    "%s %s (id %u) in %s mode, attached %s: sluice attach refuses to replace it without --force",
	    c->owner == SLUICE_OWNER_LIBXDP ? "libxdp's dispatcher" : "a program that is not Sluice's:", name,
	    c->prog_id, sluice_mode_name(c->mode), how);
	doctor_fix(p->f, "sluice show %s", p->self.name);
}

static void programs(struct patient *p)
{
	static const char *const modes[] = {"native", "generic", "offload"};
	struct sluice_chain_info *c = NULL;
	struct sluice_err err = {0};
	size_t i, n = 0;
	char ids[96] = "";

	for (i = 0; i < 3; i++)
		if (p->self.xdp_id[i])
			n += (size_t)snprintf(ids + n, sizeof(ids) - n, "%sid %u in %s mode", n ? ", " : "",
					      p->self.xdp_id[i], modes[i]);
	if (!n)
		say(p, LEVEL_OK, "programs", "none attached");
	else if (sluice_chain_read(p->self.index, &c, &err))
		say(p, LEVEL_UNKNOWN, "programs", "%s; whose, cannot be told: %s", ids, err.text);
	else if (c->owner == SLUICE_OWNER_UNKNOWN)
		say(p, LEVEL_UNKNOWN, "programs", "%s; whose, cannot be told without CAP_SYS_ADMIN", ids);
	else if (c->owner == SLUICE_OWNER_NONE)
		say(p, LEVEL_OK, "programs", "none attached (one went this very moment)");
	else
		someones(p, c);
	sluice_chain_info_free(c);
}

static void driver_name(struct patient *p)
{
	struct ethtool_drvinfo info;

	if (!net_ethtool_driver(p->inet, p->self.name, &info, NULL) && info.driver[0]) {
		info.driver[sizeof(info.driver) - 1] = '\0';
		text_printable(info.driver, p->driver, sizeof(p->driver));
	} else {
		snprintf(p->driver, sizeof(p->driver), "%s",
			 p->self.kind[0]       ? p->self.kind
			 : p->self.is_loopback ? "loopback"
					       : "unknown");
	}
}

static int examine(struct patient *p, const struct net_if *nif, struct sluice_err *err)
{
	int e = net_nl_open(&p->route, NETLINK_ROUTE, err);

	if (!e)
		e = net_nl_open(&p->genl, NETLINK_GENERIC, err);
	if (e)
		return e;
	p->inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->inet < 0)
		return err_set(err, -errno, "cannot open a socket: %s", strerror(errno));
	e = net_ifinfo_read(&p->route, nif->index, -1, &p->self, err);
	if (!e)
		e = net_ifinfo_all(&p->route, &p->all, &p->n_all, err);
	if (e)
		return e;
	p->know_features = !net_xdp_features(&p->genl, nif->index, &p->features, NULL);
	driver_name(p);
	count_queues(p);
	find_peer(p);
	link_state(p);
	native(p);
	redirect(p);
	send_back(p);
	zero_copy(p);
	mtu(p);
	offloads(p);
	queues(p);
	relations(p);
	programs(p);
	return 0;
}

int doctor_interface(struct findings *f, const struct net_if *nif, struct sluice_err *err)
{
	struct patient p = {.f = f, .inet = -1};
	int e = examine(&p, nif, err);

	net_nl_close(&p.route);
	net_nl_close(&p.genl);
	if (p.inet >= 0)
		close(p.inet);
	free(p.all);
	return e ? err_prefix(err, "%s", nif->name) : 0;
}
