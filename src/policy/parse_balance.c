// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Balance blocks: virtual addresses, backends, options. Health checks are parse_health.c's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/nat.h"
#include "base/text.h"
#include "policy/parse_balance.h"

#define EXPECTED_LINE                                                                                   \
	"virtual, forward, backend, check, table-size, affinity, quic, stateless, hold, all-down, define or " \
	"include"

bool parse_time(struct parse *c, uint64_t min_ns, uint64_t max_ns, uint64_t unit_ns, const char *expected,
		uint64_t *out)
{
	char text[24];

	if (c->t.kind != TOKEN_WORD || c->t.len >= sizeof(text))
		return parse_expected(c, expected);
	snprintf(text, sizeof(text), "%.*s", (int)c->t.len, c->t.s);
	if (text_time(text, out, NULL) || *out < min_ns || *out > max_ns || *out % unit_ns)
		return parse_expected(c, expected);
	parse_next(c);
	return true;
}

bool parse_bounded(struct parse *c, uint32_t min, uint32_t max, const char *expected, uint32_t *out)
{
	if (!parse_number(&c->t, max, out) || *out < min)
		return parse_expected(c, expected);
	parse_next(c);
	return true;
}

/* One address or several, no prefixes and ranges. */
static bool addresses(struct parse *c, const char *expected, struct policy_list *list)
{
	struct policy_pos at = c->t.pos;
	uint32_t i;

	if (c->t.kind != TOKEN_OPEN &&
	    (c->t.kind != TOKEN_WORD || !(memchr(c->t.s, '.', c->t.len) || memchr(c->t.s, ':', c->t.len))))
		return parse_expected(c, expected);
	if (!parse_list(c, (enum policy_field)PARSE_ELEMENTS, list))
		return false;
	if (!list->n) {
		policy_error(c->p, parse_span(c, at), "no address in the braces, expected %s", expected);
		return false;
	}
	for (i = 0; i < list->n; i++) {
		struct policy_value *v = &list->v[i];

		if (v->kind != POLICY_ADDR || policy_addr6_cmp(v->addr.first, v->addr.last)) {
			policy_error(c->p, v->pos, "more than one address, expected %s", expected);
			return false;
		}
	}
	return true;
}

static bool ports(struct parse *c, struct policy_virtual *v)
{
	struct policy_pos at;

	if (token_is(&c->t, "all")) {
		parse_next(c);
		if (!token_is(&c->t, "ports"))
			return parse_expected(c, "'ports' behind 'all'");
		parse_next(c);
		return true;
	}
	if (!token_is(&c->t, "port"))
		return parse_expected(c, v->proto ? "port, or all ports" : "tcp, udp, or all ports");
	if (!v->proto) {
		policy_error(c->p, c->t.pos, "a port without a protocol, expected tcp or udp in front of it");
		return false;
	}
	parse_next(c);
	at = c->t.pos;
	if (!parse_list(c, POLICY_TO_PORT, &v->ports))
		return false;
	if (!v->ports.n)
		policy_error(c->p, parse_span(c, at),
			     "no port in the braces; say 'all ports' if all are meant");
	return v->ports.n;
}

static bool virtual(struct parse *c)
{
	struct policy_virtual v = {.proto = BALANCE_PROTO_ANY};

	parse_next(c);
	if (!addresses(c, "a virtual address", &v.addrs))
		return false;
	if (token_is(&c->t, "tcp") || token_is(&c->t, "udp")) {
		v.proto = token_is(&c->t, "tcp") ? 6 : 17;
		parse_next(c);
	}
	if (!ports(c, &v))
		return false;
	buf_put(&c->virtuals, &v, sizeof(v));
	return true;
}

/* Addresses, prefixes and ranges that flows are translated to. */
static bool pools(struct parse *c, struct policy_list *list)
{
	static const char expected[] = "an address, a prefix or a range to translate to";
	struct policy_pos at;
	uint32_t i;

	parse_next(c);
	at = c->t.pos;
	if (c->t.kind != TOKEN_OPEN &&
	    (c->t.kind != TOKEN_WORD || !(memchr(c->t.s, '.', c->t.len) || memchr(c->t.s, ':', c->t.len))))
		return parse_expected(c, expected);
	if (!parse_list(c, (enum policy_field)PARSE_ELEMENTS, list))
		return false;
	if (!list->n)
		policy_error(c->p, parse_span(c, at), "no address in the braces, expected %s", expected);
	for (i = 0; i < list->n; i++) {
		struct policy_value *v = &list->v[i];

		if (v->kind != POLICY_ADDR || v->addr.first.hi != v->addr.last.hi ||
		    v->addr.last.lo - v->addr.first.lo >= NAT_ADDRS) {
			policy_error(c->p, v->pos, "more than %u addresses to translate to; name a longer prefix",
				     NAT_ADDRS);
			return false;
		}
	}
	return list->n;
}

