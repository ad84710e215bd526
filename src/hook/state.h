/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a joined program knows about itself: the members with their code, priorities, owners and maps. It is the one
 * value of an array map bound to the program, so it lives exactly as long as the program does, and whoever finds the
 * program on an interface finds the whole chain.
 */
#ifndef HOOK_STATE_H
#define HOOK_STATE_H

#include <stdint.h>
#include <sluice/chain.h>

#include "bpf/code.h"
#include "hook/join.h"

#define STATE_PROG_NAME "sluice_chain"
#define STATE_MAP_NAME "sluice_state"
#define COUNTS_MAP_NAME "sluice_counts"
#define OBSERVER_MAP_NAME "sluice_observer"

/* The counts map: JOIN_COUNTS per position, twice: counted by the program, and carried over from the program before. */
#define COUNTS_ENTRIES (2 * SLUICE_CHAIN_MAX * JOIN_COUNTS)
#define COUNTS_CARRIED (SLUICE_CHAIN_MAX * JOIN_COUNTS)
#define COUNTS_PASSED_ON 6 /* carried only: how often the next member ran */

struct state_member {
	uint64_t uid; /* rises with every attach; a replaced member keeps it */
	char name[SLUICE_MEMBER_NAME_MAX];
	char owner[SLUICE_OWNER_MAX];
	char object[128];
	uint8_t tag[8];
	uint32_t priority, go_on;
	uint64_t attached_ns;
	bool inlined;
	uint32_t n_maps, map_id[64]; /* what the kernel says the program uses */
	struct code *code;
};

struct state {
	uint64_t next_uid;
	uint32_t counts_map_id;
	bool frags;
	char dir[256]; /* of the pins; "" while nothing is pinned */
	uint32_t n_observers, observer_map_id[JOIN_MAX_OBSERVERS];
	uint32_t n_members;
	struct state_member member[SLUICE_CHAIN_MAX];
};

struct state *state_new(void);
void state_free(struct state *s);

/* state_insert() puts a member in its place by priority, behind those of the same; takes over m->code. */
int state_insert(struct state *s, const struct state_member *m, struct sluice_err *err);
void state_remove(struct state *s, uint32_t i);
int state_find(const struct state *s, const char *name); /* index, -1 if there is none */
/* state_unique_name() writes name, or name-2, name-3... whichever is free. */
void state_unique_name(const struct state *s, const char *name, char *to);

/*
 * state_save() makes the map (a descriptor, for the caller to close). state_load() reads the state of a program;
 * -ENOENT if it carries none, -EBADMSG if it is damaged or of another version of Sluice.
 */
int state_save(const struct state *s, int *map_fd, struct sluice_err *err);
int state_load(int prog_fd, struct state **s, struct sluice_err *err);

/* The same without a kernel, for tests: bytes to state. */
int state_parse(const void *bytes, size_t len, struct state **s, struct sluice_err *err);
void state_format(const struct state *s, struct buf *to);

#endif
