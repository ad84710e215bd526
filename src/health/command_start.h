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
 * than this process's and not 0. It is killed when the thread that called this ends.
 *
 * returns: 0, the child in pid, which the caller reaps, and a descriptor in said, which the caller closes: a child that could
 *          not begin ends, and command_failed() knows why. Nothing is waited for: the program may lie on a disk that hangs.
 * errors:  negative errno: there is no child
 */
int command_start(char *const argv[], char *const env[], int output, uint64_t nofile, pid_t *pid, int *said);

/* command_failed() is why a child that has ended never began, an errno; 0: it did. */
int command_failed(int said);

#endif
