/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What datapath/decap.bpf.c and its host side share. */
#ifndef ABI_DECAP_H
#define ABI_DECAP_H

#include <linux/types.h>

#define DECAP_NETS 16 /* addresses of each kind, at most */

/* Prefixes as on the wire; the bits of addr beyond the mask are 0. */
struct decap_net4 {
	__be32 addr, mask;
};
struct decap_net6 {
	__be32 addr[4], mask[4];
};

/* Constants, set before load. */
struct decap_config {
	struct decap_net4 to4[DECAP_NETS], from4[DECAP_NETS];
	struct decap_net6 to6[DECAP_NETS], from6[DECAP_NETS];
	__u32 n_to4, n_to6;	/* where tunnels end; none at all: at every address */
	__u32 n_from4, n_from6; /* where they may come from */
	__be16 gue_port;	/* 0: no GUE */
	__u16 unused[3];
};

/* What became of a packet. All but the first two and the last pass as they came. */
enum decap_reason {
	DECAP_IP,	/* taken out of IP */
	DECAP_GUE,	/* taken out of UDP */
	DECAP_OTHER,	/* no tunnel */
	DECAP_NOT_OURS, /* a tunnel that ends elsewhere */
	DECAP_SOURCE,	/* a tunnel from somewhere that is not configured */
	DECAP_FRAGMENT, /* the outer packet is a fragment */
	DECAP_OPTIONS,	/* outer IPv4 options or IPv6 extension headers */
	DECAP_DAMAGED,	/* cut off, lengths that contradict each other, wrong sum of the outer IPv4 header */
	DECAP_CHECKSUM, /* a UDP checksum that is not 0: the stack verifies it */
	DECAP_INSIDE,	/* inside is no IP header, or not of the version that it should be */
	DECAP_CONGESTED, /* dropped: congestion was marked outside, and nobody inside would hear of it (RFC 6040) */
	DECAP_REASONS,
};

/* The same in numbers, per CPU: by enum decap_reason. */
struct decap_counts {
	__u64 ip, gue, other, not_ours, source, fragment, options, damaged, checksum, inside, congested;
};

_Static_assert(sizeof(struct decap_counts) == DECAP_REASONS * sizeof(__u64), "each reason is counted");
_Static_assert(sizeof(struct decap_config) == 1304, "decap_config is shared");

#endif
