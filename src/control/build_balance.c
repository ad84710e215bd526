// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balance blocks of a generation that is made: its memory, and a program for each interface. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/balance.h"
#include "control/balance_hops.h"
#include "control/balance_live.h"
#include "control/balance_nat.h"
#include "control/build.h"
#include "control/build_inside.h"
#include "control/carry_nat.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/status.h"

#define WAYS_WAIT_NS 300000000u /* for neighbours that have to be asked for */

static const enum control_map pinned[BALANCE_MAPS] = {CONTROL_BALANCE_MEMORY, CONTROL_BALANCE_FLOWS, CONTROL_BALANCE_FRAGMENTS,
						      CONTROL_BALANCE_COUNTS, CONTROL_BALANCE_REASONS};

struct balancer {
	const struct build *b;
	struct balance_live *live;
	struct balance_config config;
	int maps[BALANCE_MAPS];
	struct balance_model model; /* services that translate, and whose addresses those are */
	struct nat_config nat;
	int nat_maps[CONTROL_BALANCE_NAT_MAPS];
	uint32_t on[BALANCE_SERVICES]; /* bits of the interfaces of each service */
};

static bool translates(const struct balancer *n)
{
	return n->nat.n_addrs[0] || n->nat.n_addrs[1];
}

static uint32_t *places_of(struct balancer *n)
{
	uint32_t i;

	for (i = 0; i < n->b->p->n_balances && i < BALANCE_SERVICES; i++)
		n->on[i] = build_bits(n->b->g, i);
	return n->on;
}

