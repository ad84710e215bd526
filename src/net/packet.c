// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Ethernet frames made from a description. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "net/packet.h"

enum {
	ETH_LEN = 12,
	TAG_LEN = 4,
	TYPE_LEN = 2,
	IP4_LEN = 20,
	IP6_LEN = 40,
	UDP_LEN = 8,
	TCP_LEN = 20,
	ICMP_LEN = 8
};

static void put16(uint8_t *to, unsigned int v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

uint32_t net_sum(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	uint64_t s = sum;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		s += (uint32_t)b[i] << 8 | b[i + 1];
	if (len & 1)
		s += (uint32_t)b[len - 1] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint32_t)s;
}

uint16_t net_sum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint8_t protocol(const struct net_packet *p)
{
	switch (p->l4) {
	case NET_TCP:
		return 6;
	case NET_UDP:
		return 17;
	case NET_ICMP:
		break;
	}
	return p->src.v6 ? 58 : 1;
}

static uint8_t *put_ethernet(const struct net_packet *p, uint8_t *to)
{
	unsigned int i;

	memcpy(to, p->dst_mac, 6);
	memcpy(to + 6, p->src_mac, 6);
	to += ETH_LEN;
	for (i = 0; i < p->n_vlan; i++, to += TAG_LEN) {
		put16(to, i + 1 < p->n_vlan ? 0x88a8 : 0x8100);
		put16(to + 2, p->vlan[i]);
	}
	put16(to, p->src.v6 ? 0x86dd : 0x0800);
	return to + TYPE_LEN;
}

static void put_ip(const struct net_packet *p, uint8_t *to, size_t len)
{
	if (p->src.v6) {
		put16(to, 0x6000u | (unsigned int)p->tos << 4);
		put16(to + 4, (unsigned int)(len - IP6_LEN));
		to[6] = protocol(p);
		to[7] = p->ttl;
		memcpy(to + 8, p->src.bytes, 16);
		memcpy(to + 24, p->dst.bytes, 16);
		return;
	}
	to[0] = 0x45;
	to[1] = p->tos;
	put16(to + 2, (unsigned int)len);
	put16(to + 6, 0x4000); /* don't fragment, so that an identification of 0 is right (RFC 6864) */
	to[8] = p->ttl;
	to[9] = protocol(p);
	memcpy(to + 12, p->src.bytes, 4);
	memcpy(to + 16, p->dst.bytes, 4);
	put16(to + 10, net_sum_finish(net_sum(0, to, IP4_LEN)));
}

/* Returns the offset of the checksum. */
static size_t put_l4(const struct net_packet *p, uint8_t *to, size_t len)
{
	if (p->l4 == NET_ICMP) {
		to[0] = p->icmp_type;
		to[1] = p->icmp_code;
		put16(to + 4, p->sport);
		put16(to + 6, p->dport);
		return 2;
	}
	put16(to, p->sport);
	put16(to + 2, p->dport);
	if (p->l4 == NET_UDP) {
		put16(to + 4, (unsigned int)len);
		return 6;
	}
	to[12] = TCP_LEN / 4 << 4;
	to[13] = p->tcp_flags;
	put16(to + 14, 64240);
	return 16;
}

static uint32_t pseudo_sum(const struct net_packet *p, size_t len)
{
	size_t n = p->src.v6 ? 16 : 4;

	if (p->l4 == NET_ICMP && !p->src.v6)
		return 0;
	return net_sum(net_sum((uint32_t)len + protocol(p), p->src.bytes, n), p->dst.bytes, n);
}

int net_packet_build(const struct net_packet *p, uint32_t frame_len, uint8_t *to, size_t size,
		     struct net_layout *layout, struct sluice_err *err)
{
	size_t l3 = ETH_LEN + TYPE_LEN + TAG_LEN * p->n_vlan;
	size_t l4 = l3 + (p->src.v6 ? IP6_LEN : IP4_LEN);
	size_t payload = l4 + (p->l4 == NET_TCP ? TCP_LEN : UDP_LEN), i, at;
	size_t need = payload > NET_FRAME_MIN ? payload : NET_FRAME_MIN;
	size_t len = frame_len ? frame_len : need;
	size_t end =
		frame_len || p->l4 != NET_TCP ? len : payload; /* of what IP carries; the rest is padding */
	uint16_t csum;

	if (p->src.v6 != p->dst.v6)
		return err_set(err, -EINVAL, "source and destination are not of one address family");
	if (len < need)
		return err_set(err, -EINVAL, "a frame of %zu bytes is too small, these headers take %zu", len,
			       need);
	if (len > size)
		return err_set(err, -EINVAL, "a frame of %zu bytes is too large, %zu is possible", len, size);
	memset(to, 0, len);
	put_ethernet(p, to);
	put_ip(p, to + l3, end - l3);
	at = put_l4(p, to + l4, end - l4);
	for (i = 0; p->payload_len && payload + i < end; i++)
		to[payload + i] = p->payload[i % p->payload_len];
	csum = net_sum_finish(net_sum(pseudo_sum(p, end - l4), to + l4, end - l4));
	put16(to + l4 + at, !csum && p->l4 == NET_UDP ? 0xffff : csum);
	if (layout)
		*layout = (struct net_layout){.frame_len = (uint32_t)len,
					      .l3 = (uint32_t)l3,
					      .l4 = (uint32_t)l4,
					      .payload = (uint32_t)payload,
					      .ip_csum = p->src.v6 ? 0 : (uint32_t)l3 + 10,
					      .l4_csum = (uint32_t)(l4 + at)};
	return 0;
}