static bool forward(struct parse *c)
{
	static const char *const words[] =
		{[BALANCE_IPIP] = "ipip", [BALANCE_GUE] = "gue", [BALANCE_L2] = "l2", [BALANCE_NAT] = "nat"};
	struct policy_balance *b = &c->balance->b;
	struct policy_pos at;
	uint8_t i;

	parse_next(c);
	at = c->t.pos;
	for (i = 0; i < 4 && !token_is(&c->t, words[i]); i++)
		;
	if (i == 4)
		return parse_expected(c, "ipip, gue, l2 or nat");
	b->mode = i;
	b->forward_given = true;
	parse_next(c);
	if (i == BALANCE_NAT && token_is(&c->t, "from"))
		return pools(c, &b->from);
	if (i == BALANCE_NAT)
		policy_error(c->p, at, "forward nat needs addresses that packets come from: forward nat from ADDRESSES");
	if (i != BALANCE_GUE || !token_is(&c->t, "port"))
		return true;
	parse_next(c);
	return parse_bounded(c, 1, 65535, "a port from 1 to 65535", &b->gue_port);
}

static bool backend(struct parse *c)
{
	struct policy_backend b = {.weight = 1};
	bool weight = false;

	parse_next(c);
	if (!addresses(c, "the address of a backend", &b.addrs))
		return false;
	for (;;) {
		struct policy_pos at = c->t.pos;

		if (token_is(&c->t, "weight") && !weight) {
			weight = true;
			parse_next(c);
			if (!parse_bounded(c, 0, MAGLEV_WEIGHT_MAX, "a weight from 0 to 65535", &b.weight))
				return false;
		} else if (token_is(&c->t, "port") && !b.port) {
			parse_next(c);
			if (!parse_bounded(c, 1, 65535, "a port from 1 to 65535", &b.port))
				return false;
			b.port_pos = parse_span(c, at);
		} else if (token_is(&c->t, "id") && !b.has_server) {
			b.has_server = true;
			parse_next(c);
			if (!parse_bounded(c, 0, UINT32_MAX, "a server id from 0 to 4294967295", &b.server))
				return false;
		} else if (token_is(&c->t, "drain") && !b.drain) {
			b.drain = true;
			parse_next(c);
		} else if (token_is(&c->t, "weight") || token_is(&c->t, "port") || token_is(&c->t, "drain") ||
			   token_is(&c->t, "id")) {
			policy_error(c->p, at, "'%.*s' is given twice", (int)c->t.len, c->t.s);
			return false;
		} else {
			break;
		}
	}
	if (c->t.kind == TOKEN_WORD)
		return parse_expected(c, "weight, port, id, drain or the end of the line");
	buf_put(&c->backends, &b, sizeof(b));
	return true;
}

static bool table_size(struct parse *c)
{
	struct sluice_err err = {0};
	uint32_t n;

	parse_next(c);
	if (!parse_number(&c->t, UINT32_MAX, &n))
		return parse_expected(c, "a number of slots, a prime");
	if (maglev_check_slots(n, &err)) {
		policy_error(c->p, c->t.pos, "%s", err.text);
		return false;
	}
	c->balance->b.n_slots = n;
	parse_next(c);
	return true;
}

static bool affinity(struct parse *c)
{
	parse_next(c);
	if (!token_is(&c->t, "source"))
		return parse_expected(c, "'source'");
	c->balance->b.affinity = true;
	parse_next(c);
	return true;
}

static bool quic(struct parse *c)
{
	struct policy_balance *b = &c->balance->b;

	parse_next(c);
	if (!token_is(&c->t, "server-id"))
		return parse_expected(c, "'server-id' and how many bytes it has");
	parse_next(c);
	if (!parse_bounded(c, 1, 4, "a number of bytes from 1 to 4", &b->quic_bytes))
		return false;
	if (!token_is(&c->t, "bytes") && !token_is(&c->t, "byte"))
		return parse_expected(c, "'bytes' behind their number");
	parse_next(c);
	if (!token_is(&c->t, "config"))
		return true;
	parse_next(c);
	return parse_bounded(c, 0, 6, "a configuration from 0 to 6", &b->quic_config);
}

static bool stateless(struct parse *c)
{
	c->balance->b.stateless = true;
	parse_next(c);
	return true;
}

static bool hold(struct parse *c)
{
	uint64_t ns;

	parse_next(c);
	if (!parse_time(c, 1000000000, UINT64_C(1000000000) * BALANCE_HOLD_MAX_S, 1000000000,
			"a time from 1s to 24h in whole seconds (30s, 5m)", &ns))
		return false;
	c->balance->b.hold_s = (uint32_t)(ns / 1000000000);
	return true;
}

static bool all_down(struct parse *c)
{
	static const char *const words[] =
		{[BALANCE_DROP] = "drop", [BALANCE_RESET] = "reset", [BALANCE_OPEN] = "open"};
	uint8_t i;

	parse_next(c);
	for (i = 0; i < 3 && !token_is(&c->t, words[i]); i++)
		;
	if (i == 3)
		return parse_expected(c, "drop, reset or open");
	c->balance->b.fallback = i;
	parse_next(c);
	return true;
}

static bool health(struct parse *c)
{
	return parse_health(c, &c->balance->b.health);
}

