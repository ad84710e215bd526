// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The guard against locking oneself out: the packets of each session, and what the oracle says of them. */
#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/packet.h>

#include "base/err.h"
#include "base/text.h"
#include "control/guard.h"
#include "net/dev.h"
#include "net/route.h"
#include "policy/oracle.h"

#define FRAME_MAX 256
#define RULE_SHOWN 200 /* bytes of the rule in the sentence */
#define TUNNELS 8      /* that are warned of */
#define ADVICE "use --force, or --confirm 60s to try"

/*
 * Time between two packets: the slowest limit there is, one packet a day, lets each in. 2^64 ns have room for 213,000
 * packets: those of all sessions on 40 interfaces.
 */
#define PAUSE_NS (UINT64_C(86400) * 1000000000)

struct guard {
	const struct policy *p;
	struct policy asked; /* the same with sets as they will be */
	const struct control_guard_opts *opts;
	const struct net_if *ifs;
	size_t n_ifs;
	struct net_nl nl;
	struct policy_oracle **oracles; /* per filter, made when first asked */
	uint64_t now_ns;
	uint32_t refused; /* sessions */
	int warned[TUNNELS];
	uint32_t n_warned;
	struct sluice_err first;
};

/* A session's packets on one interface. */
struct arrival {
	const struct control_session *s;
	const char *in;
	uint16_t vlan; /* 0: no tag */
	bool ethernet; /* neighbours are asked for their address */
	uint8_t peer_mac[6], own_mac[6];
	struct net_addr hop, group; /* group: where the neighbour asks for the own address; of IPv6 */
};

enum packet { PACKET_ACK, PACKET_DATA, PACKET_SYN, PACKET_QUESTION, PACKET_ANSWER, N_PACKETS };

static void put_hex(struct buf *to, const uint8_t *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf_printf(to, "%02x", bytes[i]);
}

/* RFC 4291, 2.7.1: whoever asks for the address asks the group that the end of it stands for. */
static struct net_addr group_of(const struct net_addr *a)
{
	struct net_addr g = {.v6 = true, .bytes = {0xff, 0x02, [11] = 1, [12] = 0xff}};

	memcpy(g.bytes + 13, a->bytes + 13, 3);
	return g;
}

/* Where on the link a packet goes. A neighbour that asks this host alone, and is not heard, asks the whole link next. */
static void link_to(const struct arrival *a, enum packet which, uint8_t mac[6])
{
	memcpy(mac, a->own_mac, 6);
	if (which == PACKET_QUESTION && a->s->peer.v6) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, a->group.bytes + 12, 4);
	} else if (which == PACKET_QUESTION) {
		memset(mac, 0xff, 6);
	}
}

/* What the neighbour asks for this host's address with, and what it answers with when it is asked for its own. */
static void put_neighbour(const struct arrival *a, bool question, struct buf *to)
{
	char local[NET_ADDR_TEXT], hop[NET_ADDR_TEXT], group[NET_ADDR_TEXT], peer[NET_MAC_TEXT],
		own[NET_MAC_TEXT];

	net_addr_format(&a->s->local, local, sizeof(local));
	net_addr_format(&a->hop, hop, sizeof(hop));
	net_mac_format(a->peer_mac, peer, sizeof(peer));
	if (!a->s->peer.v6) {
		buf_printf(to, "arp op %d sha %s spa %s tha %s tpa %s", question ? 1 : 2, peer, hop,
			   question ? "00:00:00:00:00:00" : net_mac_format(a->own_mac, own, sizeof(own)),
			   local);
		return;
	}
	/* RFC 4861, 4.3 and 4.4: flags (here solicited, override), the target's address, one's own MAC address */
	buf_printf(to, "ipv6 src %s dst %s hop 255 / icmp6 type %d code 0 id %u / hex ", hop,
		   question ? net_addr_format(&a->group, group, sizeof(group)) : local, question ? 135 : 136,
		   question ? 0u : 0x6000u);
	put_hex(to, question ? a->s->local.bytes : a->hop.bytes, 16);
	buf_printf(to, question ? "0101" : "0201");
	put_hex(to, a->peer_mac, 6);
}

