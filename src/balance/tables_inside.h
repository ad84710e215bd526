/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tables*.c share: the host's side of the flat memory. */
#ifndef BALANCE_TABLES_INSIDE_H
#define BALANCE_TABLES_INSIDE_H

#include "balance/tables.h"
#include "balance/vips.h"

/* A stretch of one of the parts; n 0: none. */
struct stretch {
	uint32_t first, n;
};

struct service {
	char name[BALANCE_NAME]; /* empty: none */
	struct ring *ring;	 /* NULL: none, or it has not been loaded (tables_load_service()) */
	struct balance_service last; /* as set; only what a ring is made of, its own copy of backends */
	struct stretch slots, changes, targets;
	uint32_t gone;	 /* removed with that change of virtual addresses: its places rest until the next */
	uint32_t serial; /* of its last change; the memory has that of the last one that it has whole */
	bool pending;	 /* the memory may say something else */
	bool unseen;	 /* what the memory says is not known: all of it is compared */
};

struct tables {
	struct balance_config config;
	struct tables_room room;
	char seed[sizeof(((struct balance_model *)0)->seed)];
	size_t len;
	char *memory;
	struct service *services;
	struct maglev_memo memo;
	struct vips vips;	/* as set */
	uint32_t levels_before; /* of those before them, which a reader may still be looking up */
	bool vips_pending;
	uint64_t flipped_ns;
	uint32_t flips;
	uint32_t turn;	 /* where the search for a number of another service begins: numbers are used again late */
	uint32_t serial; /* the largest of the services' */
};

/* tables_layout() finds places for the parts in t->config, by t->room. errors: -EINVAL there is too much of something */
int tables_layout(struct tables *t, struct sluice_err *err);

/* tables_stretches() finds places for a service, which has none, of the backends and slots that m has. errors: -ENOSPC, -ENOMEM */
int tables_stretches(struct tables *t, const struct balance_service *m, struct service *s, struct sluice_err *err);

/* tables_drop_service() makes it none. tables_remember() keeps what m says as the last. */
void tables_drop_service(struct service *s);
int tables_remember(struct service *s, const struct balance_service *m, struct sluice_err *err);

/* Does a service with so many backends need slots of two bytes? Does one that is there fit what m says? */
bool tables_wants_wide(const struct balance_service *m);
bool tables_fits(const struct service *s, const struct balance_service *m);

/*
 * tables_servers() writes which backend has which server id, while readers look; to->server_mix and cells of targets.
 * errors: -ENOSPC there are no cells for all, and nothing is written; -ENOMEM
 */
int tables_servers(const struct balance_service *m, const struct ring *r, struct balance_ring *to,
		   struct balance_target *targets, uint32_t n_targets, struct sluice_err *err);

static inline void *tables_at(const struct tables *t, uint32_t part, uint32_t n, size_t size)
{
	return t->memory + part + n * size;
}

#endif
