// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How `sluice map` finds a map and applies --as. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/map_run.h"

int map_find(const char *which, struct sluice_map **map, struct sluice_err *err)
{
	return sluice_map_open(which, map, err);
}

/* A space in front makes an operand of what getopt would take for an option; afterwards it is taken away again. */
static char shielded[16][64];

int map_parse(const struct cli_verb *verb, int argc, char **argv, char ***args, int *n_args)
{
	size_t n = 0, k;
	int i, rc;

	for (i = 1; i < argc && n < 16 && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] != '-' || !isdigit((unsigned char)argv[i][1]) || strlen(argv[i]) + 2 > sizeof(shielded[0]))
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
static int apply(const char *text, size_t len, struct sluice_type *key, struct sluice_type *value, struct map_as *as,
		 struct sluice_err *err)
{
	char target[64] = "key", kind[64];
	const char *colon = memchr(text, ':', len);
	size_t n = colon ? (size_t)(colon - text) : 0;
	enum sluice_as what;
	int rc;

	if (colon && (!n || n >= sizeof(target)))
		return err_set(err, -EINVAL, "--as %.*s: KIND, key:KIND, value:KIND or MEMBER:KIND is wanted", (int)len, text);
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
		return err_set(err, -EINVAL, "--as: the %s has %u bytes, that kind has %u", what, type->size, size);
	return 0;
}

int map_find_as(const char *which, const struct opt_list *as_texts, struct map_as *as, struct sluice_map **map,
		struct sluice_err *err)
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
