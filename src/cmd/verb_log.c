// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice log: the packets that rules with `log` have taken samples of, as lines, JSON or a capture. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sluice/packet.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/cli.h"
#include "cmd/if_args.h"
#include "cmd/rule_text.h"
#include "control/samples.h"
#include "policy/packet.h"
#include "replay/out.h"

#define CHECK_NS 1000000000u /* how often what was lost, and a change of policy, are looked for */
#define WAIT_MS 250
#define RULE_SHOWN 200

static uint64_t count;
static bool once;
static const char *pcapng;

static const struct cli_opt opts[] = {
	{.name = "count",
	 .letter = 'n',
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &count,
	 .min = 1,
	 .help = "stop after N samples"},
	{.name = "once",
	 .letter = '1',
	 .kind = OPT_FLAG,
	 .to = &once,
	 .help = "what is there now, then stop"},
	{.name = "pcapng",
	 .letter = 'w',
	 .kind = OPT_TEXT,
	 .arg = "FILE",
	 .to = &pcapng,
	 .help = "a capture with a comment for each packet; - is standard output"},
	{0},
};

static const struct cli_verb verb = {
	.name = "log",
	.usage = "[IF...] [OPTION...]",
	.summary = "packets that rules with log have sampled",
	.text = "Only one can read at a time: who reads a sample takes it away. Interfaces are names; "
		"without one, all.\n"
		"\n"
		"  sluice log                          line by line, until interrupted\n"
		"  sluice log eth0 -j                  an object a line, for a program\n"
		"  sluice log -w - | tcpdump -r -      headers and the beginning of each packet\n",
	.opts = opts,
	.min_args = 0,
	.max_args = -1,
};

struct log {
	struct control_samples *samples;
	struct replay_out *capture;
	struct net_if *ifs; /* NULL: all */
	size_t n_ifs;
	uint64_t shown, lost, lost_said;
	int e; /* of writing */
};

/* --- one sample --- */

static const char *does(const struct control_sample *s)
{
	static const char *const verdicts[] = {"pass", "drop", "redirect", "cpu"};

	return s->stmt		? rule_does(s->stmt, s->event->over)
	       : s->event->over ? "drop"
				: verdicts[s->event->verdict];
}

static bool in_shadow(const struct control_sample *s)
{
	const char *what = does(s);

	return s->filter && s->filter->shadow && strcmp(what, "pass") != 0 && strcmp(what, "goes on") != 0;
}

static char *ifname(const struct control_sample *s, char to[32])
{
	if (s->ifname[0])
		snprintf(to, 32, "%s", s->ifname);
	else
		snprintf(to, 32, "if%u", s->event->ifindex);
	return text_harmless(to);
}

static char *packet(const struct control_sample *s, char to[PACKET_SAY])
{
	struct policy_packet k;

	packet_read(&k, s->event->bytes, s->event->captured, s->event->length, NULL);
	return text_harmless(packet_say(&k, to, PACKET_SAY));
}

static void print_line(const struct control_sample *s)
{
	char name[32], said[PACKET_SAY], rule[RULE_SHOWN], when[32];
	time_t t = (time_t)(s->time_ns / 1000000000u);
	struct tm tm;
	char *frame = cli.verbose ? sluice_packet_text(s->event->bytes, s->event->captured) : NULL;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	printf("%s.%06" PRIu64 " %s %s%s%s %s (rule %u", when, s->time_ns / 1000 % 1000000, ifname(s, name),
	       does(s), s->event->over ? " over the limit" : "", in_shadow(s) ? " in shadow" : "",
	       packet(s, said), s->event->rule + 1);
	if (s->stmt)
		printf(": %s", rule_label(s->filter, s->stmt, rule, sizeof(rule)));
	printf(")\n");
	if (frame)
		printf("    %s\n", text_harmless(frame));
	free(frame);
}

static json_t *hex(const struct control_sample *s)
{
	char text[2 * FILTER_SAMPLE + 1] = "";
	uint32_t i;

	for (i = 0; i < s->event->captured; i++)
		snprintf(text + 2ul * i, 3, "%02x", s->event->bytes[i]);
	return json_string(text);
}

static int print_json(const struct control_sample *s)
{
	char name[32], said[PACKET_SAY], rule[RULE_SHOWN * 8], label[POLICY_NAME_MAX + 1] = "";
	char *frame = sluice_packet_text(s->event->bytes, s->event->captured);
	json_t *o;

	if (s->stmt && s->stmt->name)
		snprintf(label, sizeof(label), "%s", s->stmt->name);
	o = json_pack("{s:f, s:s, s:i, s:I, s:s?, s:s?, s:s, s:b, s:b, s:s, s:s?, s:I, s:I, s:o, s:I}",
		      "time", (double)s->time_ns / 1e9, "interface", ifname(s, name), "ifindex",
		      (int)s->event->ifindex, "rule", (json_int_t)s->event->rule + 1, "name",
		      label[0] ? text_harmless(label) : NULL, "text",
		      s->stmt ? rule_text(s->filter, s->stmt, rule, sizeof(rule)) : NULL, "verdict", does(s),
		      "over", s->event->over, "shadow", in_shadow(s), "packet", packet(s, said), "frame",
		      frame ? text_harmless(frame) : NULL, "length", (json_int_t)s->event->length, "captured",
		      (json_int_t)s->event->captured, "bytes", hex(s), "generation",
		      (json_int_t)s->event->generation);
	free(frame);
	return cli_json(o) == EXIT_DONE ? 0 : -EPIPE;
}

