/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the functions on paths share with those on directories. */
#ifndef PRELOAD_HOOK_PATH_H
#define PRELOAD_HOOK_PATH_H

#include "broker/wire.h"

struct stat;

/* hook_stat() writes what stat(2) says of a pin. */
void hook_stat(const struct wire_about *about, struct stat *st);

#endif
