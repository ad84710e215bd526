// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long a person waits: from starting `sluice top` to its first line, and for `sluice attach` against the least
 * that libbpf needs for the same (open, load, link, pin), both as whole processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench/bench.h"

#define ROUNDS 11

extern char **environ;

static pid_t start(char *const *argv, int out)
{
	posix_spawn_file_actions_t fa;
	pid_t pid;
	int e;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	e = posix_spawn(&pid, argv[0], &fa, NULL, argv, environ);
	if (e)
		die("%s: %s", argv[0], strerror(e));
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

static double run_ms(char *const *argv)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), status;
	uint64_t t0 = clock_mono_ns();
	pid_t pid = start(argv, null);

	waitpid(pid, &status, 0);
	close(null);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die("%s %s failed", argv[0], argv[1]);
	return (double)(clock_mono_ns() - t0) / 1e6;
}

static double first_line_ms(char *const *argv)
{
	struct pollfd p = {.events = POLLIN};
	uint64_t t0, t1;
	int pipefd[2];
	pid_t pid;
	char c;

	if (pipe2(pipefd, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	t0 = clock_mono_ns();
	pid = start(argv, pipefd[1]);
	close(pipefd[1]);
	p.fd = pipefd[0];
	if (poll(&p, 1, 10000) != 1 || read(p.fd, &c, 1) != 1)
		die("sluice top printed nothing in ten seconds");
	t1 = clock_mono_ns();
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	close(p.fd);
	return (double)(t1 - t0) / 1e6;
}

/* The child's part: what any loader must do. */
static int bare(const char *object, const char *ifname, const char *pin)
{
	struct bpf_object *o = bpf_object__open(object);
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = 1u << 2); /* XDP_FLAGS_DRV_MODE */
	struct bpf_program *p;
	int fd;

	if (!o || bpf_object__load(o))
		return 1;
	p = bpf_object__next_program(o, NULL);
	fd = bpf_link_create(bpf_program__fd(p), (int)if_nametoindex(ifname), BPF_XDP, &opts);
	if (fd < 0 || bpf_obj_pin(fd, pin))
		return 1;
	bpf_object__close(o);
	return 0;
}

int main(int argc, char **argv)
{
	double top[ROUNDS], attach[ROUNDS], bare_ms[ROUNDS], m_attach, m_bare;
	char *top_argv[] = {argv[1], "top", NULL, "--lines", NULL};
	char *attach_argv[] = {argv[1], "attach", NULL, NULL, NULL};
	char *detach_argv[] = {argv[1], "detach", NULL, "--all", NULL};
	char *bare_argv[] = {argv[0], "--bare", NULL, NULL, "/sys/fs/bpf/sluice_bench", NULL};
	int i;

	if (argc == 5 && !strcmp(argv[1], "--bare"))
		return bare(argv[2], argv[3], argv[4]);
	if (argc != 4)
		die("usage: bench-startup SLUICE OBJECT INTERFACE");
	attach_argv[3] = bare_argv[2] = argv[2];
	top_argv[2] = attach_argv[2] = detach_argv[2] = bare_argv[3] = argv[3];
	for (i = 0; i < ROUNDS; i++) {
		top[i] = first_line_ms(top_argv);
		attach[i] = run_ms(attach_argv);
		run_ms(detach_argv);
		bare_ms[i] = run_ms(bare_argv);
		unlink(bare_argv[4]);
		usleep(50000);
	}
	m_attach = bench_median(attach, ROUNDS);
	m_bare = bench_median(bare_ms, ROUNDS);
	printf("sluice attach %.1f ms (%.1f to %.1f), bare libbpf %.1f ms (%.1f to %.1f)\n", m_attach, attach[0],
	       attach[ROUNDS - 1], m_bare, bare_ms[0], bare_ms[ROUNDS - 1]);
	bench_figure("top_start_to_first_line", bench_median(top, ROUNDS), "ms", "<=", 500);
	bench_figure("attach_beyond_bare_syscalls", m_attach - m_bare, "ms", "<=", 50);
	return 0;
}
