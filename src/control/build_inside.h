/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A generation that is being made: what build.c, build_sets.c and build_balance.c share. */
#ifndef CONTROL_BUILD_INSIDE_H
#define CONTROL_BUILD_INSIDE_H

#include "bpf/code.h"
#include "control/filter.h"
#include "control/state.h"
#include "filter/compile.h"

struct build {
	struct control_state *st;
	const struct policy *p;
	const struct control_generation *g;
	char dir[PATH_MAX], pins[PATH_MAX];
	struct filter_opts opts;
	struct control_filter_maps maps; /* the descriptors that are shared from part to part */
	struct sluice_err *err;
};

/* build_pin() pins a map among the generation's; one of the name that is there already is left. */
int build_pin(const struct build *b, int fd, enum control_map map, uint32_t which);

/* build_pin_name() does so under a name of the caller's. */
int build_pin_name(const struct build *b, int fd, const char *name);

/* build_keep_code() writes the code of a part down, and pins every map that it names, so that it can be loaded again when
 * nobody runs it. */
int build_keep_code(const struct build *b, const struct code *code, uint32_t part);

/*
 * build_own() copies services that translate, with their pools alone, and says which of those have addresses of this network
 * namespace's: their ports end where Linux's begin (net.ipv4.ip_local_port_range), at NAT_PORT_OWN_END at the latest.
 *
 * out:     *to  freed by balance_model_free(), also after a failure; zeroed before
 * errors:  -EADDRINUSE Linux leaves next to no ports (err names service and numbers); -ENOMEM, and others: the kernel could not be asked
 */
int build_own(const struct balance_model *from, struct balance_model *to, struct sluice_err *err);

/*
 * build_sets() makes the memory of the sets that change at run time and pins it.
 *
 * in:      again  the generation that comes back; "": none. as_it_was  its code goes on, and knows memory of one size
 * out:     b->maps.sets, b->opts.sets; *sets also after a failure, for filter_sets_free() when b is done
 * errors:  -ESTALE (as_it_was) the sets have grown, or are of another version; those of filter_sets_plan(), control_sets_make()
 */
int build_sets(struct build *b, const char *again, bool as_it_was, struct filter_sets **sets);

/*
 * build_balance() makes memory and programs of the balance blocks, if there are any. What flows and counters say of the
 * live generation goes on.
 */
int build_balance(const struct build *b);

#endif
