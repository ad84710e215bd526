// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The broker's socket, and a thread for each connection. See broker.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "broker/broker.h"
#include "broker/serve.h"

#define MOST_CONNECTIONS 4096

struct connection {
	struct connection *next;
	struct broker *broker;
	int fd;
};

struct broker {
	struct vm *vm;
	int listener, name; /* name: O_PATH of the socket's inode, which /proc/PID/fd leads to */
	char address[BROKER_ADDRESS];
	pthread_t acceptor;
	pthread_mutex_t lock;
	pthread_cond_t fewer;
	struct connection *first;
	uint32_t n;
	uint64_t served;
	bool closing;
};

static void leave(struct connection *c)
{
	struct broker *b = c->broker;
	struct connection **at;

	pthread_mutex_lock(&b->lock);
	for (at = &b->first; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	close(c->fd); /* not before it is out of the list: broker_close() shuts down what is in there */
	free(c);
	b->n--;
	pthread_cond_signal(&b->fewer);
	pthread_mutex_unlock(&b->lock);
}

static void *connection(void *arg)
{
	struct connection *c = arg;

	serve(c->broker->vm, c->fd);
	leave(c);
	return NULL;
}

static bool same_user(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.uid == geteuid();
}

/* Takes fd over. */
static void begin(struct broker *b, int fd)
{
	struct connection *c = same_user(fd) ? calloc(1, sizeof(*c)) : NULL;
	pthread_attr_t detached;
	pthread_t thread;
	bool full;

	if (!c) {
		close(fd);
		return;
	}
	c->broker = b;
	c->fd = fd;
	pthread_mutex_lock(&b->lock);
	full = b->closing || b->n == MOST_CONNECTIONS;
	if (!full) {
		c->next = b->first;
		b->first = c;
		b->n++;
		b->served++;
	}
	pthread_mutex_unlock(&b->lock);
	if (full) {
		close(fd);
		free(c);
		return;
	}
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, connection, c))
		leave(c);
	pthread_attr_destroy(&detached);
}

static bool is_closing(struct broker *b)
{
	bool closing;

	pthread_mutex_lock(&b->lock);
	closing = b->closing;
	pthread_mutex_unlock(&b->lock);
	return closing;
}

static void *accept_all(void *arg)
{
	struct broker *b = arg;
	int fd;

	while (!is_closing(b)) {
		fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			begin(b, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL); /* until some connection ends */
	}
	return NULL;
}

/* The socket gets a name, is opened by it and loses it again: nothing stays behind whatever becomes of us. */
static int name_socket(struct broker *b, const char *dir, struct sluice_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char made[sizeof(at.sun_path) - 3];
	int n = snprintf(made, sizeof(made), "%s/sluice-XXXXXX", dir), e = 0;

	if (n < 0 || (size_t)n >= sizeof(made))
		return err_set(err, -ENAMETOOLONG, "directory %s: its name is too long for a socket in it", dir);
	if (!mkdtemp(made))
		return err_set(err, -errno, "directory %s: cannot make one in it: %s", dir, strerror(errno));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", made);
	if (bind(b->listener, (struct sockaddr *)&at, sizeof(at)) || listen(b->listener, 128))
		e = -errno;
	if (!e) {
		b->name = open(at.sun_path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (b->name < 0)
			e = -errno;
	}
	unlink(at.sun_path);
	rmdir(made);
	return e ? err_set(err, e, "socket %s: %s", at.sun_path, strerror(-e)) : 0;
}

static int address(struct broker *b, uint32_t n_cpus, struct sluice_err *err)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), b->name);
	if (stat(path, &st))
		return err_set(err, -errno, "%s: %s; clients reach the engine through /proc", path, strerror(errno));
	snprintf(b->address, sizeof(b->address), "%d:%d:%llu:%u", getpid(), b->name, (unsigned long long)st.st_ino, n_cpus);
	return 0;
}

static void drop(struct broker *b)
{
	if (b->listener >= 0)
		close(b->listener);
	if (b->name >= 0)
		close(b->name);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->fewer);
	free(b);
}

/* Threads take no signals: those are the program's. Each connection's inherits that from the acceptor. */
static int start(struct broker *b, struct sluice_err *err)
{
	sigset_t all, before;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&b->acceptor, NULL, accept_all, b);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return e ? err_set(err, -e, "cannot start a thread: %s", strerror(e)) : 0;
}

int broker_open(struct vm *vm, const char *dir, uint32_t n_cpus, struct broker **to, struct sluice_err *err)
{
	struct broker *b = calloc(1, sizeof(*b));
	pthread_condattr_t clock;
	int e = 0;

	*to = NULL;
	if (!b)
		return err_nomem(err);
	b->vm = vm;
	b->name = -1;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&b->fewer, &clock);
	pthread_condattr_destroy(&clock);
	b->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (b->listener < 0)
		e = err_set(err, -errno, "socket: %s", strerror(errno));
	if (!e)
		e = name_socket(b, dir, err);
	if (!e)
		e = address(b, n_cpus, err);
	if (!e)
		e = start(b, err);
	if (e) {
		drop(b);
		return e;
	}
	*to = b;
	return 0;
}

const char *broker_address(const struct broker *b)
{
	return b->address;
}

uint64_t broker_served(const struct broker *broker)
{
	struct broker *b = (struct broker *)(uintptr_t)broker;
	uint64_t served;

	pthread_mutex_lock(&b->lock);
	served = b->served;
	pthread_mutex_unlock(&b->lock);
	return served;
}

bool broker_close(struct broker *b, uint32_t wait_ms)
{
	struct connection *c;
	struct timespec until;
	bool over;

	if (!b)
		return true;
	pthread_mutex_lock(&b->lock);
	b->closing = true;
	for (c = b->first; c; c = c->next)
		shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&b->lock);
	shutdown(b->listener, SHUT_RDWR); /* which ends accept4() */
	pthread_join(b->acceptor, NULL);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000)
		until.tv_sec++, until.tv_nsec -= 1000000000;
	pthread_mutex_lock(&b->lock);
	while (b->n && pthread_cond_timedwait(&b->fewer, &b->lock, &until) != ETIMEDOUT)
		;
	over = !b->n;
	pthread_mutex_unlock(&b->lock);
	if (over)
		drop(b);
	return over;
}
