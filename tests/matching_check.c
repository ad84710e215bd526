// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * matching-check: pcap expressions in the packet path against libpcap itself, and against the oracle.
 *
 *   list ENGINE FILE SEED PACKETS      every expression of a file on random frames, each cut at every length too
 *   capture ENGINE FILE CAPTURE        the same on the packets of a capture
 *   split FILE SEED PACKETS            packets in several buffers, the first ending anywhere (kernel)
 *   chain IF PEER FILE CAPTURE         two filters in the chain of an interface, packets through it from its peer
 *   programs ENGINE SEED ROUNDS PACKETS   random programs of classic BPF
 *
 * ENGINE: interp, jit (of the user-space engine) or kernel. Exits 1 at the first difference, 4 where the
 * engine cannot be used.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <bpf/bpf.h>
#include <sluice/chain.h>
#include <sluice/object.h>

#include "filter_pair.h"
#include "matching_frames.h"
#include "matching_theirs.h"
#include "policy/cbpf.h"
#include "policy_random.h"
#include "port/pcap.h"

#define GROUP FILTER_MATCHING_MOST /* expressions in a filter */
#define EXPRESSIONS 512

struct group {
	char *text[GROUP];
	struct theirs *theirs[GROUP];
	uint64_t matched[GROUP], bytes[GROUP];
	uint32_t n;
	struct buf policy;
	struct policy *p;
	struct pair a;
};

static char *all[EXPRESSIONS];
static uint32_t n_all;
static uint64_t n_answers, n_yes, n_insns, n_verified;

static void read_list(const char *path)
{
	char line[1200];
	FILE *f = fopen(path, "re");

	if (!f)
		fail("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		if (n_all == EXPRESSIONS || !(all[n_all++] = strdup(line)))
			fail("%s: too many expressions", path);
	}
	fclose(f);
}

/* What was loaded: instructions of expressions, and those the kernel's verifier went through. */
static void account(const struct pair *a)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	n_insns += a->t->n_matching;
	if (kernel && !bpf_obj_get_info_by_fd(a->f.prog_fd, &info, &len))
		n_verified += info.verified_insns;
}

/* Every second rule has `not`; the last decides by one of the expressions, so that verdicts differ too. */
static void group_say(struct group *g)
{
	const char *c;
	uint32_t i, of;

	buf_printf(&g->policy, "filter on eth0 {\n");
	for (i = 0; i <= g->n; i++) {
		of = i < g->n ? i : g->n / 2;
		buf_printf(&g->policy, "%s %smatching \"", i < g->n ? "count" : "drop", i % 2 ? "not " : "");
		for (c = g->text[of]; *c; c++)
			buf_printf(&g->policy, *c == '\\' ? "\\\\" : "%c", *c);
		buf_printf(&g->policy, "\"\n");
	}
	buf_printf(&g->policy, "}\n");
}

static void group_start(struct group *g, uint32_t from)
{
	uint32_t i;

	memset(g, 0, sizeof(*g));
	for (i = from; i < n_all && i < from + GROUP; i++, g->n++) {
		g->text[g->n] = all[i];
		g->theirs[g->n] = theirs_compile(all[i]);
		if (!g->theirs[g->n])
			fail("libpcap refuses %s", all[i]);
	}
	group_say(g);
	g->p = pair_parse(&g->policy);
	if (!pair_start(&g->a, g->p, 0))
		fail("the expressions have no room");
	account(&g->a);
}

/* What libpcap says of a packet, as the counters of the rules should have it. */
static void group_expect(struct group *g, const uint8_t *frame, uint32_t len)
{
	uint32_t i;
	bool yes;

	for (i = 0; i < g->n; i++) {
		yes = theirs_matches(g->theirs[i], frame, len);
		n_yes += yes;
		n_answers++;
		if (yes != (i % 2)) {
			g->matched[i]++;
			g->bytes[i] += len;
		}
	}
}

