// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rules in the manner of ClassBench (Taylor and Turner, "ClassBench: a packet classification benchmark", ToN
 * 2007): access lists (exact pairs, destination ports), firewalls (one side open, ports on both), IP chains
 * (between the two). Addresses come from few networks with unevenly many hosts, services from a short list
 * with uneven shares.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "classify_rules.h"

uint64_t rules_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t rules_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((rules_random(state) >> 32) * n >> 32);
}

/* Uneven: the small ones much more often. */
static uint32_t uneven(uint64_t *state, uint32_t n)
{
	uint64_t a = rules_random(state) >> 40, b = rules_random(state) >> 40; /* 24 bits */

	return (uint32_t)((a * b >> 24) * n >> 24);
}

/* Shares of prefix lengths, in percent by kind and side; the rest is /32. */
struct shares {
	uint8_t len, percent;
};
static const struct shares acl_src[] = {{0, 1},	 {8, 1},  {22, 3},  {23, 8}, {24, 6},
					{29, 1}, {30, 5}, {31, 24}, {0, 0}};
static const struct shares acl_dst[] = {{0, 1},	 {3, 1},  {7, 1},  {15, 1}, {16, 1}, {17, 1},  {21, 3},
					{22, 7}, {23, 5}, {24, 3}, {25, 2}, {30, 5}, {31, 20}, {0, 0}};
static const struct shares fw_src[] = {{0, 42}, {1, 19}, {2, 3},  {12, 1}, {20, 1}, {22, 2}, {25, 1},
				       {27, 2}, {28, 3}, {29, 2}, {30, 4}, {31, 9}, {0, 0}};
static const struct shares fw_dst[] = {{0, 19}, {1, 9},	 {2, 1},  {21, 1},  {22, 1},
				       {28, 1}, {29, 1}, {30, 7}, {31, 28}, {0, 0}};
static const struct shares ipc_src[] = {{0, 8},	 {1, 5},   {15, 2},  {16, 4}, {17, 3}, {21, 1},
					{22, 5}, {23, 14}, {24, 14}, {25, 9}, {26, 4}, {27, 2},
					{28, 2}, {30, 2},  {31, 8},  {0, 0}};
static const struct shares ipc_dst[] = {{0, 6},	 {1, 3},   {15, 3},  {16, 4}, {17, 3}, {22, 2},
					{23, 7}, {24, 13}, {25, 10}, {26, 6}, {27, 3}, {28, 2},
					{29, 1}, {30, 2},  {31, 11}, {0, 0}};

struct kind {
	const char *name;
	const struct shares *side[2];
	uint32_t n_services, hosts; /* hosts: rules for each network */
	uint8_t sport_percent;	    /* rules that name source ports */
};
static const struct kind kinds[] = {
	{"acl", {acl_src, acl_dst}, 350, 40, 0},
	{"fw", {fw_src, fw_dst}, 370, 3, 40},
	{"ipc", {ipc_src, ipc_dst}, 300, 25, 30},
};

static uint8_t length(const struct shares *s, uint64_t *state)
{
	uint32_t at = rules_below(state, 100);

	for (; s->percent; s++) {
		if (at < s->percent)
			return s->len;
		at -= s->percent;
	}
	return 32;
}

/*
 * IPv4's 32 bits as IPv6, in one of three manners. Behind 2001::/16, so that a /16 becomes a /32, hosts /48, /64 or /128
 * (twice as often); anywhere, from the first bit on; as a translator does, behind 64:ff9b::/96 (RFC 6052).
 */
static void stretch(uint32_t address, uint8_t *to, uint8_t *len, uint64_t seed)
{
	static const uint8_t translator[12] = {0, 0x64, 0xff, 0x9b}, provider[12] = {0x20, 0x01};
	uint32_t at = seed % 4 == 3 ? 12 : seed % 4 == 2 ? 0 : 2, i, kind;
	uint64_t state = address ^ seed;

	memcpy(to, at == 12 ? translator : provider, at);
	for (i = 0; i < 4; i++)
		to[at + i] = (uint8_t)(address >> (24 - 8 * i));
	kind = rules_below(&state, 3);
	if (*len == 32 && at < 12) {
		for (i = at + 4; i < 16; i++)
			to[i] = (uint8_t)rules_random(&state);
		*len = kind ? kind == 1 ? 64 : 128 : 48;
	} else if (*len) {
		*len = (uint8_t)(*len + 8 * at);
	}
}

