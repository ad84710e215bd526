// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Opening an XDP object, finding its programs, adjusting its maps. Globals: object_globals.c. Loading: object_load.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "bpf/elf_check.h"
#include "bpf/log.h"
#include "bpf/object.h"
#include "bpf/run_config.h"

#define MAX_BYTES (64u << 20)

static int read_file(const char *path, struct buf *to, struct sluice_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), e = 0;
	struct stat st;
	ssize_t n;
	void *p;

	if (fd < 0)
		return err_set(err, errno == ENOENT || errno == ENOTDIR ? -ENOENT : -errno, "%s: %s", path,
			       errno == ENOENT ? "no such file" : strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		e = err_set(err, -ENOEXEC, "%s is not a regular file", path);
	else if (st.st_size > MAX_BYTES)
		e = err_set(err, -EINVAL, "%s has %lld bytes, an object may have %u", path, (long long)st.st_size, MAX_BYTES);
	while (!e) {
		size_t room = 65536;

		p = buf_add(to, room);
		if (!p) {
			e = err_nomem(err);
			break;
		}
		n = read(fd, p, room);
		to->len -= room - (n > 0 ? (size_t)n : 0);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			e = err_set(err, -EIO, "reading %s: %s", path, strerror(errno));
		else if (to->len > MAX_BYTES)
			e = err_set(err, -EINVAL, "%s grew beyond %u bytes", path, MAX_BYTES);
	}
	close(fd);
	return e;
}

/* Attachable to an interface: XDP, and not one of the programs that run behind a devmap or cpumap. */
static bool attachable(const struct bpf_program *p)
{
	const char *sec = bpf_program__section_name(p);

	if (bpf_program__type(p) == BPF_PROG_TYPE_XDP)
		return bpf_program__expected_attach_type(p) != BPF_XDP_DEVMAP &&
		       bpf_program__expected_attach_type(p) != BPF_XDP_CPUMAP;
	/* older objects: a section name of their own, such as "xdp_prog", leaves the type open */
	return bpf_program__type(p) == BPF_PROG_TYPE_UNSPEC && (!strncmp(sec, "xdp", 3) || !strcmp(sec, "prog"));
}

static int find_programs(struct sluice_object *obj, struct sluice_err *err)
{
	struct bpf_program *p;

	obj->program = calloc(OBJECT_MAX_PROGRAMS, sizeof(*obj->program));
	if (!obj->program)
		return err_nomem(err);
	bpf_object__for_each_program(p, obj->bpf) {
		bpf_program__set_autoload(p, false);
		if (!attachable(p))
			continue;
		if (obj->n_programs == OBJECT_MAX_PROGRAMS)
			return err_set(err, -ENOSPC, "more than %d XDP programs", OBJECT_MAX_PROGRAMS);
		bpf_program__set_type(p, BPF_PROG_TYPE_XDP);
		bpf_program__set_expected_attach_type(p, BPF_XDP);
		obj->program[obj->n_programs++] = (struct sluice_program){.obj = obj, .bpf = p};
	}
	if (!obj->n_programs)
		return err_set(err, -ENOEXEC, "a BPF object without an XDP program (section \"xdp\" or \"xdp.frags\")");
	return 0;
}

