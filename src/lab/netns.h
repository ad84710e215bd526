/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network namespaces by name: bind mounts under /run/netns, as `ip netns` makes and lists them. */
#ifndef LAB_NETNS_H
#define LAB_NETNS_H

#include <stdbool.h>
#include <sluice/err.h>

#define LAB_NETNS_DIR "/run/netns"

/*
 * lab_netns_create() makes a namespace of a name that is free and moves the calling thread into it.
 * lab_netns_enter() moves the calling thread into one that exists.
 *
 * errors:  create: -EEXIST; enter: -ENOENT no such name, -EINVAL the file is no namespace; both: -EPERM
 */
int lab_netns_create(const char *name, struct sluice_err *err);
int lab_netns_enter(const char *name, struct sluice_err *err);

/* lab_netns_current() opens the namespace the thread is in, lab_netns_return() goes back into it and closes it. */
int lab_netns_current(int *fd, struct sluice_err *err);
int lab_netns_return(int fd, struct sluice_err *err);

/*
 * lab_netns_private() moves the calling thread into a fresh namespace that has no name and goes when the thread leaves
 * it: a place to try things in. Its lo is down.
 */
int lab_netns_private(struct sluice_err *err);

/* lab_netns_remove() takes the name away; the namespace lives on while a process or descriptor is in it. */
int lab_netns_remove(const char *name, struct sluice_err *err);

/* lab_netns_remove_all() does so for every name that begins with prefix; lab_netns_any() tells whether there is one. */
int lab_netns_remove_all(const char *prefix, struct sluice_err *err);
bool lab_netns_any(const char *prefix);

/*
 * lab_netns_sysctl() writes /proc/sys/net/PATH for the namespace the calling thread is in (the kernel looks at who
 * opens the file). -ENOENT if this kernel has no such knob.
 */
int lab_netns_sysctl(const char *path, const char *value, struct sluice_err *err);

#endif
