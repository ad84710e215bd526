/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The network that programs ask about (bpf_fib_lookup()): interfaces, addresses, routes, neighbours.
 *
 *     text of ip(8) ──> fib_text.c ──┐
 *                                    ├──> struct fib ──fib_seal()──> fib_find(): longest prefix, lowest
 * metric this host     ──> fib_host.c ──┘
 *
 * Filled once, sealed, then only read: by any number of threads.
 */
#ifndef VM_FIB_H
#define VM_FIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "net/addr.h"

#define FIB_LOCAL 255 /* tables */
#define FIB_MAIN 254
#define FIB_DEFAULT 253
#define FIB_MOST 4000000 /* entries of a kind */

struct fib_link {
	uint32_t index, mtu;
	uint32_t head; /* bytes in front of the IP header */
	char name[16];
	uint8_t mac[6];
	bool forwards[2]; /* IPv4, IPv6 */
};

struct fib_addr {
	uint32_t index;
	struct net_addr addr;
	uint8_t plen, scope; /* RT_SCOPE_* */
};

struct fib_hop {
	uint32_t index;
	struct net_addr via; /* if has_via */
	bool has_via, dead, encap;
	uint32_t weight; /* from 1 */
};

struct fib_route {
	struct net_addr dst;
	uint8_t plen, type, tos, scope; /* RTN_*, RT_SCOPE_* */
	uint32_t table, metric, mtu; /* mtu 0: the interface's; only a locked one counts, as in the kernel */
	struct net_addr src;
	bool has_src;
	uint32_t first_hop, n_hops;
	uint32_t next; /* sealed: index + 1 of the next in the bucket */
};

struct fib_neigh {
	uint32_t index;
	struct net_addr addr;
	uint8_t mac[6];
	bool valid;
	uint32_t next;
};

struct fib {
	struct fib_link *link;
	struct fib_addr *addr;
	struct fib_hop *hop;
	struct fib_route *route;
	struct fib_neigh *neigh;
	uint32_t n_links, n_addrs, n_hops, n_routes, n_neighs;
	uint32_t cap_links, cap_addrs, cap_hops, cap_routes, cap_neighs;
	/* sealed */
	uint32_t *route_bucket, *neigh_bucket, route_mask, neigh_mask;
	uint8_t plens[2][129]; /* is there a route of that length? */
};

struct fib *fib_new(void);
void fib_free(struct fib *fib);

/*
 * Each adds a copy and returns it, NULL: no memory, or more than FIB_MOST. A route's hops are those added
 * after it, up to the next route. fib_addr_add() adds the local route that the kernel makes of an address,
 * too.
 */
struct fib_link *fib_link_add(struct fib *fib, const struct fib_link *link);
struct fib_addr *fib_addr_add(struct fib *fib, const struct fib_addr *addr);
struct fib_route *fib_route_add(struct fib *fib, const struct fib_route *route);
struct fib_hop *fib_hop_add(struct fib *fib, const struct fib_hop *hop);
struct fib_neigh *fib_neigh_add(struct fib *fib, const struct fib_neigh *neigh);

/* fib_seal() makes it ready for questions; -ENOMEM. */
int fib_seal(struct fib *fib);

const struct fib_link *fib_link_of(const struct fib *fib, uint32_t index);
const struct fib_link *fib_link_named(const struct fib *fib, const char *name);

/* What is asked for. */
struct fib_query {
	struct net_addr dst, src;
	uint8_t tos;
	uint32_t iif;	/* prefers routes through it (IPv6), as the kernel does */
	uint32_t oif;	/* 0: any */
	uint32_t table; /* 0: as the rules say by default: local, main, default */
};

/*
 * fib_find() finds the route of longest prefix that fits, of these the one with lowest metric, and of its
 * hops one that is alive: of several always the same for the same addresses, by weight. After Linux'
 * fib_table_lookup() and fib6_table_lookup().
 *
 * out:     *hop  of a route that has one, else NULL
 * returns: the route; NULL: there is none
 */
const struct fib_route *fib_find(const struct fib *fib, const struct fib_query *q,
				 const struct fib_hop **hop);

/* fib_neigh_find() is a neighbour whose MAC address is known. */
const struct fib_neigh *fib_neigh_find(const struct fib *fib, uint32_t index, const struct net_addr *addr);

/* fib_source() is the address that the host would send from; false: it has none. */
bool fib_source(const struct fib *fib, const struct fib_route *route, const struct fib_hop *hop,
		const struct net_addr *dst, struct net_addr *src);

/*
 * fib_parse() reads what ip(8) prints, one thing a line, in any order but interfaces before what names them:
 *     ip -o link; ip -o addr; ip route show table all; ip -6 route show table all; ip neigh show nud all
 * and "forwarding NAME off [inet|inet6]", which ip(8) does not print. Lines that begin with '#' are comments.
 * A "default" route is IPv6's if its gateway is or its line has "pref", as ip(8) writes it; "::/0" always is.
 *
 * errors:  -EINVAL "line 7: ...", -ENOMEM
 */
int fib_parse(struct fib *fib, const char *text, size_t len, struct sluice_err *err);

/*
 * fib_dump_host() asks the kernel for those of the calling thread's network namespace; needs no privilege.
 * errors:  the kernel's; -ENOMEM
 */
int fib_dump_host(struct fib *fib, struct sluice_err *err);

#endif
