// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a joined program knows about itself: in memory, as bytes, and in its map. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "hook/state.h"

#define MAGIC 0x6e696861 /* "ahin": changes with the layout of the bytes */
#define VERSION 2
#define MAX_BYTES (256u << 20)

struct state *state_new(void)
{
	struct state *s = calloc(1, sizeof(*s));

	if (s) {
		s->next_uid = 1;
		s->frags = true;
	}
	return s;
}

void state_free(struct state *s)
{
	uint32_t i;

	if (!s)
		return;
	for (i = 0; i < s->n_members; i++)
		code_free(s->member[i].code);
	free(s);
}

int state_insert(struct state *s, const struct state_member *m, struct sluice_err *err)
{
	uint32_t i = s->n_members;

	if (i == SLUICE_CHAIN_MAX)
		return err_set(err, -ENOSPC, "the chain is full: it has %d programs", SLUICE_CHAIN_MAX);
	while (i > 0 && s->member[i - 1].priority > m->priority) {
		s->member[i] = s->member[i - 1];
		i--;
	}
	s->member[i] = *m;
	s->n_members++;
	return 0;
}

void state_remove(struct state *s, uint32_t i)
{
	code_free(s->member[i].code);
	s->n_members--;
	memmove(&s->member[i], &s->member[i + 1], (s->n_members - i) * sizeof(*s->member));
}

int state_find(const struct state *s, const char *name)
{
	uint32_t i;

	for (i = 0; i < s->n_members; i++)
		if (!strcmp(s->member[i].name, name))
			return (int)i;
	return -1;
}

void state_unique_name(const struct state *s, const char *name, char *to)
{
	unsigned int n;

	snprintf(to, SLUICE_MEMBER_NAME_MAX, "%s", name);
	for (n = 2; state_find(s, to) >= 0; n++)
		snprintf(to, SLUICE_MEMBER_NAME_MAX, "%.*s-%u", SLUICE_MEMBER_NAME_MAX - 12, name, n);
}

void state_format(const struct state *s, struct buf *to)
{
	uint32_t i;

	buf_u32(to, MAGIC);
	buf_u32(to, VERSION);
	buf_u64(to, s->next_uid);
	buf_u32(to, s->counts_map_id);
	buf_u32(to, s->frags);
	buf_str(to, s->dir);
	buf_u32(to, s->n_observers);
	for (i = 0; i < s->n_observers; i++)
		buf_u32(to, s->observer_map_id[i]);
	buf_u32(to, s->n_members);
	for (i = 0; i < s->n_members; i++) {
		const struct state_member *m = &s->member[i];

		buf_u64(to, m->uid);
		buf_str(to, m->name);
		buf_str(to, m->owner);
		buf_str(to, m->object);
		buf_put(to, m->tag, sizeof(m->tag));
		buf_u32(to, m->priority);
		buf_u32(to, m->go_on);
		buf_u64(to, m->attached_ns);
		buf_u32(to, m->inlined);
		buf_u32(to, m->n_maps);
		buf_put(to, m->map_id, m->n_maps * sizeof(*m->map_id));
		code_write(m->code, to);
	}
}

static void read_member(struct view *v, struct state_member *m)
{
	m->uid = view_u64(v);
	view_str(v, m->name, sizeof(m->name));
	view_str(v, m->owner, sizeof(m->owner));
	view_str(v, m->object, sizeof(m->object));
	view_copy(v, m->tag, sizeof(m->tag));
	m->priority = view_u32(v);
	m->go_on = view_u32(v);
	m->attached_ns = view_u64(v);
	m->inlined = view_u32(v);
	m->n_maps = view_u32(v);
	if (m->n_maps > sizeof(m->map_id) / sizeof(*m->map_id)) {
		m->n_maps = 0;
		v->failed = true;
	}
	view_copy(v, m->map_id, m->n_maps * sizeof(*m->map_id));
	code_read(v, &m->code);
}

