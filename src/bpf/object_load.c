// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loading an object: which programs, the verifier's log, and what went wrong in one sentence. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/log.h"
#include "bpf/object.h"
#include "bpf/privilege.h"
#include "bpf/seam.h"
#include "isa/fold.h"

#define LOG_BYTES (8u << 20)
#define OBJECT_FOLDED 32 /* maps with one value, at most */

/*
 * Programs that were not asked for are loaded only where a prog array may want them: its initial values name
 * programs, and libbpf insists that those are loaded.
 */
static void choose(struct sluice_object *obj, char *log)
{
	struct bpf_program *p;
	struct bpf_map *map;
	bool all = false;
	size_t i;

	bpf_object__for_each_map(map, obj->bpf)
		all |= bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY;
	bpf_object__for_each_program(p, obj->bpf) {
		bpf_program__set_autoload(p, all && bpf_program__type(p) == BPF_PROG_TYPE_XDP);
		bpf_program__set_log_buf(p, log, LOG_BYTES);
	}
	for (i = 0; i < obj->n_programs; i++)
		if (obj->program[i].chosen)
			bpf_program__set_autoload(obj->program[i].bpf, true);
}

/* The program whose load failed: the first that should be loaded and is not. */
static const char *failed_program(const struct sluice_object *obj)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj->bpf)
		if (bpf_program__autoload(p) && bpf_program__fd(p) < 0)
			return bpf_program__name(p);
	return "?";
}

/* Unknown to the kernel; or to libbpf (-EOPNOTSUPP), and the kernel refused it. Without privilege nobody can tell. */
static bool unknown_type(enum bpf_map_type type)
{
	int probe;

	errno = 0;
	probe = libbpf_probe_bpf_map_type(type, NULL);
	return probe == -EOPNOTSUPP || (!probe && errno != EPERM);
}

static const struct bpf_map *unknown_map(const struct sluice_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj->bpf)
		if (bpf_map__autocreate(map) && bpf_map__fd(map) < 0 && unknown_type(bpf_map__type(map)))
			return map;
	return NULL;
}

static int explain(struct sluice_object *obj, int e, char *caught, struct sluice_err *err)
{
	char digest[SLUICE_ERR_MAX - 200];
	const struct bpf_map *map;
	char ifname[IF_NAMESIZE];

	if (obj->log[0]) { /* only the verifier writes there */
		log_digest(obj->log, digest, sizeof(digest));
		return err_set(err, -EACCES, "%s: the %s refused program %s:\n%s", obj->name,
			       seam_in_user_space() ? "user-space engine" : "verifier", failed_program(obj), digest);
	}
	if (e == -EPERM || e == -EACCES) {
		privilege_missing("loading a BPF program", err);
		return err_prefix(err, "%s", obj->name);
	}
	if (obj->device && (e == -EINVAL || e == -EOPNOTSUPP))
		return err_set(err, -EOPNOTSUPP, "%s does not run BPF programs itself (offload takes a network card that does); "
			       "use --mode native", if_indextoname((unsigned int)obj->device, ifname) ?: "the interface");
	map = unknown_map(obj);
	if (map)
		return err_set(err, -EOPNOTSUPP, "%s: map %s is of type %d (%s), which %s does not know", obj->name,
			       bpf_map__name(map), (int)bpf_map__type(map),
			       libbpf_bpf_map_type_str(bpf_map__type(map)) ?: "unnamed",
			       seam_in_user_space() ? "the user-space engine" : "this kernel");
	return err_set(err, e == -E2BIG || e == -ENOMEM || e == -ENOSPC ? e : -EOPNOTSUPP, "%s: cannot be loaded: %s",
		       obj->name, caught[0] ? caught : strerror(-e));
}

