/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random frames for pcap expressions. */
#ifndef TESTS_MATCHING_FRAMES_H
#define TESTS_MATCHING_FRAMES_H

#include <stdint.h>

#define FRAME_ROOM 16384

struct random_state;

/* matching_frame() writes a frame of 0 to about 8,200 bytes: all kinds of protocols, damaged ones, cut ones. */
uint32_t matching_frame(struct random_state *r, uint8_t *to);

#endif
