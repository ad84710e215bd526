/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What balance_{live,store,commit,flows,make}.c share. */
#ifndef CONTROL_BALANCE_INSIDE_H
#define CONTROL_BALANCE_INSIDE_H

#include <limits.h>

#include "control/balance_live.h"

/* One place: a service of the policy. */
struct live_service {
	uint32_t number;
	uint32_t serial; /* of its file, as read */
	struct balance_overlay *overlay; /* of its backends */
	uint32_t *ids;			 /* their numbers */
	uint32_t *sorted;		 /* their places, by address and port */
	/* What counters said when their numbers were given out, less what had been counted before: so they begin with that. */
	struct balance_count *base;
	struct balance_reasons base_reasons;
};

/* What is to be said of a backend at the next commit. */
struct live_note {
	uint32_t service, backend, matter;
	struct balance_said said;
};

struct balance_live {
	struct control_state *st; /* NULL: opened by a folder */
	char generation[CONTROL_NAME];
	char dir[PATH_MAX]; /* "": it has not got its place yet */
	struct balance_model policy, model; /* as the policy has them; as they count */
	uint32_t *on;
	struct live_service *services;
	struct tables *t;
	struct balance_config config; /* places, and what concerns the flow table */
	struct balance_maps maps;
	void *memory;
	uint64_t *flows, *fragments;
	size_t memory_bytes, flows_bytes, fragments_bytes;
	struct live_note *notes;
	uint32_t n_notes;
	uint32_t *hop_users; /* of each way, how many targets; NULL: not counted yet */
	uint32_t hop_next;
	char from[CONTROL_NAME]; /* until it is placed: what it follows */
	bool follows;
	bool forget; /* what the flow table says is of numbers that nobody knows */
};

#define LIVE_STATE "balance_state"

/*
 * store_state() writes balance_state; store_service() a service's file, with its slots as they are in b->t.
 * store_read_state() fills what is empty in b: policy, config, tables; store_read_service() one service, and its slots in b->t if
 * they are to be kept. store_serial() is what the head of a service's file says.
 * errors: -EBADMSG (err names the file); -ENOENT; -ENOSPC it would be too large to be read; -ENOMEM
 */
int store_state(const struct balance_live *b, struct sluice_err *err);
int store_service(const struct balance_live *b, uint32_t service, struct sluice_err *err);
int store_read_state(struct balance_live *b, struct sluice_err *err);
int store_read_service(struct balance_live *b, uint32_t service, bool keep, struct sluice_err *err);
int store_serial(const struct balance_live *b, uint32_t service, uint32_t *serial, struct sluice_err *err);

/* live_new() makes an empty handle, live_places() what it has of each service, by its policy. errors: -ENOMEM */
int live_new(struct balance_live **b, struct sluice_err *err);
int live_places(struct balance_live *b, struct sluice_err *err);
/* live_copy_model() copies services with virtual addresses, backends and pools. errors: -ENOMEM */
int live_copy_model(const struct balance_model *from, struct balance_model *to, struct sluice_err *err);
/* live_maps() duplicates and maps them, and gives the tables their memory. */
int live_maps(struct balance_live *b, const struct balance_maps *maps, struct sluice_err *err);
/* live_overlay() makes the model say what policy and overlay of a service come to. */
void live_overlay(struct balance_live *b, uint32_t service);
int live_check(const struct balance_live *b, uint32_t service, uint32_t backend, struct sluice_err *err);
const struct balance_target *live_targets(const struct balance_live *b, uint32_t service);
const struct balance_ring *live_ring(const struct balance_live *b, uint32_t service);
/* live_open_other() is balance_live_open() of a generation that need not have a balancer: then *b is NULL. live_open_files()
 * the same, also if its maps are not pinned any more: then it has none. */
int live_open_other(struct control_state *st, const char *generation, struct balance_live **b, struct sluice_err *err);
int live_open_files(struct control_state *st, const char *generation, struct balance_live **b, struct sluice_err *err);
/* live_elsewhere() walks over the flow table and takes from it what is silent for long. bits: by place of services, all NULL;
 * those that have changed slots get bits of the slots with flows elsewhere (ring_settle()), for free(). */
int live_elsewhere(struct balance_live *b, uint64_t now_ns, uint8_t *bits[], struct sluice_err *err);
/* balance_live_way(), _prepare() and _place() without a state; old: the generation before, NULL: none */
int live_way(struct balance_live *b, uint32_t service, uint32_t backend, const struct balance_hop *hop, struct sluice_err *err);
int live_prepare(const struct balance_model *m, const uint32_t *on, struct balance_live *old, uint64_t now_ns,
		 struct balance_live **b, struct sluice_err *err);
int live_place(struct balance_live *b, struct balance_live *old, const char *generation, const char *dir,
	       const struct balance_config *config, const struct balance_maps *maps, struct sluice_err *err);
/* The flow table's clock; _long(): as long as 32 bits go, of which translated flows have NAT_TIME. */
uint32_t live_ticks(const struct balance_live *b, uint64_t now_ns);
uint32_t live_ticks_long(const struct balance_live *b, uint64_t now_ns);

/* A translated flow that has not ended. */
struct live_nat_flow {
	uint32_t number, id; /* of service and backend */
	uint32_t state;	     /* BALANCE_FLOW_NEW: the client has not gone on after an answer; BALANCE_FLOW_KEPT */
	uint32_t age;	     /* ticks since its last packet */
	uint32_t tag;
};

/*
 * live_nat_flows() calls each() with all of them, until it returns other than 0, which is then the result; with none if b was opened by
 * a folder. What the flow table knows of a service that translates (live_is_translated(), by place) is said by these.
 * cost: 4 bytes read for each port of a pool's address
 */
typedef int live_nat_each(void *arg, const struct live_nat_flow *flow);
int live_nat_flows(const struct balance_live *b, uint64_t now_ns, live_nat_each *each, void *arg, struct sluice_err *err);
bool live_is_translated(const struct balance_live *b, uint32_t service);

#endif
