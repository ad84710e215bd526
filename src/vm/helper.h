/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Helpers: the functions programs call, and what they know about the run and the packet. */
#ifndef VM_HELPER_H
#define VM_HELPER_H

#include "vm/map.h"
#include "vm/run.h"

#define HELPER_HEADROOM 256 /* XDP_PACKET_HEADROOM */
#define HELPER_FRAME_HEAD 40 /* struct xdp_frame, which the kernel keeps at the front of the headroom */

/* One packet: ctx first, which is what the program gets. All of it lies below 4 GiB: data and data_end are addresses. */
struct vm_packet {
	struct xdp_md ctx;
	uint8_t *frame; /* headroom, packet, tailroom */
	uint32_t frame_bytes;
};

/* run->host of a program that the engine runs. */
struct vm_host {
	struct vm *vm;
	struct vm_packet *packet;
	uint32_t cpu;
	uint64_t random;
	uint64_t now_ns; /* 0: the engine's clock, vm_set_clock() */
	/* where the packet is to go, of XDP_REDIRECT (redirect.h): map NULL: index is an interface */
	struct map *redirect_map;
	uint64_t redirect_index, redirect_flags;
	bool redirect_asked;
	uint32_t *held; /* the spin lock that the program holds, and the word that it knows it by */
	const void *held_word;
};

/* helper_find() finds a helper by number; NULL: unknown here. */
const struct vm_helper *helper_find(int32_t number);

/* helper_is_gpl(): only for programs whose licence is compatible with the GPL. */
bool helper_is_gpl(int32_t number);

/* helper_licence_is_gpl() says which are: those of Linux' license_is_gpl_compatible(). */
bool helper_licence_is_gpl(const char *licence);

/* helper_check() refuses what can be told before a program runs: -EACCES it writes into a map that it may only read. */
struct vm_program;
int helper_check(struct vm_program *prog, struct sluice_err *err);

/* helper_give_back() ends a lock that a program did not: call it after each run. */
void helper_give_back(struct vm_host *host);

/* helper_packet_region() tells the checks where the packet is now. */
void helper_packet_region(struct vm_run *run);

#endif
