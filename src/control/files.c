// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Small files that are whole or not there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "control/files.h"

#define TREE_DEEP 4 /* folders in folders that are ours */

static int failed(const char *what, const char *path, struct sluice_err *err)
{
	int e = -errno;

	if (e == -EACCES || e == -EPERM)
		return privilege_missing("keeping the state of the policy", err);
	return err_set(err, e, "%s %s: %s", what, path, strerror(-e));
}

int files_path(char *to, size_t size, const char *dir, const char *name, struct sluice_err *err)
{
	int n = snprintf(to, size, "%s/%s", dir, name);

	return n < 0 || (size_t)n >= size ? err_set(err, -ENAMETOOLONG, "%s/%s is too long a path", dir, name) :
					    0;
}

int files_sync(const char *dir, struct sluice_err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = 0;

	if (fd < 0 || fsync(fd))
		e = failed("syncing", dir, err);
	if (fd >= 0)
		close(fd);
	return e;
}

static int put(int fd, const void *bytes, size_t len)
{
	size_t at = 0;
	ssize_t n;

	while (at < len) {
		n = write(fd, (const char *)bytes + at, len - at);
		if (n < 0 && errno != EINTR)
			return -1;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int temp_path(const char *dir, const char *name, char to[PATH_MAX], struct sluice_err *err)
{
	return snprintf(to, PATH_MAX, "%s/.%s.new", dir, name) < PATH_MAX ?
		       0 :
		       err_set(err, -ENAMETOOLONG, "%s/%s is too long a path", dir, name);
}

static int write_temp(const char *temp, const void *bytes, size_t len, bool durable, struct sluice_err *err)
{
	int fd, e = 0;

	/* one that a killed process left has nothing of worth, and may be somebody's link */
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return failed("making", temp, err);
	if (put(fd, bytes, len) || (durable && fsync(fd)))
		e = failed("writing", temp, err);
	close(fd);
	if (e)
		unlink(temp);
	return e;
}

static int rename_temp(const char *dir, const char *temp, const char *path, bool durable, struct sluice_err *err)
{
	int e = 0;

	if (rename(temp, path)) {
		e = failed("renaming to", path, err);
		unlink(temp);
	}
	return e || !durable ? e : files_sync(dir, err);
}

int files_write(const char *dir, const char *name, const void *bytes, size_t len, bool durable,
		struct sluice_err *err)
{
	char path[PATH_MAX], temp[PATH_MAX];
	int e = files_path(path, sizeof(path), dir, name, err) ?: temp_path(dir, name, temp, err);

	e = e ?: write_temp(temp, bytes, len, durable, err);
	return e ?: rename_temp(dir, temp, path, durable, err);
}

int files_ready(const char *dir, const char *name, const void *bytes, size_t len, struct sluice_err *err)
{
	char temp[PATH_MAX];

	return temp_path(dir, name, temp, err) ?: write_temp(temp, bytes, len, true, err);
}

/* Is that what files_ready() left, down to the disk? */
static bool is_ready(const char *dir, const char *temp, const void *bytes, size_t len)
{
	struct buf b = {0};
	int fd = open(temp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool same = fd >= 0 && !files_read(dir, strrchr(temp, '/') + 1, len, &b, NULL) && b.len == len &&
		    !memcmp(b.data, bytes, len) && !fsync(fd);

	if (fd >= 0)
		close(fd);
	buf_free(&b);
	return same;
}

int files_finish(const char *dir, const char *name, const void *bytes, size_t len, struct sluice_err *err)
{
	char path[PATH_MAX], temp[PATH_MAX];
	int e = files_path(path, sizeof(path), dir, name, err) ?: temp_path(dir, name, temp, err);

	if (!e && !is_ready(dir, temp, bytes, len))
		return files_write(dir, name, bytes, len, true, err);
	return e ?: rename_temp(dir, temp, path, true, err);
}

int files_read(const char *dir, const char *name, size_t max, struct buf *to, struct sluice_err *err)
{
	char path[PATH_MAX];
	size_t begin = to->len, room;
	int e = files_path(path, sizeof(path), dir, name, err), fd;
	struct stat st;
	ssize_t n;
	void *p;

	if (e)
		return e;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return failed("reading", path, err);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		e = err_set(err, -ENOEXEC, "%s is not a regular file", path);
	else if ((uint64_t)st.st_size > max)
		e = err_set(err, -EFBIG, "%s has %" PRIu64 " bytes, at most %zu are read", path,
			    (uint64_t)st.st_size, max);
	room = e ? 0 : (size_t)st.st_size;
	p = buf_add(to, room + 1);
	if (!e && !p)
		e = err_nomem(err);
	to->len = begin;
	while (!e && to->len - begin < room) {
		n = read(fd, to->data + to->len, room - (to->len - begin));
		if (n < 0 && errno != EINTR)
			e = failed("reading", path, err);
		else if (n == 0)
			break;
		else
			to->len += n > 0 ? (size_t)n : 0;
	}
	if (p)
		to->data[to->len] = '\0';
	close(fd);
	return e;
}

/* The name of a folder is on the disk when the folder above it is; what is no disk cannot be synced. */
static int sync_above(const char *path, struct sluice_err *err)
{
	size_t n = (size_t)(strrchr(path, '/') - path);
	char above[PATH_MAX];
	int e;

	snprintf(above, sizeof(above), "%.*s", n ? (int)n : 1, path);
	e = files_sync(above, NULL);
	return !e || e == -EINVAL ? 0 : files_sync(above, err);
}

static int make_one(const char *path, mode_t mode, struct sluice_err *err)
{
	if (mkdir(path, mode))
		return errno == EEXIST ? 0 : failed("making", path, err);
	return path[0] == '/' ? sync_above(path, err) : 0;
}

int files_mkdir(const char *path, struct sluice_err *err)
{
	char part[PATH_MAX];
	struct stat st;
	size_t i;
	int e;

	for (i = 1; path[i - 1]; i++) {
		if ((path[i] != '/' && path[i]) || i >= sizeof(part))
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		/* what is above is everybody's to look into, as /run/sluice is */
		e = make_one(part, path[i] ? 0755 : 0700, err);
		if (e)
			return e;
	}
	if (lstat(path, &st))
		return failed("making", path, err);
	if (S_ISDIR(st.st_mode) && !st.st_uid && geteuid() && !(st.st_mode & 022)) {
		errno = EACCES; /* root's, as it should be */
		return failed("making", path, err);
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(err, -EPERM, "%s is not a folder that only its owner can write to", path);
	return 0;
}

void files_each(const char *dir, void (*each)(void *ctx, const char *name), void *ctx)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			each(ctx, e->d_name);
	if (d)
		closedir(d);
}

static void remove_deep(const char *path, int deep)
{
	char below[PATH_MAX];
	struct dirent *e;
	DIR *d;

	if (!unlink(path) || errno != EISDIR || deep > TREE_DEEP)
		return;
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !files_path(below, sizeof(below), path, e->d_name, NULL))
			remove_deep(below, deep + 1);
	if (d)
		closedir(d);
	rmdir(path);
}

void files_remove(const char *path)
{
	remove_deep(path, 0);
}

void files_hidden(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d)))
		if (e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !files_path(path, sizeof(path), dir, e->d_name, NULL))
			files_remove(path);
	if (d)
		closedir(d);
}

bool files_line(const char *text, const char *key, char *to, size_t size)
{
	size_t n = strlen(key), len;

	while (text && *text) {
		len = strcspn(text, "\n");
		if (len > n && !strncmp(text, key, n) && text[n] == ' ') {
			len -= n + 1;
			if (len >= size)
				return false;
			memcpy(to, text + n + 1, len);
			to[len] = '\0';
			return true;
		}
		text += len + (text[len] == '\n');
	}
	return false;
}

bool files_number(const char *text, const char *key, uint64_t *to)
{
	char word[32], *end;

	if (!files_line(text, key, word, sizeof(word)) || !word[0] || word[strspn(word, "0123456789")])
		return false;
	errno = 0;
	*to = strtoull(word, &end, 10);
	return !errno;
}
