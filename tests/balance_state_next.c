// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Generations of a balancer follow each other: new memory and files, the same flow table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "balance_state_bed.h"
#include "base/clock.h"
#include "control/files.h"

static uint32_t next_backend[N_SERVICES] = {N_BACKENDS, N_BACKENDS, N_BACKENDS};

/* Backends come and go, now and then many; weights are others. */
static void other_policy(struct balance_model *m)
{
	uint32_t i, n;

	for (i = 0; i < m->n_services; i++) {
		struct balance_service *s = m->services[i];

		if (!state_below(3) && s->n_backends > 4)
			s->n_backends--;
		for (n = state_below(8) ? state_below(3) : 60; n && s->n_backends < 300; n--)
			state_add_backend(s, i, next_backend[i]++);
		s->backends[state_below((uint32_t)s->n_backends)].weight = 1 + state_below(5);
	}
}

static struct balance_count *counts_of(struct balance_live *b)
{
	struct balance_count *v = calloc(N_SERVICES * 512ul, sizeof(*v));
	const struct balance_model *m = balance_live_model(b);
	struct sluice_err err;
	uint32_t i, k;

	for (i = 0; v && i < N_SERVICES; i++)
		for (k = 0; k < m->services[i]->n_backends; k++)
			state_must(balance_live_counts(b, i, k, &v[i * 512 + k], &err), &err);
	return v;
}

/* Counters and what was said go on for who stays, and begin anew for others. */
static void check_carried(struct balance_live *b, struct balance_live *old, const struct balance_count *before)
{
	const struct balance_model *m = balance_live_model(b);
	struct balance_live_backend x, y;
	struct balance_count c, zero = {0};
	struct sluice_err err;
	uint32_t i, k;

	for (i = 0; i < N_SERVICES; i++)
		for (k = 0; k < m->services[i]->n_backends; k++) {
			int was = balance_live_find_backend(old, i, &m->services[i]->backends[k].addr, 0);

			state_must(balance_live_backend(b, i, k, &x, &err), &err);
			state_must(balance_live_counts(b, i, k, &c, &err), &err);
			if (memcmp(&c, was < 0 ? &zero : &before[i * 512 + (uint32_t)was], sizeof(c)) != 0)
				fail("service %u, backend %u counts from %llu packets on", i, k, (unsigned long long)c.packets);
			if (was < 0) {
				if (x.way || x.set.said[0].who || x.set.said[1].who || x.set.said[2].who)
					fail("service %u, backend %u is new and has a past", i, k);
				continue;
			}
			state_must(balance_live_backend(old, i, (uint32_t)was, &y, &err), &err);
			if (memcmp(&x.set, &y.set, sizeof(x.set)) != 0 || !x.way || x.hop.ifindex != 1 || x.id != y.id ||
			    x.number != y.number)
				fail("service %u, backend %u: what was said, its way or its number is lost", i, k);
		}
}

static struct balance_live *follow(struct balance_live *b, struct balance_model *m, uint32_t round, uint32_t *same)
{
	struct control_balance_opts opts = {.flows = 8192};
	struct balance_count *before = counts_of(b);
	struct bed bed = {.now = state_bed.now};
	struct balance_live *n, *old;
	char dir[sizeof(state_dir)], *slash;
	struct balance_maps maps;
	struct sluice_err err;

	snprintf(dir, sizeof(dir), "%s", state_dir);
	slash = strrchr(dir, '/');
	snprintf(slash + 1, 24, "%u", round);
	state_must(files_mkdir(dir, &err), &err);
	balance_live_close(b);
	b = state_open();
	state_must(live_prepare(m, NULL, b, bed.now, &n, &err), &err);
	*same += balance_live_follows(n);
	bed.t = balance_live_tables(n);
	opts.flows_fd = sluice_object_map_fd(state_bed.b.obj, "balance_flows", NULL);
	bed_load(&bed, &opts);
	maps = state_maps(&bed.b);
	balance_live_close(b);
	old = state_open();
	state_must(live_place(n, old, state_st.record.live, dir, &bed.b.config, &maps, &err), &err);
	check_carried(n, old, before);
	balance_live_close(n);
	balance_live_close(old);
	free(before);
	files_remove(state_dir);
	bed.t = state_bed.t = NULL; /* were the handles' */
	bed_close(&state_bed);
	state_bed = bed;
	snprintf(state_dir, sizeof(state_dir), "%s", dir);
	b = state_open();
	state_ways(b);
	state_tell(b);
	return b;
}

void state_next(uint32_t rounds)
{
	struct balance_live *b;
	struct balance_model m = {0};
	struct sluice_err err;
	uint32_t i, same = 0, runs = 0;
	char top[sizeof(state_dir)];

	snprintf(top, sizeof(top), "%s", state_dir);
	strncat(state_dir, "/0", sizeof(state_dir) - strlen(state_dir) - 1);
	state_must(files_mkdir(state_dir, &err), &err);
	b = state_first();
	state_must(live_copy_model(&b->policy, &m, &err), &err);
	for (i = 1; i <= rounds; i++) {
		state_packets(b, 200);
		state_pass_time();
		if (state_below(2)) {
			state_notes(b);
			state_must(balance_live_commit(b, state_bed.now, NULL, &err), &err);
			state_tell(b);
			runs++;
			continue;
		}
		other_policy(&m);
		b = follow(b, &m, i, &same);
	}
	state_packets(b, 200);
	printf("%u generations, %u in the places of the one before\n", rounds - runs, same);
	if (!same || same == rounds - runs)
		fail("that was no test");
	balance_model_free(&m);
	state_last(b);
}
