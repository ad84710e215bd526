/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing into a struct sluice_err: whoever knows writes the sentence, each level above puts context in front. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <sluice/err.h>

/*
 * err_set() writes the sentence and returns code, so that `return err_set(err, -EINVAL, ...)` reads well.
 * err may be NULL. A sentence that does not fit is cut, never overrun.
 */
int err_set(struct sluice_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* err_prefix() puts "CONTEXT: " in front of what is there and returns err's code (-EIO if err is NULL or empty). */
int err_prefix(struct sluice_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* err_nomem() is err_set(err, -ENOMEM, "out of memory"). */
int err_nomem(struct sluice_err *err);

#endif
