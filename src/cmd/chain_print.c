// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is attached to an interface, as list and show print it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cmd/chain_print.h"
#include "cmd/cli.h"

static const char *owner_name(const struct sluice_chain_info *c)
{
	static const char *const names[] = {"none", "sluice", "libxdp", "other", "unknown"};

	return names[c->owner];
}

static const char *tag_text(const uint8_t *tag, char *to)
{
	int i;

	for (i = 0; i < 8; i++)
		snprintf(to + 2 * i, 3, "%02x", tag[i]);
	return to;
}

static const char *time_text(uint64_t ns, char *to, size_t size)
{
	time_t t = (time_t)(ns / 1000000000u);
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(to, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(to, size, "?");
	return to;
}

static json_t *verdicts_json(uint32_t set)
{
	json_t *a = json_array();
	unsigned int v;

	for (v = 0; sluice_verdict_name(v); v++)
		if (set & 1u << v)
			json_array_append_new(a, json_string(sluice_verdict_name(v)));
	return a;
}

static json_t *member_json(const struct sluice_member_info *m)
{
	json_t *ended = json_object(), *maps = json_array();
	char tag[17];
	uint32_t i;

	for (i = 0; i < 6; i++)
		json_object_set_new(ended, sluice_verdict_name(i) ?: "invalid", json_integer((json_int_t)m->verdict[i]));
	for (i = 0; i < m->n_maps; i++)
		json_array_append_new(maps, json_integer(m->map_ids[i]));
	return json_pack("{s:s, s:I, s:o, s:s, s:s, s:s, s:I, s:b, s:f, s:I, s:I, s:o, s:o}", "name", m->name, "priority",
			 (json_int_t)m->priority, "go_on", verdicts_json(m->go_on), "owner", m->owner, "object", m->object, "tag",
			 tag_text(m->tag, tag), "instructions", (json_int_t)m->n_insns, "inlined", m->inlined, "attached_at",
			 (double)m->attached_ns / 1e9, "runs", (json_int_t)m->runs, "passed_on", (json_int_t)m->passed_on,
			 "ended", ended, "map_ids", maps);
}

json_t *chain_json(const struct sluice_chain_info *c, const char *member, const struct chain_cost *cost)
{
	json_t *o = json_pack("{s:s, s:i, s:s}", "interface", c->ifname, "ifindex", c->ifindex, "owner", owner_name(c)), *a;
	char tag[17];
	uint32_t i;

	if (!o || c->owner == SLUICE_OWNER_NONE)
		return o;
	json_object_update_new(o, json_pack("{s:s, s:I, s:s, s:s, s:b, s:f, s:I, s:I}", "mode", sluice_mode_name(c->mode),
					    "program_id", (json_int_t)c->prog_id, "program", c->prog_name, "tag",
					    tag_text(c->prog_tag, tag), "multi_buffer", c->frags, "loaded_at",
					    (double)c->loaded_ns / 1e9, "loaded_by_uid", (json_int_t)c->loaded_by_uid,
					    "observers", (json_int_t)c->n_observers));
	json_object_update_new(o, json_pack("{s:I, s:I, s:I}", "kernel_runs", (json_int_t)c->run_cnt, "kernel_run_time_ns",
					    (json_int_t)c->run_time_ns, "programs_in_other_modes", (json_int_t)c->n_more));
	if (c->link_id)
		json_object_set_new(o, "link_id", json_integer(c->link_id));
	if (c->pinned)
		json_object_set_new(o, "pin", json_string(c->pin));
	if (c->holder[0])
		json_object_set_new(o, "held_by", json_string(c->holder));
	if (cost && cost->runs)
		json_object_set_new(o, "ns_per_run", json_real((double)cost->ns / (double)cost->runs));
	a = json_array();
	for (i = 0; i < c->n_members; i++)
		if (!member || !strcmp(member, c->member[i].name))
			json_array_append_new(a, member_json(&c->member[i]));
	if (c->owner == SLUICE_OWNER_SLUICE)
		json_object_set_new(o, "members", a);
	else
		json_decref(a);
	return o;
}

static void print_cost(const struct sluice_chain_info *c, const struct chain_cost *cost)
{
	char runs[16];

	if (cost && cost->runs)
		printf(", %.1f ns per run", (double)cost->ns / (double)cost->runs);
	else if (cost)
		printf(", not run while measuring");
	else if (c->run_cnt)
		printf(", %s runs, %.1f ns each", text_si((double)c->run_cnt, runs, sizeof(runs)),
		       (double)c->run_time_ns / (double)c->run_cnt);
}

static void print_head(const struct sluice_chain_info *c, const struct chain_cost *cost)
{
	char name[CLI_NAME];

	printf("%-15s ", cli_name(c->ifname, name));
	switch (c->owner) {
	case SLUICE_OWNER_NONE:
		printf("-\n");
		return;
	case SLUICE_OWNER_SLUICE:
		printf("%-8s sluice, program %u, %u in the chain", sluice_mode_name(c->mode), c->prog_id, c->n_members);
		if (c->n_observers)
			printf(", %u observer%s", c->n_observers, c->n_observers > 1 ? "s" : "");
		break;
	case SLUICE_OWNER_UNKNOWN:
		printf("%-8s program %u, not readable without CAP_SYS_ADMIN", sluice_mode_name(c->mode), c->prog_id);
		break;
	case SLUICE_OWNER_LIBXDP:
		printf("%-8s libxdp, dispatcher program %u", sluice_mode_name(c->mode), c->prog_id);
		break;
	case SLUICE_OWNER_OTHER:
		printf("%-8s other, program %u %s", sluice_mode_name(c->mode), c->prog_id, c->prog_name);
		if (!c->link_id)
			printf(", attached without a link");
		else if (c->holder[0])
			printf(", link %u held by %s", c->link_id, c->holder);
		else
			printf(", link %u", c->link_id);
		break;
	}
	print_cost(c, cost);
	if (c->n_more)
		printf(", and %u in other modes", c->n_more);
	putchar('\n');
}

static void print_member(const struct sluice_member_info *m)
{
	char set[64], n[16];
	uint32_t v;

	printf("  %5u  %-20s %-16s go on: %-14s %s runs", m->priority, m->name, m->object, sluice_verdicts_name(m->go_on, set, sizeof(set)),
	       text_si((double)m->runs, n, sizeof(n)));
	for (v = 0; v < 6; v++)
		if (m->verdict[v])
			printf(", %s %s", sluice_verdict_name(v) ?: "invalid", text_si((double)m->verdict[v], n, sizeof(n)));
	if (m->owner[0])
		printf(", owner %s", m->owner);
	putchar('\n');
}

void chain_print_short(const struct sluice_chain_info *c, const struct chain_cost *cost)
{
	uint32_t i;

	print_head(c, cost);
	for (i = 0; i < c->n_members; i++)
		print_member(&c->member[i]);
}

static void print_member_long(const struct sluice_member_info *m)
{
	char set[64], tag[17], when[32];
	uint32_t i;

	printf("\n%s\n  priority     %u\n  go on after  %s\n  from         %s\n", m->name, m->priority,
	       sluice_verdicts_name(m->go_on, set, sizeof(set)), m->object);
	printf("  tag          %s, %u instructions, %s\n", tag_text(m->tag, tag), m->n_insns,
	       m->inlined ? "inlined in the chain" : "called by the chain");
	printf("  attached     %s%s%s\n", time_text(m->attached_ns, when, sizeof(when)), m->owner[0] ? ", owner " : "", m->owner);
	printf("  runs         %llu, passed on %llu", (unsigned long long)m->runs, (unsigned long long)m->passed_on);
	for (i = 0; i < 6; i++)
		if (m->verdict[i])
			printf(", ended with %s %llu", sluice_verdict_name(i) ?: "an invalid verdict", (unsigned long long)m->verdict[i]);
	printf("\n  maps        ");
	for (i = 0; i < m->n_maps; i++)
		printf(" %u", m->map_ids[i]);
	printf("%s\n", m->n_maps ? "" : " none");
}

void chain_print_long(const struct sluice_chain_info *c, const struct chain_cost *cost, const char *member)
{
	char when[32], tag[17];
	uint32_t i;

	if (!member) {
		print_head(c, cost);
		if (c->owner == SLUICE_OWNER_NONE)
			return;
		printf("  loaded       %s by uid %u\n  tag          %s\n", time_text(c->loaded_ns, when, sizeof(when)),
		       c->loaded_by_uid, tag_text(c->prog_tag, tag));
		if (c->owner == SLUICE_OWNER_SLUICE)
			printf("  multi-buffer %s\n", c->frags ? "yes" : "no");
		if (c->pinned)
			printf("  pinned       %s\n", c->pin);
	}
	for (i = 0; i < c->n_members; i++)
		if (!member || !strcmp(member, c->member[i].name))
			print_member_long(&c->member[i]);
}
