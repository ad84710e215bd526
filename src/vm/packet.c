// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Memory for frames. */
#include <errno.h>
#include <sys/mman.h>

#include "vm/packet.h"

#define AHEAD 64 /* bytes in front of the frame: the context and what we know of it, on one cache line */

int packet_arena_new(struct vm_arena *a, uint32_t longest)
{
	size_t frame = (size_t)longest + HELPER_HEADROOM + PACKET_TAIL_BYTES;

	_Static_assert(sizeof(struct vm_packet) <= AHEAD, "the context has a cache line of its own");
	a->bytes = AHEAD + (frame < PACKET_FRAME_BYTES ? PACKET_FRAME_BYTES : frame);
	a->mem = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (a->mem == MAP_FAILED) {
		a->mem = NULL;
		return -ENOMEM;
	}
	a->packet = (struct vm_packet *)(void *)a->mem;
	a->packet->frame = a->mem + AHEAD;
	return 0;
}

void packet_arena_free(struct vm_arena *a)
{
	if (a->mem)
		munmap(a->mem, a->bytes);
	a->mem = NULL;
}
