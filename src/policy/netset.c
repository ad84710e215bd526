// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Addresses, prefixes and ranges as text, and files full of them. IPv4 has a reader of its own: inet_pton()
 * on a copy would cost more than everything else that is done with a line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "policy/spans.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Four decimal bytes; the number of characters read, 0 if it is none. No leading zeroes: some read them as
 * octal. */
static size_t read4(const char *s, size_t len, uint32_t *out)
{
	uint32_t v = 0, byte;
	size_t at = 0, digits;
	int i;

	for (i = 0; i < 4; i++) {
		if (i && (at == len || s[at++] != '.'))
			return 0;
		byte = 0;
		for (digits = 0; at < len && digits < 4 && is_digit(s[at]); digits++)
			byte = byte * 10 + (uint32_t)(s[at++] - '0');
		if (!digits || byte > 255 || (digits > 1 && s[at - digits] == '0'))
			return 0;
		v = v << 8 | byte;
	}
	*out = v;
	return at;
}

static bool read6(const char *s, size_t len, struct policy_addr6 *out)
{
	struct net_addr a = {.v6 = true};
	char copy[NET_ADDR_TEXT];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, s, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET6, copy, a.bytes) != 1)
		return false;
	*out = policy_addr6_of(&a);
	return true;
}

static int bad(struct sluice_err *err, const char *text, size_t len, const char *what)
{
	return err_set(err, -EINVAL, "'%.*s%s' %s", len > 80 ? 80 : (int)len, text, len > 80 ? "..." : "",
		       what);
}

