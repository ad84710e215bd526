// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP_RUN_CONFIG metadata, read and written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <bpf/btf.h>

#include "bpf/run_config.h"

#define SECTION ".xdp_run_config"

static const char *const verdicts[] = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"};

/* __uint(NAME, VALUE) is a member of type int (*)[VALUE]. */
static int uint_member(const struct btf *btf, const struct btf_member *m, uint32_t *value)
{
	const struct btf_type *t = btf__type_by_id(btf, m->type);

	if (!t || !btf_is_ptr(t))
		return -ENOENT;
	t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_array(t))
		return -ENOENT;
	*value = btf_array(t)->nelems;
	return 0;
}

static const struct btf_type *find_struct(const struct btf *btf, const char *program)
{
	int id = btf__find_by_name_kind(btf, SECTION, BTF_KIND_DATASEC);
	const struct btf_type *sec = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL, *var;
	uint32_t i;

	for (i = 0; sec && i < btf_vlen(sec); i++) {
		var = btf__type_by_id(btf, btf_var_secinfos(sec)[i].type);
		if (!var || !btf_is_var(var))
			continue;
		if (btf__name_by_offset(btf, var->name_off)[0] != '_' ||
		    strcmp(btf__name_by_offset(btf, var->name_off) + 1, program) != 0)
			continue;
		var = btf__type_by_id(btf, var->type);
		return var && btf_is_struct(var) ? var : NULL;
	}
	return NULL;
}

void run_config_read(const struct btf *btf, const char *program, uint32_t *priority, uint32_t *go_on)
{
	const struct btf_type *t = btf ? find_struct(btf, program) : NULL;
	uint32_t i, v, set = 0, any = 0, value;

	for (i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const char *name = btf__name_by_offset(btf, m->name_off);

		if (uint_member(btf, m, &value))
			continue;
		if (!strcmp(name, "priority"))
			*priority = value;
		for (v = 0; v < 5; v++) {
			if (strcmp(name, verdicts[v]) != 0)
				continue;
			any = 1;
			set |= (value ? 1u : 0u) << v;
		}
	}
	if (any)
		*go_on = set;
}

static int add_uint(struct btf *btf, int int_id, uint32_t value, uint32_t *type)
{
	/* an array of int, as libxdp writes it, may not pass 4 GiB; what is read back is only how many elements it has */
	int element = value < 1u << 29 ? int_id : btf__add_int(btf, "char", 1, BTF_INT_CHAR);
	int array = element < 0 ? element : btf__add_array(btf, int_id, element, value);
	int ptr = array < 0 ? array : btf__add_ptr(btf, array);

	if (ptr > 0)
		*type = (uint32_t)ptr;
	return ptr < 0 ? ptr : 0;
}

/* All types first: between btf__add_struct() and its fields nothing else may be added. */
static int add_config(struct btf *btf, int int_id, const struct run_config *c)
{
	uint32_t types[6], v, n = 1;
	char name[160];
	int id, e;

	if ((e = add_uint(btf, int_id, c->priority, &types[0])))
		return e;
	for (v = 0; v < 5; v++)
		if (c->go_on & 1u << v) {
			if ((e = add_uint(btf, int_id, 1, &types[n++])))
				return e;
		}
	id = btf__add_struct(btf, NULL, n * 8);
	if (id < 0)
		return id;
	if ((e = btf__add_field(btf, "priority", (int)types[0], 0, 0)))
		return e;
	for (n = 1, v = 0; v < 5; v++) {
		if (!(c->go_on & 1u << v))
			continue;
		if ((e = btf__add_field(btf, verdicts[v], (int)types[n], n * 64, 0)))
			return e;
		n++;
	}
	snprintf(name, sizeof(name), "_%s", c->program);
	return btf__add_var(btf, name, BTF_VAR_GLOBAL_ALLOCATED, id);
}

/* A member's name may hold characters that a BTF variable may not: such an entry is left out. */
static int is_identifier(const char *s)
{
	return s[0] && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(s);
}

int run_config_write(struct btf *btf, const struct run_config *entries, uint32_t n)
{
	int old, int_id, e, sec, vars[64];
	uint32_t i, used = 0, offset = 0;

	while ((old = btf__find_by_name_kind(btf, SECTION, BTF_KIND_DATASEC)) > 0) {
		int off = btf__add_str(btf, SECTION ".own");

		if (off < 0)
			return off;
		((struct btf_type *)btf__type_by_id(btf, (uint32_t)old))->name_off = (uint32_t)off;
	}
	int_id = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	if (int_id < 0)
		return int_id;
	for (i = 0; i < n && used < 64; i++) {
		if (!is_identifier(entries[i].program))
			continue;
		e = add_config(btf, int_id, &entries[i]);
		if (e < 0)
			return e;
		vars[used++] = e;
	}
	if (!used)
		return 0;
	sec = btf__add_datasec(btf, SECTION, 0);
	if (sec < 0)
		return sec;
	for (i = 0; i < used; i++) {
		const struct btf_type *var = btf__type_by_id(btf, (uint32_t)vars[i]);
		uint32_t size = btf__type_by_id(btf, var->type)->size;

		e = btf__add_datasec_var_info(btf, vars[i], offset, size);
		if (e)
			return e;
		offset += size;
	}
	((struct btf_type *)btf__type_by_id(btf, (uint32_t)sec))->size = offset;
	return 0;
}
