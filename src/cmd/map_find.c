// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How `sluice map` finds a map and applies --as. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sluice/chain.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/map_run.h"
#include "net/ifs.h"

/* Maps of the programs on one interface: their ids, each with the chain member that has it. */
struct candidates {
	uint32_t id[256];
	char of[256][SLUICE_MEMBER_NAME_MAX];
	char name[256][16];
	size_t n;
};

static void add(struct candidates *c, uint32_t id, const char *of)
{
	struct sluice_map *map;
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->id[i] == id)
			return;
	if (c->n == sizeof(c->id) / sizeof(*c->id) || sluice_map_open_id(id, &map, NULL))
		return;
	c->id[c->n] = id;
	snprintf(c->of[c->n], sizeof(c->of[0]), "%s", of);
	snprintf(c->name[c->n], sizeof(c->name[0]), "%s", sluice_map_info(map)->name);
	c->n++;
	sluice_map_close(map);
}

static int collect(int ifindex, const char *ifname, struct candidates *c, struct sluice_err *err)
{
	struct sluice_chain_info *info;
	struct sluice_map_refs refs = {0};
	uint32_t i, k;
	size_t r;
	int rc = sluice_chain_read(ifindex, &info, err);

	if (rc)
		return rc;
	if (info->owner == SLUICE_OWNER_NONE)
		rc = err_set(err, -ENOENT, "nothing is attached to %s, so there is no map of its programs",
			ifname);
	for (i = 0; !rc && i < info->n_members; i++)
		for (k = 0; k < info->member[i].n_maps; k++)
			add(c, info->member[i].map_ids[k], info->member[i].name);
	if (!rc && !info->n_members) /* somebody else's program */
		rc = sluice_map_refs_read("", &refs, err);
	for (r = 0; !rc && r < refs.n; r++)
		if (refs.ref[r].prog_id == info->prog_id)
			add(c, refs.ref[r].map_id, info->prog_name);
	sluice_map_refs_free(&refs);
	sluice_chain_info_free(info);
	return rc;
}

static int choose(const struct candidates *c, const char *ifname, const char *name, uint32_t *id,
	struct sluice_err *err)
{
	const char *words[256];
	char list[256] = "";
	size_t i, hits = 0, len = 0;
	int near;

	for (i = 0; i < c->n; i++) {
		words[i] = c->name[i];
		/* the kernel cut the names at 15 characters */
		if (strncmp(c->name[i], name, 15) ||
			(strlen(name) < 15 && strlen(c->name[i]) != strlen(name)))
			continue;
		*id = c->id[i];
		if (hits++ < 4)
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%u of %.40s",
				hits > 1 ? ", " : "", c->id[i], c->of[i]);
	}
	if (hits == 1)
		return 0;
	if (hits)
		return err_set(err, -EINVAL, "%zu maps on %s are called '%.60s': name one by its id, %s",
			hits, ifname, name, list);
	near = text_nearest(name, words, c->n);
	if (near >= 0)
		return err_set(err, -ENOENT, "no program on %s has a map '%.60s', did you mean %s?", ifname,
			name, words[near]);
	for (i = 0; i < c->n && len + 20 < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", words[i]);
	return err_set(err, -ENOENT, "no program on %s has a map '%.60s'; there are: %s", ifname, name,
		c->n ? list : "none");
}

static int find_on_interface(
	const char *which, const char *name, struct sluice_map **map, struct sluice_err *err)
{
	struct candidates *c;
	struct net_if *ifs;
	char ifname[64];
	uint32_t id = 0;
	size_t n;
	int rc;

	snprintf(ifname, sizeof(ifname), "%.*s", (int)(name - 1 - which), which);
	rc = net_ifs_find(ifname, &ifs, &n, err);
	if (rc)
		return rc;
	c = calloc(1, sizeof(*c));
	if (n > 1)
		rc = err_set(err, -EINVAL, "'%s' is %zu interfaces, the map of one is wanted", ifname, n);
	else
		rc = c ? collect(ifs[0].index, ifs[0].name, c, err) : err_nomem(err);
	if (!rc)
		rc = choose(c, ifs[0].name, name, &id, err);
	free(ifs);
	free(c);
	return rc ? rc : sluice_map_open_id(id, map, err);
}

