// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How `sluice run` gets programs onto an engine. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/priv.h"
#include "base/text.h"
#include "bpf/object.h"
#include "bpf/seam.h"
#include "cmd/run_verb.h"
#include "hook/change.h"

#define NET_BYTES (256u << 20) /* of a description of a network */

bool run_is_capture(const char *path)
{
	static const uint32_t magic[] = {0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a};
	uint32_t is = 0;
	struct stat st;
	size_t i;
	int fd;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &is, sizeof(is)) != (ssize_t)sizeof(is))
		is = 0;
	close(fd);
	for (i = 0; i < sizeof(magic) / sizeof(*magic) && is != magic[i]; i++)
		;
	return i < sizeof(magic) / sizeof(*magic);
}

enum vm_engine run_engine(void)
{
	return run_opts.jit ? VM_ENGINE_JIT : run_opts.interp ? VM_ENGINE_INTERP : VM_ENGINE_BEST;
}

static void printed(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s%s", text, *text && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

static bool in_kernel(void)
{
	return run_opts.engine && !strcmp(run_opts.engine, "kernel");
}

static int member_settings(struct objects *o, struct sluice_err *err)
{
	uint32_t set = 0;
	size_t i;

	if (run_opts.go_on && sluice_verdicts_parse(run_opts.go_on, &set, err))
		return err_prefix(err, "--go-on");
	for (i = 0; i < o->n; i++) {
		if (run_opts.have_priority)
			o->member[i].priority = (int64_t)run_opts.priority;
		if (run_opts.go_on)
			o->member[i].go_on = set;
	}
	return 0;
}

/* Objects, and with several of them their chain, on the engine that this thread has now. */
static int load(struct run_loaded *l, char **specs, size_t n, struct sluice_err *err)
{
	struct objects_opts opts = {.set = run_opts.set};
	int e = objects_load(&l->objects, specs, n, &opts, err);

	if (!e)
		e = member_settings(&l->objects, err);
	if (e)
		return e;
	if (n > 1)
		return chain_load(l->objects.member, n, &l->chain, &l->prog_fd, err);
	l->prog_fd = dup(sluice_program_fd(l->objects.member[0].prog));
	return l->prog_fd < 0 ? err_set(err, -errno, "the program's descriptor: %s", strerror(errno)) : 0;
}

static void unload(struct run_loaded *l)
{
	if (l->prog_fd >= 0)
		close(l->prog_fd);
	state_free(l->chain);
	objects_free(&l->objects, false);
	l->prog_fd = -1;
	l->chain = NULL;
}

/* Did both engines load the same instructions? */
static int compare(const struct run_loaded *a, const struct run_loaded *b, struct sluice_err *err)
{
	const struct code *x, *y;
	size_t i;

	for (i = 0; i < a->objects.n; i++) {
		x = program_code(a->objects.member[i].prog);
		y = program_code(b->objects.member[i].prog);
		if (x->n_insns != y->n_insns ||
		    memcmp(x->insns, y->insns, x->n_insns * sizeof(*x->insns)) != 0)
			return err_set(err, -EACCES,
				       "--trusted: what the kernel verified of %s is not what is there now; "
				       "leave the file alone, or run it without --trusted",
				       program_object_name(b->objects.member[i].prog));
	}
	return 0;
}

/* The kernel's verifier has to accept everything first: *verified stays loaded there, to compare with. */
static int verify(struct run_loaded *verified, char **specs, size_t n, struct sluice_err *err)
{
	int e = priv_need(CAP_SYS_ADMIN, "--trusted: having the kernel verify the programs", err);

	if (!e)
		e = load(verified, specs, n, err);
	return e && e != -EPERM ? err_prefix(err, "--trusted") : e;
}

/* The same every time, unless told otherwise. The engine takes 0 for "any", people for a number like others. */
static uint64_t run_seed(void)
{
	return !run_opts.have_seed ? 1 : run_opts.seed ? run_opts.seed : 0x9e3779b97f4a7c15u;
}

static int new_engine(struct run_loaded *l, struct sluice_err *err)
{
	struct vm_config config = {
		.n_cpus = (uint32_t)run_opts.cpus,
		.seed = run_seed(),
		.engine = run_engine(),
		.trusted = run_opts.trusted,
		.trace = printed,
	};

	return vm_new(&config, &l->vm, err);
}

/* NAME or NAME=NUMBER; without a number the host's of that name, or the next that is free. */
static int add_if(struct run_loaded *l, const char *text, uint32_t *ifindex, struct sluice_err *err)
{
	const char *eq = strchr(text, '=');
	size_t len = eq ? (size_t)(eq - text) : strlen(text);
	struct vm_if spec = {0}, is;
	uint64_t n = 0;

	if (!len || len >= sizeof(spec.name))
		return err_set(err, -EINVAL, "--if %s: wanted NAME or NAME=NUMBER, of at most %zu characters",
			       text, sizeof(spec.name) - 1);
	memcpy(spec.name, text, len);
	if (eq && text_u64(eq + 1, 1, INT32_MAX, &n, err))
		return err_prefix(err, "--if %s", text);
	spec.ifindex = n ? (uint32_t)n : if_nametoindex(spec.name);
	if (vm_if_by_name(l->vm, spec.name, &is) && (!n || n == is.ifindex)) {
		*ifindex = is.ifindex;
		return 0;
	}
	if (vm_if_add(l->vm, &spec, err))
		return err_prefix(err, "--if %s", text);
	vm_if_by_name(l->vm, spec.name, &is);
	*ifindex = is.ifindex;
	return 0;
}

static bool named_before(size_t i)
{
	const char *name = run_opts.ifs.item[i];
	size_t len = strcspn(name, "="), j;

	for (j = 0; j < i; j++)
		if (strcspn(run_opts.ifs.item[j], "=") == len && !memcmp(run_opts.ifs.item[j], name, len))
			return true;
	return false;
}

static int set_ifs(struct run_loaded *l, struct sluice_err *err)
{
	uint32_t ifindex = 0;
	size_t i;
	int e = 0;

	for (i = 0; i < run_opts.ifs.n && !e; i++) {
		if (named_before(i))
			return err_set(err, -EINVAL, "--if %s: that interface is named twice",
				       run_opts.ifs.item[i]);
		if (l->vm) {
			e = add_if(l, run_opts.ifs.item[i], &ifindex, err);
		} else {
			ifindex = if_nametoindex(run_opts.ifs.item[i]);
			if (!ifindex)
				e = err_set(err, -ENODEV,
					    "--if %s: there is no such interface here, and the kernel wants "
					    "one",
					    run_opts.ifs.item[i]);
		}
		if (!i)
			l->ifindex = ifindex;
	}
	return e;
}

/* --net: what bpf_fib_lookup() finds; a file as ip(8) prints it, or this host. */
static int set_net(struct run_loaded *l, struct sluice_err *err)
{
	struct buf text = {0};
	char piece[65536];
	size_t n;
	FILE *f;
	int e = 0;

	if (!run_opts.net)
		return 0;
	if (!strcmp(run_opts.net, "host"))
		return vm_copy_network(l->vm, err) ? err_prefix(err, "--net host") : 0;
	f = fopen(run_opts.net, "re");
	if (!f)
		return err_set(err, errno == ENOENT ? -ENOENT : -EACCES, "--net %s: %s", run_opts.net,
			       strerror(errno));
	while (!e && (n = fread(piece, 1, sizeof(piece), f)) > 0) {
		buf_put(&text, piece, n);
		if (text.len > NET_BYTES)
			e = err_set(err, -E2BIG, "--net %s: more than %u MiB", run_opts.net, NET_BYTES >> 20);
	}
	if (!e && ferror(f))
		e = err_set(err, -EIO, "--net %s: %s", run_opts.net, strerror(errno));
	fclose(f);
	if (!e && text.failed)
		e = err_nomem(err);
	if (!e) {
		e = vm_set_network(l->vm, (const char *)(text.data ? text.data : (const uint8_t *)""),
				   text.len, err);
		if (e)
			err_prefix(err, "--net %s", run_opts.net);
	}
	buf_free(&text);
	return e;
}

const char *run_if_name(const struct run_loaded *l, uint32_t ifindex, char *to, size_t size)
{
	char name[IF_NAMESIZE];
	struct vm_if is;

	if (l->vm && vm_if_by_index(l->vm, ifindex ? ifindex : 1, &is))
		snprintf(to, size, "%s", is.name);
	else if (!l->vm && if_indextoname(ifindex ? ifindex : 1, name))
		snprintf(to, size, "%s", name);
	else
		snprintf(to, size, "if%u", ifindex);
	return to;
}

/* Per-CPU maps count on the CPU that runs: on the first, as the user-space engine does. */
static void stay_on_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int run_load(const struct cli_verb *verb, char **specs, size_t n, struct run_loaded *l,
	     struct sluice_err *err)
{
	struct run_loaded verified = {.prog_fd = -1};
	int e = 0;

	(void)verb;
	*l = (struct run_loaded){.prog_fd = -1};
	if (in_kernel()) {
		stay_on_cpu();
		e = load(l, specs, n, err);
		return e ? e : set_ifs(l, err);
	}
	if (run_opts.trusted)
		e = verify(&verified, specs, n, err);
	if (!e)
		e = new_engine(l, err);
	if (!e) {
		seam_engine(l->vm);
		e = set_ifs(l, err);
	}
	if (!e)
		e = set_net(l, err);
	if (!e)
		e = load(l, specs, n, err);
	if (!e && run_opts.trusted)
		e = compare(&verified, l, err);
	unload(&verified);
	return e;
}

void run_unload(struct run_loaded *l)
{
	unload(l);
	seam_engine(NULL);
	vm_free(l->vm);
	l->vm = NULL;
}
