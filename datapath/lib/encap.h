/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Headers that are put in front of packets. Plain C and BPF; no calls, no loops.
 *
 *   IPv4 outside   RFC 2003, 4213: TTL 64; TOS is the inner packet's, ECN included (RFC 6040, normal mode); always DF, so
 *                  that the identification can be 0 (RFC 6864): what does not fit is told to the sender beforehand
 *   IPv6 outside   RFC 2473, 6040: hop limit 64; flow label from the flow (RFC 6438)
 *   GUE            draft-ietf-intarea-gue, variant 1: the inner IP header follows the UDP header at once. The source port is
 *                  from the flow, 49152 and above; the checksum is 0 (IPv6: RFC 6935, 6936)
 *
 * Sums are of 16-bit words as they lie in memory: one's complement sums do not depend on byte order (RFC 1071).
 */
#ifndef DATAPATH_LIB_ENCAP_H
#define DATAPATH_LIB_ENCAP_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>

#define ENCAP_FN static inline __attribute__((always_inline, unused))
#define ENCAP_TTL 64
#define ENCAP_IPIP 4
#define ENCAP_IPV6 41
#define ENCAP_UDP 17

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ENCAP_BE16(x) ((__be16)__builtin_bswap16((__u16)(x)))
#define ENCAP_BE32(x) ((__be32)__builtin_bswap32((__u32)(x)))
#else
#define ENCAP_BE16(x) ((__be16)(x))
#define ENCAP_BE32(x) ((__be32)(x))
#endif

/* Where outer sources come from by default: 198.18.0.0/16 and 100::/64 (its first word), addresses that nobody has. */
#define ENCAP_SOURCE4 ENCAP_BE32(0xc6120000)
#define ENCAP_SOURCE6 ENCAP_BE32(0x01000000)

struct encap_udp {
	__be16 sport, dport, len, check;
};

ENCAP_FN __u16 encap_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* Two addresses or other 32-bit words, as parts of a sum. */
ENCAP_FN __u32 encap_sum32(__u32 a, __u32 b)
{
	return (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16);
}

/* encap_ipv4() writes the header of a packet of total bytes. */
ENCAP_FN void encap_ipv4(struct iphdr *to, __u32 total, __u8 tos, __u8 proto, __be32 src, __be32 dst)
{
	__be16 first = ENCAP_BE16(0x4500 | tos), len = ENCAP_BE16(total), df = ENCAP_BE16(0x4000);
	__be16 ttl = ENCAP_BE16(ENCAP_TTL << 8 | proto);

	*(__be16 *)to = first;
	to->tot_len = len;
	to->id = 0;
	to->frag_off = df;
	*(__be16 *)&to->ttl = ttl;
	to->check = encap_fold((__u32)first + len + df + ttl + encap_sum32(src, dst));
	to->saddr = src;
	to->daddr = dst;
}

/* encap_ipv6() writes the header of a packet with payload bytes behind it; label: 20 bits */
ENCAP_FN void encap_ipv6(struct ipv6hdr *to, __u32 payload, __u8 tclass, __u32 label, __u8 proto,
			 const __u64 src[2], const __u64 dst[2])
{
	*(__be32 *)to = ENCAP_BE32(6u << 28 | (__u32)tclass << 20 | (label & 0xfffff));
	to->payload_len = ENCAP_BE16(payload);
	to->nexthdr = proto;
	to->hop_limit = ENCAP_TTL;
	((__u64 *)&to->saddr)[0] = src[0];
	((__u64 *)&to->saddr)[1] = src[1];
	((__u64 *)&to->daddr)[0] = dst[0];
	((__u64 *)&to->daddr)[1] = dst[1];
}

/* encap_gue() writes the UDP header of a packet with payload bytes behind it. */
ENCAP_FN void encap_gue(struct encap_udp *to, __u32 payload, __u64 hash, __be16 port)
{
	to->sport = ENCAP_BE16(0xc000 | (hash >> 16 & 0x3fff));
	to->dport = port;
	to->len = ENCAP_BE16(payload + sizeof(*to));
	to->check = 0;
}

#endif
