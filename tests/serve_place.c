// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Puts the balancer of a policy into force without a program on any interface, and shows what packets would meet, so
 * that the daemon can be tried without packets.
 *
 *   serve-place put CONF...   each in turn is in force; their records follow each other at once
 *   serve-place show          a line each backend: SERVICE ADDRESS up|down SAID-BY SLOTS IFACE-OF-WAY
 *   serve-place down          no policy is in force
 *   serve-place lock SECONDS  holds the lock
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/clock.h"
#include "control/balance.h"
#include "control/balance_live.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/store.h"

static struct sluice_err err;

static void must(int code, const char *what)
{
	if (!code)
		return;
	fprintf(stderr, "serve-place: %s: %s\n", what, err.text);
	exit(1);
}

static int pinned(const struct control_state *st, const struct control_balance *cb, const char *generation,
		  enum control_map map, const char *name)
{
	char path[PATH_MAX], word[32];
	int fd = sluice_object_map_fd(cb->obj, name, &err);

	control_map_name(map, 0, word);
	snprintf(path, sizeof(path), "%s/%s/%s", st->pins, generation, word);
	must(fd < 0 ? fd : 0, name);
	must(bpf_obj_pin(fd, path), path);
	return fd;
}

static void put(struct control_state *st, const char *conf)
{
	char dir[PATH_MAX], pins[PATH_MAX], path[PATH_MAX];
	struct control_generation g = {.n_filters = 0};
	struct balance_live *b;
	struct control_balance cb;
	struct store_policy p;
	struct store_entry entry;
	struct balance_maps maps;

	must(control_state_lock(st, CONTROL_WAIT_NS, &err), "lock");
	must(realpath(conf, path) ? 0 : -1, conf);
	must(store_read(st, path, NULL, true, &p, &err), conf);
	must(store_name(st, &p, NULL, &entry, &err) ?: store_put(st, &p, &entry, &err), "store");
	snprintf(g.name, sizeof(g.name), "%s", entry.name);
	snprintf(g.hash, sizeof(g.hash), "%s", p.hash);
	snprintf(g.path, sizeof(g.path), "%s", path);
	g.number = entry.number;
	must(control_generation_write(st, &g, &err) ?: control_generation_dir(st, g.name, dir, &err),
	     "generation");
	snprintf(pins, sizeof(pins), "%s/%s", st->pins, g.name);
	must(files_mkdir(pins, &err), "pins");
	must(balance_live_prepare(st, p.policy, NULL, st->record.live, clock_mono_ns(), &b, &err), "prepare");
	must(control_balance_load(balance_live_tables(b), NULL, &cb, &err), "load");
	maps.memory = pinned(st, &cb, g.name, CONTROL_BALANCE_MEMORY, "balance_tables");
	maps.flows = pinned(st, &cb, g.name, CONTROL_BALANCE_FLOWS, "balance_flows");
	maps.fragments = pinned(st, &cb, g.name, CONTROL_BALANCE_FRAGMENTS, "balance_fragments");
	maps.counts = pinned(st, &cb, g.name, CONTROL_BALANCE_COUNTS, "balance_counts");
	maps.reasons = pinned(st, &cb, g.name, CONTROL_BALANCE_REASONS, "balance_reasons");
	must(balance_live_place(b, g.name, dir, &cb.config, &maps, &err), "place");
	snprintf(st->record.before, sizeof(st->record.before), "%s", st->record.live);
	snprintf(st->record.live, sizeof(st->record.live), "%s", g.name);
	must(control_state_record(st, &err), "record");
	balance_live_close(b);
	control_balance_close(&cb);
	store_free(&p);
	control_state_unlock(st);
}

static void show(struct control_state *st)
{
	static const char *const who[] = {"nobody", "operator", "health"};
	const struct balance_model *m;
	struct balance_live_service v;
	struct balance_live_backend k;
	char addr[NET_ADDR_TEXT], name[IF_NAMESIZE];
	struct balance_live *b;
	uint32_t i, j;

	must(balance_live_open(st, NULL, &b, &err), "open");
	m = balance_live_model(b);
	for (i = 0; i < m->n_services; i++) {
		v = (struct balance_live_service){.slots = calloc(m->services[i]->n_backends + 1, 4)};
		must(v.slots ? balance_live_service(b, i, &v, &err) : -1, "service");
		for (j = 0; j < m->services[i]->n_backends; j++) {
			must(balance_live_backend(b, i, j, &k, &err), "backend");
			printf("%s %s %s %s %s %s\n", m->services[i]->name,
			       net_addr_format(&k.policy.addr, addr, sizeof(addr)),
			       k.now.health == BALANCE_UP ? "up" : "down",
			       who[k.set.said[BALANCE_MATTER_HEALTH].who], v.slots[j] ? "slots" : "none",
			       k.way ? if_indextoname(k.hop.ifindex, name) : "-");
		}
		free(v.slots);
	}
	balance_live_close(b);
}

int main(int argc, char **argv)
{
	struct control_state *st;
	int i;

	if (argc < 2)
		return 2;
	must(control_state_open(NULL, true, &st, &err), "state");
	if (!strcmp(argv[1], "put")) {
		for (i = 2; i < argc; i++)
			put(st, argv[i]);
	} else if (!strcmp(argv[1], "show")) {
		show(st);
	} else if (!strcmp(argv[1], "down")) {
		must(control_state_lock(st, CONTROL_WAIT_NS, &err), "lock");
		memset(&st->record, 0, sizeof(st->record));
		must(control_state_record(st, &err), "record");
	} else if (!strcmp(argv[1], "lock") && argc == 3) {
		must(control_state_lock(st, CONTROL_WAIT_NS, &err), "lock");
		puts("locked");
		fflush(stdout);
		usleep((useconds_t)(strtod(argv[2], NULL) * 1e6));
	} else {
		return 2;
	}
	control_state_close(st);
	return 0;
}
