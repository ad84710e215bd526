/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is to be balanced: services, each with its virtual addresses, its backends and how packets get to them.
 * Numbers are in host order; nothing here says where it was read from but `line`, which is handed back with
 * what is wrong.
 */
#ifndef BALANCE_BALANCE_H
#define BALANCE_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>
#include <sluice/err.h>

#include "balance/maglev.h"
#include "base/buf.h"
#include "net/addr.h"

#define BALANCE_SERVICES 1024u
#define BALANCE_NAME 32		  /* with its NUL: letters, digits, - and _ */
#define BALANCE_HOLD_MAX_S 86400u /* a day */
#define BALANCE_HOLD_S 300u	  /* the default */
#define BALANCE_GUE_PORT 6080u	  /* the default: IANA's port for GUE */
#define BALANCE_PROTO_ANY 0	  /* all ports of all protocols */

enum balance_mode {
	BALANCE_IPIP, /* IP in IP: either family in either */
	BALANCE_GUE,
	BALANCE_L2, /* only the MAC addresses change */
	BALANCE_NAT,
};

/* What becomes of packets while no backend is up. */
enum balance_fallback {
	BALANCE_DROP,
	BALANCE_RESET,
	BALANCE_OPEN, /* as if all were up: the health check may be what is broken */
};

enum balance_health {
	BALANCE_UP,
	BALANCE_DOWN,
};

struct balance_virtual {
	struct net_addr addr;
	uint16_t first, last; /* ports; 0-65535: all */
	uint8_t proto;	      /* TCP 6, UDP 17 or BALANCE_PROTO_ANY */
	uint32_t line;
};

/* Draining: weight 0, or drain, which keeps the weight for later. */
struct balance_backend {
	struct net_addr addr;
	uint16_t port; /* where to, with NAT; 0: the port that the client used */
	bool drain;
	enum balance_health health;
	uint32_t weight;
	bool has_server;
	uint32_t server; /* its server id, if it has one */
	uint32_t line;
};

/*
 * Addresses that NAT translates to: n from the first on. own: some are the balancer's own, whose ports from this one on it leaves to
 * Linux; 0: none is.
 */
struct balance_pool {
	struct net_addr first;
	uint32_t n;
	uint32_t own;
	uint32_t line;
};

struct balance_service {
	char name[BALANCE_NAME];
	enum balance_mode mode;
	enum balance_fallback fallback;
	uint16_t gue_port;
	bool affinity;	/* backend by source address alone */
	bool stateless; /* no flow table: flows of slots that change move at once */
	uint32_t n_slots;
	uint8_t quic_bytes, quic_config; /* server ids in QUIC connection ids: how long; 0: none. Their configuration, 0 to 6 */
	uint32_t hold_s; /* how long flows that nobody knows go to the slot's previous backend */
	struct balance_virtual *virtuals;
	struct balance_backend *backends;
	struct balance_pool *pools; /* with NAT: at least one */
	size_t n_virtuals, n_backends, n_pools;
	uint32_t line;
};

struct balance_model {
	struct balance_service **services;
	size_t n_services;
	char seed[64]; /* of the hash over packets; every node needs the same; empty is a seed, too */
};

/*
 * balance_model_free() frees what a model holds, and makes it an empty one; it starts zeroed.
 * The others add; the result is the model's (the service's), with the defaults above and weight 1, and valid
 * until the next of its kind is added (a service: as long as the model). NULL: out of memory. Names are cut at
 * BALANCE_NAME; nothing is checked before balance_check().
 */
void balance_model_free(struct balance_model *m);
struct balance_service *balance_service_add(struct balance_model *m, const char *name);
struct balance_virtual *balance_virtual_add(struct balance_service *s, const struct net_addr *addr,
					    uint8_t proto, uint16_t first, uint16_t last);
struct balance_backend *balance_backend_add(struct balance_service *s, const struct net_addr *addr);
struct balance_pool *balance_pool_add(struct balance_service *s, const struct net_addr *first, uint32_t n);

struct balance_service *balance_service_find(const struct balance_model *m, const char *name);

/*
 * balance_check() looks for everything that makes no sense, and tells each mistake.
 *
 * in:      say   is given the line of what is wrong, which part of it, and a sentence without a full stop; may be NULL
 * errors:  -EINVAL if there were any (err has the first); -ENOMEM
 * cost:    n log n in virtual addresses and backends
 */
enum balance_part {
	BALANCE_PART_ALL,
	BALANCE_PART_ADDR,
	BALANCE_PART_PORT,
};
typedef void balance_say(void *arg, uint32_t line, enum balance_part part, const char *sentence);
int balance_check(const struct balance_model *m, balance_say *say, void *arg, struct sluice_err *err);

/*
 * balance_weights() gives each backend of a service the weight it counts with now, in the order of the model:
 * 0 while it is draining or down. If that leaves none and the service's fallback is BALANCE_OPEN, health does
 * not count; if then all that is left is draining, all stay 0. n_backends entries of to are written.
 */
void balance_weights(const struct balance_service *s, struct maglev_backend *to);

/* What a change makes necessary; bits. */
enum balance_work {
	BALANCE_WORK_VIRTUALS = 1, /* the table of virtual addresses */
	BALANCE_WORK_TARGETS = 2,  /* entries of backends */
	BALANCE_WORK_TABLE = 4,	   /* the Maglev table; slots that change are in transition */
	BALANCE_WORK_SLOTS = 8,	   /* a new array of slots, or another hash: flows that nobody knows move */
	BALANCE_WORK_SERVICE = 16, /* the service's parameters */
};

struct balance_change {
	const struct balance_service *before, *after; /* NULL: added, removed */
	unsigned int work;			      /* enum balance_work */
};

/*
 * balance_diff() compares two models: by name of services, address and port of backends, whatever order they
 * stand in. Services that are the same are not in the result.
 *
 * out:     *changes  in the order of names; the caller frees (an array); points into both models
 *          plan      a line for each difference and, last of a service, for its work; may be NULL
 * errors:  -ENOMEM
 */
int balance_diff(const struct balance_model *before, const struct balance_model *after,
		 struct balance_change **changes, size_t *n, struct buf *plan, struct sluice_err *err);

/* Words of a virtual address and of a backend, as they stand in a configuration; 80 characters are enough. */
#define BALANCE_TEXT 96
char *balance_virtual_text(const struct balance_virtual *v, char *to, size_t size);
char *balance_backend_text(const struct balance_backend *b, char *to, size_t size);

/* balance_seed() makes the ten numbers that packets are hashed with from a model's seed. */
#define BALANCE_SEED_WORDS 10
void balance_seed(const char *seed, __u64 to[BALANCE_SEED_WORDS]);

#endif