static void put_address(uint32_t address, uint8_t family, uint8_t *to, uint8_t *len, uint64_t seed)
{
	uint32_t i;

	memset(to, 0, 16);
	if (family == 6)
		stretch(address, to, len, seed);
	for (i = 0; i < 4 && family == 4; i++)
		to[i] = (uint8_t)(address >> (24 - 8 * i));
}

static struct classify_ports some_ports(uint64_t *state)
{
	static const uint16_t known[] = {20,   21,   22,   23,	 25,   53,    69,   80,	  88,	110,
					 119,  123,  137,  139,	 143,  161,   162,  179,  389,	443,
					 445,  500,  514,  750,	 993,  1433,  1521, 1550, 1723, 2049,
					 3306, 5540, 6000, 8080, 9003, 27400, 31000};
	uint32_t what = rules_below(state, 100);
	uint16_t first;

	if (what < 80) {
		first = known[uneven(state, sizeof(known) / sizeof(*known))];
		return (struct classify_ports){first, first};
	}
	if (what < 90)
		return (struct classify_ports){1024, 65535};
	first = (uint16_t)rules_below(state, 60000);
	if (what < 95)
		return (struct classify_ports){first, first};
	return (struct classify_ports){first, (uint16_t)(first + rules_below(state, 5000))};
}

static void make_service(const struct kind *kind, struct classify_rule *r, uint64_t *state)
{
	const struct classify_ports any = {0, 65535};
	uint32_t what = rules_below(state, 100);

	r->sport = r->dport = any;
	r->extras = UINT32_MAX;
	r->proto_mask = 255;
	if (what < 60) {
		r->proto = 6;
		r->dport = some_ports(state);
		if (rules_below(state, 100) < kind->sport_percent)
			r->sport = some_ports(state);
		if (rules_below(state, 3) == 0) {
			r->flags_mask = rules_below(state, 2) ? 0x1000 : 0x0200;
			r->flags = rules_below(state, 2) ? r->flags_mask : 0;
		}
	} else if (what < 85) {
		r->proto = 17;
		r->dport = some_ports(state);
		if (rules_below(state, 100) < kind->sport_percent)
			r->sport = some_ports(state);
	} else if (what < 90) {
		r->proto = 1;
		r->flags_mask = rules_below(state, 2) ? 0xff00 : 0;
		r->flags = (uint16_t)(rules_below(state, 16) << 8) & r->flags_mask;
	} else if (what < 93) {
		r->proto = (uint8_t)(47 + rules_below(state, 5));
	} else if (what < 94) {
		r->proto = 17;
		r->extras = 1u << rules_below(state, 3);
	} else {
		r->proto_mask = 0;
	}
}

void rules_make(struct rule_set *set, const char *name, uint8_t family, size_t n, uint64_t seed)
{
	uint64_t state = seed * 1000003 + n;
	uint32_t n_networks, *network[2], side, address;
	const struct kind *kind = kinds;
	struct classify_rule *services, *r;
	uint8_t *to, *len;
	size_t i;

	while (strcmp(kind->name, name) != 0)
		kind++;
	n_networks = (uint32_t)(n / kind->hosts + 4);
	services = calloc(kind->n_services, sizeof(*services));
	set->rules = calloc(n + 1, sizeof(*set->rules));
	set->n = n;
	for (side = 0; side < 2; side++) {
		network[side] = calloc(n_networks, 4);
		for (i = 0; i < n_networks; i++)
			network[side][i] = (uint32_t)rules_random(&state);
	}
	for (i = 0; i < kind->n_services; i++)
		make_service(kind, &services[i], &state);
	for (i = 0; i < n; i++) {
		r = &set->rules[i];
		*r = services[uneven(&state, kind->n_services)];
		r->family = family ? family : rules_below(&state, 3) ? 4 : 6;
		for (side = 0; side < 2; side++) {
			len = side ? &r->dst_len : &r->src_len;
			to = side ? r->dst : r->src;
			*len = length(kind->side[side], &state);
			address =
				network[side][uneven(&state, n_networks)] ^
				(rules_below(&state, 3) ? uneven(&state, 1 << 10) : uneven(&state, 1 << 16));
			put_address(address, r->family, to, len, seed);
		}
	}
	free(network[0]);
	free(network[1]);
	free(services);
}

