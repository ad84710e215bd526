/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The balancer of a generation, as those who show and change it see it: what the policy says, what was set at run time,
 * what packets meet, counters, flows.
 *
 *     balance_live_open() ── model, backend, counts, flows, why            needs no lock
 *                        ╰── _drain, _weight, _health, then _commit        the lock; both generations during a trial
 *     balance_live_prepare() ── control_balance_load() ── balance_live_place()       a new generation, by `apply`
 *
 * The truth is in files of the generation's folder under /run:
 *
 *     balance_state    where everything is in the memory; names, numbers, virtual addresses of services
 *     balance_N        of service number N: backends, their numbers, what was set at run time, slots, deadlines; a serial number
 *
 * A change is computed, written into the files of the services that it touches, each by rename, and then stored into the
 * memory, the serial number last. Whoever changes something next compares serial numbers first, and finishes what a process
 * that was killed had written but not stored. Files are bytes of somebody else: all of them are checked.
 *
 * Services and backends are named by their place in balance_live_model(), which is that of the policy and stays the same for
 * the life of a generation. A handle is one thread's.
 */
#ifndef CONTROL_BALANCE_LIVE_H
#define CONTROL_BALANCE_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "balance/answer.h"
#include "balance/tables.h"
#include "control/balance_overlay.h"
#include "control/state.h"
#include "policy/packet.h"
#include "policy/policy.h"

struct balance_live;

/* Maps that a generation's programs share; -1: there is none. */
struct balance_maps {
	int memory, flows, fragments, counts, reasons;
};

/*
 * balance_live_open() opens the balancer of a generation.
 *
 * in:      generation  NULL: the one in force (control_state_current()); st outlives the handle
 * out:     *b          for balance_live_close()
 * errors:  -ENOENT     no policy is in force, it has no balance blocks, or its maps are not pinned any more
 *          -EBADMSG    its files are damaged, or of another version (err names the file); -EPERM; -ENOMEM
 */
int balance_live_open(struct control_state *st, const char *generation, struct balance_live **b, struct sluice_err *err);
void balance_live_close(struct balance_live *b);

/* balance_live_is_there() tells, for less, whether a generation has one: 0, or -ENOENT with the same sentence. */
int balance_live_is_there(const struct control_state *st, const char *generation, struct sluice_err *err);

/* balance_live_open_at() does the same with the folder of the files and maps that the caller has; they are duplicated. */
int balance_live_open_at(const char *dir, const struct balance_maps *maps, struct balance_live **b, struct sluice_err *err);

/* balance_live_generation() is its name; balance_live_model() the services as they count now, with what was set at run time
 * and committed (by others: as of the last open, reload or commit). */
const char *balance_live_generation(const struct balance_live *b);
const struct balance_model *balance_live_model(const struct balance_live *b);

/* balance_live_reload() reads again what others have changed since. *changed, which may be NULL: was there anything?
 * errors: as balance_live_open() */
int balance_live_reload(struct balance_live *b, bool *changed, struct sluice_err *err);

/* balance_live_find() is the place of a service, balance_live_find_backend() that of a backend (port 0: the only one with
 * this address); -1: there is none. */
int balance_live_find(const struct balance_live *b, const char *service);
int balance_live_find_backend(const struct balance_live *b, uint32_t service, const struct net_addr *addr, uint16_t port);

struct balance_live_backend {
	struct balance_backend policy; /* as the policy has it */
	struct balance_backend now;    /* as it counts */
	struct balance_overlay set;    /* what was said at run time */
	uint32_t number, id;	       /* of its service, and its own within that; 0: it has none yet */
	uint32_t target;	       /* index of its counters, and of balance_live_tally()'s */
	uint8_t state;		       /* enum balance_target_state: as packets meet it */
	bool way;		       /* how to get there is known; else it is looked up for each packet */
	struct balance_hop hop;	       /* that way */
};

struct balance_live_service {
	uint32_t number, n_slots;
	uint32_t changed; /* slots for which the flow table is asked */
	uint32_t waiting; /* of them, slots with a previous backend */
	uint64_t until;	  /* the last deadline of these, CLOCK_MONOTONIC; 0: none */
	uint32_t *slots;  /* how many slots each backend has, by place; NULL, or n_backends of the caller's, to be filled */
};

