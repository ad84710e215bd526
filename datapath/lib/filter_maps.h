/* SPDX-License-Identifier: GPL-2.0-only */
/* The constants and maps of the filter (datapath/filter.bpf.c), and the packet under way. */
#ifndef DATAPATH_LIB_FILTER_MAPS_H
#define DATAPATH_LIB_FILTER_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/filter.h"
#include "datapath/lib/classify.h"
#include "datapath/lib/filter_set.h"
#include "datapath/lib/first.h"
#include "datapath/lib/limit.h"

const volatile struct filter_config config = {.n_rules = 1, .turns = 1, .uses = 0xffff, .cells_mask = 3};
const volatile __u32 filter_generation; /* whose rules these are, for samples: they outlive their policy */

/*
 * value: the tables, as src/filter lays them out; writer: host, before the first packet, and the class cache; reader: this program, which has
 * what is in front of that cache as constants, too (settled_bytes() in src/control/filter.c)
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, CLASSIFY_ROOM + CLASSIFY_SLACK);
} filter_tables SEC(".maps");

/* value: cells of the limits, tag and time each (abi/limit.h); writer: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 8 * LIMIT_WAYS);
} filter_cells SEC(".maps");

/*
 * value: struct filter_hits of each rule, the last: of none, and of struct filter_sums, for each CPU; writer: this program; reader: host. In one
 * piece, since every packet comes here: an array of values for each CPU would have a pointer to follow, and values apart.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 64);
} filter_hits SEC(".maps");

/* key: rule, if any has limits or samples; writer: this program; reader: host */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filter_more);
} filter_more SEC(".maps");

/* struct filter_event; full: the sample is lost, the packet is not held up */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} filter_samples SEC(".maps");

/*
 * One slot for the map of CPUs, empty while no rule has cpu { }. The kernel ties a map that may hold programs to the
 * first program that names it, multi-buffer aware or not; behind a slot it is tied to none, and the filter can stand
 * in a chain of either kind. Inner: key CPU; value length of its queue; writer: host; miss: the packet passes here
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_CPUMAP);
		__uint(max_entries, 1);
		__type(key, __u32);
		__type(value, __u32);
	});
} filter_cpus SEC(".maps");


struct view {
	__u32 bytes;
	__u32 is_ip6, has_ip;
	__u64 src[2], dst[2]; /* host order; IPv4: in the upper half of [0] */
	struct classify_service service;
	__u32 facts[FILTER_FACTS];
	__u64 bits;  /* of struct filter_bits, at `table`: rules that match and are still to come */
	__u32 table; /* 0: there is a list */
	__u32 at;    /* where in its list the packet is */
	__u32 final; /* the rule that decides, if none of the list did; FILTER_END: the default */
	__u32 row;   /* the one under way, of the rule before `at` */
	__u32 rule;
	int verdict;
	struct filter_set_memo sets;
	struct filter_event sample;
};

/*
 * value: the packet under way; writer, reader: this program. Not on the stack: what comes from a map is any
 * number to the verifier, where on the stack it would tell apart every kind of packet and go through all
 * that follows for each.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct view);
} filter_scratch SEC(".maps");

#define USES(fact) (config.uses & 1u << (fact))
#define TABLE(m, type, off) CLASSIFY_AT(m, type, off)

#endif
