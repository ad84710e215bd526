/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What balance_state.c and balance_state_next.c share: services, their program with files beside its memory, an oracle. */
#ifndef TESTS_BALANCE_STATE_BED_H
#define TESTS_BALANCE_STATE_BED_H

#include "balance/oracle.h"
#include "balance_bed.h"
#include "control/balance_inside.h"

#define SECOND 1000000000ull
#define N_SERVICES 3
#define N_BACKENDS 10

extern struct bed state_bed;
extern char state_dir[256];
extern struct control_state state_st; /* held, with a generation in force */
extern uint64_t state_rng;
extern uint32_t state_why[8]; /* how often the oracle said so */

uint32_t state_below(uint32_t n);
void state_must(int e, const struct sluice_err *err);
void state_add_backend(struct balance_service *s, uint32_t service, uint32_t k);
struct balance_maps state_maps(const struct control_balance *b);
struct balance_live *state_open(void);
void state_tell(struct balance_live *b);
struct balance_live *state_first(void);
void state_last(struct balance_live *b);
void state_frame(const struct oracle_packet *p, struct frame *f);
void state_packets(struct balance_live *b, uint32_t n);
void state_notes(struct balance_live *b);
void state_pass_time(void);
void state_ways(struct balance_live *b);

void state_next(uint32_t rounds); /* balance_state_next.c */

#endif
