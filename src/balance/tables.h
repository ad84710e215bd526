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
#include "base/view.h"

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

/* tables_attach() gives the tables their memory, tables_bytes() that stay mapped: zeroes, or what these tables said there. */
void tables_attach(struct tables *t, void *memory);

/*
 * tables_change() makes the memory say what the model says: tables_set(), then tables_publish().
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

/*
 * The same in two halves, so that what the memory is about to say can be kept somewhere first. tables_set() computes it;
 * tables_publish() compares it with what the memory says and stores the differences: also what another process began to
 * publish and did not finish. Each set is to be published before the next.
 * tables_set_service() and _publish_service() are about one service, which is there, has been loaded, and whose virtual
 * addresses, slots and affinity stay: -EINVAL, if not. It gets another serial number also if nothing else changes.
 */
int tables_set(struct tables *t, const struct balance_model *m, const uint32_t *on, uint64_t now_ns,
	       struct ring_report *report, struct sluice_err *err);
int tables_publish(struct tables *t, struct sluice_err *err);
int tables_set_service(struct tables *t, uint32_t number, const struct balance_service *m, uint64_t now_ns,
		       struct ring_report *report, struct sluice_err *err);
int tables_publish_service(struct tables *t, uint32_t number, struct sluice_err *err);

/* tables_settle_service() is ring_expire() and, with elsewhere, ring_settle(), to be published; tables_pending(): is it? */
void tables_settle_service(struct tables *t, uint32_t number, uint64_t now_ns, const uint8_t *elsewhere,
			   struct ring_report *report);
bool tables_pending(const struct tables *t, uint32_t number);

/*
 * What outlives the process that writes, as bytes: tables_save() where everything is, the services' names and numbers,
 * virtual addresses; tables_save_service() one service's backends and slots, with a serial number that each change raises.
 * The memory has the serial number of the last change of a service that it has whole: tables_published() compares.
 *
 * tables_load() makes tables without memory and without the services' slots, tables_load_service() adds those of one, and
 * _unload_service() forgets them; with another serial number than the memory has, they are to be published. Bytes are not
 * trusted.
 *
 * out:     serial  may be NULL
 * errors:  -EBADMSG the bytes cannot be that (err says why); -ENOMEM
 */
void tables_save(const struct tables *t, struct buf *to);
void tables_save_service(const struct tables *t, uint32_t number, struct buf *to);
int tables_load(struct view *from, struct tables **t, struct sluice_err *err);
int tables_load_service(struct tables *t, uint32_t number, struct view *from, uint32_t *serial, struct sluice_err *err);
void tables_unload_service(struct tables *t, uint32_t number);
uint32_t tables_serial(const struct tables *t, uint32_t number);
bool tables_published(const struct tables *t, uint32_t number, uint32_t serial);

/*
 * tables_grow() makes tables for another memory that go on from these, and sets m: services and backends keep their numbers,
 * slots their transitions; what is new or has another table size or affinity begins afresh, under a number that was given
 * out long ago or never. If all fits, everything stays where it is, else there is more room. To be attached to memory of its
 * own, of zeroes, and published.
 *
 * in:      from    all services loaded
 * out:     *to     freed by tables_free(); *same  everything is where it was; report may be NULL
 * errors:  -EINVAL there cannot be so much; -ENOMEM
 */
int tables_grow(const struct tables *from, const struct balance_model *m, const uint32_t *on, uint64_t now_ns,
		struct tables **to, bool *same, struct ring_report *report, struct sluice_err *err);

/*
 * tables_prepare_return() prepares a service of t, of which `to` was grown, for coming back after it: ring_prepare_return();
 * tables_take_turn() has it give the numbers that `to` gave to services to others late. true: it would have done so sooner.
 * errors: -ENOMEM
 */
bool tables_take_turn(struct tables *t, const struct tables *to);
int tables_prepare_return(struct tables *t, uint32_t number, const struct tables *to, bool *any, struct sluice_err *err);

/*
 * tables_targets_of() is how many targets a service gets that has none yet.
 * tables_server_mix() finds a mix with which n server ids have a cell each among n_cells, of which each target has one. errors:
 * -ENOSPC there is none; -ENOMEM
 */
int tables_server_mix(const uint32_t *servers, size_t n, uint32_t n_cells, uint32_t *mix);
uint32_t tables_targets_of(const struct balance_service *s);

/* tables_service() is a service's number, -1: there is none. tables_ring() its ring; tables_first() the number of its
 * target 0. */
int tables_service(const struct tables *t, const char *name);
const struct ring *tables_ring(const struct tables *t, uint32_t service);
uint32_t tables_first(const struct tables *t, uint32_t service);
uint32_t tables_slots(const struct tables *t, uint32_t service);   /* byte of its slot 0, within slots */
uint32_t tables_changes(const struct tables *t, uint32_t service); /* the change of its slot 0, within changes */

/* tables_n_targets() is how many targets a service has, tables_name() what it is called, "": there is none of that number (of
 * tables_n_services() at most). */
uint32_t tables_n_targets(const struct tables *t, uint32_t service);
const char *tables_name(const struct tables *t, uint32_t service);
uint32_t tables_n_services(const struct tables *t);

/*
 * tables_hop() sets how packets leave by way number hop (1 on). tables_way() sets the way to a target (its number within
 * the service); 0: it is looked up for each packet.
 */
void tables_hop(struct tables *t, uint32_t hop, const struct balance_hop *way);
void tables_way(struct tables *t, uint32_t service, uint32_t id, uint32_t hop);

#endif
