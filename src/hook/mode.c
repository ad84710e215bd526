// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Modes and verdicts as words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sluice/chain.h>

#include "base/err.h"

static const char *const verdicts[] = {"aborted", "drop", "pass", "tx", "redirect"};

int sluice_mode_parse(const char *text, enum sluice_mode *mode, struct sluice_err *err)
{
	static const struct {
		const char *word;
		enum sluice_mode mode;
	} words[] = {
		{"auto", SLUICE_MODE_AUTO},	   {"native", SLUICE_MODE_NATIVE},   {"driver", SLUICE_MODE_NATIVE},
		{"drv", SLUICE_MODE_NATIVE},	   {"xdpdrv", SLUICE_MODE_NATIVE},   {"xdp", SLUICE_MODE_AUTO},
		{"generic", SLUICE_MODE_GENERIC},  {"skb", SLUICE_MODE_GENERIC},     {"xdpgeneric", SLUICE_MODE_GENERIC},
		{"offload", SLUICE_MODE_OFFLOAD},  {"hw", SLUICE_MODE_OFFLOAD},	     {"xdpoffload", SLUICE_MODE_OFFLOAD},
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(words[i].word, text)) {
			*mode = words[i].mode;
			return 0;
		}
	return err_set(err, -EINVAL, "'%s' is no mode; there are auto, native, generic and offload", text);
}

const char *sluice_mode_name(enum sluice_mode mode)
{
	static const char *const names[] = {"auto", "native", "generic", "offload"};

	return (unsigned int)mode < 4 ? names[mode] : "?";
}

const char *sluice_verdict_name(unsigned int verdict)
{
	return verdict < sizeof(verdicts) / sizeof(*verdicts) ? verdicts[verdict] : NULL;
}

int sluice_verdicts_parse(const char *text, uint32_t *set, struct sluice_err *err)
{
	const char *at = text;
	uint32_t got = 0, v;
	size_t len;

	if (!strcmp(text, "none")) {
		*set = 0;
		return 0;
	}
	for (;;) {
		if (!strncasecmp(at, "xdp_", 4))
			at += 4;
		len = strcspn(at, ",");
		for (v = 0; v < 5; v++)
			if (strlen(verdicts[v]) == len && !strncasecmp(verdicts[v], at, len))
				break;
		if (v == 5)
			return err_set(err, -EINVAL, "'%.*s' is no verdict; there are aborted, drop, pass, tx, redirect, or none",
				       (int)len, at);
		got |= 1u << v;
		at += len;
		if (!*at)
			break;
		at++;
	}
	*set = got;
	return 0;
}

char *sluice_verdicts_name(uint32_t set, char *to, size_t size)
{
	size_t n = 0;
	uint32_t v;

	snprintf(to, size, "none");
	for (v = 0; v < 5 && n < size; v++)
		if (set & 1u << v)
			n += (size_t)snprintf(to + n, size - n, "%s%s", n ? "," : "", verdicts[v]);
	return to;
}
