// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Finding an object's global variables, and writing them before it is loaded. */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <sluice/value.h>

#include "base/err.h"
#include "base/text.h"
#include "bpf/object.h"

#define MAX_NAMES 128

/* The map of a data section: libbpf names it OBJECT.SECTION, or just as the section (".data.name"). */
static struct bpf_map *section_map(struct sluice_object *obj, const char *section)
{
	struct bpf_map *map;
	const char *name, *dot;

	bpf_object__for_each_map(map, obj->bpf) {
		name = bpf_map__name(map);
		dot = strchr(name, '.');
		if (bpf_map__is_internal(map) && dot && !strcmp(dot, section))
			return map;
	}
	return NULL;
}

int object_variable(struct sluice_object *obj, const char *name, struct object_variable *found, struct sluice_err *err)
{
	const struct btf *btf = bpf_object__btf(obj->bpf);
	const char *names[MAX_NAMES];
	size_t n = 0, size = 0;
	uint32_t id, i;
	char list[512] = "";
	int hit;

	if (!btf)
		return err_set(err, -ENOENT, "%s has no type information (compile it with -g): its variables are unknown", obj->name);
	for (id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *sec = btf__type_by_id(btf, id), *var;
		const char *sec_name = btf__name_by_offset(btf, sec->name_off);
		struct bpf_map *map;
		uint8_t *mem;

		if (!btf_is_datasec(sec) || (strncmp(sec_name, ".rodata", 7) && strncmp(sec_name, ".data", 5) &&
					     strncmp(sec_name, ".bss", 4)))
			continue;
		map = section_map(obj, sec_name);
		mem = map ? (uint8_t *)bpf_map__initial_value(map, &size) : NULL;
		for (i = 0; mem && i < btf_vlen(sec); i++) {
			const struct btf_var_secinfo *v = &btf_var_secinfos(sec)[i];

			var = btf__type_by_id(btf, v->type);
			if (n < MAX_NAMES)
				names[n++] = btf__name_by_offset(btf, var->name_off);
			if (strcmp(btf__name_by_offset(btf, var->name_off), name) != 0)
				continue;
			if (v->offset > size || v->size > size - v->offset)
				return err_set(err, -EBADMSG, "%s: variable %s lies outside of its section", obj->name, name);
			*found = (struct object_variable){map, var->type, v->size, v->offset, mem + v->offset};
			return 0;
		}
	}
	hit = text_nearest(name, names, n);
	if (hit >= 0)
		return err_set(err, -ENOENT, "%s has no variable '%s', did you mean %s?", obj->name, name, names[hit]);
	for (i = 0; i < n && strlen(list) + strlen(names[i]) + 3 < sizeof(list); i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", names[i]);
	return err_set(err, -ENOENT, "%s has no variable '%s'; it has %s", obj->name, name, n ? list : "none");
}

int sluice_object_set(struct sluice_object *obj, const char *variable, const char *text, struct sluice_err *err)
{
	struct object_variable v;
	int e = obj->loaded ? err_set(err, -EINVAL, "%s is loaded already", obj->name) :
			      object_variable(obj, variable, &v, err);

	if (!e && sluice_value_parse(bpf_object__btf(obj->bpf), v.type_id, text, v.initial, v.size, err))
		e = err_prefix(err, "%s=%s", variable, text);
	return e;
}

int sluice_object_set_bytes(struct sluice_object *obj, const char *variable, const void *value, size_t len,
			    struct sluice_err *err)
{
	struct object_variable v;
	int e = obj->loaded ? err_set(err, -EINVAL, "%s is loaded already", obj->name) :
			      object_variable(obj, variable, &v, err);

	if (e)
		return e;
	if (len != v.size)
		return err_set(err, -EINVAL, "%s has %u bytes, not %zu", variable, v.size, len);
	memcpy(v.initial, value, len);
	return 0;
}
