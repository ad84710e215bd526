// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Are programs let in that take the place of, or hang on to, other code? Locked-down kernels refuse both kinds. */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/embedded.h"
#include "bpf/log.h"
#include "bpf/probe.h"

/* Loads one program of the object, in the place of target's function hole if there is one. 0 or a negative errno. */
static int load_one(const char *name, int target, const char *hole, struct bpf_object **obj,
		    struct bpf_program **prog)
{
	struct bpf_program *p;
	int e;

	*obj = bpf_object__open_mem(embedded_probe, embedded_probe_len, NULL);
	if (!*obj)
		return -errno;
	bpf_object__for_each_program(p, *obj)
		bpf_program__set_autoload(p, !strcmp(bpf_program__name(p), name));
	*prog = bpf_object__find_program_by_name(*obj, name);
	if (!*prog)
		return -ENOENT;
	e = hole ? bpf_program__set_attach_target(*prog, target, hole) : 0;
	return e ? e : bpf_object__load(*obj);
}

void probe_freplace(bool privileged, struct probe_result *result)
{
	struct bpf_object *target = NULL, *ext = NULL;
	struct bpf_program *prog;
	struct bpf_link *link;
	int e, fd;

	log_catch_start();
	e = load_one("probe_target", -1, NULL, &target, &prog);
	/* the target is an ordinary program: what refuses it says nothing about freplace */
	fd = e ? -1 : bpf_program__fd(prog);
	if (!e)
		e = load_one("probe_ext", fd, "probe_hole", &ext, &prog);
	else if (privileged)
		e = -EAGAIN;
	if (!e) {
		link = bpf_program__attach_freplace(prog, fd, "probe_hole");
		e = link ? 0 : -errno;
		bpf_link__destroy(link);
	}
	log_catch_stop();
	probe_judge(e, privileged, result);
	bpf_object__close(ext);
	bpf_object__close(target);
}

void probe_fentry(bool privileged, struct probe_result *result)
{
	struct bpf_object *obj = NULL;
	struct bpf_program *prog;
	struct bpf_link *link;
	int e;

	log_catch_start();
	e = load_one("probe_fentry", -1, NULL, &obj, &prog);
	if (!e) {
		link = bpf_program__attach(prog);
		e = link ? 0 : -errno;
		bpf_link__destroy(link);
	}
	log_catch_stop();
	probe_judge(e, privileged, result);
	bpf_object__close(obj);
}