static void group_ask(struct group *g, const uint8_t *frame, uint32_t len)
{
	if (kernel && len < 14) /* its test run takes no less; more than a page is in several buffers */
		return;
	pair_ask(&g->a, frame, len, 1, NOW);
	group_expect(g, frame, len);
}

static void group_free(struct group *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++)
		theirs_free(g->theirs[i]);
	policy_free(g->p);
	buf_free(&g->policy);
}

/* The counters, which pair_stop() compares with the packet path's, are those that libpcap wants. */
static void group_stop(struct group *g)
{
	const struct policy_count *c;
	uint32_t i;

	for (i = 0; i < g->n; i++) {
		c = policy_oracle_count(g->a.o, i);
		if (c->packets != g->matched[i] || c->bytes != g->bytes[i])
			fail("%s: the rule counts %llu packets, libpcap %llu", g->text[i],
			     (unsigned long long)c->packets, (unsigned long long)g->matched[i]);
	}
	pair_stop(&g->a);
	group_free(g);
}

static void list(uint32_t packets)
{
	struct random_state r = {seed * 0x9e3779b97f4a7c15 | 1};
	uint8_t frame[FRAME_ROOM];
	uint32_t from, i, len, cut;
	struct group g;

	for (from = 0; from < n_all; from += GROUP) {
		group_start(&g, from);
		for (i = 0; i < packets; i++) {
			len = matching_frame(&r, frame);
			group_ask(&g, frame, len);
			if (i % 100 == 0)
				for (cut = len < 200 ? len : 200; cut-- > 0;)
					group_ask(&g, frame, cut);
		}
		group_stop(&g);
	}
}

static void capture(const char *path)
{
	const struct traffic_frame *f;
	struct port_pcap cap;
	struct sluice_err err;
	uint32_t from, i;
	struct group g;

	if (port_pcap_read(path, FRAME_ROOM, &cap, &err))
		fail("%s", err.text);
	f = (const void *)cap.frames.data;
	for (from = 0; from < n_all; from += GROUP) {
		group_start(&g, from);
		for (i = 0; i < cap.n_frames; i++)
			group_ask(&g, cap.bytes.data + f[i].at, f[i].len);
		group_stop(&g);
	}
	port_pcap_free(&cap);
}

/* Counters alone: what other conditions say of a packet in several buffers is the first one's affair. */
static void split_stop(struct group *g)
{
	struct filter_count counts[GROUP + 2];
	struct sluice_err err;
	uint32_t i;

	if (control_filter_counts(&g->a.f, counts, &err))
		fail("%s", err.text);
	for (i = 0; i < g->n; i++)
		if (counts[i].packets != g->matched[i])
			fail("%s: %llu packets match, libpcap says %llu", g->text[i],
			     (unsigned long long)counts[i].packets, (unsigned long long)g->matched[i]);
	pair_free(&g->a);
	group_free(g);
}

static void split(uint32_t packets)
{
	struct random_state r = {seed * 0x9e3779b97f4a7c15 | 1};
	uint8_t frame[FRAME_ROOM];
	uint32_t from, i, len;
	struct xdp_md ctx = {.data_end = 0};
	struct group g;
	int e;

	for (from = 0; from < n_all; from += GROUP) {
		group_start(&g, from);
		for (i = 0; i < packets; i++) {
			LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .repeat = 1, .ctx_in = &ctx,
				    .ctx_size_in = sizeof(ctx));

			len = matching_frame(&r, frame);
			if (len < 15)
				continue;
			o.data_size_in = len;
			ctx.data_end = 14 + random_below(&r, len < 80 || random_below(&r, 2) ? len - 14 : 66);
			e = bpf_prog_test_run_opts(g.a.f.prog_fd, &o);
			if (e == -EINVAL && !n_answers) {
				printf("this kernel does not split packets\n");
				exit(4);
			}
			if (e)
				fail("running it: %s", strerror(-e));
			group_expect(&g, frame, len);
		}
		split_stop(&g);
	}
}

