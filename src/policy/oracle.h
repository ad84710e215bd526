/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a filter means: rules from the top down, the first that decides wins. Slow and obvious, on the tree as
 * it was written; whatever is compiled of a policy has to agree with it on every packet.
 */
#ifndef POLICY_ORACLE_H
#define POLICY_ORACLE_H

#include "policy/live.h"
#include "policy/packet.h"
#include "policy/policy.h"

#define ORACLE_DEFAULT UINT32_MAX /* the rule that is none */

enum policy_verdict { VERDICT_PASS, VERDICT_DROP, VERDICT_REDIRECT, VERDICT_CPU };

struct policy_answer {
	enum policy_verdict verdict; /* what the rules say */
	bool shadow;		     /* but the packet passes */
	uint32_t rule;		     /* that decided, or ORACLE_DEFAULT */
	bool over;		     /* it is a limit, and the packet was over it */
	const char *redirect;	     /* the interface */
};

/* What one rule counted. */
struct policy_count {
	uint64_t packets, bytes; /* that matched; of a limit: that were within it */
	uint64_t over_packets, over_bytes;
	uint64_t logged;
};

enum policy_step { STEP_NO, STEP_GOES_ON, STEP_WITHIN, STEP_OVER, STEP_DECIDES };

/* Called for every rule that is looked at; why is the first condition that did not hold (STEP_NO only). */
struct policy_trace {
	void (*step)(void *ctx, uint32_t rule, enum policy_step step, const struct policy_match *why);
	void *ctx;
};

struct policy_oracle;

/*
 * policy_oracle_new() prepares filter number `filter` of a policy without mistakes; the policy must live
 * longer. Buckets of limits are full, counters 0.
 */
int policy_oracle_new(const struct policy *p, uint32_t filter, struct policy_oracle **oracle,
		      struct sluice_err *err);
void policy_oracle_free(struct policy_oracle *o);

/*
 * policy_oracle_decide() asks for one packet at a time that never goes back (ns; what is earlier counts as
 * the same).
 *
 * A limit is a token bucket: burst packets (or bits: the packet's length * 8) fit in; amount of them come in
 * each `seconds`, continuously; a packet that finds as many as it costs takes them and goes on, one that does
 * not is dropped and takes nothing. One bucket per key. Exact: in whole numbers, without rounding.
 *
 * in:      trace   may be NULL
 * errors:  -ENOMEM for a new key of a limit
 */
int policy_oracle_decide(struct policy_oracle *o, const struct policy_packet *packet, uint64_t now_ns,
			 const struct policy_trace *trace, struct policy_answer *answer,
			 struct sluice_err *err);

/* policy_oracle_live(): the sets as this oracle sees them, to be changed between packets; expiry by now_ns. */
struct policy_live *policy_oracle_live(struct policy_oracle *o);

/* policy_oracle_count(): of a rule, or of ORACLE_DEFAULT. */
const struct policy_count *policy_oracle_count(const struct policy_oracle *o, uint32_t rule);

/* policy_match_holds(): one condition. cbpf and sets of the match must be there: after policy_read() they
 * are. */
bool policy_match_holds(const struct policy *p, const struct policy_match *m,
			const struct policy_packet *packet);

/* policy_match_holds_live() does the same with sets as they are now, in seconds; live NULL: as they were loaded. */
bool policy_match_holds_live(const struct policy *p, const struct policy_live *live, uint64_t now_s,
			     const struct policy_match *m, const struct policy_packet *packet);

/* policy_why() says why a condition does not hold ("not from 10.0.0.0/8: it is from 192.0.2.1"). */
void policy_why(const struct policy_match *m, const struct policy_packet *packet, struct buf *to);

#endif
