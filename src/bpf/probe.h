/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What this kernel can do, found out by trying: each answer is yes, no, or could not tell.
 *
 * Nothing tried touches what is there: programs and maps are made and closed again; what has to be attached is
 * attached in the network namespace of the calling thread only if the caller says that it is a fresh one.
 */
#ifndef BPF_PROBE_H
#define BPF_PROBE_H

#include <stdbool.h>
#include <stddef.h>

enum probe_answer { PROBE_NO, PROBE_YES, PROBE_UNKNOWN };
enum probe_need { PROBE_MUST, PROBE_WANT, PROBE_EXTRA };

enum probe_id {
#define PROBE(id, name, need, first, what) PROBE_ID_##id,
#include "bpf/probe.def"
#undef PROBE
	PROBE_IDS
};

struct probe_row {
	const char *name, *first, *what;
	enum probe_need need;
};
extern const struct probe_row probe_row[PROBE_IDS];

struct probe_result {
	enum probe_answer answer;
	bool refused;  /* a no that is not for want of knowing it */
	char why[160]; /* what stood in the way of yes */
};

/*
 * probe_all() asks everything.
 *
 * in:      scratch  the calling thread is in a network namespace that is nobody's: attaching to its lo is allowed.
 *                   Otherwise what needs that is answered with PROBE_UNKNOWN.
 */
void probe_all(bool scratch, struct probe_result result[PROBE_IDS]);

/* probe_jit() tells whether programs are compiled: *answer from a program just loaded, not from a setting. */
void probe_jit(struct probe_result *result);

/*
 * probe_judge() turns the errno of an attempt into an answer. privileged: a plain XDP program was let in, so that
 * -EPERM is a refusal of the thing and not of the caller.
 */
void probe_judge(int error, bool privileged, struct probe_result *result);

/* probe_judge_helper() reads from the verifier's log whether a call to a helper was known and allowed. */
void probe_judge_helper(int error, const char *log, bool privileged, struct probe_result *result);

/* probe_lockdown() takes the chosen word out of /sys/kernel/security/lockdown's "none [integrity] confidentiality". */
bool probe_lockdown(const char *text, char *to, size_t size);

/* for probe.c: freplace and fentry, both by way of a trampoline (probe_trampoline.c) */
void probe_freplace(bool privileged, struct probe_result *result);
void probe_fentry(bool privileged, struct probe_result *result);

#endif
