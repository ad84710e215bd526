// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Many connections that live long, and count what breaks.
 *
 * balance-talk serve PORT NAME                      tells each TCP connection its name (8 bytes), then echoes; each
 *                                                   datagram, too, with the name in front
 * balance-talk tcp|udp ADDRESS PORT BYTES EVERY_MS [FROM]
 *                                                   connections (or sockets) that send BYTES every so often, wait for the
 *                                                   echo and compare it; from ports FROM, FROM + 1 and so on, which others
 *                                                   of these use besides. Lines on standard input:
 *     more N   N more of them; answered when each has heard a name or is broken
 *     round    answered when each that is whole has had one whole exchange that began after this
 *     (end)    ends it
 *
 * Each answer is a line for each server "NAME whole N broken N rounds N lost N moved N late N" and a line "." behind them.
 * Broken is: reset, closed, no progress for 10 s, a wrong byte. Of UDP, a datagram without an answer within a second is
 * lost, or late if it comes afterwards (a machine that others use stands still that long at times); one that another server
 * answers is moved.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "balance_talk.h"

#define TALKS 40000
#define AT_ONCE 256 /* connections that are being opened */
#define STALLED_MS 10000
#define LOST_MS 1000
#define LATE 30 /* so many sendings ago at most */
#define NAMES 64

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void many_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		talk_die("RLIMIT_NOFILE");
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

/* --- clients --- */

struct talk {
	int fd;
	enum { UNUSED, OPENING, NAMING, IDLE, BUSY, BROKEN } state;
	char name[NAME + 1];
	uint64_t begun_ms; /* of the exchange, or of the last progress */
	uint64_t rounds, lost, moved, late;
	uint32_t tries;		   /* that began: each sends other bytes */
	uint32_t sent, got, named; /* bytes */
	bool fresh;		   /* of a round: has had an exchange since */
	bool began;		   /* the exchange that runs began since */
};

static struct talk talks[TALKS];
static uint32_t n_talks, n_opening, want_talks, n_unfresh;
static uint32_t queue[TALKS], queue_head, queue_n; /* idle ones, in the order in which they are due */
static uint64_t due[TALKS];
static struct addrinfo *server;
static uint32_t bytes, every_ms, from_port;
static int epoll_fd;
static bool udp;
static enum { NOTHING, OPENED, EXCHANGED } waits_for;

static uint8_t pattern(const struct talk *t, uint32_t try, uint32_t i)
{
	return (uint8_t)(i * 31 + try * 7 + (uint64_t)(t - talks));
}

static void refreshed(struct talk *t)
{
	if (!t->fresh) {
		t->fresh = true;
		n_unfresh--;
	}
}

static void broken(struct talk *t, const char *why)
{
	static const char *const doing[] = {"unused", "opening",	"before its name",
					    "idle",   "in an exchange", "broken"};

	fprintf(stderr, "%.8s: %s, %s, after %llu exchanges\n", t->name, why, doing[t->state],
		(unsigned long long)t->rounds);
	if (t->state == OPENING || t->state == NAMING)
		n_opening--;
	if (!t->name[0])
		memcpy(t->name, "nobody", 7);
	close(t->fd);
	t->state = BROKEN;
	refreshed(t);
}

static void idle(struct talk *t)
{
	uint32_t at = (queue_head + queue_n++) % TALKS;

	t->state = IDLE;
	queue[at] = (uint32_t)(t - talks);
	due[at] = now_ms() + every_ms;
}

static void exchanged(struct talk *t)
{
	t->rounds++;
	if (t->began)
		refreshed(t);
	idle(t);
}

static void named(struct talk *t)
{
	n_opening--;
	idle(t);
}

static void send_some(struct talk *t)
{
	static uint8_t out[65536];
	int tries = 0;
	uint32_t i;
	ssize_t n;

	while (t->state == BUSY && t->sent < bytes) {
		for (i = t->sent; i < bytes; i++)
			out[i] = pattern(t, t->tries, i);
		while ((n = send(t->fd, out + t->sent, bytes - t->sent, MSG_NOSIGNAL)) < 0 && udp && talk_again(&tries))
			;
		if (n < 0 && errno != EAGAIN && !udp)
			broken(t, strerror(errno));
		if (n < 0)
			return;
		t->sent += (uint32_t)n;
		t->begun_ms = now_ms();
	}
}

