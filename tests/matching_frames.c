// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Frames that expressions of every kind look at: what they ask for is in some of them, and not in others. */
#include <string.h>

#include "matching_frames.h"
#include "net/packet.h"
#include "policy_random.h"

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static uint16_t any_port(struct random_state *r)
{
	static const uint16_t ports[] = {53, 80, 443, 55, 25, 110, 0, 1023, 1024, 65535};

	return ports[random_below(r, 10)];
}

static uint32_t ip(struct random_state *r, uint8_t *to, uint32_t len)
{
	struct net_packet p = {.src_mac = {2, 0, 0, 0, 0, (uint8_t)random_below(r, 3)},
			       .dst_mac = {2},
			       .ttl = (uint8_t)(60 + random_below(r, 12)),
			       .tos = (uint8_t)random_below(r, 24),
			       .payload = (const uint8_t *)"BGET BB",
			       .payload_len = 7};
	static const uint8_t protos[] = {132, 2, 103, 112, 50, 51, 47, 41, 9};
	static const uint8_t types[] = {0, 3, 8, 11, 128, 135};
	struct net_layout l;
	uint32_t proto;

	p.l4 = (enum net_l4)random_below(r, 3);
	p.src.v6 = p.dst.v6 = !random_below(r, 3);
	if (p.src.v6) {
		memcpy(p.src.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
		memcpy(p.dst.bytes, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	} else {
		memcpy(p.src.bytes, random_below(r, 2) ? "\x0a\0\0\0" : "\xc0\0\x02\0", 4);
		memcpy(p.dst.bytes, random_below(r, 4) ? "\x0a\x01\0\x07" : "\xff\xff\xff\xff", 4);
	}
	p.src.bytes[3] = p.src.v6 ? p.src.bytes[3] : (uint8_t)random_below(r, 3);
	p.sport = any_port(r);
	p.dport = any_port(r);
	p.tcp_flags = (uint8_t)(1u << random_below(r, 8) | 1u << random_below(r, 8));
	p.icmp_type = types[random_below(r, 6)];
	p.icmp_code = (uint8_t)random_below(r, 5);
	p.n_vlan = random_below(r, 4) ? 0 : 1 + random_below(r, 2);
	p.vlan[0] = random_below(r, 2) ? 7 : 9;
	p.vlan[1] = 7;
	if (net_packet_build(&p, len, to, FRAME_ROOM, &l, NULL))
		return 0;
	if (!random_below(r, 4)) { /* another protocol */
		proto = protos[random_below(r, 9)];
		to[l.l3 + (p.src.v6 ? 6 : 9)] = (uint8_t)proto;
		to[l.l4] = proto == 2 ? 0x16 : proto == 112 ? 0x21 : to[l.l4];
	}
	if (!random_below(r, 5)) { /* a fragment */
		if (p.src.v6) {
			to[l.l3 + 40] = to[l.l3 + 6];
			to[l.l3 + 6] = 44;
		} else {
			put16(to + l.l3 + 6, random_below(r, 2) ? 0x2000 : random_below(r, 8192));
		}
	}
	if (!p.src.v6 && !random_below(r, 6))
		to[l.l3] = (uint8_t)(0x40 | random_below(r, 16));
	return l.frame_len;
}

/* Puts n bytes in at `at` of a frame of len bytes. */
static uint32_t insert(uint8_t *to, uint32_t len, uint32_t at, const uint8_t *bytes, uint32_t n)
{
	memmove(to + at + n, to + at, len - at);
	memcpy(to + at, bytes, n);
	return len + n;
}

/* Something else than IP, or IP in it. */
static uint32_t wrap(struct random_state *r, uint8_t *to, uint32_t len)
{
	static const uint8_t label[] = {0, 6, 0x40, 64}, label_last[] = {0, 6, 0x41, 64},
			     label_200[] = {0, 12, 0x81, 64}, pppoe[] = {0x11, 0, 0, 5, 0, 60, 0, 0x21},
			     arp[] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1};
	static const uint8_t saps[] = {0xf0, 0xaa, 0xe0, 0x42, 0xfe, 6};
	static const uint16_t types[] = {0x809b, 0x80f3, 0x6003, 0x6004, 0x6001, 0x6002, 0x88cc, 0x9100};

	switch (random_below(r, 8)) {
	case 0:
		put16(to + 12, 0x8847);
		return insert(to, len, 14, label_last, 4);
	case 1:
		put16(to + 12, 0x8847);
		return insert(to, insert(to, len, 14, label_200, 4), 14, label, 4);
	case 2:
		put16(to + 12, random_below(r, 4) ? 0x8864 : 0x8863);
		return insert(to, len, 14, pppoe, 8);
	case 3:
	case 4:
		put16(to + 12, random_below(r, 4) ? 0x0806 : 0x8035);
		memcpy(to + 14, arp, sizeof(arp));
		return len;
	case 5: /* 802.3 with LLC */
		put16(to + 12, random_below(r, 1501));
		to[14] = to[15] = saps[random_below(r, 6)];
		to[16] = 3;
		return len;
	case 6: /* Geneve, VNI 7, with an Ethernet frame */
		if (to[12] == 8 && to[23] == 17) {
			put16(to + 36, 6081);
			memcpy(to + 42, "\0\0\x65\x58\0\0\7\0", 8);
			put16(to + 62, random_below(r, 2) ? 0x0800 : 0x0806);
			to[64] = 0x45;
		}
		return len;
	default:
		put16(to + 12, types[random_below(r, 8)]);
		return len;
	}
}

uint32_t matching_frame(struct random_state *r, uint8_t *to)
{
	uint32_t len = random_below(r, 40) ? 82 + random_below(r, 100) : 200 + random_below(r, 8000), i;

	len = ip(r, to, len);
	if (!random_below(r, 4))
		len = wrap(r, to, len);
	if (!random_below(r, 6))
		memset(to, random_below(r, 2) ? 0xff : 0x33, 6);
	if (!random_below(r, 5))
		len = random_below(r, len + 1);
	for (i = random_below(r, 5) ? 0 : random_below(r, 4); i && len; i--)
		to[random_below(r, len < 100 ? len : 100)] = (uint8_t)random_below(r, 256);
	return len;
}
