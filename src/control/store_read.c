// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Policies with the hash that names them: read from where an administrator keeps them, or from the history.
 * SHA-256 is nettle's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

#include "base/err.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/store_inside.h"

struct reader {
	const struct control_state *st;
	struct store_policy *p;
	bool keep, again;
	const struct policy_files *files;
	const char *from;   /* the policy's path */
	char dir[PATH_MAX]; /* LIB/files */
};

static void hex(struct sha256_ctx *sha, char to[65])
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	size_t i;

#if NETTLE_VERSION_MAJOR >= 4
	sha256_digest(sha, sum);
#else
	sha256_digest(sha, sizeof(sum), sum);
#endif
	for (i = 0; i < sizeof(sum); i++)
		snprintf(to + 2 * i, 3, "%02x", sum[i]);
}

static void hash_of(const void *bytes, size_t len, char to[65])
{
	struct sha256_ctx sha;

	sha256_init(&sha);
	sha256_update(&sha, len, bytes);
	hex(&sha, to);
}

static struct store_file *find(const struct store_policy *p, const char *path)
{
	uint32_t i;

	for (i = 0; i < p->n_files; i++)
		if (!strcmp(p->files[i].path, path))
			return &p->files[i];
	return NULL;
}

static struct store_file *add(struct store_policy *p, const char *path)
{
	struct store_file *v = realloc(p->files, (p->n_files + 1) * sizeof(*v));

	if (!v)
		return NULL;
	p->files = v;
	v += p->n_files;
	v->hash[0] = '\0';
	v->path = strdup(path);
	p->n_files += v->path != NULL;
	return v->path ? v : NULL;
}

/* One that is there has the contents its name promises, or is written again: a disk may have lost them since. */
static int keep_file(const struct reader *r, const char *hash, const void *bytes, size_t len, struct sluice_err *err)
{
	struct buf there = {0};
	bool kept = !files_read(r->dir, hash, len, &there, NULL) && there.len == len && !memcmp(there.data, bytes, len);

	buf_free(&there);
	return kept ? 0 : files_mkdir(r->dir, err) ?: files_write(r->dir, hash, bytes, len, true, err);
}

/*
 * A path as it is after a change of folder; from: the policy's, to whose folder path was joined. The history is
 * read from elsewhere, and joins to the policy's absolute path.
 */
static int absolute(const char *from, const char *path, char to[PATH_MAX], struct sluice_err *err)
{
	const char *slash = strrchr(from, '/');
	size_t dir_len = slash ? (size_t)(slash - from) + 1 : 0;
	char dir[PATH_MAX], *real = NULL;
	int n = -1;

	if (path[0] == '/') {
		n = snprintf(to, PATH_MAX, "%s", path);
	} else if (dir_len < sizeof(dir)) {
		snprintf(dir, sizeof(dir), "%.*s", slash ? (int)dir_len : 1, slash ? from : ".");
		real = realpath(dir, NULL);
		if (!real)
			return err_set(err, -errno, "%s: %s", path, strerror(errno));
		n = snprintf(to, PATH_MAX, "%s/%s", strcmp(real, "/") != 0 ? real : "", path + dir_len);
		free(real);
	}
	return n < 0 || n >= PATH_MAX || strchr(to, '\n') ?
		       err_set(err, -EINVAL, "%s is no path that can be kept", path) :
		       0;
}

static int read_now(const struct reader *r, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	char kept[PATH_MAX];
	size_t begin = to->len;
	struct store_file *f;
	int e = r->files->read(r->files->ctx, path, max, to, err);

	if (e || max <= POLICY_TEXT_MAX) /* text: it comes back printed */
		return e;
	e = absolute(r->from, path, kept, err);
	if (e)
		return e;
	f = find(r->p, kept) ?: add(r->p, kept);
	if (!f)
		return err_nomem(err);
	hash_of(to->data + begin, to->len - begin, f->hash);
	return r->keep ? keep_file(r, f->hash, to->data + begin, to->len - begin, err) : 0;
}

static int read_again(const struct reader *r, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const char *slash = strrchr(r->p->path, '/');
	const struct store_file *f = NULL;
	size_t begin = to->len;
	char hash[65], full[PATH_MAX];
	int e, n;

	n = snprintf(full, sizeof(full), "%.*s/%s", slash ? (int)(slash - r->p->path) : 0, r->p->path, path);
	if (path[0] == '/' || (n > 0 && (size_t)n < sizeof(full)))
		f = find(r->p, path[0] == '/' ? path : full);
	if (!f && !strcmp(path, r->from)) {
		buf_put(to, r->p->text.data, r->p->text.len);
		return to->failed ? err_nomem(err) : 0;
	}
	if (!f)
		return err_set(err, -ENOENT, "%s is not kept", path);
	e = files_read(r->dir, f->hash, max, to, err);
	if (e)
		return e;
	hash_of(to->data + begin, to->len - begin, hash);
	return strcmp(hash, f->hash) != 0 ? err_set(err, -EBADMSG, "%s/%s is damaged", r->dir, f->hash) : 0;
}

static int reader_read(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct reader *r = ctx;

	return r->again ? read_again(r, path, max, to, err) : read_now(r, path, max, to, err);
}

