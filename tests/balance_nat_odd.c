// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Odd packets through services that translate: errors, fragments, packets of no flow, hostile ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/nat.h"
#include "balance_nat_model.h"

static const struct make syn = {.flags = 0x02, .payload = 16}, ack = {.flags = 0x10, .payload = 16};

static struct known tcp4 = {6, {"198.51.100.77", 4711}, {"203.0.113.10", 80}, {"", 0}, {"", 0}, false};
static struct known udp4 = {17, {"198.51.100.77", 4712}, {"203.0.113.11", 53}, {"", 0}, {"", 0}, false};
static struct known echo4 = {1, {"198.51.100.77", 99}, {"203.0.113.12", 0}, {"", 0}, {"", 0}, false};
static struct known tcp6 = {6, {"2001:db8:3::77", 4711}, {"2001:db8::10", 80}, {"", 0}, {"", 0}, false};
static struct known echo6 = {58, {"2001:db8:3::77", 98}, {"2001:db8::12", 0}, {"", 0}, {"", 0}, false};

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* An ICMP error from src to dst that quotes n bytes of a packet from its IP header on. */
static void error_make(struct frame *f, const char *src, const char *dst, const struct frame *quoted, uint32_t n)
{
	bool six = strchr(src, ':');
	struct make m = {.src = src, .dst = dst, .proto = six ? 58 : 1, .payload = 8 + n};
	uint8_t *icmp;

	frame_make(f, &m);
	icmp = f->b + f->l4;
	memset(icmp, 0, 8);
	icmp[0] = six ? 2 : 3; /* too big */
	icmp[1] = six ? 0 : 4;
	put16(icmp + 6, 1400);
	memcpy(icmp + 8, quoted->b + quoted->l3, n);
	put16(icmp + 2, six ? frame_sum(icmp, 8 + n, (uint16_t)~frame_sum(f->b + f->l3 + 8, 32, 8 + n + 58))
			    : frame_sum(icmp, 8 + n, 0));
}

/*
 * An error about the flow's packets: from the backend's side (back) it quotes what the balancer sent, from the client's side
 * what the client got. What comes out quotes what the receiver sent.
 */
static void error(const struct known *k, bool back, uint32_t n, const char *router)
{
	struct known far = *k;
	struct make like = ack, m, t;
	struct frame seen, sent, in, want;

	if (back) { /* the balancer's packet to the backend; the client's own */
		far.client = k->pool;
		far.virtual = k->backend;
		m = nat_make(&far, &like, false);
		t = nat_make(k, &like, false);
		nat_frame(&seen, &m, false, false);
		nat_frame(&sent, &t, false, false);
	} else { /* the balancer's packet to the client; the backend's own */
		far.backend = k->virtual;
		far.pool = k->client;
		m = nat_make(&far, &like, true);
		t = nat_make(k, &like, true);
		nat_frame(&seen, &m, true, false);
		nat_frame(&sent, &t, true, false);
	}
	if (n > seen.len - seen.l3)
		n = seen.len - seen.l3;
	error_make(&in, router, back ? k->pool.addr : k->virtual.addr, &seen, n);
	error_make(&want, back ? k->virtual.addr : k->pool.addr, back ? k->client.addr : k->backend.addr, &sent, n);
	nat_hop(&want);
	macs(&want, back);
	expect(&in, back ? REDIRECT : TX, &want);
}

static void errors(void)
{
	struct known *all[] = {&tcp4, &udp4, &echo4, &tcp6, &echo6}, none;
	struct frame quoted, in;
	struct make m;
	uint32_t i;

	for (i = 0; i < 5; i++) {
		const struct known *k = all[i];
		bool six = k->proto == 58 || k == &tcp6;
		const char *router = six ? "2001:db8:7::1" : "198.51.100.250";
		uint32_t head = six ? 40 : 20;

		what = "an error quotes all of a packet";
		error(k, true, 2000, router);
		error(k, false, 2000, router);
		what = "an error quotes eight bytes";
		error(k, true, head + 8, router);
		error(k, false, head + 8, router);
		what = "an error from the backend itself";
		error(k, true, head + 20, k->backend.addr);
		what = "an error about no flow";
		none = *k;
		none.client.port ^= 0x5555;
		m = nat_make(&none, &ack, true);
		m.src = none.virtual.addr;
		m.dst = none.client.addr;
		m.dport = none.client.port;
		m.sport = none.virtual.port;
		nat_frame(&quoted, &m, true, false);
		error_make(&in, router, none.virtual.addr, &quoted, head + 8);
		expect(&in, PASS, &in);
	}
}