int sluice_object_open_mem(const void *bytes, size_t len, const char *name, struct sluice_object **out,
			   struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct sluice_object *obj;
	const char *base = strrchr(name, '/');
	char kernel_name[16];
	void *copy = NULL;
	int e;

	*out = NULL;
	if (len > MAX_BYTES)
		return err_set(err, -EINVAL, "%s: %zu bytes, an object may have %u", name, len, MAX_BYTES);
	e = elf_check(bytes, len, err);
	if (e)
		return err_prefix(err, "%s", name);
	obj = calloc(1, sizeof(*obj));
	copy = malloc(len); /* aligned, whatever the caller's buffer is */
	if (!obj || !copy) {
		e = err_nomem(err);
		goto fail;
	}
	memcpy(copy, bytes, len);
	text_printable(base ? base + 1 : name, obj->name, sizeof(obj->name));
	/* its first characters name the object's global data maps: 8 is what the kernel leaves room for */
	snprintf(kernel_name, sizeof(kernel_name), "%.*s", (int)strcspn(obj->name, "."), obj->name);
	opts.object_name = kernel_name[0] ? kernel_name : "object";
	log_catch_start();
	obj->bpf = bpf_object__open_mem(copy, len, &opts);
	log_catch_stop();
	if (!obj->bpf) {
		e = err_set(err, errno == ENOMEM ? -ENOMEM : -EBADMSG, "%s: not a usable BPF object: %s", name,
			    log_caught()[0] ? log_caught() : strerror(errno));
		goto fail;
	}
	e = find_programs(obj, err);
	if (e) {
		err_prefix(err, "%s", name);
		goto fail;
	}
	free(copy);
	*out = obj;
	return 0;
fail:
	free(copy);
	sluice_object_free(obj);
	return e;
}

int sluice_object_open(const char *path, struct sluice_object **obj, struct sluice_err *err)
{
	struct buf b = {0};
	int e;

	*obj = NULL;
	e = read_file(path, &b, err);
	if (!e)
		e = sluice_object_open_mem(b.data ? b.data : (const void *)"", b.len, path, obj, err);
	buf_free(&b);
	return e;
}

void sluice_object_free(struct sluice_object *obj)
{
	size_t i;

	if (!obj)
		return;
	for (i = 0; i < obj->n_programs; i++)
		code_free(obj->program[i].code);
	if (obj->bpf)
		bpf_object__close(obj->bpf);
	free(obj->program);
	free(obj->log);
	free(obj);
}

static void list_programs(const struct sluice_object *obj, char *to, size_t size)
{
	size_t i, n = 0;

	to[0] = '\0';
	for (i = 0; i < obj->n_programs && n + 4 < size; i++)
		n += (size_t)snprintf(to + n, size - n, "%s%s", i ? ", " : "", bpf_program__name(obj->program[i].bpf));
}

int sluice_object_program(struct sluice_object *obj, const char *name, struct sluice_program **prog,
			  struct sluice_err *err)
{
	struct sluice_program *p = NULL;
	char names[512];
	size_t i;

	*prog = NULL;
	list_programs(obj, names, sizeof(names));
	if (!name && obj->n_programs == 1)
		p = &obj->program[0];
	else if (!name)
		return err_set(err, -EINVAL, "%s has %zu XDP programs, name one of them: %s", obj->name, obj->n_programs, names);
	for (i = 0; !p && i < obj->n_programs; i++)
		if (!strcmp(bpf_program__name(obj->program[i].bpf), name))
			p = &obj->program[i];
	for (i = 0; !p && i < obj->n_programs; i++)
		if (!strcmp(bpf_program__section_name(obj->program[i].bpf), name))
			p = &obj->program[i];
	if (!p)
		return err_set(err, -ENOENT, "%s has no XDP program '%s'; it has %s", obj->name, name, names);
	p->chosen = true;
	*prog = p;
	return 0;
}

const char *sluice_object_program_name(const struct sluice_object *obj, size_t i)
{
	return i < obj->n_programs ? bpf_program__name(obj->program[i].bpf) : NULL;
}

static struct bpf_map *find_map(const struct sluice_object *obj, const char *name, struct sluice_err *err)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj->bpf, name);
	char names[512] = "";
	size_t n = 0;

	if (map)
		return map;
	bpf_object__for_each_map(map, obj->bpf)
		if (n + 4 < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n ? ", " : "", bpf_map__name(map));
	err_set(err, -ENOENT, "%s has no map '%s'; it has %s", obj->name, name, names[0] ? names : "none");
	return NULL;
}

