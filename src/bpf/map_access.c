// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One entry of a map: read, written, deleted, pushed and popped. Walking over all of them is map_iter.c's. */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "base/text.h"
#include "bpf/map.h"
#include "bpf/seam.h"

#define TEXT_MAX 320 /* of a value that names a program, a map or a device */

static int past_end(const struct sluice_map *map, struct sluice_err *err)
{
	return err_set(err, -ENOENT, "map %s (id %u) ends at index %u", map->info.name, map->info.id,
		map->info.max_entries - 1);
}

int sluice_map_get(struct sluice_map *map, const void *key, void *value, struct sluice_err *err)
{
	if (!bpf_map_lookup_elem(map->fd, map->info.keyless ? NULL : key, value))
		return 0;
	if (errno == ENOENT && map->info.indexed && map->info.holds == SLUICE_MAP_DATA)
		return past_end(map, err);
	if (errno == ENOENT && map->info.keyless && map->info.deletable)
		return err_set(err, -ENOENT, "%s %s (id %u) is empty", map->info.type_name, map->info.name,
			map->info.id);
	if ((errno == EOPNOTSUPP || errno == 524) && map->info.why_not)
		return err_set(err, -EOPNOTSUPP, "map %s (id %u) cannot be read: %s", map->info.name,
			map->info.id, map->info.why_not);
	return map_failed(map, "reading", -errno, err);
}

int sluice_map_pop(struct sluice_map *map, void *value, struct sluice_err *err)
{
	if (!bpf_map_lookup_and_delete_elem(map->fd, NULL, value))
		return 0;
	if (errno == ENOENT)
		return err_set(err, -ENOENT, "%s %s (id %u) is empty", map->info.type_name, map->info.name,
			map->info.id);
	return map_failed(map, "taking from", -errno, err);
}

int sluice_map_set(struct sluice_map *map, const void *key, const void *value, enum sluice_map_how how,
	struct sluice_err *err)
{
	uint64_t flags = how == SLUICE_MAP_NEW ? BPF_NOEXIST : how == SLUICE_MAP_EXIST ? BPF_EXIST : BPF_ANY;
	uint32_t index;

	if (!bpf_map_update_elem(map->fd, map->info.keyless ? NULL : key, value, flags))
		return 0;
	if (errno == E2BIG && map->info.indexed) {
		memcpy(&index, key, sizeof(index));
		if (index >= map->info.max_entries)
			return past_end(map, err);
	}
	return map_failed(map, "writing to", -errno, err);
}

int sluice_map_del(struct sluice_map *map, const void *key, struct sluice_err *err)
{
	if (!map->info.deletable)
		return err_set(err, -EOPNOTSUPP,
			"entries of map %s (id %u, %s) cannot be deleted, only overwritten", map->info.name,
			map->info.id, map->info.type_name);
	if (bpf_map_delete_elem(map->fd, key))
		return map_failed(map, "deleting from", -errno, err);
	return 0;
}

static bool starts(const char **text, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*text, word, n) || !isspace((unsigned char)(*text)[n]))
		return false;
	*text += n;
	*text += strspn(*text, " \t");
	return true;
}

/* The descriptor that `prog ID`, `map ID`, a bare ID, `pin PATH` or a bare path means. */
static int object_fd(const char *text, bool program, int *fd, struct sluice_err *err)
{
	const char *what = program ? "prog" : "map", *at = text;
	uint64_t id;

	*fd = -1;
	if (starts(&at, "pin") || strchr(at, '/')) {
		*fd = bpf_obj_get(at);
		if (*fd < 0)
			return err_set(err, errno == EACCES ? -EPERM : -errno, "opening pin %s: %s", at,
				strerror(errno));
		return 0;
	}
	starts(&at, what);
	if (text_u64(at, 1, UINT32_MAX, &id, NULL))
		return err_set(err, -EINVAL, "'%.60s' is no %s; wanted: %s ID, or pin PATH", text,
			program ? "program" : "map", what);
	*fd = program ? bpf_prog_get_fd_by_id((uint32_t)id) : bpf_map_get_fd_by_id((uint32_t)id);
	if (*fd >= 0)
		return 0;
	if (errno == EPERM || errno == EACCES)
		return err_set(err, -EPERM,
			"opening %s %s by its id needs CAP_SYS_ADMIN: run as root, or name a pin", what, at);
	return err_set(err, -errno, errno == ENOENT ? "there is no %s with id %llu" : "opening %s %llu", what,
		(unsigned long long)id);
}

/* "WORD" or "WORD prog ...": the word is cut off, *fd is the program's descriptor or -1. */
static int with_program(const char *text, uint32_t size, char word[TEXT_MAX], int *fd, struct sluice_err *err)
{
	size_t n;

	*fd = -1;
	text += strspn(text, " \t");
	n = strcspn(text, " \t");
	snprintf(word, TEXT_MAX, "%.*s", (int)n, text);
	text += n;
	text += strspn(text, " \t");
	if (!*text)
		return 0;
	if (size < 8)
		return err_set(err, -EINVAL,
			"'%.60s' is too much: this map's values of %u bytes hold no program", text, size);
	return object_fd(text, true, fd, err);
}

/* Values that name something: *fd must stay open until the kernel has taken it, -1 if there is none. */
static int parse_special(
	struct sluice_map *map, const char *text, uint8_t *value, int *fd, struct sluice_err *err)
{
	uint32_t size = map->info.value_size, index;
	char word[TEXT_MAX];
	uint64_t n;
	int rc;

