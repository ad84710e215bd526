/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses as people write them: IPv4, IPv6, prefixes and ranges of them, MAC addresses, port ranges. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#define NET_ADDR_TEXT 46 /* an IPv6 address with its NUL */
#define NET_MAC_TEXT 18

/* As on the wire; IPv4 in the first four bytes, the rest zero. */
struct net_addr {
	uint8_t bytes[16];
	bool v6;
};

/* Addresses from the first on: n of them in the low 64 bits (0: 2^64), any value of the bits of random_hi above. */
struct net_range {
	struct net_addr first;
	uint64_t n;
	uint64_t random_hi; /* host order; only IPv6 prefixes shorter than /64 have any */
};

struct net_ports {
	uint16_t first;
	uint32_t n;
};

/*
 * net_addr_parse()  reads one address. net_addr_format() writes it as text, returns to.
 * net_range_parse() reads ADDRESS, PREFIX/LENGTH (bits beyond the length must be 0) or FIRST-LAST.
 * net_ports_parse() reads N or FIRST-LAST.
 * net_mac_parse()   reads aa:bb:cc:dd:ee:ff, also with dashes.
 *
 * errors:  -EINVAL, with a sentence that quotes the text; the result is untouched then
 */
int net_addr_parse(const char *text, struct net_addr *addr, struct sluice_err *err);
int net_range_parse(const char *text, struct net_range *range, struct sluice_err *err);
int net_ports_parse(const char *text, struct net_ports *ports, struct sluice_err *err);
int net_mac_parse(const char *text, uint8_t mac[6], struct sluice_err *err);
char *net_addr_format(const struct net_addr *addr, char *to, size_t size);
char *net_mac_format(const uint8_t mac[6], char *to, size_t size);

/* net_addr_words() gives the address as two numbers in host order; IPv4 is *lo alone. */
void net_addr_words(const struct net_addr *addr, uint64_t *hi, uint64_t *lo);

/* net_addr_unmap() makes ::ffff:a.b.c.d, as sockets for both families have it, what is on the wire: a.b.c.d. */
void net_addr_unmap(struct net_addr *addr);

bool net_addr_same(const struct net_addr *a, const struct net_addr *b);

/* net_addr_is_multicast(): 224.0.0.0/4 or ff00::/8. */
bool net_addr_is_multicast(const struct net_addr *addr);

#endif
