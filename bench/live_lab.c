// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where live frames go: namespaces, pairs of interfaces, and commands that set others' filters up on them. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/live_lab.h"

extern char **environ;

int lab_run(const char *const argv[], const struct buf *text)
{
	posix_spawn_file_actions_t fa;
	int status, p[2];
	size_t at = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC))
		die("a pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, p[0], 0);
	status = posix_spawnp(&pid, argv[0], &fa, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(p[0]);
	for (; !status && text && at < text->len; at += (size_t)n) {
		n = write(p[1], text->data + at, text->len - at);
		if (n < 0)
			break;
	}
	close(p[1]);
	if (status || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

void lab_make(void)
{
	FILE *f;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		die("namespaces of its own: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN); /* a command that does not read to the end says why itself */
	f = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "we"); /* nobody asks for neighbours */
	if (f) {
		fputs("1", f);
		fclose(f);
	}
}

void lab_pair(size_t nr, char *device)
{
	char a[16];
	const char *const add[] = {"ip", "link", "add", a, "type", "veth", "peer", "name", device, NULL};
	const char *const up_a[] = {"ip", "link", "set", a, "up", NULL};
	const char *const up_b[] = {"ip", "link", "set", device, "up", NULL};

	snprintf(a, sizeof(a), "a%zu", nr);
	snprintf(device, 16, "b%zu", nr);
	if (lab_run(add, NULL) || lab_run(up_a, NULL) || lab_run(up_b, NULL))
		die("making %s and %s", a, device);
}

size_t lab_map_bytes(int fd)
{
	char path[64], line[128];
	size_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "memlock:", 8))
			bytes = strtoul(line + 8, NULL, 10);
	if (f)
		fclose(f);
	return bytes;
}

void lab_gather(const char *device)
{
	struct ethtool_value v = {.cmd = ETHTOOL_SGRO, .data = 1};
	struct ifreq req = {.ifr_data = (void *)&v};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(req.ifr_name, device, strnlen(device, sizeof(req.ifr_name) - 1));
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &req))
		die("GRO on %s: %s", device, strerror(errno));
	close(fd);
}
