/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps and constants of balance.bpf.c. Sizes are set before it is loaded, with the constants. */
#ifndef DATAPATH_BALANCE_MAPS_H
#define DATAPATH_BALANCE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "datapath/balance_view.h"
#include "datapath/lib/first.h"

const volatile struct balance_config config = {
	.vip_buckets = 1,
	.n_services = 1,
	.slot_bytes = 2,
	.n_targets = 1,
	.n_hops = 1,
	.n_changes = 1,
	.flow_shift = 63,
	.fragment_shift = 63,
};

/* value: the flat memory of abi/balance.h; writer: host; reader: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4096);
} balance_tables SEC(".maps");

/* value: buckets of flows; writer, reader: this program; reader, and writer of zeroes: host; outlives programs */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 128);
} balance_flows SEC(".maps");

/* value: likewise, of packets in fragments */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 128);
} balance_fragments SEC(".maps");

/* key: target / BALANCE_TALLIES; writer: this program; reader: host */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct balance_counts);
} balance_counts SEC(".maps");

/* key: service, the last: none; writer: this program; reader: host */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct balance_reasons);
} balance_reasons SEC(".maps");

/* Refusals are by themselves: many of them must not keep from senders how large packets may be. */
enum { PACE_TOO_BIG, PACE_REFUSED, PACES };

/* key: PACE_; value: how many of those this CPU has sent in which second or so; writer, reader: this program */
struct pace {
	__u64 second;
	__u64 n;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PACES);
	__type(key, __u32);
	__type(value, struct pace);
} balance_pace SEC(".maps");

/*
 * value: the packet under way; writer, reader: this program. Not on the stack: what comes from a map is any number to
 * the verifier, where on the stack it would tell apart every kind of packet and go through all that follows for each.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct view);
} balance_scratch SEC(".maps");

static __always_inline void note(__u32 service, __u32 reason)
{
	__u32 key = service < config.n_services ? service : config.n_services;
	struct balance_reasons *r = bpf_map_lookup_elem(&balance_reasons, &key);

	if (r)
		r->n[reason & 15]++;
}

#endif
