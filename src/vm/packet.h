/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames: the memory that a packet and its context lie in while programs run on it. All of it lies below 4
 * GiB, so that the 32 bits of the context's data and data_end are addresses.
 *
 *     context | headroom | packet ......... | room to grow | what the kernel keeps behind
 *               256        data_meta ...  data_end           320
 */
#ifndef VM_PACKET_H
#define VM_PACKET_H

#include <stddef.h>

#include "vm/helper.h"

#define PACKET_MOST_BYTES (64u << 10)
#define PACKET_FRAME_BYTES \
	4096 /* the kernel's test run has a page for headroom, packet and what it keeps behind */
#define PACKET_TAIL_BYTES 320 /* struct skb_shared_info */

struct vm_arena {
	uint8_t *mem;
	size_t bytes;
	struct vm_packet *packet;
};

/* packet_arena_new() makes a frame for packets (metadata included) of up to longest bytes; -ENOMEM. */
int packet_arena_new(struct vm_arena *a, uint32_t longest);
void packet_arena_free(struct vm_arena *a);

/*
 * packet_place() puts a packet into its frame, and its edges into the context.
 *
 * in:      data  meta_len bytes of metadata, then the packet; len of both together, at most what the arena is
 * for meta_len  at most HELPER_HEADROOM
 */
static inline void packet_place(struct vm_packet *p, const void *data, uint32_t len, uint32_t meta_len)
{
	uint8_t *at = p->frame + HELPER_HEADROOM - meta_len;
	uint32_t frame = len - meta_len + HELPER_HEADROOM + PACKET_TAIL_BYTES;

	memcpy(at, data, len);
	p->ctx.data_meta = (uint32_t)(uintptr_t)at;
	p->ctx.data = p->ctx.data_meta + meta_len;
	p->ctx.data_end = p->ctx.data_meta + len;
	/* by the packet's own size: what it can grow to must not depend on the others in the same arena */
	p->frame_bytes = (frame < PACKET_FRAME_BYTES ? PACKET_FRAME_BYTES : frame) - PACKET_TAIL_BYTES;
}

#endif
