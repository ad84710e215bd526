// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What `sluice run` does with each packet: lines, captures, comparisons. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/run_verb.h"
#include "replay/expect.h"
#include "replay/out.h"

#define FILES 8
#define FAULTS_SAID 5
#define ALL ((1u << REPLAY_VERDICTS) - 1)
#define LEAVE (1u << XDP_PASS | 1u << XDP_TX | 1u << XDP_REDIRECT)

struct run_show {
	struct replay_sink sink; /* first */
	const struct cli_verb *verb;
	const struct run_loaded *loaded;
	struct {
		struct replay_out *out;
		const char *path;
		uint32_t verdicts; /* bits */
	} out[FILES];
	size_t n_out;
	struct {
		struct replay_expect *expect;
		uint32_t verdicts;
	} expect[FILES];
	size_t n_expect;
	char *text[2 * sizeof(((struct opt_list *)0)->item) / sizeof(char *)]; /* of --expect and --out */
	size_t n_texts;
	uint64_t want[REPLAY_VERDICTS];
	uint32_t wanted;		/* bits of want that count */
	char ingress[16], targets[512]; /* of the packet under way */
	uint64_t faults, lines;
	struct sluice_err err; /* what went wrong in target(), until done() */
};

static const char *path_of(const char *text)
{
	return text + strcspn(text, "=") + 1;
}

/* VERDICT=..., all=... into bits; 0: no such word. */
static uint32_t verdict_bits(const char *text, size_t len)
{
	uint32_t i;

	if (len == 3 && !memcmp(text, "all", 3))
		return ALL;
	for (i = 0; i < REPLAY_VERDICTS; i++)
		if (strlen(replay_verdict(i)) == len && !memcmp(replay_verdict(i), text, len))
			return 1u << i;
	return 0;
}

static uint32_t bit_of(uint32_t verdict)
{
	return 1u << (verdict < REPLAY_VERDICTS ? verdict : REPLAY_VERDICTS - 1);
}

static void write_out(struct run_show *s, const struct replay_packet *p, uint32_t verdict, const void *data,
		      uint32_t len, const char *ifname, const char *comment)
{
	uint32_t cut = p->wire_len > p->len ? p->wire_len - p->len : 0;
	size_t i;

	for (i = 0; i < s->n_out; i++)
		if (s->out[i].verdicts & bit_of(verdict))
			replay_out_write(s->out[i].out, p->time_ns, data, len, len + cut, ifname, comment);
}

static int hold_against(struct run_show *s, const struct replay_packet *p, uint32_t verdict, const void *data,
			uint32_t len, struct sluice_err *err)
{
	size_t i;
	int e = 0;

	for (i = 0; i < s->n_expect && !e; i++)
		if (s->expect[i].verdicts & bit_of(verdict))
			e = replay_expect_packet(s->expect[i].expect, p->number, replay_verdict(verdict),
						 data, len, err);
	return e;
}

static void target_name(const struct run_show *s, const struct replay_target *t, char *to, size_t size)
{
	char name[16];

	if (t->kind == REPLAY_TO_IF)
		snprintf(to, size, "%s", run_if_name(s->loaded, t->index, name, sizeof(name)));
	else
		snprintf(to, size, "%s %u", t->kind == REPLAY_TO_CPU ? "cpu" : "xsk", t->index);
}

static void target(struct replay_sink *sink, const struct replay_packet *packet,
		   const struct replay_target *t)
{
	struct run_show *s = (struct run_show *)sink;
	char name[48], comment[192];
	size_t n = strlen(s->targets);
	bool left = t->verdict == XDP_PASS || t->verdict == XDP_TX || t->verdict == XDP_REDIRECT;

	target_name(s, t, name, sizeof(name));
	snprintf(s->targets + n, sizeof(s->targets) - n, "%s%s%s%s", n ? "," : "", name, left ? "" : ":",
		 left ? "" : replay_verdict(t->verdict));
	snprintf(comment, sizeof(comment), "redirect to %s%s%s%s%s", name, t->map ? " by map " : "",
		 t->map ? t->map : "", t->verdict == XDP_PASS ? "" : ", whose program says ",
		 t->verdict == XDP_PASS ? "" : replay_verdict(t->verdict));
	write_out(s, packet, XDP_REDIRECT, t->data, t->len, t->kind == REPLAY_TO_IF ? name : s->ingress,
		  comment);
	if (left && !s->err.code)
		hold_against(s, packet, XDP_REDIRECT, t->data, t->len, &s->err);
}

static void comment_of(const struct replay_result *r, bool kernel, char *to, size_t size)
{
	if (r->fault)
		snprintf(to, size, "%s: %s", replay_verdict(r->verdict), r->fault);
	else if (r->verdict == XDP_REDIRECT && !kernel)
		snprintf(to, size, "redirect to nobody");
	else if (r->verdict > XDP_REDIRECT)
		snprintf(to, size, "verdict %u", r->verdict);
	else
		snprintf(to, size, "%s", replay_verdict(r->verdict));
}

