/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program of somebody else's, started with less than this process has. */
#ifndef HEALTH_COMMAND_START_H
#define HEALTH_COMMAND_START_H

#include <stdint.h>
#include <sys/types.h>

/*
 * command_start() runs the program argv[0] with the environment env, in a process group of its own: /dev/null is its input,
 * output what it says (1 and 2), no other descriptor is open. It has no capabilities and gets none, whoever it runs as and whatever its
 * file says (no_new_privs); no signal is blocked or ignored; nofile is its soft limit of open files if that is lower
 * than this process's and not 0. It is killed when the thread that called this ends. Returns 0 and the child in pid, which the
 * caller reaps; else a negative errno, also of what went wrong in the child before the program began, and there is none.
 */
int command_start(char *const argv[], char *const env[], int output, uint64_t nofile, pid_t *pid);

#endif