int sluice_object_resize(struct sluice_object *obj, const char *name, uint32_t max_entries, struct sluice_err *err)
{
	struct bpf_map *map = find_map(obj, name, err);

	if (!map)
		return -ENOENT;
	if (!max_entries || bpf_map__set_max_entries(map, max_entries))
		return err_set(err, -EINVAL, "map %s cannot have %u entries", name, max_entries);
	return 0;
}

int sluice_object_share_map(struct sluice_object *obj, const char *name, int map_fd, struct sluice_err *err)
{
	struct bpf_map *map = find_map(obj, name, err);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (!map)
		return -ENOENT;
	if (bpf_obj_get_info_by_fd(map_fd, &info, &len))
		return err_set(err, -EINVAL, "what map %s should share is not a map: %s", name, strerror(errno));
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map))
		return err_set(err, -EINVAL,
			       "map %s of %s is type %d with key %u and value %u bytes; the map to share is type %u with "
			       "key %u and value %u bytes", name, obj->name, (int)bpf_map__type(map), bpf_map__key_size(map),
			       bpf_map__value_size(map), info.type, info.key_size, info.value_size);
	if (bpf_map__reuse_fd(map, map_fd))
		return err_set(err, -errno, "sharing map %s: %s", name, strerror(errno));
	return 0;
}

int sluice_object_share_pin(struct sluice_object *obj, const char *name, const char *pin, struct sluice_err *err)
{
	int fd = bpf_obj_get(pin), e;

	if (fd < 0)
		return err_set(err, errno == EPERM || errno == EACCES ? -EPERM : -ENOENT, "%s is no pinned map: %s", pin,
			       strerror(errno));
	e = sluice_object_share_map(obj, name, fd, err);
	close(fd);
	return e;
}

int sluice_object_map_fd(const struct sluice_object *obj, const char *name, struct sluice_err *err)
{
	struct bpf_map *map = find_map(obj, name, err);
	int fd;

	if (!map)
		return -ENOENT;
	fd = bpf_map__fd(map);
	return fd >= 0 ? fd : err_set(err, -ENOENT, "map %s of %s is not created yet", name, obj->name);
}

struct bpf_object *sluice_object_libbpf(struct sluice_object *obj)
{
	return obj->bpf;
}

void sluice_program_set_frags(struct sluice_program *prog, bool frags)
{
	__u32 flags = bpf_program__flags(prog->bpf);

	bpf_program__set_flags(prog->bpf, frags ? flags | BPF_F_XDP_HAS_FRAGS : flags & ~(__u32)BPF_F_XDP_HAS_FRAGS);
}

int sluice_program_fd(const struct sluice_program *prog)
{
	int fd = bpf_program__fd(prog->bpf);

	return fd >= 0 ? fd : -1;
}

const char *sluice_program_name(const struct sluice_program *prog)
{
	return bpf_program__name(prog->bpf);
}

void sluice_program_run_config(const struct sluice_program *prog, uint32_t *priority, uint32_t *go_on)
{
	*priority = SLUICE_DEFAULT_PRIORITY;
	*go_on = SLUICE_DEFAULT_GO_ON;
	run_config_read(bpf_object__btf(prog->obj->bpf), bpf_program__name(prog->bpf), priority, go_on);
}

const struct code *program_code(const struct sluice_program *prog)
{
	return prog->code;
}

const char *program_object_name(const struct sluice_program *prog)
{
	return prog->obj->name;
}

void sluice_object_set_device(struct sluice_object *obj, int ifindex)
{
	struct bpf_program *p;
	struct bpf_map *m;

	obj->device = ifindex;
	bpf_object__for_each_program(p, obj->bpf)
		bpf_program__set_ifindex(p, (__u32)ifindex);
	bpf_object__for_each_map(m, obj->bpf)
		if (bpf_map__type(m) != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
			bpf_map__set_ifindex(m, (__u32)ifindex);
}
