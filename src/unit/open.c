// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A test: its object, the engine that it lives on, and how failures are told. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "bpf/seam.h"
#include "unit/unit.h"
#include "vm/vm.h"
#include "vm/worker.h"

#define SEED 0x51ce /* of hashing; numbers a program draws come from the caller's */

static int make_engine(const struct sluice_test_config *config, struct sluice_test *t, struct sluice_err *err)
{
	const char *name = config->engine ? config->engine : "vm";
	const struct vm_config vm = {.seed = SEED};

	if (!strcmp(name, "kernel"))
		return 0;
	if (strcmp(name, "vm") != 0)
		return err_set(err, -EINVAL, "there is no engine '%.60s': vm and kernel are known", name);
	return vm_new(&vm, &t->vm, err);
}

static int note_maps(struct sluice_test *t, struct sluice_err *err)
{
	struct bpf_object *obj = sluice_object_libbpf(t->obj);
	struct bpf_map *map;
	size_t n = 0;

	bpf_object__for_each_map(map, obj) n++;
	t->map = calloc(n + 1, sizeof(*t->map));
	if (!t->map)
		return err_nomem(err);
	bpf_object__for_each_map(map, obj) t->map[t->n_maps++] =
		(struct unit_map){bpf_map__name(map), bpf_map__btf_key_type_id(map),
				  bpf_map__btf_value_type_id(map), NULL};
	return 0;
}

int sluice_test_open(const struct sluice_test_config *config, struct sluice_test **test,
		     struct sluice_err *err)
{
	struct sluice_test *t = calloc(1, sizeof(*t));
	struct vm *before;
	int e;

	*test = NULL;
	if (!t)
		return err_nomem(err);
	t->seed = config->seed;
	e = make_engine(config, t, err);
	before = unit_enter(t);
	if (!e)
		e = sluice_object_open(config->object, &t->obj, err);
	if (!e)
		e = sluice_object_program(t->obj, config->program, &t->prog, err);
	if (!e)
		e = note_maps(t, err);
	seam_engine(before);
	if (e)
		sluice_test_close(t);
	else
		*test = t;
	return e;
}

void sluice_test_close(struct sluice_test *t)
{
	struct vm *before;
	size_t i;

	if (!t)
		return;
	before = unit_enter(t);
	vm_worker_free(t->worker);
	for (i = 0; i < t->n_maps; i++)
		sluice_map_close(t->map[i].map);
	free(t->map);
	if (t->obj)
		sluice_object_free(t->obj);
	seam_engine(before == t->vm ? NULL : before);
	vm_free(t->vm);
	buf_free(&t->sent);
	buf_free(&t->left);
	buf_free(&t->targets);
	buf_free(&t->report);
	buf_free(&t->told_text);
	buf_free(&t->kept);
	free(t);
}

int sluice_test_load(struct sluice_test *t, struct sluice_err *err)
{
	struct vm *before = unit_enter(t);

	if (!t->tried) {
		t->tried = true;
		sluice_object_load(t->obj, &t->load_err);
	}
	seam_engine(before);
	if (err && t->load_err.code)
		*err = t->load_err;
	return t->load_err.code;
}

bool unit_load(struct sluice_test *t)
{
	return sluice_test_load(t, NULL) ? unit_say_err(t, &t->load_err) : true;
}

struct sluice_object *sluice_test_object(struct sluice_test *t)
{
	return t->obj;
}

bool sluice_test_in_kernel(const struct sluice_test *t)
{
	return !t->vm;
}

void sluice_test_enter(struct sluice_test *t)
{
	t->outer = seam_engine(t->vm);
}

void sluice_test_leave(struct sluice_test *t)
{
	seam_engine(t->outer);
	t->outer = NULL;
}

void sluice_test_on_failure(struct sluice_test *t, sluice_test_told *told, void *arg)
{
	t->told = told;
	t->told_arg = arg;
}

unsigned int sluice_test_failures(const struct sluice_test *t)
{
	return t->failures;
}

unsigned int sluice_test_unknown(const struct sluice_test *t)
{
	return t->unknown;
}

const struct sluice_test_result *sluice_test_result(const struct sluice_test *t)
{
	return t->ran ? &t->result : NULL;
}

void sluice_test_skip(struct sluice_test *t, const char *why)
{
	snprintf(t->why_not, sizeof(t->why_not), "%s", *why ? why : "skipped");
}

struct vm *unit_enter(struct sluice_test *t)
{
	buf_free(&t->report);
	t->report = (struct buf){0};
	return seam_engine(t->vm);
}

bool unit_leave(const struct sluice_test_at *at, struct vm *before, bool ok)
{
	struct sluice_test *t = at->test;
	struct buf text = {0};

	seam_engine(before);
	if (ok)
		return true;
	t->failures++;
	buf_printf(&text, "%s%s", at->what, t->report.len ? (const char *)t->report.data : "");
	if (!t->told) {
		buf_printf(&t->kept, "%s:%d: %s\n", at->file, at->line,
			   text.failed ? at->what : (const char *)text.data);
		buf_free(&text);
		return false;
	}
	buf_free(&t->told_text);
	t->told_text = text;
	t->told(t->told_arg, at->file, at->line, text.failed ? at->what : (const char *)text.data);
	return false;
}

bool unit_say(struct sluice_test *t, const char *name, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0) {
		buf_printf(&t->report, "\n  %-9s %s", name, text);
		free(text);
	}
	va_end(args);
	return false;
}

bool unit_say_err(struct sluice_test *t, const struct sluice_err *err)
{
	buf_printf(&t->report, ": %s", err->text);
	return false;
}

void unit_say_packet(struct sluice_test *t, const char *name, const void *frame, size_t len)
{
	char *text = sluice_packet_text(frame, len);

	unit_say(t, name, "%.*s%s", UNIT_PACKET_TEXT, text ? text : "out of memory",
		 text && strlen(text) > UNIT_PACKET_TEXT ? "..." : "");
	free(text);
}
