// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice: finds the verb and hands over. */
#include <stdio.h>
#include <string.h>

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
	fputs("\nsluice --version prints the version. Exit codes: 0 done, 1 failed, 2 usage, 3 not found,\n"
	      "4 not supported here or privilege missing.\n",
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

static int run(int argc, char **argv)
{
	static char help_word[] = "--help";
	size_t i;

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
	return cli_finish(run(argc, argv));
}