/* --- in a chain --- */

/* What of a capture the rules of two filters, one behind the other, should count; sends it through them. */
static uint32_t send_through(struct group *g, const char *path, unsigned int peer)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)peer, .sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const struct traffic_frame *f;
	struct port_pcap cap;
	struct sluice_err err;
	const uint8_t *frame;
	uint32_t i;

	if (fd < 0 || port_pcap_read(path, 1500, &cap, &err))
		fail("%s", fd < 0 ? strerror(errno) : err.text);
	f = (const void *)cap.frames.data;
	for (i = 0; i < cap.n_frames; i++) {
		frame = cap.bytes.data + f[i].at;
		if (sendto(fd, frame, f[i].len, 0, (const void *)&to, sizeof(to)) != (ssize_t)f[i].len)
			fail("sending packet %u: %s", i + 1, strerror(errno));
		group_expect(&g[0], frame, f[i].len);
		if (theirs_matches(g[0].theirs[g[0].n / 2], frame, f[i].len) == (g[0].n % 2))
			group_expect(&g[1], frame, f[i].len);
	}
	close(fd);
	i = cap.n_frames;
	port_pcap_free(&cap);
	return i;
}

/* Until the filter has seen n packets: all that were dropped by its last rule, or passed by none. */
static void wait_for(struct group *g, uint32_t n)
{
	struct filter_count counts[GROUP + 2];
	struct sluice_err err;
	uint64_t seen = 0;
	int tries;

	for (tries = 0; tries < 500; tries++) {
		if (control_filter_counts(&g->a.f, counts, &err))
			fail("%s", err.text);
		seen = counts[g->n].packets + counts[g->n + 1].packets;
		if (seen == n)
			return;
		usleep(10000);
	}
	fail("%llu packets came through, %u were sent", (unsigned long long)seen, n);
}

static void chain(unsigned int on, unsigned int peer, const char *path)
{
	struct sluice_member members[2] = {{.name = "first", .priority = 1, .go_on = 1 << XDP_PASS},
					   {.name = "second", .priority = 2, .go_on = -1}};
	struct sluice_err err;
	struct group g[2];
	uint32_t i;

	for (i = 0; i < 2; i++) {
		group_start(&g[i], i * GROUP);
		if (sluice_object_program(g[i].a.f.obj, "filter", &members[i].prog, &err))
			fail("%s", err.text);
	}
	if (sluice_chain_attach((int)on, members, 2, NULL, NULL, &err))
		fail("%s", err.text);
	wait_for(&g[0], send_through(g, path, peer));
	if (sluice_chain_detach((int)on, NULL, 0, NULL, &err))
		fail("%s", err.text);
	for (i = 0; i < 2; i++)
		split_stop(&g[i]);
}

/* --- random programs --- */

struct made {
	struct policy_insn insns[80];
	struct policy_cbpf cbpf;
	uint64_t matched;
	bool theirs; /* bpf_filter() can be asked: nothing is read that was not written */
};

static uint32_t any_value(struct random_state *r)
{
	static const uint32_t values[] = {0,	  1,	  2,	  3,	      14,	  31,
					  0x0800, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};

	return random_below(r, 2) ? values[random_below(r, 12)] : random_below(r, 300);
}

static uint32_t any_offset(struct random_state *r)
{
	static const uint32_t far[] = {0x3ffe, 0x3fff, 0x4000,	0x7ffe,	    0x7fff,	0x8000,
				       0xfffe, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};

	return random_below(r, 30) ? random_below(r, 90) : far[random_below(r, 12)];
}

static struct policy_insn any_insn(struct random_state *r, uint32_t left)
{
	static const uint8_t ops[] = {0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0};
	static const uint8_t jumps[] = {0x10, 0x20, 0x30, 0x40};
	struct policy_insn i = {.k = any_value(r)};
	uint32_t reach = left < 12 ? left : 12;

