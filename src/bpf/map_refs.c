// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who holds on to maps: every program's list of maps, and the pins of a bpffs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/map.h"

#define PIN_DEPTH 8
#define PINS_MAX 65536 /* entries of a bpffs looked at */

static struct sluice_map_ref *add(struct sluice_map_refs *refs)
{
	struct sluice_map_ref *p;

	if (refs->n == refs->cap) {
		size_t cap = refs->cap ? refs->cap * 2 : 64;

		p = realloc(refs->ref, cap * sizeof(*p));
		if (!p)
			return NULL;
		refs->ref = p;
		refs->cap = cap;
	}
	p = &refs->ref[refs->n++];
	memset(p, 0, sizeof(*p));
	return p;
}

static int add_program(struct sluice_map_refs *refs, int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info), i, n, *ids;
	struct sluice_map_ref *ref;
	char name[16];

	if (bpf_obj_get_info_by_fd(fd, &info, &len) || !info.nr_map_ids)
		return 0;
	n = info.nr_map_ids;
	ids = calloc(n, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	memset(&info, 0, sizeof(info));
	info.nr_map_ids = n;
	info.map_ids = (uint64_t)(uintptr_t)ids;
	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		free(ids);
		return 0;
	}
	snprintf(name, sizeof(name), "%.15s", info.name);
	for (i = 0; i < n && i < info.nr_map_ids; i++) {
		ref = add(refs);
		if (!ref)
			break;
		ref->map_id = ids[i];
		ref->prog_id = info.id;
		memcpy(ref->prog_name, name, sizeof(name));
	}
	free(ids);
	return i < n && i < info.nr_map_ids ? -ENOMEM : 0;
}

static int read_programs(struct sluice_map_refs *refs, struct sluice_err *err)
{
	uint32_t id = 0;
	int fd, rc;

	while (!bpf_prog_get_next_id(id, &id)) {
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0)
			continue;
		rc = add_program(refs, fd);
		close(fd);
		if (rc)
			return err_nomem(err);
	}
	if (errno != ENOENT)
		return err_set(err, errno == EACCES ? -EPERM : -errno, "finding programs: %s",
			errno == EPERM || errno == EACCES ? "needs CAP_SYS_ADMIN, run as root"
							  : strerror(errno));
	return 0;
}

/* A pin of something else than a map is passed over: asked as a map, the kernel tells nothing about it. */
static bool pinned_map(const char *path, uint32_t *id)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	char link[64], to[64];
	ssize_t n;
	int fd = bpf_obj_get_opts(path, &opts);
	bool found;

	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	found = strstr(to, "bpf-map") && !bpf_obj_get_info_by_fd(fd, &info, &len);
	*id = info.id;
	close(fd);
	return found;
}

static int add_pin(struct sluice_map_refs *refs, const char *path)
{
	struct sluice_map_ref *ref;
	uint32_t id;

	if (!pinned_map(path, &id))
		return 0;
	ref = add(refs);
	if (!ref)
		return -ENOMEM;
	ref->map_id = id;
	ref->pin = strdup(path);
	return ref->pin ? 0 : -ENOMEM;
}

static int read_pins(struct sluice_map_refs *refs, const char *dir, int depth, unsigned int *seen)
{
	struct dirent *e;
	struct stat st;
	char path[4096];
	int rc = 0;
	DIR *d = opendir(dir);

	if (!d)
		return 0;
	while (!rc && (e = readdir(d)) && ++*seen < PINS_MAX) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >= (int)sizeof(path) ||
			lstat(path, &st))
			continue;
		if (S_ISDIR(st.st_mode) && depth < PIN_DEPTH)
			rc = read_pins(refs, path, depth + 1, seen);
		else if (S_ISREG(st.st_mode))
			rc = add_pin(refs, path);
	}
	closedir(d);
	return rc;
}

int sluice_map_refs_read(const char *bpffs, struct sluice_map_refs *refs, struct sluice_err *err)
{
	unsigned int seen = 0;
	int rc;

	memset(refs, 0, sizeof(*refs));
	rc = read_programs(refs, err);
	if (!rc && read_pins(refs, bpffs ? bpffs : "/sys/fs/bpf", 0, &seen))
		rc = err_nomem(err);
	return rc;
}

void sluice_map_refs_free(struct sluice_map_refs *refs)
{
	size_t i;

	for (i = 0; i < refs->n; i++)
		free(refs->ref[i].pin);
	free(refs->ref);
	memset(refs, 0, sizeof(*refs));
}
