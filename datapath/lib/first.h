/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The key of maps with one entry. A constant in memory: so a lookup with it becomes an address when the program is
 * loaded (isa/fold.h), and takes nothing of the stack, of which the deepest calls leave next to nothing.
 */
#ifndef DATAPATH_LIB_FIRST_H
#define DATAPATH_LIB_FIRST_H

#include <linux/types.h>

static const __u32 map_first = 0;

#endif
