// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice vm: an engine, its broker, and a command that uses it instead of the kernel. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "base/view.h"
#include "broker/broker.h"
#include "broker/wire.h"
#include "cmd/child.h"
#include "vm/vm.h"

#define SUMMARY "run a program on the user-space engine instead of the kernel"
#define LIBRARY "libsluice-vm.so"
#define LEFT_MS 1000 /* for commands that are still running when the program is gone */

int verb_vm(int argc, char **argv);

static struct {
	uint64_t cpus, seed;
	struct opt_list ifs;
} opt;

static const struct cli_opt opts[] = {
	{.name = "cpus", .kind = OPT_U64, .arg = "N", .help = "CPUs that it has (default: as many as this machine)",
	 .to = &opt.cpus, .min = 1, .max = 4096},
	{.name = "if", .kind = OPT_LIST, .arg = "NAME", .help = "an interface besides lo: the first is number 2, and so on",
	 .to = &opt.ifs},
	{.name = "seed", .kind = OPT_U64, .arg = "N", .help = "of hashing and random numbers (default: another each time)",
	 .to = &opt.seed, .min = 1, .max = UINT64_MAX},
	{0},
};

static const struct cli_verb verb = {
	.name = "vm",
	.usage = "[--cpus N] [--if NAME]... [--seed N] [--] COMMAND [ARG...]",
	.summary = SUMMARY,
	.text = "What COMMAND and its children do with bpf(2) is answered in user space: no privilege, no kernel. Maps,\n"
		"programs and pins below /sys/fs/bpf are theirs together, and gone with COMMAND. Its exit code is passed on.\n\n"
		"  sluice vm bpftool prog run ...\n"
		"  sluice vm sh -c 'bpftool prog load a.o /sys/fs/bpf/a; ...'\n",
	.opts = opts,
	.min_args = 1,
	.max_args = -1,
	.ends_at_arg = true,
};

/* Beside the program, as in the build folder, or where it is installed. */
static int find_library(char path[PATH_MAX], struct sluice_err *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		if (snprintf(path, PATH_MAX, "%s/src/%s", self, LIBRARY) < PATH_MAX && !access(path, R_OK))
			return 0;
	}
	snprintf(path, PATH_MAX, "%s/sluice/%s", SLUICE_LIBDIR, LIBRARY);
	if (!access(path, R_OK))
		return 0;
	return err_set(err, -ENOENT, "%s: not there, nor %s/src/%s; install Sluice again", path, self, LIBRARY);
}

static int environment(const char *address, struct sluice_err *err)
{
	const char *others = getenv("LD_PRELOAD");
	char path[PATH_MAX], *all;
	int e = find_library(path, err);

	if (e)
		return e;
	if (strpbrk(path, " :"))
		return err_set(err, -EINVAL, "%s: a library to be preloaded cannot have blanks or colons in its path", path);
	if (asprintf(&all, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") < 0)
		return err_nomem(err);
	e = setenv("LD_PRELOAD", all, 1) || setenv(WIRE_ENV, address, 1) ? -errno : 0;
	free(all);
	return e ? err_set(err, e, "environment: %s", strerror(-e)) : 0;
}

static int interfaces(struct vm *vm, struct sluice_err *err)
{
	struct vm_if spec;
	size_t i, len;
	int e = 0;

	for (i = 0; i < opt.ifs.n && !e; i++) {
		spec = (struct vm_if){.mac = {2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		len = strlen(opt.ifs.item[i]);
		memcpy(spec.name, opt.ifs.item[i], len < sizeof(spec.name) ? len + 1 : sizeof(spec.name));
		e = vm_if_add(vm, &spec, err);
	}
	return e;
}

/* An object has descriptors here, and the broker two more for each thread it serves. The command keeps its own limit. */
static void more_descriptors(void *unused)
{
	struct rlimit most;

	(void)unused;
	if (getrlimit(RLIMIT_NOFILE, &most))
		return;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
}

/* As execvp(3) finds it. */
static int open_command(const char *name)
{
	const char *path = getenv("PATH");
	char at[PATH_MAX];
	size_t n;
	int fd;

	if (strchr(name, '/'))
		return open(name, O_RDONLY | O_CLOEXEC);
	for (path = path ? path : "/bin:/usr/bin"; *path; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (snprintf(at, sizeof(at), "%.*s/%s", (int)n, path, name) >= (int)sizeof(at) || access(at, X_OK))
			continue;
		fd = open(at, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* A program that the dynamic linker never sees: ELF without an interpreter. */
static bool is_static(const char *name)
{
	uint8_t bytes[4096];
	int fd = open_command(name);
	ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof(bytes), 0);
	Elf64_Ehdr head;
	Elf64_Phdr ph;
	struct view v;
	unsigned int i;

	if (fd >= 0)
		close(fd);
	if (n < (ssize_t)sizeof(head))
		return false;
	v = view_of(bytes, (size_t)n);
	view_copy(&v, &head, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phoff > (size_t)n)
		return false;
	v = view_of(bytes + head.e_phoff, (size_t)n - head.e_phoff);
	for (i = 0; i < head.e_phnum && view_copy(&v, &ph, sizeof(ph)); i++)
		if (ph.p_type == PT_INTERP)
			return false;
	return !v.failed && head.e_phnum;
}

static int run(struct vm *vm, char **args, bool *over, struct sluice_err *err)
{
	const char *dir = getenv("TMPDIR");
	struct broker *broker;
	bool reached;
	int code;

	*over = true;
	if (broker_open(vm, dir && *dir ? dir : "/tmp", (uint32_t)opt.cpus, &broker, err))
		return cli_fail(&verb, err);
	code = environment(broker_address(broker), err);
	code = code ? cli_fail(&verb, err) : child_run(&verb, args, more_descriptors, NULL);
	reached = broker_served(broker) > 0;
	*over = broker_close(broker, LEFT_MS);
	if (!reached && code != EXIT_NO_COMMAND && code != EXIT_CANNOT_RUN && !err->code && is_static(args[0]))
		cli_warn(&verb, "%s is linked statically: it cannot be reached, and has run on the kernel", args[0]);
	return code;
}

int verb_vm(int argc, char **argv)
{
	struct vm_config config = {0};
	struct sluice_err err = {0};
	struct vm *vm = NULL;
	int n_args, code;
	bool over = true;
	char **args;

	code = cli_parse(&verb, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	config.n_cpus = (uint32_t)opt.cpus;
	config.seed = opt.seed;
	libbpf_set_print(NULL); /* what it says of the command's types is the command's affair: it gets an errno */
	cli_catch_signals();
	if (vm_new(&config, &vm, &err) || interfaces(vm, &err))
		code = cli_fail(&verb, &err);
	else
		code = run(vm, args, &over, &err);
	if (over) /* otherwise somebody still runs on it, for the moment that is left */
		vm_free(vm);
	return code;
}
