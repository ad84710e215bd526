// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The guard against locking oneself out: the packets of each session, and what the oracle says of them. */
#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/packet.h>

#include "base/err.h"
#include "control/guard.h"
#include "net/dev.h"
#include "net/route.h"
#include "policy/oracle.h"

#define FRAME_MAX 256
#define RULE_SHOWN 200 /* bytes of the rule in the sentence */
#define ADVICE "use --force, or --confirm 60s to try"

/*
 * Time between two packets: the slowest limit there is, one packet a day, lets each in. 2^64 ns have room for 213,000
 * packets: those of all sessions on 50 interfaces.
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
	struct sluice_err first;
};

/* A session's packets on one interface. */
struct arrival {
	const struct control_session *s;
	const char *in;
	uint16_t vlan; /* 0: no tag */
	bool ethernet; /* neighbours are asked for their address */
	uint8_t peer_mac[6], own_mac[6];
	struct net_addr hop;
};

enum packet { PACKET_ACK, PACKET_DATA, PACKET_SYN, PACKET_NEIGHBOUR, N_PACKETS };

static int build(const struct arrival *a, enum packet which, uint8_t *to, size_t *len, struct sluice_err *err)
{
	char peer[NET_ADDR_TEXT], local[NET_ADDR_TEXT], hop[NET_ADDR_TEXT], src[NET_MAC_TEXT],
		dst[NET_MAC_TEXT];
	const char *ip = a->s->peer.v6 ? "ipv6" : "ipv4";
	struct buf text = {0};
	int e;

	net_addr_format(&a->s->peer, peer, sizeof(peer));
	net_addr_format(&a->s->local, local, sizeof(local));
	net_addr_format(&a->hop, hop, sizeof(hop));
	buf_printf(&text, "eth src %s dst %s / ", net_mac_format(a->peer_mac, src, sizeof(src)),
		   net_mac_format(a->own_mac, dst, sizeof(dst)));
	if (a->vlan)
		buf_printf(&text, "vlan id %u / ", a->vlan);
	if (which != PACKET_NEIGHBOUR)
		buf_printf(&text, "%s src %s dst %s / tcp sport %u dport %u flags %s%s", ip, peer, local,
			   a->s->peer_port, a->s->local_port,
			   which == PACKET_SYN	  ? "syn"
			   : which == PACKET_DATA ? "psh,ack"
						  : "ack",
			   which == PACKET_DATA	 ? " / zeros 100"
			   : which == PACKET_SYN ? " options 020405b4"
						 : "");
	else if (
		a->s->peer
			.v6) /* RFC 4861, 4.3: reserved, and the target's address; checked with hop limit 255 */
		buf_printf(&text, "ipv6 src %s dst %s hop 255 / icmp6 type 135 code 0 / zeros 16", hop,
			   local);
	else
		buf_printf(&text, "arp op 1 sha %s spa %s tpa %s", src, hop, local);
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

static void refuse(struct guard *g, const struct arrival *a, const struct policy_filter *f, uint32_t rule,
		   enum packet which)
{
	static const char *const does[] = {"would cut off", "would cut off",
					   "would refuse another connection like",
					   "would drop ARP, and so end"};
	const char *what = which == PACKET_NEIGHBOUR && a->s->peer.v6
				   ? "would drop neighbour discovery, and so end"
				   : does[which];
	char peer[SESSION_SAY], from[48];
	struct buf text = {0};

	if (g->refused++)
		return;
	if (a->s->own)
		snprintf(from, sizeof(from), "SSH_CONNECTION");
	else
		snprintf(from, sizeof(from), "connected to port %u", a->s->local_port);
	say_rule(g->p, f, rule, &text);
	buf_printf(&text, " %s %s session from %s (%s)", what, a->s->own ? "your" : "the",
		   control_session_say(a->s, peer, sizeof(peer)), from);
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
	for (which = 0; which < (a->ethernet ? N_PACKETS : PACKET_NEIGHBOUR) && !*refused; which++) {
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
static int take_sets(struct guard *g, const struct control_session *s, const struct net_addr *hop,
		     struct sluice_err *err)
{
	const struct net_addr *const addrs[] = {&s->peer, &s->local, hop};
	struct policy_set *set;
	uint32_t i, k;
	int in;

	for (i = 0; g->opts->in_set && i < g->p->n_sets; i++) {
		set = &g->asked.sets[i];
		free_set(g, i);
		if (g->opts->in_set(g->opts->ctx, set->name, &s->peer) < 0)
			continue;
		set->spans = (struct policy_spans){0};
		for (k = 0; k < 3; k++) {
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

static int look_at(struct guard *g, const struct control_session *s, struct sluice_err *err)
{
	struct arrival a = {.s = s};
	bool refused = false;
	int index = way_to(g, &a), e;
	uint16_t vlan = a.vlan;
	size_t i;

	e = take_sets(g, s, &a.hop, err);
	for (i = 0; i < g->n_ifs && !e && !refused; i++) {
		if (index && index != g->ifs[i].index && !net_route_goes_over(&g->nl, index, g->ifs[i].index))
			continue;
		a.vlan = index == g->ifs[i].index ? 0 : vlan;
		e = on_interface(g, &a, &g->ifs[i], &refused, err);
	}
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
