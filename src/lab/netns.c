// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Network namespaces by name under /run/netns. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "lab/netns.h"

#define SELF "/proc/thread-self/ns/net"

int lab_netns_current(int *fd, struct sluice_err *err)
{
	*fd = open(SELF, O_RDONLY | O_CLOEXEC);
	return *fd >= 0 ? 0 : err_set(err, -errno, "cannot open " SELF ": %s", strerror(errno));
}

int lab_netns_return(int fd, struct sluice_err *err)
{
	int e = setns(fd, CLONE_NEWNET) ? -errno : 0;

	close(fd);
	return e ? err_set(err, e, "cannot return to the network namespace this began in: %s", strerror(-e))
		 : 0;
}

int lab_netns_enter(const char *name, struct sluice_err *err)
{
	char path[128];
	int fd, e;

	snprintf(path, sizeof(path), LAB_NETNS_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	e = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	return e ? err_set(err, e, "cannot enter network namespace %s: %s", name, strerror(-e)) : 0;
}

int lab_netns_private(struct sluice_err *err)
{
	if (!unshare(CLONE_NEWNET))
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		return err_set(err, -EOPNOTSUPP, "this kernel has no network namespaces (CONFIG_NET_NS)");
	if (errno == ENOSPC)
		return err_set(err, -ENOSPC,
			       "no more network namespaces are allowed: raise "
			       "/proc/sys/user/max_net_namespaces");
	return err_set(err, -errno, "cannot make a network namespace: %s", strerror(errno));
}

int lab_netns_create(const char *name, struct sluice_err *err)
{
	char path[128];
	int fd, e;

	if (mkdir(LAB_NETNS_DIR, 0755) && errno != EEXIST)
		return err_set(err, -errno, "cannot make " LAB_NETNS_DIR ": %s", strerror(errno));
	snprintf(path, sizeof(path), LAB_NETNS_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
	close(fd);
	e = lab_netns_private(err);
	if (!e && mount(SELF, path, "none", MS_BIND, NULL))
		e = err_set(err, -errno, "cannot mount a namespace at %s: %s", path, strerror(errno));
	if (e)
		(void)unlink(path);
	return e;
}

int lab_netns_remove(const char *name, struct sluice_err *err)
{
	char path[128];

	snprintf(path, sizeof(path), LAB_NETNS_DIR "/%s", name);
	/* EINVAL: nothing is mounted there, its maker ended in between */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) && errno != EINVAL && errno != ENOENT)
		return err_set(err, -errno, "cannot unmount %s: %s", path, strerror(errno));
	if (unlink(path) && errno != ENOENT)
		return err_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	return 0;
}

int lab_netns_remove_all(const char *prefix, struct sluice_err *err)
{
	DIR *dir = opendir(LAB_NETNS_DIR);
	struct sluice_err one;
	struct dirent *d;
	int e = 0, e1;

	if (!dir)
		return errno == ENOENT
			       ? 0
			       : err_set(err, -errno, "cannot read " LAB_NETNS_DIR ": %s", strerror(errno));
	while ((d = readdir(dir))) {
		if (strncmp(d->d_name, prefix, strlen(prefix)) != 0)
			continue;
		e1 = lab_netns_remove(d->d_name, &one);
		if (e1 && !e) /* go on: the rest can still go */
			e = err_set(err, e1, "%s", one.text);
	}
	closedir(dir);
	return e;
}

bool lab_netns_any(const char *prefix)
{
	DIR *dir = opendir(LAB_NETNS_DIR);
	struct dirent *d;
	bool found = false;

	while (dir && !found && (d = readdir(dir)))
		found = !strncmp(d->d_name, prefix, strlen(prefix));
	if (dir)
		closedir(dir);
	return found;
}

int lab_netns_sysctl(const char *path, const char *value, struct sluice_err *err)
{
	ssize_t len = (ssize_t)strlen(value);
	char full[128];
	int fd, e = 0;

	snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, (size_t)len) != len)
		e = err_set(err, -errno, "cannot write '%s' to %s: %s", value, full, strerror(errno));
	if (fd >= 0)
		close(fd);
	return e;
}
