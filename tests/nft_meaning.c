// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * nft-meaning SENDER DEVICE FOLDER SEED POLICIES PACKETS: what sluice export nft writes, loaded into the kernel by nft,
 * counts just what the oracle counts.
 *
 *     SENDER ----veth---- DEVICE: table netdev sluice, random policies
 *
 * Random policies of what both can say; packets made for their rules, at the edges of their conditions; whole and sound,
 * at most one 802.1Q or 802.1ad tag. Every rule's counter is compared, and what limits dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "policy_random.h"
#include "policy/nft.h"
#include "policy/oracle.h"

enum { RULES = 25, COUNTERS = 512 };

static const char *device, *folder;
static uint64_t seed, n_sent, n_rules, n_left_out, n_counted;
static int sender;
static struct sockaddr_ll to_device;

static void fail(const char *what, const struct buf *text)
{
	printf("seed %llu: %s\n%.*s\n", (unsigned long long)seed, what, text ? (int)text->len : 0,
	       text ? (const char *)text->data : "");
	exit(1);
}

static struct policy *parse(const struct buf *text)
{
	struct policy_files files = {.read = random_files_read, .ctx = (void *)(uintptr_t)text};
	struct sluice_err err = {0};
	struct policy *p;

	if (policy_read("random.conf", &files, &p, &err))
		fail(err.text, text);
	return p;
}

/* --- policies that nft can say --- */

static bool sayable(struct random_state *r, struct policy_match *m)
{
	static const uint16_t types[] = {0x0800, 0x0806, 0x86dd, 0x88cc, 0x8847};
	uint32_t i;

	switch ((enum policy_field)m->field) {
	case POLICY_IN:
	case POLICY_MALFORMED:
	case POLICY_MATCHING:
	case POLICY_INNER_VLAN:
		return false;
	case POLICY_ETHER_TYPE:
		for (i = 0; i < m->list.n; i++)
			m->list.v[i].num.lo = m->list.v[i].num.hi = types[random_below(r, 5)];
		return true;
	default:
		return true;
	}
}

static void restrict_stmt(struct random_state *r, struct policy_stmt *s)
{
	uint32_t i, n = 0;

	for (i = 0; i < s->n_matches; i++)
		if (sayable(r, &s->matches[i]))
			s->matches[n++] = s->matches[i];
	s->n_matches = n;
	if (s->action == POLICY_REDIRECT || s->action == POLICY_CPU)
		s->action = POLICY_PASS;
	if (s->action != POLICY_LIMIT)
		return;
	/* nothing is refilled while the test runs */
	s->limit.rate = (struct policy_rate){.amount = 1, .seconds = 86400};
	s->limit.burst = 1 + random_below(r, 40);
	if (s->limit.per == POLICY_PER_FLOW) {
		s->limit.per = POLICY_PER_SOURCE;
		s->limit.len4 = 32;
		s->limit.len6 = 128;
	}
}

/* Leaves out the rules that notes speak of, "random.conf:LINE: ..." each. */
static void leave_out(struct policy *p, const struct buf *notes)
{
	struct policy_filter *f = &p->filters[0];
	const char *at = (const char *)notes->data, *end = at + notes->len;
	uint32_t i, line;

	for (; at < end; at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1) {
		line = (uint32_t)strtoul(at + strlen("random.conf:"), NULL, 10);
		for (i = 0; i < f->n_stmts && policy_where(p, f->stmts[i].pos).line != line; i++)
			;
		if (i == f->n_stmts)
			fail("a note names a line without a rule", notes);
		memmove(&f->stmts[i], &f->stmts[i + 1], (f->n_stmts - i - 1) * sizeof(f->stmts[0]));
		f->n_stmts--;
		n_left_out++;
	}
}

/* A policy and its ruleset without notes. */
static struct policy *make(struct random_state *r, struct nft_text *t)
{
	struct policy *tree = calloc(1, sizeof(*tree)), *p;
	struct sluice_err err = {0};
	struct buf text = {0};
	uint32_t i;

	random_policy(r, tree, RULES);
	for (i = 0; i < tree->filters[0].n_stmts; i++)
		restrict_stmt(r, &tree->filters[0].stmts[i]);
	policy_print(tree, &text);
	p = parse(&text);
	n_rules += p->filters[0].n_stmts;
	for (;;) {
		memset(t, 0, sizeof(*t));
		if (nft_export(p, 0, device, t, &err))
			fail(err.text, &text);
		if (!t->n_notes)
			break;
		leave_out(p, &t->notes);
		nft_text_free(t);
		text.len = 0;
		policy_print(p, &text);
		policy_free(p);
		p = parse(&text);
	}
	arena_free(&tree->arena);
	free(tree);
	buf_free(&text);
	return p;
}

/* --- nft --- */

