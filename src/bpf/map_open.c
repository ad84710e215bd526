// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Finding a map, and everything that is known about it without touching its entries. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "base/priv.h"
#include "base/text.h"
#include "bpf/map.h"
#include "bpf/seam.h"

static int denied(const char *what, struct sluice_err *err)
{
	if (priv_need(CAP_SYS_ADMIN, what, err))
		return -EPERM;
	return err_set(err, -EPERM,
		"%s: the kernel refused although CAP_SYS_ADMIN is there; it wants it in the initial user "
		"namespace",
		what);
}

int map_failed(const struct sluice_map *map, const char *doing, int code, struct sluice_err *err)
{
	const struct sluice_map_info *i = &map->info;

	switch (code) {
	case -ENOENT:
		return err_set(err, code, "map %s (id %u) has no such entry", i->name, i->id);
	case -EEXIST:
		return err_set(err, code, "map %s (id %u) has that entry already", i->name, i->id);
	case -E2BIG:
		if (i->indexed)
			return err_set(err, -ENOSPC, "map %s (id %u) ends at index %u", i->name, i->id,
				i->max_entries - 1);
		return err_set(err, -ENOSPC, "map %s (id %u) is full: it holds at most %u entries", i->name,
			i->id, i->max_entries);
	case -ENOSPC:
		return err_set(err, code, "map %s (id %u) is full: it holds at most %u entries", i->name,
			i->id, i->max_entries);
	case -EPERM:
	case -EACCES:
		if (i->frozen)
			return err_set(err, -EPERM, "map %s (id %u) is frozen: user space may only read it",
				i->name, i->id);
		if (!priv_has(CAP_BPF) && !priv_has(CAP_SYS_ADMIN))
			return priv_need(CAP_BPF, doing, err);
		return err_set(err, -EPERM,
			"%s map %s (id %u) is not allowed: its pin or its flags make it read-only or "
			"write-only",
			doing, i->name, i->id);
	case -EOPNOTSUPP:
	case -524: /* ENOTSUPP, which user space has no name for */
		return err_set(err, -EOPNOTSUPP, "%s: the kernel cannot do that with a map of type %s", doing,
			i->type_name);
	default:
		return err_set(err, code, "%s map %s (id %u): %s", doing, i->name, i->id, strerror(-code));
	}
}

/* memlock and frozen are only told by /proc; without it they stay unknown. */
static void read_fdinfo(struct sluice_map *map)
{
	char path[64], line[128];
	unsigned long long v;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map->fd);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "memlock: %llu", &v) == 1)
			map->info.memlock_bytes = v;
		else if (sscanf(line, "frozen: %llu", &v) == 1)
			map->info.frozen = v != 0;
	}
	fclose(f);
}

static int describe(struct sluice_map *map, struct sluice_err *err)
{
	struct sluice_map_info *to = &map->info;
	const struct map_traits *t;
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int rc, cpus;

	rc = bpf_obj_get_info_by_fd(map->fd, &info, &len);
	if (rc)
		return err_set(err, -errno, "reading what the map is: %s", strerror(errno));
	t = map_traits(info.type);
	to->id = info.id;
	to->type = info.type;
	snprintf(to->name, sizeof(to->name), "%.15s", info.name);
	to->key_size = info.key_size;
	to->value_size = info.value_size;
	to->max_entries = info.max_entries;
	to->flags = info.map_flags;
	to->extra = info.map_extra;
	if (t)
		snprintf(to->type_name, sizeof(to->type_name), "%s", t->name);
	else
		snprintf(to->type_name, sizeof(to->type_name), "type %u", info.type);
	to->holds = t ? t->holds : SLUICE_MAP_DATA;
	to->per_cpu = t && t->is & MAP_IS_PERCPU;
	to->indexed = t && t->is & MAP_IS_INDEXED;
	to->keyless = t && t->is & MAP_IS_KEYLESS;
	to->deletable = t && !(t->is & MAP_IS_KEPT);
	to->why_not = t ? t->why_not : "its type is newer than this version of Sluice";
	to->walkable = !to->why_not;
	cpus = to->per_cpu ? seam_n_cpus() : 1;
	if (cpus < 1)
		return err_set(err, cpus, "counting the possible CPUs: %s", strerror(-cpus));
	to->n_values = (uint32_t)cpus;
	to->stride = to->per_cpu ? (info.value_size + 7) / 8 * 8 : info.value_size;
	if ((uint64_t)to->stride * to->n_values > UINT32_MAX)
		return err_set(
			err, -EOPNOTSUPP, "map %s has %u bytes per entry and CPU", to->name, to->value_size);
	to->value_bytes = to->stride * to->n_values;
	map->key = (struct sluice_type){.size = info.key_size, .prefix = info.type == BPF_MAP_TYPE_LPM_TRIE};
	map->value = (struct sluice_type){.size = info.value_size};
	read_fdinfo(map);
	if (info.btf_id && (info.btf_key_type_id || info.btf_value_type_id)) {
		/* without the privilege to read BTF the map is a map without BTF */
		map->btf = btf__load_from_kernel_by_id(info.btf_id);
		if (libbpf_get_error(map->btf))
			map->btf = NULL;
	}
	to->has_btf = map->btf;
	map->key.btf = info.btf_key_type_id ? map->btf : NULL;
	map->key.id = info.btf_key_type_id;
	map->value.btf = info.btf_value_type_id ? map->btf : NULL;
	map->value.id = info.btf_value_type_id;
	return 0;
}