	switch (random_below(r, 10)) {
	case 0:
	case 1: /* ld abs, ind */
		i.code = (uint16_t)((random_below(r, 3) ? 0x20 : 0x40) | random_below(r, 3) * 8);
		i.k = any_offset(r);
		return i;
	case 2: /* ld imm, len, mem; ldx the same */
		i.code = (uint16_t)(random_below(r, 2) | (random_below(r, 3) == 0 ? 0
							  : random_below(r, 2)	  ? 0x80
										  : 0x60));
		i.k = (i.code & 0xe0) == 0x60 ? random_below(r, 16) : i.k;
		return i;
	case 3: /* ldx msh */
		i.code = 0xb1;
		i.k = any_offset(r);
		return i;
	case 4: /* st, stx */
		i.code = (uint16_t)(2 + random_below(r, 2));
		i.k = random_below(r, 16);
		return i;
	case 5: /* tax, txa */
		i.code = random_below(r, 2) ? 0x07 : 0x87;
		return i;
	case 6:
	case 7:
		i.code = (uint16_t)(4 | ops[random_below(r, 11)] | (random_below(r, 2) ? 8 : 0));
		if (i.code == 0x8c)
			i.code = 0x84; /* libpcap knows no other */
		if (i.code == 0x34 || i.code == 0x94)
			i.k += !i.k;
		if (i.code == 0x64 || i.code == 0x74)
			i.k %= 32;
		return i;
	default:
		i.code = (uint16_t)(5 | jumps[random_below(r, 4)] | (random_below(r, 2) ? 8 : 0));
		i.jt = (uint8_t)random_below(r, reach);
		i.jf = (uint8_t)random_below(r, reach);
		if (!random_below(r, 8))
			i = (struct policy_insn){.code = 5, .k = random_below(r, reach)};
		return i;
	}
}

static void make(struct random_state *r, struct made *m)
{
	uint32_t n = 2 + random_below(r, 50), at = 0, k;
	static const struct policy_insn returns[] = {{6, 0, 0, 0},
						     {6, 0, 0, 1},
						     {6, 0, 0, 262144},
						     {0x16, 0, 0, 0}};

	memset(m, 0, sizeof(*m));
	m->theirs = random_below(r, 2);
	if (m->theirs) /* what others may find in their scratch memory */
		m->insns[at++] = (struct policy_insn){.k = any_value(r)};
	for (k = 0; k < 16 && m->theirs; k++)
		m->insns[at++] = (struct policy_insn){.code = 2, .k = k};
	for (n += at; at + 2 < n; at++)
		m->insns[at] = random_below(r, 30) ? any_insn(r, n - at - 1) : returns[random_below(r, 4)];
	m->insns[at++] = returns[random_below(r, 4)];
	m->insns[at++] = returns[random_below(r, 4)];
	m->cbpf = (struct policy_cbpf){.text = "made", .insns = m->insns, .n = at};
	if (!cbpf_check(m->insns, at) || !theirs_valid(m->insns, at))
		fail("a random program is not sound");
}

/* A filter of so many rules, each of which gets a program in place of its expression. */
static struct policy *made_policy(struct random_state *r, struct made *m, uint32_t n, struct buf *text)
{
	struct policy *p;
	uint32_t i;

	buf_printf(text, "filter on eth0 {\n");
	for (i = 0; i < n; i++)
		buf_printf(text, "count matching \"len > %u\"\n", i);
	buf_printf(text, "}\n");
	p = pair_parse(text);
	text_now = NULL;
	for (i = 0; i < n; i++) {
		make(r, &m[i]);
		p->rulesets[0].rules[i].matching = &m[i].cbpf;
		p->filters[0].stmts[i].matches[0].cbpf = &m[i].cbpf;
	}
	return p;
}

