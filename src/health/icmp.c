// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Echo requests and replies as bytes. */
#include <string.h>

#include "base/view.h"
#include "health/icmp.h"

#define MAGIC "sluice.."

/* The sum of RFC 1071. */
static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void icmp_request(uint8_t to[ICMP_BYTES], bool v6, uint16_t ident, uint64_t nonce)
{
	uint16_t sum;

	memset(to, 0, ICMP_BYTES);
	to[0] = v6 ? 128 : 8;
	to[4] = (uint8_t)(ident >> 8);
	to[5] = (uint8_t)ident;
	to[7] = 1;
	memcpy(to + 8, &nonce, 8);
	memcpy(to + 16, MAGIC, 8);
	if (v6)
		return;
	sum = checksum(to, ICMP_BYTES);
	to[2] = (uint8_t)(sum >> 8);
	to[3] = (uint8_t)sum;
}

bool icmp_is_reply(const void *data, size_t len, bool v6, bool ip_header, const uint16_t *ident,
		   uint64_t nonce)
{
	struct view v = view_of(data, len);
	const uint8_t *p;

	if (ip_header) {
		p = view_take(&v, 20);
		if (!p || p[0] >> 4 != 4 || (p[0] & 15) < 5 || !view_take(&v, (size_t)((p[0] & 15) - 5) * 4))
			return false;
	}
	p = view_take(&v, ICMP_BYTES);
	return p && p[0] == (v6 ? 129 : 0) && p[1] == 0 &&
	       (!ident || (p[4] == *ident >> 8 && p[5] == (*ident & 255))) && p[6] == 0 && p[7] == 1 &&
	       memcmp(p + 8, &nonce, 8) == 0 && memcmp(p + 16, MAGIC, 8) == 0;
}
