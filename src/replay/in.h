/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Captures as one stream of packets: pcap and pcapng, read by libpcap, from files, FIFOs and standard input;
 * in the order of time or one behind the other.
 */
#ifndef REPLAY_IN_H
#define REPLAY_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#define REPLAY_IN_MAX 32
#define REPLAY_SHORTEST 14	   /* an Ethernet header: less never reaches a program */
#define REPLAY_LONGEST (64u << 10) /* what an engine's frame holds */

struct replay_packet {
	uint64_t number;     /* from 1: of one capture its own number, as Wireshark has it; of several in the
				order of running */
	uint64_t time_ns;    /* since 1970, as captured */
	const uint8_t *data; /* until the next replay_in_next() */
	uint32_t len;	     /* captured */
	uint32_t wire_len;   /* before the snapshot length cut it */
	uint32_t source;     /* which capture */
};

struct replay_in_stats {
	uint64_t packets;	      /* read, those left out included */
	uint64_t bytes;		      /* captured */
	uint64_t cut;		      /* of those handed out: captured incompletely */
	uint64_t too_short, too_long; /* left out */
};

struct replay_in;

/*
 * replay_in_new() opens captures.
 *
 * in:      path      n of them, 1..REPLAY_IN_MAX; "-": standard input
 *          in_order  true: the second begins where the first ends. false: by time stamp, of equal ones the capture
 *                    named first; within a capture always as it is
 * out:     *in       NULL on failure
 * owns:    the caller frees it; standard input stays open
 * errors:  -ENOENT no such file, -ENOEXEC no capture, or not of Ethernet (the link type is named), -EINVAL how many,
 *          standard input twice, -ENOMEM
 */
int replay_in_new(const char *const *path, size_t n, bool in_order, struct replay_in **in,
		  struct sluice_err *err);
void replay_in_free(struct replay_in *in);

/*
 * replay_in_next() hands out the next packet that can be run.
 *
 * returns: 1 a packet, 0 the end
 * errors:  -EBADMSG a capture is damaged or ends within a packet (err names it and the packet); what came before has
 *          been handed out
 */
int replay_in_next(struct replay_in *in, struct replay_packet *packet, struct sluice_err *err);

const struct replay_in_stats *replay_in_stats(const struct replay_in *in);

#endif
