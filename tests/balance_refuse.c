// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is sent back while no backend is up and the service says reset: byte for byte, and what gets no answer. */
#include <stdio.h>
#include <string.h>

#include "balance_expect.h"

static const int services_here[] = {S44, S66, G4, G6, ALL, ALL6};

static void all_down(bool down)
{
	size_t i;

	for (i = 0; i < sizeof(services_here) / sizeof(*services_here); i++) {
		bed.m.services[services_here[i]]->fallback = down ? BALANCE_RESET : BALANCE_DROP;
		bed.m.services[services_here[i]]->backends[0].health = down ? BALANCE_DOWN : BALANCE_UP;
	}
	bed.now += 1000000000;
	bed_change(&bed);
}

/* From the virtual address to the sender, up to what the IP header carries: len bytes of proto. */
static void back(struct frame *want, const struct frame *in, uint8_t proto, uint8_t tos, uint32_t len)
{
	const uint8_t *ip = in->b + in->l3;
	uint16_t sum;

	want->len = 0;
	frame_put(want, in->b + 6, 6);
	frame_put(want, in->b, 6);
	frame_put(want, in->b + 12, in->l3 - 12);
	want->l3 = want->len;
	if (ip[0] >> 4 == 6) {
		frame_be32(want, 6u << 28);
		frame_be16(want, len);
		frame_be16(want, (uint32_t)proto << 8 | 64);
		frame_put(want, ip + 24, 16);
		frame_put(want, ip + 8, 16);
	} else {
		frame_be16(want, 0x4500u | tos);
		frame_be16(want, 20 + len);
		frame_be32(want, 0x00004000);
		frame_be16(want, 64 << 8 | proto);
		frame_be16(want, 0);
		frame_put(want, ip + 16, 4);
		frame_put(want, ip + 12, 4);
		sum = frame_sum(want->b + want->l3, 20, 0);
		want->b[want->l3 + 10] = (uint8_t)(sum >> 8);
		want->b[want->l3 + 11] = (uint8_t)sum;
	}
	want->l4 = want->len;
}

/* Writes the checksum at l4 + at; pseudo: over addresses, length and proto, too. */
static void seal(struct frame *want, uint32_t at, bool pseudo, uint8_t proto)
{
	bool six = want->b[want->l3] >> 4 == 6;
	uint32_t len = want->len - want->l4;
	uint16_t start = 0, sum;

	if (pseudo)
		start = (uint16_t)~frame_sum(want->b + want->l3 + (six ? 8 : 12), six ? 32 : 8, len + proto);
	sum = frame_sum(want->b + want->l4, len, start);
	want->b[want->l4 + at] = (uint8_t)(sum >> 8);
	want->b[want->l4 + at + 1] = (uint8_t)sum;
}

static void reset(const struct make *m, uint32_t seq, uint32_t ack, uint8_t flags)
{
	struct frame in, want = {.len = 0};

	frame_make(&in, m);
	back(&want, &in, 6, 0, 20);
	frame_be16(&want, m->dport);
	frame_be16(&want, m->sport);
	frame_be32(&want, seq);
	frame_be32(&want, ack);
	frame_be16(&want, 0x5000u | flags);
	frame_be16(&want, 0);
	frame_be32(&want, 0);
	seal(&want, 16, true, 6);
	/* padding that is there anyway stays, as zeroes */
	if (!strchr(m->src, ':') && in.len >= want.len + 6)
		frame_put(&want, NULL, 6);
	expect(&in, TX, &want);
}