/* A packet of no flow to a pool's address passes as it is, and is counted. */
static void unclaimed(const struct known *k, const char *src, uint16_t sport, uint16_t dport, const char *why)
{
	struct make m = nat_make(k, &ack, true);
	struct frame in;

	what = why;
	m.src = src;
	m.sport = sport;
	m.dport = dport;
	nat_frame(&in, &m, true, false);
	expect_reason(&in, -1, BALANCE_NOTE_UNCLAIMED, PASS);
}

static void spoofed(void)
{
	unclaimed(&tcp4, tcp4.backend.addr, tcp4.backend.port, tcp4.pool.port ^ 0x4001, "a port of nobody");
	unclaimed(&tcp4, "10.1.0.99", tcp4.backend.port, tcp4.pool.port, "not the backend");
	unclaimed(&tcp4, tcp4.backend.addr, 8081, tcp4.pool.port, "not the backend's port");
	unclaimed(&tcp4, tcp4.backend.addr, tcp4.backend.port, 22, "a port below the pool's");
	unclaimed(&tcp6, "2001:db8:1::99", tcp6.backend.port, tcp6.pool.port, "not the backend, IPv6");
	unclaimed(&udp4, udp4.backend.addr, udp4.backend.port, tcp4.pool.port, "a port of another backend's flow");
}

static void hops(void)
{
	struct make m = nat_make(&tcp4, &ack, false);
	struct frame in;

	what = "the last hop";
	nat_frame(&in, &m, false, false);
	in.b[in.l3 + 8] = 2;
	nat_hop(&in);
	expect_reason(&in, 0, BALANCE_DROP_TTL, DROP);
	m = nat_make(&tcp6, &ack, true);
	nat_frame(&in, &m, true, false);
	in.b[in.l3 + 7] = 1;
	expect_reason(&in, 3, BALANCE_DROP_TTL, DROP);
}

/* To a client whose MAC address nobody knows the kernel has to send, which takes the hop off itself. */
static void left_to_the_kernel(const struct known *flow, const char *client)
{
	struct make m, t;
	struct frame in, want;
	struct known k = *flow;

	what = "an answer that is left to the kernel";
	snprintf(k.client.addr, TEXT, "%s", client);
	k = *nat_forth(&k, &syn);
	t = m = nat_make(&k, &ack, true);
	t.src = k.virtual.addr;
	t.dst = k.client.addr;
	t.sport = k.virtual.port;
	t.dport = k.client.port;
	nat_frame(&in, &m, true, false);
	nat_frame(&want, &t, true, false);
	expect(&in, PASS, &want);
}

/* From where nobody sends: dropped, and no place is taken. */
static void no_senders(void)
{
	static const char *const from4[] = {"0.0.0.0",	 "0.1.2.3",	    "127.0.0.1",    "224.0.0.1",
					    "239.1.2.3", "255.255.255.255", "203.0.113.10", "203.0.113.12"},
				 *const from6[] = {"::", "::1", "ff02::1", "2001:db8::10", "2001:db8::12"};
	struct frame in;
	struct make m;
	uint32_t i;

	what = "a packet from where nobody sends";
	for (i = 0; i < sizeof(from4) / sizeof(*from4); i++) {
		m = nat_make(&tcp4, &syn, false);
		m.src = from4[i];
		nat_frame(&in, &m, false, false);
		expect_reason(&in, 0, BALANCE_DROP_DAMAGED, DROP);
	}
	for (i = 0; i < sizeof(from6) / sizeof(*from6); i++) {
		m = nat_make(&tcp6, &syn, false);
		m.src = from6[i];
		nat_frame(&in, &m, false, false);
		expect_reason(&in, 3, BALANCE_DROP_DAMAGED, DROP);
	}
	what = "a packet from the last and the first that may send";
	for (i = 0; i < 2; i++) {
		struct known k = tcp4;

		snprintf(k.client.addr, TEXT, "%s", i ? "223.255.255.255" : "1.0.0.1");
		nat_forth(&k, &syn);
	}
}

