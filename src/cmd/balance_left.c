// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How many flows backends have that drain: the flow table's; of QUIC connections, whether packets come. */
#include <stdlib.h>

#include "base/clock.h"
#include "cmd/balance_left.h"

#define SECOND UINT64_C(1000000000)

/* Have packets come to a backend of which no table knows the flows? */
static int count_packets(struct balance_live *live, struct chosen *c, uint64_t idle_ns, uint64_t for_ns, struct sluice_err *err)
{
	struct balance_count now;
	int e;

	if (!balance_live_model(live)->services[c->service]->quic_bytes) {
		c->busy = false;
		return 0;
	}
	e = balance_live_counts(live, c->service, c->backend, &now, err);
	if (e)
		return e;
	if (!c->counted || now.packets != c->packets)
		c->still_ns = for_ns;
	c->counted = true;
	c->packets = now.packets;
	c->busy = for_ns - c->still_ns < idle_ns;
	return 0;
}

int left_count(struct balance_live *live, struct choice *c, uint64_t idle_ns, uint64_t for_ns, struct sluice_err *err)
{
	struct balance_tally *v = NULL;
	struct balance_live_backend b;
	uint32_t n = 0;
	size_t i;
	int e = balance_live_tally(live, clock_mono_ns(), (uint32_t)(idle_ns / SECOND), &v, &n, err);

	for (i = 0; !e && i < c->n; i++) {
		e = balance_live_backend(live, c->v[i].service, c->v[i].backend, &b, err);
		c->v[i].left =
			!e && b.id && b.target < n ? (uint64_t)v[b.target].kept + v[b.target].fresh : 0;
		e = e ?: count_packets(live, &c->v[i], idle_ns, for_ns, err);
		c->v[i].known = c->v[i].left || (for_ns >= idle_ns && !c->v[i].busy) ||
				balance_live_model(live)->services[c->v[i].service]->mode == BALANCE_NAT;
	}
	free(v);
	return e;
}

uint64_t left_sum(const struct choice *c)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < c->n; i++)
		sum += c->v[i].left;
	return sum;
}

bool left_known(const struct choice *c)
{
	size_t i;

	for (i = 0; i < c->n && !left_sum(c); i++)
		if (!c->v[i].known)
			return false;
	return true;
}

const struct chosen *left_busy(const struct choice *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->v[i].busy)
			return &c->v[i];
	return NULL;
}
