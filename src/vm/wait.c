// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What readers of ring buffers and perf events wait on. See wait.h. */
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vm/wait.h"

int wait_new(struct wait *wait)
{
	struct epoll_event readable = {.events = EPOLLIN};
	int e;

	wait->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wait->event < 0)
		return -errno;
	wait->fd = epoll_create1(EPOLL_CLOEXEC);
	if (wait->fd >= 0 && !epoll_ctl(wait->fd, EPOLL_CTL_ADD, wait->event, &readable))
		return 0;
	e = -errno;
	if (wait->fd >= 0)
		close(wait->fd);
	close(wait->event);
	return e;
}

void wait_free(struct wait *wait)
{
	close(wait->fd);
	close(wait->event);
}

void wait_wake(const struct wait *wait)
{
	uint64_t one = 1;

	if (write(wait->event, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it has been woken 2^64 times */
}
