// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ways to backends, by route and neighbour. */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/balance_ways.h"
#include "net/dev.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define AT_A_TIME 256u	    /* look-ups in a turn: some 3 ms */
#define ASK_AGAIN_NS SECOND /* for one that did not answer, doubled up to WAYS_ASK_NS */
#define QUIET_NS (50 * MS)  /* routes are looked up again so long after a change of them at the earliest, */
#define QUIET_TIMES 10u /* and so many times as long as it takes, so that a router that learns has the CPU */
#define IN_VAIN 3u	/* a neighbour that was asked for so often is not there */
#define BUCKETS 4096u

/* An interface as it was last seen. */
struct link {
	int index;
	uint32_t mtu;
	uint8_t mac[6];
	bool can_send;
};

struct entry;

/* A neighbour that ways lead to. */
struct neighbour {
	struct neighbour *next; /* of the bucket */
	int index;
	struct net_addr addr;
	struct net_neigh
		is; /* has_mac: also what was known, until it is certain that it is not so any more */
	bool sure;
	uint64_t ask_ns; /* when it is asked for again */
	uint64_t pause_ns;
	uint32_t asked; /* times without an answer */
	struct entry *entries;
};

struct entry {
	struct way way;
	struct neighbour *via;	   /* NULL: none */
	struct entry *next, *prev; /* of the same neighbour */
	bool dirty;
};

struct ways {
	struct net_nl ask, watch;
	bool watching;
	struct entry **v;      /* by address */
	size_t n, n_dirty, at; /* at: where to look for dirty ones */
	struct neighbour *buckets[BUCKETS];
	struct link *links;
	size_t n_links;
	uint64_t tick_ns;	       /* when neighbours are looked through next */
	bool lost;		       /* notifications were, so all of them */
	uint64_t again_ns;	       /* when all routes are looked up again; 0: not */
	uint64_t pass_ns, pass_end_ns; /* how long that took last, and its end */
	void (*changed)(void *arg, const struct way *way);
	void *arg;
};

int ways_new(bool watch, struct ways **to, struct sluice_err *err)
{
	struct ways *w = calloc(1, sizeof(*w));
	int e;

	*to = NULL;
	if (!w)
		return err_nomem(err);
	e = net_nl_open(&w->ask, NETLINK_ROUTE, err);
	if (!e && watch) {
		e = net_way_watch(&w->watch, err);
		w->watching = true;
	}
	if (e)
		ways_free(w);
	else
		*to = w;
	return e;
}

static unsigned int bucket_of(int index, const struct net_addr *a)
{
	uint64_t hi, lo;

	net_addr_words(a, &hi, &lo);
	return (unsigned int)((hi * 31 + lo * 7 + (unsigned int)index) * UINT64_C(0x9e3779b97f4a7c15) >> 52) %
	       BUCKETS;
}

static struct neighbour **neighbour_at(struct ways *w, int index, const struct net_addr *addr)
{
	struct neighbour **at = &w->buckets[bucket_of(index, addr)];

	while (*at && ((*at)->index != index || !net_addr_same(&(*at)->addr, addr)))
		at = &(*at)->next;
	return at;
}

/* A way leaves its neighbour, which is forgotten behind the last one. */
static void leave(struct ways *w, struct entry *e)
{
	struct neighbour *n = e->via, **at;

	if (!n)
		return;
	*(e->prev ? &e->prev->next : &n->entries) = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->via = NULL;
	if (n->entries)
		return;
	at = neighbour_at(w, n->index, &n->addr);
	*at = n->next;
	free(n);
}

void ways_free(struct ways *w)
{
	size_t i;

	if (!w)
		return;
	for (i = 0; i < w->n; i++) {
		leave(w, w->v[i]);
		free(w->v[i]);
	}
	net_nl_close(&w->ask);
	net_nl_close(&w->watch);
	free(w->links);
	free(w->v);
	free(w);
}

int ways_fd(const struct ways *w)
{
	return w->watching ? mnl_socket_get_fd(w->watch.sock) : -1;
}

int ways_compare(const struct way_want *a, const struct way_want *b)
{
	int order = (a->addr.v6 > b->addr.v6) - (a->addr.v6 < b->addr.v6);

	order = order ? order : memcmp(a->addr.bytes, b->addr.bytes, 16);
	return order ? order : (a->direct > b->direct) - (a->direct < b->direct);
}

static int by_want(const void *a, const void *b)
{
	return ways_compare(a, b);
}

