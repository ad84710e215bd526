/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One connection. */
#ifndef BROKER_SERVE_H
#define BROKER_SERVE_H

struct vm;

/* serve() answers what comes from a client until it is gone or says something that makes no sense. */
void serve(struct vm *vm, int fd);

#endif
