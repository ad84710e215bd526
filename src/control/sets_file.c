// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Files of run-time sets: read and written. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/files.h"
#include "control/sets_live.h"
#include "policy/policy.h"

#define SECOND UINT64_C(1000000000)
#define LINKS_MOST 40	     /* as the kernel */
#define HEAD "# sluice set " /* what is saved begins with it: only there a comment is more than that */
#define FOR " # for "	     /* and a line of it with a time ends with this, */
#define SECONDS_DIGITS 10    /* so many digits and "s" at most */

/* --- reading --- */

/* "192.0.2.1 # for 600s": *seconds, and where the element ends; 0 if the line says no time. */
static size_t timed_line(const char *line, size_t len, uint32_t *seconds)
{
	const char *at = memmem(line, len, FOR, strlen(FOR)), *digit;
	uint64_t n = 0;

	if (!at)
		return 0;
	for (digit = at + strlen(FOR); digit < line + len && *digit >= '0' && *digit <= '9'; digit++) {
		if (digit - at - (ptrdiff_t)strlen(FOR) == SECONDS_DIGITS)
			return 0;
		n = n * 10 + (uint64_t)(*digit - '0');
	}
	if (digit + 1 != line + len || *digit != 's' || !n || n > UINT32_MAX / 2)
		return 0;
	*seconds = (uint32_t)n;
	return (size_t)(at - line);
}

static int add_timed(const char *text, size_t len, uint32_t seconds, struct buf to[2])
{
	struct filter_elems elems = {NULL, 0};
	struct policy_spans spans = {0};
	struct policy_range r;
	size_t i;
	int e = policy_range_parse(text, len, &r, NULL, NULL);

	if (e)
		return 0; /* left for whoever tells of mistakes, with the line */
	policy_spans_add(&spans, &r);
	e = spans.failed ? -ENOMEM : filter_sets_elems(&spans, r.v6, &elems, NULL);
	for (i = 0; i < elems.n; i++)
		elems.v[i].expires = seconds;
	buf_put(&to[r.v6], elems.v, elems.n * sizeof(*elems.v));
	free(elems.v);
	policy_spans_free(&spans);
	return e ? e : to[r.v6].failed ? -ENOMEM : 1;
}

/* Lines with a time are read and blanked out: the numbers of the others stay. */
static int take_timed(char *text, size_t len, struct filter_elems timed[2])
{
	struct buf to[2] = {{0}, {0}};
	char *line, *end = text + len, *next;
	uint32_t seconds;
	size_t n;
	int e = 0;

	if (len < strlen(HEAD) || memcmp(text, HEAD, strlen(HEAD)) != 0)
		return 0;
	for (line = text; line < end && e >= 0; line = next + 1) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next : end;
		n = timed_line(line, (size_t)(next - line), &seconds);
		e = n ? add_timed(line, n, seconds, to) : 0;
		if (e > 0)
			memset(line, ' ', (size_t)(next - line));
	}
	for (n = 0; n < 2; n++)
		timed[n] = (struct filter_elems){(struct sets_elem *)(void *)to[n].data,
						 to[n].len / sizeof(struct sets_elem)};
	return e < 0 ? e : 0;
}

static void free_elems(struct filter_elems elems[2])
{
	free(elems[0].v);
	free(elems[1].v);
	elems[0] = elems[1] = (struct filter_elems){NULL, 0};
}

int control_sets_saved(const char *path, struct filter_elems elems[2], struct filter_elems timed[2],
		       uint64_t *loose, struct sluice_err *err)
{
	struct policy_spans spans = {0};
	struct policy_netset_stat stat = {0};
	struct sluice_err why = {0};
	struct buf text = {0};
	int e;

	elems[0] = elems[1] = (struct filter_elems){NULL, 0};
	if (timed)
		timed[0] = timed[1] = elems[0];
	e = policy_disk.read(policy_disk.ctx, path, POLICY_SET_MAX, &text, err);
	if (!e && text.failed)
		e = err_nomem(err);
	if (!e && timed && take_timed((char *)text.data, text.len, timed))
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
	if (e)
		free_elems(elems);
	if (e && timed)
		free_elems(timed);
	return e;
}

