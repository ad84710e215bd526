// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hold-exec FILE SECONDS: whoever begins the program FILE waits until SECONDS are over, as on a disk that does not answer. Prints
 * "ready" when that is so. Exits with 77 if this kernel cannot.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 2;
	fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, argv[1])) {
		perror("fanotify");
		return 77;
	}
	puts("ready");
	fflush(stdout);
	/* closing the descriptor lets all through */
	sleep((unsigned int)strtoul(argv[2], NULL, 10));
	return 0;
}
