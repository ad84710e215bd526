/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend gets a packet, slowly and obviously: every search is linear, every slot remembers by itself
 * what happened to it, every flow of a changed slot is remembered for ever. Data paths and ring.c are held
 * against this; it shares nothing with them but the model, maglev_permutation() and the words of abi/balance.h.
 */
#ifndef BALANCE_ORACLE_H
#define BALANCE_ORACLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/balance.h"
#include "balance/balance.h"

/* Of an ICMP error (BALANCE_PACKET_ERROR) all fields are the quoted packet's: its source is the virtual address. */
struct oracle_packet {
	struct net_addr src, dst;
	uint16_t sport, dport; /* host order; 0 for protocols without */
	uint8_t proto;
	bool more;	/* a first fragment: others with this identification follow */
	uint32_t ident; /* of fragments */
	uint8_t payload[32]; /* of UDP, and how long all of it is */
	uint32_t n_payload;
	enum balance_packet kind;
};

struct oracle_answer {
	const struct balance_service
		*service; /* NULL: for none, the packet passes; BALANCE_WHY_NO_FIRST: a fragment of which that is not known */
	const struct balance_backend *backend; /* of that service; NULL: none */
	enum balance_why why;
};

struct oracle;

/* oracle_new() has no services yet. errors: -ENOMEM */
int oracle_new(struct oracle **o, struct sluice_err *err);
void oracle_free(struct oracle *o);

/*
 * oracle_change() makes model the one that counts from now on; it is not kept but must outlive the next
 * oracle_packet() calls. A service whose table, affinity or seed is another starts afresh.
 * errors: -ENOMEM (the oracle is of no more use then)
 */
int oracle_change(struct oracle *o, const struct balance_model *m, uint64_t now_ns, struct sluice_err *err);

/* oracle_packet() answers, and remembers the flow where a flow table would. errors: -ENOMEM */
int oracle_packet(struct oracle *o, const struct oracle_packet *p, uint64_t now_ns, struct oracle_answer *a,
		  struct sluice_err *err);

/* oracle_table() is maglev_build() as the paper's text has it, with turns by weight; cost: n_slots * n. */
int oracle_table(const struct maglev_backend *b, size_t n, uint32_t n_slots, uint16_t *table,
		 struct sluice_err *err);

#endif
