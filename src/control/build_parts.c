// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which filter is on which interface that is there, where the balancer is, and in what mode. */
#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/build.h"

static bool is_glob(const char *name)
{
	return strpbrk(name, "*?") != NULL;
}

static int add(struct control_part **v, uint32_t *n, const struct control_part *part, const char *name,
	       struct sluice_err *err)
{
	struct control_part *more = realloc(*v, (*n + 1) * sizeof(*more));

	if (!more)
		return err_nomem(err);
	*v = more;
	more[*n] = *part;
	snprintf(more[(*n)++].ifname, sizeof(more->ifname), "%s", name);
	return 0;
}

/* Globs leave the loopback out: who means it can say so. */
bool build_names(const struct control_part *on, const char *ifname)
{
	return !strcmp(on->ifname, ifname) ||
	       (is_glob(on->ifname) && strcmp(ifname, "lo") != 0 && !fnmatch(on->ifname, ifname, 0));
}

/* What a generation has on an interface that has another name by now. */
static const struct control_part *renamed(const struct control_generation *stays, enum control_kind kind,
					  const struct if_nameindex *i)
{
	uint32_t k;

	for (k = 0; stays && k < stays->n_all; k++)
		if (stays->parts[k].kind == kind && stays->parts[k].ifindex == (int)i->if_index &&
		    strcmp(stays->parts[k].ifname, i->if_name) != 0)
			return &stays->parts[k];
	return NULL;
}

static int add_filter(const struct policy *p, const struct control_generation *stays,
		      struct control_generation *g, const struct if_nameindex *i, struct sluice_err *err)
{
	const struct control_part *was = renamed(stays, CONTROL_FILTER, i);
	struct control_part part = {.kind = CONTROL_FILTER, .ifindex = (int)i->if_index};
	struct policy_where first, second;
	const struct control_part *found = NULL;
	uint32_t k;

	for (k = 0; k < g->n_on; k++) {
		if (g->on[k].kind != CONTROL_FILTER || !build_names(&g->on[k], i->if_name))
			continue;
		if (found && found->filter != g->on[k].filter) {
			first = policy_where(p, p->filters[found->filter].pos);
			second = policy_where(p, p->filters[g->on[k].filter].pos);
			return err_set(err, -EINVAL, "%s is in two filters, %s:%u and %s:%u: an interface has one",
				       i->if_name, first.path, first.line, second.path, second.line);
		}
		found = &g->on[k];
	}
	if (!found && was)
		return add(&g->parts, &g->n_all, was, was->ifname, err);
	part.filter = found ? found->filter : 0;
	return found ? add(&g->parts, &g->n_all, &part, i->if_name, err) : 0;
}

/* One balancer for all blocks of the interface. */
static int add_balancer(const struct control_generation *stays, struct control_generation *g,
			const struct if_nameindex *i, struct sluice_err *err)
{
	const struct control_part *was = renamed(stays, CONTROL_BALANCE, i);
	struct control_part part = {.kind = CONTROL_BALANCE, .ifindex = (int)i->if_index, .filter = g->n_all - g->n_parts};
	uint32_t k;

	for (k = 0; k < g->n_on; k++)
		if (g->on[k].kind == CONTROL_BALANCE && build_names(&g->on[k], i->if_name))
			break;
	if (k == g->n_on && !was)
		return 0;
	if (part.filter == BUILD_BALANCERS)
		return err_set(err, -EINVAL, "balance blocks are on more than %u interfaces, %s among them", BUILD_BALANCERS,
			       i->if_name);
	return add(&g->parts, &g->n_all, &part, k == g->n_on ? was->ifname : i->if_name, err);
}

struct missing {
	char list[512];
	size_t n, k;
	bool filters, balances;
};

static void look(const struct policy_list *on, bool *any, struct missing *m)
{
	const char *name;
	uint32_t j;

	for (j = 0; j < on->n; j++) {
		name = on->v[j].text;
		if (is_glob(name) || if_nametoindex(name))
			continue;
		*any = true;
		if (m->n + 20 < sizeof(m->list))
			m->n += (size_t)snprintf(m->list + m->n, sizeof(m->list) - m->n, "%s%s", m->k ? ", " : "", name);
		m->k++;
	}
}

bool build_alias(const char *name, char own[IF_NAMESIZE])
{
	unsigned int index = if_nametoindex(name);

	return index && if_indextoname(index, own) && strcmp(name, own) != 0;
}

static void add_list(struct buf *to, const struct policy_list *list)
{
	uint32_t i;

	for (i = 0; i < list->n; i++)
		if (!is_glob(list->v[i].text))
			buf_put(to, &list->v[i].text, sizeof(list->v[i].text));
}

