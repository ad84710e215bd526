// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Option tables, help, errors and exit codes: the part of the command line that all verbs share. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cli.h"

#define MAX_OPTS 48

struct cli_common cli;
volatile sig_atomic_t cli_stop;

static bool want_help;
static bool said; /* why the verb failed */
static const struct cli_opt common_opts[] = {
	{.name = "json", .letter = 'j', .kind = OPT_FLAG, .help = "print JSON (described in the man page)", .to = &cli.json},
	{.name = "verbose", .letter = 'v', .kind = OPT_FLAG, .help = "say more, verifier log included", .to = &cli.verbose},
	{.name = "bpffs", .kind = OPT_TEXT, .arg = "DIR", .help = "the bpffs to pin in (default: found by itself)", .to = &cli.bpffs},
	{.name = "help", .letter = 'h', .kind = OPT_FLAG, .help = "this text", .to = &want_help},
	{0},
};

#define HELP_COLUMNS 80

/* Words from column `at` on; further lines begin at indent. Returns the column behind them. */
static size_t wrap(const char *s, size_t len, size_t at, size_t indent)
{
	size_t blanks, word;

	for (; len; s += word, len -= word) {
		for (blanks = 0; blanks < len && s[blanks] == ' '; blanks++)
			;
		s += blanks;
		len -= blanks;
		for (word = 0; word < len && s[word] != ' '; word++)
			;
		blanks = blanks || at <= indent ? blanks : 1;
		if (at > indent && at + blanks + word > HELP_COLUMNS) {
			printf("\n%*s", (int)indent, "");
			at = indent;
			blanks = 0;
		}
		printf("%*s%.*s", (int)blanks, "", (int)word, s);
		at += blanks + word;
	}
	return at;
}

/* Lines make up a paragraph until one is empty or indented; those stay lines. */
static void wrap_text(const char *text)
{
	size_t at = 0, len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (len && text[0] != ' ') {
			at = wrap(text, len, at, 0);
			continue;
		}
		if (at)
			putchar('\n');
		at = 0;
		wrap(text, len, 0, strspn(text, " ") + 4);
		putchar('\n');
	}
	if (at)
		putchar('\n');
}

static void help_opts(const struct cli_opt *o)
{
	char left[64];

	for (; o && o->name; o++) {
		snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
			 o->letter ? "," : " ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
		if (strlen(left) < 28)
			printf("%-28s", left);
		else
			printf("%s\n%28s", left, "");
		wrap(o->help, strlen(o->help), 28, 28);
		putchar('\n');
	}
}

static void help(const struct cli_verb *verb)
{
	size_t at = (size_t)printf("sluice %s -", verb->name);

	wrap(verb->summary, strlen(verb->summary), at, 4);
	at = (size_t)printf("\n\nusage: sluice %s", verb->name) - 2;
	wrap(verb->usage, strlen(verb->usage), at, 8);
	printf("\n\n");
	help_opts(verb->opts);
	help_opts(common_opts);
	if (!verb->text)
		return;
	putchar('\n');
	wrap_text(verb->text);
}

/* A time as the command line has it: in the largest unit that goes into it. */
static void time_word(uint64_t ns, char to[32])
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = {{3600000000000, "h"}, {60000000000, "m"}, {1000000000, "s"},
		     {1000000, "ms"},	   {1000, "us"},       {1, "ns"}};
	size_t i = 0;

	while (ns % units[i].ns)
		i++;
	snprintf(to, 32, "%llu%s", (unsigned long long)(ns / units[i].ns), units[i].name);
}

/* Is a time or a rate between the option's bounds? */
static int within(const struct cli_opt *o, const char *value, struct sluice_err *err)
{
	uint64_t v = *(const uint64_t *)o->to, max = o->max ? o->max : UINT64_MAX;
	char least[32], most[32];

	if (v >= o->min && v <= max)
		return 0;
	if (o->kind == OPT_TIME) {
		time_word(o->min, least);
		time_word(max, most);
	} else {
		snprintf(least, sizeof(least), "%llu/s", (unsigned long long)o->min);
		snprintf(most, sizeof(most), "%llu/s", (unsigned long long)max);
	}
	if (!o->max)
		return err_set(err, -EINVAL, "%s is too little, %s is the least", value, least);
	return err_set(err, -EINVAL, "%s is out of range, %s to %s is possible", value, least, most);
}