/* errors: -EINVAL there is no such place */
int balance_live_backend(const struct balance_live *b, uint32_t service, uint32_t backend, struct balance_live_backend *to,
			 struct sluice_err *err);
int balance_live_service(const struct balance_live *b, uint32_t service, struct balance_live_service *to, struct sluice_err *err);

/* --- changes --- */

/*
 * What is said of a backend is noted in the handle; balance_live_commit() makes it count. who BALANCE_WHO_NOBODY: what was
 * said is taken back. A backend is known to the health checks from the first balance_live_health() on.
 * errors:  -EINVAL  there is no such place, or a weight above MAGLEV_WEIGHT_MAX; -ENOMEM
 */
int balance_live_drain(struct balance_live *b, uint32_t service, uint32_t backend, bool drain, enum balance_who who,
		       struct sluice_err *err);
int balance_live_weight(struct balance_live *b, uint32_t service, uint32_t backend, uint32_t weight, enum balance_who who,
			struct sluice_err *err);
int balance_live_health(struct balance_live *b, uint32_t service, uint32_t backend, bool up, enum balance_who who,
			struct sluice_err *err);

/*
 * balance_live_commit() makes what was noted count, for packets and whoever opens next: files first, then memory. With
 * nothing noted it finishes what a process that was killed left. While another generation may come into force (a trial, a
 * switch under way) it gets the same changes, as far as it has the service and backend. What was noted is forgotten, whatever
 * the outcome.
 *
 * in:      the lock (control_state_lock()) is held; now_ns of CLOCK_MONOTONIC
 * out:     report  of this generation, summed over services; may be NULL
 * errors:  -EPERM   the lock is not held
 *          -ESTALE  the generation is not in force any more and will not be: open the current one
 *          -ENOSPC, -ENOMEM, -EBADMSG; of files. Services whose file had been written have the change, and who comes next
 *          finishes it; others are as they were
 */
int balance_live_commit(struct balance_live *b, uint64_t now_ns, struct ring_report *report, struct sluice_err *err);

/*
 * balance_live_settle() walks over the flow table and takes from it what is silent for long (kept flows for 51 minutes: the
 * entries' clock goes round after 68; new ones for the idle time of the configuration), takes previous backends out of slots
 * whose deadline is over, and, unless a trial or a switch is under way, makes slots settled again none of whose flows is elsewhere. Files and memory as in a commit, in this
 * generation alone. To be called once in a while: at least every 15 minutes, soon after a deadline (balance_live_service()).
 *
 * in:      the lock is held; now_ns of CLOCK_MONOTONIC
 * out:     report  summed over services; may be NULL
 * errors:  as balance_live_commit()
 */
int balance_live_settle(struct balance_live *b, uint64_t now_ns, struct ring_report *report, struct sluice_err *err);

/*
 * balance_live_way() says how packets get to a backend; hop NULL: it is looked up for each packet. In memory only: a new
 * generation takes ways over, nothing is written into files. Who sets ways is one process at a time.
 * errors:  -EINVAL  no such place, or a way without interface; -ENOENT the backend has no number yet; -ENOSPC all numbers of
 *          ways are taken (packets to the backend go on being looked up); -ENOMEM
 */
int balance_live_way(struct balance_live *b, uint32_t service, uint32_t backend, const struct balance_hop *hop,
		     struct sluice_err *err);

/* --- what packets did --- */

/*
 * balance_live_counts() adds up what all CPUs counted of a backend, _reasons() of a service, BALANCE_LIVE_NONE: of packets
 * of none.
 * errors:  -EINVAL there is no such place; of bpf(2)
 */
#define BALANCE_LIVE_NONE (~0u)
int balance_live_counts(struct balance_live *b, uint32_t service, uint32_t backend, struct balance_count *to,
			struct sluice_err *err);
int balance_live_reasons(struct balance_live *b, uint32_t service, struct balance_reasons *to, struct sluice_err *err);

/*
 * An entry of the flow table. Flows of slots that are settled are not in it; addresses neither, only bits of their hash.
 * service and backend are places; BALANCE_LIVE_NONE: of one that went.
 */
struct balance_live_flow {
	uint32_t service, backend;
	uint32_t state; /* BALANCE_FLOW_NEW, BALANCE_FLOW_KEPT */
	uint32_t age_s; /* since its last packet, in steps of about 4 s */
	uint64_t entry;
};