/* Files in the order in which the sets name them: the policy itself says which path is which. */
static int hash_policy(struct store_policy *p, struct sluice_err *err)
{
	struct sha256_ctx sha;
	uint32_t i;

	p->text.len = 0;
	policy_print(p->policy, &p->text);
	if (p->text.failed)
		return err_nomem(err);
	sha256_init(&sha);
	sha256_update(&sha, p->text.len, p->text.data);
	for (i = 0; i < p->n_files; i++)
		sha256_update(&sha, 65, (const uint8_t *)p->files[i].hash);
	hex(&sha, p->hash);
	return 0;
}

static int read_policy(struct reader *r, const char *path, struct sluice_err *err)
{
	const struct policy_files files = {.read = reader_read, .ctx = r, .kept = r->again};
	int e = files_path(r->dir, sizeof(r->dir), r->st ? r->st->lib : "", "files", err);

	r->from = path;
	e = e ?: policy_read(path, &files, &r->p->policy, err);
	return e ?: hash_policy(r->p, err);
}

int store_read(const struct control_state *st, const char *path, const struct policy_files *files, bool keep,
	       struct store_policy *p, struct sluice_err *err)
{
	struct reader r = {.st = st, .p = p, .keep = keep, .files = files ?: &policy_disk};
	int e;

	memset(p, 0, sizeof(*p));
	e = absolute(path, path, p->path, err);
	return e ?: read_policy(&r, path, err);
}

static int parse_files(struct store_policy *p, const char *text, struct sluice_err *err)
{
	struct store_file *f;
	size_t len;
	char *path;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (strncmp(text, "file ", 5) != 0)
			continue;
		if (len < 71 || text[69] != ' ' || strspn(text + 5, "0123456789abcdef") != 64)
			return -EBADMSG;
		path = strndup(text + 70, len - 70);
		f = path ? add(p, path) : NULL;
		free(path);
		if (!f)
			return err_nomem(err);
		memcpy(f->hash, text + 5, 64);
		f->hash[64] = '\0';
	}
	return 0;
}

int store_again(const struct control_state *st, const char *name, struct store_policy *p, struct sluice_err *err)
{
	struct reader r = {.st = st, .p = p, .again = true};
	struct store_entry entry;
	char dir[PATH_MAX];
	struct buf meta = {0};
	int e, n;

	memset(p, 0, sizeof(*p));
	e = store_entry(st, name, &entry, err) ?: store_meta(st, name, &meta, err);
	n = snprintf(dir, sizeof(dir), "%s/generations/%s", st->lib, name);
	if (!e && (n < 0 || (size_t)n >= sizeof(dir)))
		e = -ENAMETOOLONG;
	e = e ?: parse_files(p, (const char *)meta.data, err);
	e = e ?: files_read(dir, "policy", POLICY_TEXT_MAX, &p->text, err);
	buf_free(&meta);
	if (!e) {
		memcpy(p->path, entry.path, sizeof(p->path));
		/* its lines are those of the printed form: the name says that it is not the file itself */
		e = read_policy(&r, name, err);
	}
	if (!e && strcmp(p->hash, entry.hash) != 0)
		e = -EBADMSG;
	if (e == -EBADMSG || e == -EINVAL)
		e = err_set(err, -EBADMSG, "%s is damaged: it is not the policy that was applied", dir);
	return e;
}

/* --- a namespace that got another name --- */

struct fetch {
	const struct control_state *st;
	const char *name;
	struct sluice_err *err;
	int e;
};

static int copy_files(const struct control_state *from, const struct control_state *to, const struct store_policy *p,
		      struct sluice_err *err)
{
	struct reader r = {.st = to};
	char dir[PATH_MAX];
	struct buf b = {0};
	uint32_t i;
	int e = files_path(dir, sizeof(dir), from->lib, "files", err) ?:
		files_path(r.dir, sizeof(r.dir), to->lib, "files", err);

	for (i = 0; !e && i < p->n_files; i++) {
		b.len = 0;
		e = files_read(dir, p->files[i].hash, SIZE_MAX, &b, err);
		e = e ?: keep_file(&r, p->files[i].hash, b.data, b.len, err);
	}
	buf_free(&b);
	return e;
}

static void fetch_from(void *ctx, const char *lib)
{
	struct fetch *f = ctx;
	struct control_state other = *f->st;
	struct store_policy p = {.n_files = 0};
	struct store_entry entry;

	if (f->e != -ENOENT || snprintf(other.lib, sizeof(other.lib), CONTROL_LIB "/%s", lib) >= (int)sizeof(other.lib) ||
	    store_entry(&other, f->name, &entry, NULL))
		return;
	/* that reads it with its hash: what another namespace has under this name is the same policy */
	if (!store_again(&other, f->name, &p, NULL)) {
		f->e = copy_files(&other, f->st, &p, f->err);
		f->e = f->e ?: store_put(f->st, &p, &entry, f->err);
	}
	store_free(&p);
}

int store_fetch(const struct control_state *st, const char *name, struct sluice_err *err)
{
	struct fetch f = {.st = st, .name = name, .err = err, .e = -ENOENT};
	struct store_entry entry;

	if (!store_entry(st, name, &entry, NULL))
		return 0;
	files_each(CONTROL_LIB, fetch_from, &f);
	return f.e == -ENOENT ? err_set(err, -ENOENT, "policy %s is not in the history (%s/generations)", name, st->lib) : f.e;
}

void store_free(struct store_policy *p)
{
	uint32_t i;

	policy_free(p->policy);
	for (i = 0; i < p->n_files; i++)
		free(p->files[i].path);
	free(p->files);
	buf_free(&p->text);
	memset(p, 0, sizeof(*p));
}
