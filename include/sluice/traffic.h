/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A traffic generator on XDP live frames: UDP, TCP, ICMP or the packets of a capture, out of any interface whose
 * driver takes redirected frames, millions a second from one CPU.
 *
 *     struct sluice_traffic *t;
 *     struct sluice_traffic_opts o = {.kind = SLUICE_TRAFFIC_UDP, .dst = "192.0.2.1", .count = 1000, .cpu = -1};
 *     if (sluice_traffic_open("veth0", &o, &t, &err) == 0) {
 *             while (sluice_traffic_run(t, 1000000000, &err) == 1)
 *                     ;
 *             sluice_traffic_report(t, &report, &err);
 *             sluice_traffic_close(t);
 *     }
 */
#ifndef SLUICE_TRAFFIC_H
#define SLUICE_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#define SLUICE_TRAFFIC_FRAME_MAX 3408 /* largest frame in bytes: live frames live in one page */
#define SLUICE_TRAFFIC_BATCH_MAX 256

enum sluice_traffic_kind { SLUICE_TRAFFIC_UDP, SLUICE_TRAFFIC_TCP, SLUICE_TRAFFIC_ICMP, SLUICE_TRAFFIC_PCAP };

/* What is drawn at random instead of stepping through its range, one value a packet. */
enum sluice_traffic_random {
	SLUICE_RANDOM_SRC = 1,
	SLUICE_RANDOM_DST = 2,
	SLUICE_RANDOM_SPORT = 4,
	SLUICE_RANDOM_DPORT = 8,
	SLUICE_RANDOM_ORDER = 16, /* of a capture's packets */
};

/* All zero (with cpu -1) is ten seconds of UDP as fast as it goes. Strings are read during open only. */
struct sluice_traffic_opts {
	enum sluice_traffic_kind kind;
	bool ipv6;	      /* where neither src nor dst says so */
	const char *src;      /* ADDRESS, PREFIX or FIRST-LAST; NULL: the interface's own, or 198.18.0.1, 2001:2::1 */
	const char *dst;      /* the same; NULL: 198.18.0.2, 2001:2::2 (benchmark networks, RFC 2544 and 5180) */
	const char *sport;    /* N or FIRST-LAST; NULL: 1024 */
	const char *dport;    /* NULL: 9 (discard) */
	const char *src_mac;  /* NULL: the interface's */
	const char *dst_mac;  /* NULL: of the next hop to the first destination; of a veth's peer if nobody answers */
	uint32_t random;      /* enum sluice_traffic_random, or-ed */
	uint64_t seed;	      /* the same seed gives the same packets */
	uint32_t frame_bytes; /* from the Ethernet header on; 0: the smallest */
	uint16_t vlan[2];     /* n_vlan tags (with priority bits), outer first */
	uint32_t n_vlan;
	uint8_t tcp_flags;    /* as in the header; 0: SYN */
	bool no_tcp_flags;    /* really none */
	bool icmp;	      /* icmp_type and icmp_code count, otherwise it is an echo request */
	uint8_t icmp_type, icmp_code;
	uint8_t ttl; /* 0: 64 */
	uint8_t tos;
	const void *payload; /* repeated to fill the frame; NULL: zeroes */
	size_t payload_len;
	const char *pcap;     /* capture file, for SLUICE_TRAFFIC_PCAP */
	bool once;	      /* every packet of the capture once */
	uint64_t pps;	      /* 0: as fast as it goes */
	uint64_t count;	      /* stop after so many packets, 0: no limit */
	uint64_t duration_ns; /* stop after that time; 0: no limit if count or once is given, otherwise 10 s */
	uint32_t batch;	      /* frames made at a time, up to 256; 0: 64 */
	int cpu;	      /* run on this CPU, -1: anywhere */
	bool force;	      /* also on the interface of the host's default route */
	const char *peer;     /* [NETNS/]INTERFACE that receives: its counters go into the report; NULL: none */
};

struct sluice_traffic_report {
	uint64_t sent;	      /* packets handed to the interface */
	uint64_t wanted;      /* packets asked for by count or once, 0: no limit */
	uint64_t bytes;	      /* of them, Ethernet header included, check sequence not */
	uint64_t refused;     /* not sent: the interface was gone, or a frame could not be made */
	uint64_t tx_packets;  /* the interface's own counters, as far as they moved meanwhile; */
	uint64_t tx_dropped;  /* drivers may count redirected frames elsewhere, and others' packets count too */
	uint64_t tx_errors;
	uint64_t wall_ns, cpu_ns; /* while running */
	uint32_t frame_bytes; /* of every frame; the longest of a capture */
	uint64_t frames;      /* of a capture: that are sent in turn; */
	uint64_t skipped_long, skipped_short, cut; /* too long to send, below 14 bytes, captured incompletely */
	uint8_t dst_mac[6];
	bool has_peer;
	uint64_t received; /* by the peer, whatever it then did with them */
	uint64_t lost;	   /* sent but not received */
	bool vanished;	   /* a veth's peer took none of the packets */
	char hint[256];	   /* what to do about it, "" if unknown */
};

struct sluice_traffic;

/*
 * sluice_traffic_open() checks the interface and options, builds the packets and loads the generator.
 *
 * out:     *t      on success, NULL on failure
 * owns:    the caller closes it
 * errors:  -ENODEV no such interface (or peer), -ENETDOWN it is down, -EINVAL an option is wrong (err quotes it),
 *          -EBUSY it carries the host's default route and force is not set, -EOPNOTSUPP its driver takes no
 *          redirected frames, -ENOENT no such capture or namespace, -EBADMSG capture damaged,
 *          -ENOEXEC no capture of Ethernet, -ENOSPC capture too large, -EPERM privilege missing (named)
 * thread:  works in the caller's network namespace
 */
SLUICE_API int sluice_traffic_open(const char *ifname, const struct sluice_traffic_opts *opts,
				   struct sluice_traffic **t, struct sluice_err *err);
SLUICE_API void sluice_traffic_close(struct sluice_traffic *t);

/*
 * sluice_traffic_run() sends for about for_ns, or to the end of what was asked for.
 *
 * returns: 1 there is more to send (also when a signal came), 0 all is sent, or a negative errno
 * errors:  -ENODEV the interface is gone, -ENETDOWN it was taken down
 * thread:  one at a time; with opts.cpu the calling thread runs on that CPU meanwhile
 */
SLUICE_API int sluice_traffic_run(struct sluice_traffic *t, uint64_t for_ns, struct sluice_err *err);

/* sluice_traffic_sent() is how many packets left so far: cheap, exact. */
SLUICE_API uint64_t sluice_traffic_sent(const struct sluice_traffic *t);

/*
 * sluice_traffic_report() says what became of the packets; it first waits until the peer's counters stand still,
 * for a second at most.
 *
 * errors:  none that hides the figures: what could not be read any more is 0 and hint says so
 */
SLUICE_API int sluice_traffic_report(struct sluice_traffic *t, struct sluice_traffic_report *report,
				     struct sluice_err *err);

#endif