static void begin(struct talk *t)
{
	t->state = BUSY;
	t->sent = t->got = 0;
	t->tries++;
	t->began = true;
	t->begun_ms = now_ms();
	send_some(t);
}

static void receive(struct talk *t)
{
	static uint8_t in[65536];
	ssize_t n;
	uint32_t i;

	while (t->state == NAMING || t->state == BUSY || t->state == IDLE) {
		n = recv(t->fd, t->state == NAMING ? (void *)(t->name + t->named) : in,
			 t->state == NAMING ? NAME - t->named : sizeof(in), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || t->state == IDLE) { /* nobody speaks unless spoken to */
			broken(t, n < 0 ? strerror(errno) : n ? "spoken to" : "closed");
			return;
		}
		t->begun_ms = now_ms();
		if (t->state == NAMING) {
			t->named += (uint32_t)n;
			if (t->named == NAME)
				named(t);
			continue;
		}
		for (i = 0; i < (uint32_t)n; i++)
			if (t->got + i >= bytes || in[i] != pattern(t, t->tries, t->got + i)) {
				broken(t, "a wrong byte");
				return;
			}
		t->got += (uint32_t)n;
		if (t->got == bytes)
			exchanged(t);
	}
}

/* How many sendings ago this was sent; above LATE: never. */
static uint32_t sent_ago(const struct talk *t, const uint8_t *in)
{
	uint32_t ago, i;

	for (ago = 0; ago <= LATE && ago < t->tries; ago++) {
		for (i = 0; i < bytes && in[i] == pattern(t, t->tries - ago, i); i++)
			;
		if (i == bytes)
			return ago;
	}
	return LATE + 1;
}

