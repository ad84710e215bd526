// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Frames against a literal one, and every combination against a reader and a checksum written the slow obvious way. */
#include "base/test.h"
#include "net/packet.h"

/* RFC 1071 word by word, carry by carry. */
static uint16_t slow_checksum(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < a_len + b_len; i++) {
		uint32_t byte = i < a_len ? a[i] : b[i - a_len];

		sum += i % 2 ? byte : byte << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)~sum;
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static void literal(void **state)
{
	/* 192.0.2.1:1024 > 192.0.2.2:9; the UDP checksum is what Linux computed for the same datagram */
	static const uint8_t want[] = {0x02, 0,	   0,	 0,    0,    2,	   0x02, 0,    0,    0,	   0,	 1,
				       0x08, 0x00, 0x45, 0x00, 0x00, 0x2e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
				       0xb6, 0xbb, 192,	 0,    2,    1,	   192,	 0,    2,    2,	   0x04, 0x00,
				       0x00, 0x09, 0x00, 0x1a, 0x02, 0x38, 'a',	 'b',  'c',  'a',  'b',	 'c',
				       'a',  'b',  'c',	 'a',  'b',  'c',  'a',	 'b',  'c',  'a',  'b',	 'c'};
	struct net_packet p = {.dst_mac = {2, 0, 0, 0, 0, 2},
			       .src_mac = {2, 0, 0, 0, 0, 1},
			       .ttl = 64,
			       .l4 = NET_UDP,
			       .sport = 1024,
			       .dport = 9,
			       .payload = (const uint8_t *)"abc",
			       .payload_len = 3};
	struct net_layout at;
	struct sluice_err err;
	uint8_t frame[64];

	(void)state;
	assert_int_equal(net_addr_parse("192.0.2.1", &p.src, &err), 0);
	assert_int_equal(net_addr_parse("192.0.2.2", &p.dst, &err), 0);
	assert_int_equal(net_packet_build(&p, 0, frame, sizeof(frame), &at, &err), 0);
	assert_int_equal(at.frame_len, 60);
	assert_memory_equal(frame, want, sizeof(want));
}

static void check_frame(const struct net_packet *p, const uint8_t *f, const struct net_layout *at,
			uint32_t asked)
{
	static const uint8_t protocols[2][3] = {{17, 6, 1}, {17, 6, 58}};
	uint32_t l3 = 14 + 4 * p->n_vlan, l4 = l3 + (p->src.v6 ? 40 : 20), ip_end, i;
	uint32_t l4_len;
	uint8_t pseudo[40] = {0};
	size_t pseudo_len = 0;

	assert_int_equal(at->l3, l3);
	assert_int_equal(at->l4, l4);
	for (i = 0; i < p->n_vlan; i++) {
		assert_int_equal(get16(f + 12 + 4 * i), p->n_vlan == 2 && !i ? 0x88a8 : 0x8100);
		assert_int_equal(get16(f + 14 + 4 * i), p->vlan[i]);
	}
	assert_int_equal(get16(f + l3 - 2), p->src.v6 ? 0x86dd : 0x0800);
	if (p->src.v6) {
		ip_end = l3 + 40 + get16(f + l3 + 4);
		assert_int_equal(get16(f + l3), 0x6000 | p->tos << 4);
		assert_int_equal(f[l3 + 6], protocols[1][p->l4]);
		assert_int_equal(f[l3 + 7], p->ttl);
		memcpy(pseudo, f + l3 + 8, 32);
		pseudo[36] = 0;
		pseudo[34] = (uint8_t)((ip_end - l4) >> 8);
		pseudo[35] = (uint8_t)(ip_end - l4);
		pseudo[39] = f[l3 + 6];
		pseudo_len = 40;
	} else {
		ip_end = l3 + get16(f + l3 + 2);
		assert_int_equal(f[l3], 0x45);
		assert_int_equal(f[l3 + 1], p->tos);
		assert_int_equal(f[l3 + 8], p->ttl);
		assert_int_equal(f[l3 + 9], protocols[0][p->l4]);
		assert_int_equal(slow_checksum(f + l3, 20, NULL, 0), 0);
		memcpy(pseudo, f + l3 + 12, 8);
		pseudo[9] = f[l3 + 9];
		pseudo[10] = (uint8_t)((ip_end - l4) >> 8);
		pseudo[11] = (uint8_t)(ip_end - l4);
		pseudo_len = p->l4 == NET_ICMP ? 0 : 12;
	}
	l4_len = ip_end - l4;
	assert_int_equal(slow_checksum(pseudo, pseudo_len, f + l4, l4_len), 0);
	assert_true(p->l4 != NET_UDP || get16(f + l4 + 6) != 0);
	assert_true(asked ? ip_end == asked : ip_end <= at->frame_len);
	for (i = at->payload; i < at->frame_len; i++)
		assert_int_equal(f[i], i < ip_end && p->payload_len
					       ? p->payload[(i - at->payload) % p->payload_len]
					       : 0);
}

