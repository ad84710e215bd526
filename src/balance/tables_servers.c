// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Server ids of a service in the flat memory: a hash table over its targets (abi/balance.h). An id that is there stays in its cell,
 * so that a reader finds it all the time; cells of ids that went become free last.
 */
#include <errno.h>
#include <stdlib.h>

#include "balance/tables_inside.h"
#include "base/err.h"
#include "datapath/lib/balance.h"

static int compare(const void *a, const void *b)
{
	const struct balance_backend *x = *(const struct balance_backend *const *)a;
	const struct balance_backend *y = *(const struct balance_backend *const *)b;
	struct maglev_backend mx = {x->addr, x->port, 0}, my = {y->addr, y->port, 0};

	return maglev_compare(&mx, &my);
}

/* The cell that id has or gets; -1: there is none. kept: cells that are wanted. */
static int64_t cell_of(const struct balance_target *t, uint32_t n, const bool *kept, uint32_t server)
{
	uint32_t at = balance_server_at(server, n), i;
	int64_t empty = -1;

	for (i = 0; i < BALANCE_SERVER_PROBES && i < n; i++, at = at + 1 < n ? at + 1 : 0) {
		if (BALANCE_SERVER_IS(t[at].server, server))
			return at;
		if (empty < 0 && !kept[at] && !t[at].server)
			empty = at;
	}
	return empty;
}

static int put(const struct balance_service *m, struct balance_target *t, uint32_t n, bool *kept, uint32_t id,
	       const struct balance_backend *b, struct sluice_err *err)
{
	int64_t at = cell_of(t, n, kept, b->server);

	if (at < 0)
		return err_set(err, -ENOSPC, "service %s: id %u finds no cell beside the others; give the backend another",
			       m->name, b->server);
	if (t[at].server != BALANCE_SERVER(b->server, id))
		__atomic_store_n(&t[at].server, BALANCE_SERVER(b->server, id), __ATOMIC_RELEASE);
	kept[at] = true;
	return 0;
}

static void sweep(struct balance_target *t, uint32_t n, const bool *kept)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (t[i].server && !kept[i])
			__atomic_store_n(&t[i].server, 0, __ATOMIC_RELEASE);
}

int tables_servers(const struct balance_service *m, const struct ring *r, struct balance_target *t, uint32_t n,
		   struct sluice_err *err)
{
	const struct balance_backend **sorted = calloc(m->n_backends + 1, sizeof(*sorted)), **found, *one;
	bool *kept = calloc(n + 1ul, sizeof(*kept));
	struct balance_backend key = {0};
	uint32_t id;
	size_t i;
	int e = sorted && kept ? 0 : err_nomem(err);

	for (i = 0; !e && i < m->n_backends; i++)
		sorted[i] = &m->backends[i];
	if (!e)
		qsort(sorted, m->n_backends, sizeof(*sorted), compare);
	for (id = 1; !e && m->quic_bytes && id < r->n_backends; id++) {
		key.addr = r->backends[id].addr;
		key.port = r->backends[id].port;
		one = &key;
		found = r->backends[id].state == BALANCE_TARGET_GONE
				? NULL
				: bsearch(&one, sorted, m->n_backends, sizeof(*sorted), compare);
		if (found && (*found)->has_server)
			e = put(m, t, n, kept, id, *found, err);
	}
	if (!e)
		sweep(t, n, kept);
	free(kept);
	free(sorted);
	return e;
}
