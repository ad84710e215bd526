/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the balancer's translation should do, slowly: flows in a list, every packet made anew with its sums computed word by
 * word. The one thing taken from the program is the address and port that it chose for a new flow, and those are looked at:
 * of the pool, and nobody else's.
 */
#ifndef TESTS_BALANCE_NAT_MODEL_H
#define TESTS_BALANCE_NAT_MODEL_H

#include "balance_bed.h"

enum { PASS = 2, DROP = 1, TX = 3, REDIRECT = 4 };
#define TEXT 48
#define IDENT_REQUEST4 8
#define IDENT_REQUEST6 128

struct nat_end {
	char addr[TEXT];
	uint16_t port; /* ICMP: the identifier of clients and pools, else 0 */
};

struct known {
	uint8_t proto; /* 6, 17, 1, 58 */
	struct nat_end client, virtual, pool, backend;
	bool gone;
};

extern struct bed bed;
extern const char *what;
extern uint32_t n_compared;

/* What may be said of a service: its backends ("," between), the port they get (0: the client's), prefix of its pool. */
struct nat_service {
	const char *virtual, *backends, *pool; /* pool: of addresses, as text up to where they differ */
	uint16_t port, to_port;		       /* 0: all */
	uint8_t proto;			       /* 0: all */
};
extern const struct nat_service services[];
extern const size_t n_services;

/* A packet of a flow, either way; whatever else (flags, payload, tags, options) is as in `like`. */
struct make nat_make(const struct known *k, const struct make *like, bool back);

/* nat_frame() is frame_make() with echoes, and with UDP's sum left out if like->ident is 0xffff. nat_hop() takes a hop off. */
void nat_frame(struct frame *f, const struct make *m, bool reply, bool no_sum);
void nat_hop(struct frame *f);

/*
 * nat_forth() gives the program a client's packet and compares; of a new flow, it fills in pool and backend, and remembers it.
 * nat_back() the backend's answer. Each ends the program if something is wrong.
 */
struct known *nat_forth(const struct known *flow, const struct make *like);
void nat_back(const struct known *flow, const struct make *like);
struct known *nat_lookup(const struct known *flow);
void nat_forget(struct known *k);

/* expect() ends the program unless the verdict and, if it is given, the packet are those. */
void expect(const struct frame *in, uint32_t verdict, const struct frame *want);
void expect_reason(const struct frame *in, int s, enum balance_reason reason, uint32_t verdict);
void macs(struct frame *f, bool out);

void nat_odd(void);

#endif