int map_find(const char *which, struct sluice_map **map, struct sluice_err *err)
{
	const char *colon = strrchr(which, ':');

	*map = NULL;
	if (colon && colon > which && colon[1] && !strchr(which, '/'))
		return find_on_interface(which, colon + 1, map, err);
	return sluice_map_open(which, map, err);
}

/*
 * A space in front makes an operand of what getopt would take for an option; afterwards it is taken away
 * again.
 */
static char shielded[16][64];

int map_parse(const struct cli_verb *verb, int argc, char **argv, char ***args, int *n_args)
{
	size_t n = 0, k;
	int i, rc;

	for (i = 1; i < argc && n < 16 && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] != '-' || !isdigit((unsigned char)argv[i][1]) ||
			strlen(argv[i]) + 2 > sizeof(shielded[0]))
			continue;
		snprintf(shielded[n], sizeof(shielded[n]), " %s", argv[i]);
		argv[i] = shielded[n++];
	}
	rc = cli_parse(verb, argc, argv, args, n_args);
	for (i = 0; rc < 0 && i < *n_args; i++)
		for (k = 0; k < n; k++)
			if ((*args)[i] == shielded[k])
				(*args)[i]++;
	return rc;
}

/* One [TARGET:]KIND into the types of key and value. */
static int apply(const char *text, size_t len, struct sluice_type *key, struct sluice_type *value,
	struct map_as *as, struct sluice_err *err)
{
	char target[64] = "key", kind[64];
	const char *colon = memchr(text, ':', len);
	size_t n = colon ? (size_t)(colon - text) : 0;
	enum sluice_as what;
	int rc;

	if (colon && (!n || n >= sizeof(target)))
		return err_set(err, -EINVAL, "--as %.*s: KIND, key:KIND, value:KIND or MEMBER:KIND is wanted",
			(int)len, text);
	if (colon)
		snprintf(target, sizeof(target), "%.*s", (int)n, text);
	n = colon ? n + 1 : 0;
	snprintf(kind, sizeof(kind), "%.*s", (int)(len - n), text + n);
	rc = sluice_as_parse(kind, &what, err);
	if (rc)
		return err_prefix(err, "--as");
	if (!strcmp(target, "key")) {
		key->as = what;
	} else if (!strcmp(target, "value")) {
		value->as = what;
	} else {
		if (as->n == sizeof(as->member) / sizeof(*as->member))
			return err_set(err, -EINVAL, "--as names more than %zu members", as->n);
		memcpy(as->name[as->n], target, sizeof(target));
		as->member[as->n] = (struct sluice_as_member){as->name[as->n], what};
		as->n++;
	}
	return 0;
}

static int check(const char *what, const struct sluice_type *type, struct sluice_err *err)
{
	static const unsigned int sizes[] = {0, 0, 0, 4, 16, 6, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8};
	unsigned int size = (size_t)type->as < sizeof(sizes) / sizeof(*sizes) ? sizes[type->as] : 0;

	if (size && size != type->size)
		return err_set(
			err, -EINVAL, "--as: the %s has %u bytes, that kind has %u", what, type->size, size);
	return 0;
}

int map_find_as(const char *which, const struct opt_list *as_texts, struct map_as *as,
	struct sluice_map **map, struct sluice_err *err)
{
	struct sluice_type *key, *value;
	const char *at;
	size_t i, len;
	int rc;

	memset(as, 0, sizeof(*as));
	rc = map_find(which, map, err);
	if (rc)
		return rc;
	sluice_map_types(*map, &key, &value);
	for (i = 0; !rc && i < as_texts->n; i++) {
		for (at = as_texts->item[i]; !rc; at += len + 1) {
			len = strcspn(at, ",");
			rc = apply(at, len, key, value, as, err);
			if (!at[len])
				break;
		}
	}
	if (!rc)
		rc = check("key", key, err);
	if (!rc)
		rc = check("value", value, err);
	if (rc) {
		sluice_map_close(*map);
		*map = NULL;
		return rc;
	}
	key->member = value->member = as->member;
	key->n_members = value->n_members = as->n;
	return 0;
}
