/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What programs print (bpf_trace_printk()): to whoever made the engine, or kept until it is read. */
#ifndef VM_TRACE_H
#define VM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_RING_BYTES 65536 /* what is kept; older lines go first */

struct trace {
	void (*say)(void *arg, const char *text); /* NULL: keep */
	void *arg;
	char *ring;
	uint32_t lock, start, used;
};

void trace_say(struct trace *trace, const char *text);
/* trace_read() takes the oldest text that was kept, cut to size; returns its length + 1, 0: there is none. */
size_t trace_read(struct trace *trace, char *to, size_t size);
void trace_free(struct trace *trace);

#endif
