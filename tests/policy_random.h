/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random policies as trees, and packets that come close to what their rules look at; hostile ones among them. */
#ifndef TESTS_POLICY_RANDOM_H
#define TESTS_POLICY_RANDOM_H

#include "policy/policy.h"

struct random_state {
	uint64_t s;
};

uint32_t random_below(struct random_state *r, uint32_t n);

/* random_policy() fills a zeroed policy with interfaces, sets and filters of up to n_rules rules each. */
void random_policy(struct random_state *r, struct policy *p, uint32_t n_rules);

/* random_frame() writes a frame of at most 2048 bytes, most of the time made for one of the filter's rules. */
uint32_t random_frame(struct random_state *r, const struct policy_filter *f, uint8_t *frame);

/* random_files: a policy's text from memory (ctx: struct buf), and sets of files that are always the same. */
int random_files_read(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err);

#endif
