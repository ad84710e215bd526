// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which addresses that packets are translated to Linux opens connections from, too, and which ports it leaves. */
#include <errno.h>
#include <stdio.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "balance/nat.h"
#include "control/build.h"
#include "control/build_inside.h"
#include "net/way.h"

#define PORTS_MIN 1024u /* fewer flows than that are a mistake */

/* The first port of Linux's own connections, of both families; without IPv4 it is the default. */
static uint32_t first_port(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int low = 0;

	if (!f)
		return NAT_PORT_OWN_END;
	if (fscanf(f, "%u", &low) != 1 || !low || low > NAT_PORT_OWN_END)
		low = NAT_PORT_OWN_END;
	fclose(f);
	return low;
}

/* The first of a pool's addresses that is this host's. */
static int find_own(struct net_nl *nl, const struct balance_pool *p, bool *found, struct net_addr *addr,
		    struct sluice_err *err)
{
	struct sluice_err why = {0};
	struct net_way way;
	uint32_t i;
	int e = 0;

	*found = false;
	for (i = 0; i < p->n && !*found && !e; i++) {
		*addr = nat_nth(&p->first, i);
		e = net_way_route(nl, addr, &way, &why);
		*found = !e && way.type == RTN_LOCAL;
		if (e == -ENETUNREACH)
			e = 0;
	}
	return e ? err_set(err, e, "asking whose address that is: %s", why.text) : 0;
}

static int mark(struct net_nl *nl, const char *service, struct balance_pool *p, uint32_t end,
		struct sluice_err *err)
{
	char text[NET_ADDR_TEXT];
	struct net_addr addr;
	bool found;
	int e = find_own(nl, p, &found, &addr, err);

	net_addr_format(&addr, text, sizeof(text));
	if (e) {
		err_prefix(err, "balance %s: %s", service, text);
		return e;
	}
	if (found && end < NAT_PORT_FIRST + PORTS_MIN)
		return err_set(err, -EADDRINUSE,
			       "balance %s: %s is this host's, which takes ports from %u on for itself "
			       "(net.ipv4.ip_local_port_range), so "
			       "that %u are left from %u on, less than %u; translate to another address, or "
			       "let its range begin later",
			       service, text, end, end > NAT_PORT_FIRST ? end - NAT_PORT_FIRST : 0,
			       NAT_PORT_FIRST, PORTS_MIN);
	p->own = found ? end : 0;
	return 0;
}

/* A service's addresses of a family are given out as one: services that have the same in other stretches find the same. */
static void spread(struct balance_service *s, uint32_t end)
{
	bool own[2] = {false, false};
	size_t i;

	for (i = 0; i < s->n_pools; i++)
		own[s->pools[i].first.v6] |= s->pools[i].own != 0;
	for (i = 0; i < s->n_pools; i++)
		s->pools[i].own = own[s->pools[i].first.v6] ? end : 0;
}

int build_own(const struct balance_model *from, struct balance_model *to, struct sluice_err *err)
{
	uint32_t end = first_port();
	struct net_nl nl = {.sock = NULL};
	size_t i, k;
	int e = 0;

	for (i = 0; !e && i < from->n_services; i++) {
		const struct balance_service *f = from->services[i];
		struct balance_service *s;

		if (f->mode != BALANCE_NAT)
			continue;
		s = balance_service_add(to, f->name);
		if (!s) {
			e = err_nomem(err);
			break;
		}
		s->mode = f->mode;
		s->line = f->line;
		if (!nl.sock)
			e = net_nl_open(&nl, NETLINK_ROUTE, err);
		for (k = 0; !e && k < f->n_pools; k++) {
			struct balance_pool *p = balance_pool_add(s, &f->pools[k].first, f->pools[k].n);

			e = p ? mark(&nl, s->name, p, end, err) : err_nomem(err);
		}
		spread(s, end);
	}
	net_nl_close(&nl);
	return e;
}

bool build_own_stays(const struct control_state *st, const char *live, const struct balance_model *m)
{
	struct balance_model now = {.n_services = 0};
	struct nat_config was;
	bool same = !build_own(m, &now, NULL);
	size_t i, k;

	if (same && now.n_services)
		same = !build_struct(st, live, "nat", 0, &was, sizeof(was), NULL);
	for (i = 0; same && i < now.n_services; i++)
		for (k = 0; same && k < now.services[i]->n_pools; k++)
			same = nat_own(&was, &now.services[i]->pools[k].first) ==
			       now.services[i]->pools[k].own;
	balance_model_free(&now);
	return same;
}
