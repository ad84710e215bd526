// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reading directories below /sys/fs/bpf, the names of the engine's interfaces, and how many CPUs there are.
 *
 * A directory of the engine is opened as something of ours, which the other functions know again by its address.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sluice/err.h>

#include "preload/client.h"
#include "preload/hook_path.h"

#define POSSIBLE "/sys/devices/system/cpu/possible"

struct pin_dir {
	struct pin_dir *next;
	uint32_t at;
	struct dirent entry;
	char path[PATH_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pin_dir *first;

static struct pin_dir *find(const DIR *dir)
{
	struct pin_dir *d = __atomic_load_n(&first, __ATOMIC_ACQUIRE);

	if (!d)
		return NULL;
	pthread_mutex_lock(&lock);
	for (d = first; d && (const void *)d != (const void *)dir; d = d->next)
		;
	pthread_mutex_unlock(&lock);
	return d;
}

SLUICE_API DIR *opendir(const char *path)
{
	struct wire_about about;
	char clean[PATH_MAX];
	struct pin_dir *d;
	int e;

	if (!client_pin_path(AT_FDCWD, path, clean))
		return NEXT(opendir)(path);
	e = client_path(WIRE_ABOUT, 0, clean, &about);
	d = e || !about.is_dir ? NULL : calloc(1, sizeof(*d));
	if (!d) {
		errno = e ? -e : about.is_dir ? ENOMEM : ENOTDIR;
		return NULL;
	}
	memcpy(d->path, clean, strlen(clean) + 1);
	pthread_mutex_lock(&lock);
	d->next = first;
	__atomic_store_n(&first, d, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	return (DIR *)(void *)d;
}

static struct dirent *next_of(struct pin_dir *d)
{
	struct wire_about about;

	if (client_path(WIRE_CHILD, d->at, d->path, &about))
		return NULL;
	d->at++;
	d->entry = (struct dirent){.d_ino = about.ino,
				   .d_off = d->at,
				   .d_reclen = sizeof(d->entry),
				   .d_type = about.is_dir ? DT_DIR : DT_REG};
	snprintf(d->entry.d_name, sizeof(d->entry.d_name), "%.*s", NAME_MAX, about.name);
	return &d->entry;
}

SLUICE_API struct dirent *readdir(DIR *dir)
{
	struct pin_dir *d = find(dir);

	return d ? next_of(d) : NEXT(readdir)(dir);
}

SLUICE_API struct dirent64 *readdir64(DIR *dir)
{
	struct pin_dir *d = find(dir);

	return d ? (struct dirent64 *)(void *)next_of(d) : NEXT(readdir64)(dir);
}

SLUICE_API void rewinddir(DIR *dir)
{
	struct pin_dir *d = find(dir);

	if (d)
		d->at = 0;
	else
		NEXT(rewinddir)(dir);
}

SLUICE_API int dirfd(DIR *dir)
{
	if (!find(dir))
		return NEXT(dirfd)(dir);
	errno = ENOTSUP;
	return -1;
}

SLUICE_API int closedir(DIR *dir)
{
	struct pin_dir *d = find(dir), **at;

	if (!d)
		return NEXT(closedir)(dir);
	pthread_mutex_lock(&lock);
	for (at = &first; *at != d; at = &(*at)->next)
		;
	__atomic_store_n(at, d->next, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	free(d);
	return 0;
}

SLUICE_API unsigned int if_nametoindex(const char *name)
{
	struct wire_if i;

	return client_on() && !client_if(0, name, &i) ? i.ifindex : NEXT(if_nametoindex)(name);
}

SLUICE_API char *if_indextoname(unsigned int ifindex, char name[IF_NAMESIZE])
{
	struct wire_if i;

	if (!client_on() || !ifindex || client_if(ifindex, NULL, &i))
		return NEXT(if_indextoname)(ifindex, name);
	memcpy(name, i.name, sizeof(i.name));
	return name;
}

/* A file that says how many CPUs the engine has, where the machine's own would say something else. */
static int possible(void)
{
	char text[16];
	int fd = memfd_create("possible", MFD_CLOEXEC), n = snprintf(text, sizeof(text), "0-%u\n", client_cpus() - 1);

	if (fd >= 0 && (pwrite(fd, text, (size_t)n, 0) != n)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_possible(const char *path)
{
	return client_on() && client_cpus() && (uintptr_t)path >= 4096 && !strcmp(path, POSSIBLE);
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

SLUICE_API int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return is_possible(path) ? possible() : NEXT(open)(path, flags, mode);
}

SLUICE_API int open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return is_possible(path) ? possible() : NEXT(open64)(path, flags, mode);
}
