// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a generation is made of, as its folder under /run says. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "control/build.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/store.h"

#define PARTS_MAX (1u << 20) /* bytes of the file */

/* In the file: a part, and a name of an interface. */
static const char *const words[CONTROL_KINDS][2] = {{"part", "on"}, {"balancer", "balanced"}};

int control_generation_dir(const struct control_state *st, const char *name, char to[PATH_MAX], struct sluice_err *err)
{
	if (!name[0])
		return err_set(err, -ENOENT, "no policy is in force");
	if (!control_name_ok(name))
		return err_set(err, -EBADMSG, "'%s' is no name of a policy", name);
	return files_path(to, PATH_MAX, st->run, name, err);
}

int control_generation_write(const struct control_state *st, const struct control_generation *g, struct sluice_err *err)
{
	char dir[PATH_MAX];
	struct buf text = {0};
	uint32_t i;
	int e = control_generation_dir(st, g->name, dir, err) ?: files_mkdir(dir, err);

	buf_printf(&text, "number %u\nhash %s\nmade %" PRIu64 "\npath %s\nfilters %u\nbalances %u\n", g->number, g->hash,
		   g->made_ns, g->path, g->n_filters, g->n_balances);
	for (i = 0; i < g->n_all; i++)
		buf_printf(&text, "%s %u %d %s\n", words[g->parts[i].kind][0], g->parts[i].filter, g->parts[i].ifindex,
			   g->parts[i].ifname);
	for (i = 0; i < g->n_on; i++)
		buf_printf(&text, "%s %u 0 %s\n", words[g->on[i].kind][1], g->on[i].filter, g->on[i].ifname);
	if (!e && text.failed)
		e = err_nomem(err);
	e = e ?: files_write(dir, "parts", text.data, text.len, false, err);
	buf_free(&text);
	return e;
}

/* The lines of one word: "part FILTER IFINDEX NAME". */
static int parse_parts(const char *text, const char *word, enum control_kind kind, uint32_t n_filters,
		       struct control_part **to, uint32_t *n_to)
{
	size_t len, n_word = strlen(word);
	struct control_part p = {.kind = kind}, *v;
	int n;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (strncmp(text, word, n_word) != 0 || text[n_word] != ' ')
			continue;
		if (sscanf(text + n_word, " %u %d %15s%n", &p.filter, &p.ifindex, p.ifname, &n) != 3 ||
		    (size_t)n + n_word != len || p.filter >= n_filters || p.ifindex < 0)
			return -EBADMSG;
		v = realloc(*to, (*n_to + 1) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		*to = v;
		v[(*n_to)++] = p;
	}
	return 0;
}

static int parse_all(const char *text, struct control_generation *g)
{
	int e = parse_parts(text, words[CONTROL_FILTER][0], CONTROL_FILTER, g->n_filters, &g->parts, &g->n_all);

	g->n_parts = g->n_all;
	e = e ?: parse_parts(text, words[CONTROL_FILTER][1], CONTROL_FILTER, g->n_filters, &g->on, &g->n_on);
	e = e ?: parse_parts(text, words[CONTROL_BALANCE][0], CONTROL_BALANCE, BUILD_BALANCERS, &g->parts, &g->n_all);
	return e ?: parse_parts(text, words[CONTROL_BALANCE][1], CONTROL_BALANCE, g->n_balances, &g->on, &g->n_on);
}

int control_generation_open(const struct control_state *st, const char *name, struct control_generation **gen,
			    struct sluice_err *err)
{
	struct control_generation *g = calloc(1, sizeof(*g));
	char dir[PATH_MAX];
	struct buf text = {0};
	uint64_t number = 0, filters = 0, balances = 0;
	int e = g ? control_generation_dir(st, name, dir, err) : err_nomem(err);

	*gen = NULL;
	e = e ?: files_read(dir, "parts", PARTS_MAX, &text, err);
	if (!e && (!files_number((char *)text.data, "number", &number) ||
		   !files_line((char *)text.data, "hash", g->hash, sizeof(g->hash)) ||
		   !files_number((char *)text.data, "made", &g->made_ns) ||
		   !files_line((char *)text.data, "path", g->path, sizeof(g->path)) ||
		   !files_number((char *)text.data, "filters", &filters) || filters > UINT32_MAX))
		e = -EBADMSG;
	if (!e) {
		snprintf(g->name, sizeof(g->name), "%s", name);
		g->number = (uint32_t)number;
		g->n_filters = (uint32_t)filters;
		files_number((char *)text.data, "balances", &balances); /* not there: it has none */
		g->n_balances = balances > UINT32_MAX ? 0 : (uint32_t)balances;
		e = parse_all((char *)text.data, g);
	}
	buf_free(&text);
	if (e == -EBADMSG && control_name_ok(name))
		err_set(err, e, "%s/parts is damaged", dir);
	if (e == -ENOMEM)
		err_nomem(err);
	if (e)
		control_generation_free(g);
	else
		*gen = g;
	return e;
}