static void resets(void)
{
	struct make m;
	uint32_t tags, six;

	for (six = 0; six < 2; six++)
		for (tags = 0; tags <= 4; tags++) {
			m = six ? tcp6 : tcp4;
			m.n_tags = tags;
			m.payload = 0;
			m.flags = 0x02;
			what = "a reset for a SYN";
			reset(&m, 0, 0x01020305, 0x14);
			what = "a reset for a SYN with data, congestion notification and urgent";
			m.payload = 5;
			m.flags = 0xe2;
			reset(&m, 0, 0x01020304 + 6, 0x14);
			what = "a reset for a FIN";
			m.flags = 0x01;
			m.payload = 700;
			reset(&m, 0, 0x01020304 + 701, 0x14);
			what = "a reset for a segment without any flag";
			m.flags = 0;
			reset(&m, 0, 0x01020304 + 700, 0x14);
			what = "a reset for what an established connection sends";
			m.flags = 0x18;
			reset(&m, 0x05060708, 0, 0x04);
			what = "a reset for SYN and ACK";
			m.flags = 0x12;
			m.payload = 0;
			reset(&m, 0x05060708, 0, 0x04);
			what = "a reset for a segment behind IP options";
			m.options = 3;
			m.flags = 0x02;
			reset(&m, 0, 0x01020305, 0x14);
		}
}

static void unreachable(const struct make *m, uint32_t quote)
{
	bool six = strchr(m->src, ':');
	struct frame in, want = {.len = 0};

	frame_make(&in, m);
	back(&want, &in, six ? 58 : 1, 0xc0, 8 + quote);
	frame_be16(&want, six ? 0x0104 : 0x0303);
	frame_be16(&want, 0);
	frame_be32(&want, 0);
	frame_put(&want, in.b + in.l3, quote);
	seal(&want, 2, six, 58);
	expect(&in, TX, &want);
}

static void unreachables(void)
{
	struct make m = {.src = "198.51.100.7", .dst = "203.0.113.14", .sport = 999, .dport = 53, .proto = 17};
	struct make m6 = {.src = "2001:db8:3::7", .dst = "2001:db8::15", .sport = 999, .dport = 53, .proto = 17};
	uint32_t tags;

	for (tags = 0; tags <= 4; tags += 2) {
		m.n_tags = m6.n_tags = tags;
		m.options = m6.options = 0;
		what = "port unreachable, short packets";
		m.payload = m6.payload = 0;
		unreachable(&m, 28);
		unreachable(&m6, 48);
		m.payload = 99;
		m6.payload = 79;
		unreachable(&m, 28);
		unreachable(&m6, 48);
		what = "port unreachable, long packets";
		m.payload = 100;
		m6.payload = 80;
		unreachable(&m, 128);
		unreachable(&m6, 128);
		what = "port unreachable, behind options";
		m.options = 3;
		m6.options = 1;
		m.payload = m6.payload = 300;
		unreachable(&m, 128);
		unreachable(&m6, 128);
	}
	what = "port unreachable, another protocol";
	unreachable(&(struct make){.src = "198.51.100.7", .dst = "203.0.113.17", .proto = 47, .payload = 60}, 28);
	unreachable(&(struct make){.src = "2001:db8:3::7", .dst = "2001:db8::19", .proto = 50, .payload = 60}, 48);
}

/* No answer; the drop is counted as before. */
static void silent(const struct make *m, int service)
{
	struct frame in;

	frame_make(&in, m);
	expect_drop(&in, service, BALANCE_DROP_NO_BACKEND);
}

