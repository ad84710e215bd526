/* SPDX-License-Identifier: GPL-2.0-only */
/* Which rules of the filter are to be looked at: the lookup of lib/classify.h, by family. */
#ifndef DATAPATH_LIB_FILTER_FIND_H
#define DATAPATH_LIB_FILTER_FIND_H

#include "datapath/lib/filter_maps.h"

/* A rule, or a list of some that come before it or instead of it. */
static __always_inline void found(struct view *v, void *m, const struct classify_part *p, __u32 what)
{
	if (what == CLASSIFY_NONE)
		return;
	if (p->structure == CLASSIFY_CROSS && p->cross.lists)
		v->at = *TABLE(m, __u32, p->cross.lists + 4 * what);
	else
		v->final = what;
}

static __always_inline void look_up(struct view *v, void *m)
{
	const struct classify_part *p = ((const struct classify_image *)m)->part;

	if (config.ip4 && !v->is_ip6) {
		found(v, m, p,
		      classify_part4(m, p, (__u32)(v->src[0] >> 32), (__u32)(v->dst[0] >> 32), &v->service));
		if (config.apart)
			found(v, m, p + 2,
			      classify_part4(m, p + 2, (__u32)(v->src[0] >> 32), (__u32)(v->dst[0] >> 32),
					     &v->service));
	}
	if (config.ip6 && v->is_ip6) {
		found(v, m, p + 1,
		      classify_part6(m, p + 1, v->src[0], v->src[1], v->dst[0], v->dst[1], &v->service));
		if (config.apart)
			found(v, m, p + 3,
			      classify_part6(m, p + 3, v->src[0], v->src[1], v->dst[0], v->dst[1],
					     &v->service));
	}
}

/* Where all rules are certain and final, and where one is for all packets. */
static __always_inline __u32 sure4(const struct view *v, void *m)
{
	if (!config.ip4)
		return config.all4;
	return classify_ipv4(m, (__u32)(v->src[0] >> 32), (__u32)(v->dst[0] >> 32), &v->service);
}

static __always_inline __u32 sure6(const struct view *v, void *m)
{
	if (!config.ip6)
		return config.all6;
	return classify_ipv6(m, v->src[0], v->src[1], v->dst[0], v->dst[1], &v->service);
}

#endif