int rules_read(struct rule_set *set, const char *path, uint8_t family)
{
	const struct classify_ports any = {0, 65535};
	unsigned int s[4], d[4], sl, dl, sp[2], dp[2], proto, proto_mask, flags, flags_mask;
	struct classify_rule *r;
	gzFile f = gzopen(path, "rbe");
	size_t cap = 0;
	char line[512];

	memset(set, 0, sizeof(*set));
	if (!f)
		return -1;
	while (gzgets(f, line, sizeof(line))) {
		if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x %x/%x", &s[0], &s[1],
			   &s[2], &s[3], &sl, &d[0], &d[1], &d[2], &d[3], &dl, &sp[0], &sp[1], &dp[0], &dp[1],
			   &proto, &proto_mask, &flags, &flags_mask) != 18)
			continue;
		if (set->n == cap) {
			cap = cap ? cap * 2 : 1024;
			set->rules = realloc(set->rules, cap * sizeof(*set->rules));
		}
		r = &set->rules[set->n++];
		*r = (struct classify_rule){.family = family,
					    .src_len = (uint8_t)sl,
					    .dst_len = (uint8_t)dl,
					    .proto = (uint8_t)proto,
					    .proto_mask = (uint8_t)proto_mask,
					    .sport = any,
					    .dport = any,
					    .flags = (uint16_t)flags,
					    .flags_mask = (uint16_t)flags_mask,
					    .extras = UINT32_MAX};
		r->sport = (struct classify_ports){(uint16_t)sp[0], (uint16_t)sp[1]};
		r->dport = (struct classify_ports){(uint16_t)dp[0], (uint16_t)dp[1]};
		put_address(s[0] << 24 | s[1] << 16 | s[2] << 8 | s[3], family, r->src, &r->src_len, 0);
		put_address(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3], family, r->dst, &r->dst_len, 0);
	}
	gzclose(f);
	return set->n ? 0 : -1;
}

void rules_free(struct rule_set *set)
{
	free(set->rules);
	memset(set, 0, sizeof(*set));
}

