/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interfaces as arguments of a verb: each a comma list of names and globs. */
#ifndef CMD_IF_ARGS_H
#define CMD_IF_ARGS_H

#include <sluice/err.h>
#include "net/ifs.h"

/* if_args() is net_ifs_find() for all arguments together, each interface once. */
int if_args(char **args, int n_args, struct net_if **ifs, size_t *n, struct sluice_err *err);

#endif
