// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* kill-after MICROSECONDS CMD [ARG...]: starts CMD and ends it with SIGKILL that long afterwards. Exits 0 if it did, 1 if
 * CMD had ended by itself, 2 if it could not be started. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long us = argc > 2 ? strtol(argv[1], NULL, 10) : -1;
	struct timespec t;
	int status;
	pid_t pid;

	if (us < 0)
		return 2;
	pid = fork();
	if (pid < 0)
		return 2;
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	t.tv_sec = us / 1000000;
	t.tv_nsec = us % 1000000 * 1000;
	nanosleep(&t, NULL);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 127))
		return 2;
	return WIFSIGNALED(status) ? 0 : 1;
}