static int set_value(const struct cli_opt *o, const char *value, struct sluice_err *err)
{
	struct opt_list *list;

	if (o->given)
		*o->given = true;
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->to = true;
		return 0;
	case OPT_TEXT:
		*(const char **)o->to = value;
		return 0;
	case OPT_U64:
		return text_u64(value, o->min, o->max ? o->max : UINT64_MAX, o->to, err);
	case OPT_COUNT:
		return text_count(value, o->min, o->max ? o->max : UINT64_MAX, o->to, err);
	case OPT_TIME:
		return text_time(value, o->to, err) ?: within(o, value, err);
	case OPT_RATE:
		return text_rate(value, o->to, err) ?: within(o, value, err);
	case OPT_LIST:
		list = o->to;
		if (list->n == sizeof(list->item) / sizeof(*list->item))
			return err_set(err, -EINVAL, "given more than %zu times", list->n);
		list->item[list->n++] = value;
		return 0;
	}
	return err_set(err, -EINVAL, "unknown kind of option");
}

/* Both tables into what getopt_long() wants; the index in all[] is the value getopt_long() returns, plus 256. */
static size_t collect(const struct cli_verb *verb, const struct cli_opt **all, struct option *longs, char *shorts)
{
	const struct cli_opt *tables[] = {verb->opts, common_opts}, *o;
	size_t n = 0, t;

	if (verb->ends_at_arg)
		*shorts++ = '+';
	*shorts++ = ':'; /* a missing value is ':' */
	for (t = 0; t < 2; t++) {
		for (o = tables[t]; o && o->name && n < MAX_OPTS; o++, n++) {
			all[n] = o;
			longs[n] = (struct option){o->name, o->kind == OPT_FLAG ? no_argument : required_argument,
						   NULL, (int)n + 256};
			if (!o->letter)
				continue;
			*shorts++ = o->letter;
			if (o->kind != OPT_FLAG)
				*shorts++ = ':';
		}
	}
	*shorts = '\0';
	memset(&longs[n], 0, sizeof(longs[n]));
	return n;
}

static int unknown_option(const struct cli_verb *verb, const char *typed, const struct cli_opt **all, size_t n)
{
	const char *words[MAX_OPTS];
	char name[64];
	size_t i;
	int hit;

	for (i = 0; i < n; i++)
		words[i] = all[i]->name;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(typed + strspn(typed, "-"), "="), typed + strspn(typed, "-"));
	hit = strlen(name) > 1 ? text_nearest(name, words, n) : -1;
	if (hit >= 0)
		return cli_usage(verb, "unknown option %s, did you mean --%s?", typed, words[hit]);
	return cli_usage(verb, "unknown option %s", typed);
}

int cli_parse(const struct cli_verb *verb, int argc, char **argv, char ***args, int *n_args)
{
	const struct cli_opt *all[MAX_OPTS], *o;
	struct option longs[MAX_OPTS + 1];
	char shorts[2 * MAX_OPTS + 5];
	struct sluice_err err = {0};
	size_t n = collect(verb, all, longs, shorts), i;
	int c;

	if (verb->changes)
		signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == '?' && optopt >= 256)
			return cli_usage(verb, "--%s takes no value", all[optopt - 256]->name);
		if (c == '?') {
			char letter[3] = {'-', (char)optopt, '\0'};

			return unknown_option(verb, optopt ? letter : argv[optind - 1], all, n);
		}
		if (c == ':')
			return cli_usage(verb, "%s wants a value", argv[optind - 1]);
		o = c >= 256 ? all[c - 256] : NULL;
		for (i = 0; !o && i < n; i++)
			if (all[i]->letter == c)
				o = all[i];
		if (o && set_value(o, optarg, &err))
			return cli_usage(verb, "--%s: %s", o->name, err.text);
	}
	if (want_help) {
		help(verb);
		return EXIT_DONE;
	}
	*args = argv + optind;
	*n_args = argc - optind;
	if (*n_args < verb->min_args)
		return cli_usage(verb, "too few arguments: sluice %s %s", verb->name, verb->usage);
	if (verb->max_args >= 0 && *n_args > verb->max_args)
		return cli_usage(verb, "'%s' is one argument too many: sluice %s %s", (*args)[verb->max_args],
				 verb->name, verb->usage);
	return -1;
}

char *cli_name(const char *ifname, char to[CLI_NAME])
{
	snprintf(to, CLI_NAME, "%s", ifname);
	return text_harmless(to);
}

/* Names from outside are in it; lines and tabs are those of a log that is quoted. */
static char *harmless_lines(char *text)
{
	size_t n;
	char kept, *at;

	for (at = text; *at; at += n + (at[n] != '\0')) {
		n = strcspn(at, "\n\t");
		kept = at[n];
		at[n] = '\0';
		text_harmless(at);
		at[n] = kept;
	}
	return text;
}

