/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The data path's answer for a packet, on the host: the same memory, flow table and fragments, read and not written, by the
 * same functions (datapath/lib/balance.h, flow.h).
 */
#ifndef BALANCE_ANSWER_H
#define BALANCE_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/balance.h"
#include "net/addr.h"

#define ANSWER_NONE (~0u)

/* As the program sees it: of an ICMP error the flow that the quoted packet answers, from client to virtual address. */
struct answer_packet {
	struct net_addr src, dst;
	uint16_t sport, dport; /* host order; 0 for protocols without */
	uint8_t proto;
	uint8_t ttl, icmp_type, icmp_code;
	uint8_t tcp_flags;
	enum balance_packet kind;
	bool more;     /* the first of several fragments */
	bool extended; /* something is between the IP header and what it carries */
	bool hosts; /* neighbours and routers talk to this host, or the frame is for many: it passes, whatever the address */
	uint32_t bytes; /* from the IP header on; 0: it fits */
	uint32_t ident; /* of a fragment: as the packet has it, in its order of bytes */
};

struct answer_memory {
	const void *memory; /* abi/balance.h */
	const uint64_t *flows, *fragments; /* fragments may be NULL: none is known */
	const struct balance_config *config;
	uint32_t ticks; /* the flow table's time */
	uint64_t now_ns; /* of the monotonic clock */
};

struct answer {
	uint32_t service; /* its number; ANSWER_NONE: it passes, or is a fragment of which that is not known (BALANCE_WHY_NO_FIRST) */
	uint32_t id;	  /* of its backends; 0: none */
	enum balance_why why;
	bool affinity;	  /* the slot is the source's */
	uint64_t hash;	  /* of the flow */
	uint32_t slot, word; /* word: current and previous backend, abi/balance.h */
	uint64_t until;	  /* the deadline of a changed slot with a previous backend; else 0 */
	uint64_t entry;	  /* of the flow table, also where it does not decide; 0: the flow is not in it */
	enum balance_reason
		drop; /* BALANCE_REASONS: it is not dropped. Else id, if it is not 0, is who would have got it */
	bool unasked;  /* dropped before a backend was chosen: nothing is known but service and drop */
	uint32_t fits; /* BALANCE_DROP_TOO_BIG, _TOLD: bytes from the IP header on that the way takes */
};

/*
 * answer_packet() fills *to. Of drops it tells what follows from the packet and the memory: not that a place of NAT or a turn to send an
 * error is not to be had, nor what the kernel says of a way that is looked up for each packet. Flows that are translated already are
 * not looked for.
 */
void answer_packet(const struct answer_memory *m, const struct answer_packet *p, uint32_t on, struct answer *to);

#endif
