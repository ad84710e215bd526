// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What libpcap says of expressions and of classic BPF. */
#include <stdlib.h>
#include <string.h>
#include <pcap/pcap.h>

#include "matching_theirs.h"

#define INSNS_MAX 4096

struct theirs {
	struct bpf_program prog;
};

struct theirs *theirs_compile(const char *expression)
{
	struct theirs *t = calloc(1, sizeof(*t));
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);
	bool ok = t && pcap && !pcap_compile(pcap, &t->prog, expression, 1, PCAP_NETMASK_UNKNOWN);

	if (pcap)
		pcap_close(pcap);
	if (ok)
		return t;
	free(t);
	return NULL;
}

void theirs_free(struct theirs *t)
{
	if (t)
		pcap_freecode(&t->prog);
	free(t);
}

bool theirs_matches(const struct theirs *t, const uint8_t *frame, uint32_t len)
{
	struct pcap_pkthdr h = {.caplen = len, .len = len};

	return pcap_offline_filter(&t->prog, &h, frame) != 0;
}

static uint32_t as_theirs(const struct policy_insn *insns, uint32_t n, struct bpf_insn *to)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		to[i] = (struct bpf_insn){insns[i].code, insns[i].jt, insns[i].jf, insns[i].k};
	return n;
}

bool theirs_valid(const struct policy_insn *insns, uint32_t n)
{
	static struct bpf_insn copy[INSNS_MAX];

	return n <= INSNS_MAX && bpf_validate(copy, (int)as_theirs(insns, n, copy));
}

uint32_t theirs_run(const struct policy_insn *insns, const uint8_t *frame, uint32_t len)
{
	/* the same layout: see theirs_valid() */
	_Static_assert(sizeof(struct policy_insn) == sizeof(struct bpf_insn),
		       "libpcap's instruction is ours");
	return bpf_filter((const struct bpf_insn *)(const void *)insns, frame, len, len);
}
