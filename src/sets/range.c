// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ranges of addresses as prefixes: from the front, each the largest that is aligned there and does not pass
 * the end. */
#include <errno.h>

#include "sets/inside.h"

typedef unsigned __int128 wide;

int sets_range(uint8_t family, uint64_t first_hi, uint64_t first_lo, uint64_t last_hi, uint64_t last_lo,
	       int (*each)(void *arg, const struct sets_elem *elem), void *arg)
{
	unsigned int most = family == 6 ? 128 : 32, size;
	wide at = (wide)first_hi << 64 | first_lo, last = (wide)last_hi << 64 | last_lo, span;
	struct sets_elem e;
	int r;

	if (last < at || (family == 4 && last >> 32))
		return -EINVAL;
	for (;;) {
		for (size = 0; size < most; size++) {
			span = ((wide)2 << size) - 1; /* of one bit more; 128 bits: all ones */
			if (at & span || last - at < span)
				break;
		}
		e = (struct sets_elem){.hi = (uint64_t)(at >> 64),
				       .lo = (uint64_t)at,
				       .len = (uint8_t)(most - size)};
		r = each(arg, &e);
		if (r)
			return r;
		span = size == 128 ? ~(wide)0 : ((wide)1 << size) - 1;
		if (last - at <= span)
			return 0;
		at += span + 1;
	}
}
