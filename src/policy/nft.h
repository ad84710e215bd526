/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A filter as the nearest nftables ruleset: table netdev, one chain at the ingress hook. doc/nft.md says what is the same. */
#ifndef POLICY_NFT_H
#define POLICY_NFT_H

#include "base/buf.h"
#include "policy/policy.h"

/* What was written, and what could not be said: one line each, "FILE:LINE: RULE: why". */
struct nft_text {
	struct buf ruleset, notes;
	uint32_t n_notes;
};

/*
 * nft_export() writes the filters of a policy in the order of the text.
 *
 * in:      policy  without mistakes; filter  its number, or UINT32_MAX: all; device  the interface instead of those
 *                  the filter names, NULL: those
 * out:     *to  zeroed before; a ruleset that nft -f loads, twice as well: it replaces its table. What it
 *               cannot say is a comment in place and a line of notes
 * owns:    the caller frees with nft_text_free(), also after an error
 * errors:  -EINVAL a filter names its interfaces by a pattern and device is NULL; -ENOMEM
 */
int nft_export(const struct policy *p, uint32_t filter, const char *device, struct nft_text *to,
	       struct sluice_err *err);
void nft_text_free(struct nft_text *t);

#endif
