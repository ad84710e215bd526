// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Health checks of balance blocks: check tcp|http|https|icmp|command ... and options: every, timeout, rise, fall... */
#include <stdio.h>
#include <string.h>

#include "health/limits.h"
#include "policy/parse_balance.h"

#define SECOND UINT64_C(1000000000)
#define EXPECTED_OPTION "every, timeout, rise, fall%s or the end of the line"

enum option { EVERY, TIMEOUT, RISE, FALL, DIRECT, PORT, STATUS, HOST, BODY, VERIFY, N_OPTIONS };

static bool is_http(const struct policy_health *h)
{
	return h->kind == POLICY_HEALTH_HTTP || h->kind == POLICY_HEALTH_HTTPS;
}

static bool too_long(struct parse *c, const char *what, size_t len, uint32_t max)
{
	if (len <= max)
		return false;
	policy_error(c->p, c->t.pos, "%s has at most %u bytes, not %zu", what, max, len);
	return true;
}

static bool path(struct parse *c, struct policy_health *h)
{
	if (c->t.kind != TOKEN_STRING || !c->t.len)
		return parse_expected(c, "the path in quotes");
	if (too_long(c, "a path", c->t.len, HEALTH_TEXT_MAX))
		return false;
	if (!health_is_path(c->t.s)) {
		policy_error(c->p, c->t.pos, "a path begins with '/' and has no blanks");
		return false;
	}
	h->text = c->t.s;
	parse_next(c);
	return true;
}

static bool command(struct parse *c, struct policy_health *h)
{
	size_t n, longest;

	if (c->t.kind != TOKEN_STRING || !c->t.len)
		return parse_expected(c, "the command in quotes");
	n = health_words(c->t.s, &longest);
	if (!n || n > HEALTH_ARGS) {
		policy_error(c->p, c->t.pos, "a command has 1 to %u words, not %zu", HEALTH_ARGS, n);
		return false;
	}
	if (too_long(c, "a word of a command", longest, HEALTH_TEXT_MAX))
		return false;
	h->text = c->t.s;
	parse_next(c);
	return true;
}

static bool kind(struct parse *c, struct policy_health *h)
{
	static const char *const words[] = {[POLICY_HEALTH_TCP] = "tcp",
					    [POLICY_HEALTH_HTTP] = "http",
					    [POLICY_HEALTH_HTTPS] = "https",
					    [POLICY_HEALTH_ICMP] = "icmp",
					    [POLICY_HEALTH_COMMAND] = "command"};
	uint8_t i;

	for (i = POLICY_HEALTH_TCP; i <= POLICY_HEALTH_COMMAND && !token_is(&c->t, words[i]); i++)
		;
	if (i > POLICY_HEALTH_COMMAND)
		return parse_expected(c, "tcp, http, https, icmp or command");
	h->kind = i;
	parse_next(c);
	if (is_http(h))
		return path(c, h);
	return i != POLICY_HEALTH_COMMAND || command(c, h);
}

static bool status(struct parse *c, struct policy_health *h)
{
	char text[16];
	unsigned int lo, hi;
	int n = 0;

	if (c->t.kind != TOKEN_WORD || c->t.len >= sizeof(text))
		return parse_expected(c, "a status or a range of them (200, 200-399)");
	snprintf(text, sizeof(text), "%.*s", (int)c->t.len, c->t.s);
	if (sscanf(text, "%3u%n", &lo, &n) != 1)
		n = 0;
	hi = lo;
	if (n == 3 && text[n] == '-' && (sscanf(text + 4, "%3u%n", &hi, &n) != 1 || n != 3))
		n = 0;
	else if (n == 3 && text[n] == '-')
		n = 7;
	if ((n != 3 && n != 7) || text[n] || lo < HEALTH_STATUS_MIN || hi > HEALTH_STATUS_MAX || lo > hi)
		return parse_expected(c, "a status or a range of them from 100 to 599 (200, 200-399)");
	h->status_lo = lo;
	h->status_hi = hi;
	parse_next(c);
	return true;
}