static void combinations(void **state)
{
	static const uint32_t sizes[] = {0, 86, 101, 1514, 3408};
	static const char *const addrs[2][2] = {{"10.1.2.3", "255.255.255.255"},
						{"2001:db8::ffff", "fe80::1"}};
	unsigned int v6, l4, tags, size, seed = 1;
	uint8_t frame[3408], payload[7];
	struct sluice_err err;
	struct net_layout at;
	size_t i;

	(void)state;
	for (v6 = 0; v6 < 2; v6++)
		for (l4 = 0; l4 < 3; l4++)
			for (tags = 0; tags < 3; tags++)
				for (size = 0; size < 5; size++) {
					struct net_packet p = {.n_vlan = tags,
							       .vlan = {4095, 0x6001},
							       .ttl = 1,
							       .tos = 0xb8,
							       .l4 = (enum net_l4)l4,
							       .tcp_flags = 0x12,
							       .icmp_type = 8,
							       .payload = payload,
							       .payload_len = sizeof(payload)};

					for (i = 0; i < sizeof(payload); i++)
						payload[i] = (uint8_t)(seed = seed * 1103515245 + 12345) | 1;
					p.sport = (uint16_t)(seed >> 8);
					p.dport = (uint16_t)(seed >> 3);
					assert_int_equal(net_addr_parse(addrs[v6][0], &p.src, &err), 0);
					assert_int_equal(net_addr_parse(addrs[v6][1], &p.dst, &err), 0);
					memset(frame, 0xee, sizeof(frame));
					assert_int_equal(net_packet_build(&p, sizes[size], frame,
									  sizeof(frame), &at, &err),
							 0);
					check_frame(&p, frame, &at, sizes[size]);
				}
}

/* A UDP checksum that comes out as 0 is sent as ffff: 0 would mean that there is none. */
static void udp_zero(void **state)
{
	struct net_packet p = {.ttl = 64, .l4 = NET_UDP};
	struct net_layout at;
	uint8_t frame[60];
	uint32_t port, zeroes = 0;

	(void)state;
	for (port = 0; port < 65536; port++) {
		p.sport = (uint16_t)port;
		assert_int_equal(net_packet_build(&p, 0, frame, sizeof(frame), &at, NULL), 0);
		assert_int_not_equal(get16(frame + at.l4_csum), 0);
		zeroes += get16(frame + at.l4_csum) == 0xffff;
	}
	assert_int_equal(zeroes, 1);
}

static void refused(void **state)
{
	struct net_packet p = {.l4 = NET_TCP, .n_vlan = 2, .src.v6 = true, .dst.v6 = true};
	struct sluice_err err;
	uint8_t frame[100];

	(void)state;
	assert_int_equal(net_packet_build(&p, 81, frame, sizeof(frame), NULL, &err), -EINVAL);
	assert_string_equal(err.text, "a frame of 81 bytes is too small, these headers take 82");
	assert_int_equal(net_packet_build(&p, 82, frame, sizeof(frame), NULL, &err), 0);
	assert_int_equal(net_packet_build(&p, 101, frame, sizeof(frame), NULL, &err), -EINVAL);
	assert_string_equal(err.text, "a frame of 101 bytes is too large, 100 is possible");
	p.dst.v6 = false;
	assert_int_equal(net_packet_build(&p, 0, frame, sizeof(frame), NULL, &err), -EINVAL);
}

static void sums(void **state)
{
	uint8_t bytes[1501];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167 + (i >> 3));
	for (len = 0; len < sizeof(bytes); len++)
		assert_int_equal(net_sum_finish(net_sum(0, bytes, len)), slow_checksum(bytes, len, NULL, 0));
	for (len = 0; len < 1500; len += 2) /* in two parts */
		assert_int_equal(net_sum_finish(net_sum(net_sum(0, bytes, len), bytes + len, 1501 - len)),
				 slow_checksum(bytes, 1501, NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literal),
		cmocka_unit_test(combinations),
		cmocka_unit_test(udp_zero),
		cmocka_unit_test(refused),
		cmocka_unit_test(sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