/* A frame to many is nobody's to translate, either way, in a straight line or not. */
static void to_many(void)
{
	const struct known *all[] = {&tcp4, &tcp6, &echo4, &echo6};
	struct frame in;
	struct make m;
	uint32_t i;

	what = "a frame to many";
	for (i = 0; i < 16; i++) {
		m = nat_make(all[i % 4], &(struct make){.flags = 0x10, .payload = 16, .n_tags = i / 8}, i & 4);
		nat_frame(&in, &m, i & 4, false);
		in.b[0] |= 1;
		expect(&in, PASS, &in);
	}
}

static void other_protocols(void)
{
	struct make m = {.src = "198.51.100.77", .dst = "203.0.113.12", .proto = 47, .payload = 40};
	struct frame in;

	what = "GRE cannot be translated";
	frame_make(&in, &m);
	expect_reason(&in, 2, BALANCE_DROP_MODE, DROP);
	what = "an echo reply from a client";
	m.proto = 1;
	frame_make(&in, &m);
	in.b[in.l4] = 0;
	expect_reason(&in, 2, BALANCE_DROP_MODE, DROP);
	what = "a header of TCP cut short";
	m = nat_make(&tcp4, &(struct make){.flags = 0x10}, false);
	nat_frame(&in, &m, false, false);
	in.len -= 4;
	expect_reason(&in, 0, BALANCE_DROP_DAMAGED, DROP);
}

/* A packet in two fragments, each way: the later one goes where the first went, with the same new identification. */
static void fragments(const struct known *k, bool back)
{
	struct make like = {.flags = 0x10, .payload = 24, .more = true, .ident = 0x1234},
		    later = {.offset = 4, .payload = 40, .ident = 0x1234};
	struct make m = nat_make(k, &like, back), t = m;
	struct frame in, out = {.len = 0}, want;
	bool six = strchr(k->client.addr, ':');
	uint32_t verdict = back ? REDIRECT : TX;

	what = "a later fragment before its first";
	later = nat_make(k, &later, back);
	frame_make(&in, &later);
	if (back)
		expect(&in, PASS, &in);
	else
		expect_reason(&in, -1, BALANCE_DROP_NO_FIRST, DROP);
	what = "a first fragment";
	t.src = back ? k->virtual.addr : k->pool.addr;
	t.dst = back ? k->client.addr : k->backend.addr;
	t.sport = back ? k->virtual.port : k->pool.port;
	t.dport = back ? k->client.port : k->backend.port;
	frame_make(&in, &m);
	if (bed_run(&bed, &in, &out) != verdict)
		fail("%s is not forwarded", what);
	if (!six)
		t.ident = (uint16_t)(out.b[in.l3 + 4] << 8 | out.b[in.l3 + 5]);
	if (!six && t.ident == 0x1234)
		fail("%s has its own identification", what);
	frame_make(&want, &t);
	nat_hop(&want);
	macs(&want, back);
	expect(&in, verdict, &want);
	what = "a later fragment";
	frame_make(&in, &later);
	later.src = t.src;
	later.dst = t.dst;
	later.ident = t.ident;
	frame_make(&want, &later);
	nat_hop(&want);
	macs(&want, back);
	expect(&in, verdict, &want);
}

