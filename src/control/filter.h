/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A compiled filter (src/filter) as a loaded program, on the engine of the thread. Attaching it is for
 * others.
 */
#ifndef CONTROL_FILTER_H
#define CONTROL_FILTER_H

#include <stdint.h>
#include <sluice/err.h>
#include <sluice/object.h>

#include "bpf/code.h"
#include "filter/compile.h"

struct control_filter {
	struct sluice_object *obj;
	int prog_fd; /* the object's */
	uint32_t n_rules;
	struct filter_sums sums;
};

/*
 * control_filter_load() loads the program and fills its tables.
 *
 * out:     *to     closed by control_filter_close(), also after a failure
 * errors:  of sluice_object_load(); -ENODEV a CPU that rules name is not there; -ENOMEM
 * cost:    one load (up to a second for the verifier) and a copy of the tables
 */
int control_filter_load(const struct filter_tables *tables, struct control_filter *to,
			struct sluice_err *err);

/*
 * control_filter_load_sets() does the same for tables that were compiled with run-time sets.
 *
 * in:      sets_fd  the map of control_sets_make(), -1: none; not kept
 */
int control_filter_load_sets(const struct filter_tables *tables, int sets_fd, struct control_filter *to,
			     struct sluice_err *err);

/*
 * control_filter_load_from() does the same with another object that has the filter's maps, len bytes, and
 * its program.
 */
int control_filter_load_from(const struct filter_tables *tables, const void *object, size_t len,
			     const char *program, int sets_fd, struct control_filter *to,
			     struct sluice_err *err);

/* Maps that are there already, by descriptor; -1: made anew. Tables that are given are full. */
struct control_filter_maps {
	int tables, cells, cpus, samples, sets;
	uint32_t generation; /* that samples name */
};

/*
 * control_filter_load_code() makes the maps and the code of a filter that is verified later, when it has been
 * joined with what else is on its interface (hook/put.h): prog_fd is a program that only passes.
 *
 * out:     *code  the program's, owned by *to
 */
int control_filter_load_code(const struct filter_tables *tables, const struct control_filter_maps *maps,
			     struct control_filter *to, const struct code **code, struct sluice_err *err);
void control_filter_close(struct control_filter *f);

/*
 * control_filter_counts() adds up what all CPUs counted.
 *
 * out:     to  n_rules + 1 of them; the last is the default's
 */
int control_filter_counts(struct control_filter *f, struct filter_count *to, struct sluice_err *err);

#endif
