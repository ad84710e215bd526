/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sets that change while the policy is in force, as the oracle knows them: slow and obvious. An element is a
 * prefix; it is in its set until it is taken out, or until the second it expires in begins.
 */
#ifndef POLICY_LIVE_H
#define POLICY_LIVE_H

#include "policy/policy.h"

struct policy_live;

/* policy_live_new(): sets are as text and files say; the policy must live longer. NULL without memory. */
struct policy_live *policy_live_new(const struct policy *p);
void policy_live_free(struct policy_live *l);

/*
 * policy_live_add() puts a prefix into a set, or gives it another expiry; policy_live_del() takes it out.
 *
 * in:      set  its number; prefix  a prefix; expires  in seconds, 0: never
 * errors:  -ENOMEM; -ENOENT (del) no such element: covering ones, or parts, are others
 */
int policy_live_add(struct policy_live *l, uint32_t set, const struct policy_range *prefix, uint32_t expires);
int policy_live_del(struct policy_live *l, uint32_t set, const struct policy_range *prefix);

bool policy_live_has(const struct policy_live *l, uint32_t set, const struct net_addr *addr, uint64_t now_s);

#endif
