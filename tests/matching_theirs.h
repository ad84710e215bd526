/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libpcap itself says: apart from the rest, since its headers have a struct bpf_insn of their own. */
#ifndef TESTS_MATCHING_THEIRS_H
#define TESTS_MATCHING_THEIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/rule.h"

struct theirs;

/* theirs_compile(): NULL if libpcap refuses the expression. */
struct theirs *theirs_compile(const char *expression);
void theirs_free(struct theirs *t);

/* theirs_matches() is pcap_offline_filter(), theirs_run() bpf_filter(); for a whole packet of len bytes. */
bool theirs_matches(const struct theirs *t, const uint8_t *frame, uint32_t len);
uint32_t theirs_run(const struct policy_insn *insns, const uint8_t *frame, uint32_t len);
bool theirs_valid(const struct policy_insn *insns, uint32_t n);

#endif
