// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Addresses as people write them. Names are not resolved here: a typing mistake must not become a DNS query. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "net/addr.h"

int net_addr_parse(const char *text, struct net_addr *addr, struct sluice_err *err)
{
	struct net_addr a = {0};

	a.v6 = strchr(text, ':') != NULL;
	if (inet_pton(a.v6 ? AF_INET6 : AF_INET, text, a.bytes) != 1)
		return err_set(err, -EINVAL, "'%s' is not an IPv4 or IPv6 address", text);
	*addr = a;
	return 0;
}

char *net_addr_format(const struct net_addr *addr, char *to, size_t size)
{
	if (!inet_ntop(addr->v6 ? AF_INET6 : AF_INET, addr->bytes, to, (socklen_t)size))
		snprintf(to, size, "?");
	return to;
}

static uint64_t word(const uint8_t *bytes, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *bytes++;
	return v;
}

void net_addr_words(const struct net_addr *addr, uint64_t *hi, uint64_t *lo)
{
	*hi = addr->v6 ? word(addr->bytes, 8) : 0;
	*lo = addr->v6 ? word(addr->bytes + 8, 8) : word(addr->bytes, 4);
}

void net_addr_unmap(struct net_addr *addr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (!addr->v6 || memcmp(addr->bytes, mapped, 12) != 0)
		return;
	memmove(addr->bytes, addr->bytes + 12, 4);
	memset(addr->bytes + 4, 0, 12);
	addr->v6 = false;
}

bool net_addr_same(const struct net_addr *a, const struct net_addr *b)
{
	return a->v6 == b->v6 && !memcmp(a->bytes, b->bytes, a->v6 ? 16 : 4);
}

bool net_addr_is_multicast(const struct net_addr *addr)
{
	return addr->v6 ? addr->bytes[0] == 0xff : addr->bytes[0] >> 4 == 0xe;
}

static int parse_prefix(const char *text, const char *address, const char *length, struct net_range *range,
			struct sluice_err *err)
{
	uint64_t len, hi, lo, lo_mask, hi_mask = 0, host;
	struct net_range r = {0};
	unsigned int bits;
	int e = net_addr_parse(address, &r.first, err);

	if (e)
		return e;
	bits = r.first.v6 ? 128 : 32;
	e = text_u64(length, 0, bits, &len, err);
	if (e)
		return err_prefix(err, "prefix length of '%s'", text);
	host = bits - len;
	lo_mask = host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
	if (host > 64)
		hi_mask = host == 128 ? UINT64_MAX : (UINT64_C(1) << (host - 64)) - 1;
	net_addr_words(&r.first, &hi, &lo);
	if ((hi & hi_mask) || (lo & lo_mask))
		return err_set(err, -EINVAL, "'%s' has bits beyond its length of %u; leave them 0", text,
			       (unsigned int)len);
	r.n = lo_mask + 1;
	r.random_hi = hi_mask;
	*range = r;
	return 0;
}

static int parse_span(const char *text, const char *first, const char *last, struct net_range *range,
		      struct sluice_err *err)
{
	struct net_range r = {0};
	struct net_addr end;
	uint64_t hi, lo, end_hi, end_lo, span;
	int e = net_addr_parse(first, &r.first, err);

	if (!e)
		e = net_addr_parse(last, &end, err);
	if (e)
		return e;
	if (r.first.v6 != end.v6)
		return err_set(err, -EINVAL, "'%s' mixes IPv4 and IPv6", text);
	net_addr_words(&r.first, &hi, &lo);
	net_addr_words(&end, &end_hi, &end_lo);
	if (end_hi < hi || (end_hi == hi && end_lo < lo))
		return err_set(err, -EINVAL, "'%s' ends before it begins", text);
	span = end_lo - lo; /* modulo 2^64: right if the distance is below that */
	if (end_hi - hi > 1 || (end_hi - hi == 1 && end_lo >= lo))
		return err_set(err, -EINVAL, "'%s' spans more than 2^64 addresses; write it as a prefix",
			       text);
	r.n = span + 1;
	*range = r;
	return 0;
}

int net_range_parse(const char *text, struct net_range *range, struct sluice_err *err)
{
	char copy[2 * NET_ADDR_TEXT + 2];
	struct net_range r = {.n = 1};
	char *at;
	int e;

	if (strlen(text) >= sizeof(copy))
		return err_set(err, -EINVAL, "'%.64s...' is too long for an address, a prefix or a range",
			       text);
	memcpy(copy, text, strlen(text) + 1);
	at = strchr(copy, '/');
	if (at) {
		*at = '\0';
		return parse_prefix(text, copy, at + 1, range, err);
	}
	at = strchr(copy, '-');
	if (at) {
		*at = '\0';
		return parse_span(text, copy, at + 1, range, err);
	}
	e = net_addr_parse(text, &r.first, err);
	if (!e)
		*range = r;
	return e;
}

int net_ports_parse(const char *text, struct net_ports *ports, struct sluice_err *err)
{
	const char *dash = strchr(text, '-');
	char first[16];
	uint64_t from, to;
	int e;

	if (dash && (size_t)(dash - text) >= sizeof(first))
		return err_set(err, -EINVAL, "'%.64s' is not a port or a range of ports", text);
	snprintf(first, sizeof(first), "%.*s", dash ? (int)(dash - text) : 15, text);
	e = text_u64(dash ? first : text, 0, 65535, &from, err);
	to = from;
	if (!e && dash)
		e = text_u64(dash + 1, 0, 65535, &to, err);
	if (e)
		return e;
	if (to < from)
		return err_set(err, -EINVAL, "'%s' ends before it begins", text);
	ports->first = (uint16_t)from;
	ports->n = (uint32_t)(to - from + 1);
	return 0;
}

int net_mac_parse(const char *text, uint8_t mac[6], struct sluice_err *err)
{
	unsigned int b[6];
	char sep[5];
	int end = 0, i;

	if (strspn(text, "0123456789abcdefABCDEF:-") != 17 || text[17] ||
	    sscanf(text, "%2x%c%2x%c%2x%c%2x%c%2x%c%2x%n", &b[0], &sep[0], &b[1], &sep[1], &b[2], &sep[2],
		   &b[3], &sep[3], &b[4], &sep[4], &b[5], &end) != 11 ||
	    end != 17)
		return err_set(err, -EINVAL, "'%.64s' is not a MAC address (02:00:5e:10:00:01)", text);
	for (i = 0; i < 5; i++)
		if (sep[i] != sep[0] || (sep[0] != ':' && sep[0] != '-'))
			return err_set(err, -EINVAL, "'%.64s' is not a MAC address (02:00:5e:10:00:01)",
				       text);
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

char *net_mac_format(const uint8_t mac[6], char *to, size_t size)
{
	snprintf(to, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return to;
}