static struct entry *find(const struct ways *w, const struct way_want *want)
{
	size_t lo = 0, hi = w->n, mid;
	int order;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		order = ways_compare(&w->v[mid]->way.to, want);
		if (!order)
			return w->v[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct way *ways_find(const struct ways *w, const struct way_want *want)
{
	struct entry *e = find(w, want);

	return e ? &e->way : NULL;
}

static void make_dirty(struct ways *w, struct entry *e)
{
	if (e->dirty)
		return;
	e->dirty = true;
	w->n_dirty++;
}

int ways_want(struct ways *w, const struct way_want *want, size_t n, struct sluice_err *err)
{
	struct way_want *sorted = malloc((n + 1) * sizeof(*sorted));
	struct entry **v = calloc(n + 1, sizeof(struct entry *));
	bool *fresh = calloc(n + 1, sizeof(*fresh));
	size_t i, k, m = 0;
	int e = 0;

	if (!sorted || !v || !fresh)
		e = err_nomem(err);
	if (!e && n)
		memcpy(sorted, want, n * sizeof(*sorted));
	if (!e)
		qsort(sorted, n, sizeof(*sorted), by_want);
	for (i = 0; !e && i < n; i++)
		if (!m || ways_compare(&sorted[m - 1], &sorted[i]))
			sorted[m++] = sorted[i];
	if (!e && m > WAYS_MAX)
		e = err_set(err, -ENOSPC, "%zu addresses of backends, ways are looked up to %u at most", m,
			    WAYS_MAX);
	for (i = 0; !e && i < m; i++) {
		v[i] = find(w, &sorted[i]);
		fresh[i] = !v[i];
		v[i] = v[i] ? v[i] : calloc(1, sizeof(struct entry));
		if (!v[i])
			e = err_nomem(err);
		else if (fresh[i])
			v[i]->way.to = sorted[i];
	}
	if (e) {
		for (i = 0; v && fresh && i < m && v[i]; i++)
			if (fresh[i])
				free(v[i]);
		free(v);
	} else {
		for (i = k = 0; i < w->n; i++) {
			while (k < m && ways_compare(&v[k]->way.to, &w->v[i]->way.to) < 0)
				k++;
			if (k < m && v[k] == w->v[i])
				continue;
			w->n_dirty -= w->v[i]->dirty;
			leave(w, w->v[i]);
			free(w->v[i]);
		}
		free(w->v);
		w->v = v;
		w->n = m;
		w->at = 0;
		for (i = 0; i < m; i++)
			if (fresh[i])
				make_dirty(w, v[i]);
	}
	free(sorted);
	free(fresh);
	return e;
}

/* What is known of an interface; NULL: it is not there, or there is no memory. */
static const struct link *link_of(struct ways *w, int index)
{
	struct net_dev dev;
	struct link *l;
	size_t i;

	for (i = 0; i < w->n_links; i++)
		if (w->links[i].index == index)
			return &w->links[i];
	if (net_dev_read(&w->ask, index, NULL, &dev, NULL))
		return NULL;
	l = realloc(w->links, (w->n_links + 1) * sizeof(*l));
	if (!l)
		return NULL;
	w->links = l;
	l += w->n_links++;
	*l = (struct link){.index = index,
			   .mtu = dev.info.mtu,
			   .can_send = dev.has_mac && dev.info.flags & IFF_UP && !dev.info.is_loopback};
	memcpy(l->mac, dev.mac, 6);
	return l;
}

/* From what is known to a hop; tells if it is another one. */
static void conclude(struct ways *w, struct entry *e, enum way_state state)
{
	const struct link *l = NULL;
	struct balance_hop hop = {0};
	struct way *way = &e->way;
	const struct net_neigh *n = e->via ? &e->via->is : NULL;

	if (n) {
		l = link_of(w, e->via->index);
		state = !l || !l->can_send				    ? WAY_DEVICE
			: n->has_mac					    ? WAY_READY
			: n->state & NUD_FAILED || e->via->asked >= IN_VAIN ? WAY_SILENT
									    : WAY_ASKED;
	}
	if (state == WAY_READY) {
		hop.ifindex = (uint32_t)l->index;
		hop.mtu = way->route.mtu && way->route.mtu < l->mtu ? way->route.mtu : l->mtu;
		memcpy(hop.dmac, n->mac, 6);
		memcpy(hop.smac, l->mac, 6);
	}
	if (state == way->state && !memcmp(&hop, &way->hop, sizeof(hop)))
		return;
	way->state = state;
	way->hop = hop;
	if (w->changed)
		w->changed(w->arg, way);
}

static void conclude_all(struct ways *w, struct neighbour *n)
{
	struct entry *e;

	for (e = n->entries; e; e = e->next)
		conclude(w, e, WAY_ASKED);
}

/*
 * What the kernel knows of a neighbour. An entry that was thrown away (there were too many, or somebody cleaned up) is
 * no reason to drop packets, and looks like one that has failed: its address stands until the neighbour was asked in vain.
 */
static void take_neigh(struct neighbour *n, const struct net_neigh *is)
{
	struct net_neigh before = n->is;

	n->is = *is;
	n->sure = is->has_mac;
	if (n->sure) {
		n->asked = 0;
		n->pause_ns = 0;
	} else if (before.has_mac && n->asked < (is->state & NUD_FAILED ? 1 : IN_VAIN)) {
		n->is.has_mac = true;
		memcpy(n->is.mac, before.mac, 6);
	}
}

static int ask(struct ways *w, struct neighbour *n, uint64_t now, struct sluice_err *err)
{
	int e = net_way_ask(&w->ask, n->index, &n->addr, err);

	n->asked += !n->sure;
	n->pause_ns = n->sure ? WAYS_ASK_NS : n->pause_ns ? n->pause_ns * 2 : ASK_AGAIN_NS;
	if (n->pause_ns > WAYS_ASK_NS)
		n->pause_ns = WAYS_ASK_NS;
	n->ask_ns = now + n->pause_ns;
	/* an interface that went meanwhile, or is down, is told of by itself */
	return e == -EPERM ? err_prefix(err, "asking for a neighbour") : 0;
}

/* The neighbour of an entry's route, made known if it is a new one. */
static int join(struct ways *w, struct entry *e, uint64_t now, struct sluice_err *err)
{
	struct neighbour **at = neighbour_at(w, e->way.route.index, &e->way.route.via), *n = *at;
	struct net_neigh is;
	int code = 0;

	if (e->via && e->via == n)
		return 0;
	leave(w, e);
	at = neighbour_at(w, e->way.route.index, &e->way.route.via);
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return err_nomem(err);
		n->index = e->way.route.index;
		n->addr = e->way.route.via;
		*at = n;
	}
	e->via = n;
	e->prev = NULL;
	e->next = n->entries;
	if (e->next)
		e->next->prev = e;
	n->entries = e;
	if (e->next)
		return 0;
	code = net_way_neigh(&w->ask, n->index, &n->addr, &is, err);
	take_neigh(n, &is);
	n->ask_ns = now + WAYS_ASK_NS;
	if (!code && !n->sure)
		code = ask(w, n, now, err);
	return code;
}

static int look_up(struct ways *w, struct entry *e, uint64_t now, struct sluice_err *err)
{
	enum way_state state = WAY_NEW;
	int code = net_way_route(&w->ask, &e->way.to.addr, &e->way.route, NULL);

	e->dirty = false;
	w->n_dirty--;
	if (code)
		state = WAY_NO_ROUTE;
	else if (e->way.route.type == RTN_LOCAL)
		state = WAY_LOCAL;
	else if (e->way.to.direct && e->way.route.has_router)
		state = WAY_ROUTER;
	if (code == -ENOMEM || code == -ENOBUFS)
		return err_nomem(err);
	if (state != WAY_NEW) {
		leave(w, e);
		code = 0;
	} else {
		code = join(w, e, now, err);
	}
	conclude(w, e, state);
	return code;
}

static void all_again(struct ways *w, uint64_t now)
{
	uint64_t at = now + QUIET_NS, busy = w->pass_end_ns + QUIET_TIMES * w->pass_ns;

	if (!w->again_ns)
		w->again_ns = at > busy ? at : busy;
}

static void take_event(void *arg, const struct net_way_event *ev)
{
	uint64_t now = clock_mono_ns();
	struct ways *w = arg;
	struct neighbour *n;
	size_t i;

	switch (ev->what) {
	case NET_WAY_NEIGH:
		n = *neighbour_at(w, ev->index, &ev->addr);
		if (!n)
			return;
		take_neigh(n, &ev->neigh);
		if (!n->sure && !n->asked)
			n->ask_ns = w->tick_ns = now;
		else if (!n->sure && n->ask_ns > now + ASK_AGAIN_NS)
			n->ask_ns = now + ASK_AGAIN_NS;
		conclude_all(w, n);
		return;
	case NET_WAY_LINK:
		for (i = 0; i < w->n_links; i++)
			if (w->links[i].index == ev->index)
				w->links[i--] = w->links[--w->n_links];
		all_again(w, now);
		return;
	case NET_WAY_LOST:
		w->n_links = 0;
		w->lost = true;
		all_again(w, now);
		return;
	case NET_WAY_ROUTES:
		all_again(w, now);
		return;
	}
}

/* Once a second: those whose time it is are looked up, and asked for. */
static int tick(struct ways *w, uint64_t now, struct sluice_err *err)
{
	struct neighbour *n;
	struct net_neigh is;
	unsigned int i;
	int e = 0;

	for (i = 0; i < BUCKETS; i++)
		for (n = w->buckets[i]; n && !e; n = n->next) {
			if (now < n->ask_ns && !w->lost)
				continue;
			e = net_way_neigh(&w->ask, n->index, &n->addr, &is, err);
			if (e)
				break;
			take_neigh(n, &is);
			if (is.state & (NUD_PERMANENT | NUD_NOARP))
				n->ask_ns = now + WAYS_ASK_NS;
			else if (now >= n->ask_ns)
				e = ask(w, n, now, err);
			conclude_all(w, n);
		}
	w->lost = false;
	w->tick_ns = now + SECOND;
	return e;
}

int ways_turn(struct ways *w, void (*changed)(void *arg, const struct way *way), void *arg, uint64_t *wait_ns,
	      struct sluice_err *err)
{
	uint64_t now = clock_mono_ns();
	size_t i, done;
	int e = 0;

