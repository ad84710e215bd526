// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* OBJ[:PROG] arguments into loaded objects. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "base/err.h"
#include "cmd/objects.h"
#include "hook/place.h"

/* OBJ:PROG at the last colon behind the name of a file (a section's name has slashes too), unless a file is called that. */
static void split(char *spec, char **prog)
{
	char *colon = strrchr(spec, ':'), *at;

	*prog = NULL;
	if (!colon || !access(spec, F_OK))
		return;
	for (at = colon; at > spec; at--) {
		if (*at != ':')
			continue;
		*at = '\0';
		*prog = at + 1;
		if (!access(spec, F_OK))
			return;
		*at = ':';
	}
	*prog = NULL;
	if (strchr(colon, '/'))
		return;
	*colon = '\0';
	*prog = colon + 1;
}

static int pair(const char *text, char *name, size_t size, const char **value, const char *option, struct sluice_err *err)
{
	const char *eq = strchr(text, '=');

	if (!eq || eq == text || (size_t)(eq - text) >= size)
		return err_set(err, -EINVAL, "--%s %s: wanted NAME=VALUE", option, text);
	snprintf(name, size, "%.*s", (int)(eq - text), text);
	*value = eq + 1;
	return 0;
}

/* With several objects a variable or map may be in just one of them: it must be in one at least. */
static int apply(struct objects *o, const struct objects_opts *opts, struct sluice_err *err)
{
	char name[128];
	const char *value = "";
	size_t i, k;
	bool hit;
	int e;

	for (i = 0; i < opts->set.n + opts->maps.n; i++) {
		bool set = i < opts->set.n;
		const char *text = set ? opts->set.item[i] : opts->maps.item[i - opts->set.n];

		e = pair(text, name, sizeof(name), &value, set ? "set" : "map", err);
		for (hit = false, k = 0; k < o->n && !e; k++) {
			e = set ? sluice_object_set(o->obj[k], name, value, err) :
				  sluice_object_share_pin(o->obj[k], name, value, err);
			hit |= !e;
			/* missing here; -ENOENT of a pin is the same for all, and stays */
			if (e == -ENOENT && o->n > 1 && (set || access(value, F_OK) == 0))
				e = 0;
		}
		if (!e && !hit)
			return -ENOENT; /* err is the last object's */
		if (e)
			return e;
	}
	return 0;
}

static int pin_maps(struct objects *o, const char *dir, struct sluice_err *err)
{
	char path[PATH_MAX], root[200] = "";
	struct bpf_map *map;
	struct statfs fs;
	size_t i;
	int e = dir[0] == '/' ? 0 : place_bpffs(cli.bpffs, true, root, sizeof(root), err);

	if (e)
		return e;
	if (snprintf(o->pinned, sizeof(o->pinned), "%s%s%s", dir[0] == '/' ? "" : root, dir[0] == '/' ? "" : "/", dir) >=
	    (int)sizeof(o->pinned))
		return err_set(err, -EINVAL, "--pin %s: path too long", dir);
	if (mkdir(o->pinned, 0700) && errno != EEXIST)
		return err_set(err, errno == ENOENT ? -ENOENT : -errno, "--pin %s: %s", o->pinned,
			       errno == ENOENT ? "the folder above it does not exist" : strerror(errno));
	if (statfs(o->pinned, &fs) || (unsigned long)fs.f_type != BPF_FS_MAGIC) {
		rmdir(o->pinned); /* unless it was there, with something in it */
		return err_set(err, -EINVAL, "--pin %s is not on a bpffs; give a folder below one (a relative DIR is below the bpffs that sluice uses)", o->pinned);
	}
	for (i = 0; i < o->n; i++)
		bpf_object__for_each_map(map, sluice_object_libbpf(o->obj[i])) {
			if (bpf_map__is_internal(map) || bpf_map__is_pinned(map))
				continue;
			snprintf(path, sizeof(path), "%s/%s", o->pinned, bpf_map__name(map));
			if (!access(path, F_OK))
				return err_set(err, -EEXIST, "%s is there already: use it with --map %s=%s, or remove it", path,
					       bpf_map__name(map), path);
			if (bpf_map__pin(map, path))
				return err_set(err, -errno, "pinning map %s as %s: %s", bpf_map__name(map), path, strerror(errno));
		}
	return 0;
}

static void unpin_maps(struct objects *o)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	size_t i;

	for (i = 0; i < o->n; i++)
		bpf_object__for_each_map(map, sluice_object_libbpf(o->obj[i])) {
			snprintf(path, sizeof(path), "%s/%s", o->pinned, bpf_map__name(map));
			/* not if it was pinned by others already: libbpf notes the path of a failed attempt as well */
			if (bpf_map__is_pinned(map) && !strcmp(bpf_map__pin_path(map), path))
				bpf_map__unpin(map, NULL);
		}
	rmdir(o->pinned); /* unless others are in it */
}

int objects_load(struct objects *o, char **specs, size_t n, const struct objects_opts *opts, struct sluice_err *err)
{
	char *prog;
	size_t i;
	int e = 0;

	memset(o, 0, sizeof(*o));
	if (n > SLUICE_CHAIN_MAX)
		return err_set(err, -EINVAL, "%zu objects, at most %d are possible", n, SLUICE_CHAIN_MAX);
	for (i = 0; i < n && !e; i++) {
		char spec[PATH_MAX + 128];

		snprintf(spec, sizeof(spec), "%s", specs[i]);
		split(spec, &prog);
		o->member[i].priority = o->member[i].go_on = -1;
		e = sluice_object_open(spec, &o->obj[i], err);
		if (e)
			break;
		o->n++;
		if (opts->device)
			sluice_object_set_device(o->obj[i], opts->device);
		e = sluice_object_program(o->obj[i], prog, &o->member[i].prog, err);
		if (!e && opts->prepare)
			e = opts->prepare(o->obj[i], opts->prepare_arg, err);
	}
	if (!e)
		e = apply(o, opts, err);
	for (i = 0; i < o->n && !e; i++) {
		e = sluice_object_load(o->obj[i], err);
		if (e == -EACCES && cli.verbose)
			fprintf(stderr, "%s\n", sluice_object_log(o->obj[i]));
	}
	if (!e && opts->pin)
		e = pin_maps(o, opts->pin, err);
	if (e)
		objects_free(o, true);
	return e;
}

void objects_free(struct objects *o, bool undo)
{
	size_t i;

	if (undo && o->pinned[0])
		unpin_maps(o);
	for (i = 0; i < o->n; i++)
		sluice_object_free(o->obj[i]);
	memset(o, 0, sizeof(*o));
}
