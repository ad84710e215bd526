// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What balance blocks meet on this host: own addresses, ways to backends, MTU, drivers, forwarding. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "control/balance_care.h"
#include "control/balance_ways.h"
#include "control/build.h"
#include "control/redirects.h"
#include "control/sessions.h"
#include "net/ifinfo.h"

#define SAID 16		      /* of a kind */
#define SETTLE_NS 500000000ull /* neighbours answer within milliseconds, or are not there */
#define ADVICE "use --force, or --confirm 60s to try"

/* The largest packets on the way out of an interface, and of which backend they are. */
struct large {
	int ifindex;
	uint32_t block, mtu, head, fit; /* what comes in, what the tunnel adds, and what gets through */
	struct net_addr addr;
	char from[64];
};

struct care {
	const struct policy *p, *old;
	const struct control_generation *g;
	void (*say)(void *arg, const char *sentence);
	void *arg;
	struct net_nl route, genl;
	struct ways *ways;
	struct large large[SAID]; /* by interface */
	int said_target[SAID], said_veth[SAID];
	uint32_t n_large, n_target, n_veth, n_far;
};

__attribute__((format(printf, 3, 4))) static void tell(const struct care *c, uint32_t block, const char *fmt, ...)
{
	struct policy_where w = policy_where(c->p, c->p->balances[block].pos);
	char text[500], line[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%.300s:%u: balance %s: %s", w.path, w.line, c->p->balances[block].name, text);
	c->say(c->arg, line);
}

static bool is_news(const struct care *c, uint32_t block)
{
	uint32_t i;

	for (i = 0; c->old && i < c->old->n_balances; i++)
		if (policy_same_balance(&c->old->balances[i], &c->p->balances[block]))
			return false;
	return true;
}

/* --- own addresses --- */

static bool address_of(const struct sockaddr *sa, struct net_addr *to)
{
	*to = (struct net_addr){0};
	if (sa && sa->sa_family == AF_INET) {
		memcpy(to->bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa && sa->sa_family == AF_INET6) {
		memcpy(to->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		to->v6 = true;
	} else {
		return false;
	}
	return true;
}

static const char *owner_of(const struct ifaddrs *all, const struct net_addr *addr)
{
	struct net_addr own;

	for (; all; all = all->ifa_next)
		if (address_of(all->ifa_addr, &own) && net_addr_same(&own, addr))
			return all->ifa_name;
	return NULL;
}

/* Once for each block: all of an address is balanced, or it is not. */
static void own_addresses(const struct care *c)
{
	char text[BALANCE_TEXT], shown[64];
	const struct balance_service *s;
	struct ifaddrs *all;
	const char *name;
	uint32_t i;
	size_t k;

	if (getifaddrs(&all))
		return;
	for (i = 0; i < c->p->services.n_services; i++) {
		s = c->p->services.services[i];
		if (!is_news(c, i))
			continue;
		for (k = 0, name = NULL; k < s->n_virtuals && !name; k++)
			name = owner_of(all, &s->virtuals[k].addr);
		if (!name)
			continue;
		snprintf(shown, sizeof(shown), "%s", name);
		tell(c, i, "%s is an address of this host (%s): what listens here gets none of these packets from outside",
		     balance_virtual_text(&s->virtuals[k - 1], text, sizeof(text)), text_harmless(shown));
	}
	freeifaddrs(all);
}

/* --- ways to backends --- */

static struct way_want want_of(const struct balance_service *s, size_t backend)
{
	return (struct way_want){.addr = s->backends[backend].addr, .direct = s->mode == BALANCE_L2};
}

static int find_ways(struct care *c, struct sluice_err *err)
{
	const struct balance_model *m = &c->p->services;
	struct way_want *want;
	size_t n = 0, i, k;
	int e;

	for (i = 0; i < m->n_services; i++)
		n += m->services[i]->n_backends;
	want = calloc(n + 1, sizeof(*want));
	if (!want)
		return err_nomem(err);
	for (i = n = 0; i < m->n_services; i++) {
		if (!is_news(c, (uint32_t)i))
			continue;
		for (k = 0; k < m->services[i]->n_backends; k++)
			want[n++] = want_of(m->services[i], k);
	}
	e = ways_new(true, &c->ways, err);
	e = e ?: ways_want(c->ways, want, n, err);
	e = e ?: ways_settle(c->ways, SETTLE_NS, err);
	free(want);
	return e;
}

static bool once(int *said, uint32_t *n, int index)
{
	uint32_t i;

	for (i = 0; i < *n; i++)
		if (said[i] == index)
			return false;
	if (*n == SAID)
		return false;
	said[(*n)++] = index;
	return true;
}

static uint32_t head_of(const struct balance_service *s, const struct balance_backend *b)
{
	if (s->mode != BALANCE_IPIP && s->mode != BALANCE_GUE)
		return 0;
	return (b->addr.v6 ? 40u : 20u) + (s->mode == BALANCE_GUE ? 8u : 0u);
}

static void look_mtu(struct care *c, uint32_t block, const struct balance_backend *b, const struct way *way,
		     const struct net_ifinfo *in)
{
	struct large l = {.ifindex = (int)way->hop.ifindex,
			  .block = block,
			  .mtu = in->mtu,
			  .head = head_of(c->p->services.services[block], b),
			  .fit = way->hop.mtu,
			  .addr = b->addr};
	uint32_t i;

	if (!l.head || l.mtu + l.head <= l.fit)
		return;
	for (i = 0; i < c->n_large && c->large[i].ifindex != l.ifindex; i++)
		;
	if (i == SAID || (i < c->n_large && c->large[i].mtu + c->large[i].head >= l.mtu + l.head))
		return;
	snprintf(l.from, sizeof(l.from), "%s", in->name);
	c->large[i] = l;
	c->n_large += i == c->n_large;
}

/* Once for each interface, when all services are known: the largest need is what its MTU is to be. */
static void tell_mtu(struct care *c)
{
	char name[IF_NAMESIZE], addr[NET_ADDR_TEXT];
	struct large *l;

	for (l = c->large; l < c->large + c->n_large; l++) {
		snprintf(name, sizeof(name), "?");
		if_indextoname((unsigned int)l->ifindex, name);
		tell(c, l->block,
		     "packets from %s may have %u bytes, the tunnel adds %u, and %u fit on the way to %s "
		     "(%s): senders of larger "
		     "ones than %u are told by ICMP; an MTU of %u there lets all through",
		     text_harmless(l->from), l->mtu, l->head, l->fit,
		     net_addr_format(&l->addr, addr, sizeof(addr)), text_harmless(name), l->fit - l->head,
		     l->mtu + l->head);
	}
}

static void look_target(struct care *c, uint32_t block, const struct way *way, const struct net_ifinfo *in)
{
	char name[IF_NAMESIZE] = "?";

	if (!redirects_lost(&c->genl, c->p, in->name, in->index, (int)way->hop.ifindex) ||
	    !once(c->said_target, &c->n_target, (int)way->hop.ifindex))
		return;
	if_indextoname(way->hop.ifindex, name);
	tell(c, block,
	     "%s takes no packets that are redirected to it, so those to backends behind it are "
	     "lost; " REDIRECTS_ADVICE,
	     text_harmless(name), name);
}

/* With other addresses the sums would have to be there in every mode. */
static void look_veth(struct care *c, uint32_t block, const struct net_ifinfo *in)
{
	char peer[16], name[16];
	bool sure;

	if (!redirects_unsummed(&c->route, in, peer, &sure) || !once(c->said_veth, &c->n_veth, in->index))
		return;
	snprintf(name, sizeof(name), "%s", in->name);
	tell(c, block,
	     "%s is a veth: packets that begin at its other end are lost when they are balanced%s, " REDIRECTS_UNSUMMED,
	     text_harmless(name), sure ? "" : " unless that is switched off",
	     *peer ? text_harmless(peer) : "PEER");
}

static void look_at_backend(struct care *c, uint32_t block, const struct balance_backend *b, const struct net_ifinfo *in,
			    bool first)
{
	const struct balance_service *s = c->p->services.services[block];
	const struct way_want want = {.addr = b->addr, .direct = s->mode == BALANCE_L2};
	const struct way *way = ways_find(c->ways, &want);
	char addr[NET_ADDR_TEXT], why[WAYS_TEXT];

	if (!way)
		return;
	if (way->state == WAY_READY) {
		look_mtu(c, block, b, way, in);
		look_target(c, block, way, in);
	} else if (first && way->state != WAY_NEW && c->n_far++ < SAID) {
		tell(c, block, "backend %s %s", net_addr_format(&b->addr, addr, sizeof(addr)), ways_say(way, why));
	}
}

static void look_at_block(struct care *c, uint32_t block)
{
	const struct balance_service *s = c->p->services.services[block];
	uint32_t bits = build_bits(c->g, block), i;
	struct net_ifinfo in;
	bool first = true;
	size_t k;

	for (i = c->g->n_parts; i < c->g->n_all; i++) {
		if (!(bits & 1u << c->g->parts[i].filter) ||
		    net_ifinfo_read(&c->route, c->g->parts[i].ifindex, -1, &in, NULL))
			continue;
		look_veth(c, block, &in);
		for (k = 0; k < s->n_backends; k++)
			look_at_backend(c, block, &s->backends[k], &in, first);
		first = false;
	}
}

/* --- forwarding, without which ways are not looked up for packets --- */

static bool is_off(const char *family, const char *ifname)
{
	char path[128], c = '1';
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/forwarding", family, ifname);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &c, 1) != 1)
		c = '1';
	close(fd);
	return c == '0';
}

static bool has_family(const struct policy *p, bool v6)
{
	size_t i, k;

	for (i = 0; i < p->services.n_services; i++)
		for (k = 0; k < p->services.services[i]->n_backends; k++)
			if (p->services.services[i]->backends[k].addr.v6 == v6)
				return true;
	return false;
}

static void look_at_forwarding(const struct care *c)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	char text[300];
	uint32_t i, v6;

	for (v6 = 0; v6 < 2; v6++)
		for (i = c->g->n_parts; i < c->g->n_all && has_family(c->p, v6); i++) {
			if (!is_off(families[v6], c->g->parts[i].ifname))
				continue;
			snprintf(text, sizeof(text),
				 "net.%s.conf.%s.forwarding is 0: without it, packets get to backends only while sluice serve runs and "
				 "keeps their ways; sysctl net.%s.conf.%s.forwarding=1",
				 families[v6], c->g->parts[i].ifname, families[v6], c->g->parts[i].ifname);
			c->say(c->arg, text_harmless(text));
		}
}

int balance_care(const struct policy *p, const struct policy *old, const struct control_generation *g,
		 void (*say)(void *arg, const char *sentence), void *arg, struct sluice_err *err)
{
	struct care c = {.p = p, .old = old, .g = g, .say = say, .arg = arg};
	uint32_t i;
	int e;

	for (i = 0; i < p->n_balances && !is_news(&c, i); i++)
		;
	if (i == p->n_balances || g->n_all == g->n_parts)
		return 0;
	own_addresses(&c);
	look_at_forwarding(&c);
	e = net_nl_open(&c.route, NETLINK_ROUTE, err);
	if (!e)
		net_nl_open(&c.genl, NETLINK_GENERIC, NULL); /* older kernels do not tell about drivers */
	e = e ?: find_ways(&c, err);
	for (i = 0; i < p->services.n_services && !e; i++)
		if (is_news(&c, i))
			look_at_block(&c, i);
	tell_mtu(&c);
	if (c.n_far > SAID) {
		char text[80];

		snprintf(text, sizeof(text), "%u more backends cannot be reached", c.n_far - SAID);
		say(arg, text);
	}
	ways_free(c.ways);
	net_nl_close(&c.genl);
	net_nl_close(&c.route);
	return e;
}

/* --- sessions --- */

static bool takes(const struct balance_virtual *v, const struct control_session *s)
{
	return net_addr_same(&v->addr, &s->local) && (v->proto == IPPROTO_TCP || v->proto == BALANCE_PROTO_ANY) &&
	       v->first <= s->local_port && v->last >= s->local_port;
}

static const struct balance_virtual *taker(const struct policy *p, const struct control_session *s, uint32_t *block)
{
	size_t k;

	for (*block = 0; *block < p->services.n_services; (*block)++)
		for (k = 0; k < p->services.services[*block]->n_virtuals; k++)
			if (takes(&p->services.services[*block]->virtuals[k], s))
				return &p->services.services[*block]->virtuals[k];
	return NULL;
}

int balance_guard(const struct policy *p, const char *ssh_connection, const char *advice, struct sluice_err *err)
{
	char virtual[BALANCE_TEXT], peer[SESSION_SAY];
	struct control_sessions sessions = {0};
	const struct balance_virtual *v;
	struct policy_where w;
	uint32_t i, block;
	int e;

	if (!p->services.n_services)
		return 0;
	e = control_sessions_read(ssh_connection, NULL, &sessions, err);
	for (i = 0; i < sessions.n && !e; i++) {
		v = taker(p, &sessions.v[i], &block);
		if (!v)
			continue;
		w = policy_where(p, p->balances[block].pos);
		e = err_set(err, -EBUSY, "%s:%u: balance %s: virtual %s would send %s session from %s to a backend; %s", w.path,
			    w.line, p->balances[block].name, balance_virtual_text(v, virtual, sizeof(virtual)),
			    sessions.v[i].own ? "your" : "the", control_session_say(&sessions.v[i], peer, sizeof(peer)),
			    advice ? advice : ADVICE);
	}
	control_sessions_free(&sessions);
	return e;
}
