// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of a running member, for the program that takes its place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sluice/chain.h>

#include "base/err.h"
#include "cmd/keep_maps.h"

#define KERNEL_NAME_MAX 15 /* BPF_OBJ_NAME_LEN without the NUL */

struct keep_map {
	int fd;
	struct bpf_map_info info;
	struct btf *btf; /* of the object it was made for: it has the names in full; NULL if there is none */
};

static bool open_one(uint32_t id, struct keep_map *m)
{
	__u32 len = sizeof(m->info);

	*m = (struct keep_map){.fd = bpf_map_get_fd_by_id(id)};
	if (m->fd < 0)
		return false;
	if (bpf_obj_get_info_by_fd(m->fd, &m->info, &len)) {
		close(m->fd);
		return false;
	}
	m->btf = m->info.btf_id ? btf__load_from_kernel_by_id(m->info.btf_id) : NULL;
	return true;
}

int keep_maps_open(int ifindex, const char *member, const struct opt_list *given, struct keep_maps *old,
		   struct sluice_err *err)
{
	const struct sluice_member_info *m;
	struct sluice_chain_info *info;
	uint32_t i, k;
	int e = sluice_chain_read(ifindex, &info, err);

	*old = (struct keep_maps){.given = given};
	if (e)
		return e;
	for (i = 0; i < info->n_members && !e; i++) {
		m = &info->member[i];
		if (strcmp(m->name, member) != 0 || !m->n_maps)
			continue;
		old->map = calloc(m->n_maps, sizeof(*old->map));
		for (k = 0; k < m->n_maps && old->map; k++)
			old->n += open_one(m->map_ids[k], &old->map[old->n]);
		e = old->map ? 0 : err_nomem(err);
		break;
	}
	sluice_chain_info_free(info);
	return e;
}

void keep_maps_close(struct keep_maps *old)
{
	while (old->n > 0) {
		btf__free(old->map[--old->n].btf);
		close(old->map[old->n].fd);
	}
	free(old->map);
	old->map = NULL;
}

static bool has_variable(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_VAR) > 0;
}

static bool same_name(const struct keep_map *old, const char *name)
{
	if (strncmp(old->info.name, name, KERNEL_NAME_MAX) != 0)
		return false;
	return strlen(name) < KERNEL_NAME_MAX || !old->btf || has_variable(old->btf, name);
}

static bool same_layout(const struct keep_map *old, const struct bpf_map *map)
{
	const struct bpf_map_info *o = &old->info;
	__u32 flags = o->map_flags;

	if (o->type == BPF_MAP_TYPE_DEVMAP || o->type == BPF_MAP_TYPE_DEVMAP_HASH)
		flags &= ~(__u32)BPF_F_RDONLY_PROG; /* the kernel's addition */
	if (o->type != bpf_map__type(map) || o->key_size != bpf_map__key_size(map) ||
	    o->value_size != bpf_map__value_size(map) || flags != bpf_map__map_flags(map))
		return false;
	/* libbpf rounds up the room of the one and counts CPUs for the other, but only when it creates them */
	return o->max_entries == bpf_map__max_entries(map) || o->type == BPF_MAP_TYPE_RINGBUF ||
	       (o->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY && !bpf_map__max_entries(map));
}

static bool matches(const struct keep_map *old, const struct bpf_map *map)
{
	return same_name(old, bpf_map__name(map)) && same_layout(old, map);
}

static bool wanted(const struct keep_maps *old, const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	size_t i, len = strlen(name);

	for (i = 0; i < old->given->n; i++)
		if (!strncmp(old->given->item[i], name, len) && old->given->item[i][len] == '=')
			return false;
	return !bpf_map__is_internal(map);
}

/* The old map for a new one, NULL if there is none. Both must be the only ones that match each other. */
static int find(const struct keep_maps *old, struct sluice_object *obj, const struct bpf_map *map,
		const struct keep_map **found, struct sluice_err *err)
{
	const struct bpf_map *other = NULL;
	size_t i, n = 0;

	*found = NULL;
	for (i = 0; i < old->n; i++)
		if (matches(&old->map[i], map)) {
			*found = &old->map[i];
			n++;
		}
	if (n > 1)
		return err_set(err, -EINVAL, "--keep-maps: the running program has %zu maps that could be %s: the kernel keeps "
			       "%d characters of a name; pin the right one and give it with --map %s=PIN", n,
			       bpf_map__name(map), KERNEL_NAME_MAX, bpf_map__name(map));
	if (!n)
		return 0;
	bpf_object__for_each_map(other, sluice_object_libbpf(obj))
		if (other != map && wanted(old, other) && matches(*found, other))
			return err_set(err, -EINVAL, "--keep-maps: the running program's map %s could be %s or %s; pin it and "
				       "give it to the right one with --map NAME=PIN", (*found)->info.name,
				       bpf_map__name(map), bpf_map__name(other));
	return 0;
}

int keep_maps_share(struct sluice_object *obj, void *arg, struct sluice_err *err)
{
	const struct keep_maps *old = arg;
	const struct keep_map *found;
	struct bpf_map *map;
	int e;

	bpf_object__for_each_map(map, sluice_object_libbpf(obj)) {
		if (!old->n || !wanted(old, map))
			continue;
		e = find(old, obj, map, &found, err);
		if (!e && found)
			e = sluice_object_share_map(obj, bpf_map__name(map), found->fd, err);
		if (e)
			return e;
	}
	return 0;
}
