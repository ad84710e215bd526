// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice explain: what a policy does with one packet, rule by rule, and why. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <pcap/pcap.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/policy_say.h"
#include "policy/oracle.h"

static const char *capture, *interface;
static uint64_t number = 1;
static bool all, numbered;

static const struct cli_opt opts[] = {
	{.name = "pcap",
	 .kind = OPT_TEXT,
	 .arg = "FILE",
	 .to = &capture,
	 .help = "the packet is in this capture (pcap, pcapng)"},
	{.name = "packet",
	 .letter = 'n',
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &number,
	 .min = 1,
	 .max = UINT32_MAX,
	 .given = &numbered,
	 .help = "its number there, from 1 on (1)"},
	{.name = "on",
	 .kind = OPT_TEXT,
	 .arg = "IF",
	 .to = &interface,
	 .help = "it comes in on this interface"},
	{.name = "all",
	 .letter = 'a',
	 .kind = OPT_FLAG,
	 .to = &all,
	 .help = "every rule that was looked at (else the last 20 that did not match)"},
	{0},
};

static const struct cli_verb verb = {
	.name = "explain",
	.usage = "FILE 'PACKET IN WORDS' | FILE --pcap CAPTURE [--packet N]",
	.summary = "what a policy does with one packet, and why",
	.text = "PROTOCOL SOURCE[:PORT] > DESTINATION[:PORT], then in any order: TCP flags (syn,ack), an "
		"ICMP type by name or\n"
		"type N, code N, length N (of the frame), ttl N, dscp D, vlan N (outer first), fragment "
		"first|later, ether from|to|type X,\n"
		"on IF. IPv6 with a port is [ADDRESS]:PORT; what is no IP is named by its Ethernet type.\n"
		"\n"
		"  sluice explain sluice.conf 'tcp 192.0.2.7:4711 > 203.0.113.1:443 syn on eth0'\n"
		"  sluice explain sluice.conf 'arp on eth0'\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 2,
};

/* Looked-at rules that did not match are kept until one is printed behind them: the last ones are of
 * interest. */
struct telling {
	const struct policy *p;
	const struct policy_filter *filter;
	const struct policy_packet *packet;
	json_t *json;
	struct buf *lines; /* one text per rule that was looked at */
	uint32_t n, cap;
	uint64_t n_no;
	bool failed;
};

static const char *const step_words[] = {"no", "goes on", "within the limit, goes on", "over the limit",
					 "decides"};
static const char *const step_ids[] = {"no_match", "goes_on", "within", "over", "decides"};

static void tell(void *ctx, uint32_t rule, enum policy_step step, const struct policy_match *why)
{
	struct telling *t = ctx;
	const struct policy_stmt *s = &t->filter->stmts[rule];
	struct policy_where w = policy_where(t->p, s->pos);
	struct buf text = {0}, reason = {0}, *lines;
	uint32_t cap;

	t->n_no += step == STEP_NO;
	policy_stmt_print(s, &text);
	if (why)
		policy_why(why, t->packet, &reason);
	buf_put(&text, "", 1);
	buf_put(&reason, "", 1);
	if (text.failed || reason.failed) {
		t->failed = true;
	} else if (cli.json) {
		json_array_append_new(t->json, json_pack("{s:s, s:I, s:s, s:s, s:s?, s:s?}", "file", w.path,
							 "line", (json_int_t)w.line, "rule",
							 (char *)text.data, "result", step_ids[step], "name",
							 s->name, "why", why ? (char *)reason.data : NULL));
	} else {
		cap = t->n == t->cap ? (t->cap ? t->cap * 2 : 64) : t->cap;
		lines = cap == t->cap ? t->lines : reallocarray(t->lines, cap, sizeof(*lines));
		if (lines) {
			t->lines = lines;
			t->cap = cap;
			memset(&lines[t->n], 0, sizeof(*lines));
			buf_printf(&lines[t->n], "%c %s:%u: %s\n        %s\n", step == STEP_NO ? '-' : '+',
				   w.path, w.line, (char *)text.data,
				   why ? (char *)reason.data : step_words[step]);
			t->failed |= lines[t->n++].failed;
		} else {
			t->failed = true;
		}
	}
	buf_free(&text);
	buf_free(&reason);
}

/* What matched, always; what did not, only if it is among the last ones or --all was given. */
static void print_lines(struct telling *t)
{
	uint64_t hidden = all || t->n_no <= 20 ? 0 : t->n_no - 20, passed = 0;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		if (t->lines[i].data[0] == '-' && passed++ < hidden) {
			if (passed == hidden)
				printf("    ... %" PRIu64 " rules that do not match (--all shows them)\n",
				       hidden);
			continue;
		}
		printf("  %s", (char *)t->lines[i].data);
	}
	for (i = 0; i < t->n; i++)
		buf_free(&t->lines[i]);
	free(t->lines);
}

static const char *verdict_word(const struct policy_answer *a)
{
	static const char *const words[] = {"pass", "drop", "redirect", "cpu"};

	return words[a->verdict];
}

