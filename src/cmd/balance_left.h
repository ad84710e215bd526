/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many flows backends have that drain. */
#ifndef CMD_BALANCE_LEFT_H
#define CMD_BALANCE_LEFT_H

#include "cmd/balance_run.h"

/* A backend of a service, by place; and by name, for when the generation is another one. */
struct chosen {
	uint32_t service, backend;
	char service_name[BALANCE_NAME], name[BACKEND_NAME];
	struct balance_backend before;
	bool changed;
	uint64_t left; /* flows, */
	bool known;    /* if all of them have come into the table */
	/* of a service whose connection ids name servers: flows of those come into no table, packets are counted */
	uint64_t packets, still_ns; /* how many there were, and when the last of them was noticed */
	bool counted, busy;	    /* busy: there were some within idle_ns */
};

struct choice {
	struct chosen *v;
	size_t n;
};

/* left_count() counts what had a packet within idle_ns. for_ns: how long it has been draining while this was watched. errors: of bpf(2) */
int left_count(struct balance_live *live, struct choice *c, uint64_t idle_ns, uint64_t for_ns, struct sluice_err *err);

uint64_t left_sum(const struct choice *c);

/* left_known(): does that sum say something? Where it is 0, flows of a backend that nothing is known of may be left. */
bool left_known(const struct choice *c);

/* left_busy() is one to which packets come of connections that no table knows; NULL: there is none. */
const struct chosen *left_busy(const struct choice *c);

#endif