/* A prefix length of at most max; -1 if it is none. */
static int read_bits(const char *s, size_t len, int max)
{
	int v = 0;
	size_t i;

	if (!len || len > 3)
		return -1;
	for (i = 0; i < len; i++) {
		if (!is_digit(s[i]))
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v <= max ? v : -1;
}

/* The bits behind the first `bits` ones of an address of 128 bits. */
static struct policy_addr6 host_mask(int bits)
{
	struct policy_addr6 m = {UINT64_MAX, UINT64_MAX};

	if (bits >= 64) {
		m.hi = 0;
		m.lo = bits == 128 ? 0 : UINT64_MAX >> (bits - 64);
	} else {
		m.hi = UINT64_MAX >> bits;
	}
	return m;
}

static int prefix(const char *text, size_t len, size_t slash, struct policy_range *r, bool *loose,
		  struct sluice_err *err)
{
	int max = r->v6 ? 128 : 32, bits = read_bits(text + slash + 1, len - slash - 1, max);
	struct policy_addr6 host;
	char nearest[POLICY_RANGE_TEXT];

	if (bits < 0)
		return bad(err, text, len,
			   r->v6 ? "has no prefix length of 0 to 128" : "has no prefix length of 0 to 32");
	host = host_mask(bits + 128 - max);
	if (r->first.hi & host.hi || r->first.lo & host.lo) {
		r->first.hi &= ~host.hi;
		r->first.lo &= ~host.lo;
		r->last = (struct policy_addr6){r->first.hi | host.hi, r->first.lo | host.lo};
		if (!loose)
			return err_set(err, -EINVAL,
				       "'%.*s' has bits beyond its length of %d; %s is the prefix", (int)len,
				       text, bits, policy_range_format(r, nearest, sizeof(nearest)));
		*loose = true;
	}
	r->last = (struct policy_addr6){r->first.hi | host.hi, r->first.lo | host.lo};
	return 0;
}

/* One address of len characters. */
static bool address(const char *s, size_t len, bool v6, struct policy_addr6 *out)
{
	uint32_t v4;

	if (v6)
		return read6(s, len, out);
	if (!len || read4(s, len, &v4) != len)
		return false;
	*out = (struct policy_addr6){0, v4};
	return true;
}

static int read_range(const char *text, size_t len, struct policy_range *r, bool *loose,
		      struct sluice_err *err)
{
	const char *slash, *dash;
	size_t end = len;

	if (loose)
		*loose = false;
	if (len > 2 * NET_ADDR_TEXT)
		return bad(err, text, len, "is too long for an address, a prefix or a range");
	r->v6 = memchr(text, ':', len) != NULL;
	slash = memchr(text, '/', len);
	dash = slash ? NULL : memchr(text, '-', len);
	if (slash || dash)
		end = (size_t)((slash ? slash : dash) - text);
	if (dash && r->v6 && (memchr(text, ':', end) != NULL) != (memchr(dash, ':', len - end) != NULL))
		return bad(err, text, len, "mixes IPv4 and IPv6");
	if (!address(text, end, r->v6, &r->first) ||
	    (dash && !address(dash + 1, len - end - 1, r->v6, &r->last)))
		return bad(err, text, len, "is not an address, a prefix or a range");
	if (slash)
		return prefix(text, len, end, r, loose, err);
	if (!dash)
		r->last = r->first;
	if (policy_addr6_cmp(r->first, r->last) > 0)
		return bad(err, text, len, "ends before it begins");
	return 0;
}

int policy_range_parse(const char *text, size_t len, struct policy_range *r, bool *loose,
		       struct sluice_err *err)
{
	int e = read_range(text, len, r, loose, err);

	if (e || !r->v6 || r->first.hi || r->last.hi || r->first.lo >> 32 != 0xffff ||
	    r->last.lo >> 32 != 0xffff || policy_range_bits(r) == 96)
		return e;
	r->v6 = false;
	r->first.lo &= UINT32_MAX;
	r->last.lo &= UINT32_MAX;
	return 0;
}

int policy_range_bits(const struct policy_range *r)
{
	int max = r->v6 ? 128 : 32, bits;
	struct policy_addr6 diff = {r->first.hi ^ r->last.hi, r->first.lo ^ r->last.lo}, host;

	for (bits = 0; bits <= max; bits++) {
		host = host_mask(bits + 128 - max);
		if (host.hi == diff.hi && host.lo == diff.lo)
			return r->first.hi & host.hi || r->first.lo & host.lo ? -1 : bits;
	}
	return -1;
}

static char *one(struct policy_addr6 a, bool v6, char *to, size_t size)
{
	struct net_addr addr = {.v6 = v6};
	int i;

	for (i = 0; i < 16 && v6; i++)
		addr.bytes[i] = (uint8_t)((i < 8 ? a.hi : a.lo) >> (56 - 8 * (i % 8)));
	for (i = 0; i < 4 && !v6; i++)
		addr.bytes[i] = (uint8_t)(a.lo >> (24 - 8 * i));
	return net_addr_format(&addr, to, size);
}

char *policy_range_format(const struct policy_range *r, char *to, size_t size)
{
	int bits = policy_range_bits(r), max = r->v6 ? 128 : 32;
	size_t n;

	one(r->first, r->v6, to, size);
	n = strlen(to);
	if (bits == max)
		return to;
	if (bits >= 0) {
		snprintf(to + n, size - n, "/%d", bits);
	} else if (n + 1 < size) {
		to[n] = '-';
		one(r->last, r->v6, to + n + 1, size - n - 1);
	}
	return to;
}

/* The usual line, an IPv4 address or prefix and nothing else on it; false: look closer. */
static bool quick(const char *s, size_t len, struct policy_range *r)
{
	uint32_t v = 0, host;
	size_t n = read4(s, len, &v);
	int bits = 32;

	if (!n || (n < len && s[n] != '/'))
		return false;
	if (n < len)
		bits = read_bits(s + n + 1, len - n - 1, 32);
	if (bits < 0)
		return false;
	host = bits == 32 ? 0 : UINT32_MAX >> bits;
	if (v & host)
		return false;
	*r = (struct policy_range){.first = {0, v}, .last = {0, v | host}};
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

int policy_netset_read(const char *text, size_t len, struct policy_spans *s, struct policy_netset_stat *stat,
		       struct sluice_err *err)
{
	const char *at = text, *end = text + len, *nl, *stop, *hash;
	struct policy_range r;
	uint32_t line = 0;
	bool loose;

	*stat = (struct policy_netset_stat){0};
	for (; at < end; at = nl + 1) {
		nl = memchr(at, '\n', (size_t)(end - at));
		nl = nl ? nl : end;
		line++;
		stop = nl;
		if (!quick(at, (size_t)(stop - at), &r)) {
			hash = memchr(at, '#', (size_t)(stop - at));
			stop = hash ? hash : stop;
			hash = memchr(at, ';', (size_t)(stop - at));
			stop = hash ? hash : stop;
			while (at < stop && is_blank(*at))
				at++;
			while (at < stop && is_blank(stop[-1]))
				stop--;
			if (at == stop)
				continue;
			if (policy_range_parse(at, (size_t)(stop - at), &r, &loose, err)) {
				stat->bad_at = (size_t)(at - text);
				stat->bad_len = (size_t)(stop - at);
				stat->bad_line = line;
				return -EINVAL;
			}
			stat->loose += loose;
		}
		stat->elements++;
		policy_spans_add(s, &r);
	}
	return s->failed ? err_nomem(err) : 0;
}