/* Answers for the verifier. What libbpf loads to find out about the kernel has no records of functions. */
static int stand_in(struct seam_capture *self, const union bpf_attr *attr)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attr->expected_attach_type,
		    .prog_flags = attr->prog_flags);

	(void)self;
	if (attr->prog_type != BPF_PROG_TYPE_XDP || !attr->func_info_cnt)
		return -1;
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "stand_in", "GPL", pass, 2, &opts);
}

/* A capture that folds constants before the verifier, or who stands in for it, sees the code. */
struct folding {
	struct code_capture capture; /* first: what the seam gives back is its beginning */
	const struct sluice_object *obj;
	bool failed;
};

static void fold(struct seam_capture *self, const union bpf_attr *attr)
{
	struct folding *f = (struct folding *)self;
	struct isa_memory v[OBJECT_FOLDED];
	struct sluice_err err;
	struct bpf_map *map;
	size_t n = 0;

	if (!attr->func_info_cnt) /* libbpf finds out about the kernel */
		return;
	bpf_object__for_each_map(map, f->obj->bpf) {
		if (n == OBJECT_FOLDED || bpf_map__type(map) != BPF_MAP_TYPE_ARRAY || bpf_map__max_entries(map) != 1 ||
		    bpf_map__fd(map) < 0)
			continue;
		v[n] = (struct isa_memory){.imm = bpf_map__fd(map)};
		if (bpf_map__is_internal(map) && strstr(bpf_map__name(map), ".rodata"))
			v[n].bytes = bpf_map__initial_value(map, &v[n].len);
		else if (f->obj->settled.map && !strcmp(bpf_map__name(map), f->obj->settled.map)) {
			v[n].bytes = f->obj->settled.bytes;
			v[n].len = f->obj->settled.len;
		}
		n++;
	}
	f->failed |= isa_fold((struct bpf_insn *)(uintptr_t)attr->insns, attr->insn_cnt, v, n, NULL, &err) != 0;
}

void object_fold(struct sluice_object *obj)
{
	obj->fold = true;
}

void object_settle(struct sluice_object *obj, const char *map, const void *bytes, size_t len)
{
	obj->settled.map = map;
	obj->settled.bytes = bytes;
	obj->settled.len = len;
}

static int load(struct sluice_object *obj, bool verify, struct sluice_err *err)
{
	struct folding folding = {.obj = obj};
	struct code_capture *capture = &folding.capture;
	char *log = calloc(1, LOG_BYTES);
	char caught[1024];
	size_t i;
	int e;

	if (!log)
		return err_nomem(err);
	if (obj->loaded) {
		free(log);
		return err_set(err, -EINVAL, "%s is loaded already", obj->name);
	}
	free(obj->log);
	obj->log = log;
	choose(obj, log);
	log_catch_start();
	code_capture_start(capture);
	capture->seam.before = obj->fold ? fold : NULL;
	capture->seam.instead = verify ? NULL : stand_in;
	e = bpf_object__load(obj->bpf);
	code_capture_stop(capture);
	log_catch_stop();
	snprintf(caught, sizeof(caught), "%s", log_caught());
	if (e) {
		e = explain(obj, e, caught, err);
		goto out;
	}
	if (folding.failed)
		e = err_nomem(err);
	for (i = 0; i < obj->n_programs && !e; i++) {
		struct sluice_program *p = &obj->program[i];

		if (p->chosen)
			e = code_capture_take(capture, bpf_program__fd(p->bpf), &p->code, err);
	}
	if (e)
		e = err_prefix(err, "%s", obj->name);
	obj->loaded = !e;
out:
	code_capture_free(capture);
	log = realloc(obj->log, strlen(obj->log) + 1);
	if (log)
		obj->log = log;
	return e;
}

int sluice_object_load(struct sluice_object *obj, struct sluice_err *err)
{
	return load(obj, true, err);
}

int object_load_code(struct sluice_object *obj, struct sluice_err *err)
{
	return load(obj, false, err);
}

const char *sluice_object_log(const struct sluice_object *obj)
{
	return obj->log ? obj->log : "";
}
