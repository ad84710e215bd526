/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One thread's packets through a loaded program, without a system call a packet.
 *
 *     vm_worker_new -> vm_worker_run, as often as there are packets -> vm_worker_free
 *
 * Each packet is copied into the same frame (packet.h), so that the program always finds it in the nearest
 * cache; what the program made of it stays there until the next run.
 */
#ifndef VM_WORKER_H
#define VM_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "vm/redirect.h"
#include "vm/run.h"
#include "vm/vm.h"

struct vm_worker;

/* A packet as it arrives. */
struct vm_frame {
	const void *data;  /* meta_len bytes of metadata, then the packet from its first header on */
	uint32_t len;	   /* of both */
	uint32_t meta_len; /* a multiple of 4, at most 252 */
	uint64_t time_ns;  /* what every clock of the program says; 0: the engine's (vm_set_clock()) */
	uint32_t ifindex, rx_queue;
};

/* A packet as the program left it; data is valid until the next run. */
struct vm_done {
	uint32_t verdict;    /* what the program returned; XDP_ABORTED after a fault */
	int error;	     /* 0, -EFAULT: fault says what the program did; of a redirect: vm_redirect()'s */
	const uint8_t *data; /* without metadata */
	uint32_t len, meta_len; /* the metadata is in front of data */
	int n_targets;		/* of XDP_REDIRECT: how many were delivered */
	const struct vm_fault *fault;
};

struct vm_worker_config {
	uint32_t longest;	/* bytes of the longest packet, metadata included; 0: 64 KiB */
	uint32_t cpu;		/* that the program runs on, below the engine's number */
	uint64_t seed;		/* of random numbers; 0: the engine's */
	int64_t budget;		/* instructions of one run; 0: VM_BUDGET */
	struct vm_watch *watch; /* NULL: nobody looks on */
	/* where packets with XDP_REDIRECT go, each target one call (redirect.h); may be NULL */
	void (*deliver)(void *arg, const struct vm_target *target, const struct vm_packet *packet);
	void *arg;
};

/*
 * vm_worker_new() prepares running the program that prog_fd stands for.
 *
 * in:      config  may be NULL: all defaults
 * out:     *worker  NULL on failure
 * owns:    the caller frees it. While there is a worker, the engine frees no program and no map
 * errors:  -EBADF, -EINVAL prog_fd is no program of this engine, or there is no such CPU; -EOPNOTSUPP it is no XDP
 *          program that could be attached to an interface; -ENOMEM
 * thread:  a worker is for one thread at a time; several workers may run the same program
 */
int vm_worker_new(struct vm *vm, int prog_fd, const struct vm_worker_config *config,
		  struct vm_worker **worker, struct sluice_err *err);
void vm_worker_free(struct vm_worker *worker);

/* vm_worker_watch() sets or (NULL) ends who looks on, between two runs. vm_worker_cpu() moves to another CPU. */
void vm_worker_watch(struct vm_worker *worker, struct vm_watch *watch);
void vm_worker_cpu(struct vm_worker *worker, uint32_t cpu);

/*
 * vm_worker_run() runs the program on one packet.
 *
 * in:      in    len at most config->longest, at least meta_len
 *          next  the packet that comes next, which is fetched meanwhile; may be NULL
 * cost:    some 15 ns and the program; no allocation and no lock of its own
 */
void vm_worker_run(struct vm_worker *worker, const struct vm_frame *in, const struct vm_frame *next,
		   struct vm_done *out);

#endif
