// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The plan's constants, used as datapath/traffic.bpf.c uses them, must give the very frame that net_packet_build()
 * makes for the same addresses and ports: template, checksum bases, offsets.
 */
#include "base/test.h"
#include "net/packet.h"
#include "port/traffic_plan.h"

static uint16_t finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint64_t loaded_sum(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;
	uint16_t word;
	size_t i;

	for (i = 0; i < len; i += 2) {
		memcpy(&word, at + i, 2);
		sum += word;
	}
	return sum;
}

static void put_be(uint8_t *to, uint64_t v, size_t n)
{
	while (n--) {
		to[n] = (uint8_t)v;
		v >>= 8;
	}
}

/* The frame for draw values d[4], written as the program does. */
static void apply(const struct traffic_conf *c, const uint64_t d[4], uint8_t *frame)
{
	const struct traffic_field *addr[2] = {&c->src, &c->dst};
	uint64_t addrs = 0, ports = 0;
	uint16_t csum;
	size_t i;

	memcpy(frame, c->words, c->n_words * 8);
	if (c->head_len & 7)
		memcpy(frame + c->head_len - 8, &c->tail, 8);
	for (i = 0; i < 2; i++) {
		if (addr[i]->draw == TRAFFIC_FIXED)
			continue;
		if (c->ipv6) {
			uint64_t lo = addr[i]->base_lo + d[i];

			put_be(frame + addr[i]->offset, addr[i]->base_hi + (lo < d[i]), 8);
			put_be(frame + addr[i]->offset + 8, lo, 8);
		} else {
			put_be(frame + addr[i]->offset, addr[i]->base_lo + d[i], 4);
		}
		addrs += loaded_sum(frame + addr[i]->offset, c->ipv6 ? 16 : 4);
	}
	for (i = 0; i < 2; i++) {
		if (c->port[i].draw == TRAFFIC_FIXED)
			continue;
		put_be(frame + c->port[i].offset, c->port[i].base_lo + d[2 + i], 2);
		ports += loaded_sum(frame + c->port[i].offset, 2);
	}
	if (c->ip_csum_at) {
		csum = finish(c->ip_csum + addrs);
		memcpy(frame + c->ip_csum_at, &csum, 2);
	}
	if (c->l4_csum_at) {
		csum = finish(c->l4_csum + (c->l4_pseudo ? addrs : 0) + ports);
		if (!csum && c->udp)
			csum = 0xffff;
		memcpy(frame + c->l4_csum_at, &csum, 2);
	}
}

static struct net_addr plus(const struct net_addr *a, uint64_t d)
{
	struct net_addr r = *a;
	size_t i = a->v6 ? 16 : 4;
	unsigned int carry = 0;

	while (i--) {
		carry += r.bytes[i] + (unsigned int)(d & 0xff);
		r.bytes[i] = (uint8_t)carry;
		carry >>= 8;
		d >>= 8;
	}
	return r;
}

static void compare(const struct sluice_traffic_opts *o, const uint64_t d[4])
{
	struct traffic_plan plan;
	struct traffic_aim aim;
	struct sluice_err err;
	uint8_t want[TRAFFIC_FRAME_MAX];
	struct net_packet p = {.n_vlan = o->n_vlan,
			       .ttl = 64,
			       .tcp_flags = NET_TCP_SYN,
			       .payload = o->payload,
			       .payload_len = o->payload_len};
	struct net_layout at;

	assert_int_equal(traffic_plan_parse(o, &aim, &err), 0);
	memset(aim.dst_mac, 0xab, 6);
	memset(aim.src_mac, 0xcd, 6);
	assert_int_equal(traffic_plan_build(o, &aim, TRAFFIC_FRAME_MAX, &plan, &err), 0);
	apply(&plan.conf, d, plan.frame);
	p.src = plus(&aim.src.first, aim.src.n == 1 ? 0 : d[0]);
	p.dst = plus(&aim.dst.first, aim.dst.n == 1 ? 0 : d[1]);
	p.sport = (uint16_t)(aim.sport.first + (aim.sport.n == 1 ? 0 : d[2]));
	p.dport = (uint16_t)(aim.dport.first + (aim.dport.n == 1 ? 0 : d[3]));
	p.l4 = o->kind == SLUICE_TRAFFIC_TCP ? NET_TCP : o->kind == SLUICE_TRAFFIC_ICMP ? NET_ICMP : NET_UDP;
	if (p.l4 == NET_ICMP) {
		p.icmp_type = p.src.v6 ? 128 : 8;
		p.sport = 0x5375;
		p.dport = (uint16_t)d[3];
	}
	memcpy(p.vlan, o->vlan, sizeof(p.vlan));
	memset(p.dst_mac, 0xab, 6);
	memset(p.src_mac, 0xcd, 6);
	assert_int_equal(net_packet_build(&p, o->frame_bytes, want, sizeof(want), &at, &err), 0);
	assert_int_equal(at.frame_len, plan.frame_len);
	assert_memory_equal(plan.frame, want, at.frame_len);
}

