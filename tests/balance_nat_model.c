// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The slow translation: balance_nat_model.h. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance_nat_model.h"

struct bed bed;
const char *what = "?";
uint32_t n_compared;

const struct nat_service services[] = {
	{"203.0.113.10", "10.1.0.1,10.1.0.2,10.1.0.3", "192.0.2.", 80, 8080, 6},
	{"203.0.113.11", "10.1.0.1,10.1.0.4", "192.0.2.", 53, 0, 17},
	{"203.0.113.12", "10.1.0.5,10.1.0.6", "192.0.2.", 0, 0, 0},
	{"2001:db8::10", "2001:db8:1::1,2001:db8:1::2", "2001:db8:9::", 80, 8080, 6},
	{"2001:db8::12", "2001:db8:1::5,2001:db8:1::6", "2001:db8:9::", 0, 0, 0},
};
const size_t n_services = sizeof(services) / sizeof(*services);

static struct known *flows;
static size_t n_flows, room;

struct make nat_make(const struct known *k, const struct make *like, bool back)
{
	struct make m = *like;

	m.src = back ? k->backend.addr : k->client.addr;
	m.dst = back ? k->pool.addr : k->virtual.addr;
	m.sport = back ? k->backend.port : k->client.port;
	m.dport = back ? k->pool.port : k->virtual.port;
	m.proto = k->proto;
	return m;
}

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static uint16_t sum6(const struct frame *f, uint32_t proto)
{
	const uint8_t *ip = f->b + f->l3;
	uint32_t len = f->len - f->l4;

	return frame_sum(f->b + f->l4, len, (uint16_t)~frame_sum(ip + 8, 32, len + proto));
}

/* An echo's identifier stands in its ports: of requests the first, of replies the second. */
void nat_frame(struct frame *f, const struct make *m, bool reply, bool no_sum)
{
	bool six = m->proto == 58;
	uint8_t *icmp;

	frame_make(f, m);
	icmp = f->b + f->l4;
	if (m->proto == 17 && no_sum && !m->offset)
		put16(icmp + 6, 0);
	else if (m->proto == 17 && !m->offset && !icmp[6] && !icmp[7])
		put16(icmp + 6, 0xffff); /* 0 would be none */
	if ((m->proto != 1 && !six) || m->offset)
		return;
	if (m->payload < 8)
		fail("an echo needs 8 bytes");
	icmp[0] = (uint8_t)(six ? 128 + reply : reply ? 0 : 8);
	icmp[1] = 0;
	put16(icmp + 4, reply ? m->dport : m->sport);
	put16(icmp + 2, 0);
	put16(icmp + 2, six ? sum6(f, 58) : frame_sum(icmp, f->len - f->l4, 0));
}

void nat_hop(struct frame *f)
{
	uint8_t *ip = f->b + f->l3;

	if (ip[0] >> 4 == 6) {
		ip[7]--;
		return;
	}
	ip[8]--;
	put16(ip + 10, 0);
	put16(ip + 10, frame_sum(ip, (ip[0] & 15) * 4, 0));
}

/* What it leaves with: back where it came from, tags and all, or by interface 7 without them. */
void macs(struct frame *f, bool out)
{
	static const uint8_t to[2][12] = {{2, 0, 0, 0, 0, 0xb1, 2, 0, 0, 0, 0, 0xb2},
					  {2, 0, 0, 0, 0, 0xc1, 2, 0, 0, 0, 0, 0xc2}};
	uint32_t tags = f->l3 - 14;

	memcpy(f->b, to[out], 12);
	if (!out || !tags)
		return;
	memmove(f->b + 12, f->b + 12 + tags, f->len - 12 - tags);
	f->len -= tags;
	f->l3 -= tags;
	f->l4 -= tags;
}

static void show(const char *name, const struct frame *f)
{
	uint32_t i;

	printf("%s, %u bytes:", name, f->len);
	for (i = 0; i < f->len && i < 160; i++)
		printf("%s%02x", i % 16 ? " " : "\n  ", f->b[i]);
	putchar('\n');
}

static void compare(const struct frame *in, const struct frame *out, uint32_t got, uint32_t verdict, const struct frame *want)
{
	n_compared++;
	if (got == verdict && (!want || (out->len == want->len && !memcmp(out->b, want->b, want->len))))
		return;
	show("in", in);
	show("out", out);
	if (want)
		show("expected", want);
	fail("%s: verdict %u, should be %u", what, got, verdict);
}

void expect(const struct frame *in, uint32_t verdict, const struct frame *want)
{
	struct frame out = {.len = 0};
	uint32_t got = bed_run(&bed, in, &out);

	compare(in, &out, got, verdict, want);
}

