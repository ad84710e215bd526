// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Interfaces by name, list and glob. */
#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "net/ifs.h"

#define PATTERN_MAX 128 /* a glob may be longer than the 15 characters of a name */

struct found {
	struct net_if *ifs;
	size_t n, cap;
};

static int add(struct found *f, int index, const char *name, struct sluice_err *err)
{
	struct net_if *p;
	size_t i, cap;

	for (i = 0; i < f->n; i++)
		if (f->ifs[i].index == index)
			return 0;
	if (f->n == f->cap) {
		cap = f->cap ? 2 * f->cap : 8;
		p = reallocarray(f->ifs, cap, sizeof(*p));
		if (!p)
			return err_nomem(err);
		f->ifs = p;
		f->cap = cap;
	}
	f->ifs[f->n].index = index;
	memset(f->ifs[f->n].name, 0, sizeof(f->ifs[f->n].name));
	memcpy(f->ifs[f->n].name, name, strnlen(name, sizeof(f->ifs[f->n].name) - 1));
	f->n++;
	return 0;
}

static int unknown(const char *name, const struct if_nameindex *all, struct sluice_err *err)
{
	const char *words[256];
	char shown[PATTERN_MAX];
	size_t n;
	int hit;

	text_printable(name, shown, sizeof(shown));
	for (n = 0; n < sizeof(words) / sizeof(*words) && all[n].if_index; n++)
		words[n] = all[n].if_name;
	hit = text_nearest(name, words, n);
	if (hit >= 0)
		return err_set(err, -ENODEV, "no interface '%s', did you mean %s?", shown, words[hit]);
	return err_set(err, -ENODEV, "no interface '%s' (ip link shows the ones there are)", shown);
}

/* One word of the list against all interfaces. */
static int match(const char *word, const struct if_nameindex *all, struct found *f, struct sluice_err *err)
{
	const struct if_nameindex *i;
	char name[IF_NAMESIZE], shown[PATTERN_MAX];
	unsigned int index;
	bool any = false;
	int rc;

	for (i = all; i->if_index; i++)
		if (!strcmp(i->if_name, word))
			return add(f, (int)i->if_index, i->if_name, err);
	if (!strpbrk(word, "*?[")) {
		if (strlen(word) >= IF_NAMESIZE)
			return err_set(err, -EINVAL,
				       "'%s' has %zu characters, an interface name has at most %d",
				       text_printable(word, shown, sizeof(shown)), strlen(word),
				       IF_NAMESIZE - 1);
		index = if_nametoindex(word); /* knows alternative names, which the list does not show */
		if (index && if_indextoname(index, name))
			return add(f, (int)index, name, err);
		return unknown(word, all, err);
	}
	for (i = all; i->if_index; i++) {
		if (fnmatch(word, i->if_name, 0))
			continue;
		any = true;
		rc = add(f, (int)i->if_index, i->if_name, err);
		if (rc)
			return rc;
	}
	return any ? 0
		   : err_set(err, -ENODEV, "no interface fits '%s' (ip link shows the ones there are)",
			     text_printable(word, shown, sizeof(shown)));
}

int net_ifs_find(const char *pattern_list, struct net_if **ifs, size_t *n, struct sluice_err *err)
{
	struct if_nameindex *all = if_nameindex();
	struct found f = {0};
	char word[PATTERN_MAX];
	const char *at = pattern_list;
	size_t len;
	int rc = 0;

	*ifs = NULL;
	*n = 0;
	if (!all)
		return err_set(err, -errno, "listing the interfaces: %s", strerror(errno));
	for (;;) {
		len = strcspn(at, ",");
		if (!len || len >= sizeof(word)) {
			rc = err_set(err, -EINVAL,
				     "%s name in the list of interfaces '%s' (wanted: eth0,veth*)",
				     len ? "an overlong" : "an empty",
				     text_printable(pattern_list, word, sizeof(word)));
			break;
		}
		memcpy(word, at, len);
		word[len] = '\0';
		rc = match(word, all, &f, err);
		if (rc || !at[len])
			break;
		at += len + 1;
	}
	if_freenameindex(all);
	if (rc) {
		free(f.ifs);
		return rc;
	}
	*ifs = f.ifs;
	*n = f.n;
	return 0;
}