/* What the programs made for themselves is for those of the other interfaces, too. */
static int keep_maps(struct balancer *n, const struct control_balance *c)
{
	int fd, e = 0;
	uint32_t i;

	for (i = 0; i < CONTROL_BALANCE_NAT_MAPS && translates(n) && !e; i++) {
		fd = sluice_object_map_fd(c->obj, control_balance_nat_maps[i], n->b->err);
		e = fd < 0 ? fd : build_pin_name(n->b, fd, control_balance_nat_maps[i]);
		if (!e && n->nat_maps[i] < 0)
			n->nat_maps[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	for (i = 0; i < BALANCE_MAPS && !e; i++) {
		fd = sluice_object_map_fd(c->obj, control_balance_map_name(i), n->b->err);
		e = fd < 0 ? fd : build_pin(n->b, fd, pinned[i], 0);
		if (e)
			continue;
		if (n->maps[i] >= 0)
			close(n->maps[i]);
		n->maps[i] = control_state_map(n->b->st, n->b->g->name, pinned[i], 0, n->b->err);
		e = n->maps[i] < 0 ? n->maps[i] : 0;
	}
	return e;
}

static int write_report(const struct balancer *n, uint32_t bit)
{
	struct control_balance_report r = {.bytes = tables_bytes(balance_live_tables(n->live))};
	const struct balance_model *m = &n->b->p->services;
	char name[32];
	uint32_t i;

	for (i = 0; i < m->n_services; i++) {
		if (!(n->on[i] & 1u << bit))
			continue;
		r.n_services++;
		r.n_virtuals += (uint32_t)m->services[i]->n_virtuals;
		r.n_backends += (uint32_t)m->services[i]->n_backends;
	}
	snprintf(name, sizeof(name), "services_%u", bit);
	return files_write(n->b->dir, name, &r, sizeof(r), false, n->b->err);
}

static int build_part(struct balancer *n, uint32_t part)
{
	struct control_balance_opts opts = {.on = 1u << n->b->g->parts[part].filter,
					    .flows_fd = -1,
					    .nat = &n->nat,
					    .nat_fds = n->nat_maps};
	const struct code *code = NULL;
	struct control_balance c;
	int e = control_balance_load_code(balance_live_tables(n->live), &opts, n->maps, &c, &code, n->b->err);

	n->config = c.config;
	e = e ?: keep_maps(n, &c);
	e = e ?: build_keep_code(n->b, code, part);
	e = e ?: write_report(n, n->b->g->parts[part].filter);
	if (e)
		err_prefix(n->b->err, "the balancer on %s", n->b->g->parts[part].ifname);
	control_balance_close(&c);
	return e;
}

/*
 * What the live generation knows of translated flows goes on in the same maps, where it can: a family's flows, the ways to clients,
 * packets in fragments, all by the numbers of places, which stay. Else it is copied when programs are switched (carry_nat()).
 */
static void take_nat_maps(struct balancer *n, const struct nat_config *before)
{
	const struct control_state *st = n->b->st;
	char path[PATH_MAX];
	uint32_t i;

	for (i = 0; i < CONTROL_BALANCE_NAT_MAPS; i++)
		if (i < 2)
			n->nat_maps[i] = carry_nat_map(st, before, &n->nat, i, !n->b->g->number);
		else if (snprintf(path, sizeof(path), "%s/%s/%s", st->pins, st->record.live,
				  control_balance_nat_maps[i]) < (int)sizeof(path))
			n->nat_maps[i] = bpf_obj_get(path);
}

/* Addresses that packets are translated to. Those that stay have the same numbers as before. */
static int plan_nat(struct balancer *n)
{
	const struct balance_model *m = &n->model;
	const struct control_state *st = n->b->st;
	const struct balance_service *whose = NULL;
	const char *live = st->record.live;
	struct nat_config before;
	struct sluice_err why = {0};
	bool known = live[0] && !build_struct(st, live, "nat", 0, &before, sizeof(before), NULL);
	size_t i;
	int e = nat_plan(m, known ? &before : NULL, &n->nat, &whose, &why), number;

	for (i = 0; i < m->n_services && !e; i++) {
		number = tables_service(balance_live_tables(n->live), m->services[i]->name);
		if (m->services[i]->mode != BALANCE_NAT || number < 0)
			continue;
		whose = m->services[i];
		e = nat_service(&n->nat, (uint32_t)number, whose, &why);
	}
	if (e)
		return err_set(n->b->err, e, "balance %s: %.1000s", whose ? whose->name : "?", why.text);
	if (known)
		take_nat_maps(n, &before);
	return files_write(n->b->dir, "nat_0", &n->nat, sizeof(n->nat), false, n->b->err);
}

/* Flows and counters go on: their maps do, where numbers stay. */
static void take_maps(struct balancer *n)
{
	const char *live = n->b->st->record.live;
	uint32_t i;

	for (i = BALANCE_MAP_FLOWS; i < BALANCE_MAPS; i++) {
		if (!live[0] || (i >= BALANCE_MAP_COUNTS && !balance_live_follows(n->live)))
			continue;
		n->maps[i] = control_state_map(n->b->st, live, pinned[i], 0, NULL);
		n->maps[i] = n->maps[i] < 0 ? -1 : n->maps[i];
	}
}

struct unreached {
	struct sluice_err first;
	uint32_t n;
};

static void say_unreached(void *ctx, const char *sentence)
{
	struct unreached *u = ctx;

	if (!u->n++)
		err_set(&u->first, -EHOSTUNREACH, "%s", sentence);
}

/* A backend that cannot be reached is no reason against the policy: it may come. */
static void find_ways(const struct balancer *n)
{
	struct unreached u = {.n = 0};
	struct sluice_err why = {0};
	char what[48];

	if (control_balance_ways(n->b->st, n->live, WAYS_WAIT_NS, say_unreached, &u, &why))
		control_warn(n->b->st, &why, "packets to backends are looked up one by one");
	snprintf(what, sizeof(what), "%u backend%s out of reach", u.n, u.n == 1 ? "" : "s");
	if (u.n)
		control_warn(n->b->st, &u.first, what);
}

/* A dry run has no place in the sequence of generations. */
static int place(const struct balancer *n)
{
	const struct balance_maps maps = {n->maps[BALANCE_MAP_MEMORY], n->maps[BALANCE_MAP_FLOWS],
					  n->maps[BALANCE_MAP_FRAGMENTS], n->maps[BALANCE_MAP_COUNTS],
					  n->maps[BALANCE_MAP_REASONS]};
	int e;

	if (!n->b->g->number)
		return 0;
	e = balance_live_place(n->live, n->b->g->name, n->b->dir, &n->config, &maps, n->b->err);
	if (!e)
		find_ways(n);
	return e;
}

int build_balance(const struct build *b)
{
	struct balancer n = {.b = b, .maps = {-1, -1, -1, -1, -1}, .nat_maps = {-1, -1, -1, -1, -1}};
	uint32_t i;
	int e;

	if (b->g->n_all == b->g->n_parts)
		return 0;
	e = balance_live_prepare(b->st, b->p, places_of(&n), b->st->record.live, clock_mono_ns(), &n.live, b->err);
	if (!e)
		take_maps(&n);
	e = e ?: build_own(&b->p->services, &n.model, b->err);
	e = e ?: plan_nat(&n);
	for (i = b->g->n_parts; i < b->g->n_all && !e; i++)
		e = build_part(&n, i);
	e = e ?: place(&n);
	for (i = 0; i < BALANCE_MAPS; i++)
		if (n.maps[i] >= 0)
			close(n.maps[i]);
	for (i = 0; i < CONTROL_BALANCE_NAT_MAPS; i++)
		if (n.nat_maps[i] >= 0)
			close(n.nat_maps[i]);
	balance_model_free(&n.model);
	balance_live_close(n.live);
	return e;
}
