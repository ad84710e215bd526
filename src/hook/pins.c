// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The folders of pins on a bpffs: finding the bpffs, keeping maps alive, sweeping up after interfaces that are gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/magic.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "hook/place.h"
#include "hook/place_internal.h"

#define BPFFS "/sys/fs/bpf"

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

/* The process that started one; 0 above the first. */
static unsigned int parent_of(unsigned int pid)
{
	char path[64], text[512], *at;
	unsigned int parent = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')'); /* the name before it may hold anything */
	if (at && sscanf(at + 1, " %*c %u", &parent) != 1)
		parent = 0;
	return parent;
}

/*
 * `ip netns exec` starts its command in a mount namespace of its own, with a fresh /sys: there is no bpffs in it, and
 * one mounted there would be gone with the command. Whoever called it still sees the machine's: looks for the nearest
 * ancestor in another mount namespace that has a bpffs. Returns 1 found, 0 none of them has, -1 there is no such ancestor.
 */
static int ancestor_bpffs(char *path, size_t size)
{
	struct stat own, other;
	unsigned int pid = (unsigned int)getpid();
	int result = -1;

	if (stat("/proc/self/ns/mnt", &own))
		return -1;
	while ((pid = parent_of(pid)) > 0) {
		snprintf(path, size, "/proc/%u/ns/mnt", pid);
		if (stat(path, &other) || (own.st_ino == other.st_ino && own.st_dev == other.st_dev))
			continue;
		snprintf(path, size, "/proc/%u/root" BPFFS, pid);
		if (is_bpffs(path))
			return 1;
		result = 0;
	}
	return result;
}

int place_bpffs(const char *wanted, bool make, char *found, size_t size, struct sluice_err *err)
{
	int ancestor;

	snprintf(found, size, "%s", wanted ? wanted : BPFFS);
	if (is_bpffs(found))
		return 0;
	if (wanted)
		return err_set(err, -ENOENT, "%s is not a bpffs; mount one with: mount -t bpf bpf %s", wanted, wanted);
	ancestor = ancestor_bpffs(found, size);
	if (ancestor > 0)
		return 0;
	if (ancestor == 0)
		return err_set(err, -ENOENT, "there is no bpffs to pin the link in: this mount namespace has none on " BPFFS
			       " and neither has the one outside; mount it there with: mount -t bpf bpf " BPFFS);
	snprintf(found, size, BPFFS);
	if (!make)
		return err_set(err, -ENOENT, "there is no bpffs on " BPFFS);
	if (!mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return 0;
	if (errno == EPERM || errno == EACCES)
		return privilege_missing("mounting a bpffs on " BPFFS, err);
	return err_set(err, -ENOENT, "there is no bpffs to pin the link in and " BPFFS " cannot be mounted: %s", strerror(errno));
}

int place_dir(const char *bpffs, int ifindex, bool make, char *to, size_t size, struct sluice_err *err)
{
	char root[200], parent[208];
	int e = place_bpffs(bpffs, make, root, sizeof(root), err), n, tries = 0;

	if (e)
		return e;
	n = snprintf(to, size, "%s/sluice/net%llu_if%d", root, (unsigned long long)place_netns(), ifindex);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, -EINVAL, "the path of the bpffs is too long");
	if (!make)
		return 0;
	snprintf(parent, sizeof(parent), "%s/sluice", root);
	do { /* another interface's last pin may take the parent away in between */
		e = mkdir(parent, 0700) && errno != EEXIST ? errno : mkdir(to, 0700) && errno != EEXIST ? errno : 0;
	} while (e == ENOENT && tries++ < 100);
	if (!e)
		return 0;
	errno = e;
	if (errno == EPERM || errno == EACCES)
		return privilege_missing("pinning under a bpffs", err);
	return err_set(err, -errno, "%s: %s", to, strerror(errno));
}

/* Calls each() with every name in dir. */
static void walk(const char *dir, void (*each)(const char *dir, const char *name, void *arg), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			each(dir, e->d_name, arg);
	if (d)
		closedir(d);
}

static void remove_one(const char *dir, const char *name, void *arg)
{
	char path[PATH_MAX];

	(void)arg;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path))
		unlink(path);
}

/* NAME_123: what Sluice calls its own; anything else in its folders is somebody's who put it there. */
static bool numbered(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return !strncmp(name, prefix, n) && name[n] && !name[n + strspn(name + n, "0123456789")];
}

static void remove_own(const char *dir, const char *name, void *arg)
{
	if (!strcmp(name, "link") || numbered(name, "keep_"))
		remove_one(dir, name, arg);
}

