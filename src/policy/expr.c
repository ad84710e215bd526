// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * `matching "..."`: pcap expressions become classic BPF. The language is libpcap's; what is decided here is
 * what may reach it. libpcap would look up words it does not know as names of hosts: those are refused first,
 * since a typing mistake must not become a DNS query, nor a policy mean something else tomorrow.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <pcap/pcap.h>

#include "base/err.h"
#include "policy/cbpf.h"
#include "policy/policy.h"
#include "policy/words.h"

#define TEXT_MAX 1024
#define NESTED_MAX 64
#define EXPRESSIONS_MAX 256 /* different ones: each takes libpcap up to a millisecond and more */
#define SNAPLEN 262144

struct expr {
	struct policy_cbpf cbpf; /* the first member: what the tree points to */
	bool ok;
};

/* Words of pcap-filter(7) that make sense on Ethernet frames. */
static const char *const keywords[] = {
	"ah",
	"and",
	"arp",
	"atalk",
	"broadcast",
	"decnet",
	"dst",
	"esp",
	"ether",
	"gateway",
	"geneve",
	"greater",
	"host",
	"icmp",
	"icmp6",
	"igmp",
	"igrp",
	"ip",
	"ip6",
	"ipx",
	"isis",
	"iso",
	"len",
	"less",
	"llc",
	"mask",
	"mpls",
	"multicast",
	"net",
	"netbeui",
	"not",
	"or",
	"pim",
	"port",
	"portrange",
	"pppoed",
	"pppoes",
	"proto",
	"rarp",
	"sctp",
	"src",
	"stp",
	"tcp",
	"udp",
	"vlan",
	"vrrp",
	"carp",
	"icmptype",
	"icmpcode",
	"icmp6type",
	"icmp6code",
	"tcpflags",
	"tcp-fin",
	"tcp-syn",
	"tcp-rst",
	"tcp-push",
	"tcp-ack",
	"tcp-urg",
	"tcp-ece",
	"tcp-cwr",
	"icmp-echoreply",
	"icmp-unreach",
	"icmp-sourcequench",
	"icmp-redirect",
	"icmp-echo",
	"icmp-routeradvert",
	"icmp-routersolicit",
	"icmp-timxceed",
	"icmp-paramprob",
	"icmp-tstamp",
	"icmp-tstampreply",
	"icmp-ireq",
	"icmp-ireqreply",
	"icmp-maskreq",
	"icmp-maskreply",
	"icmp6-echo",
	"icmp6-echoreply",
	"icmp6-packettoobig",
	"icmp6-timeexceeded",
	"icmp6-parameterproblem",
	"icmp6-destinationunreach",
	"icmp6-neighborsolicit",
	"icmp6-neighboradvert",
	"icmp6-routersolicit",
	"icmp6-routeradvert",
	"icmp6-redirect",
	"loopback",
	"lat",
	"moprc",
	"mopdl",
	"aarp",
	"igmp",
	NULL,
};