static void add_rule(struct buf *to, const struct policy_stmt *s)
{
	const struct policy_match *in = policy_match_of(s, POLICY_IN);

	if (in)
		add_list(to, &in->list);
	if (s->redirect)
		buf_put(to, &s->redirect, sizeof(s->redirect));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int say_aliases(const char *const *v, size_t n, struct sluice_err *err)
{
	char list[512] = "", own[512] = "", name[IF_NAMESIZE];
	size_t i, n_list = 0, n_own = 0;
	bool any = false;

	for (i = 0; i < n; i++) {
		if ((i && !strcmp(v[i - 1], v[i])) || !build_alias(v[i], name) || n_list + 64 > sizeof(list))
			continue;
		n_list += (size_t)snprintf(list + n_list, sizeof(list) - n_list, any ? ", %s of %s" : "%s is another name of %s",
					   v[i], name);
		n_own += (size_t)snprintf(own + n_own, sizeof(own) - n_own, "%s%s", any ? ", " : "", name);
		any = true;
	}
	return any ? err_set(err, -EINVAL, "%s; write %s", list, own) : 0;
}

/* The kernel understands other names of an interface, but shows its own: a filter on such a name would be nowhere. */
static int aliases(const struct policy *p, struct sluice_err *err)
{
	struct buf names = {0};
	uint32_t i, k;
	size_t n;
	int e;

	for (i = 0; i < p->n_filters; i++) {
		add_list(&names, &p->filters[i].on);
		for (k = 0; k < p->filters[i].n_stmts; k++)
			add_rule(&names, &p->filters[i].stmts[k]);
	}
	for (i = 0; i < p->n_balances; i++)
		add_list(&names, &p->balances[i].on);
	for (i = 0; i < p->n_interfaces; i++)
		buf_put(&names, &p->interfaces[i].name, sizeof(p->interfaces[i].name));
	n = names.len / sizeof(const char *);
	if (n && !names.failed)
		qsort(names.data, n, sizeof(const char *), by_text);
	e = names.failed ? err_nomem(err) : say_aliases((const char *const *)(const void *)names.data, n, err);
	buf_free(&names);
	return e;
}

/* All names that are missing at once, as check tells all mistakes at once. */
static int missing(const struct policy *p, struct sluice_err *err)
{
	struct missing m = {.n = 0};
	uint32_t i;

	for (i = 0; i < p->n_filters; i++)
		look(&p->filters[i].on, &m.filters, &m);
	for (i = 0; i < p->n_balances; i++)
		look(&p->balances[i].on, &m.balances, &m);
	return m.k ? err_set(err, -ENODEV, "%s on %s: there %s no such interface%s here",
			     !m.balances ? "a filter is" : m.filters ? "filters and balance blocks are" : "a balance block is",
			     m.list, m.k > 1 ? "are" : "is", m.k > 1 ? "s" : "") :
		     0;
}

static int add_names(struct control_generation *g, enum control_kind kind, uint32_t block, const struct policy_list *on,
		     struct sluice_err *err)
{
	struct control_part part = {.kind = kind, .filter = block};
	uint32_t j;
	int e = 0;

	for (j = 0; j < on->n && !e; j++)
		e = add(&g->on, &g->n_on, &part, on->v[j].text, err);
	return e;
}

int build_parts(const struct policy *p, bool missing_ok, const struct control_generation *stays,
		struct control_generation *g, struct sluice_err *err)
{
	struct if_nameindex *all;
	uint32_t i;
	int e = missing_ok ? 0 : aliases(p, err) ?: missing(p, err);

	g->n_filters = p->n_filters;
	g->n_balances = p->n_balances;
	for (i = 0; i < p->n_filters && !e; i++)
		e = add_names(g, CONTROL_FILTER, i, &p->filters[i].on, err);
	for (i = 0; i < p->n_balances && !e; i++)
		e = add_names(g, CONTROL_BALANCE, i, &p->balances[i].on, err);
	if (e)
		return e;
	all = if_nameindex();
	if (!all)
		return err_set(err, -errno, "listing the interfaces: %s", strerror(errno));
	for (i = 0; all[i].if_index && !e; i++)
		e = add_filter(p, stays, g, &all[i], err);
	g->n_parts = g->n_all;
	for (i = 0; all[i].if_index && !e; i++)
		e = add_balancer(stays, g, &all[i], err);
	if_freenameindex(all);
	return e;
}

uint32_t build_bits(const struct control_generation *g, uint32_t balance)
{
	uint32_t bits = 0, i, k;

	for (i = g->n_parts; i < g->n_all; i++)
		for (k = 0; k < g->n_on; k++)
			if (g->on[k].kind == CONTROL_BALANCE && g->on[k].filter == balance &&
			    build_names(&g->on[k], g->parts[i].ifname))
				bits |= 1u << g->parts[i].filter;
	return bits;
}

enum sluice_mode build_mode(const struct policy *p, const char *ifname)
{
	enum sluice_mode mode;
	uint32_t i;

	for (i = 0; i < p->n_interfaces; i++)
		if (!strcmp(p->interfaces[i].name, ifname) && !sluice_mode_parse(p->interfaces[i].mode, &mode, NULL))
			return mode;
	return SLUICE_MODE_AUTO;
}