void expect_reason(const struct frame *in, int s, enum balance_reason reason, uint32_t verdict)
{
	uint64_t before = bed_reason(&bed, s, reason);

	expect(in, verdict, verdict == PASS ? in : NULL);
	if (bed_reason(&bed, s, reason) != before + 1)
		fail("%s: reason %u was not counted", what, reason);
}

static bool same_end(const struct nat_end *a, const struct nat_end *b)
{
	return a->port == b->port && !strcmp(a->addr, b->addr);
}

struct known *nat_lookup(const struct known *flow)
{
	size_t i;

	for (i = n_flows; i--;)
		if (!flows[i].gone && flows[i].proto == flow->proto && same_end(&flows[i].client, &flow->client) &&
		    same_end(&flows[i].virtual, &flow->virtual))
			return &flows[i];
	return NULL;
}

void nat_forget(struct known *k)
{
	k->gone = true;
}

static const struct nat_service *service_of(const struct known *k)
{
	size_t i;

	for (i = 0; i < n_services; i++)
		if (!strcmp(services[i].virtual, k->virtual.addr))
			return &services[i];
	fail("no service has %s", k->virtual.addr);
}

/* Who a translated packet is from and to: what the program chose. */
static void chosen(const struct frame *f, struct known *k)
{
	const uint8_t *ip = f->b + f->l3, *l4 = f->b + f->l4;
	bool six = ip[0] >> 4 == 6, echo = k->proto == 1 || k->proto == 58;

	inet_ntop(six ? AF_INET6 : AF_INET, ip + (six ? 8 : 12), k->pool.addr, TEXT);
	inet_ntop(six ? AF_INET6 : AF_INET, ip + (six ? 24 : 16), k->backend.addr, TEXT);
	k->pool.port = (uint16_t)(echo ? l4[4] << 8 | l4[5] : l4[0] << 8 | l4[1]);
	k->backend.port = (uint16_t)(echo ? 0 : l4[2] << 8 | l4[3]);
}

static bool in_list(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *at;

	for (at = strstr(list, word); at; at = strstr(at + 1, word))
		if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ','))
			return true;
	return false;
}

/* A new flow's address and port: of the pool, a backend of the service, and nobody else's. */
static void check_new(const struct known *k)
{
	const struct nat_service *s = service_of(k);
	uint16_t port = s->to_port ? s->to_port : k->virtual.port;
	size_t i;

	if (!in_list(s->backends, k->backend.addr) || k->backend.port != port)
		fail("%s: to %s port %u, which is no backend", what, k->backend.addr, k->backend.port);
	if (strncmp(k->pool.addr, s->pool, strlen(s->pool)) || k->pool.port < 1024)
		fail("%s: from %s port %u, which is not of the pool", what, k->pool.addr, k->pool.port);
	for (i = 0; i < n_flows; i++)
		if (!flows[i].gone && same_end(&flows[i].pool, &k->pool))
			fail("%s: %s port %u is the flow's of %s port %u", what, k->pool.addr, k->pool.port,
			     flows[i].client.addr, flows[i].client.port);
}

struct known *nat_forth(const struct known *flow, const struct make *like)
{
	struct make m = nat_make(flow, like, false), t;
	struct frame in, out = {.len = 0}, want;
	struct known k = *flow, *old = nat_lookup(flow);
	bool no_sum = like->ident == 0xffff;
	uint32_t got;

	nat_frame(&in, &m, false, no_sum);
	got = bed_run(&bed, &in, &out);
	out.l3 = in.l3;
	out.l4 = in.l4;
	if (got != TX)
		compare(&in, &out, got, TX, NULL);
	if (old) {
		k = *old;
	} else {
		chosen(&out, &k);
		check_new(&k);
	}
	t = m;
	t.src = k.pool.addr;
	t.dst = k.backend.addr;
	t.sport = k.pool.port;
	t.dport = k.backend.port;
	nat_frame(&want, &t, false, no_sum);
	nat_hop(&want);
	macs(&want, false);
	compare(&in, &out, got, TX, &want);
	if (old)
		return old;
	if (n_flows == room) {
		room = room ? room * 2 : 64;
		flows = realloc(flows, room * sizeof(*flows));
		if (!flows)
			fail("out of memory");
	}
	flows[n_flows] = k;
	return &flows[n_flows++];
}

void nat_back(const struct known *k, const struct make *like)
{
	struct make m = nat_make(k, like, true), t = m;
	bool no_sum = like->ident == 0xffff;
	struct frame in, want;

	nat_frame(&in, &m, true, no_sum);
	t.src = k->virtual.addr;
	t.dst = k->client.addr;
	t.sport = k->virtual.port;
	t.dport = k->client.port;
	nat_frame(&want, &t, true, no_sum);
	nat_hop(&want);
	macs(&want, true);
	expect(&in, REDIRECT, &want);
}
