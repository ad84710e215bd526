/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Translated flows (abi/nat.h) that go on in another generation. Where its plan allows it (nat_goes_on()) both have one memory;
 * otherwise flows are copied, each into the same place.
 */
#ifndef CONTROL_CARRY_NAT_H
#define CONTROL_CARRY_NAT_H

#include "balance/nat.h"
#include "control/state.h"

/*
 * carry_nat_map() opens the live generation's memory of a family for a plan that comes after `before`, the live one's; -1: it
 * needs one of its own. Flows that a still earlier plan left in numbers that are new are forgotten; dry: they stay, nothing changes.
 */
int carry_nat_map(const struct control_state *st, const struct nat_config *before, const struct nat_config *now, bool six,
		  bool dry);

/*
 * carry_nat() copies flows of numbers that stay from one generation's memory to another's, if these are two, into places that
 * are free there. It may be done while programs of both run, and again: right before the switch, so that no flow is without its place
 * behind it, and behind it for those that came in between.
 */
void carry_nat(const struct control_state *st, const char *from, const char *to);

#endif
