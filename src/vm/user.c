// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The caller's memory and descriptors. See user.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/user.h"

#define CHUNK 64 /* strings and zeros are fetched so many bytes at a time, never across a page's end */

static __thread struct user *remote;

struct user *user_set(struct user *user)
{
	struct user *before = remote;

	remote = user;
	return before;
}

/* The pointers that cannot be. */
static bool bad(uint64_t addr)
{
	return addr < 4096;
}

static void *here(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

int user_read(void *to, uint64_t from, uint64_t len)
{
	if (!len)
		return 0;
	if (remote)
		return remote->read(remote, to, from, len);
	if (bad(from))
		return -EFAULT;
	memcpy(to, here(from), len);
	return 0;
}

int user_write(uint64_t to, const void *from, uint64_t len)
{
	if (!len)
		return 0;
	if (remote)
		return remote->write(remote, to, from, len);
	if (bad(to))
		return -EFAULT;
	memcpy(here(to), from, len);
	return 0;
}

static uint32_t chunk(uint64_t addr, uint64_t len)
{
	uint64_t n = CHUNK - addr % CHUNK;

	return (uint32_t)(n < len ? n : len);
}

int user_string(char *to, uint64_t from, uint32_t size)
{
	uint32_t at = 0, n;
	int e;

	if (!remote) {
		if (bad(from))
			return -EFAULT;
		at = (uint32_t)strnlen(here(from), size);
		memcpy(to, here(from), at < size ? at + 1 : at);
		return at < size ? 0 : -ENAMETOOLONG;
	}
	while (at < size) {
		n = chunk(from + at, size - at);
		e = user_read(to + at, from + at, n);
		if (e)
			return e;
		if (memchr(to + at, '\0', n))
			return 0;
		at += n;
	}
	return -ENAMETOOLONG;
}

int user_zero(uint64_t from, uint64_t len)
{
	uint8_t bytes[CHUNK];
	uint32_t n, i;
	int e;

	for (; len; from += n, len -= n) {
		n = chunk(from, len);
		e = user_read(bytes, from, n);
		if (e)
			return e;
		for (i = 0; i < n; i++)
			if (bytes[i])
				return 0;
	}
	return 1;
}

static int room(struct user_buf *b, uint64_t addr, uint64_t len, bool borrow)
{
	*b = (struct user_buf){.p = here(addr), .addr = addr, .len = len, .copied = !borrow};
	if (!borrow)
		b->p = calloc(1, len ? len : 1);
	return b->p || borrow ? 0 : -ENOMEM;
}

int user_in(struct user_buf *b, uint64_t addr, uint64_t len)
{
	int e;

	*b = (struct user_buf){.p = NULL};
	if (!remote && len && bad(addr))
		return -EFAULT;
	e = room(b, addr, len, !remote && len);
	if (!e && b->copied && len)
		e = user_read(b->p, addr, len);
	if (e)
		user_in_done(b);
	return e;
}

void user_in_done(struct user_buf *b)
{
	if (b->copied)
		free(b->p);
	*b = (struct user_buf){.p = NULL};
}

int user_out(struct user_buf *b, uint64_t addr, uint64_t len)
{
	return room(b, addr, len, !remote && !bad(addr));
}

int user_out_done(struct user_buf *b, uint64_t len)
{
	int e = b->copied ? user_write(b->addr, b->p, len) : 0;

	user_in_done(b);
	return e;
}

bool user_gone(void)
{
	return remote && remote->gone(remote);
}

int user_fd(int fd)
{
	return remote ? remote->fd(remote, fd) : fd;
}

void user_fd_done(int fd)
{
	if (remote && fd >= 0)
		close(fd);
}

int user_fd_dup(int fd)
{
	int new;

	if (remote)
		return remote->fd(remote, fd);
	new = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return new < 0 ? -errno : new;
}