static void line(struct run_show *s, const struct replay_packet *p, const struct replay_result *r)
{
	json_t *entry;

	if (!cli.json) {
		printf("%" PRIu64 " %" PRIu64 ".%09" PRIu64 " %s %u %u %s\n", p->number,
		       p->time_ns / 1000000000u, p->time_ns % 1000000000u, replay_verdict(r->verdict), p->len,
		       r->len, s->targets[0] ? s->targets : "-");
		return;
	}
	entry = json_pack("{s:I, s:o, s:s, s:I, s:I, s:s}", "number", (json_int_t)p->number, "time_ns",
			  json_sprintf("%" PRIu64, p->time_ns), "verdict", replay_verdict(r->verdict),
			  "bytes_in", (json_int_t)p->len, "bytes_out", (json_int_t)r->len, "targets",
			  s->targets);
	fputs(s->lines++ ? ",\n" : "{\"packet\":[\n", stdout);
	json_dumpf(entry, stdout, JSON_COMPACT);
	json_decref(entry);
}

static int done(struct replay_sink *sink, const struct replay_packet *packet, const struct replay_result *r,
		struct sluice_err *err)
{
	struct run_show *s = (struct run_show *)sink;
	char comment[400];
	int e = 0;

	if (run_opts.verdicts)
		line(s, packet, r);
	if (!r->n_targets) {
		comment_of(r, !s->loaded->vm, comment, sizeof(comment));
		write_out(s, packet, r->verdict, r->data, r->len, s->ingress, comment);
		if (r->verdict != XDP_REDIRECT || !s->loaded->vm)
			e = hold_against(s, packet, r->verdict, r->data, r->len, err);
	}
	s->targets[0] = '\0';
	if (s->err.code && !e) {
		e = s->err.code;
		*err = s->err;
	}
	return e ? e : ferror(stdout) ? cli_gone(err) : 0;
}

static void fault(struct replay_sink *sink, const struct replay_packet *packet, const char *text)
{
	struct run_show *s = (struct run_show *)sink;

	if (s->faults++ < FAULTS_SAID)
		cli_warn(s->verb, "packet %" PRIu64 ": %s", packet->number, text);
}

static bool stop(struct replay_sink *sink)
{
	(void)sink;
	return cli_stop;
}