/* The word of an IPv4 flow's place, as the program has it. */
static uint32_t word_of(const struct known *k)
{
	size_t bytes = 4 * NAT_BUCKETS * sizeof(struct nat_bucket4);
	struct net_addr pool = addr(k->pool.addr), first = addr("192.0.2.16");
	uint32_t number = pool.bytes[3] - first.bytes[3], word;
	struct nat_bucket4 *b;
	struct sluice_err err;
	int fd = sluice_object_map_fd(bed.b.obj, "balance_nat4", &err);

	b = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (b == MAP_FAILED)
		fail("%s: its flows cannot be read", what);
	word = b[number * NAT_BUCKETS + k->pool.port / NAT_WAYS].place[k->pool.port % NAT_WAYS].word;
	munmap(b, bytes);
	return word;
}

/* What segments of a client that has seen no answer do to its flow: nothing, and its time stands still. */
static void no_ack(void)
{
	static const uint8_t nothing[] = {0x00, 0x08, 0x01, 0x02, 0x29, 0xc2};
	struct known k = {6, {"198.51.100.78", 815}, {"203.0.113.10", 80}, {"", 0}, {"", 0}, false};
	uint32_t word, i;

	what = "a segment without ACK";
	k = *nat_forth(&k, &syn);
	if (NAT_STATE(word_of(&k)) != NAT_NEW)
		fail("%s: the flow is not new", what);
	nat_back(&k, &(struct make){.flags = 0x12, .payload = 8});
	word = word_of(&k);
	if (NAT_STATE(word) != NAT_ANSWERED)
		fail("%s: the flow is not answered", what);
	bed.now += 20000000000;
	for (i = 0; i < sizeof(nothing); i++) {
		nat_forth(&k, &(struct make){.flags = nothing[i], .payload = 8});
		if (word_of(&k) != word)
			fail("%s: flags %02x make %08x of %08x", what, nothing[i], word_of(&k), word);
	}
	nat_forth(&k, &ack);
	word = word_of(&k);
	if (NAT_STATE(word) != NAT_KEPT)
		fail("%s: with ACK, it is not kept", what);
	nat_forth(&k, &(struct make){.flags = 0x01, .payload = 8});
	if (word_of(&k) != word)
		fail("%s: a FIN without ACK ends the flow", what);
	nat_forth(&k, &(struct make){.flags = 0x11, .payload = 8});
	if (NAT_STATE(word_of(&k)) != NAT_CLIENT_ENDS)
		fail("%s: a FIN does not end the flow", what);
	nat_forth(&k, &(struct make){.flags = 0x04, .payload = 8});
	if (NAT_STATE(word_of(&k)) != NAT_CLOSED)
		fail("%s: a RST does not close the flow", what);
}

/*
 * The backend crashed while the flow was half closed, and its client takes the same port again: the backend's SYN-ACK begins a
 * connection, which is kept as long as any. The client's SYN alone changes nothing.
 */
static void begun_again(void)
{
	static const uint8_t syn_ack = 0x12, fin = 0x11;
	struct known k = {6, {"198.51.100.79", 816}, {"203.0.113.10", 80}, {"", 0}, {"", 0}, false};
	uint32_t back, word;

	for (back = 0; back < 2; back++) {
		what = "a new connection over a half closed one";
		k.client.port++;
		k.pool.port = 0;
		k = *nat_forth(&k, &syn);
		nat_back(&k, &(struct make){.flags = syn_ack, .payload = 8});
		nat_forth(&k, &ack);
		if (back)
			nat_back(&k, &(struct make){.flags = fin, .payload = 8});
		else
			nat_forth(&k, &(struct make){.flags = fin, .payload = 8});
		word = word_of(&k);
		if (NAT_STATE(word) != (back ? NAT_BACKEND_ENDS : NAT_CLIENT_ENDS))
			fail("%s: it is not half closed", what);
		nat_forth(&k, &syn);
		if (word_of(&k) != word)
			fail("%s: its SYN changes the flow", what);
		nat_back(&k, &(struct make){.flags = syn_ack, .payload = 8});
		if (NAT_STATE(word_of(&k)) != NAT_ANSWERED)
			fail("%s: it is not answered", what);
		nat_forth(&k, &ack);
		if (NAT_STATE(word_of(&k)) != NAT_KEPT)
			fail("%s: it is not kept", what);
	}
}