static bool is_alpha(char c)
{
	return ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

static bool is_word(char c)
{
	return is_alpha(c) || (c >= '-' && c <= ':' && c != '/') || c == '\\';
}

static bool known(const char *s, size_t len)
{
	size_t i;

	if (len && s[0] == '\\') {
		s++;
		len--;
	}
	for (i = 0; keywords[i]; i++)
		if (!strncmp(keywords[i], s, len) && !keywords[i][len])
			return true;
	if (words_find(WORDS_PORTS, s, len) || words_find(WORDS_PROTOS, s, len))
		return true;
	/* numbers and addresses, whatever their letters: at least one digit or colon, nothing beyond hex
	 * digits */
	return strspn(s, "0123456789abcdefABCDEFxX.:-") >= len && strcspn(s, "0123456789:") < len &&
	       !(len > 1 && is_alpha(s[0]) && !memchr(s, ':', len));
}

/* Where the string stands in the text, or a part of it if that can be told (raw: no escapes, no variable). */
static struct policy_pos part(const struct policy_value *v, size_t at, size_t len)
{
	struct policy_pos pos = v->pos;

	if (v->set == 1) {
		pos.at += (uint32_t)at + 1;
		pos.len = (uint16_t)(len ? len : 1);
	}
	return pos;
}

static bool is_direction(const char *s, size_t len)
{
	return (len == 7 && !memcmp(s, "inbound", len)) || (len == 8 && !memcmp(s, "outbound", len));
}

/* Why a word of libpcap's is none of ours, or NULL. */
static const char *refusal(const char *s, size_t len)
{
	static const char direction[] =
		"asks for a direction, which no frame tells; leave it out: a filter sees only what comes in";

	if (len == 10 && !memcmp(s, "protochain", len))
		return "takes a loop, which rules have not; proto looks behind extension headers";
	if (is_direction(s, len))
		return direction;
	return NULL;
}

/* Whether libpcap may see it; a diagnostic if not. */
static bool harmless(struct policy *p, const struct policy_value *v)
{
	const char *s = v->text, *why;
	size_t len = strlen(s), at, n, nested = 0;

	if (len > TEXT_MAX) {
		policy_error(p, v->pos, "an expression has at most %d characters, this one has %zu", TEXT_MAX,
			     len);
		return false;
	}
	if (strspn(s, " \t") == len) {
		policy_error(p, v->pos,
			     "an empty expression, expected one of pcap-filter(7) (\"udp and ip[6:2] & "
			     "0x2000 != 0\")");
		return false;
	}
	for (at = 0; at < len; at += n) {
		n = 1;
		nested += s[at] == '(' || s[at] == '!';
		if (nested > NESTED_MAX) {
			policy_error(p, part(v, at, 1), "more than %d '(' and '!' in an expression",
				     NESTED_MAX);
			return false;
		}
		if (!is_word(s[at]) || s[at] == '-')
			continue;
		while (at + n < len && is_word(s[at + n]))
			n++;
		if (p->kept && is_direction(s + at, n)) /* they were let through before */
			continue;
		why = refusal(s + at, n);
		if (why) {
			policy_error(p, part(v, at, n), "'%.*s' %s", (int)n, s + at, why);
			return false;
		}
		if (!known(s + at, n)) {
			policy_error(p, part(v, at, n),
				     "'%.*s' is no word of pcap expressions; names of hosts and networks are "
				     "not looked up",
				     (int)(n > 64 ? 64 : n), s + at);
			return false;
		}
	}
	return true;
}

static bool try(pcap_t *pcap, const char *text, size_t len, struct bpf_program *prog)
{
	char copy[TEXT_MAX + 1];

	memcpy(copy, text, len);
	copy[len] = '\0';
	return !pcap_compile(pcap, prog, copy, 1, PCAP_NETMASK_UNKNOWN);
}

/* libpcap does not tell where a mistake is: it is behind the longest beginning that makes sense. */
static size_t understood(pcap_t *pcap, const char *s)
{
	size_t len = strlen(s), best = 0, at, tries = 0;
	struct bpf_program prog;

	for (at = len; at > 0 && tries < 64 && !best; at--) {
		if (at < len && s[at] != ' ' && s[at] != ')')
			continue;
		tries++;
		if (strspn(s, " ") < at && try(pcap, s, at, &prog)) {
			pcap_freecode(&prog);
			best = at;
		}
	}
	return best + strspn(s + best, " ");
}

static void compile(struct policy *p, pcap_t *pcap, const struct policy_value *v, struct expr *e)
{
	struct bpf_program prog;
	size_t at, len = strlen(v->text);
	char why[200];
	uint32_t i;

	if (!try(pcap, v->text, len, &prog)) {
		/* its next call overwrites what it says */
		strncpy(why, pcap_geterr(pcap), sizeof(why) - 1);
		why[sizeof(why) - 1] = '\0';
		at = understood(pcap, v->text);
		if (at >= len)
			at = 0;
		policy_error(p, part(v, at, len - at), "libpcap: %s", why);
		return;
	}
	e->cbpf.n = prog.bf_len;
	e->cbpf.insns = arena_add(&p->arena, prog.bf_len * sizeof(*e->cbpf.insns));
	for (i = 0; e->cbpf.insns && i < prog.bf_len; i++)
		e->cbpf.insns[i] = (struct policy_insn){prog.bf_insns[i].code, prog.bf_insns[i].jt,
							prog.bf_insns[i].jf, prog.bf_insns[i].k};
	e->ok = e->cbpf.insns && cbpf_check(e->cbpf.insns, e->cbpf.n);
	if (e->cbpf.insns && !e->ok)
		policy_error(p, v->pos,
			     "this expression becomes %u instructions of which some cannot be used, or more "
			     "than %d",
			     e->cbpf.n, CBPF_INSNS_MAX);
	pcap_freecode(&prog);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct expr *)a)->cbpf.text, ((const struct expr *)b)->cbpf.text);
}

static void nothing(void *p)
{
	(void)p;
}

/* The program of one rule's expression; a text that was there before has one already. */
static int one(struct policy *p, pcap_t **pcap, void **seen, uint32_t *n, struct policy_match *m,
	       struct sluice_err *err)
{
	struct expr key = {.cbpf.text = m->list.v->text}, **found = tfind(&key, seen, by_text), *e;

	if (found) {
		m->cbpf = (*found)->ok ? &(*found)->cbpf : NULL;
		return 0;
	}
	if (!harmless(p, m->list.v))
		return 0;
	if (++*n > EXPRESSIONS_MAX) {
		if (*n == EXPRESSIONS_MAX + 1)
			policy_error(p, m->list.v->pos, "more than %d different expressions in a policy",
				     EXPRESSIONS_MAX);
		return 0;
	}
	e = arena_copy(&p->arena, &key, sizeof(key));
	*pcap = *pcap ? *pcap : pcap_open_dead(DLT_EN10MB, SNAPLEN);
	if (!e || !*pcap || !tsearch(e, seen, by_text))
		return err_nomem(err);
	compile(p, *pcap, m->list.v, e);
	m->cbpf = e->ok ? &e->cbpf : NULL;
	return 0;
}

int policy_expressions(struct policy *p, struct sluice_err *err)
{
	uint32_t f, s, i, n = 0;
	struct policy_stmt *stmt;
	pcap_t *pcap = NULL;
	void *seen = NULL;
	int e = 0;

	for (f = 0; f < p->n_filters && !e; f++) {
		for (s = 0; s < p->filters[f].n_stmts && !e; s++) {
			stmt = &p->filters[f].stmts[s];
			for (i = 0; i < stmt->n_matches && !e; i++)
				if (stmt->matches[i].field == POLICY_MATCHING)
					e = one(p, &pcap, &seen, &n, &stmt->matches[i], err);
		}
	}
	tdestroy(seen, nothing);
	if (pcap)
		pcap_close(pcap);
	return e;
}
