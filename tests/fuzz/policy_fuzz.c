// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes policies. The input is the text of a policy; a file that it includes is its second half, a file of
 * addresses the whole. What has mistakes must say so at a place in the text. What has none must print, parse
 * to the same tree again, and mean the same as its normal form for packets made of the input's own bytes.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz/fuzz.h"
#include "policy/oracle.h"
#include "policy/policy.h"

struct text {
	const uint8_t *data;
	size_t len;
	const struct buf *printed; /* instead of data */
};

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct text *t = ctx;
	const char *name = strrchr(path, '/');
	bool outermost = !strcmp(path, "fuzz.conf");

	(void)max;
	name = name ? name + 1 : path;
	if (outermost && t->printed)
		buf_put(to, t->printed->data, t->printed->len);
	else if (!outermost && !strcmp(name, "half"))
		buf_put(to, t->data + t->len / 2, t->len - t->len / 2);
	else if (outermost || strlen(name) == 4)
		buf_put(to, t->data, t->len);
	else
		return err_set(err, -ENOENT, "%s: No such file or directory", path);
	return 0;
}

static void show(const struct policy *p)
{
	struct buf said = {0};
	uint32_t i;

	for (i = 0; i < p->n_diags; i++) {
		if (p->diags[i].pos.file >= p->n_sources ||
		    p->diags[i].pos.at > p->sources[p->diags[i].pos.file].len || !p->diags[i].text[0])
			abort();
		policy_diag_print(p, &p->diags[i], &said);
	}
	buf_free(&said);
}

static void ask(const struct policy *p, const uint8_t *data, size_t len)
{
	const struct policy_ruleset *set;
	struct policy_packet k;
	struct buf why = {0};
	uint32_t f, i, m;
	bool all;

	packet_read(&k, data, (uint32_t)len, (uint32_t)len, "eth0");
	for (f = 0; f < p->n_filters; f++) {
		set = &p->rulesets[f];
		for (i = 0; i < set->n && i < 200; i++) {
			all = true;
			for (m = 0; m < set->rules[i].stmt->n_matches; m++) {
				if (policy_match_holds(p, &set->rules[i].stmt->matches[m], &k))
					continue;
				policy_why(&set->rules[i].stmt->matches[m], &k, &why);
				why.len = 0;
				all = false;
			}
			if (all != policy_rule_match(p, &set->rules[i], &k) || (all && set->rules[i].never))
				abort();
		}
	}
	buf_free(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct text text = {.data = data, .len = len};
	struct policy_files files = {.read = read_text, .ctx = &text};
	struct policy *p, *again;
	struct buf printed = {0};
	uint8_t *frame;
	int e = policy_read("fuzz.conf", &files, &p, NULL);

	if (!p || (e != 0) != (p->n_errors != 0))
		abort();
	show(p);
	if (!e) {
		policy_print(p, &printed);
		text.printed = &printed;
		if (policy_read("fuzz.conf", &files, &again, NULL) || !policy_same(p, again))
			abort();
		ask(p, data, len);
		/* bytes of the text in the place of an IPv4 packet's */
		frame = malloc(len + 23);
		if (!frame)
			abort();
		memcpy(frame, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0\x45\0\0\x40\0\0\0\0\x40", 23);
		memcpy(frame + 23, data, len);
		ask(p, frame, len + 23);
		free(frame);
		policy_free(again);
	}
	buf_free(&printed);
	policy_free(p);
	return 0;
}
