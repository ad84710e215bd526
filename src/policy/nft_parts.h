/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the export share. */
#ifndef POLICY_NFT_PARTS_H
#define POLICY_NFT_PARTS_H

#include "policy/nft.h"

#define NFT_VARIANTS_MAX 64 /* nft rules that one rule may become */
#define NFT_FACTORS_MAX 24
#define NFT_ALTS_MAX 24

/* Ways to say one condition; no packet fits two of them, so that counters add up. */
struct nft_alts {
	const char *v[NFT_ALTS_MAX];
	uint32_t n;
};

/* A rule for one family: all factors hold, each in one of its ways. */
struct nft_cond {
	struct nft_alts factors[NFT_FACTORS_MAX];
	uint32_t n;
};

struct nft {
	const struct policy *p;
	const struct policy_rule *rule;
	struct arena arena;   /* of what one rule needs */
	struct buf scratch;
	struct buf objects;   /* sets and limits that rules need */
	struct buf rules;     /* the chain */
	struct nft_text *to;
	uint32_t filter;
	const char *why;      /* this rule cannot be said; NULL: it can */
};

/*
 * nft_condition() writes the conditions of x->rule for the families in fam (POLICY_V4, POLICY_V6, both, or 7: do not
 * ask for one). On what cannot be said x->why is set.
 */
void nft_condition(struct nft *x, uint8_t fam, struct nft_cond *c);

/* nft_needs_ip(): the rule speaks of IP packets only; nft_splits(): nft has other words for IPv4 than for IPv6. */
bool nft_needs_ip(const struct policy_rule *r);
bool nft_splits(const struct policy_rule *r);

/* nft_no_later() adds that it is no later fragment. */
void nft_no_later(struct nft *x, bool v6, struct nft_cond *c);

/* nft_say() is printf into the arena; NULL without memory (then x->arena.failed). */
const char *nft_say(struct nft *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
