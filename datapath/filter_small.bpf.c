// SPDX-License-Identifier: GPL-2.0-only
/* The firewall for policies that need little room: the tables' memory is there whether it is used or not. */
#include "abi/filter.h"

#define CLASSIFY_ROOM (1u << 20)
#include "datapath/filter.bpf.c"
