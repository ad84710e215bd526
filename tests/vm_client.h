/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs that vm_command_test.sh runs share. */
#ifndef VM_CLIENT_H
#define VM_CLIENT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "broker/wire.h"

#define CHECK(x)                                                                          \
	do {                                                                              \
		if (!(x)) {                                                               \
			fprintf(stderr, "line %d: %s; errno %d\n", __LINE__, #x, errno);  \
			exit(1);                                                          \
		}                                                                         \
	} while (0)

/* A connection of one's own to the engine. */
static inline int dial(void)
{
	const char *at = getenv(WIRE_ENV);
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int pid, fd, s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	CHECK(at && sscanf(at, "%d:%d:", &pid, &fd) == 2);
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/%d/fd/%d", pid, fd);
	CHECK(!connect(s, (struct sockaddr *)&to, sizeof(to)));
	return s;
}

#endif