int state_parse(const void *bytes, size_t len, struct state **out, struct sluice_err *err)
{
	struct view v = view_of(bytes, len);
	struct state *s;
	uint32_t i;

	*out = NULL;
	if (view_u32(&v) != MAGIC || view_u32(&v) != VERSION)
		return err_set(err, -EBADMSG, "the chain was made by another version of sluice; detach it with that one, or --force");
	s = state_new();
	if (!s)
		return err_nomem(err);
	s->next_uid = view_u64(&v);
	s->counts_map_id = view_u32(&v);
	s->frags = view_u32(&v);
	view_str(&v, s->dir, sizeof(s->dir));
	s->n_observers = view_u32(&v);
	if (s->n_observers > JOIN_MAX_OBSERVERS)
		v.failed = true;
	for (i = 0; i < s->n_observers && view_ok(&v); i++)
		s->observer_map_id[i] = view_u32(&v);
	i = view_u32(&v);
	if (i > SLUICE_CHAIN_MAX)
		v.failed = true;
	while (view_ok(&v) && s->n_members < i)
		read_member(&v, &s->member[s->n_members++]);
	if (!view_ok(&v)) {
		state_free(s);
		return err_set(err, -EBADMSG, "the description of the chain is damaged");
	}
	*out = s;
	return 0;
}

int state_save(const struct state *s, int *map_fd, struct sluice_err *err)
{
	struct buf b = {0};
	uint32_t zero = 0;
	int e = 0;

	*map_fd = -1;
	state_format(s, &b);
	buf_add(&b, (8 - b.len % 8) % 8);
	if (b.failed) {
		e = err_nomem(err);
		goto out;
	}
	*map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, STATE_MAP_NAME, 4, (__u32)b.len, 1, NULL);
	if (*map_fd < 0) {
		e = errno == EPERM ? privilege_missing("creating a BPF map", err) :
				     err_set(err, -errno, "creating a map of %zu bytes for the chain's description: %s", b.len,
					     strerror(errno));
	} else if (bpf_map_update_elem(*map_fd, &zero, b.data, BPF_ANY) || bpf_map_freeze(*map_fd)) {
		e = err_set(err, -errno, "writing the chain's description: %s", strerror(errno));
		close(*map_fd);
		*map_fd = -1;
	}
out:
	buf_free(&b);
	return e;
}

static int read_map(int fd, uint32_t size, struct state **s, struct sluice_err *err)
{
	uint32_t zero = 0;
	void *bytes;
	int e;

	if (size > MAX_BYTES)
		return err_set(err, -EBADMSG, "the description of the chain has %u bytes", size);
	bytes = malloc((size + 7u) & ~7u);
	if (!bytes)
		return err_nomem(err);
	if (bpf_map_lookup_elem(fd, &zero, bytes))
		e = err_set(err, -errno, "reading the chain's description: %s", strerror(errno));
	else
		e = state_parse(bytes, size, s, err);
	free(bytes);
	return e;
}

/* The map that was bound to a program last, which comes last in the kernel's list: members' own maps stand before it. */
static int last_map(int prog_fd, uint32_t *id)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info), n, *ids;
	int e;

	*id = 0;
	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		return -errno;
	n = info.nr_map_ids;
	ids = calloc(n + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	memset(&info, 0, sizeof(info));
	info.nr_map_ids = n;
	info.map_ids = (uintptr_t)ids;
	len = sizeof(info);
	e = bpf_obj_get_info_by_fd(prog_fd, &info, &len) ? -errno : 0;
	if (!e && n)
		*id = ids[n - 1];
	free(ids);
	return e;
}

int state_load(int prog_fd, struct state **s, struct sluice_err *err)
{
	struct bpf_map_info map = {0};
	__u32 len = sizeof(map), id;
	int fd, e = last_map(prog_fd, &id);

	*s = NULL;
	if (e)
		return err_set(err, e, "reading what the program uses: %s", strerror(-e));
	fd = id ? bpf_map_get_fd_by_id(id) : -1;
	if (fd < 0 && id && errno == EPERM)
		return privilege_missing("opening a map by its number", err);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &map, &len) || strcmp(map.name, STATE_MAP_NAME) != 0 ||
	    map.type != BPF_MAP_TYPE_ARRAY)
		e = err_set(err, -ENOENT, "the program carries no description of a chain");
	else
		e = read_map(fd, map.value_size, s, err);
	if (fd >= 0)
		close(fd);
	return e;
}
