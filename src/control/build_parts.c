// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which filter is on which interface that is there, and in what mode. */
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

static int add(struct control_part **v, uint32_t *n, uint32_t filter, int ifindex, const char *name,
	       struct sluice_err *err)
{
	struct control_part *more = realloc(*v, (*n + 1) * sizeof(*more));

	if (!more)
		return err_nomem(err);
	*v = more;
	more[*n] = (struct control_part){.filter = filter, .ifindex = ifindex};
	snprintf(more[(*n)++].ifname, sizeof(more->ifname), "%s", name);
	return 0;
}

/* Globs leave the loopback out: who means it can say so. */
bool build_names(const struct control_part *on, const char *ifname)
{
	return !strcmp(on->ifname, ifname) ||
	       (is_glob(on->ifname) && strcmp(ifname, "lo") != 0 && !fnmatch(on->ifname, ifname, 0));
}

static int add_interface(const struct policy *p, struct control_generation *g, const struct if_nameindex *i,
			 struct sluice_err *err)
{
	struct policy_where first, second;
	const struct control_part *found = NULL;
	uint32_t k;

	for (k = 0; k < g->n_on; k++) {
		if (!build_names(&g->on[k], i->if_name))
			continue;
		if (found && found->filter != g->on[k].filter) {
			first = policy_where(p, p->filters[found->filter].pos);
			second = policy_where(p, p->filters[g->on[k].filter].pos);
			return err_set(err, -EINVAL, "%s is in two filters, %s:%u and %s:%u: an interface has one",
				       i->if_name, first.path, first.line, second.path, second.line);
		}
		found = &g->on[k];
	}
	return found ? add(&g->parts, &g->n_parts, found->filter, (int)i->if_index, i->if_name, err) : 0;
}

/* All names that are missing at once, as check tells all mistakes at once. */
static int missing(const struct policy *p, struct sluice_err *err)
{
	char list[512] = "";
	size_t n = 0, k = 0;
	uint32_t i, j;

	for (i = 0; i < p->n_filters; i++)
		for (j = 0; j < p->filters[i].on.n; j++) {
			const char *name = p->filters[i].on.v[j].text;

			if (is_glob(name) || if_nametoindex(name))
				continue;
			if (n + 20 < sizeof(list))
				n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", k ? ", " : "", name);
			k++;
		}
	return k ? err_set(err, -ENODEV, "a filter is on %s: there %s no such interface%s here", list,
			   k > 1 ? "are" : "is", k > 1 ? "s" : "") :
		   0;
}

int build_parts(const struct policy *p, bool missing_ok, struct control_generation *g, struct sluice_err *err)
{
	struct if_nameindex *all;
	uint32_t i, j;
	int e = missing_ok ? 0 : missing(p, err);

	g->n_filters = p->n_filters;
	for (i = 0; i < p->n_filters; i++)
		for (j = 0; j < p->filters[i].on.n && !e; j++)
			e = add(&g->on, &g->n_on, i, 0, p->filters[i].on.v[j].text, err);
	if (e)
		return e;
	all = if_nameindex();
	if (!all)
		return err_set(err, -errno, "listing the interfaces: %s", strerror(errno));
	for (i = 0; all[i].if_index && !e; i++)
		e = add_interface(p, g, &all[i], err);
	if_freenameindex(all);
	return e;
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
