// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Running somebody else's command. Signals are waited for blocked: one that comes between looking and waiting is not lost. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/child.h"

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static int spawn(char **args, const sigset_t *mask, pid_t *pid)
{
	posix_spawnattr_t attr;
	sigset_t defaults;
	int e;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setsigmask(&attr, mask);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	e = posix_spawnp(pid, args[0], NULL, &attr, args, environ);
	posix_spawnattr_destroy(&attr);
	return e;
}

int child_run(const struct cli_verb *verb, char **args, void (*started)(void *arg), void *arg)
{
	sigset_t ours, before;
	siginfo_t info;
	int e, status, sig;
	unsigned int i;
	pid_t pid;

	sigemptyset(&ours);
	for (i = 0; i < sizeof(passed_on) / sizeof(*passed_on); i++)
		sigaddset(&ours, passed_on[i]);
	sigaddset(&ours, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ours, &before);
	if (cli_stop) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		return 128 + cli_stop;
	}
	e = spawn(args, &before, &pid);
	if (!e && started)
		started(arg);
	while (!e && waitpid(pid, &status, WNOHANG) != pid) {
		sig = sigwaitinfo(&ours, &info);
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			kill(pid, sig);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (e) {
		cli_warn(verb, "cannot run %s: %s", args[0], strerror(e));
		return e == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
