/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What place.c and pins.c share. */
#ifndef HOOK_PLACE_INTERNAL_H
#define HOOK_PLACE_INTERNAL_H

#include <stdint.h>
#include <sluice/err.h>

#include "hook/place.h"

#define LOCK_DIR "/run/sluice"
#define PLACE_SLOT "observer" /* and the number of its map: name of an observer's lock */

int place_lock_name(const char *name, uint64_t wait_ns, struct place_lock *lock, struct sluice_err *err);

#endif
