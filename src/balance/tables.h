/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flat memory of a data path (abi/balance.h): where everything is in it, and how it is changed while packets are
 * looked up in it. Plain stores; no system calls: whoever owns the memory has mapped it.
 *
 *     tables_new (room) --> config: constants for the program, len --> tables_attach (memory) --> tables_change (model)...
 *
 * What a change does not touch is not written. Each service has a ring; services keep their places.
 */
#ifndef BALANCE_TABLES_H
#define BALANCE_TABLES_H

#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/balance.h"
#include "balance/balance.h"
#include "balance/ring.h"

/* How much there is room for. */
struct tables_room {
	uint32_t services;
	uint32_t vips;	  /* blocks of ports of virtual addresses */
	uint32_t targets; /* backends of all services, with those that went lately */
	uint32_t slots;	  /* of all services */
	uint32_t slot_bytes;
	uint32_t hops; /* below 65536 */
};

#define TABLES_NARROW \
	120u /* more backends than that have slots of two bytes: numbers of those that went rest */
#define TABLES_GRACE_NS 20000000u /* a packet is looked up in less */

struct tables;

/* tables_room() is the room that a model needs, and a half more of everything, so that it can grow. */
void tables_room(const struct balance_model *m, struct tables_room *room);

/*
 * tables_new() lays out the memory.
 *
 * in:      seed  of the model; every model that comes has the same
 * out:     *t    freed by tables_free(); nothing is in it yet
 * errors:  -EINVAL more services than BALANCE_SERVICES; -ENOMEM
 */
int tables_new(const struct tables_room *room, const char *seed, struct tables **t, struct sluice_err *err);
void tables_free(struct tables *t);

/* The constants for the program; places are set, what concerns interfaces, flows and packets is the caller's. */
const struct balance_config *tables_config(const struct tables *t);
size_t tables_bytes(const struct tables *t);

/* tables_attach() gives the tables their memory: tables_bytes() of zeroes that stay mapped. */
void tables_attach(struct tables *t, void *memory);

/*
 * tables_change() makes the memory say what the model says.
 *
 * in:      m       checked, and of the seed of tables_new()
 *          on      bits of the interfaces of each service, in the order of the model; NULL: all bits of all
 *          now_ns  of the monotonic clock
 * out:     report  summed over the services that changed; may be NULL
 * errors:  -ENOSPC  something does not fit: make larger ones; -EAGAIN virtual addresses were changed less than
 *          TABLES_GRACE_NS ago; nothing has changed then. -ENOMEM: of several services some may have changed; the same
 *          again changes the others
 */
int tables_change(struct tables *t, const struct balance_model *m, const uint32_t *on, uint64_t now_ns,
		  struct ring_report *report, struct sluice_err *err);

/* tables_service() is a service's number, -1: there is none. tables_ring() its ring; tables_first() the number of its
 * target 0. */
int tables_service(const struct tables *t, const char *name);
const struct ring *tables_ring(const struct tables *t, uint32_t service);
uint32_t tables_first(const struct tables *t, uint32_t service);

/*
 * tables_hop() sets how packets leave by way number hop (1 on). tables_way() sets the way to a target (its number within
 * the service); 0: it is looked up for each packet.
 */
void tables_hop(struct tables *t, uint32_t hop, const struct balance_hop *way);
void tables_way(struct tables *t, uint32_t service, uint32_t id, uint32_t hop);

#endif