static void nft(const char *const argv[], const char *out, const struct nft_text *t)
{
	posix_spawn_file_actions_t files;
	int status = 0;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (posix_spawnp(&pid, "nft", &files, NULL, (char *const *)(uintptr_t)argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status)
		fail("nft failed on:", t ? &t->ruleset : NULL);
	posix_spawn_file_actions_destroy(&files);
}

static void load(const struct nft_text *t)
{
	char path[4096], out[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/meaning.nft", folder);
	snprintf(out, sizeof(out), "%s/meaning.out", folder);
	f = fopen(path, "w");
	if (!f || fwrite(t->ruleset.data, 1, t->ruleset.len, f) != t->ruleset.len || fclose(f))
		fail("cannot write", NULL);
	nft((const char *const[]){"nft", "-f", path, NULL}, out, t);
}

struct counter {
	char name[160];
	uint64_t packets;
};

/* What the chain counted; variants of a rule have the same name. */
static uint32_t counters(struct counter *c)
{
	char path[4096], line[8192], *at, *name, *end;
	uint64_t packets;
	uint32_t n = 0, i;
	FILE *f;

	snprintf(path, sizeof(path), "%s/meaning.out", folder);
	nft((const char *const[]){"nft", "list", "chain", "netdev", "sluice", "filter_1", NULL}, path, NULL);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "counter packets ");
		name = strstr(line, "comment \"");
		if (!at || !name)
			continue;
		packets = strtoull(at + strlen("counter packets "), NULL, 10);
		name += strlen("comment \"");
		end = strrchr(name, '"');
		if (end)
			*end = 0;
		for (i = 0; i < n && strcmp(c[i].name, name) != 0; i++)
			;
		if (i == n) {
			snprintf(c[n].name, sizeof(c[n].name), "%s", name);
			c[n++].packets = 0;
		}
		c[i].packets += packets;
		if (n == COUNTERS)
			fail("too many counters", NULL);
	}
	if (f)
		fclose(f);
	return n;
}

static uint64_t counted(const struct counter *c, uint32_t n, const char *name)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(c[i].name, name))
			return c[i].packets;
	return 0;
}

/* --- packets --- */

static bool both_know(uint8_t next)
{
	return next == 0 || next == 43 || next == 44 || next == 60;
}

static bool one_knows(uint8_t next)
{
	return next == 51 || next == 135 || next == 139 || next == 140;
}

/* No header that only one of both knows, one fragment header at most, no extension header in a later fragment. */
static bool same_extensions(const uint8_t *l3, uint32_t n)
{
	uint32_t at = 40, fragments = 0, len;
	uint8_t next = l3[6];
	bool later;

	for (; both_know(next); at += len) {
		if (at + 8 > n)
			return false;
		len = next == 44 ? 8 : (l3[at + 1] + 1u) * 8;
		later = next == 44 && ((l3[at + 2] << 8 | l3[at + 3]) & 0xfff8);
		fragments += next == 44;
		next = l3[at];
		if (later)
			return fragments < 2 && !both_know(next) && !one_knows(next) && next != 59;
	}
	return fragments < 2 && !one_knows(next);
}

/* A frame that both take apart alike: lengths are made true; false if it is another kind. */
static bool sound(uint8_t *frame, uint32_t n, struct policy_packet *k)
{
	uint32_t l3, len;

	packet_read(k, frame, n, n, device);
	if (n < 14 || k->malformed == POLICY_MAL_SHORT || k->n_tags > 1 ||
	    (k->n_tags && frame[12] == 0x91))
		return false;
	l3 = 14 + 4 * k->n_tags;
	if (k->n_tags && n < l3 + 2) /* skb_vlan_untag() drops it before anybody sees it */
		return false;
	len = n - l3;
	if (k->ether_type == 0x0800 && len >= 20) {
		frame[l3 + 2] = (uint8_t)(len >> 8);
		frame[l3 + 3] = (uint8_t)len;
	} else if (k->ether_type == 0x86dd && len >= 40) {
		frame[l3 + 4] = (uint8_t)((len - 40) >> 8);
		frame[l3 + 5] = (uint8_t)(len - 40);
	}
	packet_read(k, frame, n, n, device);
	return k->malformed == POLICY_WELL_FORMED && (!k->v6 || same_extensions(frame + l3, len)) &&
	       (k->proto != 6 || !k->has_ports || k->has_flags);
}

static void send_frame(const uint8_t *frame, uint32_t n)
{
	memcpy(&to_device.sll_protocol, frame + 12, 2);
	while (sendto(sender, frame, n, 0, (struct sockaddr *)&to_device, sizeof(to_device)) != (ssize_t)n)
		if (errno != ENOBUFS && errno != EAGAIN)
			fail(strerror(errno), NULL);
	n_sent++;
}

/* --- one policy --- */

static const char *name_of(const struct policy_filter *f, uint32_t i, const char *suffix, char *to, size_t size)
{
	char *c;

	if (i == f->n_stmts)
		snprintf(to, size, "default");
	else if (f->stmts[i].name)
		snprintf(to, size, "%s%s", f->stmts[i].name, suffix);
	else
		snprintf(to, size, "#%u%s", i + 1, suffix);
	for (c = to; *c; c++)
		*c = *c == '"' ? '\'' : *c;
	return to;
}

