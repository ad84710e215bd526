// SPDX-License-Identifier: GPL-2.0-only
/* The same with little room for tables. */
#define CLASSIFY_ROOM (1u << 20)
#include "bench/filter.bpf.c"
