// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice status: which policy is in force, and whether it really is. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "cmd/policy_say.h"
#include "control/status.h"

static const struct cli_opt opts[] = {{0}};

static const struct cli_verb verb = {
	.name = "status",
	.usage = "[OPTION...]",
	.summary = "which policy is in force, where, and which there were before",
	.text = "Exit status 0 if a policy is in force on all its interfaces, 3 if none is, 1 if one is not "
		"where it\n"
		"should be, an interface that its rules redirect to is not what it was, or its text is lost.\n",
	.opts = opts,
};

static bool healthy(const struct control_status_part *p)
{
	return p->health == CONTROL_RUNS || p->health == CONTROL_DETOUR;
}

static void say_part(const struct control_status *s, const struct control_status_part *p)
{
	const char *what = p->kind == CONTROL_FILTER ? "filter" : "balancer";
	char size[16], name[CLI_NAME];

	printf("  %-15s ", cli_name(p->ifname, name));
	switch (p->health) {
	case CONTROL_RUNS:
	case CONTROL_DETOUR:
		if (!s->gen) {
			printf("%s, the detour of a trial that is over: everything passes\n", sluice_mode_name(p->mode));
			break;
		}
		printf("%s", sluice_mode_name(p->mode));
		if (p->why[0])
			printf(" (%s)", p->why);
		if (p->has_report)
			printf(", %u rule%s, %sB of tables", p->report.n_rules, p->report.n_rules == 1 ? "" : "s",
			       text_si((double)p->report.bytes, size, sizeof(size)));
		if (p->has_services)
			printf(", balancer, %u service%s, %u backend%s, %sB of tables", p->services.n_services,
			       p->services.n_services == 1 ? "" : "s", p->services.n_backends,
			       p->services.n_backends == 1 ? "" : "s",
			       text_si((double)p->services.bytes, size, sizeof(size)));
		if (p->members > 1)
			printf(", one of %u programs", p->members);
		if (p->was[0])
			printf(", put there when it was %s", cli_name(p->was, name));
		if (p->health == CONTROL_DETOUR)
			printf(s->trial_ns ? ", on trial" : ", by the detour of a switch");
		putchar('\n');
		break;
	case CONTROL_OTHER:
		printf("NOT IN FORCE: the %s of another policy is there; sluice apply\n", what);
		break;
	case CONTROL_TAKEN:
		printf("NOT IN FORCE: somebody took the %s off; sluice apply\n", what);
		break;
	case CONTROL_FOREIGN:
		printf("NOT IN FORCE: program %s is there, which is not Sluice's; sluice show %s\n", p->program, name);
		break;
	case CONTROL_GONE:
		printf("the interface is gone\n");
		break;
	case CONTROL_AGAIN:
		printf("NOT IN FORCE: the interface was made anew; sluice restore\n");
		break;
	case CONTROL_NEW:
		printf("NOT IN FORCE: the interface came after the policy; sluice restore\n");
		break;
	case CONTROL_MISSING:
		printf("there is no such interface\n");
		break;
	case CONTROL_ALIAS:
		printf("NOT IN FORCE: it is another name of %s; write that into the policy, and sluice apply\n",
		       cli_name(p->why, name));
		break;
	case CONTROL_LEFT:
		printf("%s, a %s that this policy does not know of; sluice apply, or sluice down --force\n",
		       sluice_mode_name(p->mode), what);
		break;
	case CONTROL_UNKNOWN:
		printf("cannot be asked: %s\n", p->why);
		break;
	}
}

static void say_lost(const struct control_status *s)
{
	char name[CLI_NAME];
	uint32_t i;

	for (i = 0; i < s->n_lost; i++)
		printf("  %-15s LOST: packets that rules redirect to it, the interface %s\n",
		       cli_name(s->lost[i].ifname, name),
		       s->lost[i].gone ? "is gone" : "was made anew; sluice restore");
}

static void say_history(const struct control_status *s)
{
	const struct store_entry *v;
	char when[32];
	uint32_t i;

	if (!s->n_history)
		return;
	printf("history\n");
	for (i = 0; i < s->n_history && i < STORE_KEPT; i++) {
		v = &s->history[i];
		printf("%s %5u  %s  %.12s  %s", !strcmp(v->name, s->current) ? "*" : " ", v->number,
		       policy_time(v->made_ns, when), v->hash, v->path);
		if (v->again[0])
			printf(" (%u again)", (unsigned int)strtoul(v->again, NULL, 10));
		if (!strcmp(v->name, s->confirmed))
			printf(", comes back at boot");
		putchar('\n');
	}
}

static void say(const struct control_status *s)
{
	char when[32], size[16];
	uint32_t i;

	if (!s->gen) {
		printf("no policy is in force\n");
	} else {
		printf("policy %s of %s\n  since %s, %.64s\n", s->current, s->gen->path, policy_time(s->since_ns, when),
		       s->gen->hash);
	}
	if (s->trial_ns)
		printf("  on trial: rolls back by itself in %" PRIu64 " s unless sluice confirm comes\n",
		       (s->trial_ns + 999999999) / 1000000000);
	if (s->rolled_back_ns)
		printf("  policy %s was on trial and rolled back by itself at %s\n", s->tried,
		       policy_time(s->rolled_back_ns, when));
	if (s->unkept)
		printf("  NOT KEPT: its text is not in %s any more, and no boot brings it back; sluice apply of the same file keeps it again\n",
		       s->st->lib);
	if (s->busy)
		printf("  somebody is changing it right now\n");
	else if (s->st->record.change != CONTROL_NONE && s->st->record.change != CONTROL_TRIAL)
		printf("  a change was interrupted; the next one finishes or undoes it\n");
	for (i = 0; i < s->n_parts; i++)
		say_part(s, &s->parts[i]);
	say_lost(s);
	if (s->memory)
		printf("memory %sB\n", text_si((double)s->memory, size, sizeof(size)));
	say_history(s);
}

