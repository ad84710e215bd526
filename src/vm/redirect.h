/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet goes after XDP_REDIRECT: what the helper recorded, resolved to targets. */
#ifndef VM_REDIRECT_H
#define VM_REDIRECT_H

#include "vm/helper.h"

#define VM_REDIRECT_HOPS 8 /* a cpumap's program may redirect again, into a cpumap, ... */

struct vm_target {
	enum { VM_TO_IF, VM_TO_CPU, VM_TO_XSK } kind;
	uint32_t index;	   /* interface, CPU, or slot of the xskmap */
	uint32_t rx_queue; /* on which the packet came */
	const char *map;   /* name of the map that it went through; NULL: bpf_redirect() */
	uint32_t verdict;  /* of the map entry's program, XDP_PASS if it has none; all else but a CPU's
			      XDP_REDIRECT ends the packet there */
};

/*
 * vm_redirect() resolves what a program that returned XDP_REDIRECT asked for, and forgets it. A broadcast
 * reaches every entry of the map in the order of its keys, each with a packet of its own; programs of map
 * entries run before their target is delivered. After Linux' xdp_do_redirect(), dev_map_enqueue_multi(),
 * cpu_map_bpf_prog_run_xdp().
 *
 * in:      run      of vm_exec() on host->packet; its budget goes on falling
 *          deliver  called for each target; target and packet are valid during the call
 * out:     the packet is as the program of its last target left it, of a broadcast as it was before
 * returns: how many targets were delivered; 0 is a broadcast into an empty map
 * errors:  -EBADRQC no helper was asked for a target, -ENOENT the map entry is gone since, -ELOOP more than
 *          VM_REDIRECT_HOPS CPUs in a row, -EFAULT an entry's program faulted (run->fault), which stops a
 *          broadcast, -ENOMEM. Targets before the error are delivered
 */
int vm_redirect(struct vm_run *run,
		void (*deliver)(void *arg, const struct vm_target *target, const struct vm_packet *packet),
		void *arg);

#endif