/* Takes fd over. */
static int adopt(int fd, struct sluice_map **out, struct sluice_err *err)
{
	struct sluice_map *map = calloc(1, sizeof(*map));
	int rc;

	*out = NULL;
	if (!map) {
		close(fd);
		return err_nomem(err);
	}
	map->fd = fd;
	rc = describe(map, err);
	if (rc)
		sluice_map_close(map);
	else
		*out = map;
	return rc;
}

/* What /proc calls the object behind a bpf descriptor: "bpf-map", "bpf-prog", "bpf_link". */
static bool is_map_fd(int fd)
{
	char path[64], to[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return true; /* no /proc: the kernel's answer to the next call decides */
	to[n] = '\0';
	return strstr(to, "bpf-map") != NULL;
}

int sluice_map_open_fd(int fd, struct sluice_map **map, struct sluice_err *err)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	*map = NULL;
	if (own < 0)
		return err_set(err, -errno, "descriptor %d: %s", fd, strerror(errno));
	if (!is_map_fd(own)) {
		close(own);
		return err_set(err, -ENOEXEC, "descriptor %d is not a BPF map", fd);
	}
	return adopt(own, map, err);
}

int sluice_map_open_id(uint32_t id, struct sluice_map **map, struct sluice_err *err)
{
	int fd = bpf_map_get_fd_by_id(id);

	*map = NULL;
	if (fd >= 0)
		return adopt(fd, map, err);
	if (errno == ENOENT)
		return err_set(err, -ENOENT,
			"there is no map with id %u; `sluice map list` shows those there are", id);
	if (errno == EPERM || errno == EACCES)
		return denied("opening a map by its id", err);
	return err_set(err, -errno, "opening map %u: %s", id, strerror(errno));
}

static int open_pin(const char *path, struct sluice_map **map, struct sluice_err *err)
{
	struct statfs fs;
	struct stat st;
	int fd;

	if (!statfs(path, &fs) && fs.f_type != BPF_FS_MAGIC)
		return err_set(err, -ENOEXEC, "%s is not a pin: it is not on a bpffs", path);
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return err_set(err, -EINVAL, "%s is a directory, not a pin", path);
	fd = bpf_obj_get(path);
	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);

		if (access(path, R_OK) == 0)
			fd = bpf_obj_get_opts(path, &opts);
	}
	if (fd < 0 && errno == EPERM) {
		if (priv_need(CAP_BPF, "opening a pin", err))
			return -EPERM;
		return err_set(err, -EPERM, "opening pin %s: the kernel refused", path);
	}
	if (fd < 0 && errno == EACCES)
		return err_set(err, -EPERM, "no permission to open pin %s", path);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, -ENOENT, "there is no pin %s", path);
	if (fd < 0)
		return err_set(err, errno == EINVAL ? -ENOEXEC : -errno, "%s is not a pin of a BPF map: %s",
			path, strerror(errno));
	if (!is_map_fd(fd)) {
		close(fd);
		return err_set(err, -ENOEXEC, "%s is a pin, but not of a map", path);
	}
	return adopt(fd, map, err);
}

int sluice_map_ids(uint32_t **ids, size_t *n, struct sluice_err *err)
{
	uint32_t id = 0, *more;
	size_t cap = 0;

	*ids = NULL;
	*n = 0;
	while (!bpf_map_get_next_id(id, &id)) {
		if (*n == cap) {
			cap = cap ? cap * 2 : 64;
			more = realloc(*ids, cap * sizeof(**ids));
			if (!more)
				goto nomem;
			*ids = more;
		}
		(*ids)[(*n)++] = id;
	}
	if (errno == ENOENT)
		return 0;
	free(*ids);
	*ids = NULL;
	if (errno == EPERM || errno == EACCES)
		return denied("finding maps", err);
	return err_set(err, -errno, "finding maps: %s", strerror(errno));
nomem:
	free(*ids);
	*ids = NULL;
	return err_nomem(err);
}

