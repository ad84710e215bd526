/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Echo requests and replies: RFC 792, RFC 4443. Pure. */
#ifndef HEALTH_ICMP_H
#define HEALTH_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICMP_BYTES 24 /* of a request: header, then 16 bytes that come back */

/* icmp_request() writes a request; its checksum is there for IPv4, and the kernel's for IPv6. */
void icmp_request(uint8_t to[ICMP_BYTES], bool v6, uint16_t ident, uint64_t nonce);

/*
 * icmp_is_reply(): is it the reply to that request? ident counts only of raw sockets: others have the kernel's.
 * in:      ip_header  an IPv4 header is in front (raw sockets)
 */
bool icmp_is_reply(const void *data, size_t len, bool v6, bool ip_header, const uint16_t *ident,
		   uint64_t nonce);

#endif
