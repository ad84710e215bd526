// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A policy as a whole: its files, its diagnostics, its end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "policy/policy.h"

#define WINDOW 96 /* characters of a line that are shown */

#define WRITER_WAIT_MS 10000

/* A FIFO that was opened without waiting: waits for a writer, but not for ever, and lets read() wait from then on. */
static int wait_writer(int fd, const char *path, struct buf *to, struct sluice_err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n, flags = fcntl(fd, F_GETFL);
	ssize_t got = -1;
	char first;

	do
		n = poll(&p, 1, WRITER_WAIT_MS);
	while (n < 0 && errno == EINTR);
	if (!n)
		got = read(fd, &first, 1); /* EAGAIN: a writer, but nothing yet */
	if (!got)
		return err_set(err, -ENOENT, "%s is a FIFO that nobody writes into", path);
	if (got > 0)
		buf_put(to, &first, 1);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		return err_set(err, -EIO, "%s: %s", path, strerror(errno));
	return 0;
}

static int read_path(const char *path, bool fifos, size_t max, struct buf *to, struct sluice_err *err)
{
	bool given = !strcmp(path, POLICY_STDIN); /* it may be a pipe */
	int fd = given ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
		       : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
	    e = 0;
	size_t had = to->len;
	struct stat st;
	ssize_t n;
	void *p;

	if (fd < 0)
		return err_set(err, errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EACCES, "%s: %s", path,
			       strerror(errno));
	if (!given && (fstat(fd, &st) || !(S_ISREG(st.st_mode) || (fifos && S_ISFIFO(st.st_mode)))))
		e = err_set(err, -ENOEXEC, "%s is not a regular file", path);
	else if (!given && S_ISFIFO(st.st_mode))
		e = wait_writer(fd, path, to, err);
	while (!e) {
		p = buf_add(to, 1 << 20);
		if (!p) {
			e = err_nomem(err);
			break;
		}
		n = read(fd, p, 1 << 20);
		to->len -= (size_t)(1 << 20) - (size_t)(n > 0 ? n : 0);
		if (n < 0 && errno != EINTR)
			e = err_set(err, -EIO, "%s: %s", path, strerror(errno));
		else if (to->len - had > max)
			e = err_set(err, -EFBIG, "%s is larger than %zu MiB", path, max >> 20);
		if (n == 0)
			break;
	}
	close(fd);
	return e;
}

static int disk_read(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)ctx;
	return read_path(path, false, max, to, err);
}

static int once_read(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)ctx;
	return read_path(path, true, max, to, err);
}

const struct policy_files policy_disk = {.read = disk_read}, policy_once = {.read = once_read};

int policy_source_add(struct policy *p, const char *path, char *text, size_t len, int parent)
{
	struct policy_source *s = reallocarray(p->sources, p->n_sources + 1, sizeof(*s));

	if (s)
		p->sources = s;
	path = s ? arena_text(&p->arena, path, strlen(path)) : NULL;
	if (!path) {
		free(text);
		return -ENOMEM;
	}
	s[p->n_sources] = (struct policy_source){.path = path, .text = text, .len = len, .parent = parent};
	return (int)p->n_sources++;
}

const char *policy_path(struct policy *p, const char *from, const char *name)
{
	const char *slash = strrchr(from, '/');
	size_t dir = slash && name[0] != '/' ? (size_t)(slash - from) + 1 : 0, len = strlen(name);
	char *path = arena_add(&p->arena, dir + len + 1);

	if (path) {
		memcpy(path, from, dir);
		memcpy(path + dir, name, len);
	}
	return path;
}

static void diag(struct policy *p, struct policy_pos pos, enum policy_severity severity, const char *fmt,
		 va_list ap)
{
	struct policy_diag *d = NULL;
	char text[1024];
	uint32_t i;

	vsnprintf(text, sizeof(text), fmt, ap);
	text_harmless(text);
	if (p->n_diags) { /* a word that was looked at twice */
		d = &p->diags[p->n_diags - 1];
		if (!memcmp(&d->pos, &pos, sizeof(pos)) && !strcmp(d->text, text))
			return;
		d = NULL;
	}
	if (severity == POLICY_ERROR)
		p->n_errors++;
	else
		p->n_warnings++;
	if (p->n_diags < POLICY_DIAGS_MAX)
		d = &p->diags[p->n_diags++];
	for (i = p->n_diags; !d && severity == POLICY_ERROR && i-- > 0;) {
		if (p->diags[i].severity != POLICY_WARNING)
			continue;
		memmove(&p->diags[i], &p->diags[i + 1], (p->n_diags - i - 1) * sizeof(*d));
		d = &p->diags[p->n_diags - 1];
	}
	if (!d)
		return;
	d->pos = pos;
	d->severity = severity;
	d->text = arena_text(&p->arena, text, strlen(text));
	if (!d->text)
		d->text = "";
}

void policy_error(struct policy *p, struct policy_pos pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag(p, pos, POLICY_ERROR, fmt, ap);
	va_end(ap);
}

void policy_warn(struct policy *p, struct policy_pos pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag(p, pos, POLICY_WARNING, fmt, ap);
	va_end(ap);
}

/* Where the lines of every source begin. */
static bool find_lines(struct policy *p)
{
	struct policy_source *s;
	const char *at;
	uint32_t n;

	for (s = p->sources; s < p->sources + p->n_sources; s++) {
		for (n = 1, at = s->text; (at = memchr(at, '\n', (size_t)(s->text + s->len - at))); at++)
			n++;
		s->lines = malloc(n * sizeof(*s->lines));
		if (!s->lines)
			return false;
		s->lines[0] = 0;
		for (s->n_lines = 1, at = s->text; (at = memchr(at, '\n', (size_t)(s->text + s->len - at)));
		     at++)
			s->lines[s->n_lines++] = (uint32_t)(at - s->text) + 1;
	}
	return true;
}

