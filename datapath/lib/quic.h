/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Server ids in the connection ids of QUIC packets (draft-ietf-quic-load-balancers: three bits of configuration, then, in
 * the plaintext algorithm, the server id). Plain C and BPF; no calls, no loops.
 *
 * Ids that clients make up are not looked into: those of Initial and 0-RTT packets (RFC 9000, 9369). The client's later ones have
 * the server's, too, but nothing tells them apart.
 */
#ifndef DATAPATH_LIB_QUIC_H
#define DATAPATH_LIB_QUIC_H

#include <linux/types.h>

#define QUIC_FN static inline __attribute__((always_inline, unused))
#define QUIC_BYTES 11	    /* of a packet, as many as are looked at */
#define QUIC_SERVER_MAX 4   /* bytes of a server id */
#define QUIC_CID_MAX 20	    /* RFC 9000, 17.2 */
#define QUIC_V1 1u
#define QUIC_V2 0x6b3343cfu /* RFC 9369 */

enum quic_is { QUIC_OTHER, QUIC_INITIAL, QUIC_SERVER };

/* The server id of a connection id of so many bytes or more; QUIC_OTHER: it is of another configuration. */
QUIC_FN enum quic_is quic_cid(const __u8 *cid, __u32 bytes, __u32 config, __u32 *server)
{
	if (cid[0] >> 5 != config)
		return QUIC_OTHER;
	*server = ((__u32)cid[1] << 24 | (__u32)cid[2] << 16 | (__u32)cid[3] << 8 | cid[4]) >>
		  ((QUIC_SERVER_MAX - bytes) * 8 & 31);
	return QUIC_SERVER;
}

/* in: b: QUIC_BYTES, zeroes beyond len; bytes: of a server id, 1 to QUIC_SERVER_MAX. out: *server if it is QUIC_SERVER */
QUIC_FN enum quic_is quic_look(const __u8 *b, __u32 len, __u32 bytes, __u32 config, __u32 *server)
{
	__u32 version = (__u32)b[1] << 24 | (__u32)b[2] << 16 | (__u32)b[3] << 8 | b[4], type = b[0] >> 4 & 3;

	if (!(b[0] & 0x80)) /* a short header: the connection id begins at once */
		return len < 2 + bytes ? QUIC_OTHER : quic_cid(b + 1, bytes, config, server);
	if (len < 6 || (version != QUIC_V1 && version != QUIC_V2))
		return QUIC_OTHER;
	if (type == (version == QUIC_V1 ? 0u : 1u))
		return QUIC_INITIAL;
	if (type != (version == QUIC_V1 ? 2u : 3u) || b[5] < 1 + bytes || b[5] > QUIC_CID_MAX || len < 7 + bytes)
		return QUIC_OTHER;
	return quic_cid(b + 6, bytes, config, server);
}

#endif