/* The identification that a fragment of a client's packet gets. */
static uint32_t ident_of(const struct known *k, const struct make *like)
{
	struct make m = nat_make(k, like, false);
	struct frame in, out = {.len = 0};

	frame_make(&in, &m);
	n_compared++;
	if (bed_run(&bed, &in, &out) == DROP)
		fail("%s: packet %u is dropped", what, like->ident);
	return (uint32_t)out.b[in.l3 + 4] << 8 | out.b[in.l3 + 5];
}

/*
 * More packets in fragments than there are places, all of one client: the oldest give way. Their identifications come again after a turn, and
 * are no other client's.
 */
static void identifications(void)
{
	uint32_t n = kernel ? 3000 : 40000, i, now, last = 0, *seen = calloc(65536, sizeof(*seen)),
		 others = 0, far = 0;
	struct known k = {17, {"", 5000}, {"203.0.113.11", 53}, {"", 0}, {"", 0}, false};
	struct make m;
	struct frame in;

	if (!seen)
		fail("out of memory");
	what = "identifications of fragments";
	bed.now += 65 * 1000000000ull;
	for (i = 1; i <= n; i++, last = now) {
		now = ident_of(&udp4, &(struct make){.payload = 16, .more = true, .ident = i});
		if (seen[now] && i - seen[now] < NAT_IDENT_TURN)
			fail("%s: %04x after %u packets again", what, now, i - seen[now]);
		if (i > 1 && (now ^ last) / NAT_IDENT_TURN)
			fail("%s: %04x and %04x are of one client", what, last, now);
		seen[now] = i;
	}
	what = "the same first fragment once more";
	if (ident_of(&udp4, &(struct make){.payload = 16, .more = true, .ident = n}) != last)
		fail("%s: it has another identification", what);
	what = "later fragments of the last packets";
	for (i = n - 99; i <= n; i++)
		if (seen[ident_of(&udp4, &(struct make){.payload = 40, .offset = 3, .ident = i})] != i)
			fail("%s: packet %u has another identification than its first", what, i);
	if (!kernel) {
		what = "a later fragment of a packet that gave way";
		for (i = 1; i <= 1000; i++) {
			m = nat_make(&udp4, &(struct make){.payload = 40, .offset = 3, .ident = i}, false);
			frame_make(&in, &m);
			far += bed_run(&bed, &in, &(struct frame){.len = 0}) == DROP;
		}
		if (far < 900)
			fail("%s: %u of 1000 were dropped", what, far);
	}
	what = "identifications of other clients' fragments";
	for (i = 0; i < 64; i++) {
		snprintf(k.client.addr, sizeof(k.client.addr), "198.51.100.%u", 100 + i);
		now = ident_of(&k, &(struct make){.payload = 16, .more = true, .ident = 7});
		others += (now ^ last) / NAT_IDENT_TURN != 0;
	}
	if (others < 55)
		fail("%s: %u of 64 are apart", what, others);
	free(seen);
}

/* Any bytes anywhere behind the MAC addresses: nothing faults, and a packet that is translated is as long as it was. */
static void damage(void)
{
	const struct known *all[] = {&tcp4, &udp4, &echo4, &tcp6, &echo6};
	uint64_t x = seed_now * 77 + 5;
	struct frame in, out;
	struct make m;
	uint32_t i, k, verdict;

	what = "damaged";
	for (i = 0; i < (kernel ? 2000 : 30000); i++) {
		m = nat_make(all[i % 5], &(struct make){.flags = 0x10, .payload = 40, .options = i % 3}, i & 8);
		nat_frame(&in, &m, i & 8, false);
		for (k = 0; k < 1 + i % 3; k++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			in.b[12 + (x >> 33) % (in.len - 12)] = (uint8_t)(x >> 56);
		}
		if (i % 7 == 0)
			in.len = 14 + (uint32_t)(x >> 40) % (in.len - 14);
		memset(&out, 0, sizeof(out));
		verdict = bed_run(&bed, &in, &out);
		if (verdict != PASS && verdict != DROP && verdict != TX && verdict != REDIRECT)
			fail("verdict %u", verdict);
		n_compared++;
	}
}