static uint32_t line_of(const struct policy_source *s, uint32_t at)
{
	uint32_t lo = 0, hi = s->n_lines, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (s->lines[mid] <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* How many characters of UTF-8 begin in len bytes. */
static uint32_t characters(const char *s, size_t len)
{
	uint32_t n = 0;

	while (len--)
		n += (*s++ & 0xc0) != 0x80;
	return n;
}

struct policy_where policy_where(const struct policy *p, struct policy_pos pos)
{
	const struct policy_source *s = &p->sources[pos.file];
	uint32_t line = line_of(s, pos.at);

	return (struct policy_where){
		.path = s->path,
		.line = line + 1,
		.column = characters(s->text + s->lines[line], pos.at - s->lines[line]) + 1,
	};
}

/* Part of a line, each character that a terminal should not see as one '?'; len bytes at most, whole
 * characters. */
static const char *show(struct buf *to, const char *s, const char *end, size_t len)
{
	const char *from = s;
	size_t n;

	while (s < end && (size_t)(s - from) < len) {
		n = text_glyph(s, end);
		if (n)
			buf_put(to, s, n);
		else if (*s == '\t' || *s == '\r')
			buf_printf(to, "%c", *s == '\t' ? '\t' : ' ');
		else if ((*s & 0xc0) != 0x80)
			buf_printf(to, "?");
		s += n ? n : 1;
	}
	return s;
}

/* As many of c as there are characters; tabs stay tabs. */
static void under(struct buf *to, const char *s, const char *end, char c)
{
	for (; s < end; s++)
		if ((*s & 0xc0) != 0x80)
			buf_printf(to, "%c", *s == '\t' ? '\t' : c);
}

void policy_diag_print(const struct policy *p, const struct policy_diag *d, struct buf *to)
{
	const struct policy_source *s = &p->sources[d->pos.file];
	struct policy_where w = policy_where(p, d->pos);
	const char *line = s->text + s->lines[w.line - 1], *end = s->text + s->len, *at = s->text + d->pos.at,
		   *shown;
	const char *nl = memchr(line, '\n', (size_t)(end - line)), *last = at + d->pos.len;
	bool cut = false;

	show(to, w.path, w.path + strlen(w.path), strlen(w.path));
	buf_printf(to, ":%u:%u: %s: %s\n", w.line, w.column,
		   d->severity == POLICY_ERROR ? "error" : "warning", d->text);
	end = nl ? nl : end;
	if (at - line > WINDOW / 2 + 16) { /* a long line: only what is around */
		for (line = at - WINDOW / 2; line < at && (*line & 0xc0) == 0x80; line++)
			;
		cut = true;
	}
	buf_printf(to, "%5u | %s", w.line, cut ? "..." : "");
	shown = show(to, line, end, WINDOW);
	buf_printf(to, "%s\n      | %s", shown < end ? "..." : "", cut ? "   " : "");
	under(to, line, at, ' ');
	buf_printf(to, "^");
	last = last > shown ? shown : last;
	if (at < last)
		under(to, at + 1, last, '^');
	buf_printf(to, "\n");
}

static int by_place(const void *a, const void *b)
{
	const struct policy_diag *x = a, *y = b;

	if (x->pos.file != y->pos.file)
		return x->pos.file < y->pos.file ? -1 : 1;
	if (x->pos.at != y->pos.at)
		return x->pos.at < y->pos.at ? -1 : 1;
	return strcmp(x->text, y->text);
}

int policy_read(const char *path, const struct policy_files *files, struct policy **policy,
		struct sluice_err *err)
{
	struct policy *p = calloc(1, sizeof(*p));
	int e;

	*policy = NULL;
	if (!p)
		return err_nomem(err);
	files = files ? files : &policy_disk;
	p->kept = files->kept;
	e = policy_parse(p, path, files, err);
	if (!e && !find_lines(p))
		e = err_nomem(err);
	if (!e)
		e = policy_expressions(p, err);
	if (!e)
		e = policy_check(p, files, err);
	if (!e)
		e = policy_services(p, err);
	if (!e && !p->n_errors)
		e = policy_compile(p, err);
	if (!e && !p->n_errors)
		e = policy_reach(p, err);
	if (!e && p->arena.failed)
		e = err_nomem(err);
	if (e) {
		policy_free(p);
		return e;
	}
	qsort(p->diags, p->n_diags, sizeof(*p->diags), by_place);
	*policy = p;
	if (p->n_errors)
		return err_set(err, -EINVAL, "%s: %s%llu mistake%s", path, p->cut ? "more than " : "", (unsigned long long)p->n_errors,
			       p->n_errors == 1 ? "" : "s");
	return 0;
}

void policy_free(struct policy *p)
{
	uint32_t i;

	if (!p)
		return;
	for (i = 0; i < p->n_sources; i++) {
		free(p->sources[i].text);
		free(p->sources[i].lines);
	}
	for (i = 0; i < p->n_sets; i++) {
		policy_spans_free(&p->sets[i].spans);
		policy_spans_free(&p->sets[i].listed);
	}
	balance_model_free(&p->services);
	free(p->sources);
	arena_free(&p->arena);
	free(p);
}