/* The first rule that counted something else; NULL: all counted the same. */
static const char *difference(const struct policy *p, const struct policy_oracle *o)
{
	static char said[300];
	static struct counter c[COUNTERS];
	const struct policy_filter *f = &p->filters[0];
	const struct policy_count *want;
	uint32_t n = counters(c), i;
	uint64_t got, over = 0;
	char name[200];

	for (i = 0; i <= f->n_stmts; i++) {
		want = policy_oracle_count(o, i == f->n_stmts ? ORACLE_DEFAULT : i);
		got = counted(c, n, name_of(f, i, "", name, sizeof(name)));
		if (i < f->n_stmts && f->stmts[i].action == POLICY_LIMIT)
			over = counted(c, n, name_of(f, i, ": over", name, sizeof(name)));
		if (got != want->packets || over != want->over_packets) {
			snprintf(said, sizeof(said), "rule %u (%s): oracle %llu, over %llu; nft %llu, over %llu",
				 i + 1, name, (unsigned long long)want->packets,
				 (unsigned long long)want->over_packets, (unsigned long long)got,
				 (unsigned long long)over);
			return said;
		}
		over = 0;
	}
	return NULL;
}

/* Sends the packets of a policy that failed again, one at a time, until the first that is counted otherwise. */
static void find(struct random_state r, const struct policy *p, const struct nft_text *t, uint32_t n_packets)
{
	struct policy_oracle *o;
	struct policy_packet k;
	struct policy_answer a;
	uint8_t frame[4096];
	char said[PACKET_SAY];
	const char *what = NULL;
	uint32_t i, j, n;

	if (policy_oracle_new(p, 0, &o, NULL))
		return;
	load(t);
	for (i = 0; i < n_packets && !what; i++) {
		do
			n = random_frame(&r, &p->filters[0], frame);
		while (!sound(frame, n, &k));
		policy_oracle_decide(o, &k, 0, NULL, &a, NULL);
		send_frame(frame, n);
		what = difference(p, o);
	}
	policy_oracle_free(o);
	if (!what)
		return;
	printf("packet %u: %s\n%s\n", i, what, packet_say(&k, said, sizeof(said)));
	for (j = 0; j < n; j++)
		printf("%02x", frame[j]);
	printf("\n");
}

static void one_policy(struct random_state *r, uint32_t n_packets)
{
	struct random_state before;
	struct policy_oracle *o;
	struct policy_packet k;
	struct policy_answer a;
	struct sluice_err err = {0};
	struct nft_text t;
	struct policy *p = make(r, &t);
	const char *what;
	uint8_t frame[4096];
	uint32_t i, n, tries;

	if (policy_oracle_new(p, 0, &o, &err))
		fail(err.text, NULL);
	load(&t);
	before = *r;
	for (i = 0; i < n_packets; i++) {
		do
			n = random_frame(r, &p->filters[0], frame);
		while (!sound(frame, n, &k));
		if (policy_oracle_decide(o, &k, 0, NULL, &a, &err))
			fail(err.text, NULL);
		send_frame(frame, n);
	}
	/* the last packets may still be on their way */
	for (tries = 0; (what = difference(p, o)) && tries < 10; tries++)
		usleep(20000);
	if (what) {
		find(before, p, &t, n_packets);
		fail(what, &t.ruleset);
	}
	for (i = 0; i < p->filters[0].n_stmts; i++)
		n_counted += policy_oracle_count(o, i)->packets;
	policy_oracle_free(o);
	nft_text_free(&t);
	policy_free(p);
}

int main(int argc, char **argv)
{
	uint64_t first;
	struct random_state r;
	uint32_t i, n, n_packets;

	if (argc != 7) {
		fprintf(stderr, "usage: nft-meaning SENDER DEVICE FOLDER SEED POLICIES PACKETS\n");
		return 2;
	}
	device = argv[2];
	folder = argv[3];
	first = strtoull(argv[4], NULL, 0);
	n = (uint32_t)strtoul(argv[5], NULL, 0);
	n_packets = (uint32_t)strtoul(argv[6], NULL, 0);
	sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to_device = (struct sockaddr_ll){
		.sll_family = AF_PACKET, .sll_halen = 6, .sll_ifindex = (int)if_nametoindex(argv[1])};
	if (sender < 0 || !to_device.sll_ifindex)
		fail(strerror(errno), NULL);
	for (i = 0; i < n; i++) {
		seed = first + i;
		r.s = seed * 0x9e3779b97f4a7c15 | 1;
		one_policy(&r, n_packets);
	}
	close(sender);
	printf("%u policies, %llu rules, %llu of them left out, %llu packets, %llu counted by rules\n", n,
	       (unsigned long long)n_rules, (unsigned long long)n_left_out, (unsigned long long)n_sent,
	       (unsigned long long)n_counted);
	/* a test that hardly counts, or leaves much out, tests little */
	return n_counted * 2 > n_sent && n_left_out * 10 < n_rules ? 0 : 1;
}
