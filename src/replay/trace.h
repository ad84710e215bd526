/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One run, instruction by instruction, for people:
 *
 *     ; if (eth + 1 > data_end) [guard.bpf.c:21]
 *        3: (2d) if r1 > r2 goto pc+14
 *     ; rule = bpf_map_lookup_elem(&rules, &ip->saddr); [guard.bpf.c:27]
 *        9: (85) call bpf_map_lookup_elem#1        map_lookup_elem(map rules, key 0a 00 00 01) = 0
 *
 * the source line where it changes, then the instruction, what memory it touched, and the registers it
 * changed.
 */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <sluice/err.h>

#include "base/buf.h"
#include "vm/run.h"

struct replay_trace;

/* replay_trace_new(): -ENOMEM. The text grows in *to, which the caller owns; beyond 64 MiB it is cut, and
 * says so. */
int replay_trace_new(struct buf *to, struct replay_trace **t, struct sluice_err *err);
void replay_trace_free(struct replay_trace *t);

/* replay_trace_watch() is who has to look on during the run; replay_trace_end() writes what is left of it,
 * afterwards. */
struct vm_watch *replay_trace_watch(struct replay_trace *t);
void replay_trace_end(struct replay_trace *t);

#endif
