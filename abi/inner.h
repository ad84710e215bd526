/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the daemon and datapath/inner.bpf.c share: how a check's packets are put into a tunnel, and out again. */
#ifndef ABI_INNER_H
#define ABI_INNER_H

#include <linux/types.h>

/* By the mark of a check's socket. The backend, where the tunnel ends, is the packet's destination. */
struct inner_way {
	__u64 life_ns;	   /* how long an answer to a packet can be the check's */
	__be32 virtual[4]; /* the service's address, of the backend's family; IPv4: in [0] */
	__be16 gue_port;   /* 0: IP in IP */
	__u16 pad[3];
};

/* Answers come from the virtual address to the address and port (ICMP: identification) that asked. */
struct inner_key {
	__be32 virtual[4], local[4];
	__be16 port;
	__u8 proto;
	__u8 v6;
};

struct inner_peer {
	__u64 until_ns; /* CLOCK_MONOTONIC_COARSE */
	__be32 backend[4];
};

#define INNER_WAYS 65536u
#define INNER_PEERS 16384u

_Static_assert(sizeof(struct inner_way) == 32, "struct inner_way is shared");
_Static_assert(sizeof(struct inner_key) == 36, "struct inner_key is shared");

#endif