void place_remove(const char *dir)
{
	char parent[PATH_MAX];

	walk(dir, remove_own, NULL);
	rmdir(dir);
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(dir, '/') - dir), dir);
	rmdir(parent); /* the last one turns off the light; -ENOTEMPTY otherwise */
}

int place_keep(const char *dir, uint32_t map_id, struct sluice_err *err)
{
	char path[PATH_MAX];
	int fd = bpf_map_get_fd_by_id(map_id), e = 0;

	if (fd < 0)
		return err_set(err, -errno, "opening map %u: %s", map_id, strerror(errno));
	snprintf(path, sizeof(path), "%s/keep_%u", dir, map_id);
	if (bpf_obj_pin(fd, path) && errno != EEXIST)
		e = err_set(err, -errno, "pinning map %u as %s: %s", map_id, path, strerror(errno));
	close(fd);
	return e;
}

struct keepers {
	const uint32_t *id;
	uint32_t n;
};

static void unkeep_one(const char *dir, const char *name, void *arg)
{
	const struct keepers *k = arg;
	unsigned long id;
	uint32_t i;

	if (!numbered(name, "keep_"))
		return;
	id = strtoul(name + 5, NULL, 10);
	for (i = 0; i < k->n; i++)
		if (k->id[i] == id)
			return;
	remove_one(dir, name, NULL);
}

void place_unkeep(const char *dir, const uint32_t *ids, uint32_t n)
{
	struct keepers k = {ids, n};

	walk(dir, unkeep_one, &k);
}

static bool has_timer(const struct bpf_map_info *info)
{
	struct btf *btf = info->btf_id ? btf__load_from_kernel_by_id(info->btf_id) : NULL;
	const struct btf_type *t = btf ? btf__type_by_id(btf, info->btf_value_type_id) : NULL, *m;
	bool found = false;
	uint32_t i;

	for (i = 0; t && btf_is_struct(t) && i < btf_vlen(t); i++) {
		const char *name;

		m = btf__type_by_id(btf, btf_members(t)[i].type);
		name = m ? btf__name_by_offset(btf, m->name_off) : "";
		found |= !strcmp(name, "bpf_timer") || !strcmp(name, "bpf_wq");
	}
	btf__free(btf);
	return found;
}

bool place_needs_keep(uint32_t map_id)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int fd = bpf_map_get_fd_by_id(map_id);
	bool needs = false;

	if (fd < 0)
		return false;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && strcmp(info.name, "sluice_observer") != 0)
		needs = info.type == BPF_MAP_TYPE_PROG_ARRAY || has_timer(&info);
	close(fd);
	return needs;
}

/* A folder whose link is detached, or that has none although nobody is busy with it, is left over from an interface that is gone. */
static void sweep_one(const char *dir, const char *name, void *arg)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	struct place_lock lock;
	unsigned long long netns;
	char path[PATH_MAX], more;
	int fd, ifindex;
	bool dead;

	(void)arg;
	if (sscanf(name, "net%llu_if%d%c", &netns, &ifindex, &more) != 2 ||
	    (size_t)snprintf(path, sizeof(path), "%s/%s/link", dir, name) >= sizeof(path) ||
	    place_lock_name(name, 0, &lock, NULL))
		return;
	fd = bpf_obj_get(path);
	dead = fd < 0 ? errno == ENOENT : !bpf_obj_get_info_by_fd(fd, &info, &len) && info.xdp.ifindex == 0;
	if (fd >= 0)
		close(fd);
	if (dead) {
		*strrchr(path, '/') = '\0'; /* the folder of the link */
		place_remove(path);
	}
	place_unlock(&lock);
}

/* The lock of an observer that was killed stays as a file. */
static void sweep_slot(const char *dir, const char *name, void *arg)
{
	struct place_lock lock;
	char slot[64];

	(void)dir;
	(void)arg;
	if (strncmp(name, PLACE_SLOT, strlen(PLACE_SLOT)) != 0 || strlen(name) >= sizeof(slot))
		return;
	snprintf(slot, sizeof(slot), "%.*s", (int)strcspn(name, "."), name);
	if (!place_lock_name(slot, 0, &lock, NULL))
		place_unlock(&lock);
}

void place_sweep(const char *bpffs)
{
	char path[PATH_MAX], root[200];

	if (!place_bpffs(bpffs, false, root, sizeof(root), NULL) && (size_t)snprintf(path, sizeof(path), "%s/sluice", root) < sizeof(path))
		walk(path, sweep_one, NULL);
	walk(LOCK_DIR, sweep_slot, NULL);
}
