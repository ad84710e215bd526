// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice: finds the verb and hands over. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/cli.h"

static const struct {
	const char *word;
	int (*run)(int argc, char **argv);
	const char *summary;
} verbs[] = {
#define VERB(word, name, summary) {#word, verb_##name, summary},
#include "cmd/verbs.def"
#undef VERB
};

static void usage(FILE *to)
{
	size_t i;

	fputs("usage: sluice VERB [ARG...]    (sluice VERB --help tells more)\n\n", to);
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		fprintf(to, "  %-10s %s\n", verbs[i].word, verbs[i].summary);
	fputs("\n-j (--json), -v and --bpffs DIR go with every verb, behind it or in front.\n"
	      "sluice --version prints the version. Exit codes: 0 done, 1 failed,\n"
	      "2 usage, 3 not found, 4 not supported here or privilege missing.\n",
	      to);
}

static int unknown(const char *typed)
{
	const char *words[sizeof(verbs) / sizeof(*verbs)];
	size_t i;
	int hit;

	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		words[i] = verbs[i].word;
	hit = text_nearest(typed, words, i);
	if (hit >= 0)
		fprintf(stderr, "sluice: unknown verb '%s', did you mean %s?\n", typed, words[hit]);
	else
		fprintf(stderr, "sluice: unknown verb '%s'\n", typed);
	fputs("see sluice --help\n", stderr);
	return EXIT_USAGE;
}

/* -j, -v and --bpffs DIR in front of the verb; returns how many words they are, -1 if DIR is missing. */
static int options_first(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))
			cli.json = true;
		else if (!strcmp(argv[i], "-v") || !strcmp(argv[i], "--verbose"))
			cli.verbose = true;
		else if (!strncmp(argv[i], "--bpffs=", 8))
			cli.bpffs = argv[i] + 8;
		else if (strcmp(argv[i], "--bpffs") != 0)
			break;
		else if (++i < argc)
			cli.bpffs = argv[i];
		else
			return -1;
	}
	return i - 1;
}

/*
 * A map or a socket that became number 1 or 2 would be printed into. Opened the wrong way round, so that using it
 * still fails as if it were closed.
 */
static bool standard_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

static int run(int argc, char **argv)
{
	static char help_word[] = "--help";
	size_t i;
	int n;

	n = options_first(argc, argv);
	if (n < 0) {
		fputs("sluice: --bpffs wants a value\nsee sluice --help\n", stderr);
		return EXIT_USAGE;
	}
	argc -= n;
	argv += n;
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("sluice " SLUICE_VERSION);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		if (argc < 3) {
			usage(stdout);
			return EXIT_DONE;
		}
		argv[1] = argv[2]; /* sluice help VERB = sluice VERB --help */
		argv[2] = help_word;
	}
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].word, argv[1]))
			return verbs[i].run(argc - 1, argv + 1);
	return unknown(argv[1]);
}

int main(int argc, char **argv)
{
	return standard_descriptors() ? cli_finish(run(argc, argv)) : EXIT_FAILED;
}
