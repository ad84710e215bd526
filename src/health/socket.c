// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets of probes: by the way that the target says, and what went wrong with them in words. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "health/inside.h"

int socket_address(const struct target *t, uint16_t port, void *to)
{
	struct sockaddr_in6 *v6 = to;
	struct sockaddr_in *v4 = to;

	if (t->t.addr.v6) {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					    .sin6_port = htons(port),
					    .sin6_scope_id = t->t.scope};
		memcpy(&v6->sin6_addr, t->t.addr.bytes, 16);
		return sizeof(*v6);
	}
	*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	memcpy(&v4->sin_addr, t->t.addr.bytes, 4);
	return sizeof(*v4);
}

uint16_t target_port(const struct target *t)
{
	return t->rule->p.port ? t->rule->p.port : t->t.port;
}

static const char *plain(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
	case EPIPE:
		return "connection reset";
	case EHOSTUNREACH:
		return "no route to host";
	case ENETUNREACH:
		return "network unreachable";
	case ETIMEDOUT:
		return "connection timed out";
	default:
		return strerror(error);
	}
}

/* What is short or forbidden on this host says nothing about a backend. */
static bool ours(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case ENOSPC:
	case EADDRNOTAVAIL:
	case EADDRINUSE:
	case EAFNOSUPPORT:
	case EPERM:
	case EACCES:
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

enum step socket_failed(struct flight *f, int error, const char *what)
{
	if (ours(error)) {
		flight_why(f, "this host cannot check: %s%s%s", what ? what : "", what ? ": " : "",
			   plain(error));
		return STEP_UNTOLD;
	}
	flight_why(f, "%s%s%s", what ? what : "", what ? ": " : "", plain(error));
	return STEP_BAD;
}

static enum step go_from(struct flight *f)
{
	const struct health_target *t = &f->target->t;
	struct target from = {.t = {.addr = {.v6 = t->addr.v6}, .scope = t->scope}};
	struct sockaddr_storage addr;
	char what[64], text[NET_ADDR_TEXT];
	int one = 1, len;

	if (t->has_source)
		from.t.addr = t->source;
	len = socket_address(&from, 0, &addr);
	/* the port is chosen when the peer is known: one local port may then serve many peers */
	if (!t->own_port)
		setsockopt(f->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(f->fd, (struct sockaddr *)&addr, (socklen_t)len)) {
		snprintf(what, sizeof(what), "sending from %s",
			 net_addr_format(&from.t.addr, text, sizeof(text)));
		return socket_failed(f, errno, what);
	}
	return STEP_WAIT;
}

enum step socket_open(struct flight *f, int type, int protocol)
{
	const struct health_target *t = &f->target->t;
	char what[64];

	if (f->fd < 0)
		f->fd = socket(t->addr.v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC,
			       protocol);
	if (f->fd < 0)
		return socket_failed(f, errno,
				     type == SOCK_RAW ? "opening a raw socket" : "opening a socket");
	if (t->mark && setsockopt(f->fd, SOL_SOCKET, SO_MARK, &t->mark, sizeof(t->mark)))
		return socket_failed(f, errno, "setting a mark");
	if (t->interface[0] &&
	    setsockopt(f->fd, SOL_SOCKET, SO_BINDTODEVICE, t->interface, sizeof(t->interface))) {
		snprintf(what, sizeof(what), "interface %.15s", t->interface);
		return socket_failed(f, errno, what);
	}
	return t->has_source || t->own_port ? go_from(f) : STEP_WAIT;
}

enum step socket_connect(struct health *h, struct flight *f)
{
	struct linger rst = {.l_onoff = 1};
	struct sockaddr_storage addr;
	int len = socket_address(f->target, target_port(f->target), &addr), code, most = f->target->t.segment_max;

	if (most && setsockopt(f->fd, IPPROTO_TCP, TCP_MAXSEG, &most, sizeof(most)))
		return socket_failed(f, errno, "setting the size of segments");
	if (!f->target->rule->p.fin)
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	if (connect(f->fd, (struct sockaddr *)&addr, (socklen_t)len) && errno != EINPROGRESS)
		return socket_failed(f, errno, NULL);
	code = flight_watch(h, f, EPOLLOUT);
	return code ? socket_failed(f, -code, "epoll") : STEP_WAIT;
}

int socket_error(const struct flight *f)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (f->seen & (EPOLLERR | EPOLLHUP) && getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	return error;
}
