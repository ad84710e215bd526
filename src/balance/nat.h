/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses that services translate to (abi/nat.h): which number each has, and the constants of a data path that follow.
 *
 *     model ── nat_plan() ──> struct nat_config ── nat_service(), for each; nat_times() ──> constants of the program
 *
 * Numbers are places in memory that outlives a model: nat_plan() keeps those that a plan before gave to the same addresses,
 * and gives others to addresses that come, as long as there are any. Flows of a number whose address has changed are nobody's: who
 * makes the memory of a plan out of that of the one before forgets them (nat_kept(), nat_goes_on()).
 */
#ifndef BALANCE_NAT_H
#define BALANCE_NAT_H

#include <sluice/err.h>

#include "abi/nat.h"
#include "balance/balance.h"

/*
 * nat_plan() gives addresses their numbers.
 *
 * in:      m       services whose mode is not NAT, or that have no pools, take no part
 *          before  the plan that memory was made for; NULL: there is none
 * out:     *c      n_addrs of a family is no less than before's, unless it is 0: then there is nothing to translate to
 *          *whose  of what is wrong, the service; may be NULL
 *          without idle, which is nat_times()'s
 * errors:  -EINVAL more than NAT_ADDRS addresses of a family, or NAT_RANGES stretches of them; pools of two services that
 *          have some addresses in common and others not
 */
int nat_plan(const struct balance_model *m, const struct nat_config *before, struct nat_config *c,
	     const struct balance_service **whose, struct sluice_err *err);

/* nat_given() are the numbers that addresses of a family have, as bits. */
uint64_t nat_given(const struct nat_config *c, bool six);

/* nat_kept() are those that have the same addresses in two plans: their flows go on. */
uint64_t nat_kept(const struct nat_config *before, const struct nat_config *c, bool six);

/*
 * nat_goes_on() tells whether the memory of a family is also the next plan's: of the same size, and no number has another address
 * than before. Numbers that the plan before had not given may have flows of one still earlier.
 */
bool nat_goes_on(const struct nat_config *before, const struct nat_config *c, bool six);

/* nat_nth() is the address n behind a pool's first. */
struct net_addr nat_nth(const struct net_addr *first, uint32_t n);

/* nat_own() is what a plan says of an address as of struct balance_pool. */
uint32_t nat_own(const struct nat_config *c, const struct net_addr *a);

/* nat_times() says after how many ticks, of tick_ns nanoseconds (1 s to 8 s), flows give way. */
void nat_times(struct nat_config *c, uint64_t tick_ns);

/*
 * nat_service() says in a plan what a service of its model translates to; number: in tables (balance/tables.h). Services that
 * are not said translate to nothing.
 *
 * errors:  -EINVAL there are more than NAT_POOLS different pools
 */
int nat_service(struct nat_config *c, uint32_t number, const struct balance_service *s, struct sluice_err *err);

#endif