static int put_capture(struct log *l, const struct control_sample *s)
{
	char name[32], rule[RULE_SHOWN], comment[RULE_SHOWN + 96];
	uint32_t wire = s->event->length > s->event->captured ? s->event->length : s->event->captured;

	if (s->stmt)
		rule_label(s->filter, s->stmt, rule, sizeof(rule));
	snprintf(comment, sizeof(comment), "%s%s%s by rule %u%s%s", does(s),
		 s->event->over ? " over the limit" : "", in_shadow(s) ? " in shadow" : "",
		 s->event->rule + 1, s->stmt ? ": " : "", s->stmt ? rule : "");
	replay_out_write(l->capture, s->time_ns, s->event->bytes, s->event->captured, wire, ifname(s, name),
			 comment);
	return replay_out_flush(l->capture);
}

static bool wanted(const struct log *l, const struct control_sample *s)
{
	size_t i;

	for (i = 0; i < l->n_ifs; i++)
		if (l->ifs[i].index == (int)s->event->ifindex)
			return true;
	return !l->n_ifs;
}

static bool show(void *ctx, const struct control_sample *s)
{
	struct log *l = ctx;

	if (!wanted(l, s))
		return true;
	l->shown++;
	if (l->capture)
		l->e = put_capture(l, s);
	else if (cli.json)
		l->e = print_json(s);
	else
		print_line(s);
	return !l->e && (!count || l->shown < count);
}

/* --- all of them --- */

/* Lines say what was lost where it was lost; a capture has no place for it, so that it is said at the end. */
static int say_lost(struct log *l)
{
	uint64_t n = l->lost - l->lost_said;

	if (l->lost <= l->lost_said || l->capture)
		return 0;
	l->lost_said = l->lost;
	if (cli.json)
		return cli_json(json_pack("{s:I}", "lost", (json_int_t)n)) == EXIT_DONE ? 0 : -EPIPE;
	printf("... %" PRIu64 " sample%s lost: the ring was full\n", n, n == 1 ? "" : "s");
	return cli_flush() ? 0 : -EPIPE;
}

static int check(struct log *l, struct sluice_err *err)
{
	int e = control_samples_check(l->samples, &l->lost, err);

	if (!e && say_lost(l))
		e = cli_gone(err);
	return e;
}

/* Whether the reader of a pipe has gone: it would be noticed with the next sample only. */
static bool reader_gone(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, 0) > 0 && p.revents & POLLERR;
}

static int follow(struct log *l, struct sluice_err *err)
{
	uint64_t next = clock_mono_ns() + CHECK_NS;
	int n, e = 0;

	while (!e && !cli_stop && (!count || l->shown < count) && !reader_gone()) {
		n = control_samples_read(l->samples, once ? 0 : WAIT_MS, show, l, err);
		if (n == -EINTR) {
			*err = (struct sluice_err){0};
			continue;
		}
		if (l->e)
			return l->capture ? err_set(err, l->e, "writing %s: %s", pcapng, strerror(-l->e))
					  : cli_gone(err);
		if (n < 0)
			return n;
		if (!l->capture && !cli_flush())
			return cli_gone(err);
		if (clock_mono_ns() >= next) {
			e = check(l, err);
			next = clock_mono_ns() + CHECK_NS;
		}
		if (once && !n)
			break;
	}
	return e ?: check(l, err);
}

/* Samples are parts of other people's packets: for their owner's eyes. */
static int open_capture(struct log *l, struct sluice_err *err)
{
	int fd;

	if (!strcmp(pcapng, "-")) {
		if (isatty(STDOUT_FILENO))
			return err_set(err, -EINVAL,
				       "a capture is nothing for a terminal: --pcapng FILE, or a pipe behind "
				       "it");
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		fd = open(pcapng, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return err_set(err, -errno, "%s cannot be written: %s", pcapng, strerror(errno));
	return replay_out_stream(fd, !strcmp(pcapng, "-") ? "the capture" : pcapng, &l->capture, err);
}

int verb_log(int argc, char **argv)
{
	struct log l = {0};
	struct sluice_err err = {0}, closing = {0};
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e = 0;
	bool captured;

	if (rc >= 0)
		return rc;
	if (pcapng && cli.json)
		return cli_usage(&verb, "--pcapng and --json exclude each other");
	cli_catch_signals();
	if (n_args)
		e = if_args(args, n_args, &l.ifs, &l.n_ifs, &err);
	e = e ?: control_samples_open(cli.bpffs, &l.samples, &err);
	if (!e && pcapng)
		e = open_capture(&l, &err);
	if (!e)
		e = follow(&l, &err);
	captured = l.capture != NULL;
	if (replay_out_close(l.capture, &closing) && !e && closing.code != -EPIPE)
		err = closing;
	if (err.code == -EPIPE && captured) /* the reader of the pipe has seen enough */
		err.code = 0;
	control_samples_close(l.samples);
	free(l.ifs);
	if (captured && l.lost)
		cli_warn(&verb, "%" PRIu64 " sample%s lost: the ring was full", l.lost,
			 l.lost == 1 ? "" : "s");
	return err.code ? cli_fail(&verb, &err) : EXIT_DONE;
}
