// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The kinds of maps and what is special about each. */
#include <stddef.h>

#include "bpf/map.h"

#define DATA SLUICE_MAP_DATA
#define OWN_KEY "its keys are descriptors of what the values belong to"

/* By number, as in <linux/bpf.h>: an enumerator there may be newer than the headers this is built with. */
static const struct map_traits traits[] = {
	[1] = {"hash", DATA, 0, NULL},
	[2] = {"array", DATA, MAP_IS_INDEXED | MAP_IS_KEPT, NULL},
	[3] = {"prog_array", SLUICE_MAP_PROGRAM, MAP_IS_INDEXED, NULL},
	[4] = {"perf_event_array", DATA, MAP_IS_INDEXED,
		"a perf event array holds ring buffers that a reader polls, not entries"},
	[5] = {"percpu_hash", DATA, MAP_IS_PERCPU, NULL},
	[6] = {"percpu_array", DATA, MAP_IS_PERCPU | MAP_IS_INDEXED | MAP_IS_KEPT, NULL},
	[7] = {"stack_trace", DATA, 0, NULL},
	[8] = {"cgroup_array", DATA, MAP_IS_INDEXED, "the kernel does not let a cgroup array be read"},
	[9] = {"lru_hash", DATA, 0, NULL},
	[10] = {"lru_percpu_hash", DATA, MAP_IS_PERCPU, NULL},
	[11] = {"lpm_trie", DATA, 0, NULL},
	[12] = {"array_of_maps", SLUICE_MAP_MAP, MAP_IS_INDEXED, NULL},
	[13] = {"hash_of_maps", SLUICE_MAP_MAP, 0, NULL},
	[14] = {"devmap", SLUICE_MAP_DEVICE, MAP_IS_INDEXED, NULL},
	[15] = {"sockmap", SLUICE_MAP_SOCKET, MAP_IS_INDEXED, NULL},
	[16] = {"cpumap", SLUICE_MAP_CPU, MAP_IS_INDEXED, NULL},
	[17] = {"xskmap", DATA, MAP_IS_INDEXED, "the kernel does not let the sockets in an xskmap be read"},
	[18] = {"sockhash", SLUICE_MAP_SOCKET, 0, NULL},
	[19] = {"cgroup_storage", DATA, MAP_IS_KEPT, NULL},
	[20] = {"reuseport_sockarray", SLUICE_MAP_SOCKET, MAP_IS_INDEXED, NULL},
	[21] = {"percpu_cgroup_storage", DATA, MAP_IS_PERCPU | MAP_IS_KEPT, NULL},
	[22] = {"queue", DATA, MAP_IS_KEYLESS,
		"a queue has no keys: `get` shows its head, `del` takes it out"},
	[23] = {"stack", DATA, MAP_IS_KEYLESS,
		"a stack has no keys: `get` shows its top, `del` takes it out"},
	[24] = {"sk_storage", DATA, 0, OWN_KEY},
	[25] = {"devmap_hash", SLUICE_MAP_DEVICE, 0, NULL},
	[26] = {"struct_ops", DATA, MAP_IS_INDEXED | MAP_IS_KEPT,
		"struct_ops holds a table of functions, not entries"},
	[27] = {"ringbuf", DATA, MAP_IS_KEPT,
		"a ring buffer holds records that its reader takes out once, not entries"},
	[28] = {"inode_storage", DATA, 0, OWN_KEY},
	[29] = {"task_storage", DATA, 0, OWN_KEY},
	[30] = {"bloom_filter", DATA, MAP_IS_KEYLESS | MAP_IS_KEPT,
		"a bloom filter keeps no entries: `get MAP VALUE` asks whether it may hold a value"},
	[31] = {"user_ringbuf", DATA, MAP_IS_KEPT,
		"a ring buffer holds records that its reader takes out once, not entries"},
	[32] = {"cgrp_storage", DATA, 0, OWN_KEY},
	[33] = {"arena", DATA, MAP_IS_KEPT, "an arena is memory without entries"},
	[34] = {"insn_array", DATA, MAP_IS_INDEXED | MAP_IS_KEPT, NULL},
};

const struct map_traits *map_traits(uint32_t type)
{
	return type < sizeof(traits) / sizeof(*traits) && traits[type].name ? &traits[type] : NULL;
}
