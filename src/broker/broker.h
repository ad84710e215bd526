/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lets other processes use an engine of this one.
 *
 * The broker has a socket without a name; who has its address (an environment variable, for src/preload) and
 * runs under the same user connects to it through /proc. Each connection is served by a thread of its own, which ends
 * with it. What a client says is bounded and never trusted: at worst it harms its own objects, which are everybody's
 * who uses this engine, or wastes its own time.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

struct broker;
struct vm;

#define BROKER_ADDRESS 64

/*
 * broker_open() starts serving.
 *
 * in:      vm       must live until broker_close() returned true
 *          dir      where the socket has a name for a moment, in a private directory: /tmp
 *          n_cpus   that clients are to see, 0: the machine's
 * errors:  of socket(2), bind(2), mkdtemp(3); -ENOENT no /proc
 * thread:  starts some, which block every signal
 */
int broker_open(struct vm *vm, const char *dir, uint32_t n_cpus, struct broker **broker, struct sluice_err *err);

/* broker_address() is the value for the environment variable WIRE_ENV (wire.h). */
const char *broker_address(const struct broker *broker);

/* broker_served(): how many connections there have been. */
uint64_t broker_served(const struct broker *broker);

/*
 * broker_close() ends all connections and waits wait_ms for what is still running.
 * returns: true: all is over, broker is freed. false: a command still runs; broker and vm must be left alone
 */
bool broker_close(struct broker *broker, uint32_t wait_ms);

#endif
