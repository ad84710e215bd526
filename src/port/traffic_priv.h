/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a struct sluice_traffic is made of: traffic.c opens it, traffic_run.c sends and reports. */
#ifndef PORT_TRAFFIC_PRIV_H
#define PORT_TRAFFIC_PRIV_H

#include <sluice/object.h>
#include <sluice/traffic.h>
#include "net/dev.h"
#include "port/pcap.h"
#include "port/traffic_host.h"
#include "port/traffic_plan.h"

struct sluice_traffic {
	struct net_nl nl;
	struct net_dev dev; /* as it was when opened, counters included */
	struct traffic_plan *plan;
	struct port_pcap cap;
	struct sluice_object *obj;
	struct sluice_program *prog;
	struct traffic_state *state; /* the program's, mapped */
	struct traffic_hold hold;
	struct traffic_peer peer;
	bool has_peer;
	uint8_t dst_mac[6];
	uint32_t batch;
	int cpu;
	uint64_t pps, count, duration_ns;

	bool started;
	uint64_t start_ns;   /* of the first run */
	uint64_t pace_ns;    /* when packet pace_sent was due */
	uint64_t pace_sent;
	uint64_t checked_ns; /* when the interface was last looked at */
	uint64_t chunk;	     /* packets in one system call at most */
	uint64_t wall_ns, cpu_ns;
};

#endif
