// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * samples-check ENGINE: what rules with `log` sample comes out of the ring with its rule and bytes, and what finds no
 * room there is counted. ENGINE: interp, jit or kernel. Exits 1 at the first difference, 4 where the engine cannot be
 * used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sluice/object.h>
#include <sluice/packet.h>

#include "control/samples.h"
#include "filter_pair.h"

#define RECORD (8 + sizeof(struct filter_event))
#define RING_ROOM ((256u << 10) / RECORD) /* samples that fit in, but for the one that would make it full */

#define CHECK(x)                                                                                                       \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			fail("line %d: %s", __LINE__, #x);                                                             \
	} while (0)

static const char rules[] = "filter on eth0 {\n"
			    "	log max 1M/s  drop udp to port 53 as \"dns\"\n"
			    "	log 1/3 max 1M/s  count tcp to port 80\n"
			    "	log max 1M/s  limit icmp to 1/d burst 1 as \"ping\"\n"
			    "	count tcp to port 22\n"
			    "	log max 1M/s  pass tcp to port 7\n"
			    "	default drop\n"
			    "}\n";

static struct pair a;
static struct control_samples *samples;
static uint64_t lost;

struct seen {
	uint32_t n, rule[8], over;
	char text[8][200];
	uint32_t length[8], captured[8], stop_at;
};

static bool note(void *ctx, const struct control_sample *s)
{
	struct seen *seen = ctx;
	char *text = sluice_packet_text(s->event->bytes, s->event->captured);
	uint32_t i = seen->n++;

	CHECK(s->stmt && s->filter == &a.p->filters[0] && s->stmt == &s->filter->stmts[s->event->rule]);
	if (i < 8) {
		seen->rule[i] = s->event->rule;
		seen->over |= (uint32_t)s->event->over << i;
		seen->length[i] = s->event->length;
		seen->captured[i] = s->event->captured;
		snprintf(seen->text[i], sizeof(seen->text[i]), "%s", text ? text : "");
	}
	free(text);
	return seen->n != seen->stop_at;
}

static void put(const char *words, uint32_t want)
{
	uint8_t frame[2048];
	size_t len;

	CHECK(!sluice_packet_build(words, frame, sizeof(frame), &len, NULL));
	CHECK(pair_run(&a, frame, (uint32_t)len, 1, NOW) == want);
}

static struct seen take(uint32_t stop_at)
{
	struct seen seen = {.stop_at = stop_at};
	struct sluice_err err = {0};
	int n = control_samples_read(samples, 0, note, &seen, &err);

	if (n < 0)
		fail("%s", err.text);
	CHECK((uint32_t)n == seen.n);
	CHECK(!control_samples_check(samples, &lost, &err));
	return seen;
}

/* Each rule, its words, verdict and bytes. */
static void each_rule(void)
{
	static const char big[] = "eth / ipv4 src 192.0.2.1 dst 192.0.2.2 / tcp sport 9 dport 7 flags ack / zeros 1000";
	struct seen seen;

	put("eth / ipv4 src 192.0.2.7 dst 192.0.2.1 / udp sport 1000 dport 53 / pad 60", 1);
	put("eth / ipv4 / tcp dport 22 / pad 60", 1);
	put("eth / ipv4 / icmp / pad 60", 1);
	put("eth / ipv4 / icmp / pad 60", 1);
	put("eth / vlan id 7 / ipv6 / tcp dport 7 flags syn / pad 90", 2);
	put(big, 2);
	seen = take(0);
	CHECK(seen.n == 4 && lost == 0);
	CHECK(seen.rule[0] == 0 && seen.rule[1] == 2 && seen.rule[2] == 4 && seen.rule[3] == 4);
	CHECK(seen.over == 2);
	CHECK(!strcmp(seen.text[0], "eth / ipv4 src 192.0.2.7 dst 192.0.2.1 / udp sport 1000 dport 53 / pad 60"));
	CHECK(strstr(seen.text[2], "eth / vlan id 7 / ipv6 src 2001:db8::1 dst 2001:db8::2 / tcp sport 40000 dport 7 flags syn"));
	CHECK(seen.length[2] == 90 && seen.captured[2] == 90);
	CHECK(seen.length[3] == 1054 && seen.captured[3] == FILTER_SAMPLE);
}

/* One in three; a reader that stops goes on where it stopped. */
static void some(void)
{
	struct seen seen;
	int i;

	for (i = 0; i < 9; i++)
		put("eth / ipv4 / tcp dport 80 / pad 60", 1);
	seen = take(2);
	CHECK(seen.n == 2 && lost == 0);
	seen = take(0);
	CHECK(seen.n == 1 && seen.rule[0] == 1 && lost == 0);
	seen = take(0);
	CHECK(seen.n == 0 && lost == 0);
}

/* More than the ring holds: the rest is lost, and told; what comes later has room again. */
static void too_many(void)
{
	struct seen seen;
	uint64_t all = RING_ROOM + 500, i;

	for (i = 0; i < all; i++)
		put("eth / ipv4 / udp dport 53 / pad 60", 1);
	CHECK(!control_samples_check(samples, &lost, NULL));
	CHECK(lost >= 499 && lost <= 501);
	seen = take(0);
	CHECK(seen.n + lost == all);
	for (i = 0; i < 10; i++)
		put("eth / ipv4 / udp dport 53 / pad 60", 1);
	all += 10;
	seen.n += take(0).n;
	CHECK(seen.n + lost == all);
	printf("%u of %u samples, %u lost\n", seen.n, (unsigned int)all, (unsigned int)lost);
}

int main(int argc, char **argv)
{
	struct buf text = {0};
	struct sluice_err err = {0};
	struct policy *p;
	uint32_t before;

	if (argc != 2)
		return 2;
	pair_engine(argv[1]);
	buf_put(&text, rules, sizeof(rules) - 1);
	text_now = &text;
	p = pair_parse(&text);
	if (!pair_start(&a, p, 0))
		return 1;
	/* samples from before the reader came are handed out, and are not lost */
	put("eth / ipv4 / udp dport 53 / pad 60", 1);
	if (control_samples_open_ring(sluice_object_map_fd(a.f.obj, "filter_samples", NULL),
				      sluice_object_map_fd(a.f.obj, "filter_more", NULL), p, 0, &samples, &err))
		fail("%s", err.text);
	before = take(0).n;
	CHECK(before == 1 && lost == 0);
	each_rule();
	some();
	too_many();
	control_samples_close(samples);
	policy_free(p);
	buf_free(&text);
	return 0;
}
