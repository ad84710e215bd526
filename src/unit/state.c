// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps and variables of the program of a test, as typed text. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/object.h"
#include "unit/unit.h"

/* What the kernel, or an engine that does as the kernel does, did not keep of the types. */
static void complete(struct sluice_type *type, const struct btf *btf, uint32_t id)
{
	if (type->btf || !btf || !id || btf__resolve_size(btf, id) != type->size)
		return;
	type->btf = btf;
	type->id = id;
}

static int open_map(struct sluice_test *t, const char *name, struct sluice_map **map, struct sluice_err *err)
{
	const struct btf *btf = bpf_object__btf(sluice_object_libbpf(t->obj));
	struct sluice_type *key, *value;
	struct unit_map *m;
	int fd, e;

	*map = NULL;
	e = sluice_test_load(t, err);
	if (e)
		return e;
	fd = sluice_object_map_fd(t->obj, name, err);
	if (fd < 0)
		return fd;
	for (m = t->map; m < t->map + t->n_maps - 1 && strcmp(m->name, name) != 0; m++)
		;
	if (!m->map) {
		e = sluice_map_open_fd(fd, &m->map, err);
		if (e)
			return e;
		sluice_map_types(m->map, &key, &value);
		complete(key, btf, m->key_id);
		complete(value, btf, m->value_id);
	}
	*map = m->map;
	return 0;
}

/* A map and a key, from text; *key is the caller's to free, NULL for none. */
static int find(struct sluice_test *t, const char *name, const char *text, struct sluice_map **map,
		void **key, struct sluice_err *err)
{
	struct sluice_type *kt, *vt;
	int e;

	*key = NULL;
	e = open_map(t, name, map, err);
	if (e || !text)
		return e;
	sluice_map_types(*map, &kt, &vt);
	*key = calloc(1, kt->size ? kt->size : 1);
	if (!*key)
		return err_nomem(err);
	return sluice_type_parse(kt, text, *key, err) ? err_prefix(err, "key") : 0;
}

bool sluice_test_put_at(struct sluice_test_at at, const char *map, const char *key, const char *value)
{
	struct vm *before = unit_enter(at.test);
	struct sluice_err err = {0};
	struct sluice_map *m;
	void *k;

	if (!find(at.test, map, key, &m, &k, &err))
		sluice_map_set_text(m, k, &value, 1, SLUICE_MAP_ANY, &err);
	free(k);
	return unit_leave(&at, before, err.code ? unit_say_err(at.test, &err) : true);
}

bool sluice_test_del_at(struct sluice_test_at at, const char *map, const char *key)
{
	struct vm *before = unit_enter(at.test);
	struct sluice_err err = {0};
	struct sluice_map *m;
	void *k;

	if (!find(at.test, map, key, &m, &k, &err))
		sluice_map_del(m, k, &err);
	free(k);
	return unit_leave(&at, before, err.code ? unit_say_err(at.test, &err) : true);
}

/* The text of an entry; -ENOENT: there is none. The caller frees *text. */
static int read_entry(struct sluice_map *map, const void *key, char **text, struct sluice_err *err)
{
	const struct sluice_map_info *info = sluice_map_info(map);
	void *value = calloc(1, info->value_bytes ? info->value_bytes : 1);
	int e;

	*text = NULL;
	if (!value)
		return err_nomem(err);
	e = sluice_map_get(map, key, value, err);
	if (!e)
		e = info->per_cpu ? sluice_map_sum_print(map, value, text, err)
				  : sluice_map_value_print(map, value, text, err);
	free(value);
	return e;
}

/* Expected text as it would be printed, so that 0x10 is 16. Where values stand for something, it is taken as
 * it is. */
static int canonical(const struct sluice_type *type, const char *text, char **out, struct sluice_err *err)
{
	void *value = calloc(1, type->size ? type->size : 1);
	int e = value ? sluice_type_parse(type, text, value, err) : err_nomem(err);

	*out = NULL;
	if (!e)
		e = sluice_type_print(type, value, out, err);
	free(value);
	return e;
}

static bool compare(struct sluice_test *t, const char *want, const char *got)
{
	if (!strcmp(want, got))
		return true;
	unit_say(t, "expected", "%s", want);
	return unit_say(t, "got", "%s", got);
}

