/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of balance-check share: services with one backend each, and what comes out for a packet. */
#ifndef TESTS_BALANCE_EXPECT_H
#define TESTS_BALANCE_EXPECT_H

#include "balance_bed.h"

enum { PASS = 2, DROP = 1, TX = 3, REDIRECT = 4 };
enum { S44, S46, S66, S64, G4, G6, L2, ALL, BLOCK, ALL6 }; /* numbers of services() */

extern struct bed bed;
extern const char *what;
extern const struct make tcp4, tcp6; /* to S44 and S66 */

void services(void);

/* expect() ends the program unless the verdict and, if it is given, the packet are those. expect_drop(): one more drop
 * for that reason, and nothing else. s -1: of no service */
void expect(const struct frame *in, uint32_t verdict, const struct frame *want);
void expect_drop(const struct frame *in, int s, enum balance_reason reason);

/* front() begins a frame up to the IP header, back where in came from or out by another interface; outer() adds outer headers,
 * which IPv6 is outside; gue: the port, 0 for none. encapsulated() expects that of a packet, both ways. */
void front(struct frame *f, const struct frame *in, uint32_t type, bool out);
void outer(struct frame *f, const struct frame *in, const struct make *m, bool six, uint32_t gue);
void encapsulated(const struct make *m, bool six, uint32_t gue);

void odd(void);
void refused(void); /* services that say reset */

#endif
