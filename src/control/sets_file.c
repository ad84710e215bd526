// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Files of run-time sets: read and written. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/files.h"
#include "control/sets_live.h"
#include "policy/policy.h"

int control_sets_read(const char *path, struct filter_elems elems[2], uint64_t *loose, struct sluice_err *err)
{
	struct policy_spans spans = {0};
	struct policy_netset_stat stat = {0};
	struct sluice_err why = {0};
	struct buf text = {0};
	int e;

	elems[0] = elems[1] = (struct filter_elems){NULL, 0};
	e = policy_disk.read(policy_disk.ctx, path, POLICY_SET_MAX, &text, err);
	if (!e && text.failed)
		e = err_nomem(err);
	if (!e) {
		e = policy_netset_read((const char *)text.data, text.len, &spans, &stat, &why);
		if (e == -EINVAL)
			e = err_set(err, -EBADMSG, "%s:%u: %s", path, stat.bad_line, why.text);
		else if (e)
			err_nomem(err);
	}
	buf_free(&text);
	if (!e)
		e = filter_sets_elems(&spans, false, &elems[0], err);
	if (!e)
		e = filter_sets_elems(&spans, true, &elems[1], err);
	policy_spans_free(&spans);
	if (loose)
		*loose = stat.loose;
	if (e) {
		free(elems[0].v);
		free(elems[1].v);
		elems[0] = elems[1] = (struct filter_elems){NULL, 0};
	}
	return e;
}

static void put_elem(struct buf *to, bool v6, const struct sets_elem *e, uint32_t now)
{
	struct policy_range r = {.first = {e->hi, e->lo}, .last = {e->hi, e->lo}, .v6 = v6};
	char text[POLICY_RANGE_TEXT];

	policy_range_format(&r, text, sizeof(text));
	buf_printf(to, "%s", text);
	if (e->len != (v6 ? 128 : 32))
		buf_printf(to, "/%u", e->len);
	if (e->expires)
		buf_printf(to, " # for %u s more", e->expires - now);
	buf_printf(to, "\n");
}

int control_sets_save(struct control_sets *sets, uint32_t nr, const char *path, uint64_t *n,
		      struct sluice_err *err)
{
	uint32_t now = control_sets_now(), f;
	const char *slash = strrchr(path, '/');
	struct control_elem *v = NULL;
	char dir[PATH_MAX] = ".";
	struct control_set set;
	struct buf text = {0};
	size_t count, i;
	int e = control_sets_get(sets, nr, &set, err);

	*n = 0;
	if (e)
		return e;
	if (slash &&
	    snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "%s is too long a path", path);
	if (!(slash ? slash[1] : path[0]))
		return err_set(err, -EINVAL, "'%s' names no file", path);
	buf_printf(&text, "# set %s\n", set.name);
	for (f = 0; f < 2 && !e; f++) {
		e = control_sets_list(sets, nr, f, now, &v, &count, err);
		for (i = 0; i < count && !e; i++)
			put_elem(&text, f, &v[i].elem, now);
		*n += e ? 0 : count;
		free(v);
	}
	if (!e && text.failed)
		e = err_nomem(err);
	if (!e)
		e = files_write(dir, slash ? slash + 1 : path, text.data, text.len, true, err);
	buf_free(&text);
	return e;
}