bool run_is_input(const char *path)
{
	struct stat a, b;
	size_t i;

	if (stat(path, &a) || !S_ISREG(a.st_mode))
		return false;
	for (i = 0; i < run_opts.in.n + run_opts.expect_pcap.n; i++) {
		const char *in = i < run_opts.in.n ? run_opts.in.item[i]
						   : run_opts.expect_pcap.item[i - run_opts.in.n];

		if (i >= run_opts.in.n && verdict_bits(in, strcspn(in, "=")))
			in = path_of(in);
		if (!stat(in, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return true;
	}
	return false;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !strcmp(a, b) || (!stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
				 x.st_ino == y.st_ino);
}

static int open_out(struct run_show *s, const char *text, char *path, struct sluice_err *err)
{
	uint32_t bits = verdict_bits(text, strcspn(text, "="));
	size_t i;
	int e;

	if (!strchr(text, '=') || !bits || !*path)
		return err_set(err, -EINVAL,
			       "--out %s: wanted VERDICT=FILE, with aborted, drop, pass, tx, redirect, other "
			       "or all",
			       text);
	if (s->n_out == FILES)
		return err_set(err, -EINVAL, "--out: more than %d files", FILES);
	if (run_is_input(path))
		return err_set(err, -EINVAL, "--out: %s is read in this run, it cannot be written as well",
			       path);
	for (i = 0; i < s->n_out; i++)
		if (same_file(s->out[i].path, path))
			return err_set(err, -EINVAL,
				       "--out: %s is named twice; all=FILE writes every verdict into one "
				       "file",
				       path);
	e = replay_out_new(path, &s->out[s->n_out].out, err);
	if (e)
		return err_prefix(err, "--out");
	s->out[s->n_out].path = path;
	s->out[s->n_out++].verdicts = bits;
	return 0;
}

/* VERDICT=X[,VERDICT=X...] each; the list's text is kept by the options and taken apart in place. */
static int each(const struct opt_list *list, struct run_show *s,
		int (*one)(struct run_show *s, const char *text, char *value, struct sluice_err *err),
		struct sluice_err *err)
{
	char *text, *item, *save;
	size_t i;
	int e = 0;

	for (i = 0; i < list->n && !e; i++) {
		text = strdup(list->item[i]);
		if (!text)
			return err_nomem(err);
		s->text[s->n_texts++] = text; /* paths point into it */
		for (item = strtok_r(text, ",", &save); item && !e; item = strtok_r(NULL, ",", &save))
			e = one(s, item, strchr(item, '=') ? strchr(item, '=') + 1 : item + strlen(item),
				err);
	}
	return e;
}

static int open_count(struct run_show *s, const char *text, char *value, struct sluice_err *err)
{
	size_t len = strcspn(text, "=");
	uint32_t bits = verdict_bits(text, len), v;
	uint64_t n;

	if (!bits || bits == ALL || !*value)
		return err_set(err, -EINVAL,
			       "--expect %s: wanted VERDICT=NUMBER, with aborted, drop, pass, tx, redirect "
			       "or other",
			       text);
	if (text_count(value, 0, UINT64_MAX, &n, err))
		return err_prefix(err, "--expect %.*s", (int)len, text);
	for (v = 0; bits != 1u << v; v++)
		;
	if (s->wanted & bits)
		return err_set(err, -EINVAL, "--expect: %s is named twice", replay_verdict(v));
	s->wanted |= bits;
	s->want[v] = n;
	return 0;
}

static int open_expect(struct run_show *s, const char *text, struct sluice_err *err)
{
	uint32_t bits = strchr(text, '=') ? verdict_bits(text, strcspn(text, "=")) : 0;
	const char *path = bits ? path_of(text) : text;
	int e;

	if (s->n_expect == FILES)
		return err_set(err, -EINVAL, "--expect-pcap: more than %d files", FILES);
	e = replay_expect_new(path, &s->expect[s->n_expect].expect, err);
	if (e)
		return err_prefix(err, "--expect-pcap");
	s->expect[s->n_expect++].verdicts = bits ? bits : LEAVE;
	return 0;
}

int run_show_new(const struct cli_verb *verb, const struct run_loaded *l, struct run_show **to,
		 struct sluice_err *err)
{
	struct run_show *s = calloc(1, sizeof(*s));
	size_t i;
	int e;

	*to = s;
	if (!s)
		return err_nomem(err);
	s->verb = verb;
	s->loaded = l;
	run_if_name(l, l->ifindex, s->ingress, sizeof(s->ingress));
	e = each(&run_opts.expect, s, open_count, err);
	for (i = 0; i < run_opts.expect_pcap.n && !e; i++)
		e = open_expect(s, run_opts.expect_pcap.item[i], err);
	if (!e)
		e = each(&run_opts.out, s, open_out, err);
	s->sink = (struct replay_sink){.each = s->n_out || s->n_expect || run_opts.verdicts,
				       .target = target,
				       .done = done,
				       .fault = fault,
				       .stop = stop};
	return e;
}

struct replay_sink *run_show_sink(struct run_show *s)
{
	return &s->sink;
}

static void check_counts(const struct run_show *s, const struct replay_stats *stats, json_t *wrong, bool *bad)
{
	uint32_t v;

	for (v = 0; v < REPLAY_VERDICTS; v++) {
		if (!(s->wanted >> v & 1) || stats->verdict[v] == s->want[v])
			continue;
		*bad = true;
		cli_warn(s->verb, "expected %s=%" PRIu64 ", there were %" PRIu64, replay_verdict(v),
			 s->want[v], stats->verdict[v]);
		json_array_append_new(wrong, json_sprintf("expected %s=%" PRIu64 ", there were %" PRIu64,
							  replay_verdict(v), s->want[v], stats->verdict[v]));
	}
}

static int check_captures(struct run_show *s, json_t *wrong, bool *bad, struct sluice_err *err)
{
	struct buf diff = {0};
	uint64_t n = 0;
	size_t i;
	int e = 0;

	for (i = 0; i < s->n_expect && !e; i++) {
		e = replay_expect_end(s->expect[i].expect, &n, &diff, err);
		*bad |= n > 0;
		if (e || !n)
			continue;
		fprintf(stderr, "%s", (const char *)diff.data);
		json_array_append_new(wrong, json_string((const char *)diff.data));
		diff.len = 0;
	}
	buf_free(&diff);
	return e;
}

int run_show_end(struct run_show *s, const struct replay_stats *stats, json_t *json, bool *bad,
		 struct sluice_err *err)
{
	json_t *wrong = json_array();
	size_t i;
	int e = 0, one;

	if (s->faults > FAULTS_SAID)
		cli_warn(s->verb, "%" PRIu64 " more packets went wrong", s->faults - FAULTS_SAID);
	check_counts(s, stats, wrong, bad);
	e = check_captures(s, wrong, bad, err);
	for (i = 0; i < s->n_out; i++) {
		one = replay_out_close(s->out[i].out, e ? NULL : err);
		s->out[i].out = NULL;
		e = e ? e : one;
	}
	if (s->wanted || s->n_expect)
		json_object_set(json, "unexpected", wrong);
	json_decref(wrong);
	if (s->lines) {
		fputs("\n],", stdout);
		json_object_set_new(json, "packet", json_true()); /* it is open: print_json() goes on */
	} else if (run_opts.verdicts) {
		json_object_set_new(json, "packet", json_array());
	}
	return e;
}

void run_show_free(struct run_show *s)
{
	size_t i;

	for (i = 0; s && i < s->n_out; i++)
		replay_out_close(s->out[i].out, NULL);
	for (i = 0; s && i < s->n_expect; i++)
		replay_expect_free(s->expect[i].expect);
	while (s && s->n_texts)
		free(s->text[--s->n_texts]);
	free(s);
}
