/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages with at most one descriptor, as both sides send and receive them. */
#ifndef BROKER_SOCKET_H
#define BROKER_SOCKET_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union socket_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* socket_send() sends one message; fd -1: without. Returns 0 or a negative errno: -EFAULT, -EBADF and nothing was sent. */
static inline int socket_send(int to, const void *head, size_t head_len, const void *data, size_t len, int fd)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)data, len}};
	union socket_room room;
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	struct cmsghdr *c;
	ssize_t n;

	if (fd >= 0) {
		memset(&room, 0, sizeof(room));
		m.msg_control = room.bytes;
		m.msg_controllen = sizeof(room.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(to, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * socket_receive() waits for one message.
 *
 * out:     *fd     the descriptor that came with it, which the caller closes; -1: none, or no room for it (*lost)
 * returns: its length, 0 when the other side is gone, or a negative errno: -EMSGSIZE it did not fit
 */
static inline ssize_t socket_receive(int from, void *to, size_t size, int *fd, bool *lost)
{
	struct iovec iov = {to, size};
	union socket_room room;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof(room.bytes)};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	*lost = false;
	do
		n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*lost = m.msg_flags & MSG_CTRUNC;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (!(m.msg_flags & MSG_TRUNC))
		return n;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -EMSGSIZE;
}

#endif
