/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From classic BPF, which libpcap makes of expressions, to the instructions that the packet path runs
 * (abi/filter_matching.h). Pure.
 */
#ifndef FILTER_MATCHING_H
#define FILTER_MATCHING_H

#include <linux/bpf.h>
#include <sluice/err.h>

#include "abi/filter_matching.h"
#include "policy/rule.h"

/* The different expressions of a filter; the place of each is its bit. */
struct filter_expressions {
	const struct policy_cbpf *v[FILTER_MATCHING_MOST];
	uint32_t n;
};

/* filter_expression() finds or adds one. errors: -ENOSPC they are too many */
int filter_expression(struct filter_expressions *all, const struct policy_cbpf *cbpf, uint32_t *number,
		      struct sluice_err *err);

/*
 * filter_matching_make() translates all: bit i of the results, FILTER_MATCHING_BITS to a fact, is whether
 * cbpf_run() would return anything but 0 for the packet's bytes, all of them, also in several buffers (as far as
 * bpf_xdp_load_bytes() reaches: the first 64 KiB).
 *
 * in:      each passes cbpf_check()
 * out:     *insns, *n   at most FILTER_MATCHING_ROOM, without a loop; the caller frees insns
 *          *how         FILTER_MATCHING_*
 * errors:  -ENOSPC they take more room: err has the numbers; -ENOMEM
 */
int filter_matching_make(const struct filter_expressions *all, struct bpf_insn **insns, uint32_t *n,
			 uint8_t *how, struct sluice_err *err);

/*
 * filter_matching_place() writes the instructions into a program as it was compiled: over the place that is
 * reserved in it, the rest of which is jumped over.
 *
 * errors:  -EBADMSG there is no such place, or more than one
 */
int filter_matching_place(struct bpf_insn *program, uint32_t n_program, const struct bpf_insn *insns,
			  uint32_t n, struct sluice_err *err);

#endif
