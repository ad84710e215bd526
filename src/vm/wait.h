/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What readers of ring buffers and perf events wait on.
 *
 *     writer ── event (eventfd, the engine's alone) ──> fd (epoll, handed out) ──> the readers' own epolls
 *
 * Whoever has the eventfd itself can fill it and make its open file blocking: the writer would stand still for ever.
 * Nobody has it; an epoll descriptor tells of it and does not give it away.
 */
#ifndef VM_WAIT_H
#define VM_WAIT_H

struct wait {
	int event, fd;
};

/* wait_new() makes one; on failure a negative errno, and nothing is to be freed. */
int wait_new(struct wait *wait);
void wait_free(struct wait *wait);
/* wait_wake() makes fd readable once more for those who wait for edges. It never blocks. */
void wait_wake(const struct wait *wait);

#endif
