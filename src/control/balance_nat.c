// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sizes of the maps of translated flows, and their constants. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "control/balance_nat.h"

const char *const control_balance_nat_maps[CONTROL_BALANCE_NAT_MAPS] = {"balance_nat4", "balance_nat6",
									"balance_nathops", "balance_natfrag",
									"balance_natident"};

static int set_size(struct sluice_object *obj, const char *name, size_t bytes, struct sluice_err *err)
{
	struct bpf_map *map = bpf_object__find_map_by_name(sluice_object_libbpf(obj), name);
	int e = map ? bpf_map__set_value_size(map, (uint32_t)bytes) : -ENOENT;

	return e ? err_set(err, e, "a map %s of %zu bytes: %s", name, bytes, strerror(-e)) : 0;
}

int control_balance_nat(struct sluice_object *obj, const struct nat_config *plan, const int *fds, uint64_t tick_ns,
			struct sluice_err *err)
{
	struct nat_config *timed;
	size_t bytes[CONTROL_BALANCE_NAT_MAPS];
	uint32_t i;
	int e;

	if (!plan || (!plan->n_addrs[0] && !plan->n_addrs[1]))
		return 0;
	bytes[0] = (size_t)(plan->n_addrs[0] ? plan->n_addrs[0] * NAT_BUCKETS : 1) * sizeof(struct nat_bucket4);
	bytes[1] = (size_t)(plan->n_addrs[1] ? plan->n_addrs[1] * NAT_BUCKETS : 1) * sizeof(struct nat_bucket6);
	bytes[2] = NAT_HOPS * sizeof(struct nat_hop);
	bytes[3] = NAT_FRAGMENTS * sizeof(struct nat_fragment);
	bytes[4] = NAT_IDENTS * sizeof(uint64_t);
	timed = malloc(sizeof(*timed));
	if (!timed)
		return err_nomem(err);
	*timed = *plan;
	nat_times(timed, tick_ns);
	e = sluice_object_set_bytes(obj, "nat", timed, sizeof(*timed), err);
	free(timed);
	for (i = 0; !e && i < CONTROL_BALANCE_NAT_MAPS; i++) {
		e = set_size(obj, control_balance_nat_maps[i], bytes[i], err);
		if (!e && fds && fds[i] >= 0)
			e = sluice_object_share_map(obj, control_balance_nat_maps[i], fds[i], err);
	}
	return e;
}
