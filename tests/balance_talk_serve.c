// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* balance-talk serve, and what both sides do with sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balance_talk.h"

_Noreturn void talk_die(const char *what)
{
	fprintf(stderr, "balance-talk: %s: %s\n", what, strerror(errno));
	exit(1);
}

void talk_watch(int epoll, int fd, uint32_t events, void *ptr)
{
	struct epoll_event e = {.events = events, .data.ptr = ptr};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e))
		talk_die("epoll_ctl");
}

void talk_told(int fd)
{
	int one = 1;

	setsockopt(fd, SOL_IP, IP_RECVERR, &one, sizeof(one));
	setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &one, sizeof(one));
}

bool talk_again(int *tries)
{
	if ((errno != EAGAIN && errno != ENOBUFS && *tries > 2) || *tries > 1000)
		return false;
	++*tries;
	poll(NULL, 0, 1);
	return true;
}

void talk_forget(int fd)
{
	char data[64];

	while (recv(fd, data, sizeof(data), MSG_ERRQUEUE | MSG_TRUNC) >= 0)
		;
}

struct guest {
	int fd;
	size_t at, len; /* of what is still to be sent */
	char out[65536];
};

static char name[NAME];

/* Returns false when the connection is over. */
static bool serve_one(struct guest *g)
{
	ssize_t n;

	for (;;) {
		while (g->at < g->len) {
			n = send(g->fd, g->out + g->at, g->len - g->at, MSG_NOSIGNAL);
			if (n < 0)
				return errno == EAGAIN;
			g->at += (size_t)n;
		}
		n = recv(g->fd, g->out, sizeof(g->out), 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		g->at = 0;
		g->len = (size_t)n;
	}
}

static void serve_new(int epoll, int listener)
{
	struct guest *g;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		g = malloc(sizeof(*g)); /* untouched pages cost nothing */
		if (!g)
			talk_die("a connection");
		g->fd = fd;
		g->at = 0;
		g->len = NAME;
		memcpy(g->out, name, NAME);
		talk_watch(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, g);
		if (!serve_one(g)) {
			close(fd);
			free(g);
		}
	}
}

/* The answer comes from the address that was asked, by whatever way leads to the client. */
static void any_interface(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
		((struct in6_pktinfo *)(void *)CMSG_DATA(c))->ipi6_ifindex = 0;
}

static void serve_datagrams(int fd)
{
	static char data[NAME + 65536];
	_Alignas(struct cmsghdr) char control[256];
	struct sockaddr_in6 from;
	struct iovec v = {data + NAME, sizeof(data) - NAME};
	struct msghdr m = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n, sent;
	int tries;

	memcpy(data, name, NAME);
	while ((n = recvmsg(fd, &m, 0)) >= 0 || errno != EAGAIN) {
		if (n < 0) {
			talk_forget(fd);
			continue;
		}
		v = (struct iovec){data, (size_t)n + NAME};
		any_interface(&m);
		for (tries = 0; (sent = sendmsg(fd, &m, 0)) < 0 && talk_again(&tries);)
			;
		if (sent < 0) /* lost here, and not on the way */
			fprintf(stderr, "%.8s: an answer that was not sent: %s\n", name, strerror(errno));
		v = (struct iovec){data + NAME, sizeof(data) - NAME};
		m.msg_controllen = sizeof(control);
		m.msg_namelen = sizeof(from);
	}
}

static int listener(int type, uint16_t port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, room = 1 << 26;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	/* a datagram counts as a page, and all clients may speak at once */
	if (type == SOCK_DGRAM) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
		talk_told(fd);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    (type == SOCK_STREAM && listen(fd, 4096)))
		talk_die("listening");
	return fd;
}

_Noreturn void talk_serve(uint16_t port, const char *as)
{
	int tcp = listener(SOCK_STREAM, port), udp = listener(SOCK_DGRAM, port),
	    epoll = epoll_create1(EPOLL_CLOEXEC), n, i;
	struct epoll_event ready[256];

	memset(name, ' ', NAME);
	memcpy(name, as, strlen(as) < NAME ? strlen(as) : NAME);
	talk_watch(epoll, tcp, EPOLLIN, &tcp);
	talk_watch(epoll, udp, EPOLLIN, &udp);
	for (;;) {
		n = epoll_wait(epoll, ready, 256, -1);
		for (i = 0; i < n; i++) {
			struct guest *g = ready[i].data.ptr;

			if (ready[i].data.ptr == &tcp) {
				serve_new(epoll, tcp);
			} else if (ready[i].data.ptr == &udp) {
				serve_datagrams(udp);
			} else if (!serve_one(g)) {
				close(g->fd);
				free(g);
			}
		}
	}
}
