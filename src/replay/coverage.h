/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which source lines of the engine's programs ran, how often, and which way conditional jumps went: by the
 * line records that the programs were loaded with, written as lcov's tracefile (geninfo(1), "FILES").
 */
#ifndef REPLAY_COVERAGE_H
#define REPLAY_COVERAGE_H

#include <stdio.h>
#include <sluice/err.h>

#include "vm/run.h"

struct vm;
struct coverage;

/* What came out; all files together. */
struct coverage_sum {
	uint32_t files, lines, lines_hit, funcs, funcs_hit, branches, branches_hit;
};

/*
 * coverage_new() gets ready to count in every program that vm has; programs loaded later are not known.
 *
 * out:     *c     NULL on failure
 * errors:  -ENOENT no program has line records (compile with -g), -ENOMEM
 */
int coverage_new(struct vm *vm, struct coverage **c, struct sluice_err *err);
void coverage_free(struct coverage *c);

/* coverage_watch() is who has to look on while programs run. */
struct vm_watch *coverage_watch(struct coverage *c);

/*
 * coverage_write() writes the tracefile. A line counts as often as its most frequent instruction; what several programs
 * have of one source line is added up.
 *
 * errors:  -ENOMEM; what could not be written is in ferror(to)
 */
int coverage_write(struct coverage *c, FILE *to, struct coverage_sum *sum, struct sluice_err *err);

#endif