static void put_segment(const struct arrival *a, enum packet which, struct buf *to)
{
	char peer[NET_ADDR_TEXT], local[NET_ADDR_TEXT];

	buf_printf(to, "%s src %s dst %s / tcp sport %u dport %u flags %s%s", a->s->peer.v6 ? "ipv6" : "ipv4",
		   net_addr_format(&a->s->peer, peer, sizeof(peer)),
		   net_addr_format(&a->s->local, local, sizeof(local)), a->s->peer_port, a->s->local_port,
		   which == PACKET_SYN	  ? "syn"
		   : which == PACKET_DATA ? "psh,ack"
					  : "ack",
		   which == PACKET_DATA	 ? " / zeros 100"
		   : which == PACKET_SYN ? " options 020405b4"
					 : "");
}

static int build(const struct arrival *a, enum packet which, uint8_t *to, size_t *len, struct sluice_err *err)
{
	char src[NET_MAC_TEXT], dst[NET_MAC_TEXT];
	struct buf text = {0};
	uint8_t mac[6];
	int e;

	link_to(a, which, mac);
	buf_printf(&text, "eth src %s dst %s / ", net_mac_format(a->peer_mac, src, sizeof(src)),
		   net_mac_format(mac, dst, sizeof(dst)));
	if (a->vlan)
		buf_printf(&text, "vlan id %u / ", a->vlan);
	if (which < PACKET_QUESTION)
		put_segment(a, which, &text);
	else
		put_neighbour(a, which == PACKET_QUESTION, &text);
	buf_printf(&text, " / pad 60");
	e = text.failed ? err_nomem(err)
			: sluice_packet_build((const char *)text.data, to, FRAME_MAX, len, err);
	buf_free(&text);
	return e;
}

/* --- the answer --- */

static void say_rule(const struct policy *p, const struct policy_filter *f, uint32_t rule, struct buf *to)
{
	const struct policy_stmt *s = rule == ORACLE_DEFAULT ? NULL : &f->stmts[rule];
	struct policy_where w = policy_rule_where(p, f, s);

	buf_printf(to, "%s:%u: ", w.path, w.line);
	policy_rule_print(f, s, RULE_SHOWN, to);
}

static void say_session(const struct control_session *s, struct buf *to)
{
	char peer[SESSION_SAY];

	buf_printf(to, "%s session from %s (", s->own ? "your" : "the",
		   control_session_say(s, peer, sizeof(peer)));
	if (s->own)
		buf_printf(to, "SSH_CONNECTION)");
	else
		buf_printf(to, "connected to port %u)", s->local_port);
}

static void refuse(struct guard *g, const struct arrival *a, const struct policy_filter *f, uint32_t rule,
		   enum packet which)
{
	static const char *const does[] = {"would cut off", "would cut off",
					   "would refuse another connection like",
					   "would drop ARP, and so end", "would drop ARP, and so end"};
	const char *what = which >= PACKET_QUESTION && a->s->peer.v6
				   ? "would drop neighbour discovery, and so end"
				   : does[which];
	struct buf text = {0};

	if (g->refused++)
		return;
	say_rule(g->p, f, rule, &text);
	buf_printf(&text, " %s ", what);
	say_session(a->s, &text);
	err_set(&g->first, -EBUSY, "%s",
		text.failed ? "a rule would cut off your session" : (char *)text.data);
	buf_free(&text);
}

static bool lets_in(const struct policy_answer *a)
{
	return a->shadow || a->verdict == VERDICT_PASS || a->verdict == VERDICT_CPU;
}

/* Asks for each packet of a session; the first that is not let in is enough. */
static int ask(struct guard *g, const struct arrival *a, bool *refused, struct sluice_err *err)
{
	struct policy_answer answer;
	uint8_t frame[FRAME_MAX];
	struct policy_packet k;
	uint32_t filter;
	int which, e;
	size_t len;

	if (policy_filter_on(&g->asked, a->in, "", &filter, NULL))
		return 0;
	if (!g->oracles[filter]) {
		e = policy_oracle_new(&g->asked, filter, &g->oracles[filter], err);
		if (e)
			return e;
	}
	for (which = 0; which < (a->ethernet ? N_PACKETS : PACKET_QUESTION) && !*refused; which++) {
		e = build(a, (enum packet)which, frame, &len, err);
		if (e)
			return e;
		packet_read(&k, frame, (uint32_t)len, (uint32_t)len, a->in);
		g->now_ns += PAUSE_NS;
		e = policy_oracle_decide(g->oracles[filter], &k, g->now_ns, NULL, &answer, err);
		if (e)
			return e;
		if (lets_in(&answer))
			continue;
		refuse(g, a, &g->p->filters[filter], answer.rule, (enum packet)which);
		*refused = true;
	}
	return 0;
}

