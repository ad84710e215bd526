/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet as rules see it, taken apart slowly and obviously. The definitions are those of
 * datapath/lib/parse.h, which does the same fast; doc/policy.md has them as a table.
 *
 * Which fields a packet has:
 *   always                              length, in, malformed, matching, fragment and vlan with their "none"
 *   14 bytes are there                  ether from, ether to
 *   not POLICY_MAL_SHORT                ether type (behind the tags)
 *   a tag, two tags                     vlan, inner-vlan
 *   a whole IPv4 or IPv6 header         ip4, ip6, from, to, ttl, dscp, proto, fragment
 *   TCP, UDP, UDP-Lite, SCTP, DCCP,     ports
 *     no later fragment, 4 bytes there
 *   TCP, likewise, 14 bytes there       flags
 *   ICMP in IPv4, ICMPv6 in IPv6,       type, code
 *     likewise, 4 bytes there
 */
#ifndef POLICY_PACKET_H
#define POLICY_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include "net/addr.h"
#include "policy/tree.h"

#define PACKET_TAGS_MAX 4
#define PACKET_EXTENSIONS_MAX 8

struct policy_packet {
	const uint8_t *bytes; /* from the Ethernet header on */
	uint32_t have;	      /* of them that can be looked at */
	uint32_t length;      /* of the packet as it arrived */
	const char *in;	      /* the interface; NULL: any */
	char in_name[16];     /* room for it, of packet_words() */

	uint8_t malformed; /* POLICY_MAL_* */
	bool has_macs, has_type, is_ip, v6, has_ports, has_flags, has_icmp;
	uint8_t ether_to[6], ether_from[6];
	uint16_t ether_type;
	uint32_t n_tags;  /* PACKET_TAGS_MAX + 1: more */
	uint16_t vlan[2]; /* ids of the outer two */
	struct net_addr from, to;
	uint8_t ttl, dscp, proto, fragment; /* POLICY_FRAGMENT_* */
	uint16_t from_port, to_port;
	uint8_t flags, icmp_type, icmp_code;
};

/* packet_read() takes have bytes apart; bytes must live as long as *p is asked about `matching`. Cannot fail.
 */
void packet_read(struct policy_packet *p, const uint8_t *bytes, uint32_t have, uint32_t length,
		 const char *in);

/*
 * packet_words() makes a frame from a sentence and reads it:
 *
 *     tcp 198.51.100.7:4711 > 203.0.113.10:443 syn vlan 7 on eth0
 *
 * out:     frame  its bytes, at most room of them; *p points there, and into itself
 * errors:  -EINVAL with a sentence that says what was expected where
 */
#define PACKET_WORDS_MAX 65536
int packet_words(const char *words, uint8_t *frame, uint32_t room, struct policy_packet *p,
		 struct sluice_err *err);

/* packet_say() writes one line about a packet, for a buffer of at least PACKET_SAY; returns to. */
#define PACKET_SAY 384
char *packet_say(const struct policy_packet *p, char *to, size_t size);

#endif
