/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was said about backends while the balancer runs: drained, another weight, up or down; who said so, and when. It lies
 * over what the policy says, and goes on over `apply` for backends that stay (service's name, address, port).
 */
#ifndef CONTROL_BALANCE_OVERLAY_H
#define CONTROL_BALANCE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "balance/balance.h"
#include "base/buf.h"
#include "base/view.h"

enum balance_who {
	BALANCE_WHO_NOBODY, /* nothing was said: the policy counts; of health: not known, which counts as up */
	BALANCE_WHO_OPERATOR,
	BALANCE_WHO_HEALTH, /* the health checks of the daemon */
};

struct balance_said {
	uint32_t value; /* drain: 0, 1; weight; health: enum balance_health */
	uint32_t who;	/* enum balance_who */
	uint64_t when_ns; /* CLOCK_REALTIME */
};

/* What can be said. */
enum balance_matter {
	BALANCE_MATTER_DRAIN,
	BALANCE_MATTER_WEIGHT,
	BALANCE_MATTER_HEALTH,
	BALANCE_MATTERS,
};

struct balance_overlay {
	struct balance_said said[BALANCE_MATTERS]; /* by enum balance_matter */
};

/* overlay_apply() is the backend as it counts: what the policy says, and over it what was said. */
struct balance_backend overlay_apply(const struct balance_backend *policy, const struct balance_overlay *o);

/* overlay_write() and _read() are the overlay as bytes in a file. _read(): -EBADMSG if it cannot be one. */
void overlay_write(const struct balance_overlay *o, struct buf *to);
int overlay_read(struct view *from, struct balance_overlay *o);

#endif