/* Of known flows what is too large for the way is told its sender, either way. */
static void too_large(void)
{
	static const struct {
		struct known *k;
		int service;
	} all[] = {{&tcp4, 0}, {&udp4, 1}, {&tcp6, 3}};
	struct frame in;
	struct make m;
	uint32_t i, back;

	what = "too large for the way";
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (back = 0; back < 2; back++) {
			m = nat_make(all[i].k, &(struct make){.flags = 0x10, .payload = 1600}, back);
			nat_frame(&in, &m, back, false);
			expect_reason(&in, all[i].service, BALANCE_DROP_TOO_BIG_TOLD, TX);
		}
}

static uint64_t asked(int service)
{
	return bed_reason(&bed, service, BALANCE_NOTE_LOOKUP);
}

/* The way to a client is asked once in a tick, of 4 s. */
static void asked_again(void)
{
	const struct known *all[] = {&tcp4, &tcp6};
	static const int service[] = {0, 3};
	uint64_t before;
	uint32_t i;

	what = "the way to a client";
	for (i = 0; i < 2 && !kernel; i++) {
		bed.now += 8000000000;
		before = asked(service[i]);
		nat_back(all[i], &ack);
		nat_back(all[i], &ack);
		if (asked(service[i]) != before + 1)
			fail("%s was asked %u times", what, (uint32_t)(asked(service[i]) - before));
	}
}

/* A known flow whose backend is down gets another one, and what the old one still says is nobody's; it stays where the backend drains. */
static void backend_goes(struct known *flow, uint32_t service)
{
	struct balance_service *s = bed.m.services[service];
	struct balance_backend *b = NULL;
	struct known k = *flow;
	struct net_addr a;
	struct frame in;
	struct make m;
	uint32_t i;

	what = "the backend drains";
	k.client.port++;
	k = *nat_forth(&k, &syn);
	nat_back(&k, &ack);
	nat_forth(&k, &ack);
	a = addr(k.backend.addr);
	for (i = 0; i < s->n_backends; i++)
		if (!memcmp(&s->backends[i].addr, &a, sizeof(a)))
			b = &s->backends[i];
	if (!b)
		fail("%s: it is not there", what);
	b->drain = true;
	bed_change(&bed);
	nat_forth(&k, &ack);
	nat_back(&k, &ack);
	b->drain = false;
	b->health = BALANCE_DOWN;
	bed_change(&bed);
	what = "the backend is down";
	*flow = k;
	nat_forget(nat_lookup(&k));
	k = *nat_forth(&k, &ack);
	if (!strcmp(k.backend.addr, flow->backend.addr))
		fail("%s: the flow stays", what);
	m = nat_make(flow, &ack, true);
	nat_frame(&in, &m, true, false);
	expect_reason(&in, -1, BALANCE_NOTE_UNCLAIMED, PASS);
	b->health = BALANCE_UP;
	bed_change(&bed);
}

void nat_odd(void)
{
	struct known other4 = tcp4, other6 = tcp6;

	what = "flows";
	tcp4 = *nat_forth(&tcp4, &syn);
	nat_back(&tcp4, &ack);
	udp4 = *nat_forth(&udp4, &ack);
	nat_back(&udp4, &ack);
	echo4 = *nat_forth(&echo4, &ack);
	nat_back(&echo4, &ack);
	tcp6 = *nat_forth(&tcp6, &syn);
	nat_back(&tcp6, &ack);
	echo6 = *nat_forth(&echo6, &ack);
	nat_back(&echo6, &ack);
	errors();
	spoofed();
	hops();
	too_large();
	asked_again();
	backend_goes(&other4, 0);
	backend_goes(&other6, 3);
	to_many();
	no_senders();
	left_to_the_kernel(&tcp4, "10.10.0.77");
	left_to_the_kernel(&tcp6, "fd00:10::77");
	other_protocols();
	fragments(&tcp4, false);
	fragments(&tcp4, true);
	fragments(&tcp6, false);
	fragments(&tcp6, true);
	no_ack();
	begun_again();
	identifications();
	damage();
}
