/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The project's own BPF objects, as the build embeds them (datapath/meson.build): one pair a program. */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#define EMBEDDED(name)                           \
	extern const unsigned char embedded_##name[]; \
	extern const unsigned long embedded_##name##_len;

EMBEDDED(balance)
EMBEDDED(decap)
EMBEDDED(filter)
EMBEDDED(filter_small)
EMBEDDED(inner)
EMBEDDED(probe)
EMBEDDED(top)
EMBEDDED(traffic)
EMBEDDED(trial)

#undef EMBEDDED

#endif
