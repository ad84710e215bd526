/* SPDX-License-Identifier: GPL-2.0-only */
/* QUIC for balance.bpf.c: a packet whose connection id names a server goes to that backend, whatever its addresses are. */
#ifndef DATAPATH_BALANCE_QUIC_H
#define DATAPATH_BALANCE_QUIC_H

#include "datapath/balance_choose.h"
#include "datapath/lib/quic.h"

/* The backend of a service with a server id; 0: none has it. */
__noinline __u32 server_find(__u32 service, __u32 server)
{
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	const struct balance_ring *r;
	__u32 at, t, i;
	__u64 cell;

	if (!m)
		return 0;
	r = ring_at(m, service);
	at = balance_server_at(server, r->n_targets, r->server_mix);
	for (i = 0; i < BALANCE_SERVER_PROBES; i++) {
		t = r->targets + at;
		if (t >= config.n_targets)
			return 0;
		cell = *(volatile __u64 *)&AT(m, struct balance_target,
					      config.targets + t * sizeof(struct balance_target))
				->server;
		if (BALANCE_SERVER_IS(cell, server))
			return BALANCE_SERVER_ID(cell);
		at++;
		at &= 0 - (__u32)flow_below_zero((__u64)at - r->n_targets);
	}
	return 0;
}

/*
 * The packet of the view in balance_scratch, UDP to a service with server ids: returns the backend that it names, and which
 * takes packets; 0: none. An Initial packet opens a flow.
 */
__noinline __u32 quic_target(struct xdp_md *ctx)
{
	__u8 b[QUIC_BYTES + 5] = {0};
	__u32 len, n, all, server = 0, id;
	void *m = bpf_map_lookup_elem(&balance_tables, &map_first);
	struct view *v = bpf_map_lookup_elem(&balance_scratch, &map_first);
	const struct balance_ring *r;

	if (!m || !v || v->kind != BALANCE_PACKET_GOES_ON || v->damaged)
		return 0;
	all = v->l4 - v->l3 + 8; /* headers up to here */
	if (v->bytes <= all)
		return 0;
	len = v->bytes - all;
	n = (((len < QUIC_BYTES ? len : QUIC_BYTES) - 1) & 15) +
	    1; /* never 0, which the verifier does not see */
	if (bpf_xdp_load_bytes(ctx, v->l4 + 8, b, n))
		return 0;
	r = ring_of(m, v);
	switch (quic_look(b, len, r->quic_bytes, r->quic_config, &server)) {
	case QUIC_INITIAL:
		v->kind = BALANCE_PACKET_OPENS;
		return 0;
	case QUIC_SERVER:
		id = server_find(v->service, server);
		return id && balance_usable((__u8)target_state(m, r, id)) ? id : 0;
	default:
		return 0;
	}
}

#endif
