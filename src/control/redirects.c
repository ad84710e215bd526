// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Interfaces that rules redirect packets to: are they those that were meant, and do they take any? */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netlink.h>

#include "base/err.h"
#include "base/text.h"
#include "control/build.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/redirects.h"
#include "net/ifinfo.h"
#include "net/peer.h"

#define REDIRECTS_MAX (1u << 20) /* bytes of the file */
#define FILE_NAME "redirects"

static bool has_part(const struct control_generation *g, uint32_t filter)
{
	uint32_t i;

	for (i = 0; i < g->n_parts; i++)
		if (g->parts[i].filter == filter)
			return true;
	return false;
}

/* Does a rule of a filter that is somewhere redirect to it? */
static bool is_target(const struct policy *p, const struct control_generation *g, const char *ifname)
{
	const struct policy_filter *f;
	uint32_t i, k;

	for (i = 0; i < p->n_filters; i++) {
		f = &p->filters[i];
		for (k = 0; k < f->n_stmts; k++)
			if (f->stmts[k].redirect && !strcmp(f->stmts[k].redirect, ifname) && has_part(g, i))
				return true;
	}
	return false;
}

/* The first rule of a filter that sends packets on: to an interface, or to another CPU. */
static const struct policy_stmt *sends(const struct policy_filter *f)
{
	uint32_t k;

	for (k = 0; k < f->n_stmts; k++)
		if (f->stmts[k].redirect || f->stmts[k].cpus.n)
			return &f->stmts[k];
	return NULL;
}

static bool any(const struct policy *p)
{
	uint32_t i;

	for (i = 0; i < p->n_filters; i++)
		if (sends(&p->filters[i]))
			return true;
	return false;
}

int redirects_write(const struct build *b)
{
	struct buf text = {0};
	uint32_t i;
	int e = 0;

	for (i = 0; any(b->p) && i < b->opts.n_interfaces; i++)
		if (is_target(b->p, b->g, b->opts.interfaces[i].name))
			buf_printf(&text, "%u %s\n", b->opts.interfaces[i].index, b->opts.interfaces[i].name);
	if (text.failed)
		e = err_nomem(b->err);
	else if (text.len)
		e = files_write(b->dir, FILE_NAME, text.data, text.len, false, b->err);
	buf_free(&text);
	return e;
}

