/* SPDX-License-Identifier: GPL-2.0-only */
/* Asking a packet all pcap expressions of the filter: the place for their instructions (abi/filter_matching.h). */
#ifndef LIB_FILTER_MATCHING_H
#define LIB_FILTER_MATCHING_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/filter_matching.h"

/* value: what the instructions work with; writer, reader: this program. A map, and not the stack, since what
 * comes from there is any number to the verifier: the results of one expression do not multiply the states
 * of the next. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filter_matching);
} filter_matching SEC(".maps");

#define MATCHING_STRING(x) #x
#define MATCHING_TIMES(x) MATCHING_STRING(x)

/* how: FILTER_MATCHING_SOME or _LEN; facts: FILTER_MATCHING_FACTS of them, a bit for each expression. 0: no
 * answer (which cannot be: the map has its one value) */
static __always_inline int matching_ask(struct xdp_md *ctx, __u32 how, __u32 *facts)
{
	struct filter_matching *m = bpf_map_lookup_elem(&filter_matching, &map_first);

	if (!m)
		return 0;
	m->result[0] = m->result[1] = 0;
	if (how == FILTER_MATCHING_LEN)
		m->whole = (__u32)bpf_xdp_get_buff_len(ctx);
	{
		register struct xdp_md *r1 asm("r1") = ctx;
		register struct filter_matching *r2 asm("r2") = m;

		asm volatile(".rept " MATCHING_TIMES(FILTER_MATCHING_ROOM) "\n"
									   "goto +0\n"
									   ".endr\n"
			     : "+r"(r1), "+r"(r2)
			     :
			     : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "memory");
	}
	facts[0] = m->result[0];
	facts[1] = m->result[1];
	return 1;
}

#endif
