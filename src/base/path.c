// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Paths as words. See path.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/path.h"

static size_t one_up(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return len ? len - 1 : 0;
}

int path_clean(char to[PATH_MAX], const char *path)
{
	size_t len = 0, n;

	if (*path != '/')
		return -ENOENT;
	for (; *path; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!n || (n == 1 && *path == '.'))
			continue;
		if (n == 2 && !strncmp(path, "..", 2)) {
			len = one_up(to, len);
			continue;
		}
		if (n > NAME_MAX || len + n + 2 > PATH_MAX)
			return -ENAMETOOLONG;
		to[len++] = '/';
		memcpy(to + len, path, n);
		len += n;
	}
	if (!len)
		to[len++] = '/';
	to[len] = '\0';
	return 0;
}

bool path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}