int cli_fail(const struct cli_verb *verb, const struct sluice_err *err)
{
	char text[SLUICE_ERR_MAX];

	if (!cli_flush() && err->code == -EPIPE)
		return EXIT_FAILED;
	said = true;
	snprintf(text, sizeof(text), "%s", err->text[0] ? err->text : strerror(err->code ? -err->code : EIO));
	fprintf(stderr, "sluice %s: %s\n", verb->name, harmless_lines(text));
	switch (err->code) {
	case -EINVAL:
		return EXIT_USAGE;
	case -ENOENT:
	case -ENODEV:
		return EXIT_NOT_FOUND;
	case -EPERM:
	case -EOPNOTSUPP:
	case -ERANGE: /* MTU too large for the mode */
		return EXIT_UNSUPPORTED;
	default:
		return EXIT_FAILED;
	}
}

static void say(const struct cli_verb *verb, const char *fmt, va_list ap)
{
	char *text;

	cli_flush();
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	fprintf(stderr, "sluice %s: %s\n", verb->name, harmless_lines(text));
	free(text);
}

int cli_usage(const struct cli_verb *verb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(verb, fmt, ap);
	va_end(ap);
	fprintf(stderr, "see sluice %s --help\n", verb->name);
	return EXIT_USAGE;
}

void cli_warn(const struct cli_verb *verb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(verb, fmt, ap);
	va_end(ap);
}

/* Why the first write that failed did; 0: stdio keeps that one failed, but not why. */
static int stdout_errno;

static bool written(bool ok)
{
	if (!ok && !stdout_errno)
		stdout_errno = errno;
	return ok && !ferror(stdout);
}

bool cli_flush(void)
{
	errno = 0;
	return written(!fflush(stdout));
}

static bool reader_gone(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return stdout_errno == EPIPE || (poll(&p, 1, 0) == 1 && p.revents & POLLERR);
}

int cli_json(json_t *value)
{
	bool printed, flushed;

	errno = 0;
	printed = value && !json_lost() && !json_dumpf(value, stdout, JSON_COMPACT) && putchar('\n') != EOF;
	flushed = written(printed || !ferror(stdout)) && cli_flush();
	json_decref(value);
	if (!printed && flushed) {
		said = true;
		fprintf(stderr, "sluice: making JSON: %s\n", strerror(ENOMEM));
	}
	return printed && flushed ? EXIT_DONE : EXIT_FAILED;
}

int cli_gone(struct sluice_err *err)
{
	return err_set(err, -EPIPE, "writing to standard output failed");
}

int cli_finish(int code)
{
	if (cli_flush())
		return code;
	if (reader_gone())
		return code == EXIT_FAILED && !said ? EXIT_DONE : code;
	fprintf(stderr, "sluice: writing to standard output%s%s\n", stdout_errno ? ": " : " failed",
		stdout_errno ? strerror(stdout_errno) : "");
	return code == EXIT_DONE ? EXIT_FAILED : code;
}

int cli_group(const char *name, const char *summary, const struct cli_sub *subs, size_t n_subs, int argc, char **argv)
{
	const char *words[32];
	size_t i;
	int hit;

	for (i = 0; i < n_subs && i < 32; i++)
		words[i] = subs[i].verb->name + strlen(name) + 1;
	if (argc >= 2 && argv[1][0] != '-') {
		for (i = 0; i < n_subs; i++)
			if (!strcmp(words[i], argv[1]))
				return subs[i].run(argc - 1, argv + 1);
		hit = text_nearest(argv[1], words, n_subs);
		fprintf(stderr, "sluice %s: unknown word '%s'", name, argv[1]);
		fprintf(stderr, hit >= 0 ? ", did you mean %s?\n" : "\n", hit >= 0 ? words[hit] : "");
	}
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		wrap(summary, strlen(summary), (size_t)printf("sluice %s -", name), 4);
		printf("\n\n");
		for (i = 0; i < n_subs; i++) {
			wrap(subs[i].verb->usage, strlen(subs[i].verb->usage),
			     (size_t)printf("  sluice %s", subs[i].verb->name), 10);
			printf("\n      %s\n", subs[i].verb->summary);
		}
		return EXIT_DONE;
	}
	if (argc < 2)
		fprintf(stderr, "sluice %s: what? One of:", name);
	else
		fprintf(stderr, "sluice %s knows:", name);
	for (i = 0; i < n_subs; i++)
		fprintf(stderr, " %s", words[i]);
	fprintf(stderr, "\nsee sluice %s --help\n", name);
	return EXIT_USAGE;
}

static void on_signal(int sig)
{
	cli_stop = sig;
}

void cli_catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal}, before;
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (!sigaction(signals[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool cli_is_tty(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && term && strcmp(term, "dumb") != 0;
}