static bool option(struct parse *c, enum option o, struct policy_health *h)
{
	switch (o) {
	case EVERY:
		return parse_time(c, HEALTH_INTERVAL_MIN_NS, HEALTH_INTERVAL_MAX_NS, 1000000,
				  "a time from 100ms to 1h in whole milliseconds (2s, 500ms)", &h->every_ns);
	case TIMEOUT:
		return parse_time(c, HEALTH_TIMEOUT_MIN_NS, HEALTH_TIMEOUT_MAX_NS, 1000000,
				  "a time from 10ms to 60s in whole milliseconds (2s, 500ms)",
				  &h->timeout_ns);
	case RISE:
		return parse_bounded(c, 1, HEALTH_COUNT_MAX, "a number of checks from 1 to 100", &h->rise);
	case FALL:
		return parse_bounded(c, 1, HEALTH_COUNT_MAX, "a number of checks from 1 to 100", &h->fall);
	case DIRECT:
		h->direct = true;
		return true;
	case PORT:
		return parse_bounded(c, 1, 65535, "a port from 1 to 65535", &h->port);
	case STATUS:
		return status(c, h);
	case HOST:
		if (c->t.kind != TOKEN_STRING || !c->t.len || !health_is_line(c->t.s))
			return parse_expected(c, "the host's name in quotes, without blanks");
		if (too_long(c, "a host's name", c->t.len, HEALTH_TEXT_MAX))
			return false;
		h->host = c->t.s;
		parse_next(c);
		return true;
	case BODY:
		if (c->t.kind != TOKEN_STRING || !c->t.len)
			return parse_expected(c, "what the answer contains in quotes");
		if (too_long(c, "what is looked for in an answer", c->t.len, HEALTH_BODY_MAX))
			return false;
		h->body = c->t.s;
		parse_next(c);
		return true;
	case VERIFY:
		h->verify = true;
		return true;
	case N_OPTIONS:
		break;
	}
	return false;
}

/* How many of the options a kind has, in their order; the names of those that not all have. */
static unsigned int options_of(const struct policy_health *h, const char **names)
{
	switch (h->kind) {
	case POLICY_HEALTH_HTTPS:
		*names = ", port, status, host, body, verify, direct";
		return N_OPTIONS;
	case POLICY_HEALTH_HTTP:
		*names = ", port, status, host, body, direct";
		return VERIFY;
	case POLICY_HEALTH_TCP:
		*names = ", port, direct";
		return STATUS;
	case POLICY_HEALTH_ICMP:
		*names = ", direct";
		return PORT;
	}
	*names = ""; /* of a command; 'direct' is told by itself */
	return PORT;
}

static bool options(struct parse *c, struct policy_health *h)
{
	static const char *const words[] = {"every", "timeout", "rise", "fall", "direct",
					    "port",  "status",	"host", "body", "verify"};
	const char *names;
	unsigned int n = options_of(h, &names), seen = 0, i;
	char expected[128];

	while (c->t.kind != TOKEN_LINE && c->t.kind != TOKEN_END && c->t.kind != TOKEN_CLOSE) {
		for (i = 0; i < n && !token_is(&c->t, words[i]); i++)
			;
		if (i == n) {
			snprintf(expected, sizeof(expected), EXPECTED_OPTION, names);
			return parse_expected(c, expected);
		}
		if (seen >> i & 1) {
			policy_error(c->p, c->t.pos, "'%s' is given twice", words[i]);
			return false;
		}
		seen |= 1u << i;
		if (i == DIRECT)
			h->direct_pos = c->t.pos;
		parse_next(c);
		if (!option(c, (enum option)i, h))
			return false;
	}
	return true;
}

bool parse_health(struct parse *c, struct policy_health *h)
{
	struct policy_pos at = c->t.pos;

	*h = (struct policy_health){.status_lo = 200,
				    .status_hi = 399,
				    .every_ns = 2 * SECOND,
				    .rise = 2,
				    .fall = 3};
	parse_next(c);
	if (!kind(c, h) || !options(c, h)) {
		*h = (struct policy_health){0};
		return false;
	}
	h->pos = parse_span(c, at);
	if (!h->timeout_ns)
		h->timeout_ns = h->every_ns < SECOND ? h->every_ns : SECOND;
	if (h->timeout_ns > h->every_ns) {
		policy_error(c->p, h->pos,
			     "a check may take longer (timeout) than the time to the next one (every); "
			     "make one of them shorter or the other longer");
		return false;
	}
	return true;
}
