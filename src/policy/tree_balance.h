/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Balance blocks as they are written; part of the tree in tree.h.
 *
 *     balance: name, interfaces, forward --> virtual: addresses, protocol, ports
 *                                        --> backend: addresses, weight
 *                                        --> health: how backends are checked
 *
 * What the services come to is struct balance_model (balance/balance.h).
 */
#ifndef POLICY_TREE_BALANCE_H
#define POLICY_TREE_BALANCE_H

#include "balance/balance.h"
#include "policy/tree.h"

enum policy_health_kind {
	POLICY_HEALTH_NONE,
	POLICY_HEALTH_TCP,
	POLICY_HEALTH_HTTP,
	POLICY_HEALTH_HTTPS,
	POLICY_HEALTH_ICMP,
	POLICY_HEALTH_COMMAND,
};

struct policy_health {
	struct policy_pos pos;
	uint8_t kind;		       /* enum policy_health_kind */
	const char *text;	       /* the path, or the command */
	const char *host;	       /* of http and https; NULL: the backend's address */
	const char *body;	       /* of http and https: what the answer contains; NULL: anything */
	bool verify;		       /* of https: the certificate has to be valid for the host */
	uint32_t port;		       /* 0: the service's */
	uint32_t status_lo, status_hi; /* of http and https */
	uint64_t every_ns, timeout_ns;
	uint32_t rise, fall;
	bool direct; /* to the backend's own address, not through the service's tunnel */
	struct policy_pos direct_pos;
};

struct policy_virtual {
	struct policy_list addrs; /* ADDR, each one address */
	uint8_t proto;		  /* TCP 6, UDP 17, BALANCE_PROTO_ANY */
	struct policy_list ports; /* NUM; none: all ports */
};

struct policy_backend {
	struct policy_list addrs; /* ADDR, each one address */
	uint32_t weight;
	uint32_t port; /* 0: the one that the client used */
	struct policy_pos port_pos;
	bool drain;
	bool has_server;
	uint32_t server; /* its server id */
};

struct policy_balance {
	struct policy_pos pos; /* of the name */
	const char *name;
	struct policy_list on; /* TEXT */
	uint8_t mode;	       /* enum balance_mode */
	bool forward_given;
	uint8_t fallback; /* enum balance_fallback */
	uint32_t gue_port;
	struct policy_list from; /* ADDR: what nat translates to; none: the balancer's own address */
	bool affinity, stateless;
	bool damaged; /* something in it could not be read */
	uint32_t n_slots, hold_s;
	uint32_t quic_bytes, quic_config;
	struct policy_virtual *virtuals;
	struct policy_backend *backends;
	uint32_t n_virtuals, n_backends;
	struct policy_health health;
};

bool policy_same_balance(const struct policy_balance *a, const struct policy_balance *b);

#endif
