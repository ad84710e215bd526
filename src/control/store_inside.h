/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What store.c and store_read.c share. */
#ifndef CONTROL_STORE_INSIDE_H
#define CONTROL_STORE_INSIDE_H

#include "control/store.h"

/* store_meta() appends the lines of a generation's meta. errors: -ENOENT, -EINVAL name is none */
int store_meta(const struct control_state *st, const char *name, struct buf *meta, struct sluice_err *err);

/*
 * store_fetch() makes sure that a generation is in the history: if not, it is copied from that of another namespace
 * that has it, as one has that was called otherwise then. errors: -ENOENT none has it
 */
int store_fetch(const struct control_state *st, const char *name, struct sluice_err *err);

#endif