static json_t *json_name(const char *name)
{
	return name[0] ? json_string(name) : json_null();
}

static json_t *json_time(uint64_t ns)
{
	return ns ? json_real((double)ns / 1e9) : json_null();
}

static json_t *json_parts(const struct control_status *s)
{
	json_t *list = json_array(), *o;
	const struct control_status_part *p;

	for (p = s->parts; p < s->parts + s->n_parts; p++) {
		o = json_pack("{s:s, s:i, s:s, s:s, s:b}", "interface", p->ifname, "ifindex", p->ifindex, "kind",
			      p->kind == CONTROL_FILTER ? "filter" : "balance", "state", control_health_name(p->health),
			      "in_force", healthy(p));
		if (healthy(p) || p->health == CONTROL_LEFT) {
			json_object_set_new(o, "mode", json_string(sluice_mode_name(p->mode)));
			json_object_set_new(o, "why", json_string(p->why));
			json_object_set_new(o, "programs", json_integer(p->members));
			json_object_set_new(o, "was", json_name(p->was));
		}
		if (p->health == CONTROL_FOREIGN)
			json_object_set_new(o, "program", json_string(p->program));
		if (p->health == CONTROL_ALIAS)
			json_object_set_new(o, "own_name", json_string(p->why));
		if (p->has_report) {
			json_object_set_new(o, "filter", json_integer(p->filter));
			json_object_set_new(o, "rules", json_integer(p->report.n_rules));
			json_object_set_new(o, "table_bytes", json_integer((json_int_t)p->report.bytes));
			json_object_set_new(o, "limits", json_integer(p->report.n_limits));
			json_object_set_new(o, "limit_cells", json_integer(p->report.n_cells));
		}
		if (p->has_services) {
			json_object_set_new(o, "services", json_integer(p->services.n_services));
			json_object_set_new(o, "virtual_addresses", json_integer(p->services.n_virtuals));
			json_object_set_new(o, "backends", json_integer(p->services.n_backends));
			json_object_set_new(o, "table_bytes", json_integer((json_int_t)p->services.bytes));
		}
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_lost_redirects(const struct control_status *s)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < s->n_lost; i++)
		json_array_append_new(list, json_pack("{s:s, s:i, s:s}", "interface", s->lost[i].ifname,
						      "ifindex", s->lost[i].ifindex, "state",
						      s->lost[i].gone ? "gone" : "made_anew"));
	return list;
}

static json_t *json_history(const struct control_status *s)
{
	json_t *list = json_array();
	const struct store_entry *v;

	for (v = s->history; v < s->history + s->n_history; v++)
		json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:b, s:b}", "number",
						      (json_int_t)v->number, "name", v->name, "hash", v->hash, "file",
						      v->path, "applied_at", json_time(v->made_ns), "again",
						      json_name(v->again), "in_force", !strcmp(v->name, s->current),
						      "at_boot", !strcmp(v->name, s->confirmed)));
	return list;
}

static int say_json(const struct control_status *s)
{
	bool left = s->st->record.change != CONTROL_NONE && s->st->record.change != CONTROL_TRIAL;

	return cli_json(json_pack("{s:o, s:s?, s:s?, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o, s:I, s:o}",
				  "policy", json_name(s->current), "file", s->gen ? s->gen->path : NULL,
				  "hash", s->gen ? s->gen->hash : NULL, "since",
				  json_time(s->current[0] ? s->since_ns : 0), "trial_left",
				  s->trial_ns ? json_real((double)s->trial_ns / 1e9) : json_null(),
				  "rolled_back_at", json_time(s->rolled_back_ns), "rolled_back",
				  s->rolled_back_ns ? json_name(s->tried) : json_null(), "busy", s->busy,
				  "interrupted", left && !s->busy, "kept", s->gen && !s->unkept, "interfaces",
				  json_parts(s), "lost_redirects", json_lost_redirects(s), "memory",
				  (json_int_t)s->memory, "history", json_history(s)));
}

int verb_status(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct control_status *s;
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);
	uint32_t i;

	if (rc >= 0)
		return rc;
	if (control_status(cli.bpffs, &s, &err))
		return cli_fail(&verb, &err);
	rc = EXIT_DONE;
	if (cli.json)
		rc = say_json(s);
	else
		say(s);
	if (rc == EXIT_DONE && !s->current[0])
		rc = EXIT_NOT_FOUND;
	for (i = 0; rc == EXIT_DONE && i < s->n_parts; i++)
		if (!healthy(&s->parts[i]) && s->parts[i].health != CONTROL_GONE && s->parts[i].health != CONTROL_MISSING)
			rc = EXIT_FAILED;
	if (rc == EXIT_DONE && (s->n_lost || s->unkept))
		rc = EXIT_FAILED;
	control_status_free(s);
	return rc;
}