static bool same_value(struct sluice_test *t, const char *map, const char *key, const char *value)
{
	char *want = NULL, *got = NULL;
	struct sluice_err err = {0};
	struct sluice_type *kt, *vt;
	struct sluice_map *m;
	bool ok = false;
	void *k;
	int e;

	e = find(t, map, key, &m, &k, &err);
	if (!e) {
		sluice_map_types(m, &kt, &vt);
		if (sluice_map_info(m)->holds != SLUICE_MAP_DATA)
			want = strdup(value);
		else if (canonical(vt, value, &want, &err))
			err_prefix(&err, "expected value");
	}
	if (!err.code) {
		e = read_entry(m, k, &got, &err);
		if (e == -ENOENT) {
			unit_say(t, "key", "%s", key ? key : "the head");
			unit_say(t, "expected", "%s", want ? want : value);
			unit_say(t, "got", "no such entry");
			goto out;
		}
	}
	if (err.code || !want || !got) {
		unit_say_err(t, &err);
		goto out;
	}
	ok = !strcmp(want, got);
	if (!ok)
		unit_say(t, "key", "%s", key ? key : "the head");
	compare(t, want, got);
out:
	free(k);
	free(want);
	free(got);
	return ok;
}

bool sluice_test_value_at(struct sluice_test_at at, const char *map, const char *key, const char *value)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, same_value(at.test, map, key, value));
}

bool sluice_test_absent_at(struct sluice_test_at at, const char *map, const char *key)
{
	struct vm *before = unit_enter(at.test);
	struct sluice_err err = {0};
	struct sluice_map *m;
	char *got = NULL;
	bool ok = false;
	void *k;
	int e;

	e = find(at.test, map, key, &m, &k, &err);
	if (!e) {
		e = read_entry(m, k, &got, &err);
		ok = e == -ENOENT;
	}
	if (e && !ok) {
		unit_say_err(at.test, &err);
	} else if (!ok) {
		unit_say(at.test, "key", "%s", key ? key : "the head");
		unit_say(at.test, "expected", "no such entry");
		unit_say(at.test, "got", "%s", got);
	}
	free(k);
	free(got);
	return unit_leave(&at, before, ok);
}

static bool count(struct sluice_test *t, const char *map, uint64_t want)
{
	struct sluice_map_iter *it = NULL;
	struct sluice_err err = {0};
	const void *key, *value;
	struct sluice_map *m;
	uint64_t n = 0;
	int more = 0;

	if (open_map(t, map, &m, &err) || sluice_map_iter_new(m, &it, &err))
		return unit_say_err(t, &err);
	while ((more = sluice_map_iter_next(it, &key, &value, &err)) == 1)
		n++;
	sluice_map_iter_free(it);
	if (more < 0)
		return unit_say_err(t, &err);
	if (n == want)
		return true;
	unit_say(t, "expected", "%llu entries", (unsigned long long)want);
	return unit_say(t, "got", "%llu entries", (unsigned long long)n);
}

bool sluice_test_entries_at(struct sluice_test_at at, const char *map, uint64_t n)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, count(at.test, map, n));
}

bool sluice_test_set_at(struct sluice_test_at at, const char *variable, const char *text)
{
	struct vm *before = unit_enter(at.test);
	struct sluice_err err = {0};

	sluice_object_set(at.test->obj, variable, text, &err);
	return unit_leave(&at, before, err.code ? unit_say_err(at.test, &err) : true);
}

static bool same_variable(struct sluice_test *t, const char *name, const char *value)
{
	struct object_variable v = {0};
	struct sluice_err err = {0};
	struct sluice_type type = {0};
	char *want = NULL, *got = NULL;
	uint8_t *memory = NULL;
	const uint32_t zero = 0;
	bool ok = false;

	if (sluice_test_load(t, &err) || object_variable(t->obj, name, &v, &err))
		return unit_say_err(t, &err);
	type = (struct sluice_type){.btf = bpf_object__btf(sluice_object_libbpf(t->obj)),
				    .id = v.type_id,
				    .size = v.size};
	memory = calloc(1, bpf_map__value_size(v.map));
	if (!memory)
		err_nomem(&err);
	else if (bpf_map_lookup_elem(bpf_map__fd(v.map), &zero, memory))
		err_set(&err, -errno, "reading it: %s", strerror(errno));
	else if (canonical(&type, value, &want, &err))
		err_prefix(&err, "expected value");
	else if (!sluice_type_print(&type, memory + v.offset, &got, &err))
		ok = compare(t, want, got);
	if (err.code)
		unit_say_err(t, &err);
	free(memory);
	free(want);
	free(got);
	return ok;
}

bool sluice_test_variable_at(struct sluice_test_at at, const char *name, const char *value)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before, same_variable(at.test, name, value));
}
