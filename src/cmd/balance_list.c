// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance list: all services, a line each. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/balance_show.h"

const struct cli_verb balance_list_verb = {
	.name = "balance list",
	.usage = "[--file FILE]",
	.summary = "all services: how many backends are up, where clients send to",
	.opts = balance_file_opts,
};

/* Virtual addresses in one line, as many as there is room for. */
static void say_virtuals(const struct balance_service *s)
{
	char text[BALANCE_TEXT];
	size_t i, n = s->n_virtuals > 3 ? 2 : s->n_virtuals;

	for (i = 0; i < n; i++)
		printf("%s%s", i ? ", " : "", balance_virtual_text(&s->virtuals[i], text, sizeof(text)));
	if (n < s->n_virtuals)
		printf(", and %zu more", s->n_virtuals - n);
	putchar('\n');
}

static void list(const struct balance_model *m)
{
	const struct balance_service *s;
	struct balance_states n;
	size_t i;

	printf("%-20s %-7s %5s %8s %5s  VIRTUAL\n", "SERVICE", "FORWARD", "UP", "DRAINING", "DOWN");
	for (i = 0; i < m->n_services; i++) {
		s = m->services[i];
		n = balance_states_of(s);
		printf("%-20s %-7s %5u %8u %5u  ", s->name, balance_mode_name(s->mode), n.up, n.draining,
		       n.down);
		say_virtuals(s);
	}
}

int balance_list_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct balance_run run;
	json_t *all;
	char **args;
	uint32_t i;
	int n, e, rc = cli_parse(&balance_list_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	e = balance_file ? balance_run_read(&run, balance_file, &err) : balance_run_open(&run, false, &err);
	if (!e && cli.json) {
		all = json_array();
		for (i = 0; !e && i < run.model->n_services; i++)
			if (json_array_append_new(all, balance_service_json(&run, i)))
				e = err_nomem(&err);
		if (!e)
			rc = cli_json(balance_head_json(&run, balance_file, "services", all));
		else
			json_decref(all);
	} else if (!e) {
		balance_head(&run, balance_file);
		list(run.model);
	}
	balance_run_close(&run);
	return e ? cli_fail(&balance_list_verb, &err) : rc > 0 ? rc : EXIT_DONE;
}