	*fd = -1;
	if (map->info.holds == SLUICE_MAP_PROGRAM || map->info.holds == SLUICE_MAP_MAP) {
		rc = object_fd(text, map->info.holds == SLUICE_MAP_PROGRAM, fd, err);
		if (!rc)
			memcpy(value, fd, sizeof(*fd));
		return rc;
	}
	if (map->info.holds == SLUICE_MAP_SOCKET)
		return err_set(err, -EOPNOTSUPP,
			"a socket cannot be typed: the process that has it must put it into map %s",
			map->info.name);
	rc = with_program(text, size, word, fd, err);
	if (rc)
		return rc;
	if (map->info.holds == SLUICE_MAP_DEVICE) {
		index = seam_if_index(word);
		if (!index && text_u64(word, 0, INT32_MAX, &n, NULL))
			return err_set(err, -ENODEV,
				"there is no interface '%.60s'; wanted: its name or number%s", word,
				size < 8 ? "" : ", or NAME prog ID");
		if (!index)
			index = (uint32_t)n;
	} else {
		if (text_u64(word, 1, UINT32_MAX, &n, NULL))
			return err_set(err, -EINVAL, "'%.60s' is no queue size; wanted: a number%s", word,
				size < 8 ? "" : ", or NUMBER prog ID");
		index = (uint32_t)n;
	}
	memcpy(value, &index, 4);
	/* a program's place holds a descriptor, and 0 is one: the kernel takes values up to 0 as none */
	if (size >= 8)
		memcpy(value + 4, *fd >= 0 ? fd : &(int){-1}, 4);
	return 0;
}

int sluice_map_set_text(struct sluice_map *map, const void *key, const char *const *values, size_t n,
	enum sluice_map_how how, struct sluice_err *err)
{
	uint8_t *bytes;
	uint32_t i;
	int rc = 0, fd = -1;

	if (n != 1 && n != map->info.n_values)
		return err_set(err, -EINVAL,
			map->info.per_cpu
				? "%zu values for map %s: wanted is one for all CPUs or %u, one each"
				: "%zu values for map %s: %u is wanted",
			n, map->info.name, map->info.n_values);
	bytes = calloc(1, (size_t)map->info.value_bytes + 8);
	if (!bytes)
		return err_nomem(err);
	if (map->info.holds != SLUICE_MAP_DATA && map->info.value_size >= 4 &&
		strncmp(values[0], "hex", 3) != 0)
		rc = parse_special(map, values[0], bytes, &fd, err);
	else
		for (i = 0; i < map->info.n_values && !rc; i++)
			rc = sluice_type_parse(&map->value, values[n == 1 ? 0 : i],
				bytes + (size_t)i * map->info.stride, err);
	/* a socket cannot be typed; in user space any stands for the one that packets would go to */
	if (!rc && map->info.type == BPF_MAP_TYPE_XSKMAP && seam_in_user_space()) {
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			rc = err_set(err, -errno, "a socket for map %s: %s", map->info.name, strerror(errno));
		memcpy(bytes, &fd, sizeof(fd));
	}
	if (!rc) {
		rc = sluice_map_set(map, key, bytes, how, err);
		if (rc == -EINVAL && fd >= 0)
			err_set(err, rc, "%.80s does not fit map %s: %s", values[0], map->info.name,
				map->info.holds == SLUICE_MAP_MAP ? "an inner map must have the type, sizes "
								    "and flags of the one it was made for"
				: map->info.holds == SLUICE_MAP_PROGRAM
					? "all programs of a prog array must have the type, and multi-buffer "
					  "support or not, of its first"
					: "the program must be of the kind that this map runs, in section "
					  "xdp/devmap or xdp/cpumap");
	}
	if (fd >= 0)
		close(fd);
	free(bytes);
	return rc;
}

/* Ids as the kernel hands them out, in the words that parse_special() takes. */
static int print_special(
	const struct sluice_map *map, const uint8_t *value, char **text, struct sluice_err *err)
{
	uint32_t v, prog = 0;
	uint64_t cookie = 0;
	char name[IF_NAMESIZE] = "";
	struct buf b = {0};

	memcpy(&v, value, 4);
	if (map->info.value_size >= 8) {
		memcpy(&prog, value + 4, 4);
		memcpy(&cookie, value, 8);
	}
	switch (map->info.holds) {
	case SLUICE_MAP_PROGRAM:
		buf_printf(&b, "prog %u", v);
		break;
	case SLUICE_MAP_MAP:
		buf_printf(&b, "map %u", v);
		break;
	case SLUICE_MAP_SOCKET:
		buf_printf(&b, "socket cookie %llu",
			(unsigned long long)(map->info.value_size >= 8 ? cookie : v));
		break;
	default:
		if (map->info.holds == SLUICE_MAP_DEVICE && seam_if_name(v, name))
			buf_printf(&b, "%s", name);
		else
			buf_printf(&b, "%u", v);
		if (prog)
			buf_printf(&b, " prog %u", prog);
	}
	if (b.failed) {
		buf_free(&b);
		return err_nomem(err);
	}
	*text = (char *)b.data;
	return 0;
}

int sluice_map_value_print(struct sluice_map *map, const void *value, char **text, struct sluice_err *err)
{
	*text = NULL;
	if (map->info.holds != SLUICE_MAP_DATA && map->info.value_size >= 4 &&
		map->value.as == SLUICE_AS_TYPE)
		return print_special(map, value, text, err);
	return sluice_type_print(&map->value, value, text, err);
}

int sluice_map_sum_print(struct sluice_map *map, const void *values, char **text, struct sluice_err *err)
{
	struct value_more more = {.n = map->info.n_values, .stride = map->info.stride};

	if (map->info.holds != SLUICE_MAP_DATA)
		return sluice_map_value_print(map, values, text, err);
	return value_text(&map->value, values, &more, text, err);
}
