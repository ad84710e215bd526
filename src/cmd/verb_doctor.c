// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice doctor: what this machine and its interfaces can do with XDP, what stands in the way, and the fix. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cli.h"
#include "cmd/doctor.h"

#define SAFE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ./_=,:+@-"

int verb_doctor(int argc, char **argv);

static bool quiet;

static const struct cli_opt opts[] = {
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPT_FLAG,
	 .help = "leave out the lines that are ok",
	 .to = &quiet},
	{0},
};
static const struct cli_verb verb = {
	.name = "doctor",
	.usage = "[IF[,IF...]] [OPTION...]",
	.summary = "what this machine can do with XDP, what stands in the way, and the fix",
	.text = "Lines are ok, unknown (could not be told, and why), warning or error. Exit code 1 if one is an error.\n"
		"Nothing is attached to the interfaces to find out, and nothing is changed.\n",
	.opts = opts,
	.max_args = 1,
};

static const char *level_name(enum level level)
{
	static const char *const names[] = {"ok", "unknown", "warning", "error"};

	return names[level];
}

void doctor_say(struct findings *f, enum level level, const char *ifname, const char *check, const char *fmt,
		...)
{
	struct finding *more, *item;
	char text[sizeof(item->text)];
	va_list ap;

	if (f->n == f->cap) {
		more = realloc(f->item, (f->cap + 64) * sizeof(*more));
		if (!more) {
			f->failed = true;
			return;
		}
		f->item = more;
		f->cap += 64;
	}
	item = &f->item[f->n++];
	*item = (struct finding){.level = level};
	/* names of interfaces and programs are chosen by others */
	text_printable(ifname ? ifname : "", item->ifname, sizeof(item->ifname));
	snprintf(item->check, sizeof(item->check), "%s", check);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_printable(text, item->text, sizeof(item->text));
}

/* People paste it into a shell: an interface may be called x;reboot. */
static void add_fix(struct findings *f, bool then, const char *fmt, va_list ap)
{
	char text[sizeof(f->item->fix)], *fix;
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	size_t had, len = n > 0 ? (size_t)n : 0;

	if (!f->n)
		return;
	fix = f->item[f->n - 1].fix;
	had = then ? strlen(fix) : 0;
	if (!len || had + len + 5 > sizeof(text) || text[strspn(text, SAFE)]) {
		*fix = '\0';
		return;
	}
	memcpy(fix + had, " && ", 4);
	memcpy(fix + had + (had ? 4 : 0), text, len + 1);
}

void doctor_fix(struct findings *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_fix(f, false, fmt, ap);
	va_end(ap);
}

void doctor_fix_then(struct findings *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_fix(f, true, fmt, ap);
	va_end(ap);
}

static int print_json(const struct findings *f)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < f->n; i++) {
		const struct finding *x = &f->item[i];

		if (!quiet || x->level != LEVEL_OK)
			json_array_append_new(all,
					      json_pack("{s:s, s:s?, s:s, s:s, s:s?}", "level",
							level_name(x->level), "interface",
							x->ifname[0] ? x->ifname : NULL, "check", x->check,
							"reason", x->text, "fix", x->fix[0] ? x->fix : NULL));
	}
	return cli_json(all);
}

/* "; native XDP on to1, to2", out of the lines called "native". */
static void print_where(const struct findings *f, enum level level, const char *what)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		if (f->item[i].level == level && !strcmp(f->item[i].check, "native"))
			printf("%s%s", n++ ? ", " : what, f->item[i].ifname);
}

static void print_text(const struct findings *f)
{
	size_t count[4] = {0}, i;
	const char *section = NULL;

	for (i = 0; i < f->n; i++) {
		const struct finding *x = &f->item[i];

		count[x->level]++;
		if (quiet && x->level == LEVEL_OK)
			continue;
		if (!section || strcmp(section, x->ifname) != 0)
			printf("%s%s\n", section ? "\n" : "", x->ifname[0] ? x->ifname : "this machine");
		section = x->ifname;
		printf("  %-8s %-17s %s\n", level_name(x->level), x->check, x->text);
		if (x->fix[0])
			printf("  %-8s %-17s $ %s\n", "", "", x->fix);
	}
	printf("%s%s: %zu ok, %zu unknown, %zu warning%s, %zu error%s", section ? "\n" : "",
	       count[LEVEL_ERROR] ? "not ready" : "ready", count[LEVEL_OK], count[LEVEL_UNKNOWN],
	       count[LEVEL_WARNING], count[LEVEL_WARNING] == 1 ? "" : "s", count[LEVEL_ERROR],
	       count[LEVEL_ERROR] == 1 ? "" : "s");
	print_where(f, LEVEL_OK, "; native XDP on ");
	print_where(f, LEVEL_WARNING, "; generic mode only on ");
	putchar('\n');
}

int verb_doctor(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct findings f = {0};
	struct net_if *ifs = NULL;
	bool bad = false;
	int n_args, code;
	size_t n = 0, i;
	char **args;

	code = cli_parse(&verb, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	if (n_args && net_ifs_find(args[0], &ifs, &n, &err))
		return cli_fail(&verb, &err);
	doctor_machine(&f);
	for (i = 0; i < n && !err.code; i++)
		doctor_interface(&f, &ifs[i], &err);
	free(ifs);
	if (f.failed && !err.code)
		err_nomem(&err);
	if (err.code) {
		free(f.item);
		return cli_fail(&verb, &err);
	}
	for (i = 0; i < f.n; i++)
		bad |= f.item[i].level == LEVEL_ERROR;
	code = EXIT_DONE;
	if (cli.json)
		code = print_json(&f);
	else
		print_text(&f);
	free(f.item);
	return bad ? EXIT_FAILED : code;
}