/* --- sets --- */

static void add_address(struct policy_spans *spans, const struct net_addr *a)
{
	struct policy_range r = {.first = policy_addr6_of(a), .last = policy_addr6_of(a), .v6 = a->v6};

	policy_spans_add(spans, &r);
}

/* Back to what the policy says. */
static void free_set(struct guard *g, uint32_t i)
{
	struct policy_spans *mine = &g->asked.sets[i].spans;
	const struct policy_spans *given = &g->p->sets[i].spans;

	if (mine->v4 != given->v4 || mine->v6 != given->v6)
		policy_spans_free(mine);
	*mine = *given;
}

/* Sets as they will be, as far as this session's addresses are concerned. */
static int take_sets(struct guard *g, const struct arrival *a, struct sluice_err *err)
{
	const struct net_addr *const addrs[] = {&a->s->peer, &a->s->local, &a->hop, &a->group};
	const size_t n = a->s->peer.v6 ? 4 : 3;
	struct policy_set *set;
	uint32_t i;
	size_t k;
	int in;

	for (i = 0; g->opts->in_set && i < g->p->n_sets; i++) {
		set = &g->asked.sets[i];
		free_set(g, i);
		if (g->opts->in_set(g->opts->ctx, set->name, &a->s->peer) < 0)
			continue;
		set->spans = (struct policy_spans){0};
		for (k = 0; k < n; k++) {
			in = g->opts->in_set(g->opts->ctx, set->name, addrs[k]);
			if (in > 0)
				add_address(&set->spans, addrs[k]);
		}
		policy_spans_sort(&set->spans);
		if (set->spans.failed)
			return err_nomem(err);
	}
	return 0;
}

static void free_sets(struct guard *g)
{
	uint32_t i;

	for (i = 0; g->asked.sets && i < g->p->n_sets; i++)
		free_set(g, i);
	free(g->asked.sets);
}

/* --- where packets come in --- */

static int on_interface(struct guard *g, struct arrival *a, const struct net_if *at, bool *refused,
			struct sluice_err *err)
{
	struct net_dev dev;
	uint16_t vlan = a->vlan;
	int e;

	a->in = at->name;
	a->ethernet = false;
	memset(a->own_mac, 0, 6);
	memset(a->peer_mac, 0, 6);
	if (g->nl.sock && !net_dev_read(&g->nl, at->index, NULL, &dev, NULL)) {
		a->ethernet = dev.has_mac && !(dev.info.flags & (IFF_NOARP | IFF_LOOPBACK));
		memcpy(a->own_mac, dev.mac, 6);
		(void)net_route_mac(&g->nl, at->index, &a->hop, 0, a->peer_mac, NULL);
	}
	e = ask(g, a, refused, err);
	if (!vlan || e)
		return e;
	/* cards may have taken the tag off before */
	a->vlan = 0;
	e = ask(g, a, refused, err);
	a->vlan = vlan;
	return e;
}

/* The interface that leads to the peer: 0 if that cannot be told. */
static int way_to(struct guard *g, struct arrival *a)
{
	const struct control_session *s = a->s;
	struct net_ifinfo info;
	struct net_dev dev;
	int index = 0;

	a->hop = s->peer;
	if (!g->nl.sock)
		return 0;
	if (s->interface[0])
		return net_dev_read(&g->nl, 0, s->interface, &dev, NULL) ? 0 : dev.info.index;
	if (s->peer.v6 && s->peer.bytes[0] == 0xfe && (s->peer.bytes[1] & 0xc0) == 0x80)
		return 0; /* link-local, of any link */
	if (net_route_to(&g->nl, &s->peer, &s->local, &index, &a->hop, NULL) &&
	    net_route_to(&g->nl, &s->peer, NULL, &index, &a->hop, NULL))
		return 0;
	if (!net_ifinfo_read(&g->nl, index, -1, &info, NULL) && !strcmp(info.kind, "vlan"))
		a->vlan = info.vlan;
	return index;
}