	w->changed = changed;
	w->arg = arg;
	*wait_ns = SECOND;
	if (w->watching)
		e = net_way_read(&w->watch, take_event, w, err);
	if (!e && (now >= w->tick_ns || w->lost))
		e = tick(w, now, err);
	if (!e && w->again_ns && now >= w->again_ns) {
		w->again_ns = 0;
		w->pass_ns = 0;
		w->n_links = 0;
		for (i = 0; i < w->n; i++)
			make_dirty(w, w->v[i]);
	}
	for (done = 0; !e && w->n_dirty && done < AT_A_TIME; w->at = w->at + 1 < w->n ? w->at + 1 : 0) {
		if (!w->v[w->at]->dirty)
			continue;
		e = look_up(w, w->v[w->at], now, err);
		done++;
	}
	if (done) {
		w->pass_end_ns = clock_mono_ns();
		w->pass_ns += w->pass_end_ns - now;
	}
	if (w->n_dirty)
		*wait_ns = 0;
	else if (w->again_ns)
		*wait_ns = w->again_ns > now ? w->again_ns - now : 0;
	if (w->tick_ns < now + *wait_ns)
		*wait_ns = w->tick_ns > now ? w->tick_ns - now : 0;
	return e;
}

static bool is_settled(const struct ways *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->v[i]->way.state == WAY_NEW || w->v[i]->way.state == WAY_ASKED)
			return false;
	return true;
}