int control_sets_read(const char *path, struct filter_elems elems[2], uint64_t *loose, struct sluice_err *err)
{
	return control_sets_saved(path, elems, NULL, loose, err);
}

/* --- writing --- */

/* Whole seconds, so that saving and loading lengthens nothing. */
static void put_elem(struct buf *to, bool v6, const struct sets_elem *e, uint64_t now_ns)
{
	uint64_t then = e->expires * SECOND;
	struct policy_range r = {.first = {e->hi, e->lo}, .last = {e->hi, e->lo}, .v6 = v6};
	char text[POLICY_RANGE_TEXT];

	policy_range_format(&r, text, sizeof(text));
	buf_printf(to, "%s", text);
	if (e->len != (v6 ? 128 : 32))
		buf_printf(to, "/%u", e->len);
	if (e->expires)
		buf_printf(to, FOR "%" PRIu64 "s", then < now_ns + SECOND ? 1 : (then - now_ns) / SECOND);
	buf_printf(to, "\n");
}

int control_sets_text(struct control_sets *sets, uint32_t nr, struct buf *to, uint64_t *n,
		      struct sluice_err *err)
{
	uint64_t now_ns = clock_mono_ns();
	struct control_elem *v = NULL;
	struct control_set set;
	size_t count, i;
	uint32_t f;
	int e = control_sets_get(sets, nr, &set, err);

	*n = 0;
	if (e)
		return e;
	buf_printf(to, HEAD "%s\n", set.name);
	for (f = 0; f < 2 && !e; f++) {
		e = control_sets_list(sets, nr, f, (uint32_t)(now_ns / SECOND), &v, &count, err);
		for (i = 0; i < count && !e; i++)
			put_elem(to, f, &v[i].elem, now_ns);
		*n += e ? 0 : count;
		free(v);
	}
	return !e && to->failed ? err_nomem(err) : e;
}

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode)	? "a folder"
	       : S_ISFIFO(mode) ? "a FIFO"
	       : S_ISSOCK(mode) ? "a socket"
	       : S_ISBLK(mode)	? "a block device"
				: "a device";
}

/*
 * Where a file is to be: behind links, which the kernel has followed before (it refuses those of others in /tmp), so that
 * the file is replaced and not the link.
 */
static int target_of(const char *path, char to[PATH_MAX], struct sluice_err *err)
{
	char link[PATH_MAX], *slash;
	struct stat st;
	size_t at;
	ssize_t n;
	int i;

	if (!stat(path, &st)) {
		if (!S_ISREG(st.st_mode))
			return err_set(err, -EINVAL,
				       "%s is %s, not a regular file; '-' in place of FILE writes to the "
				       "output",
				       path, kind_of(st.st_mode));
	} else if (errno != ENOENT) {
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	}
	if (snprintf(to, PATH_MAX, "%s", path) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "%s is too long a path", path);
	for (i = 0; i < LINKS_MOST; i++) {
		n = readlink(to, link, sizeof(link) - 1);
		if (n < 0)
			return 0;
		link[n] = '\0';
		slash = link[0] == '/' ? NULL : strrchr(to, '/');
		at = slash ? (size_t)(slash + 1 - to) : 0;
		if (at + (size_t)n >= PATH_MAX)
			return err_set(err, -ENAMETOOLONG, "%s leads to too long a path", path);
		memcpy(to + at, link, (size_t)n + 1);
	}
	return err_set(err, -ELOOP, "%s: %s", path, strerror(ELOOP));
}

int control_sets_save(struct control_sets *sets, uint32_t nr, const char *path, uint64_t *n,
		      struct sluice_err *err)
{
	char whole[PATH_MAX], dir[PATH_MAX] = ".", *slash;
	struct buf text = {0};
	int e;

	*n = 0;
	e = target_of(path, whole, err);
	if (e)
		return e;
	slash = strrchr(whole, '/');
	if (!(slash ? slash[1] : whole[0]))
		return err_set(err, -EINVAL, "'%s' names no file", path);
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", slash == whole ? 1 : (int)(slash - whole), whole);
	e = control_sets_text(sets, nr, &text, n, err);
	if (!e)
		e = files_write(dir, slash ? slash + 1 : whole, text.data, text.len, true, err);
	buf_free(&text);
	return e;
}
