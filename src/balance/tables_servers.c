// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Server ids of a service in the flat memory: a hash table over its targets (abi/balance.h). An id that is there stays in its cell,
 * so that a reader finds it all the time; cells of ids that went become free last. Where ids that come find no cell so, all of
 * them get other ones: a reader may find none for a moment, and goes by the flow's hash.
 */
#include <errno.h>
#include <stdlib.h>

#include "balance/tables_inside.h"
#include "base/err.h"
#include "datapath/lib/balance.h"

#define MIXES 256 /* of 4,000 random ids in 8,191 cells four of ten mixes suffice */

struct wanted {
	uint32_t *servers, *ids, *cells; /* n of each; ids: of the backend in the ring */
	bool *taken;			 /* by cell */
	uint32_t n;
};

static int compare(const void *a, const void *b)
{
	const struct balance_backend *x = *(const struct balance_backend *const *)a;
	const struct balance_backend *y = *(const struct balance_backend *const *)b;
	struct maglev_backend mx = {x->addr, x->port, 0}, my = {y->addr, y->port, 0};

	return maglev_compare(&mx, &my);
}

/* --- cells --- */

/* The cell that id has or gets; -1: there is none. t NULL: as if nobody had any. */
static int64_t cell_of(const struct balance_target *t, uint32_t n, const bool *taken, uint32_t mix,
		       uint32_t server)
{
	uint32_t at = balance_server_at(server, n, mix), i;
	int64_t empty = -1;

	for (i = 0; i < BALANCE_SERVER_PROBES && i < n; i++, at = at + 1 < n ? at + 1 : 0) {
		if (t && BALANCE_SERVER_IS(t[at].server, server))
			return at;
		if (empty < 0 && !taken[at] && !(t && t[at].server))
			empty = at;
	}
	return empty;
}

/* Do all find one? cells may be NULL. */
static bool fit(const uint32_t *servers, size_t n, const struct balance_target *t, uint32_t n_cells,
		uint32_t mix, bool *taken, uint32_t *cells)
{
	int64_t at;
	size_t i;

	for (i = 0; i < n_cells; i++)
		taken[i] = false;
	for (i = 0; i < n; i++) {
		at = cell_of(t, n_cells, taken, mix, servers[i]);
		if (at < 0)
			return false;
		taken[at] = true;
		if (cells)
			cells[i] = (uint32_t)at;
	}
	return true;
}

/* Even, so that ids of different bits stay different; the first is 0. */
static uint32_t nth_mix(uint32_t i)
{
	uint64_t x = i * 0xd1342543de82ef95ull;

	return (uint32_t)((x ^ x >> 29) * 0x9fb21c651e98df25ull >> 32) & ~1u;
}

static int find_mix(const uint32_t *servers, size_t n, uint32_t n_cells, bool *taken, uint32_t *cells,
		    uint32_t *mix)
{
	uint32_t i;

	for (i = 0; i < MIXES; i++) {
		*mix = nth_mix(i);
		if (fit(servers, n, NULL, n_cells, *mix, taken, cells))
			return 0;
	}
	return -ENOSPC;
}

int tables_server_mix(const uint32_t *servers, size_t n, uint32_t n_cells, uint32_t *mix)
{
	bool *taken = calloc(n_cells + 1ul, sizeof(*taken));
	int e = taken ? find_mix(servers, n, n_cells, taken, NULL, mix) : -ENOMEM;

	free(taken);
	return e;
}

/* --- a service --- */

static void list(const struct balance_service *m, const struct ring *r, const struct balance_backend **sorted,
		 struct wanted *w)
{
	const struct balance_backend **found, *one;
	struct balance_backend key = {0};
	uint32_t id;
	size_t i;

	for (i = 0; i < m->n_backends; i++)
		sorted[i] = &m->backends[i];
	qsort(sorted, m->n_backends, sizeof(*sorted), compare);
	for (id = 1; m->quic_bytes && id < r->n_backends; id++) {
		if (r->backends[id].state == BALANCE_TARGET_GONE)
			continue;
		key.addr = r->backends[id].addr;
		key.port = r->backends[id].port;
		one = &key;
		found = bsearch(&one, sorted, m->n_backends, sizeof(*sorted), compare);
		if (!found || !(*found)->has_server)
			continue;
		w->servers[w->n] = (*found)->server;
		w->ids[w->n++] = id;
	}
}

static void sweep(struct balance_target *t, uint32_t n, const bool *taken)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (t[i].server && !(taken && taken[i]))
			__atomic_store_n(&t[i].server, 0, __ATOMIC_RELEASE);
}

static int place(const struct balance_service *m, struct wanted *w, struct balance_ring *to,
		 struct balance_target *t, uint32_t n, struct sluice_err *err)
{
	uint32_t i, mix = to->server_mix;

	if (!fit(w->servers, w->n, t, n, mix, w->taken, w->cells)) {
		if (find_mix(w->servers, w->n, n, w->taken, w->cells, &mix))
			return err_set(err, -ENOSPC,
				       "service %s: its %u server ids find no place beside each other; give "
				       "backends others",
				       m->name, w->n);
		sweep(t, n, NULL);
		__atomic_store_n(&to->server_mix, mix, __ATOMIC_RELEASE);
	}
	for (i = 0; i < w->n; i++) {
		uint64_t cell = BALANCE_SERVER(w->servers[i], w->ids[i]);

		if (t[w->cells[i]].server != cell)
			__atomic_store_n(&t[w->cells[i]].server, cell, __ATOMIC_RELEASE);
	}
	sweep(t, n, w->taken);
	return 0;
}

int tables_servers(const struct balance_service *m, const struct ring *r, struct balance_ring *to,
		   struct balance_target *t, uint32_t n, struct sluice_err *err)
{
	const struct balance_backend **sorted = calloc(m->n_backends + 1, sizeof(*sorted));
	uint32_t *numbers = calloc(r->n_backends + 1ul, 3 * sizeof(*numbers));
	struct wanted w = {.taken = calloc(n + 1ul, sizeof(*w.taken))};
	int e = sorted && numbers && w.taken ? 0 : err_nomem(err);

	if (!e) {
		w.servers = numbers;
		w.ids = numbers + r->n_backends;
		w.cells = w.ids + r->n_backends;
		list(m, r, sorted, &w);
		e = place(m, &w, to, t, n, err);
	}
	free(w.taken);
	free(numbers);
	free(sorted);
	return e;
}
