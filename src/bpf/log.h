/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libbpf and the verifier say: caught instead of printed, and cut down to the lines that matter. */
#ifndef BPF_LOG_H
#define BPF_LOG_H

#include <stddef.h>

/*
 * log_catch_start() keeps this thread's libbpf messages (the last 1 KiB of warnings) instead of letting them reach
 * stderr; log_catch_stop() ends that. log_caught() is the last warning, without "libbpf: " and newline, "" if none.
 * Messages of other threads, and of this one outside start and stop, go where they went before.
 */
void log_catch_start(void);
void log_catch_stop(void);
const char *log_caught(void);

/*
 * log_digest() takes from a verifier log the source line, the instruction and the complaint: at most five lines,
 * each indented by two spaces and ended by '\n' but the last. Returns to.
 */
char *log_digest(const char *log, char *to, size_t size);

#endif
