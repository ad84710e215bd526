// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From key words to what a row says, and from words of the command line to what a key is. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/top.h"
#include "base/err.h"
#include "base/text.h"
#include "observe/top_row.h"

_Static_assert((int)SLUICE_TOP_BY_IF == (int)TOP_BY_IF && (int)SLUICE_TOP_BY_VLAN == (int)TOP_BY_VLAN &&
		       (int)SLUICE_TOP_BY_FLOW == (int)TOP_BY_FLOW,
	       "sluice_top_by is top_by");
_Static_assert((int)SLUICE_TOP_IF == (int)TOP_IF && (int)SLUICE_TOP_BAD_IP == (int)TOP_BAD_IP,
	       "sluice_top_kind is top_kind");

static const char *const by_names[] = {"src", "dst", "prefix", "flow", "port", "proto", "vlan", "if"};
static const char *const sort_names[] = {"packets", "bytes", "pps", "bps", "addr"};

#define N(a) (sizeof(a) / sizeof(*(a)))

const char *sluice_top_by_name(enum sluice_top_by by)
{
	return (size_t)by < N(by_names) ? by_names[by] : NULL;
}

const char *sluice_top_sort_name(enum sluice_top_sort sort)
{
	return (size_t)sort < N(sort_names) ? sort_names[sort] : NULL;
}

static int parse_prefix(const char *text, struct sluice_top_opts *opts, struct sluice_err *err)
{
	const char *slash = strchr(text, '/');
	uint64_t first, second;
	char word[8];
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (len < sizeof(word)) {
		memcpy(word, text, len);
		word[len] = '\0';
	}
	if (len >= sizeof(word) || text_u64(word, 0, 128, &first, NULL) ||
	    (slash && (first > 32 || text_u64(slash + 1, 0, 128, &second, NULL))))
		return err_set(err, -EINVAL,
			       "'prefix/%.40s' is not a prefix (wanted: prefix/24, or with that of IPv6 "
			       "prefix/24/64)",
			       text);
	if (!slash && first > 32)
		return err_set(err, -EINVAL,
			       "'prefix/%s' is too long for IPv4 (say both: prefix/24/%s counts IPv4 by /24)", text,
			       text);
	if (!slash)
		second = 64;
	opts->by = SLUICE_TOP_BY_PREFIX;
	opts->prefix4 = (uint8_t)first;
	opts->prefix6 = (uint8_t)second;
	return 0;
}

int sluice_top_by_parse(const char *text, struct sluice_top_opts *opts, struct sluice_err *err)
{
	char shown[64];
	size_t i;
	int hit;

	if (!strncmp(text, "prefix/", 7))
		return parse_prefix(text + 7, opts, err);
	for (i = 0; i < N(by_names); i++) {
		if (strcmp(text, by_names[i]))
			continue;
		opts->by = (enum sluice_top_by)i;
		if (opts->by == SLUICE_TOP_BY_PREFIX)
			return parse_prefix("24/64", opts, err);
		return 0;
	}
	hit = text_nearest(text, by_names, N(by_names));
	return err_set(err, -EINVAL,
		       "cannot count by '%s'%s%s (src, dst, prefix/N[/N6], flow, port, proto, vlan or if)",
		       text_printable(text, shown, sizeof(shown)), hit >= 0 ? ", did you mean " : "",
		       hit >= 0 ? by_names[hit] : "");
}

