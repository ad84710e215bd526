/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows that two policies treat differently. */
#ifndef CMD_REPLAY_FLOWS_H
#define CMD_REPLAY_FLOWS_H

#include "policy/packet.h"

#define REPLAY_FLOWS_MAX 100000 /* beyond, packets are counted without saying whose */

struct replay_flow {
	uint64_t packets, bytes;
	uint8_t from[16], to[16];
	uint16_t from_port, to_port, ether_type;
	uint8_t family, proto, before, after; /* family 4, 6, or 0: no IP; verdicts XDP_* */
};

struct replay_flows {
	void *tree; /* of tsearch() */
	struct replay_flow **v;
	uint32_t n, cap;
	uint64_t packets, nameless; /* treated differently; of them not in v */
};

/* replay_flows_add(): a packet of len bytes; 0 or -ENOMEM. */
int replay_flows_add(struct replay_flows *f, const struct policy_packet *k, uint32_t before, uint32_t after);
/* replay_flows_sort(): the most packets first. */
void replay_flows_sort(struct replay_flows *f);
void replay_flows_free(struct replay_flows *f);

/* replay_flow_say() writes "tcp 192.0.2.1:9 > 192.0.2.2:53"; to has room for PACKET_SAY. Returns to. */
char *replay_flow_say(const struct replay_flow *f, char *to, size_t size);

#endif