static int inside(const uint8_t *address, const uint8_t *prefix, uint8_t len)
{
	uint8_t whole = len / 8, rest = len % 8;

	if (memcmp(address, prefix, whole) != 0)
		return 0;
	return !rest || ((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static int matches(const struct classify_rule *r, const struct header *h)
{
	return r->family == h->family && (h->proto & r->proto_mask) == (r->proto & r->proto_mask) &&
	       h->sport >= r->sport.first && h->sport <= r->sport.last && h->dport >= r->dport.first &&
	       h->dport <= r->dport.last && (h->flags & r->flags_mask) == (r->flags & r->flags_mask) &&
	       (r->extras >> h->extra & 1) && inside(h->src, r->src, r->src_len) &&
	       inside(h->dst, r->dst, r->dst_len);
}

uint32_t rules_search(const struct rule_set *set, const struct header *h)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		if (matches(&set->rules[i], h))
			return (uint32_t)i;
	return CLASSIFY_NONE;
}

/* An address inside a prefix: random, or its first, last, or one beyond them. */
static void some_address(const uint8_t *prefix, uint8_t len, uint8_t family, uint32_t how, uint64_t *state,
			 uint8_t *to)
{
	int bytes = family == 6 ? 16 : 4, i, carry;
	uint8_t mask;

	memset(to, 0, 16);
	for (i = 0; i < bytes; i++) {
		mask = (uint8_t)(len >= 8 * (i + 1) ? 255 : len <= 8 * i ? 0 : 255 << (8 - (len - 8 * i)));
		to[i] = (uint8_t)((prefix[i] & mask) | ((how == 0  ? (uint8_t)rules_random(state)
							 : how & 1 ? 255
								   : 0) &
							~mask));
	}
	/* 1 last, 2 first, 3 behind the last, 4 before the first */
	for (i = bytes, carry = how == 3 ? 1 : how == 4 ? -1 : 0; i-- > 0 && carry;) {
		to[i] = (uint8_t)(to[i] + carry);
		if (carry > 0 ? to[i] != 0 : to[i] != 255)
			carry = 0;
	}
}

static uint16_t some_port(struct classify_ports p, uint32_t how, uint64_t *state)
{
	switch (how) {
	case 1:
		return p.last;
	case 2:
		return p.first;
	case 3:
		return (uint16_t)(p.last + 1);
	case 4:
		return (uint16_t)(p.first - 1);
	default:
		return (uint16_t)(p.first + rules_below(state, (uint32_t)p.last - p.first + 1));
	}
}

/* Most corners keep the rest of the rule: a header that misses in every field tells little. */
static uint32_t corner(int corners, uint64_t *state)
{
	return corners && rules_below(state, 3) == 0 ? 1 + rules_below(state, 4) : 0;
}

void rules_header(const struct rule_set *set, size_t rule, int corners, uint64_t *state, struct header *h)
{
	const struct classify_rule *r = &set->rules[rule];

	memset(h, 0, sizeof(*h));
	h->family = r->family;
	some_address(r->src, r->src_len, r->family, corner(corners, state), state, h->src);
	some_address(r->dst, r->dst_len, r->family, corner(corners, state), state, h->dst);
	h->sport = some_port(r->sport, corner(corners, state), state);
	h->dport = some_port(r->dport, corner(corners, state), state);
	h->proto = (uint8_t)((r->proto & r->proto_mask) |
			     ((rules_below(state, 2) ? 6 : rules_random(state) & 255) &
			      ~(unsigned int)r->proto_mask));
	h->flags = (uint16_t)((r->flags & r->flags_mask) | (rules_random(state) & 0x1300 & ~r->flags_mask));
	if (corner(corners, state) == 1)
		h->flags ^= (uint16_t)(1u << rules_below(state, 16));
	if (corner(corners, state) == 1)
		h->proto ^= (uint8_t)(1u << rules_below(state, 8));
	while (!(r->extras >> h->extra & 1))
		h->extra++;
	if (corner(corners, state))
		h->extra = (uint8_t)rules_below(state, CLASSIFY_EXTRAS);
}

static int not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

void rules_given(uint8_t family, void (*each)(void *arg, const char *name, const struct rule_set *set),
		 void *arg)
{
	const char *dir = getenv("CLASSBENCH");
	char path[4096], name[64];
	struct dirent **names;
	struct rule_set set;
	int n = dir ? scandir(dir, &names, not_hidden, alphasort) : 0, i;

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(names[i]->d_name, "."), names[i]->d_name);
		if (!rules_read(&set, path, family))
			each(arg, name, &set);
		rules_free(&set);
		free(names[i]);
	}
	if (n > 0)
		free(names);
}

uint64_t rules_word(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

void rules_any_header(uint8_t family, uint64_t *state, struct header *h)
{
	int i, bytes = family == 6 ? 16 : 4;

	memset(h, 0, sizeof(*h));
	h->family = family;
	for (i = 0; i < bytes; i++) {
		h->src[i] = (uint8_t)rules_random(state);
		h->dst[i] = (uint8_t)rules_random(state);
	}
	h->sport = (uint16_t)rules_random(state);
	h->dport = (uint16_t)rules_random(state);
	h->flags = (uint16_t)rules_random(state);
	h->proto = (uint8_t)rules_random(state);
}
