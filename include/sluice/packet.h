/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets in words: text becomes the bytes of a frame, bytes become text, and a frame is compared with what
 * is expected of it.
 *
 *     eth / vlan id 7 / ipv4 src 192.0.2.1 ttl 3 / tcp dport 443 flags syn,ack options 020405b4 / text
 * "hello" eth / ipv6 / hopopts / fragment offset 0 more 1 id 5 / udp dport 53 / zeros 100 eth / ipv4 len 9999
 * checksum 0 / gre / ipv4 / icmp type 8 / pad 60 eth / ipv4 / tcp dport 22 / cut 40
 *
 * A frame is layers from the outside in, separated by /, each a name with fields and values behind it.
 * Lengths, checksums and what names the next layer (type, proto, next) are computed unless they are said;
 * every other field that is not said has a default (src/net/frame.def has all layers, fields and defaults).
 *
 *   numbers   10, 0x1f       addresses  192.0.2.1, 2001:db8::1, 02:00:00:00:00:01
 *   flags     syn,ack (fin syn rst psh ack urg ece cwr), none, or a number
 *   options, data, icv       hex digits; padded with zeroes to what the header's length counts in
 *   offset of fragments      in units of eight bytes, as on the wire
 *
 * Layers without fields: text "..." (\n \t \" \\ \xNN), hex 00ff..., zeros N. Behind all others, about the
 * frame: trailer HEX (bytes that no length and no checksum counts), pad N (with zeroes up to N bytes), cut N
 * (to its first N bytes). The checksum of a transport header is that of what is there; of fragments it is
 * right only for the whole.
 */
#ifndef SLUICE_PACKET_H
#define SLUICE_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#define SLUICE_PACKET_MAX 65536 /* bytes of a frame */

/*
 * sluice_packet_build() makes the frame that text describes.
 *
 * out:     to, *len   up to size bytes; untouched on failure
 * errors:  -EINVAL text is not understood: err has the column, what was found and what was expected
 *          -ENOSPC the frame does not fit into size or SLUICE_PACKET_MAX bytes; -ENOMEM
 * thread:  any
 */
SLUICE_API int sluice_packet_build(const char *text, void *to, size_t size, size_t *len,
				   struct sluice_err *err);

/*
 * sluice_packet_text() says what a frame is. Built again, the text gives the same bytes, whatever they are;
 * fields that have the default or the computed value are left out, apart from the few by which packets are
 * told apart.
 *
 * owns:    the caller frees the text with free(); NULL: out of memory, or more than SLUICE_PACKET_MAX bytes
 * thread:  any
 */
SLUICE_API char *sluice_packet_text(const void *frame, size_t len);

/*
 * sluice_packet_match() compares a frame with an expectation: text as above in which only what is said
 * counts. The layers must be those of the frame from the outside in; the frame may have more behind them,
 * which `/ end` forbids. Lengths and checksums of the layers named must be right, unless the text says a
 * value or `any`.
 *
 * out:     err     on a difference: which layer and field, what was expected and what was found
 * errors:  -ENOENT they differ, -EINVAL the text is not understood, -ENOMEM
 * thread:  any
 */
SLUICE_API int sluice_packet_match(const char *text, const void *frame, size_t len, struct sluice_err *err);

/*
 * sluice_packet_fragment() cuts an IPv4 or IPv6 packet into fragments as a router (IPv4) or sender (IPv6, RFC
 * 8200 4.5) does, and gives the one number nth, from 0. IPv4 options are in every fragment.
 *
 * in:      mtu     of IP packets: the bytes of a fragment from its IP header on
 *          id      identification that all fragments carry
 * out:     to, *len   up to size bytes, with the Ethernet header and tags of the whole
 * errors:  -ENOENT there are not that many, -EINVAL no IP packet, a fragment already, or an mtu that leaves no eight
 *          bytes of content, -ENOSPC does not fit into size
 * thread:  any
 */
SLUICE_API int sluice_packet_fragment(const void *frame, size_t frame_len, size_t mtu, uint32_t id,
				      unsigned int nth, void *to, size_t size, size_t *len,
				      struct sluice_err *err);

#endif