int ways_settle(struct ways *w, uint64_t wait_ns, struct sluice_err *err)
{
	uint64_t end = clock_mono_ns() + wait_ns, next;
	struct pollfd p = {.fd = ways_fd(w), .events = POLLIN};
	int e;

	for (;;) {
		e = ways_turn(w, NULL, NULL, &next, err);
		if (e || (!w->n_dirty && (is_settled(w) || clock_mono_ns() >= end)))
			return e;
		if (!w->n_dirty)
			poll(&p, 1, 20);
	}
}

char *ways_say(const struct way *way, char to[WAYS_TEXT])
{
	char name[IF_NAMESIZE], via[NET_ADDR_TEXT];

	if (!way->route.index || !if_indextoname((unsigned int)way->route.index, name))
		snprintf(name, sizeof(name), "an interface");
	net_addr_format(&way->route.via, via, sizeof(via));
	switch (way->state) {
	case WAY_NEW:
		snprintf(to, WAYS_TEXT, "has not been looked up yet");
		break;
	case WAY_READY:
		snprintf(to, WAYS_TEXT, "is reached by %s through %s", via, name);
		break;
	case WAY_ASKED:
	case WAY_SILENT:
		snprintf(to, WAYS_TEXT, "cannot be reached: %s does not answer on %s", via, name);
		break;
	case WAY_NO_ROUTE:
		snprintf(to, WAYS_TEXT, "cannot be reached: there is no route to it");
		break;
	case WAY_LOCAL:
		snprintf(to, WAYS_TEXT, "is an address of this host: packets do not leave it");
		break;
	case WAY_ROUTER:
		snprintf(to, WAYS_TEXT,
			 "is behind the router %s: 'forward l2' needs it in a network of this host's", via);
		break;
	case WAY_DEVICE:
		snprintf(to, WAYS_TEXT, "cannot be reached: %s is down or gone, or has no MAC addresses",
			 name);
		break;
	}
	return to;
}