int sluice_top_sort_parse(const char *text, enum sluice_top_sort *sort, struct sluice_err *err)
{
	char shown[64];
	size_t i;

	for (i = 0; i < N(sort_names); i++) {
		if (!strcmp(text, sort_names[i])) {
			*sort = (enum sluice_top_sort)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "cannot sort by '%s' (packets, bytes, pps, bps or addr)",
		       text_printable(text, shown, sizeof(shown)));
}

static void l4_of(struct sluice_top_row *row, uint64_t word)
{
	row->l4 = (enum sluice_top_l4)(word >> 40 & 0xff);
	row->proto = (uint8_t)(word >> 32);
	row->sport = (uint16_t)(word >> 16);
	row->dport = (uint16_t)word;
}

static void addresses_of(const struct sluice_top_opts *opts, const struct top_key *key,
			 struct sluice_top_row *row)
{
	bool v4 = row->kind == SLUICE_TOP_IPV4;
	uint32_t be;

	row->prefix_len = v4 ? 32 : 128;
	if (opts->by == SLUICE_TOP_BY_PREFIX)
		row->prefix_len = v4 ? opts->prefix4 : opts->prefix6;
	be = (uint32_t)key->k[0];
	memcpy(row->src, v4 ? (const void *)&be : key->k, v4 ? 4 : 16);
	if (opts->by != SLUICE_TOP_BY_FLOW)
		return;
	row->flow = true;
	be = (uint32_t)key->k[2];
	memcpy(row->dst, v4 ? (const void *)&be : key->k + 2, v4 ? 4 : 16);
	l4_of(row, key->k[4]);
}

void top_row_of(const struct sluice_top_opts *opts, const struct top_key *key, struct sluice_top_row *row)
{
	uint64_t k0 = key->k[0];

	memset(row, 0, sizeof(*row));
	row->kind = (enum sluice_top_kind)TOP_TAG_KIND(key->tag);
	row->ifindex = (int)TOP_TAG_IF(key->tag);
	row->now = (struct sluice_top_count){key->now_packets, key->now_bytes};
	row->total = (struct sluice_top_count){key->packets, key->bytes};
	switch (row->kind) {
	case SLUICE_TOP_IPV4:
	case SLUICE_TOP_IPV6:
		addresses_of(opts, key, row);
		break;
	case SLUICE_TOP_ETHER:
		row->ethertype = (uint16_t)k0;
		break;
	case SLUICE_TOP_BAD_IP:
		row->ip_version = (uint8_t)k0;
		break;
	case SLUICE_TOP_PORT:
		l4_of(row, k0);
		break;
	case SLUICE_TOP_PROTO:
		row->proto = (uint8_t)k0;
		break;
	case SLUICE_TOP_VLAN:
		row->n_tags = (uint8_t)(k0 >> 32);
		row->vlan[0] = (uint16_t)(k0 >> 16);
		row->vlan[1] = (uint16_t)k0;
		break;
	case SLUICE_TOP_IF:
		row->ifindex = (int)k0;
		break;
	case SLUICE_TOP_SHORT:
	case SLUICE_TOP_TAGS:
		break;
	}
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int top_row_compare(const struct top_key *a, const struct top_key *b, size_t n_words)
{
	uint32_t kind = TOP_TAG_KIND(a->tag);
	int d = compare_u64(kind, TOP_TAG_KIND(b->tag));
	size_t i;

	for (i = 0; !d && i < n_words; i++) {
		if (i < 4 && kind == TOP_IPV4)
			d = compare_u64(ntohl((uint32_t)a->k[i]), ntohl((uint32_t)b->k[i]));
		else if (i < 4 && kind == TOP_IPV6)
			d = memcmp(&a->k[i], &b->k[i], sizeof(a->k[i]));
		else
			d = compare_u64(a->k[i], b->k[i]);
	}
	return d ? d : compare_u64(TOP_TAG_IF(a->tag), TOP_TAG_IF(b->tag));
}

char *sluice_top_proto_text(uint8_t proto, char *to, size_t size)
{
	static const struct {
		uint8_t nr;
		const char *name;
	} names[] = {
		{0, "hopopts"},	   {1, "icmp"},	     {2, "igmp"},  {4, "ipip"},	       {6, "tcp"},
		{17, "udp"},	   {33, "dccp"},     {41, "ipv6"}, {43, "ipv6-route"}, {44, "ipv6-frag"},
		{47, "gre"},	   {50, "esp"},	     {51, "ah"},   {58, "icmpv6"},     {59, "ipv6-nonxt"},
		{60, "ipv6-opts"}, {89, "ospf"},     {103, "pim"}, {112, "vrrp"},      {115, "l2tp"},
		{132, "sctp"},	   {136, "udplite"},
	};
	size_t i;

	for (i = 0; i < N(names); i++) {
		if (names[i].nr == proto) {
			snprintf(to, size, "%s", names[i].name);
			return to;
		}
	}
	snprintf(to, size, "proto-%u", proto);
	return to;
}

static const char *l4_note(enum sluice_top_l4 l4)
{
	switch (l4) {
	case SLUICE_TOP_L4_FRAGMENT:
		return " fragment";
	case SLUICE_TOP_L4_CUT:
		return " cut short";
	case SLUICE_TOP_L4_DEEP:
		return " many extension headers";
	case SLUICE_TOP_L4_NONE:
	case SLUICE_TOP_L4_PORTS:
	case SLUICE_TOP_L4_ICMP:
		break;
	}
	return "";
}

static void flow_text(const struct sluice_top_row *row, char *to, size_t size)
{
	char proto[16], src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	int family = row->kind == SLUICE_TOP_IPV4 ? AF_INET : AF_INET6;
	const char *l = family == AF_INET ? "" : "[", *r = family == AF_INET ? "" : "]";

	inet_ntop(family, row->src, src, sizeof(src));
	inet_ntop(family, row->dst, dst, sizeof(dst));
	sluice_top_proto_text(row->proto, proto, sizeof(proto));
	if (row->l4 == SLUICE_TOP_L4_PORTS)
		snprintf(to, size, "%s %s%s%s:%u > %s%s%s:%u", proto, l, src, r, row->sport, l, dst, r,
			 row->dport);
	else if (row->l4 == SLUICE_TOP_L4_ICMP)
		snprintf(to, size, "%s %u/%u %s > %s", proto, row->sport, row->dport, src, dst);
	else
		snprintf(to, size, "%s%s %s > %s", proto, l4_note(row->l4), src, dst);
}

static void ether_text(uint16_t type, char *to, size_t size)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {{0x0806, "arp"},	{0x88cc, "lldp"},  {0x8863, "pppoe discovery"},
		     {0x8864, "pppoe"}, {0x8847, "mpls"},  {0x8848, "mpls multicast"},
		     {0x8809, "lacp"},	{0x888e, "eapol"}, {0x88f7, "ptp"},
		     {0x88e5, "macsec"}};
	size_t i;

	for (i = 0; i < N(names); i++) {
		if (names[i].type == type) {
			snprintf(to, size, "%s", names[i].name);
			return;
		}
	}
	if (type < 1536)
		snprintf(to, size, "802.3 frame");
	else
		snprintf(to, size, "ethertype 0x%04x", type);
}

static void port_text(const struct sluice_top_row *row, char *to, size_t size)
{
	char proto[16];

	sluice_top_proto_text(row->proto, proto, sizeof(proto));
	if (row->l4 == SLUICE_TOP_L4_PORTS)
		snprintf(to, size, "%s/%u", proto, row->dport);
	else
		snprintf(to, size, "%s%s", proto, l4_note(row->l4));
}

static void vlan_text(const struct sluice_top_row *row, char *to, size_t size)
{
	if (!row->n_tags)
		snprintf(to, size, "untagged");
	else if (row->n_tags == 1)
		snprintf(to, size, "vlan %u", row->vlan[0]);
	else
		snprintf(to, size, "vlan %u.%u%s", row->vlan[0], row->vlan[1],
			 row->n_tags > 2 ? " and more" : "");
}

char *sluice_top_row_text(const struct sluice_top_row *row, char *to, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	bool v4 = row->kind == SLUICE_TOP_IPV4;

	switch (row->kind) {
	case SLUICE_TOP_IPV4:
	case SLUICE_TOP_IPV6:
		if (row->flow) {
			flow_text(row, to, size);
			break;
		}
		inet_ntop(v4 ? AF_INET : AF_INET6, row->src, address, sizeof(address));
		if (row->prefix_len < (v4 ? 32 : 128))
			snprintf(to, size, "%s/%u", address, row->prefix_len);
		else
			snprintf(to, size, "%s", address);
		break;
	case SLUICE_TOP_ETHER:
		ether_text(row->ethertype, to, size);
		break;
	case SLUICE_TOP_SHORT:
		snprintf(to, size, "frame cut short");
		break;
	case SLUICE_TOP_TAGS:
		snprintf(to, size, "too many vlan tags");
		break;
	case SLUICE_TOP_BAD_IP:
		snprintf(to, size, "damaged ipv%u", row->ip_version);
		break;
	case SLUICE_TOP_PORT:
		port_text(row, to, size);
		break;
	case SLUICE_TOP_PROTO:
		sluice_top_proto_text(row->proto, to, size);
		break;
	case SLUICE_TOP_VLAN:
		vlan_text(row, to, size);
		break;
	case SLUICE_TOP_IF:
		snprintf(to, size, "interface %d", row->ifindex);
		break;
	}
	return to;
}