/* The first two may stand more than once. */
static const struct {
	const char *word;
	bool (*read)(struct parse *c);
} lines[] = {
	{"virtual", virtual},	    {"backend", backend},   {"forward", forward},     {"check", health},
	{"table-size", table_size}, {"affinity", affinity}, {"stateless", stateless}, {"hold", hold},
	{"all-down", all_down},	    {"quic", quic},
};
#define N_MANY 2
#define N_LINES (sizeof(lines) / sizeof(*lines))

static bool no_line(struct parse *c)
{
	const char *words[N_LINES];
	char word[32] = "";
	size_t n;
	int i = -1;

	for (n = 0; n < N_LINES; n++)
		words[n] = lines[n].word;
	if (c->t.kind == TOKEN_WORD && c->t.len < sizeof(word)) {
		snprintf(word, sizeof(word), "%.*s", (int)c->t.len, c->t.s);
		i = text_nearest(word, words, N_LINES);
	}
	if (i < 0)
		return parse_expected(c, EXPECTED_LINE);
	policy_error(c->p, c->t.pos, "unknown word '%s', did you mean '%s'? Expected " EXPECTED_LINE, word,
		     words[i]);
	return false;
}

static bool line(struct parse *c)
{
	size_t i;

	for (i = 0; i < N_LINES && !token_is(&c->t, lines[i].word); i++)
		;
	if (i == N_LINES)
		return no_line(c);
	if (c->balance->seen >> i & 1) {
		policy_error(c->p, c->t.pos, "'%s' is given twice", lines[i].word);
		return false;
	}
	if (!lines[i].read(c))
		return false;
	c->balance->seen |= i < N_MANY ? 0 : 1u << i;
	return true;
}

void parse_balance_body(struct parse *c)
{
	for (parse_skip_lines(c); c->t.kind != TOKEN_CLOSE && c->t.kind != TOKEN_END && !c->fatal;
	     parse_skip_lines(c)) {
		if (token_is(&c->t, "include"))
			parse_include(c, NULL);
		else if (token_is(&c->t, "define"))
			parse_define(c);
		else if (line(c))
			parse_line_end(c);
		else
			parse_skip_line(c);
	}
}

static bool seed(struct parse *c)
{
	struct policy_pos at = c->t.pos;

	if (c->p->balance_seed)
		policy_error(c->p, at, "the seed is given twice");
	if (strlen(c->t.s) >= sizeof(c->p->services.seed)) {
		policy_error(c->p, at, "a seed has at most %zu characters, this one has %zu",
			     sizeof(c->p->services.seed) - 1, strlen(c->t.s));
		return false;
	}
	c->p->balance_seed = c->t.s;
	parse_next(c);
	return true;
}

static bool head(struct parse *c, struct policy_balance *b)
{
	parse_next(c);
	b->pos = c->t.pos;
	if (!parse_is_name(&c->t) || c->t.len >= BALANCE_NAME)
		return parse_expected(c, "the service's name: letters, digits, '_' and '-', at most 31");
	b->name = arena_text(&c->p->arena, c->t.s, c->t.len);
	if (!b->name)
		c->fatal = -ENOMEM;
	parse_next(c);
	return !c->fatal;
}

static void keep(struct parse *c, struct policy_balance *b)
{
	b->n_virtuals = (uint32_t)(c->virtuals.len / sizeof(*b->virtuals));
	b->virtuals = arena_copy(&c->p->arena, c->virtuals.data, c->virtuals.len);
	b->n_backends = (uint32_t)(c->backends.len / sizeof(*b->backends));
	b->backends = arena_copy(&c->p->arena, c->backends.data, c->backends.len);
	buf_put(&c->balances, b, sizeof(*b));
}

void parse_balance(struct parse *c)
{
	struct parse_balance balance = {
		.b = {.gue_port = BALANCE_GUE_PORT, .n_slots = MAGLEV_SLOTS, .hold_s = BALANCE_HOLD_S}};
	struct policy_balance *b = &balance.b;
	uint64_t errors = c->p->n_errors;
	struct policy_pos open;

	if (!head(c, b)) {
		parse_skip_line(c);
		return;
	}
	if (c->t.kind == TOKEN_STRING && !strcmp(b->name, "seed")) {
		if (seed(c))
			parse_line_end(c);
		else
			parse_skip_line(c);
		return;
	}
	if (parse_on(c, &b->on))
		parse_skip_lines(c);
	if (c->t.kind != TOKEN_OPEN) {
		if (b->on.n)
			parse_expected(c, "'{' and the lines of the service");
		parse_skip_line(c);
		return;
	}
	open = c->t.pos;
	parse_next(c);
	c->virtuals.len = c->backends.len = 0;
	c->balance = &balance;
	parse_balance_body(c);
	c->balance = NULL;
	parse_close_block(c, open);
	b->damaged = c->p->n_errors > errors;
	if (!b->damaged && !balance.b.forward_given)
		policy_error(c->p, b->pos,
			     "service %s does not say how packets get to its backends; say forward ipip, "
			     "gue, l2 "
			     "or nat",
			     b->name);
	keep(c, b);
	parse_line_end(c);
}
