/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where live frames go: namespaces, pairs of interfaces, and commands. All of it ends the process when it fails. */
#ifndef BENCH_LIVE_LAB_H
#define BENCH_LIVE_LAB_H

#include <stddef.h>
#include "base/buf.h"

/* Namespaces of its own, that end with the process: networks, and mounts with a bpffs that holds nothing of others. */
void lab_make(void);
/* Makes and raises the pair aNR, bNR; device, 16 bytes, gets the name of the end that receives. */
void lab_pair(size_t nr, char *device);
/* Without a program on it a veth passes on what is redirected to it only while it gathers packets (GRO). */
void lab_gather(const char *device);
/* Runs a command and gives it text to read (NULL: nothing); its exit code, -1 if there is no such command. */
int lab_run(const char *const argv[], const struct buf *text);
/* What a map takes, as the kernel says. */
size_t lab_map_bytes(int fd);

#endif
