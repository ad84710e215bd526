/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Making the next generation: everything that can fail without anything having changed for packets.
 *
 *     policy --> parts (interfaces that are there) --> filter_compile() --> maps, pinned; code, in files
 *
 *     RUN/7-0f3a.../parts       what it is made of (control_generation_open())
 *                   part_P      code of part P's program (bpf/code.h); the maps it names are pinned
 *                   config_F, rules_F, report_F    of filter F: struct filter_config, build_rule, filter_report
 *                   redirects   where rules redirect to (redirects.h)
 *     PINS/7-0f3a.../           enum control_map, and m_ID for every other map the code names
 */
#ifndef CONTROL_BUILD_H
#define CONTROL_BUILD_H

#include <net/if.h>
#include <sluice/chain.h>

#include "abi/filter.h"
#include "abi/limit.h"
#include "bpf/code.h"
#include "control/state.h"
#include "control/store.h"
#include "filter/compile.h"

/* What a rule carries over to the rule of the same key in the next generation. */
struct build_rule {
	uint64_t key; /* policy_rule_key(); BUILD_PASS, BUILD_DROP: what no rule decides */
	uint32_t has_limit, per;
	struct limit limit;
	uint64_t mask6[2];
	uint32_t mask4, pad;
};
#define BUILD_PASS 3 /* 1: of builds that did not tell them apart */
#define BUILD_DROP 2

#define BUILD_BALANCERS 32u /* interfaces: each has a bit (struct balance_vip.on) */

/*
 * build_parts() finds the interfaces of a policy's filters and balance blocks.
 * in:      stays   a generation of the same policy, or NULL: what it has on an interface that has got another name since (an
 *                  ifindex of 0: nothing) is on that one, under the name it was found by
 * out:     g->parts, on, and how many
 * errors:  -ENODEV an interface that is named is not there (err has all that are missing); missing_ok: it is left
 *          out, as is one that is named by another name of it, else -EINVAL, and also if rules name it so;
 *          -EINVAL an interface is in two filters (by globs); balance blocks are on too many
 */
int build_parts(const struct policy *p, bool missing_ok, const struct control_generation *stays,
		struct control_generation *g, struct sluice_err *err);

/* build_bits() are the bits of the interfaces that a balance block is on. */
uint32_t build_bits(const struct control_generation *g, uint32_t balance);

/* build_alias(): is it another name of an interface (ip link property add altname)? Then own is that one's own. */
bool build_alias(const char *name, char own[IF_NAMESIZE]);

/* build_names(): does a name or glob of a generation's `on` mean the interface? */
bool build_names(const struct control_part *on, const char *ifname);

/*
 * build_new() compiles and loads the filters of g's parts, and makes g's folders. What goes on from the live
 * generation of st's record goes on: samples, seeds, sets, cells of limits as far as their layout is the same.
 * build_again() makes another generation of what one of the same policy has that is still pinned: counters anew, sets with
 * what came into them since, all else the same.
 *
 * in:      again  the generation that comes back, for what its run-time sets had; "": none
 * errors:  those of filter_compile() and sluice_object_load(); what was made is gone then; -ESTALE (build_again) its
 *          code does not fit sets that have grown since, or are of another version: build_new() does
 */
int build_new(struct control_state *st, const char *again, const struct policy *p,
	      const struct control_generation *g, struct sluice_err *err);
int build_again(struct control_state *st, const char *from, const struct policy *p, const struct control_generation *g,
		struct sluice_err *err);

/* build_empty() makes folders and deadline of a generation without parts. */
int build_empty(struct control_state *st, const struct control_generation *g, struct sluice_err *err);

/* build_drop() removes the folders of a generation; maps that programs use live on. */
void build_drop(const struct control_state *st, const char *name);
/* build_sweep() removes all folders of generations that the record does not name. */
void build_sweep(const struct control_state *st);

/* build_code() reads the code of a part. errors: -ENOENT, -EBADMSG */
int build_code(const struct control_state *st, const char *name, uint32_t part, struct code **code,
	       struct sluice_err *err);

/*
 * build_rules() reads what rules carry over: *n of them, the last the default's, for free().
 * build_struct() reads config_F, report_F or sums_F, of size bytes. -ENOENT, -EBADMSG
 */
int build_rules(const struct control_state *st, const char *name, uint32_t filter, struct build_rule **rules,
		uint32_t *n, struct sluice_err *err);
int build_struct(const struct control_state *st, const char *name, const char *what, uint32_t filter, void *to,
		 size_t size, struct sluice_err *err);

/*
 * build_own_stays() tells whether the same of the addresses that m translates to are this host's as when generation live was made, and
 * their ports end where they did.
 */
bool build_own_stays(const struct control_state *st, const char *live, const struct balance_model *m);

/* build_mode() is the mode that a policy wants an interface in. */
enum sluice_mode build_mode(const struct policy *p, const char *ifname);

#endif
