/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's half of top: the mapped table (abi/top.h), changing its halves, emptying the one not in use.
 */
#ifndef OBSERVE_TOP_TABLE_H
#define OBSERVE_TOP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/top.h"
#include "observe/top_keys.h"

struct top_table {
	struct top_block *blocks;
	struct top_cpu *cpus;
	uint32_t *epoch;
	size_t blocks_len, cpus_len, epoch_len; /* as mapped */
	uint32_t n_cpus, block_bits;
	bool wide;
};

/* What a half held. */
struct top_drained {
	struct top_sum seen, overflow;
};

/* One more than the highest CPU number this machine may get. */
uint32_t top_table_cpus(void);

/*
 * The largest number of blocks a CPU and half can have, as a power of two, within total bytes; at least
 * 2^4.
 */
uint32_t top_table_bits(size_t bytes, uint32_t n_cpus);

/*
 * n_cpus, block_bits and wide must be set. errors: -ENOMEM, -EINVAL the maps have another size than
 * abi/top.h says
 */
int top_table_map(struct top_table *t, int table_fd, int cpus_fd, int epoch_fd, struct sluice_err *err);
void top_table_unmap(struct top_table *t);

/* How full the fullest CPU's part of the half in use is, in percent of its entries. */
unsigned int top_table_fill(const struct top_table *t);

/*
 * top_table_turn() lets the program go on in the other half, which is empty, and waits until no CPU uses
 * this one any more. top_table_drain() then moves what it holds into keys and leaves it empty.
 */
int top_table_turn(struct top_table *t, struct sluice_err *err);
void top_table_drain(struct top_table *t, struct top_keys *keys, struct top_drained *sum);

#endif
