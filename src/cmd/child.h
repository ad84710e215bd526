/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Running somebody else's command as a child. */
#ifndef CMD_CHILD_H
#define CMD_CHILD_H

#include "cmd/cli.h"

#define EXIT_CANNOT_RUN 126 /* as shells, env and timeout say it */
#define EXIT_NO_COMMAND 127

/*
 * child_run() runs args, with the environment and the signals as they were before cli_catch_signals(), and passes on what
 * this process is told to do or to end by - except what the terminal sent, which the child has got too.
 *
 * in:      started  called once it runs, with arg; may be NULL
 * returns: its exit status, 128 + the signal that ended it, or 126, 127 and a sentence if it cannot be run
 */
int child_run(const struct cli_verb *verb, char **args, void (*started)(void *arg), void *arg);

#endif
