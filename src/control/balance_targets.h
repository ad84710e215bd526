/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a policy's services and checks to what is probed, and how. */
#ifndef CONTROL_BALANCE_TARGETS_H
#define CONTROL_BALANCE_TARGETS_H

#include "balance/balance.h"
#include "control/inner.h"
#include "health/health.h"
#include "policy/policy.h"

/* A backend of a service. It is its own id as a target: it stays where it is while the service has the backend. */
struct checked {
	char service[BALANCE_NAME];
	struct net_addr addr;
	uint16_t port;
	uint32_t mark; /* of its checks, if they go through a tunnel; no other's */
	uint32_t at_service, at_backend; /* places in the model */
	bool is_checked, kept;
	/* of the daemon */
	bool up, pending; /* pending: a verdict that does not count for packets yet */
	bool untold;	  /* it was told that it cannot be checked */
	char *why;	  /* what its last check said, unless that was good; freed with it */
	bool why_asked, why_new; /* it could be asked; not written yet */
};

struct targets {
	struct checked **v; /* by service, address, port; as in the model before targets_replace() */
	size_t n;
	struct health_probe *probes;
	struct health_target *targets;
	uint32_t (*places)[2]; /* of targets in the model: service, backend */
	size_t n_probes, n_targets;
	struct inner_want *inner; /* of those whose checks go through a tunnel */
	size_t n_inner;
	struct buf words; /* of commands */
};

/*
 * targets_make() makes them of a model and the policy that it is of.
 *
 * in:      before  what there is: its backends that stay are in both
 *          tunnels checks of backends behind tunnels go through them, unless they are direct
 *          say     is told what cannot be checked, or not through its tunnel, a sentence each
 * out:     *to     for targets_replace() or targets_drop(); probes and targets are those of what is checked, `known` is
 *                  not set. Nothing of *before has changed
 * errors:  -ENOMEM
 */
int targets_make(const struct balance_model *m, const struct policy *p, const struct targets *before, bool tunnels,
		 void (*say)(void *ctx, const char *sentence), void *ctx, struct targets *to,
		 struct sluice_err *err);

/*
 * targets_replace() puts what was made of model m (NULL: of none) in the place of what was before; backends that did not
 * stay are freed. targets_drop() frees what was made instead.
 */
void targets_replace(struct targets *t, const struct balance_model *m, struct targets *by);
void targets_drop(const struct targets *before, struct targets *made);
void targets_free(struct targets *t);

/* targets_name() is "service web, 10.1.0.11" or with its port. */
#define TARGETS_NAME 128
char *targets_name(const struct checked *c, char to[TARGETS_NAME]);

#endif
