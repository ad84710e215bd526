// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fork() and not posix_spawn(), which can neither put down capabilities nor set limits. With no_new_privs and an empty
 * permitted set execve() gives none back, not to uid 0 either (capabilities(7); security/commoncap.c), and that needs no
 * CAP_SETPCAP as the bounding set would.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "health/command_start.h"

#define FIRST_OTHER 3 /* descriptors 0 to 2 are the program's */

static int no_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) || syscall(SYS_capset, &head, none);
}

static int plain_signals(void)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		sigaction(i, &plain, NULL); /* not of KILL, STOP and libc's own */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Output, input, nothing else: what else is open goes with execve(). A daemon without descriptors 0 to 2 may have output there. */
static int files(int output)
{
	int null;

	if ((output == 1 ? fcntl(1, F_SETFD, 0) : dup2(output, 1)) < 0 || dup2(1, 2) < 0)
		return -1;
	null = open("/dev/null", O_RDONLY);
	if (null < 0 || (null && dup2(null, 0) < 0))
		return -1;
	return syscall(SYS_close_range, FIRST_OTHER, ~0u, CLOSE_RANGE_CLOEXEC) && errno != ENOSYS &&
			       errno != EINVAL
		       ? -1
		       : 0;
}

static int files_limit(uint64_t soft)
{
	struct rlimit r;

	if (!soft || getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur <= soft)
		return 0;
	r.rlim_cur = soft;
	return setrlimit(RLIMIT_NOFILE, &r);
}

static _Noreturn void child(char *const argv[], char *const env[], int output, uint64_t nofile, pid_t parent,
			    int said)
{
	int code;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || setpgid(0, 0) || files(output) ||
	    files_limit(nofile) || plain_signals() || no_capabilities())
		goto failed;
	if (getppid() != parent) /* it ended before it could be followed */
		_exit(127);
	execve(argv[0], argv, env);
failed:
	code = errno;
	if (write(said, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

int command_start(char *const argv[], char *const env[], int output, uint64_t nofile, pid_t *pid, int *said)
{
	sigset_t all, before;
	int ends[2], high, code = 0;
	pid_t parent = getpid();

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	high = fcntl(ends[1], F_DUPFD_CLOEXEC, FIRST_OTHER);
	close(ends[1]);
	if (high < 0) {
		code = -errno;
		close(ends[0]);
		return code;
	}
	/* handlers of this process must not run in the child */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*pid = fork();
	if (!*pid)
		child(argv, env, output, nofile, parent, high);
	if (*pid < 0)
		code = -errno;
	else
		setpgid(*pid, *pid); /* both do: whoever kills the group at once finds it */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(high);
	if (code)
		close(ends[0]);
	else
		*said = ends[0];
	return code;
}

int command_failed(int said)
{
	int code;

	return read(said, &code, sizeof(code)) == sizeof(code) ? code : 0;
}