void control_generation_free(struct control_generation *g)
{
	if (!g)
		return;
	free(g->parts);
	free(g->on);
	free(g);
}

int control_generation_policy(const struct control_state *st, const char *name, struct policy **policy,
			      struct sluice_err *err)
{
	struct store_policy p;
	int e = store_again(st, name, &p, err);

	if (e == -ENOENT)
		err_set(err, e,
			"%s/generations/%s is gone, which has the policy's text; while it is in force, sluice apply of the same file writes it again",
			st->lib, name);
	*policy = NULL;
	if (!e) {
		*policy = p.policy;
		p.policy = NULL;
	}
	store_free(&p);
	return e;
}

const char *control_member_name(enum control_kind kind)
{
	static const char *const names[CONTROL_KINDS] = {"filter", "balance"};

	return names[kind];
}

const char *control_member_object(enum control_kind kind)
{
	static const char *const objects[CONTROL_KINDS] = {"policy", "balance"};

	return objects[kind];
}

uint32_t control_map_id(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* 0 if it cannot be told: no map has that number */
static uint32_t pinned_id(const struct control_state *st, const char *name, enum control_map map, uint32_t which)
{
	int fd = control_state_map(st, name, map, which, NULL);
	uint32_t id = fd >= 0 ? control_map_id(fd) : 0;

	if (fd >= 0)
		close(fd);
	return id;
}

static bool uses(const struct sluice_member_info *m, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < m->n_maps && i < sizeof(m->map_ids) / sizeof(*m->map_ids); i++)
		if (id && m->map_ids[i] == id)
			return true;
	return false;
}

int control_part_on(const struct control_state *st, const struct control_generation *g, uint32_t part,
		    struct control_on *on, struct sluice_err *err)
{
	enum control_kind kind = g->parts[part].kind;
	uint32_t i, own = pinned_id(st, g->name, kind == CONTROL_FILTER ? CONTROL_COUNTS : CONTROL_BALANCE_MEMORY, part),
		    trial = pinned_id(st, g->name, CONTROL_TRIAL_UNTIL, 0);
	struct sluice_chain_info *info;
	int e = sluice_chain_read(g->parts[part].ifindex, &info, err);

	memset(on, 0, sizeof(*on));
	if (e)
		return e;
	if (info->owner == SLUICE_OWNER_UNKNOWN) {
		sluice_chain_info_free(info);
		return privilege_missing("asking what is attached to an interface", err);
	}
	on->owner = info->owner;
	on->mode = info->mode;
	snprintf(on->ifname, sizeof(on->ifname), "%s", info->ifname);
	snprintf(on->prog_name, sizeof(on->prog_name), "%s", info->prog_name);
	for (i = 0; i < info->n_members; i++) {
		if (strcmp(info->member[i].owner, CONTROL_OWNER) != 0 ||
		    strcmp(info->member[i].object, control_member_object(kind)) != 0)
			continue;
		on->member = true;
		on->itself = uses(&info->member[i], own);
		on->detour = uses(&info->member[i], trial);
		on->behind = i;
	}
	on->n_members = info->n_members;
	sluice_chain_info_free(info);
	return 0;
}

int control_switched(const struct control_state *st, bool *yes, struct sluice_err *err)
{
	struct control_generation *next = NULL, *live = NULL;
	struct control_on on = {.itself = false};
	int e = st->record.next[0] ? control_generation_open(st, st->record.next, &next, err) : 0;

	*yes = false;
	if (!e && next && next->n_all) {
		e = control_part_on(st, next, 0, &on, err);
		*yes = !e && on.itself;
	} else if (!e && st->record.live[0]) { /* it is switched when the old one is gone */
		e = control_generation_open(st, st->record.live, &live, err);
		if (!e && live->n_all)
			e = control_part_on(st, live, 0, &on, err);
		*yes = e == -ENODEV || (!e && !on.itself);
	} else if (!e) {
		*yes = true;
	}
	control_generation_free(next);
	control_generation_free(live);
	return e == -ENODEV ? 0 : e;
}
