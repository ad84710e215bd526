// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice import: rules of nftables or iptables as a policy, with a list of what has no counterpart. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/cli.h"
#include "policy/import.h"
#include "policy/policy.h"

static const char *on;
static bool partial;

static const struct cli_opt opts[] = {
	{.name = "on", .kind = OPT_TEXT, .arg = "IF", .to = &on, .help = "the interface of chains that name none (default: all)"},
	{.name = "partial", .kind = OPT_FLAG, .to = &partial, .help = "exit 0 also if something was left out"},
	{0},
};

static const struct cli_verb verb = {
	.name = "import",
	.usage = "[nft|iptables-save|ip6tables-save] [FILE] [--on IF] [--partial]",
	.summary = "rules of nftables or iptables as a policy",
	.text = "Reads what nft list ruleset, iptables-save or ip6tables-save print, from FILE or standard input. The policy\n"
		"goes to standard output; what has no exact counterpart is a comment there and a line on standard error.\n"
		"\n"
		"  nft list ruleset | sluice import nft >sluice.conf\n"
		"  iptables-save | sluice import iptables-save --on eth0\n",
	.opts = opts,
	.min_args = 0,
	.max_args = 2,
};

static int read_stdin(struct buf *to, struct sluice_err *err)
{
	char some[65536];
	size_t n;

	while (to->len <= IMPORT_TEXT_MAX && (n = fread(some, 1, sizeof(some), stdin)))
		buf_put(to, some, n);
	if (ferror(stdin))
		return err_set(err, -EIO, "standard input: %s", strerror(errno));
	return to->failed ? err_nomem(err) : 0;
}

static bool is_blank(const struct buf *text)
{
	size_t i;

	for (i = 0; i < text->len; i++)
		if (!memchr(" \t\r\n", text->data[i], 4))
			return false;
	return true;
}

static int form_of(const char *word)
{
	static const char *const forms[] = {"nft", "iptables-save", "ip6tables-save"};
	int i;

	for (i = 0; i < 3; i++)
		if (!strcmp(word, forms[i]))
			return i;
	return -1;
}

static int show(const struct import_text *t)
{
	if (cli.json) {
		if (cli_json(json_pack("{s:s%, s:I, s:I, s:s%}", "policy", (const char *)t->policy.data,
				       t->policy.len, "n_rules", (json_int_t)t->n_rules, "n_notes",
				       (json_int_t)t->n_notes, "notes",
				       t->notes.data ? (const char *)t->notes.data : "", t->notes.len)))
			return EXIT_FAILED;
	} else {
		fwrite(t->policy.data, 1, t->policy.len, stdout);
		if (t->notes.len)
			fwrite(t->notes.data, 1, t->notes.len, stderr);
	}
	return t->n_notes && !partial ? EXIT_FAILED : EXIT_DONE;
}

int verb_import(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct import_text t = {0};
	struct buf text = {0};
	const char *path;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), form, e;

	if (rc >= 0)
		return rc;
	form = n_args ? form_of(args[0]) : -1;
	path = n_args > (form >= 0) ? args[form >= 0] : NULL;
	if (n_args == 2 && form < 0)
		return cli_usage(&verb, "'%s' is no form to import, expected nft, iptables-save or ip6tables-save",
				 args[0]);
	if (on && (!*on || strlen(on) > 15 ||
		   strspn(on, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*?") != strlen(on)))
		return cli_usage(&verb, "'%s' is no name of an interface", on);
	e = path ? policy_disk.read(policy_disk.ctx, path, IMPORT_TEXT_MAX, &text, &err) : read_stdin(&text, &err);
	if (!e && text.failed)
		e = err_nomem(&err);
	if (!e && is_blank(&text))
		e = err_set(&err, -EBADMSG, "%s: nothing to import", path ? path : "<stdin>");
	if (!e)
		e = import_read(form >= 0 ? (enum import_form)form
					  : import_form_of((const char *)text.data, text.len),
				path ? path : "<stdin>", (const char *)text.data, text.len, on, &t, &err);
	rc = e ? cli_fail(&verb, &err) : show(&t);
	import_text_free(&t);
	buf_free(&text);
	return rc;
}