static void frames(void **state)
{
	static const char *const addrs[][2] = {
		{NULL, NULL},
		{"10.0.0.0/8", "192.0.2.1"},
		{"192.0.2.1", "10.0.0.0/8"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:db8::1", "2001:db8::2"},
		{"2001:db8::/64", "2001:db8::2"},
		{"::/64", "fe80::ffff:0:0:0/80"},
		{"2001:db8::ffff:ffff:ffff:ff00-2001:db8:0:1::ffff", "2001:db8::2"},
	};
	static const char *const port_ranges[][2] = {{NULL, NULL},
						     {"1-65535", "53"},
						     {"7", "0-65535"},
						     {"1000-2000", "1-9"}};
	static const uint32_t sizes[] = {0, 90, 107, 1500};
	unsigned int a, q, kind, tags, size, i, n = 0;
	uint64_t d[4], seed = 1;

	(void)state;
	for (a = 0; a < 8; a++)
		for (q = 0; q < 4; q++)
			for (kind = 0; kind < 3; kind++)
				for (tags = 0; tags < 3; tags++)
					for (size = 0; size < 4; size++) {
						struct sluice_traffic_opts o =
							{.kind = (enum sluice_traffic_kind)kind,
							 .src = addrs[a][0],
							 .dst = addrs[a][1],
							 .n_vlan = tags,
							 .vlan = {7, 4000},
							 .sport = kind == 2 ? NULL : port_ranges[q][0],
							 .dport = kind == 2 ? NULL : port_ranges[q][1],
							 .frame_bytes = sizes[size],
							 .payload = "sluice",
							 .payload_len = 6};

						for (i = 0; i < 4; i++) {
							seed = seed * 6364136223846793005u +
							       1442695040888963407u;
							d[i] = seed >>
							       (i < 2 ? 40
								      : 56); /* 24 bits of address, 8 of port */
						}
						d[3] %= 9;
						compare(&o, d);
						n++;
					}
	assert_int_equal(n, 8 * 4 * 3 * 3 * 4);
}

static void draws(void **state)
{
	struct sluice_traffic_opts o = {.src = "10.0.0.0/8",
					.dst = "192.0.2.1-192.0.2.3",
					.sport = "5",
					.dport = "1-2",
					.random = SLUICE_RANDOM_SRC | SLUICE_RANDOM_DPORT,
					.seed = 3};
	struct traffic_plan plan, other;
	struct traffic_aim aim;

	(void)state;
	assert_int_equal(traffic_plan_parse(&o, &aim, NULL), 0);
	assert_int_equal(traffic_plan_build(&o, &aim, 1518, &plan, NULL), 0);
	assert_int_equal(plan.conf.src.draw, TRAFFIC_SCALE);
	assert_int_equal(plan.conf.dst.draw, TRAFFIC_SEQ);
	assert_int_equal(plan.conf.dst.n, 3);
	assert_int_equal(plan.conf.port[0].draw, TRAFFIC_FIXED);
	assert_int_equal(plan.conf.port[1].draw, TRAFFIC_SCALE);
	assert_true(plan.conf.src.seed != plan.conf.port[1].seed);
	o.seed = 4;
	assert_int_equal(traffic_plan_build(&o, &aim, 1518, &other, NULL), 0);
	assert_true(plan.conf.src.seed != other.conf.src.seed);
	o.src = "2001:db8::/32";
	o.dst = "2001:db8::/64";
	assert_int_equal(traffic_plan_parse(&o, &aim, NULL), 0);
	assert_int_equal(traffic_plan_build(&o, &aim, 1518, &plan, NULL), 0);
	assert_int_equal(plan.conf.src.draw, TRAFFIC_MODULO);
	assert_int_equal(plan.conf.src.random_hi, 0xffffffff);
	assert_int_equal(plan.conf.dst.random_hi, 0);
}

static void refused(void **state)
{
	static const struct {
		struct sluice_traffic_opts o;
		const char *text;
	} bad[] = {
		{{.src = "10.0.0.300"}, "source: '10.0.0.300' is not an IPv4 or IPv6 address"},
		{{.dst = "::1", .src = "10.0.0.1"}, "source and destination are not of one address family"},
		{{.dport = "70000"}, "destination port: 70000 is out of range, 0 to 65535 is possible"},
		{{.kind = SLUICE_TRAFFIC_ICMP, .dport = "7"}, "ICMP has no ports"},
		{{.dst_mac = "02:00"}, "destination MAC: '02:00' is not a MAC address (02:00:5e:10:00:01)"},
		{{.frame_bytes = 1519},
		 "a frame of 1519 bytes is too large: with the interface's MTU it can be 1518"},
		{{.frame_bytes = 59}, "a frame of 59 bytes is too small, these headers take 60"},
	};
	struct traffic_plan plan;
	struct traffic_aim aim;
	struct sluice_err err;
	size_t i;
	int e;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		e = traffic_plan_parse(&bad[i].o, &aim, &err);
		if (!e)
			e = traffic_plan_build(&bad[i].o, &aim, 1518, &plan, &err);
		assert_int_equal(e, -EINVAL);
		assert_string_equal(err.text, bad[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames),
		cmocka_unit_test(draws),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
