/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balancer's object and translated flows: sizes of maps and constants, by a plan (balance/nat.h). */
#ifndef CONTROL_BALANCE_NAT_H
#define CONTROL_BALANCE_NAT_H

#include <sluice/err.h>
#include <sluice/object.h>

#include "balance/nat.h"

/* Maps that outlive a program: two generations share those of flows if their plans allow it (nat_goes_on()), and the others always. */
#define CONTROL_BALANCE_NAT_MAPS 5
extern const char *const control_balance_nat_maps[CONTROL_BALANCE_NAT_MAPS];

/*
 * control_balance_nat() prepares the balancer's object before it is loaded.
 *
 * in:      plan  NULL, or without addresses: nothing is translated, and the maps stay as small as can be
 *          fds   of the maps, to be shared; NULL or all -1: new ones
 *          tick_ns  how long a tick of the program's clock is
 * errors:  -ENOMEM; of sluice_object_set_bytes() and sluice_object_share_map()
 */
int control_balance_nat(struct sluice_object *obj, const struct nat_config *plan, const int *fds, uint64_t tick_ns,
			struct sluice_err *err);

#endif