static int parse(const char *text, struct redirect **v, uint32_t *n)
{
	struct redirect r, *more;
	size_t len;
	int at;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (sscanf(text, "%d %15s%n", &r.ifindex, r.ifname, &at) != 2 || (size_t)at != len ||
		    r.ifindex <= 0)
			return -EBADMSG;
		more = realloc(*v, (*n + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*v = more;
		more[(*n)++] = r;
	}
	return 0;
}

int redirects_read(const struct control_state *st, const char *name, struct redirect **v, uint32_t *n,
		   struct sluice_err *err)
{
	char dir[PATH_MAX];
	struct buf text = {0};
	int e = control_generation_dir(st, name, dir, err);

	*v = NULL;
	*n = 0;
	e = e ?: files_read(dir, FILE_NAME, REDIRECTS_MAX, &text, err);
	if (!e) {
		e = parse((const char *)text.data, v, n);
		if (e)
			err_set(err, e, e == -ENOMEM ? "out of memory" : "%s/" FILE_NAME " is damaged", dir);
	}
	buf_free(&text);
	if (e) {
		free(*v);
		*v = NULL;
		*n = 0;
	}
	return e == -ENOENT ? 0 : e;
}

enum redirect_health redirects_health(const struct redirect *r)
{
	char name[IF_NAMESIZE];
	unsigned int now = if_nametoindex(r->ifname);

	if (now == (unsigned int)r->ifindex)
		return REDIRECT_THERE;
	if (now)
		return REDIRECT_AGAIN;
	return if_indextoname((unsigned int)r->ifindex, name) ? REDIRECT_THERE : REDIRECT_GONE;
}

bool redirects_hold(const struct control_state *st, const char *name)
{
	struct redirect *v;
	uint32_t n, i;
	bool hold = true;

	if (redirects_read(st, name, &v, &n, NULL))
		return false;
	for (i = 0; i < n && hold; i++)
		hold = redirects_health(&v[i]) == REDIRECT_THERE;
	free(v);
	return hold;
}

/* In generic mode any interface will do. */
bool redirects_lost(struct net_nl *genl, const struct policy *p, const char *from_name, int from, int to)
{
	uint64_t features;

	if (from == to || !genl->sock || build_mode(p, from_name) == SLUICE_MODE_GENERIC)
		return false;
	if (!net_xdp_features(genl, from, &features, NULL) && !(features & NET_XDP_BASIC))
		return false;
	return !net_xdp_features(genl, to, &features, NULL) && !(features & NET_XDP_TARGET);
}

struct care {
	const struct policy *p;
	const struct control_generation *g;
	struct net_nl genl;
	void (*say)(void *arg, const char *sentence);
	void *arg;
};

static bool is_lost(struct care *c, uint32_t filter, int to)
{
	uint32_t i;

	for (i = 0; i < c->g->n_parts; i++)
		if (c->g->parts[i].filter == filter &&
		    redirects_lost(&c->genl, c->p, c->g->parts[i].ifname, c->g->parts[i].ifindex, to))
			return true;
	return false;
}

/* The first rule that sends packets there, and none gets there; false: there is none. */
static bool look(struct care *c, const struct if_nameindex *to, char *text, size_t size)
{
	const struct policy_filter *f;
	struct policy_where w;
	char name[64];
	uint32_t i, k;

	for (i = 0; i < c->p->n_filters; i++) {
		f = &c->p->filters[i];
		for (k = 0; k < f->n_stmts; k++)
			if (f->stmts[k].redirect && !strcmp(f->stmts[k].redirect, to->if_name))
				break;
		if (k == f->n_stmts || !is_lost(c, i, (int)to->if_index))
			continue;
		w = policy_where(c->p, f->stmts[k].pos);
		snprintf(name, sizeof(name), "%s", to->if_name);
		text_harmless(name);
		snprintf(text, size,
			 "%.300s:%u: %s takes no packets that are redirected to it, so these are "
			 "lost; " REDIRECTS_ADVICE,
			 w.path, w.line, name, name);
		return true;
	}
	return false;
}

bool redirects_unsummed(struct net_nl *route, const struct net_ifinfo *in, char peer[16], bool *sure)
{
	bool on = true;

	peer[0] = '\0';
	if (strcmp(in->kind, "veth") != 0)
		return false;
	*sure = !net_peer_feature(route, in, "tx-checksum-ip-generic", peer, &on, NULL);
	return !*sure || on;
}

static void look_veth(const struct care *c, struct net_nl *route, const struct control_part *part)
{
	const struct policy_stmt *s = sends(&c->p->filters[part->filter]);
	struct net_ifinfo in;
	struct policy_where w;
	char peer[16], name[16], text[800];
	bool sure;

	if (!s || net_ifinfo_read(route, part->ifindex, -1, &in, NULL) ||
	    !redirects_unsummed(route, &in, peer, &sure))
		return;
	w = policy_where(c->p, s->pos);
	snprintf(name, sizeof(name), "%s", in.name);
	snprintf(
		text, sizeof(text),
		"%.300s:%u: %s is a veth: packets that begin at its other end are lost when they are sent to another %s%s, " REDIRECTS_UNSUMMED,
		w.path, w.line, text_harmless(name), s->redirect ? "interface" : "CPU",
		sure ? "" : " unless that is switched off", peer[0] ? text_harmless(peer) : "PEER");
	c->say(c->arg, text);
}

/*
 * Linux (6.18) does not take the Ethernet header off a packet that a program in generic mode sends to another CPU, unless GRO has noted
 * how long it is: ip_rcv() drops it as IP_INHDR.
 */
static void look_generic(struct care *c, const struct control_part *part)
{
	const struct policy_filter *f = &c->p->filters[part->filter];
	struct policy_where w;
	char name[16], text[800];
	uint64_t features;
	uint32_t k;

	for (k = 0; k < f->n_stmts && !f->stmts[k].cpus.n; k++)
		;
	if (k == f->n_stmts ||
	    (build_mode(c->p, part->ifname) != SLUICE_MODE_GENERIC &&
	     (!c->genl.sock || net_xdp_features(&c->genl, part->ifindex, &features, NULL) ||
	      features & NET_XDP_BASIC)))
		return;
	w = policy_where(c->p, f->stmts[k].pos);
	snprintf(name, sizeof(name), "%s", part->ifname);
	snprintf(
		text, sizeof(text),
		"%.300s:%u: %s is in generic mode, in which the kernel loses packets that are sent to another CPU, but for those behind "
		"GRO; the interface's rps_cpus spreads them without a rule",
		w.path, w.line, text_harmless(name));
	c->say(c->arg, text);
}

void redirects_care(const struct policy *p, const struct control_generation *g,
		    void (*say)(void *arg, const char *sentence), void *arg)
{
	struct care c = {.p = p, .g = g, .say = say, .arg = arg};
	struct if_nameindex *all = any(p) ? if_nameindex() : NULL;
	struct net_nl route;
	char text[800];
	uint32_t i;

	if (all && !net_nl_open(&route, NETLINK_ROUTE, NULL)) {
		for (i = 0; i < g->n_parts; i++)
			look_veth(&c, &route, &g->parts[i]);
		net_nl_close(&route);
	}

	if (all && !net_nl_open(&c.genl, NETLINK_GENERIC, NULL))
		for (i = 0; all[i].if_index; i++)
			if (is_target(p, g, all[i].if_name) && look(&c, &all[i], text, sizeof(text)))
				say(arg, text);
	for (i = 0; all && i < g->n_parts; i++)
		look_generic(&c, &g->parts[i]);
	net_nl_close(&c.genl);
	if (all)
		if_freenameindex(all);
}
