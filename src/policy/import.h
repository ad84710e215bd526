/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rules of others as a policy: what nft list ruleset, iptables-save and ip6tables-save print.
 *
 *     import_nft.c, import_tables.c  text --> chains of rules --> import.c  one filter --> a policy's text
 *
 * A rule is taken if the language says exactly the same about the packets that reach it; all others are listed.
 */
#ifndef POLICY_IMPORT_H
#define POLICY_IMPORT_H

#include <sluice/err.h>
#include "base/buf.h"

#define IMPORT_TEXT_MAX (16u << 20) /* bytes that are read */
#define IMPORT_RULES_MAX 100000	    /* that are written: chains that jump can become many */
#define IMPORT_SETS_MAX 1024	    /* that rules can name: those behind them are not found */
#define IMPORT_DEPTH_MAX 16	    /* of chains that jump */

enum import_form { IMPORT_NFT, IMPORT_IPTABLES, IMPORT_IP6TABLES };

struct import_text {
	struct buf policy, notes; /* notes: "NAME:LINE: WHY: TEXT", one a line */
	uint32_t n_notes, n_rules;
};

/*
 * import_read() turns a ruleset into a policy.
 *
 * in:      name  what the notes call the text; on  the interfaces of chains that name none, NULL: *
 * out:     *to  zeroed before; the policy parses, and says in place what was left out
 * owns:    the caller frees with import_text_free(), also after an error
 * errors:  -EBADMSG the text is no ruleset, with the line; -EFBIG more than IMPORT_TEXT_MAX; -ENOSPC more than
 *          IMPORT_RULES_MAX rules; -ENOMEM
 * cost:    n log n in text and rules
 */
int import_read(enum import_form form, const char *name, const char *text, size_t len, const char *on,
		struct import_text *to, struct sluice_err *err);
void import_text_free(struct import_text *t);

/* import_form_of() guesses what a text is. */
enum import_form import_form_of(const char *text, size_t len);

#endif
