// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Values as nft and iptables write them, in the words of the language. Names of nft: nft(8), types of its expressions. */
#include <string.h>

#include "policy/import_parts.h"
#include "policy/words.h"

struct name {
	const char *name;
	uint32_t v;
};

static const struct name types4[] = {
	{"echo-reply", 0}, {"destination-unreachable", 3}, {"source-quench", 4}, {"redirect", 5}, {"echo-request", 8},
	{"router-advertisement", 9}, {"router-solicitation", 10}, {"time-exceeded", 11}, {"parameter-problem", 12},
	{"timestamp-request", 13}, {"timestamp-reply", 14}, {"info-request", 15}, {"info-reply", 16},
	{"address-mask-request", 17}, {"address-mask-reply", 18}, {0}};

static const struct name types6[] = {
	{"destination-unreachable", 1}, {"packet-too-big", 2}, {"time-exceeded", 3}, {"parameter-problem", 4},
	{"echo-request", 128}, {"echo-reply", 129}, {"mld-listener-query", 130}, {"mld-listener-report", 131},
	{"mld-listener-done", 132}, {"mld-listener-reduction", 132}, {"nd-router-solicit", 133},
	{"nd-router-advert", 134}, {"nd-neighbor-solicit", 135}, {"nd-neighbor-advert", 136}, {"nd-redirect", 137},
	{"mld2-listener-report", 143}, {"router-solicitation", 133}, {"router-advertisement", 134},
	{"neighbour-solicitation", 135}, {"neighbour-advertisement", 136}, {"neighbor-solicitation", 135},
	{"neighbor-advertisement", 136}, {0}};

static const struct name protos[] = {{"icmp", 1}, {"ipv6-icmp", 58}, {"icmpv6", 58}, {"ipencap", 4}, {"ipv6", 41},
				     {"comp", 108}, {0}};
static const struct name dscps[] = {{"lephb", 1}, {0}};
static const struct name ethers[] = {{"ip", 0x800}, {"arp", 0x806}, {"ip6", 0x86dd}, {0}};
static const struct name none[] = {{0}};

static const struct {
	const struct name *names;
	enum policy_table words;
	uint32_t max;
} kinds[] = {
	[IMPORT_PORT] = {none, WORDS_PORTS, 65535},   [IMPORT_PROTO] = {protos, WORDS_PROTOS, 255},
	[IMPORT_TYPE4] = {types4, WORDS_NONE, 255},   [IMPORT_TYPE6] = {types6, WORDS_NONE, 255},
	[IMPORT_CODE] = {none, WORDS_NONE, 255},      [IMPORT_BYTE] = {none, WORDS_NONE, 255},
	[IMPORT_DSCP] = {dscps, WORDS_DSCPS, 63},     [IMPORT_ETHER] = {ethers, WORDS_NONE, 65535},
};

#define NUMBER_MAX 8 /* characters: no field here has more than 16 bits */

static bool number(enum import_kind kind, const char *s, size_t len, uint32_t *out)
{
	const struct name *n;
	const struct policy_word *w;
	uint64_t v;

	if (words_number(s, len, NUMBER_MAX, &v) && v <= kinds[kind].max) {
		*out = (uint32_t)v;
		return true;
	}
	for (n = kinds[kind].names; n->name; n++) {
		if (strlen(n->name) == len && !memcmp(n->name, s, len)) {
			*out = n->v;
			return true;
		}
	}
	w = kinds[kind].words == WORDS_NONE || !len ? NULL : words_find(kinds[kind].words, s, len);
	if (!w || w->lo != w->hi || w->lo > kinds[kind].max)
		return false;
	*out = w->lo;
	return true;
}

static const char *numbers(struct import *m, enum import_kind kind, const char *s, size_t len)
{
	const char *dash = memchr(s, '-', len);
	const char *name;
	uint32_t lo, hi;

	if (number(kind, s, len, &lo)) {
		name = kind == IMPORT_PROTO && lo != 1 && lo != 58 ? words_name(WORDS_PROTOS, lo, lo) : NULL;
		return name ? name : kind == IMPORT_ETHER ? import_say(m, "0x%04x", lo) : import_say(m, "%u", lo);
	}
	if (!dash || !number(kind, s, (size_t)(dash - s), &lo) ||
	    !number(kind, dash + 1, (size_t)(s + len - dash - 1), &hi) || lo > hi)
		return NULL;
	if (kind == IMPORT_ETHER)
		return import_say(m, "0x%04x-0x%04x", lo, hi);
	return import_say(m, "%u-%u", lo, hi);
}

static const char *address(struct import *m, bool v6, const char *s, size_t len)
{
	struct policy_range r;
	char said[POLICY_RANGE_TEXT];
	bool loose;

	if (policy_range_parse(s, len, &r, &loose, NULL) || r.v6 != v6)
		return NULL;
	return import_say(m, "%s", policy_range_format(&r, said, sizeof(said)));
}

static const char *mac(struct import *m, const char *s, size_t len)
{
	char said[NET_MAC_TEXT];
	uint8_t bytes[6];

	if (len >= sizeof(said))
		return NULL;
	memcpy(said, s, len);
	said[len] = 0;
	if (net_mac_parse(said, bytes, NULL))
		return NULL;
	return import_say(m, "%s", net_mac_format(bytes, said, sizeof(said)));
}

/* Names that are more than letters would need quotes, which patterns cannot have. */
static const char *interface(struct import *m, const char *s, size_t len)
{
	size_t i;

	if (!len || len > 15)
		return NULL;
	for (i = 0; i < len; i++)
		if (!memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-+", s[i], 67) &&
		    !(s[i] == '*' && i + 1 == len))
			return NULL;
	return import_say(m, "\"%.*s\"", (int)len, s);
}

const char *import_value(struct import *m, enum import_kind kind, const char *s, size_t len)
{
	switch (kind) {
	case IMPORT_ADDR4:
	case IMPORT_ADDR6:
		return address(m, kind == IMPORT_ADDR6, s, len);
	case IMPORT_MAC:
		return mac(m, s, len);
	case IMPORT_IF:
		return interface(m, s, len);
	default:
		return numbers(m, kind, s, len);
	}
}
