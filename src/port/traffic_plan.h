/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the options of a generator to the constants of its BPF program. Computes, touches nothing. */
#ifndef PORT_TRAFFIC_PLAN_H
#define PORT_TRAFFIC_PLAN_H

#include <sluice/traffic.h>
#include "abi/traffic.h"
#include "net/addr.h"
#include "port/pcap.h"

/* The options' text, read. Where has_... is false the caller fills in a default before building. */
struct traffic_aim {
	struct net_range src, dst;
	struct net_ports sport, dport;
	uint8_t src_mac[6], dst_mac[6];
	bool has_src, has_dst, has_src_mac, has_dst_mac;
};

struct traffic_plan {
	struct traffic_conf conf;
	uint8_t frame[TRAFFIC_FRAME_MAX]; /* what the kernel fills a fresh page with */
	uint32_t frame_len;
};

/* traffic_plan_parse() reads the options' text; src and dst get a default family member even if not given. */
int traffic_plan_parse(const struct sluice_traffic_opts *opts, struct traffic_aim *aim,
		       struct sluice_err *err);

/* traffic_plan_build() makes the plan of packets built here; frame_max is what the interface carries. */
int traffic_plan_build(const struct sluice_traffic_opts *opts, const struct traffic_aim *aim,
		       uint32_t frame_max, struct traffic_plan *plan, struct sluice_err *err);

/* traffic_plan_replay() makes the plan of a capture's packets. */
void traffic_plan_replay(const struct sluice_traffic_opts *opts, const struct port_pcap *cap,
			 struct traffic_plan *plan);

#endif
