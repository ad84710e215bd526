/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * This process's side of an engine that runs in another one (broker/wire.h). Each thread has a connection of its own,
 * made when it is first needed and again after a fork; all functions may be called from any thread.
 */
#ifndef PRELOAD_CLIENT_H
#define PRELOAD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/wire.h"

/* client_on(): has this process been started under an engine? Everything else is called only then. */
bool client_on(void);

/* client_cpus() is how many CPUs the engine has, 0: as many as the machine. */
uint32_t client_cpus(void);

/* All return what was asked for, or a negative errno; -EIO: the engine is gone or out of reach. errno stays. */
long client_bpf(int cmd, void *attr, unsigned int size);
/* A descriptor to wait on for records in the ring buffer fd, which the caller closes; -EINVAL it is none. */
int client_wait_fd(int fd);
int client_path(enum wire_path_op op, uint32_t index, const char *path, struct wire_about *about);
int client_if(uint32_t ifindex, const char *name, struct wire_if *to); /* by number, or with 0 by name; -ENODEV */

/* Is path, as this process means it, below /sys/fs/bpf? Then written to clean without detours. */
bool client_pin_path(int dirfd, const char *path, char clean[PATH_MAX]);

#define PIN_ROOT "/sys/fs/bpf"

/* Where numbers of descriptors begin that a program hardly has itself. */
int client_high(void);

/* The next definition of a libc function behind ours. All are looked up when the library is loaded, since dlsym(3) may
 * not be called from a signal's handler; one is when it is needed only where a call comes before that. */
struct client_next {
	const char *name;
	void *fn;
};
#define NEXT(name)                                                                                              \
	({                                                                                                      \
		static struct client_next next_##name __attribute__((section("sluice_next"), used)) = {#name, NULL}; \
		(__typeof__(&name))client_next(&next_##name);                                                   \
	})
void *client_next(struct client_next *next);

#endif
