// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * apply-power BOX LIB TO apply|rollback|confirm|down FILE: makes one change of the policy in network namespace BOX, and
 * copies folder LIB to TO/N after step N of it, and before the first (TO/0): what a power cut would leave.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/apply.h"

struct copies {
	const char *from, *to;
	int n;
};

static void copy(void *ctx, const char *done)
{
	struct copies *c = ctx;
	char to[512];
	pid_t pid;

	(void)done;
	snprintf(to, sizeof(to), "%s/%d", c->to, c->n++);
	pid = fork();
	if (!pid) {
		execlp("cp", "cp", "-a", c->from, to, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .step = copy};
	struct store_policy p = {.n_files = 0};
	struct control_done done;
	struct sluice_err err = {0};
	struct copies c;
	char path[256];
	int fd, e = -1;

	if (argc != 6)
		return 2;
	c = (struct copies){argv[2], argv[3], 0};
	o.step_ctx = &c;
	snprintf(path, sizeof(path), "/run/netns/%s", argv[1]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		return 2;
	close(fd);
	copy(&c, "");
	if (!strcmp(argv[4], "apply"))
		e = control_apply(&o, argv[5], &p, &done, &err);
	else if (!strcmp(argv[4], "rollback"))
		e = control_rollback(&o, 0, &done, &err);
	else if (!strcmp(argv[4], "confirm"))
		e = control_confirm(&o, &done, &err);
	else if (!strcmp(argv[4], "down"))
		e = control_down(&o, false, &done, &err);
	if (e)
		fprintf(stderr, "%s: %s\n", argv[4], err.text);
	store_free(&p);
	return e != 0;
}
