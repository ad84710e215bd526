/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words of nft's language, between the files that read it. */
#ifndef POLICY_IMPORT_NFT_H
#define POLICY_IMPORT_NFT_H

#include "policy/import_parts.h"

struct nft_token {
	char kind; /* 'w' a word, '"' a string without its quotes, 0 the end, otherwise the character itself */
	const char *s;
	uint32_t len, line;
};

struct nft_lex {
	struct import *m;
	const char *text;
	size_t len, at;
	uint32_t line;
	struct nft_token t; /* the word we stand on */
	struct buf tokens;  /* of one statement */
};

bool nft_is(const struct nft_token *t, const char *word);

/* nft_rule() reads n words of a rule into r: its conditions, or why not. */
void nft_rule(struct import *m, struct import_rule *r, const struct nft_token *t, size_t n, const char *table);

#endif
