// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* syscall(2), and waiting for a ring buffer: with epoll as libbpf does it, or with poll. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <sluice/err.h>

#include "base/rawcall.h"
#include "preload/client.h"

/* For a program that has a syscall() of its own, which then comes before this one: src/bpf/seam.c. */
SLUICE_API long sluice_vm_bpf(int cmd, void *attr, unsigned int size);
SLUICE_API bool sluice_vm_on(void);

long sluice_vm_bpf(int cmd, void *attr, unsigned int size)
{
	return client_bpf(cmd, attr, size);
}

bool sluice_vm_on(void)
{
	return client_on();
}

static long answered(long ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

SLUICE_API long syscall(long nr, ...)
{
	long a[6];
	va_list ap;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++) /* as libc does: all six */
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == __NR_bpf && client_on())
		return answered(client_bpf((int)a[0], (void *)a[1], (unsigned int)a[2]));
	return raw_call(nr, a);
}

/*
 * A set knows its members by file and number. What the engine waits with has no number of the program's: it is added
 * under the first free one of these few, and looked for under all of them.
 */
#define WAIT_NUMBERS 16

static int by_number(int epfd, int op, int wait, struct epoll_event *event)
{
	int first = client_high() + 2 * WAIT_NUMBERS, n, ret = -1, from;

	for (from = first; from < first + WAIT_NUMBERS; from = n + 1) {
		n = fcntl(wait, F_DUPFD_CLOEXEC, from);
		if (n < 0)
			return -1;
		ret = (int)raw_call(__NR_epoll_ctl, (const long[6]){epfd, op, n, (long)event});
		close(n); /* the engine has it open, so it stays in the set */
		if (!ret || op == EPOLL_CTL_ADD || errno != ENOENT)
			break;
	}
	return ret;
}

/* Objects are memfds, which the kernel will not wait on: -EPERM. What is added is what the engine waits with. */
SLUICE_API int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int saved = errno, wait, ret;
	struct epoll_event edge = {0};

	ret = (int)raw_call(__NR_epoll_ctl, (const long[6]){epfd, op, fd, (long)event});
	if (ret == 0 || errno != EPERM || !client_on() || (op != EPOLL_CTL_DEL && !event))
		return ret;
	wait = client_wait_fd(fd);
	if (wait < 0)
		return ret; /* errno stays EPERM */
	if (op != EPOLL_CTL_DEL)
		edge = *event;
	edge.events |= EPOLLET; /* nobody reads from it */
	ret = by_number(epfd, op, wait, &edge);
	close(wait);
	if (!ret)
		errno = saved;
	return ret;
}

/* A ring buffer among what is polled. */
struct ring {
	int epfd;
	const uint64_t *consumer, *producer;
};

/* Is it one at all? Objects have no name in a file system and a telling one in /proc. */
static bool may_be_ring(int fd)
{
	char path[32], target[32];
	struct stat st;
	ssize_t n;

	if (raw_call(__NR_fstat, (const long[6]){fd, (long)&st}) || !S_ISREG(st.st_mode) || st.st_nlink)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	return n > 14 && !strncmp(target, "/memfd:bpf-map", 14);
}

static void ring_close(struct ring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (r->consumer)
		munmap((void *)(uintptr_t)r->consumer, 2 * page);
	if (r->epfd >= 0)
		close(r->epfd);
	*r = (struct ring){.epfd = -1};
}

static bool ring_open(struct ring *r, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct epoll_event event = {.events = EPOLLIN};
	void *p;

	*r = (struct ring){.epfd = -1};
	if (!may_be_ring(fd))
		return false;
	r->epfd = epoll_create1(EPOLL_CLOEXEC);
	p = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED) {
		r->consumer = p;
		r->producer = (const uint64_t *)(const void *)((const uint8_t *)p + page);
	}
	if (r->epfd < 0 || !r->consumer || epoll_ctl(r->epfd, EPOLL_CTL_ADD, fd, &event)) {
		ring_close(r);
		return false;
	}
	return true;
}

static bool ring_ready(const struct ring *r)
{
	struct epoll_event event;

	while (epoll_wait(r->epfd, &event, 1, 0) > 0) /* each signal once; what counts is what is in there */
		;
	return __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE) != __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int plain(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	return NEXT(ppoll)(fds, n, timeout, mask);
}

/* Each ring's place is taken by the descriptor that becomes readable with it; then the ring itself is asked. */
static int with_rings(struct pollfd *fds, struct ring *rings, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){0};
	int64_t until = timeout ? now_ns() + left.tv_sec * 1000000000ll + left.tv_nsec : 0, rest;
	struct pollfd *copy = malloc(n * sizeof(*copy));
	int ready, ret;
	nfds_t i;

	if (!copy)
		return answered(-ENOMEM) ? -1 : 0;
	do {
		memcpy(copy, fds, n * sizeof(*copy));
		for (i = 0, ready = 0; i < n; i++) {
			fds[i].revents = 0;
			if (rings[i].epfd < 0)
				continue;
			copy[i] = (struct pollfd){.fd = rings[i].epfd, .events = POLLIN};
			if (fds[i].events & (POLLIN | POLLRDNORM) && ring_ready(&rings[i])) {
				fds[i].revents = (short)(fds[i].events & (POLLIN | POLLRDNORM));
				ready++;
			}
		}
		rest = timeout ? until - now_ns() : 0;
		rest = rest < 0 ? 0 : rest;
		left = ready ? (struct timespec){0} : (struct timespec){rest / 1000000000, rest % 1000000000};
		ret = plain(copy, n, ready || timeout ? &left : NULL, mask);
		for (i = 0; ret > 0 && i < n; i++)
			if (rings[i].epfd < 0 && copy[i].revents) {
				fds[i].revents = copy[i].revents;
				ready++;
			}
	} while (!ready && ret >= 0 && (!timeout || rest));
	free(copy);
	return ret < 0 ? ret : ready;
}

static int poll_all(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct ring *rings = NULL;
	nfds_t i;
	bool any = false;
	int ret, saved = errno;

	for (i = 0; client_on() && i < n && n <= 65536; i++) {
		if (fds[i].fd < 0 || !may_be_ring(fds[i].fd))
			continue;
		if (!rings) {
			rings = malloc(n * sizeof(*rings));
			for (nfds_t k = 0; rings && k < n; k++)
				rings[k] = (struct ring){.epfd = -1};
		}
		any |= rings && ring_open(&rings[i], fds[i].fd);
	}
	errno = saved;
	ret = any ? with_rings(fds, rings, n, timeout, mask) : plain(fds, n, timeout, mask);
	saved = errno;
	for (i = 0; rings && i < n; i++)
		ring_close(&rings[i]);
	free(rings);
	errno = saved;
	return ret;
}

SLUICE_API int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec t = {timeout / 1000, timeout % 1000 * 1000000l};

	return poll_all(fds, n, timeout < 0 ? NULL : &t, NULL);
}

SLUICE_API int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	return poll_all(fds, n, timeout, mask);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t size);

/* What _FORTIFY_SOURCE calls instead. */
SLUICE_API int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*fds) < n)
		abort();
	return poll(fds, n, timeout);
}

SLUICE_API int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		abort();
	return ppoll(fds, n, timeout, mask);
}
