/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The classic pcap format (draft-ietf-opsawg-pcap), read from a regular file: in 29 ns a packet of 64 bytes,
 * where libpcap, which calls stdio twice a packet, takes 49 (bench/replay.c). Everything else - pcapng,
 * FIFOs, standard input - is libpcap's.
 */
#ifndef REPLAY_PCAP_H
#define REPLAY_PCAP_H

#include <stdbool.h>
#include <stdint.h>

#define PCAP_MOST_BYTES (256u << 10) /* of one packet, as libpcap has it: MAXIMUM_SNAPLEN */

struct pcap_file;

struct pcap_record {
	uint64_t time_ns;
	uint32_t len, wire_len; /* captured, before it was cut */
	const uint8_t *data;	/* until the next pcap_file_next() */
};

/*
 * pcap_file_new() takes over fd if it is open on a classic capture of Ethernet at its beginning, of
 * version 2.4; NULL, and fd as it was, if it is anything else (or memory is short): then somebody else should
 * look.
 */
struct pcap_file *pcap_file_new(int fd);
void pcap_file_free(struct pcap_file *f);

/*
 * pcap_file_next() reads a packet.
 * returns: 1, 0 at the end
 * errors:  -EBADMSG the file ends within a packet (*cut), or a length is impossible; -errno of read(2)
 */
int pcap_file_next(struct pcap_file *f, struct pcap_record *r, bool *cut);

#endif
