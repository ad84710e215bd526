/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ethernet frames made from a description: headers, tags, payload, valid checksums. */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>
#include "net/addr.h"

#define NET_FRAME_MIN 60 /* Ethernet's smallest, without the check sequence */

/* The flags of a TCP header. */
enum { NET_TCP_FIN = 1, NET_TCP_SYN = 2, NET_TCP_RST = 4, NET_TCP_PSH = 8, NET_TCP_ACK = 16, NET_TCP_URG = 32,
       NET_TCP_ECE = 64, NET_TCP_CWR = 128 };

enum net_l4 { NET_UDP, NET_TCP, NET_ICMP };

struct net_packet {
	uint8_t dst_mac[6], src_mac[6];
	uint16_t vlan[2]; /* n_vlan tags, outer first; two make the outer an 802.1ad tag */
	unsigned int n_vlan;
	struct net_addr src, dst; /* both of one family */
	uint8_t ttl, tos;
	enum net_l4 l4;
	uint16_t sport, dport; /* NET_ICMP: identifier and sequence of an echo */
	uint8_t tcp_flags;
	uint8_t icmp_type, icmp_code;
	const uint8_t *payload; /* repeated until the frame is full; NULL: zeroes */
	size_t payload_len;
};

/* Where things are in a frame. */
struct net_layout {
	uint32_t frame_len, l3, l4, payload;
	uint32_t ip_csum; /* 0 for IPv6 */
	uint32_t l4_csum;
};

/*
 * net_packet_build() writes a frame of frame_len bytes, filled with payload; or if that is 0 of the smallest length,
 * where TCP carries nothing (a SYN with data is not what people mean) and the rest is padding.
 *
 * in:      size     of to
 * errors:  -EINVAL frame_len below what the headers take (err has it), above size, or families differ
 */
int net_packet_build(const struct net_packet *p, uint32_t frame_len, uint8_t *to, size_t size,
		     struct net_layout *layout, struct sluice_err *err);

/* net_sum() adds bytes to a one's complement sum (bytes at even offsets first); net_sum_finish() inverts it. */
uint32_t net_sum(uint32_t sum, const void *bytes, size_t len);
uint16_t net_sum_finish(uint32_t sum);

#endif
