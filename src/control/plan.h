/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The difference of two policies, as what would happen if the second took the place of the first: what is shown
 * before anything is done. Pure: it asks neither the kernel nor any file.
 *
 *     old, new policy --> control_plan_new() --> struct control_plan --> control_plan_print(), or JSON in cmd
 *
 * Rules are the same if policy_rule_key() says so: they have the same name, or without one the same text.
 */
#ifndef CONTROL_PLAN_H
#define CONTROL_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>
#include "base/buf.h"
#include "policy/arena.h"
#include "policy/policy.h"

#define PLAN_NONE UINT32_MAX /* the rule, the filter that is not there */
#define PLAN_SHOWN 20	     /* rules, sets or interfaces, unless all are asked for */
#define PLAN_LINE 240	     /* bytes of a rule, likewise */

enum plan_what { PLAN_ADDED, PLAN_REMOVED, PLAN_CHANGED, PLAN_MOVED };

/* A rule that is not what it was, where it was. */
struct plan_rule {
	uint8_t what;	   /* enum plan_what; CHANGED: the same name, another text */
	bool moved;	   /* it comes before or after others than it did */
	uint32_t old, now; /* number in its filter, PLAN_NONE: not there */
};

/* A filter and the one it takes the place of, on one or several interfaces. */
struct plan_filter {
	uint32_t old, now;	 /* number in its policy; old: PLAN_NONE if there was none */
	struct plan_rule *rules; /* in the order of the new text, removed ones where they were */
	uint32_t n_rules;
	uint32_t added, removed, changed, moved, unchanged; /* moved: without those that are changed, too */
};

enum plan_turn { PLAN_GETS, PLAN_LOSES, PLAN_KEEPS, PLAN_AGAIN };
struct plan_interface {
	const char *name;
	uint8_t turn;	 /* enum plan_turn: it gets a filter, has none any more, goes on with one, or has lost it */
	uint32_t filter; /* into plan->filters; LOSES: PLAN_NONE */
	uint32_t old;	 /* the filter of the old policy; GETS: PLAN_NONE */
	const char *old_mode, *mode; /* as written, "auto" if nothing is */
};

struct plan_set {
	uint8_t what;			    /* ADDED, REMOVED or CHANGED */
	const struct policy_set *old, *now; /* NULL: not there */
	uint64_t added, removed, unchanged; /* ranges of addresses that do not touch */
	bool meaning; /* CHANGED: its file, timeout, size or counters are not what they were */
	uint64_t lost; /* elements that were added at run time, and that are not in it any more */
};

/* Of one set; the plan does not ask for it. */
struct plan_lost {
	const char *set;
	uint64_t n;
};

/* A service that is not what it was. */
struct plan_service {
	const struct balance_service *old, *now; /* NULL: not there */
	const struct balance_service *old_counts,
		*now_counts; /* the same as they count, with what was set at run time */
	unsigned int work;   /* enum balance_work */
	bool counted;	/* moved is known: */
	uint32_t moved; /* slots that get another backend */
};

struct control_plan {
	const struct policy *old, *now;
	struct plan_interface *interfaces; /* by name */
	struct plan_filter *filters;
	struct plan_set *sets; /* those that change, by name */
	struct plan_interface *balancers; /* by name, where the balancer is or was; of filters nothing is said */
	struct plan_service *services;	  /* those that change, by name */
	uint32_t n_interfaces, n_filters, n_sets, n_balancers, n_services;
	struct arena arena;
};

/*
 * On which interfaces the policies' filters are, and their balancers. NULL: on what their blocks say, globs as they are
 * written. lost: those of the old policy where its filter is not to be found any more, NULL after the last; NULL: none;
 * lost_balancers likewise. lost_elements: what sets lose that was added at run time. old_services, services: the services of each
 * policy as they count, with what was set at run time and goes on; they live longer than the plan; NULL: as the policy says.
 */
struct control_plan_opts {
	const char *const *old_interfaces, *const *interfaces;
	uint32_t n_old_interfaces, n_interfaces;
	const char *const *lost;
	const char *const *old_balancers, *const *balancers;
	uint32_t n_old_balancers, n_balancers;
	const char *const *lost_balancers;
	const struct plan_lost *lost_elements;
	uint32_t n_lost_elements;
	const struct balance_model *old_services, *services;
};

/*
 * control_plan_new() compares.
 *
 * in:      old   NULL: there is none; both without mistakes, and living longer than the plan
 *          opts  NULL: nothing is known of the interfaces
 * out:     *plan  NULL on failure
 * owns:    the caller frees with control_plan_free()
 * errors:  -ENOMEM
 * cost:    n log n in rules and addresses: 100,000 rules in less than half a second
 */
int control_plan_new(const struct policy *old, const struct policy *now, const struct control_plan_opts *opts,
		     struct control_plan **plan, struct sluice_err *err);
void control_plan_free(struct control_plan *plan);

/* control_plan_empty(): both policies do the same on the same interfaces. */
bool control_plan_empty(const struct control_plan *plan);

/*
 * control_plan_print() writes the plan as lines of text:
 *
 *     eth1: gets the filter of sluice.conf:10
 *     filter on eth0, eth1: 2 rules added, 1 removed, 997 unchanged
 *       + sluice.conf:12: drop from 192.0.2.0/24
 *
 * in:      all  nothing is left out, however long it is
 */
void control_plan_print(const struct control_plan *plan, bool all, struct buf *to);

/* plan_service_print() writes the lines of a service: "web: add backend 10.1.0.13 weight 10". */
void plan_service_print(const struct control_plan *plan, const struct plan_service *s, bool all, struct buf *to);

#endif
