// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* http and https: a connection, perhaps TLS, a request, and an answer that http.c judges. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "health/inside.h"

#define REQUEST_MAX (2 * HEALTH_TEXT_MAX + 256)
#define READ_BYTES 4096
#define READS 8 /* of one probe at a time: others want their turn */

/* RFC 9112, section 3.2: the port is there unless it is the scheme's; RFC 3986: IPv6 in brackets. */
static void host_text(const struct target *t, char *to, size_t size)
{
	uint16_t port = target_port(t), usual = t->rule->p.kind == HEALTH_HTTPS ? 443 : 80;
	char addr[NET_ADDR_TEXT], suffix[8] = "";

	if (t->rule->p.host) {
		snprintf(to, size, "%s", t->rule->p.host);
		return;
	}
	if (port != usual)
		snprintf(suffix, sizeof(suffix), ":%u", port);
	net_addr_format(&t->t.addr, addr, sizeof(addr));
	snprintf(to, size, "%s%s%s%s", t->t.addr.v6 ? "[" : "", addr, t->t.addr.v6 ? "]" : "", suffix);
}

/* A session without the name's port. */
static int tls_of(struct health *h, struct flight *f, char *why, size_t size)
{
	const struct rule *r = f->target->rule;
	struct net_addr addr;
	char host[HEALTH_TEXT_MAX + 1];

	if (!r->p.host) {
		net_addr_format(&f->target->t.addr, host, sizeof(host));
		return tls_start(&f->tls, &h->trust, f->fd, host, false, r->p.verify, why, size);
	}
	snprintf(host, sizeof(host), "%s", r->p.host);
	if (host[0] != '[' && strchr(host, ':') == strrchr(host, ':'))
		host[strcspn(host, ":")] = '\0';
	return tls_start(&f->tls, &h->trust, f->fd, host, net_addr_parse(host, &addr, NULL) != 0, r->p.verify,
			 why, size);
}

static enum step wait_for(struct health *h, struct flight *f, uint32_t events)
{
	int code = flight_watch(h, f, events);

	return code ? socket_failed(f, -code, "epoll") : STEP_WAIT;
}

/* After a step that failed: waiting, or the end. why is TLS's, if there is TLS. */
static enum step not_yet(struct health *h, struct flight *f, ssize_t code, uint32_t events, const char *why)
{
	if (code == -EAGAIN || code == -EINTR) {
		if (f->tls.session)
			events = f->tls.writing ? EPOLLOUT : EPOLLIN;
		return wait_for(h, f, events);
	}
	if (!f->tls.session)
		return socket_failed(f, (int)-code, NULL);
	flight_why(f, "%s", why);
	return code == -ENOMEM ? STEP_UNTOLD : STEP_BAD;
}

static enum step shake(struct health *h, struct flight *f)
{
	char why[HEALTH_WHY] = "";
	int code = 0;

	if (!f->tls.session) {
		code = tls_of(h, f, why, sizeof(why));
		if (code) {
			flight_why(f, "this host cannot check: %s", why);
			return STEP_UNTOLD;
		}
	}
	code = tls_shake(&f->tls, why, sizeof(why));
	if (code)
		return not_yet(h, f, code, EPOLLIN, why);
	f->stage = STAGE_SEND;
	return STEP_WAIT;
}

static enum step ask(struct health *h, struct flight *f)
{
	const struct health_probe *p = &f->target->rule->p;
	char request[REQUEST_MAX], host[HEALTH_TEXT_MAX + 1], why[HEALTH_WHY] = "";
	ssize_t n;
	int len;

	host_text(f->target, host, sizeof(host));
	len = snprintf(request, sizeof(request),
		       "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice\r\nAccept: */*\r\nConnection: "
		       "close\r\n\r\n",
		       p->head ? "HEAD" : "GET", p->path ? p->path : "/", host);
	if (len < 0 || (size_t)len >= sizeof(request)) /* rule_new() has bounded both */
		return STEP_UNTOLD;
	if (f->tls.session) {
		n = tls_send(&f->tls, request + f->sent, (size_t)len - f->sent, why, sizeof(why));
	} else {
		n = send(f->fd, request + f->sent, (size_t)len - f->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		n = n < 0 ? -errno : n;
	}
	if (n < 0)
		return not_yet(h, f, n, EPOLLOUT, why);
	f->sent += (uint32_t)n;
	if (f->sent < (uint32_t)len)
		return wait_for(h, f, EPOLLOUT);
	f->stage = STAGE_ANSWER;
	return STEP_WAIT;
}

static enum step hear(struct health *h, struct flight *f)
{
	const struct http_want *want = &f->target->rule->want;
	enum http_verdict v = HTTP_MORE;
	char why[HEALTH_WHY] = "";
	uint8_t data[READ_BYTES];
	ssize_t n;

	for (unsigned int reads = 0; v == HTTP_MORE; reads++) {
		/* what TLS holds back already is not announced by epoll again: it is read to its end */
		if (reads >= READS && !tls_pending(&f->tls))
			return wait_for(h, f, EPOLLIN);
		if (f->tls.session) {
			n = tls_recv(&f->tls, data, sizeof(data), why, sizeof(why));
		} else {
			n = recv(f->fd, data, sizeof(data), MSG_DONTWAIT);
			n = n < 0 ? -errno : n;
		}
		if (n < 0)
			return not_yet(h, f, n, EPOLLIN, why);
		f->got += (uint32_t)n;
		v = n ? http_read(&f->answer, want, data, (size_t)n, why, sizeof(why))
		      : http_end(&f->answer, want, why, sizeof(why));
	}
	flight_why(f, "%s", why);
	return v == HTTP_GOOD ? STEP_GOOD : STEP_BAD;
}

static enum step start(struct health *h, struct flight *f)
{
	enum step step = socket_open(f, SOCK_STREAM, 0);

	return step == STEP_WAIT ? socket_connect(h, f) : step;
}

static enum step ready(struct health *h, struct flight *f, bool second)
{
	enum step step = STEP_WAIT;
	int error;

	(void)second;
	if (f->stage == STAGE_CONNECT) {
		error = socket_error(f);
		if (error)
			return socket_failed(f, error, NULL);
		f->stage = f->target->rule->p.kind == HEALTH_HTTPS ? STAGE_TLS : STAGE_SEND;
	}
	if (f->stage == STAGE_TLS)
		step = shake(h, f);
	if (step == STEP_WAIT && f->stage == STAGE_SEND)
		step = ask(h, f);
	if (step == STEP_WAIT && f->stage == STAGE_ANSWER)
		step = hear(h, f);
	return step;
}

static void silent(struct flight *f)
{
	char time[24];

	flight_timeout_text(f, time);
	switch ((enum stage)f->stage) {
	case STAGE_CONNECT:
		flight_why(f, "no connection within %s", time);
		break;
	case STAGE_TLS:
		flight_why(f, "connected, but no TLS within %s", time);
		break;
	default:
		if (!f->got)
			flight_why(f, "connected, but no answer within %s", time);
		else
			flight_why(f, "connected, but no whole answer within %s (%u bytes came)", time,
				   f->got);
	}
}

static bool stop(struct health *h, struct flight *f)
{
	(void)h;
	tls_stop(&f->tls);
	return false;
}

const struct kind kind_http = {start, ready, silent, stop};
