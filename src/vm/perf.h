/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Perf events as programs write to them (bpf_perf_event_output()) and libbpf's perf_buffer reads them: an object whose
 * memfd has the kernel's layout, a page of struct perf_event_mmap_page and a ring of records behind it.
 */
#ifndef VM_PERF_H
#define VM_PERF_H

#include "vm/obj.h"

/*
 * perf_output() writes a PERF_RECORD_SAMPLE of both pieces, PERF_RECORD_LOST before it if some had no room.
 * errors:  the kernel's: -EOPNOTSUPP of another CPU, -ENOSPC no room or nobody has mapped it, -E2BIG
 */
int perf_output(struct obj *perf, uint32_t cpu, const void *meta, uint64_t meta_bytes, const void *packet,
		uint64_t packet_bytes);

/* What readers wait on. */
int perf_wait_fd(const struct obj *perf);

#endif
