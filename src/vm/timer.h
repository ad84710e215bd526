/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Timers in map values (bpf_timer_*()). They fire where whoever runs programs asks for it, which is before
 * each packet: nothing of a program runs between packets by itself, so that a replay is the same each time.
 *
 * What lies in a value's struct bpf_timer is the program's word and not looked at: a timer is known by its
 * address.
 */
#ifndef VM_TIMER_H
#define VM_TIMER_H

#include "vm/helper.h"

struct vm_timers;
struct vm_program;

/*
 * timer_run() calls back every timer that is due, in the order of their times, each at most once; those
 * started meanwhile wait for the next call. The packet's region is gone afterwards.
 *
 * errors:  -EFAULT a callback faulted: run->fault; the others stay due
 * cost:    one load if there is no timer that was started
 */
int timer_run(struct vm_run *run);

/* These go: a value that is freed or overwritten, a map, a program whose functions would be called. */
void timer_value_gone(struct map *map, const void *value);
void timer_map_gone(struct map *map);
void timer_prog_gone(struct vm_program *prog);
void timer_free_all(struct vm *vm);

#endif
