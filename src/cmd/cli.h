/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command line of every verb: a table of options that parsing, --help and the nearest-word hints are all
 * derived from, and the one place where errors become sentences on stderr and exit codes.
 */
#ifndef CMD_CLI_H
#define CMD_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sluice/err.h>

#include "cmd/json.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_UNSUPPORTED = 4, /* not supported here, or privilege missing */
};

enum opt_kind {
	OPT_FLAG,  /* bool: set to true */
	OPT_TEXT,  /* const char *: points into argv */
	OPT_U64,   /* uint64_t, between min and max */
	OPT_COUNT, /* uint64_t, between min and max, with k, M or G behind it if wanted */
	OPT_TIME,  /* uint64_t, nanoseconds, between min and max */
	OPT_RATE,  /* uint64_t, per second, between min and max */
	OPT_LIST,  /* struct opt_list: every use appends */
};

struct opt_list {
	const char *item[32];
	size_t n;
};

struct cli_opt {
	const char *name; /* without the dashes; NULL ends the table */
	char letter;	  /* 0: none */
	enum opt_kind kind;
	const char *arg; /* what the help calls the value, NULL for a flag */
	const char *help;
	void *to; /* of the kind's type */
	uint64_t min, max;
	bool *given; /* may be NULL: set to true when the option was used */
};

/* One per verb (and per sub-verb, whose name has a space in it: "map dump"). */
struct cli_verb {
	const char *name;
	const char *usage;   /* what follows the name: "IF OBJ[:PROG]... [OPTION...]" */
	const char *summary; /* one line */
	const char *text;    /* what help prints below the options: examples, meanings; may be NULL */
	const struct cli_opt *opts;
	int min_args, max_args; /* positional; max -1: any number */
	bool ends_at_arg;	/* options end at the first argument: the rest is somebody else's command line */
	bool changes;		/* a reader of its output that is gone (SIGPIPE) does not stop it half way */
};

/* Set by the options every verb has. */
struct cli_common {
	bool json;	   /* -j, --json */
	bool verbose;	   /* -v, --verbose */
	const char *bpffs; /* --bpffs DIR, NULL: find it */
};
extern struct cli_common cli;

/*
 * cli_parse() reads the options of a verb; argv[0] is the verb's own word.
 *
 * out:     *args, *n_args the positional arguments (argv, reordered)
 * returns: -1 to go on, otherwise the exit code to leave with (help shown, or a mistake explained)
 */
int cli_parse(const struct cli_verb *verb, int argc, char **argv, char ***args, int *n_args);

/* cli_name() copies the name of an interface as a terminal may see it: whoever makes interfaces chooses it; returns to. */
#define CLI_NAME 64
char *cli_name(const char *ifname, char to[CLI_NAME]);

/* cli_fail() prints "sluice VERB: SENTENCE" to stderr and returns the exit code that err->code stands for. */
int cli_fail(const struct cli_verb *verb, const struct sluice_err *err);

/* cli_usage() prints the sentence and a pointer to --help, and returns EXIT_USAGE. */
int cli_usage(const struct cli_verb *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* cli_warn() prints "sluice VERB: SENTENCE" and goes on. */
void cli_warn(const struct cli_verb *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writing to stdout that fails is said once, by cli_finish(): verbs only stop. cli_flush() writes out what was
 * printed and returns false if that, or anything before it, failed. cli_json() prints value on one line, flushes and
 * drops the reference; returns EXIT_FAILED if stdout is gone. cli_finish() is the last call of main(): code, or
 * EXIT_FAILED and a sentence if not everything could be written. A reader that went away is no failure.
 */
bool cli_flush(void);
int cli_json(json_t *value);
int cli_gone(struct sluice_err *err); /* for a loop to end with: cli_fail() leaves the saying to cli_finish() */
int cli_finish(int code);

/*
 * cli_group() runs the sub-verb named by argv[1] of a verb like "map" or "lab": its own --help, nearest-word hints.
 */
struct cli_sub {
	const struct cli_verb *verb; /* name "map dump" */
	int (*run)(int argc, char **argv);
};
int cli_group(const char *name, const char *summary, const struct cli_sub *subs, size_t n_subs, int argc, char **argv);

/*
 * cli_stop: set once SIGINT, SIGTERM or SIGHUP came, after cli_catch_signals(). System calls are interrupted
 * (no SA_RESTART), so that a loop that waits sees it at once. What the parent had ignored (nohup, a shell's
 * background jobs) stays ignored. SIGPIPE is ignored: writes fail instead.
 */
extern volatile sig_atomic_t cli_stop;
void cli_catch_signals(void);

/* cli_is_tty(): stdout is a terminal and TERM is usable. */
bool cli_is_tty(void);

/* Every verb's function, with its own word as argv[0]; returns the exit code. */
#define VERB(word, name, summary) int verb_##name(int argc, char **argv);
#include "cmd/verbs.def"
#undef VERB

#endif
