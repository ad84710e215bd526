/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Top talkers: an XDP program that counts packets and bytes per key, and the reader that makes sorted rows
 * of it.
 *
 *     open -> attach sluice_top_program() (sluice/chain.h: sluice_observer_open) -> poll, poll... read -> close
 *
 * Figures add up: what the program saw is the sum over all keys, plus what found no place in the table
 * (overflow), plus what user space gave up following (untracked). A key's own figures are exact while both
 * are 0, and lower bounds otherwise. One struct sluice_top may be attached to any number of interfaces; it
 * belongs to one thread at a time.
 */
#ifndef SLUICE_TOP_H
#define SLUICE_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>
#include <sluice/object.h>

#define SLUICE_TOP_POLL_MS 20	/* how often sluice_top_poll() wants to be called */
#define SLUICE_TOP_TEXT_MAX 128 /* of sluice_top_row_text(), with the NUL */

struct sluice_top;

enum sluice_top_by {
	SLUICE_TOP_BY_SRC,
	SLUICE_TOP_BY_DST,
	SLUICE_TOP_BY_PREFIX, /* of the source */
	SLUICE_TOP_BY_FLOW,
	SLUICE_TOP_BY_PORT, /* protocol and destination port */
	SLUICE_TOP_BY_PROTO,
	SLUICE_TOP_BY_VLAN,
	SLUICE_TOP_BY_IF,
};

enum sluice_top_sort {
	SLUICE_TOP_SORT_PACKETS, /* of the interval; largest first */
	SLUICE_TOP_SORT_BYTES,
	SLUICE_TOP_SORT_PPS, /* the same order as packets, and bps as bytes */
	SLUICE_TOP_SORT_BPS,
	SLUICE_TOP_SORT_ADDR, /* by key, smallest first */
};

/* All zero is a good start: source addresses, XDP_PASS, the default sizes. */
struct sluice_top_opts {
	enum sluice_top_by by;
	uint8_t prefix4, prefix6; /* of SLUICE_TOP_BY_PREFIX; 0 is /0: everything in one */
	bool per_if;		  /* the same key on two interfaces is two keys */
	bool drop;		  /* the program's own verdict is XDP_DROP, for measuring; not for a chain */
	size_t table_bytes; /* kernel memory for all CPUs together; 0: 8 MiB a CPU, at most 32 */
	size_t max_keys;    /* followed in user space, 0: 786,432 */
};

enum sluice_top_kind {
	SLUICE_TOP_IPV4 = 1,
	SLUICE_TOP_IPV6,
	SLUICE_TOP_ETHER,  /* neither IPv4 nor IPv6 */
	SLUICE_TOP_SHORT,  /* frame shorter than its Ethernet header or VLAN tags */
	SLUICE_TOP_TAGS,   /* more VLAN tags than are looked into (4) */
	SLUICE_TOP_BAD_IP, /* damaged IP header */
	SLUICE_TOP_PORT,
	SLUICE_TOP_PROTO,
	SLUICE_TOP_VLAN,
	SLUICE_TOP_IF,
};

/* Why a flow or port row has no ports. */
enum sluice_top_l4 {
	SLUICE_TOP_L4_NONE, /* the protocol has none */
	SLUICE_TOP_L4_PORTS,
	SLUICE_TOP_L4_ICMP,	/* sport, dport are ICMP type and code */
	SLUICE_TOP_L4_FRAGMENT, /* not a first fragment */
	SLUICE_TOP_L4_CUT,	/* header cut short */
	SLUICE_TOP_L4_DEEP,	/* more IPv6 extension headers than are stepped over (8) */
};

struct sluice_top_count {
	uint64_t packets, bytes; /* bytes of whole frames, Ethernet header included, checksum trailer not */
};

/* One key. Of the members only those of its kind are meant; the others are 0. */
struct sluice_top_row {
	enum sluice_top_kind kind;
	int ifindex;		  /* with per_if, and of SLUICE_TOP_IF */
	uint8_t src[16], dst[16]; /* wire order; the first 4 bytes for IPv4. by src, dst or prefix: in src */
	uint8_t prefix_len;	  /* 32 or 128 for a whole address */
	bool flow;		  /* dst, proto, ports are meant too */
	enum sluice_top_l4 l4;
	uint8_t proto;
	uint16_t sport, dport; /* host order */
	uint16_t ethertype;    /* host order; below 1536: an 802.3 length */
	uint8_t ip_version;    /* SLUICE_TOP_BAD_IP: what it claimed to be */
	uint8_t n_tags;	       /* SLUICE_TOP_VLAN: 0 untagged */
	uint16_t vlan[2];      /* outer first */
	struct sluice_top_count now,
		total;	 /* of the interval; since open or since the key was last forgotten */
	double pps, bps; /* bps in bit/s */
	double share_packets, share_bytes; /* of all the interval's, 0..1 */
};