/* Datagrams: what is late or refused counts as lost when its time is over. */
static void receive_datagrams(struct talk *t)
{
	static uint8_t in[65536 + NAME];
	uint32_t ago;
	ssize_t n;

	while (t->state != BROKEN && t->state != UNUSED) {
		n = recv(t->fd, in, sizeof(in), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			talk_forget(t->fd);
		if (n != (ssize_t)bytes + NAME)
			continue;
		ago = sent_ago(t, in + NAME);
		if (ago > LATE || (!ago && t->state == IDLE))
			continue;
		if (!t->name[0])
			memcpy(t->name, in, NAME);
		t->moved += memcmp(t->name, in, NAME) != 0;
		if (ago && t->late < t->lost)
			t->late++;
		if (ago)
			continue;
		if (t->state == NAMING) {
			t->rounds++;
			named(t);
		} else {
			exchanged(t);
		}
	}
}

static void from(const struct talk *t)
{
	struct sockaddr_in6 a = {.sin6_port = htons((uint16_t)(from_port + (uint32_t)(t - talks)))};
	int one = 1;

	/* the port is at the same place in either family */
	a.sin6_family = (sa_family_t)server->ai_family;
	setsockopt(t->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(t->fd, (struct sockaddr *)&a, server->ai_addrlen))
		talk_die("a port to send from");
}

static void open_one(void)
{
	struct talk *t = &talks[n_talks++];
	int e;

	memset(t, 0, sizeof(*t));
	t->fresh = true;
	t->fd = socket(server->ai_family, server->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0)
		talk_die("socket");
	if (udp)
		talk_told(t->fd);
	if (from_port)
		from(t);
	n_opening++;
	t->state = OPENING;
	t->begun_ms = now_ms();
	e = connect(t->fd, server->ai_addr, server->ai_addrlen) ? errno : 0;
	if (e && e != EINPROGRESS) {
		broken(t, strerror(e));
		return;
	}
	talk_watch(epoll_fd, t->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, t);
	if (udp) {
		begin(t);
		t->state = NAMING;
	}
}

static void event(struct talk *t, uint32_t events)
{
	socklen_t len = sizeof(int);
	int e = 0;

	if (udp) {
		receive_datagrams(t);
		return;
	}
	if (t->state == OPENING) {
		getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &e, &len);
		if (e || (events & (EPOLLERR | EPOLLHUP))) {
			broken(t, strerror(e));
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		t->state = NAMING;
	}
	send_some(t);
	receive(t);
}

static void timers(void)
{
	static uint64_t looked_ms;
	uint64_t now = now_ms();
	uint32_t i;

	while (queue_n && due[queue_head] <= now) {
		i = queue[queue_head];
		queue_head = (queue_head + 1) % TALKS;
		queue_n--;
		if (talks[i].state == IDLE)
			begin(&talks[i]);
	}
	now = now_ms(); /* not before any that has just begun */
	if (now - looked_ms < 100)
		return;
	looked_ms = now;
	for (i = 0; i < n_talks; i++) {
		struct talk *t = &talks[i];

		if (t->state == UNUSED || t->state == IDLE || t->state == BROKEN)
			continue;
		if (udp && now - t->begun_ms > LOST_MS) {
			bool naming = t->state == NAMING;

			t->lost++;
			begin(t);
			t->state = naming ? NAMING : BUSY;
			if (naming && t->lost > STALLED_MS / LOST_MS)
				broken(t, "no answer");
		} else if (!udp && now - t->begun_ms > STALLED_MS) {
			broken(t, "no progress");
		}
	}
}

static void report(void)
{
	static struct {
		char name[NAME + 1];
		uint64_t whole, broken, rounds, lost, moved, late;
	} sum[NAMES];
	uint32_t i, k, n = 0;

	memset(sum, 0, sizeof(sum));
	for (i = 0; i < n_talks; i++) {
		for (k = 0; k < n && strcmp(sum[k].name, talks[i].name) != 0; k++)
			;
		if (k == NAMES)
			continue;
		if (k == n)
			memcpy(sum[n++].name, talks[i].name, NAME + 1);
		*(talks[i].state == BROKEN ? &sum[k].broken : &sum[k].whole) += 1;
		sum[k].rounds += talks[i].rounds;
		sum[k].lost += talks[i].lost - talks[i].late;
		sum[k].late += talks[i].late;
		sum[k].moved += talks[i].moved;
	}
	for (k = 0; k < n; k++)
		printf("%s whole %llu broken %llu rounds %llu lost %llu moved %llu late %llu\n", sum[k].name,
		       (unsigned long long)sum[k].whole, (unsigned long long)sum[k].broken,
		       (unsigned long long)sum[k].rounds, (unsigned long long)sum[k].lost,
		       (unsigned long long)sum[k].moved, (unsigned long long)sum[k].late);
	printf(".\n");
	fflush(stdout);
}

static void stale_all(void)
{
	uint32_t i;

	for (i = 0; i < n_talks; i++)
		if (talks[i].state != BROKEN && talks[i].fresh) {
			talks[i].fresh = talks[i].began = false;
			n_unfresh++;
		}
}

/* Returns false at the end of input. */
static bool command(void)
{
	char line[64];
	unsigned long n;

	if (!fgets(line, sizeof(line), stdin))
		return false;
	if (sscanf(line, "more %lu", &n) == 1 && want_talks + n <= TALKS) {
		want_talks += (uint32_t)n;
		waits_for = OPENED;
	} else if (!strcmp(line, "round\n")) {
		stale_all();
		waits_for = EXCHANGED;
	} else {
		errno = EINVAL;
		talk_die(line);
	}
	return true;
}

static int talk(void)
{
	struct epoll_event ready[256];
	int n, i;
	bool more = true;

	setvbuf(stdin, NULL, _IONBF, 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	talk_watch(epoll_fd, 0, EPOLLIN, NULL);
	while (more) {
		while (n_talks < want_talks && n_opening < AT_ONCE)
			open_one();
		n = epoll_wait(epoll_fd, ready, 256, 5);
		for (i = 0; i < n; i++)
			if (ready[i].data.ptr)
				event(ready[i].data.ptr, ready[i].events);
			else if (waits_for == NOTHING)
				more = command();
		timers();
		if ((waits_for == OPENED && n_talks == want_talks && !n_opening) ||
		    (waits_for == EXCHANGED && !n_unfresh)) {
			waits_for = NOTHING;
			report();
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};

	many_files();
	if (argc == 4 && !strcmp(argv[1], "serve"))
		talk_serve((uint16_t)strtoul(argv[2], NULL, 10), argv[3]);
	if (argc != 6 && argc != 7)
		talk_die("usage: see the head of balance_talk.c");
	udp = !strcmp(argv[1], "udp");
	hints.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM;
	bytes = (uint32_t)strtoul(argv[4], NULL, 10);
	every_ms = (uint32_t)strtoul(argv[5], NULL, 10);
	from_port = argc == 7 ? (uint32_t)strtoul(argv[6], NULL, 10) : 0;
	if (getaddrinfo(argv[2], argv[3], &hints, &server) || !bytes || bytes > 65000)
		talk_die("no such address, or too many bytes");
	return talk();
}
