// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * icmp: an echo request is answered. By a ping socket (net.ipv4.ping_group_range allows it), else by a raw one
 * (CAP_NET_RAW), connected, so that it sees one peer's packets only; errors of routers on the way come as such.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <linux/icmp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "health/icmp.h"
#include "health/inside.h"

#define READS 16 /* replies of others, at a time */

static enum step open_socket(struct flight *f)
{
	bool v6 = f->target->t.addr.v6;
	struct icmp6_filter only6;
	struct icmp_filter only4 = {.data = ~(1u << ICMP_ECHOREPLY)};
	int protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, fd;
	enum step step;

	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	f->raw = fd < 0 && (errno == EACCES || errno == EPERM);
	if (fd >= 0)
		f->fd = fd;
	step = socket_open(f, f->raw ? SOCK_RAW : SOCK_DGRAM, protocol);
	if (step != STEP_WAIT || !f->raw)
		return step;
	ICMP6_FILTER_SETBLOCKALL(&only6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &only6);
	if (v6 ? setsockopt(f->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &only6, sizeof(only6))
	       : setsockopt(f->fd, SOL_RAW, ICMP_FILTER, &only4, sizeof(only4)))
		return socket_failed(f, errno, "filtering a raw socket");
	return STEP_WAIT;
}

/* What raw sockets tell answers by; the kernel gives other ones a number of their own. */
static uint16_t ident_of(const struct flight *f)
{
	return (uint16_t)(f->target->t.own_port ? f->index : f->nonce);
}

static enum step start(struct health *h, struct flight *f)
{
	bool v6 = f->target->t.addr.v6;
	struct sockaddr_storage addr;
	uint8_t request[ICMP_BYTES];
	enum step step = open_socket(f);
	int one = 1, len = socket_address(f->target, 0, &addr), code;

	if (step != STEP_WAIT)
		return step;
	if (setsockopt(f->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &one,
		       sizeof(one)))
		return socket_failed(f, errno, "asking for errors");
	f->nonce = health_chance(h);
	icmp_request(request, v6, ident_of(f), f->nonce);
	if (connect(f->fd, (struct sockaddr *)&addr, (socklen_t)len) ||
	    send(f->fd, request, sizeof(request), MSG_NOSIGNAL) < 0)
		return socket_failed(f, errno, NULL);
	f->stage = STAGE_ANSWER;
	code = flight_watch(h, f, EPOLLIN);
	return code ? socket_failed(f, -code, "epoll") : STEP_WAIT;
}

static enum step ready(struct health *h, struct flight *f, bool second)
{
	bool v6 = f->target->t.addr.v6;
	uint16_t ident = ident_of(f);
	uint8_t data[256];
	ssize_t n;

	(void)h;
	(void)second;
	for (unsigned int reads = 0; reads < READS; reads++) {
		n = recv(f->fd, data, sizeof(data), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? STEP_WAIT : socket_failed(f, errno, NULL);
		if (icmp_is_reply(data, (size_t)n, v6, f->raw && !v6, f->raw ? &ident : NULL, f->nonce)) {
			flight_why(f, "echo reply");
			return STEP_GOOD;
		}
	}
	return STEP_WAIT;
}

static void silent(struct flight *f)
{
	char time[24];

	flight_timeout_text(f, time);
	flight_why(f, "no echo reply within %s", time);
}

static bool stop(struct health *h, struct flight *f)
{
	(void)h;
	(void)f;
	return false;
}

const struct kind kind_icmp = {start, ready, silent, stop};