/* The packets that a tunnel is made of come in elsewhere, and nobody here knows what they look like. */
static void warn_tunnel(struct guard *g, const struct control_session *s, const struct net_dev *tunnel)
{
	struct buf text = {0};
	char name[16];
	uint32_t i;

	for (i = 0; i < g->n_warned; i++)
		if (g->warned[i] == tunnel->info.index)
			return;
	if (!g->opts->warn || g->n_warned == TUNNELS)
		return;
	g->warned[g->n_warned++] = tunnel->info.index;
	snprintf(name, sizeof(name), "%s", tunnel->info.name);
	say_session(s, &text);
	buf_printf(&text,
		   " comes in by %s, a tunnel: whether the policy lets the tunnel's own packets in is not "
		   "looked at",
		   text_harmless(name));
	g->opts->warn(g->opts->warn_ctx,
		      text.failed ? "your session comes in by a tunnel, whose own packets are not looked at"
				  : (char *)text.data);
	buf_free(&text);
}

/* Do a session's packets come in there? As themselves: those of a tunnel that is on top of it do not. */
static bool carries(struct guard *g, int index, int tunnel, int at)
{
	if (!index || index == at)
		return true;
	return net_route_goes_over(&g->nl, index, at) &&
	       (!tunnel || tunnel == at || !net_route_goes_over(&g->nl, tunnel, at));
}

static int look_at(struct guard *g, const struct control_session *s, struct sluice_err *err)
{
	struct arrival a = {.s = s};
	bool refused = false, elsewhere = false;
	int index = way_to(g, &a), tunnel, e;
	uint16_t vlan = a.vlan;
	struct net_dev dev;
	uint32_t filter;
	size_t i;

	tunnel = index && net_route_tunnel(&g->nl, index, &dev) ? dev.info.index : 0;
	if (s->local.v6)
		a.group = group_of(&s->local);
	e = take_sets(g, &a, err);
	for (i = 0; i < g->n_ifs && !e && !refused; i++) {
		if (!carries(g, index, tunnel, g->ifs[i].index)) {
			elsewhere |= !policy_filter_on(&g->asked, g->ifs[i].name, "", &filter, NULL);
			continue;
		}
		a.vlan = index == g->ifs[i].index ? 0 : vlan;
		e = on_interface(g, &a, &g->ifs[i], &refused, err);
	}
	if (tunnel && elsewhere && !e && !refused)
		warn_tunnel(g, s, &dev);
	return e;
}

static int prepare(struct guard *g, struct sluice_err *err)
{
	g->asked = *g->p;
	g->asked.sets = calloc(g->p->n_sets + 1ul, sizeof(*g->asked.sets));
	g->oracles = calloc(g->p->n_filters + 1ul, sizeof(struct policy_oracle *));
	if (!g->asked.sets || !g->oracles)
		return err_nomem(err);
	if (g->p->n_sets)
		memcpy(g->asked.sets, g->p->sets, g->p->n_sets * sizeof(*g->asked.sets));
	return net_nl_open(&g->nl, NETLINK_ROUTE, err);
}

int control_guard_sessions(const struct policy *p, const struct control_guard_opts *opts,
			   const struct control_sessions *sessions, struct sluice_err *err)
{
	struct guard *g = calloc(1, sizeof(*g));
	struct net_if *all = NULL;
	uint32_t i;
	int e;

	if (!g)
		return err_nomem(err);
	g->p = p;
	g->opts = opts;
	g->ifs = opts->interfaces;
	g->n_ifs = opts->n_interfaces;
	e = prepare(g, err);
	if (!e && !g->ifs) {
		e = net_ifs_find("*", &all, &g->n_ifs, err);
		g->ifs = all;
	}
	for (i = 0; i < sessions->n && !e; i++)
		e = look_at(g, &sessions->v[i], err);
	if (!e && g->refused == 1)
		e = err_set(err, -EBUSY, "%s; %s", g->first.text, opts->advice ? opts->advice : ADVICE);
	else if (!e && g->refused)
		e = err_set(err, -EBUSY, "%s, and %u other session%s; %s", g->first.text,
			    g->refused - 1, g->refused == 2 ? "" : "s", opts->advice ? opts->advice : ADVICE);
	for (i = 0; g->oracles && i < p->n_filters; i++)
		policy_oracle_free(g->oracles[i]);
	free(g->oracles);
	free_sets(g);
	net_nl_close(&g->nl);
	free(all);
	free(g);
	return e;
}

int control_guard(const struct policy *p, const struct control_guard_opts *opts, struct sluice_err *err)
{
	struct control_sessions sessions;
	int e = control_sessions_read(opts->ssh_connection, opts->proc, &sessions, err);

	if (!e && sessions.n)
		e = control_guard_sessions(p, opts, &sessions, err);
	control_sessions_free(&sessions);
	return e;
}
