// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice check: what is wrong with a policy, all of it, before anything is done with it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/policy_say.h"
#include "filter/compile.h"

static bool print;

static const struct cli_opt opts[] = {
	{.name = "print",
	 .letter = 'p',
	 .kind = OPT_FLAG,
	 .to = &print,
	 .help = "print the policy in its canonical form"},
	{0},
};

static const struct cli_verb verb = {
	.name = "check",
	.usage = "FILE|- [OPTION...]",
	.summary = "find the mistakes of a policy, all of them",
	.text = "- is standard input. Mistakes and warnings go to standard error, a summary (or with --print "
		"the policy) to "
		"standard output.\n"
		"Exit status 1 if there are mistakes; warnings are none. The language: man sluice.conf\n"
		"\n"
		"  sluice check /etc/sluice/sluice.conf\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
};

static json_t *json_diags(const struct policy *p)
{
	json_t *list = json_array();
	struct policy_where w;
	uint32_t i;

	for (i = 0; i < p->n_diags; i++) {
		w = policy_where(p, p->diags[i].pos);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "severity",
						p->diags[i].severity == POLICY_ERROR ? "error" : "warning",
						"file", w.path, "line", (json_int_t)w.line, "column",
						(json_int_t)w.column, "length",
						(json_int_t)p->diags[i].pos.len, "text", p->diags[i].text));
	}
	return list;
}

/* IPv6 may have more addresses than an integer holds. */
static json_t *json_addresses(const struct policy_spans *s, bool v6)
{
	double n = policy_spans_count(s, v6);

	return n < 0x1p53 ? json_integer((json_int_t)n) : json_real(n);
}

static json_t *json_sets(const struct policy *p)
{
	json_t *list = json_array();
	const struct policy_set *s;

	for (s = p->sets; s < p->sets + p->n_sets; s++)
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o, s:o}", "name", s->name,
						      "spans_ipv4", (json_int_t)s->spans.n4, "spans_ipv6",
						      (json_int_t)s->spans.n6, "addresses_ipv4",
						      json_addresses(&s->spans, false), "addresses_ipv6",
						      json_addresses(&s->spans, true)));
	return list;
}

static json_t *json_services(const struct policy *p)
{
	const struct balance_service *s;
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < p->services.n_services; i++) {
		s = p->services.services[i];
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "name", s->name, "virtuals",
						      (json_int_t)s->n_virtuals, "backends",
						      (json_int_t)s->n_backends, "slots",
						      (json_int_t)s->n_slots));
	}
	return list;
}

static int show_json(const char *path, const struct policy *p)
{
	struct buf text = {0};
	json_t *o = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "file", path, "ok", !p->n_errors,
			      "errors", (json_int_t)p->n_errors, "warnings", (json_int_t)p->n_warnings,
			      "filters", (json_int_t)p->n_filters, "rules", (json_int_t)p->n_rules, "sets",
			      json_sets(p), "services", json_services(p), "diagnostics", json_diags(p));

	if (print && !p->n_errors) {
		policy_print(p, &text);
		json_object_set_new(o, "printed", json_text_n((const char *)text.data, text.len));
	}
	buf_free(&text);
	return cli_json(o);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void show_services(const struct policy *p)
{
	size_t i, n = p->services.n_services, virtuals = 0, backends = 0;

	for (i = 0; i < n; i++) {
		virtuals += p->services.services[i]->n_virtuals;
		backends += p->services.services[i]->n_backends;
	}
	if (n)
		printf("; %zu service%s, %zu virtual address%s, %zu backend%s", n, plural(n), virtuals,
		       virtuals == 1 ? "" : "es", backends, plural(backends));
}

static void show_summary(const char *path, const struct policy *p)
{
	double v4 = 0, v6 = 0;
	char text4[16];
	uint64_t spans = 0;
	uint32_t i;

	for (i = 0; i < p->n_sets; i++) {
		v4 += policy_spans_count(&p->sets[i].spans, false);
		v6 += policy_spans_count(&p->sets[i].spans, true);
		spans += p->sets[i].spans.n4 + p->sets[i].spans.n6;
	}
	printf("%s: %" PRIu64 " rule%s in %u filter%s, %u set%s", path, p->n_rules, plural(p->n_rules),
	       p->n_filters, plural(p->n_filters), p->n_sets, plural(p->n_sets));
	if (p->n_sets)
		printf(" of %" PRIu64 " element%s (%s IPv4 addresses%s)", spans, plural(spans),
		       text_si(v4, text4, sizeof(text4)), v6 > 0 ? " and IPv6" : "");
	show_services(p);
	printf("; %" PRIu64 " warning%s\n", p->n_warnings, plural(p->n_warnings));
}

/* Every interface that rules name is there: which are is not asked. */
static struct filter_interface *targets(const struct policy_filter *f, uint32_t *n)
{
	struct filter_interface *v = calloc(f->n_stmts + 1ul, sizeof(*v));
	uint32_t i;

	*n = 0;
	for (i = 0; v && i < f->n_stmts; i++)
		if (f->stmts[i].redirect && (!*n || strcmp(v[*n - 1].name, f->stmts[i].redirect) != 0))
			v[(*n)++] = (struct filter_interface){f->stmts[i].redirect, 1};
	return v;
}

/* What apply would refuse: tables that would not fit, rates that cannot be kept. Each filter that is, is one more mistake. */
static int fits(struct policy *p, const char *path, struct sluice_err *err)
{
	struct filter_sets *sets = NULL;
	struct filter_interface *v;
	struct filter_tables *t;
	struct filter_opts o = {.n_interfaces = 0};
	struct sluice_err why = {0};
	uint32_t i;
	int e = filter_sets_plan(p, &sets, &why);

	if (e && e != -ENOMEM)
		policy_error(p, p->n_sets ? p->sets[0].pos : (struct policy_pos){.at = 0}, "%s", why.text);
	o.sets = sets;
	for (i = 0; !e && i < p->n_filters; i++) {
		v = targets(&p->filters[i], &o.n_interfaces);
		o.interfaces = v;
		e = v ? filter_compile(p, i, &o, &t, &why) : -ENOMEM;
		if (!e)
			filter_tables_free(t);
		else if (e != -ENOMEM)
			policy_error(p, p->filters[i].pos, "sluice apply would refuse it: %s", why.text);
		e = e == -ENOMEM ? e : 0;
		free(v);
	}
	filter_sets_free(sets);
	if (e == -ENOMEM)
		return err_nomem(err);
	return p->n_errors ? err_set(err, -EINVAL, "%s: %" PRIu64 " mistake%s", path, p->n_errors,
				     p->n_errors == 1 ? "" : "s")
			   : 0;
}

int verb_check(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct buf text = {0};
	struct policy *p;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e;
	const char *path;

	if (rc >= 0)
		return rc;
	path = policy_file(args[0]);
	e = policy_read(path, &policy_once, &p, &err);
	if (!p)
		return cli_fail(&verb, &err);
	if (!e)
		e = fits(p, path, &err);
	rc = e ? EXIT_FAILED : EXIT_DONE;
	if (cli.json) {
		rc = show_json(path, p) == EXIT_DONE ? rc : EXIT_FAILED;
	} else {
		policy_say_mistakes(p);
		if (e)
			fprintf(stderr, "sluice check: %s\n", err.text);
		if (!e && print) {
			policy_print(p, &text);
			fwrite(text.data, 1, text.len, stdout);
			buf_free(&text);
		} else if (!e) {
			show_summary(path, p);
		}
	}
	policy_free(p);
	return rc;
}
