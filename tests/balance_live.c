// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * balance-live IF[,IF...] POLICY   the services of a policy on the chains of interfaces of this network namespace, with one
 *                                  memory and one flow table. Lines on standard input change it, each is answered by one:
 *     load POLICY                  other services
 *     drain|down|up SERVICE ADDRESS
 *     counts                       what was counted: lines, then "."
 *     (end)                        it comes off
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sluice/chain.h>

#include "base/clock.h"
#include "bpf/seam.h"
#include "control/balance.h"
#include "net/ifs.h"
#include "policy/policy.h"

#define MEMBER "balance"

static const char *const reason_names[BALANCE_REASONS] = {
	[BALANCE_DROP_NO_BACKEND] = "no_backend",
	[BALANCE_DROP_NO_FIRST] = "no_first",
	[BALANCE_DROP_DAMAGED] = "damaged",
	[BALANCE_DROP_TOO_BIG] = "too_big",
	[BALANCE_DROP_NO_ROUTE] = "no_route",
	[BALANCE_DROP_NO_NEIGH] = "no_neigh",
	[BALANCE_DROP_HEADROOM] = "headroom",
	[BALANCE_DROP_MODE] = "mode",
	[BALANCE_DROP_TABLES] = "tables",
	[BALANCE_DROP_TOO_BIG_TOLD] = "too_big_told",
	[BALANCE_NOTE_FULL] = "full",
	[BALANCE_NOTE_LOOKUP] = "lookup",
};

static struct control_balance balancer;
static struct tables *tables;
static struct policy *policy;

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "balance-live: %s: %s\n", what, why);
	exit(1);
}

static void answer(const char *text)
{
	printf("%s\n", text);
	fflush(stdout);
}

static void change(const char *what)
{
	struct sluice_err err;

	if (tables_change(tables, &policy->services, NULL, clock_mono_ns(), NULL, &err))
		die(what, err.text);
	answer("done");
}

static void load(const char *path)
{
	struct policy *old = policy;
	struct sluice_err err;

	if (policy_read(path, NULL, &policy, &err))
		die(path, err.text);
	change(path);
	policy_free(old);
}

static void set(const char *word, const char *service, const char *text)
{
	struct balance_service *s = balance_service_find(&policy->services, service);
	struct sluice_err err;
	struct net_addr a;
	size_t i, n = 0;

	if (!s || net_addr_parse(text, &a, &err))
		die(service, "no such service or address");
	for (i = 0; i < s->n_backends; i++) {
		struct balance_backend *b = &s->backends[i];

		if (b->addr.v6 != a.v6 || memcmp(b->addr.bytes, a.bytes, 16) != 0)
			continue;
		n++;
		if (!strcmp(word, "drain"))
			b->drain = true;
		else
			b->health = strcmp(word, "up") ? BALANCE_DOWN : BALANCE_UP;
	}
	if (!n)
		die(text, "no such backend");
	change(text);
}

static void counts(void)
{
	const struct balance_model *m = &policy->services;
	struct balance_reasons r;
	struct balance_count c;
	struct sluice_err err;
	uint32_t i, k;
	int s;

	for (i = 0; i < m->n_services; i++) {
		s = tables_service(tables, m->services[i]->name);
		for (k = 1; k < tables_ring(tables, (uint32_t)s)->n_backends; k++) {
			if (control_balance_count(&balancer, tables_first(tables, (uint32_t)s) + k, &c, &err))
				die("counters", err.text);
			printf("%s backend %u packets %llu opened %llu known %llu\n", m->services[i]->name, k,
			       (unsigned long long)c.packets, (unsigned long long)c.opened,
			       (unsigned long long)c.known);
		}
		if (control_balance_reasons(&balancer, (uint32_t)s, &r, &err))
			die("reasons", err.text);
		for (k = 0; k < BALANCE_REASONS; k++)
			if (r.n[k])
				printf("%s %s %llu\n", m->services[i]->name, reason_names[k] ?: "other",
				       (unsigned long long)r.n[k]);
	}
	answer(".");
}

static void commands(void)
{
	char line[256], word[16], first[128], second[64];
	int n;

	while (fgets(line, sizeof(line), stdin)) {
		n = sscanf(line, "%15s %127s %63s", word, first, second);
		if (n == 1 && !strcmp(word, "counts"))
			counts();
		else if (n == 2 && !strcmp(word, "load"))
			load(first);
		else if (n == 3)
			set(word, first, second);
		else
			die(line, "what is that?");
	}
}

int main(int argc, char **argv)
{
	static const char *const member = MEMBER;
	struct sluice_member m = {.name = MEMBER, .priority = -1, .go_on = -1};
	struct control_balance_opts opts = {.flows_fd = -1};
	struct sluice_err err;
	struct tables_room room;
	struct net_if *ifs;
	size_t n_ifs, i;

	if (argc != 3)
		die("usage", "see the head of balance_live.c");
	if (net_ifs_find(argv[1], &ifs, &n_ifs, &err) || policy_read(argv[2], NULL, &policy, &err))
		die(argv[2], err.text);
	tables_room(&policy->services, &room);
	room.targets += 64;
	if (tables_new(&room, policy->services.seed, &tables, &err) ||
	    control_balance_load(tables, &opts, &balancer, &err) ||
	    sluice_object_program(balancer.obj, MEMBER, &m.prog, &err) ||
	    tables_change(tables, &policy->services, NULL, clock_mono_ns(), NULL, &err))
		die(argv[2], err.text);
	for (i = 0; i < n_ifs; i++)
		if (sluice_chain_attach(ifs[i].index, &m, 1, NULL, NULL, &err))
			die(ifs[i].name, err.text);
	answer("done");
	commands();
	for (i = 0; i < n_ifs; i++)
		if (sluice_chain_detach(ifs[i].index, &member, 1, NULL, &err))
			fprintf(stderr, "%s: %s\n", ifs[i].name, err.text);
	free(ifs);
	control_balance_close(&balancer);
	tables_free(tables);
	policy_free(policy);
	return 0;
}