static void silence(void)
{
	static const char *const nobody4[] = {"0.0.0.1",	 "127.0.0.1",	 "224.0.0.1",
					      "255.255.255.255", "203.0.113.10", "203.0.113.14"};
	static const char *const nobody6[] = {"::", "::1", "ff02::1", "2001:db8::12", "2001:db8::19"};
	struct make m = tcp4;
	struct frame in, quoted;
	size_t i;

	what = "no reset for a reset";
	m.flags = 0x04;
	silent(&m, S44);
	m.flags = 0x16;
	silent(&m, S44);
	what = "no reset without a whole header";
	m = tcp4;
	frame_make(&in, &m);
	in.b[in.l4 + 12] = 4 << 4;
	expect_drop(&in, S44, BALANCE_DROP_NO_BACKEND);
	in.b[in.l4 + 12] = 6 << 4;
	expect_drop(&in, S44, BALANCE_DROP_NO_BACKEND);
	what = "no answer to what is shorter than it says";
	frame_make(&in, &m);
	in.len--;
	expect_drop(&in, S44, BALANCE_DROP_DAMAGED);
	what = "no answer to nobody";
	for (i = 0; i < sizeof(nobody4) / sizeof(*nobody4); i++) {
		m.src = nobody4[i];
		silent(&m, S44);
	}
	m = tcp6;
	for (i = 0; i < sizeof(nobody6) / sizeof(*nobody6); i++) {
		m.src = nobody6[i];
		silent(&m, S66);
	}
	what = "no answer to a first fragment";
	m = tcp4;
	m.more = true;
	m.payload = 4;
	silent(&m, S44);
	what = "no answer to a short packet with options";
	silent(&(struct make){.src = "198.51.100.7",
			      .dst = "203.0.113.14",
			      .sport = 999,
			      .dport = 53,
			      .proto = 17,
			      .options = 1},
	       G4);
	what = "no answer to an ICMP error";
	frame_make(&quoted, &(struct make){.src = "203.0.113.10", .dst = "198.51.100.7", .sport = 80, .dport = 4711, .proto = 6});
	frame_make(&in, &(struct make){.src = "192.0.2.254", .dst = "203.0.113.10", .proto = 1, .payload = 200});
	memset(in.b + in.l4, 0, 8);
	in.b[in.l4] = 3;
	memcpy(in.b + in.l4 + 8, quoted.b + quoted.l3, quoted.len - quoted.l3);
	expect_drop(&in, S44, BALANCE_DROP_NO_BACKEND);
	what = "no answer to a redirect, nor to a first fragment of an error";
	for (i = 0; i < 2; i++) {
		frame_make(&in, &(struct make){.src = "198.51.100.7",
					       .dst = "203.0.113.17",
					       .proto = 1,
					       .payload = 200,
					       .more = i});
		in.b[in.l4] = i ? 3 : 5;
		expect_drop(&in, ALL, BALANCE_DROP_NO_BACKEND);
	}
}

/* So many refusals a second; then senders are still told how large packets may be. */
static void both_paced(void)
{
	struct make big = {.src = "198.51.100.7", .dst = "203.0.113.11", .sport = 5, .dport = 80, .proto = 6, .payload = 1600};
	uint64_t before = bed_reason(&bed, S46, BALANCE_DROP_TOO_BIG_TOLD);
	struct frame in, out;
	uint32_t i, told = 0;

	if (kernel)
		return; /* its clock does not stand still for this */
	what = "refusals are paced";
	bed.now += 2000000000;
	frame_make(&in, &tcp4);
	for (i = 0; i < 1500; i++)
		told += bed_run(&bed, &in, &out) == TX;
	if (told != 1000)
		fail("%s: %u in a second", what, told);
	what = "errors about what is too large have a pace of their own";
	frame_make(&in, &big);
	expect(&in, TX, NULL);
	if (bed_reason(&bed, S46, BALANCE_DROP_TOO_BIG_TOLD) != before + 1)
		fail("%s: none was counted", what);
	for (i = told = 0; i < 1500; i++)
		told += bed_run(&bed, &in, &out) == TX;
	if (told != 999)
		fail("%s: %u in a second", what, told + 1);
	bed.now += 2000000000;
}

void refused(void)
{
	struct frame in, out;
	uint64_t before;

	all_down(true);
	before = bed_reason(&bed, S44, BALANCE_DROP_REFUSED);
	frame_make(&in, &tcp4);
	bed_run(&bed, &in, &out);
	what = "a refusal is counted";
	if (bed_reason(&bed, S44, BALANCE_DROP_REFUSED) != before + 1)
		fail("%s", what);
	resets();
	unreachables();
	silence();
	both_paced();
	all_down(false);
	what = "backends are back";
	encapsulated(&tcp4, false, 0);
}
