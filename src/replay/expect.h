/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets as they left, held against a capture of how they should. */
#ifndef REPLAY_EXPECT_H
#define REPLAY_EXPECT_H

#include <stdint.h>
#include <sluice/err.h>

#include "base/buf.h"

struct replay_expect;

/* replay_expect_new() opens the capture of what is wanted. errors: those of replay_in_new() */
int replay_expect_new(const char *path, struct replay_expect **to, struct sluice_err *err);
void replay_expect_free(struct replay_expect *x);

/*
 * replay_expect_packet() compares the next packet; number and verdict are of the packet that it was made of, for people.
 *
 * errors:  -EBADMSG the capture of what is wanted is damaged
 */
int replay_expect_packet(struct replay_expect *x, uint64_t number, const char *verdict, const void *data,
			 uint32_t len, struct sluice_err *err);

/*
 * replay_expect_end() tells how it went, after the last packet.
 *
 * out:     *n_wrong  packets that differ, are missing or too many
 *          diff      lines that say which and how, of the first ten; a NUL is behind them
 */
int replay_expect_end(struct replay_expect *x, uint64_t *n_wrong, struct buf *diff, struct sluice_err *err);

#endif