/* balance_live_flows() calls each() with every entry, until it returns other than 0, which is then the result. now_ns of
 * CLOCK_MONOTONIC. cost: 8 bytes read for each place of the table */
int balance_live_flows(struct balance_live *b, uint64_t now_ns, int (*each)(void *arg, const struct balance_live_flow *flow),
		       void *arg, struct sluice_err *err);

/*
 * balance_live_tally() counts the entries of all backends in one walk.
 * in:      active_s  only what had a packet within that time; 0: all
 * out:     *v        *n of them, by struct balance_live_backend's target, for free()
 */
struct balance_tally {
	uint32_t kept, fresh; /* BALANCE_FLOW_KEPT, BALANCE_FLOW_NEW */
};
int balance_live_tally(struct balance_live *b, uint64_t now_ns, uint32_t active_s, struct balance_tally **v, uint32_t *n,
		       struct sluice_err *err);

/*
 * balance_live_packet() is a packet in words as the data path sees it. Without an identification: of later fragments the first one was
 * not seen.
 * errors:  -EINVAL it is not IP; an ICMP error, which goes where the flow goes that it quotes
 */
int balance_live_packet(const struct policy_packet *k, struct answer_packet *to, struct sluice_err *err);

/*
 * balance_live_why() answers what the data path would answer for a packet at this moment, from the same memory and flow
 * table; neither is changed. on: bits of interfaces, ~0: any. Of fragments the table of fragments is asked.
 *
 * out:     *a, and the places of service and backend in it; BALANCE_LIVE_NONE: none
 */
struct balance_live_answer {
	struct answer a; /* why, slot, flow's entry, deadline: balance/answer.h */
	uint32_t service, backend;
};
int balance_live_why(struct balance_live *b, const struct answer_packet *p, uint32_t on, uint64_t now_ns,
		     struct balance_live_answer *to, struct sluice_err *err);

/* --- a new generation --- */

/*
 * balance_live_over() is services of a policy as they would count if it came into force now: with what was set at run time in
 * `from` and goes on.
 *
 * out:     *to      starts zeroed; for balance_model_free(); empty on failure
 * errors:  -ENOMEM
 */
int balance_live_over(const struct balance_live *from, const struct balance_model *policy,
		      struct balance_model *to, struct sluice_err *err);

/*
 * balance_live_prepare() computes what a new generation begins with: the policy's services, with the numbers, slots,
 * deadlines and run-time settings that the generation before it has for those that stay. Nothing is written, or changed for
 * packets.
 *
 * in:      p         whose services (p->services) are checked; on: bits of the interfaces of each, NULL: all of all
 *          from      the generation that it follows, "": none; one without a balancer is none, too; one whose files are damaged
 *                    is none but for the flow table, which is emptied: st->warned says so
 *          now_ns    of CLOCK_MONOTONIC
 * out:     *b        without memory; until balance_live_place() for balance_live_tables(), _follows(), _model() and _close() alone
 * errors:  -EINVAL   more than there can be; -EPERM, -ENOMEM
 */
int balance_live_prepare(struct control_state *st, const struct policy *p, const uint32_t *on, const char *from,
			 uint64_t now_ns, struct balance_live **b, struct sluice_err *err);

/* balance_live_tables() is for control_balance_load(): places and sizes. */
struct tables *balance_live_tables(struct balance_live *b);

/* balance_live_follows(): are all numbers where the generation before has them, so that its counters (counts, reasons) can be
 * shared? Flows and fragments can be if they are of the same size. */
bool balance_live_follows(const struct balance_live *b);

/*
 * balance_live_place() writes the files of the new generation and fills its memory, with the ways that are known; counters
 * of backends that stay go on from what the generation before shows now, those of others begin with 0. The generation before notes which numbers were given out, so that if it
 * comes back it gives them to nobody else while flows still have them.
 *
 * in:      the lock is held; dir: the generation's folder, which is there; config: of the program that was loaded (flow_shift,
 *          fragment_shift, tick_shift, idle are kept); maps: they are duplicated
 * out:     b can be used as an open one from now on
 * errors:  of files and bpf(2); the folder is to be dropped then
 */
int balance_live_place(struct balance_live *b, const char *generation, const char *dir, const struct balance_config *config,
		       const struct balance_maps *maps, struct sluice_err *err);

#endif