static int conclude(const struct telling *t, const struct policy_answer *a)
{
	const struct policy_stmt *s = a->rule == ORACLE_DEFAULT ? NULL : &t->filter->stmts[a->rule];
	struct policy_where w = policy_rule_where(t->p, t->filter, s);
	char said[PACKET_SAY];

	if (cli.json)
		return cli_json(json_pack("{s:s, s:s, s:b, s:s?, s:s?, s:s, s:I, s:b, s:O}", "packet",
					  packet_say(t->packet, said, sizeof(said)), "verdict",
					  verdict_word(a), "shadow", a->shadow, "redirect", a->redirect,
					  "name", s ? s->name : NULL, "file", w.path, "line",
					  (json_int_t)w.line, "default", !s, "looked_at", t->json));
	printf("%s%s%s%s by %s in %s:%u%s%s%s%s\n", verdict_word(a), a->redirect ? " to " : "",
	       a->redirect ? a->redirect : "", a->over ? " (over the limit)" : "", s ? "the rule" : "default",
	       w.path, w.line, s && s->name ? " \"" : "", s && s->name ? s->name : "",
	       s && s->name ? "\"" : "",
	       a->shadow && a->verdict != VERDICT_PASS ? "; but the filter is in shadow: it passes" : "");
	return EXIT_DONE;
}

/* Packet number n of a capture; its bytes go to *bytes. */
static int from_capture(struct buf *bytes, uint64_t n, uint32_t *length, struct sluice_err *err)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	struct pcap_pkthdr *h;
	const u_char *data;
	uint64_t i = 0;
	int got = 1, e = 0;
	pcap_t *pcap;

	pcap = pcap_open_offline(capture, why);
	if (!pcap)
		return err_set(err, strstr(why, "No such file") ? -ENOENT : -ENOEXEC, "%s%s%s",
			       strstr(why, capture) ? "" : capture, strstr(why, capture) ? "" : ": ", why);
	if (pcap_datalink(pcap) != DLT_EN10MB)
		e = err_set(err, -ENOEXEC, "%s holds no Ethernet frames", capture);
	while (!e && i < n && (got = pcap_next_ex(pcap, &h, &data)) == 1)
		i++;
	if (!e && got == PCAP_ERROR)
		e = err_set(err, -EBADMSG, "%s, packet %" PRIu64 ": %s", capture, i + 1, pcap_geterr(pcap));
	else if (!e && i < n)
		e = err_set(err, -ENOENT, "%s has %" PRIu64 " packets, no packet %" PRIu64, capture, i, n);
	if (!e) {
		buf_put(bytes, data, h->caplen);
		*length = h->len > h->caplen ? h->len : h->caplen;
		e = bytes->failed ? err_nomem(err) : 0;
	}
	pcap_close(pcap);
	return e;
}

static int get_packet(const char *words, struct buf *bytes, struct policy_packet *k, struct sluice_err *err)
{
	uint32_t length = 0;
	int e;

	if (capture) {
		e = from_capture(bytes, number, &length, err);
		if (!e)
			packet_read(k, bytes->data, (uint32_t)bytes->len, length, interface);
		return e;
	}
	if (!buf_add(bytes, PACKET_WORDS_MAX))
		return err_nomem(err);
	e = packet_words(words, bytes->data, PACKET_WORDS_MAX, k, err);
	if (!e && !k->in)
		k->in = interface;
	return e;
}

static int explain(const struct policy *p, const struct policy_packet *k)
{
	struct telling t = {.p = p, .packet = k, .json = cli.json ? json_array() : NULL};
	struct policy_trace trace = {.step = tell, .ctx = &t};
	struct policy_oracle *o = NULL;
	struct sluice_err err = {0};
	struct policy_answer a;
	char said[PACKET_SAY];
	uint32_t filter = 0;
	int e = policy_filter_on(p, k->in, "on IF", &filter, &err), rc;

	t.filter = p->n_filters ? &p->filters[filter] : NULL;
	if (!e)
		e = policy_oracle_new(p, filter, &o, &err);
	if (!e)
		e = policy_oracle_decide(o, k, 0, &trace, &a, &err);
	if (!e && t.failed)
		e = err_nomem(&err);
	if (!e && !cli.json)
		printf("%s\n", packet_say(k, said, sizeof(said)));
	print_lines(&t);
	rc = e ? cli_fail(&verb, &err) : conclude(&t, &a);
	policy_oracle_free(o);
	json_decref(t.json);
	return rc;
}

int verb_explain(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct policy_packet k;
	struct buf bytes = {0};
	struct policy *p = NULL;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	if (!capture == (n_args < 2))
		return cli_usage(&verb, capture ? "a packet in words or --pcap, not both"
						: "which packet? Give it in words, or --pcap");
	if (numbered && !capture)
		return cli_usage(&verb, "--packet is the number of one in a capture, which --pcap names");
	if (get_packet(n_args > 1 ? args[1] : NULL, &bytes, &k, &err)) {
		rc = cli_fail(&verb, &err);
	} else if (!policy_read(args[0], &policy_once, &p, &err)) {
		rc = explain(p, &k);
	} else {
		policy_say_errors(p);
		rc = cli_fail(&verb, &err);
		rc = p ? EXIT_FAILED : rc;
	}
	buf_free(&bytes);
	policy_free(p);
	return rc;
}