/* The kernel cuts names at 15 characters: a longer one typed means what it was cut to. */
static bool same_name(const char *kernel, const char *typed)
{
	return !strncmp(kernel, typed, 15) && (strlen(typed) >= 15 || strlen(kernel) == strlen(typed));
}

struct named {
	uint32_t id;
	char name[16];
};

static int read_names(const uint32_t *ids, size_t n, struct named *to, size_t *found)
{
	struct bpf_map_info info;
	uint32_t len;
	size_t i;
	int fd;

	*found = 0;
	for (i = 0; i < n; i++) {
		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0 && errno == ENOENT)
			continue; /* gone meanwhile */
		if (fd < 0)
			return -errno;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &len)) {
			to[*found].id = ids[i];
			snprintf(to[*found].name, sizeof(to->name), "%.15s", info.name);
			++*found;
		}
		close(fd);
	}
	return 0;
}

static int not_found(const char *typed, const struct named *all, size_t n, struct sluice_err *err)
{
	const char **words = calloc(n + 1, sizeof(*words));
	size_t i;
	int hit;

	if (!words)
		return err_nomem(err);
	for (i = 0; i < n; i++)
		words[i] = all[i].name;
	hit = text_nearest(typed, words, n);
	if (hit >= 0)
		err_set(err, -ENOENT, "there is no map '%.60s', did you mean %s (id %u)?", typed,
			all[hit].name, all[hit].id);
	else
		err_set(err, -ENOENT, "there is no map '%.60s'; `sluice map list` shows those there are",
			typed);
	free(words);
	return -ENOENT;
}

static int open_name(const char *name, struct sluice_map **map, struct sluice_err *err)
{
	struct named *all = NULL;
	size_t n, found = 0, i, hits = 0, hit = 0, len = 0;
	char list[200] = "";
	uint32_t *ids;
	int rc = sluice_map_ids(&ids, &n, err);

	if (rc)
		return rc;
	all = calloc(n + 1, sizeof(*all));
	rc = all ? read_names(ids, n, all, &found) : -ENOMEM;
	if (rc) {
		rc = rc == -ENOMEM ? err_nomem(err)
		     : rc == -EPERM || rc == -EACCES
			     ? denied("finding a map by its name", err)
			     : err_set(err, rc, "finding map '%.60s': %s", name, strerror(-rc));
		goto out;
	}
	for (i = 0; i < found; i++) {
		if (!same_name(all[i].name, name))
			continue;
		hit = i;
		if (hits++ < 16)
			len += (size_t)snprintf(
				list + len, sizeof(list) - len, "%s%u", hits > 1 ? ", " : "", all[i].id);
	}
	if (!hits)
		rc = not_found(name, all, found, err);
	else if (hits > 1)
		rc = err_set(err, -EINVAL, "%zu maps are called '%.60s': name one by its id, %s", hits, name,
			list);
	else
		rc = sluice_map_open_id(all[hit].id, map, err);
out:
	free(all);
	free(ids);
	return rc;
}

int sluice_map_open(const char *which, struct sluice_map **map, struct sluice_err *err)
{
	const char *id = !strncmp(which, "id ", 3) ? which + 3 : which;
	uint64_t v;

	*map = NULL;
	if (strchr(which, '/'))
		return open_pin(which, map, err);
	if (isdigit((unsigned char)*id) && id[strspn(id, "0123456789")] == '\0')
		return text_u64(id, 1, UINT32_MAX, &v, err) ? -EINVAL
							    : sluice_map_open_id((uint32_t)v, map, err);
	if (!*which)
		return err_set(
			err, -EINVAL, "an empty name is no map: an id, a name or a pin path is wanted");
	return open_name(which, map, err);
}

void sluice_map_close(struct sluice_map *map)
{
	if (!map)
		return;
	close(map->fd);
	btf__free(map->btf);
	free(map);
}

const struct sluice_map_info *sluice_map_info(const struct sluice_map *map)
{
	return &map->info;
}

int sluice_map_fd(const struct sluice_map *map)
{
	return map->fd;
}

void sluice_map_types(struct sluice_map *map, struct sluice_type **key, struct sluice_type **value)
{
	*key = &map->key;
	*value = &map->value;
}
