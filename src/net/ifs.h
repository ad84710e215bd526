/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interfaces by name, list and glob, as every verb takes them: "eth0,veth*". */
#ifndef NET_IFS_H
#define NET_IFS_H

#include <stddef.h>
#include <sluice/err.h>

struct net_if {
	int index;
	char name[16];
};

/*
 * net_ifs_find() lists the interfaces that a comma list of names and globs (*, ?, [a-z]) stands for, in the
 * network namespace of the caller: in the order of the list, within a glob by index, each interface once.
 * A name that exists is that interface even if it reads like a glob; alternative names are understood.
 *
 * out:     *ifs  on success, *n >= 1 of them; NULL and 0 on failure
 * owns:    the caller frees *ifs with free()
 * errors:  -ENODEV no interface of that name (err has the nearest one) or none that fits the glob,
 *          -EINVAL an empty word or a name no interface can have, -ENOMEM
 */
int net_ifs_find(const char *pattern_list, struct net_if **ifs, size_t *n, struct sluice_err *err);

#endif
