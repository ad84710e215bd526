// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rulesets of others: whatever the text, what comes out is a policy without mistakes, and can be exported. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz/fuzz.h"
#include "policy/import.h"
#include "policy/nft.h"
#include "policy/policy.h"

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *text = ctx;

	(void)path;
	(void)max;
	(void)err;
	buf_put(to, text->data, text->len);
	return 0;
}

static void one(enum import_form form, const char *text, size_t len)
{
	struct import_text t = {0};
	struct policy_files files = {.read = read_text, .ctx = &t.policy};
	struct nft_text out = {0};
	struct sluice_err err = {0};
	struct policy *p;

	if (!import_read(form, "fuzz", text, len, NULL, &t, &err)) {
		if (policy_read("fuzz.conf", &files, &p, &err))
			abort();
		if (nft_export(p, UINT32_MAX, "eth0", &out, &err))
			abort();
		policy_free(p);
	} else if (!err.text[0]) {
		abort();
	}
	nft_text_free(&out);
	import_text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	if (!text)
		abort();
	memcpy(text, data, len);
	import_form_of(text, len);
	one(IMPORT_NFT, text, len);
	one(IMPORT_IPTABLES, text, len);
	one(IMPORT_IP6TABLES, text, len);
	free(text);
	return 0;
}