static void say(const struct made *m)
{
	uint32_t i;

	for (i = 0; i < m->cbpf.n; i++)
		printf("%3u: %02x %u %u %#x\n", i, m->insns[i].code, m->insns[i].jt, m->insns[i].jf,
		       m->insns[i].k);
}

static void programs(uint32_t packets)
{
	struct random_state r = {seed * 0x9e3779b97f4a7c15 | 1};
	struct made m[24];
	uint32_t n = sizeof(m) / sizeof(*m), i, k, len, ours;
	struct buf text = {0};
	struct policy *p = made_policy(&r, m, n, &text);
	uint8_t frame[FRAME_ROOM];
	struct filter_count counts[25];
	struct sluice_err err;
	struct pair a;

	if (!pair_start(&a, p, 0))
		fail("the programs have no room");
	account(&a);
	for (k = 0; k < packets; k++) {
		len = matching_frame(&r, frame);
		if (kernel && len < 14)
			continue;
		pair_ask(&a, frame, len, 1, NOW);
		for (i = 0; i < n; i++) {
			ours = cbpf_run(m[i].insns, m[i].cbpf.n, frame, len, len);
			m[i].matched += ours != 0;
			n_yes += ours != 0;
			n_answers++;
			if (!m[i].theirs || theirs_run(m[i].insns, frame, len) == ours)
				continue;
			say(&m[i]);
			fail("a packet of %u bytes: %u, libpcap's answer is %u", len, ours,
			     theirs_run(m[i].insns, frame, len));
		}
	}
	if (control_filter_counts(&a.f, counts, &err))
		fail("%s", err.text);
	for (i = 0; i < n; i++)
		if (counts[i].packets != m[i].matched) {
			say(&m[i]);
			fail("it matches %llu packets, should be %llu", (unsigned long long)counts[i].packets,
			     (unsigned long long)m[i].matched);
		}
	pair_stop(&a);
	policy_free(p);
	buf_free(&text);
}

static int done(void)
{
	pair_done(); /* of its verdict of whether enough was compared, see below */
	printf("%llu answers, %llu of them yes; %llu instructions, %llu verified in the kernel\n",
	       (unsigned long long)n_answers, (unsigned long long)n_yes, (unsigned long long)n_insns,
	       (unsigned long long)n_verified);
	while (n_all)
		free(all[--n_all]);
	/* where hardly anything matches little is compared */
	return n_yes * 20 < n_answers;
}

int main(int argc, char **argv)
{
	uint64_t first;
	uint32_t i;

	if (argc == 6 && !strcmp(argv[1], "programs")) {
		pair_engine(argv[2]);
		first = strtoull(argv[3], NULL, 0);
		for (i = 0; i < strtoul(argv[4], NULL, 0); i++) {
			seed = first + i;
			programs((uint32_t)strtoul(argv[5], NULL, 0));
		}
		return done();
	}
	if (argc == 6 && !strcmp(argv[1], "list")) {
		pair_engine(argv[2]);
		read_list(argv[3]);
		seed = strtoull(argv[4], NULL, 0);
		list((uint32_t)strtoul(argv[5], NULL, 0));
		return done();
	}
	if (argc == 5 && !strcmp(argv[1], "capture")) {
		pair_engine(argv[2]);
		read_list(argv[3]);
		capture(argv[4]);
		return done();
	}
	if (argc == 6 && !strcmp(argv[1], "chain")) {
		pair_engine("kernel");
		read_list(argv[4]);
		chain(if_nametoindex(argv[2]), if_nametoindex(argv[3]), argv[5]);
		return done();
	}
	if (argc == 5 && !strcmp(argv[1], "split")) {
		pair_engine("kernel");
		read_list(argv[2]);
		seed = strtoull(argv[3], NULL, 0);
		split((uint32_t)strtoul(argv[4], NULL, 0));
		return done();
	}
	return 2;
}
