/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packets of a capture file (pcap, pcapng; read by libpcap), one behind the other in memory. */
#ifndef PORT_PCAP_H
#define PORT_PCAP_H

#include <stdint.h>
#include <sluice/err.h>
#include "abi/traffic.h"
#include "base/buf.h"

#define PORT_PCAP_BYTES_MAX (256u << 20) /* of all packets together */
#define PORT_PCAP_FRAMES_MAX (4u << 20)

struct port_pcap {
	struct buf bytes;  /* frames one after the other */
	struct buf frames; /* struct traffic_frame each */
	uint32_t n_frames, longest, shortest;
	uint64_t skipped_long, skipped_short; /* above the limit; below an Ethernet header */
	uint64_t cut;			      /* kept, but captured incompletely (snapshot length) */
};

/*
 * port_pcap_read() reads every packet of 14 to longest_max bytes; the others are counted.
 *
 * owns:    the caller frees with port_pcap_free(), also after a failure
 * errors:  -ENOENT no such file, -ENOEXEC no capture file or not of Ethernet, -EBADMSG damaged or truncated (err has
 *          the number of the packet), or without a packet that can be sent, -ENOSPC larger than the limits above
 */
int port_pcap_read(const char *path, uint32_t longest_max, struct port_pcap *cap, struct sluice_err *err);
/* port_pcap_drop() frees the packets and keeps the figures, port_pcap_free() forgets everything. */
void port_pcap_drop(struct port_pcap *cap);
void port_pcap_free(struct port_pcap *cap);

#endif
