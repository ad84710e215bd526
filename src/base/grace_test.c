// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Both ways of waiting; a seccomp filter takes one or both away, as kernels with nohz_full CPUs do. */
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/grace.h"
#include "base/test.h"
#include "base/test_without.h"

/* What a child says that runs without them; 77: it could not be tried. */
static int child_says(uint32_t one, uint32_t other, uint32_t error, int (*what)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(test_without(one, other, error) ? 77 : what());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int waits_three_times(void)
{
	int i, free_fd = dup(0);

	close(free_fd);
	for (i = 0; i < 3; i++)
		if (grace_wait(NULL))
			return 1;
	return dup(0) == free_fd ? 0 : 2; /* no descriptor is left open */
}

static int says_why(void)
{
	struct sluice_err err = {0};

	if (grace_wait(&err) != -EPERM)
		return 1;
	return strcmp(err.text, "creating a map to wait for running programs with: Operation not permitted")
		       ? 2
		       : 0;
}

static void waits(void **state)
{
	(void)state;
	if (syscall(__NR_membarrier, 0, 0, 0) < 0 && geteuid())
		skip();
	assert_int_equal(waits_three_times(), 0);
}

static void waits_by_map(void **state)
{
	int rc;

	(void)state;
	rc = geteuid() ? 77 : child_says(__NR_membarrier, __NR_membarrier, EINVAL, waits_three_times);
	if (rc == 77)
		skip();
	assert_int_equal(rc, 0);
}

static void cannot(void **state)
{
	int rc = child_says(__NR_membarrier, __NR_bpf, EPERM, says_why);

	(void)state;
	if (rc == 77)
		skip();
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits),
		cmocka_unit_test(waits_by_map),
		cmocka_unit_test(cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
