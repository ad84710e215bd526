/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Classic BPF: the programs that libpcap makes of expressions, run slowly and obviously. */
#ifndef POLICY_CBPF_H
#define POLICY_CBPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy/rule.h"

#define CBPF_INSNS_MAX 4096

/*
 * cbpf_check() tells whether a program is sound: known instructions, jumps forward to within it, scratch
 * memory 0 to 15, no constant division by 0, a return at the end. What passes can be run without further
 * looks.
 */
bool cbpf_check(const struct policy_insn *insns, uint32_t n);

/*
 * cbpf_run() returns what the program returns for a packet of wire_len bytes of which len are at hand; 0 if
 * it reads beyond them or divides by 0. McCanne and Jacobson, "The BSD Packet Filter" (1993);
 * <linux/filter.h>.
 */
uint32_t cbpf_run(const struct policy_insn *insns, uint32_t n, const uint8_t *bytes, uint32_t len,
		  uint32_t wire_len);

#endif