struct sluice_top_sums {
	struct sluice_top_count seen;	   /* = keys + overflow + untracked */
	struct sluice_top_count keys;	   /* of all keys, shown or not */
	struct sluice_top_count overflow;  /* found no place in the kernel's table */
	struct sluice_top_count untracked; /* of keys that user space had to forget */
};

struct sluice_top_report {
	uint64_t wall_ns;      /* CLOCK_REALTIME at the interval's end */
	uint64_t start_ns, ns; /* since open; the interval's length */
	struct sluice_top_sums now, total;
	size_t n_keys;	     /* seen in the interval */
	size_t n_keys_total; /* followed at present */
	size_t n_rows;
	struct sluice_top_row row[]; /* sorted, only keys seen in the interval */
};

/*
 * sluice_top_by_parse() reads src, dst, prefix/N[/N6] (N of IPv4, at most 32; N6 of IPv6, /64 if it is
 * not said), flow, port, proto, vlan or if into opts. sluice_top_sort_parse() reads
 * packets, bytes, pps, bps or addr.
 *
 * errors:  -EINVAL err has the words there are
 */
SLUICE_API int sluice_top_by_parse(const char *text, struct sluice_top_opts *opts, struct sluice_err *err);
SLUICE_API int sluice_top_sort_parse(const char *text, enum sluice_top_sort *sort, struct sluice_err *err);
SLUICE_API const char *sluice_top_by_name(enum sluice_top_by by);
SLUICE_API const char *sluice_top_sort_name(enum sluice_top_sort sort);

/*
 * sluice_top_open() loads the program and its tables; nothing is attached yet, and nothing is pinned ever.
 *
 * in:      opts  copied
 * owns:    the caller closes *top, after what it attached
 * errors:  -EINVAL opts do not make sense, -EPERM privilege missing (named), -EOPNOTSUPP this kernel
 *          cannot, -ENOMEM
 * cost:    opts->table_bytes of kernel memory whatever the number of CPUs; a few ms
 */
SLUICE_API int sluice_top_open(const struct sluice_top_opts *opts, struct sluice_top **top,
			       struct sluice_err *err);
SLUICE_API void sluice_top_close(struct sluice_top *top);

/* The program, loaded without and with multi-buffer support; owned by top. */
SLUICE_API struct sluice_program *sluice_top_program(struct sluice_top *top, bool frags);

/*
 * sluice_top_poll() empties the kernel's table if it is getting full; to be called every
 * SLUICE_TOP_POLL_MS. Called less often, more packets may end as overflow, but none gets lost.
 *
 * errors:  -ENOMEM, -EIO
 * cost:    a few loads normally; when the table has to be emptied an RCU grace period (some ms) and about
 *          50 ns a key. It does not empty more often than lets it use a third of one CPU.
 */
SLUICE_API int sluice_top_poll(struct sluice_top *top, struct sluice_err *err);

/*
 * sluice_top_read() ends the interval and reports it.
 *
 * in:      max_rows  at most so many rows, the first in the order of sort; 0: none
 * out:     *report   on success, NULL on failure (the interval then goes on)
 * owns:    the caller frees it with free()
 * errors:  as poll
 * cost:    as poll, and a walk over all keys
 */
SLUICE_API int sluice_top_read(struct sluice_top *top, enum sluice_top_sort sort, size_t max_rows,
			       struct sluice_top_report **report, struct sluice_err *err);

/*
 * sluice_top_row_text() writes the key as people read it: "10.0.0.1", "2001:db8::/64", "tcp 10.0.0.1:80 >
 * 10.0.0.2:4711", "udp/53", "vlan 10.20", "arp", "damaged ipv4". The interface is not part of it. Returns
 * to.
 */
SLUICE_API char *sluice_top_row_text(const struct sluice_top_row *row, char *to, size_t size);
/* "tcp", or the number; returns to. */
SLUICE_API char *sluice_top_proto_text(uint8_t proto, char *to, size_t size);

#endif
