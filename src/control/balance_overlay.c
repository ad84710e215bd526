// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What was said of backends at run time. */
#include <errno.h>

#include "control/balance_overlay.h"

struct balance_backend overlay_apply(const struct balance_backend *policy, const struct balance_overlay *o)
{
	struct balance_backend b = *policy;

	if (o->said[BALANCE_MATTER_DRAIN].who)
		b.drain = o->said[BALANCE_MATTER_DRAIN].value;
	if (o->said[BALANCE_MATTER_WEIGHT].who)
		b.weight = o->said[BALANCE_MATTER_WEIGHT].value;
	if (o->said[BALANCE_MATTER_HEALTH].who)
		b.health = (enum balance_health)o->said[BALANCE_MATTER_HEALTH].value;
	return b;
}

void overlay_write(const struct balance_overlay *o, struct buf *to)
{
	uint32_t i;

	for (i = 0; i < BALANCE_MATTERS; i++) {
		buf_u32(to, o->said[i].who);
		buf_u32(to, o->said[i].value);
		buf_u64(to, o->said[i].when_ns);
	}
}

int overlay_read(struct view *from, struct balance_overlay *o)
{
	static const uint32_t most[BALANCE_MATTERS] = {1, MAGLEV_WEIGHT_MAX, BALANCE_DOWN};
	uint32_t i;

	for (i = 0; i < BALANCE_MATTERS; i++) {
		o->said[i].who = view_u32(from);
		o->said[i].value = view_u32(from);
		o->said[i].when_ns = view_u64(from);
		if (o->said[i].who > BALANCE_WHO_HEALTH || o->said[i].value > most[i])
			return -EBADMSG;
	}
	return view_ok(from) ? 0 : -EBADMSG;
}
