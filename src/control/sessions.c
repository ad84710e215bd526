// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sessions of administrators, from the environment's text and from proc(5). The tables of TCP sockets are
 * those of the thread's network namespace; which of them are an SSH server's say its descriptors.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/sessions.h"

#define SSH_PORT 22
#define ANCESTORS 64 /* that are looked at */
#define TEXT_MAX 256 /* of SSH_CONNECTION: two addresses with interfaces, two ports */

/* States of a socket there (include/net/tcp_states.h of the kernel). */
enum { STATE_ESTABLISHED = 1, STATE_LISTEN = 10 };

/* --- SSH_CONNECTION --- */

static bool read_port(const char *text, uint16_t *port)
{
	uint32_t v = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 5; i++)
		v = v * 10 + (uint32_t)(text[i] - '0');
	*port = (uint16_t)v;
	return i && !text[i] && v && v < 65536 && text[0] != '0';
}

/* ADDRESS or, of an IPv6 address that is link-local, ADDRESS%INTERFACE. */
static bool read_address(char *text, struct net_addr *a, char interface[16])
{
	char *zone = strchr(text, '%');

	if (zone) {
		*zone++ = '\0';
		if (!zone[0] || strlen(zone) > 15 || strchr(zone, '/') || !strchr(text, ':'))
			return false;
		memcpy(interface, zone, strlen(zone) + 1);
	}
	if (net_addr_parse(text, a, NULL))
		return false;
	net_addr_unmap(a);
	return true;
}

int control_session_parse(const char *text, struct control_session *s, struct sluice_err *err)
{
	struct control_session got = {.own = true};
	char copy[TEXT_MAX], zone[16] = "", *word[4], *at = copy;
	size_t len = strnlen(text, TEXT_MAX), i;
	bool ok = len < TEXT_MAX;

	if (ok)
		memcpy(copy, text, len + 1);
	for (i = 0; ok && i < 4; i++) {
		word[i] = at;
		at = strchr(at, i < 3 ? ' ' : '\0');
		ok = at && at > word[i];
		if (ok && i < 3)
			*at++ = '\0';
	}
	ok = ok && read_address(word[0], &got.peer, got.interface) && read_port(word[1], &got.peer_port) &&
	     read_address(word[2], &got.local, zone) && read_port(word[3], &got.local_port) &&
	     got.peer.v6 == got.local.v6;
	if (!ok)
		return err_set(err, -EINVAL,
			       "SSH_CONNECTION does not say 'CLIENT PORT SERVER PORT', so the session it "
			       "stands for "
			       "cannot be guarded; correct or unset it, or use --force");
	*s = got;
	return 0;
}

/* --- sockets --- */

struct entry {
	struct net_addr local, peer;
	uint16_t local_port, peer_port;
	uint32_t state;
	uint64_t inode;
};

/* Exactly n digits of a number in hex. */
static bool take_hex(const char **at, size_t n, uint32_t *v)
{
	const char *s = *at;
	size_t i;

	*v = 0;
	for (i = 0; i < n; i++, s++) {
		if (*s >= '0' && *s <= '9')
			*v = *v << 4 | (uint32_t)(*s - '0');
		else if (*s >= 'A' && *s <= 'F')
			*v = *v << 4 | (uint32_t)(*s - 'A' + 10);
		else
			return false;
	}
	*at = s;
	return true;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* Words that are not looked at, and the blanks around them. */
static void skip_words(const char **at, unsigned int n)
{
	for (; n; n--) {
		*at += strspn(*at, " ");
		*at += strcspn(*at, " \n");
	}
	*at += strspn(*at, " ");
}

/* Addresses are printed as words in the machine's order. */
static bool take_address(const char **at, bool v6, struct net_addr *a, uint16_t *port)
{
	uint32_t v;
	size_t i;

	*a = (struct net_addr){.v6 = v6};
	for (i = 0; i < (v6 ? 4u : 1u); i++) {
		if (!take_hex(at, 8, &v))
			return false;
		memcpy(a->bytes + 4 * i, &v, 4);
	}
	net_addr_unmap(a);
	if (!take_char(at, ':') || !take_hex(at, 4, &v))
		return false;
	*port = (uint16_t)v;
	return true;
}

/* "0: LOCAL:PORT PEER:PORT STATE queues timer retransmits uid timeout INODE ..." */
static bool read_entry(const char *line, bool v6, struct entry *e)
{
	const char *at = line;
	char *end;

	skip_words(&at, 1);
	if (!take_address(&at, v6, &e->local, &e->local_port) || !take_char(&at, ' ') ||
	    !take_address(&at, v6, &e->peer, &e->peer_port) || !take_char(&at, ' ') ||
	    !take_hex(&at, 2, &e->state))
		return false;
	skip_words(&at, 5);
	if (*at < '0' || *at > '9')
		return false;
	errno = 0;
	e->inode = strtoull(at, &end, 10);
	return !errno && end > at;
}

static int each_entry(const char *proc, bool v6, int (*each)(void *ctx, const struct entry *e), void *ctx,
		      struct sluice_err *err)
{
	char path[PATH_MAX], *line = NULL;
	struct entry entry;
	size_t room = 0;
	int e = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/thread-self/net/tcp%s", proc, v6 ? "6" : "");
	f = fopen(path, "re");
	if (!f && v6 && errno == ENOENT) /* a kernel without IPv6 */
		return 0;
	if (!f)
		return err_set(err, -errno, "reading who is connected: %s: %s", path, strerror(errno));
	if (getline(&line, &room, f) < 0) /* the names of the columns */
		e = err_set(err, -EBADMSG, "%s is empty", path);
	while (!e && getline(&line, &room, f) >= 0)
		e = read_entry(line, v6, &entry)
			    ? each(ctx, &entry)
			    : err_set(err, -EBADMSG, "%s has a line that is no socket", path);
	if (!e && ferror(f))
		e = err_set(err, -EIO, "reading %s: %s", path, strerror(errno));
	free(line);
	fclose(f);
	return e == -ENOMEM ? err_nomem(err) : e;
}

/* --- whose sockets they are --- */

struct inodes {
	uint64_t *v;
	size_t n, cap;
};

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool add_inode(struct inodes *set, uint64_t inode)
{
	size_t cap = set->n < set->cap ? set->cap : set->cap ? set->cap * 2 : 64;
	uint64_t *v = cap == set->cap ? set->v : reallocarray(set->v, cap, sizeof(*v));

	if (!v)
		return false;
	set->v = v;
	set->cap = cap;
	set->v[set->n++] = inode;
	return true;
}

/* Is process pid an SSH server? OpenSSH has had a program of its own for sessions since 9.8. */
static bool is_server(int proc, const char *pid)
{
	static const char *const names[] = {"sshd", "sshd-session", "dropbear"};
	char path[NAME_MAX + 16], name[32];
	ssize_t len;
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, name, sizeof(name) - 1);
	close(fd);
	if (len <= 0)
		return false;
	name[len] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static bool add_sockets(int proc, const char *pid, struct inodes *set)
{
	char path[NAME_MAX + 16], target[64];
	const struct dirent *d;
	bool ok = true;
	ssize_t len;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) { /* it has ended, or is not ours to look into */
		if (fd >= 0)
			close(fd);
		return true;
	}
	while (ok && (d = readdir(dir))) {
		len = readlinkat(fd, d->d_name, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (!strncmp(target, "socket:[", 8))
			ok = add_inode(set, strtoull(target + 8, NULL, 10));
	}
	closedir(dir);
	return ok;
}

static void sort(struct inodes *set)
{
	if (set->n)
		qsort(set->v, set->n, sizeof(*set->v), by_value);
}

static bool has_inode(const struct inodes *set, uint64_t inode)
{
	return set->n && bsearch(&inode, set->v, set->n, sizeof(inode), by_value);
}

/* The sockets of every SSH server, sorted. */
static int server_sockets(const char *proc, struct inodes *set, struct sluice_err *err)
{
	const struct dirent *d;
	bool ok = true;
	DIR *dir = opendir(proc);

	if (!dir)
		return err_set(err, -errno, "reading who is connected: %s: %s", proc, strerror(errno));
	while (ok && (d = readdir(dir)))
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && is_server(dirfd(dir), d->d_name))
			ok = add_sockets(dirfd(dir), d->d_name, set);
	closedir(dir);
	sort(set);
	return ok ? 0 : err_nomem(err);
}

/* --- both together --- */

enum { PORT_LISTENS = 1, PORT_SERVER = 2, PORT_ADMIN = 3 };

struct search {
	struct inodes servers;
	uint8_t port[65536]; /* bits PORT_* */
	struct control_sessions *to;
	bool full;
};

static int note_port(void *ctx, const struct entry *e)
{
	struct search *s = ctx;

	if (e->state == STATE_LISTEN)
		s->port[e->local_port] |= PORT_LISTENS;
	if (has_inode(&s->servers, e->inode))
		s->port[e->local_port] |= PORT_SERVER;
	return 0;
}

static bool same_end(const struct net_addr *a, uint16_t a_port, const struct net_addr *b, uint16_t b_port)
{
	return a->v6 == b->v6 && a_port == b_port && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int note_session(void *ctx, const struct entry *e)
{
	struct search *s = ctx;
	struct control_session *v = s->to->v;

	if (e->state != STATE_ESTABLISHED || s->port[e->local_port] != PORT_ADMIN)
		return 0;
	if (s->to->n && v[0].own && same_end(&v[0].peer, v[0].peer_port, &e->peer, e->peer_port) &&
	    same_end(&v[0].local, v[0].local_port, &e->local, e->local_port))
		return 0;
	if (s->to->n == SESSIONS_MAX) {
		s->full = true;
		return -E2BIG;
	}
	v[s->to->n++] = (struct control_session){.peer = e->peer,
						 .local = e->local,
						 .peer_port = e->peer_port,
						 .local_port = e->local_port};
	return 0;
}

int control_sessions_read(const char *ssh_connection, const char *proc, struct control_sessions *to,
			  struct sluice_err *err)
{
	struct search *s = calloc(1, sizeof(*s));
	int e = 0, family;

	*to = (struct control_sessions){.v = calloc(SESSIONS_MAX, sizeof(*to->v))};
	if (!s || !to->v)
		e = err_nomem(err);
	proc = proc ? proc : "/proc";
	if (!e && ssh_connection && ssh_connection[0]) {
		e = control_session_parse(ssh_connection, &to->v[0], err);
		to->n = !e;
	}
	if (!e)
		e = server_sockets(proc, &s->servers, err);
	for (family = 0; !e && family < 2; family++)
		e = each_entry(proc, family, note_port, s, err);
	if (!e) {
		s->port[SSH_PORT] = PORT_ADMIN;
		s->to = to;
	}
	for (family = 0; !e && family < 2; family++)
		e = each_entry(proc, family, note_session, s, err);
	if (e == -E2BIG && s->full)
		err_set(err, e,
			"more than %d connections to ports for administration: whether the policy cuts one "
			"off is "
			"not looked at",
			SESSIONS_MAX);
	if (s)
		free(s->servers.v);
	free(s);
	return e;
}

/* --- the session of a process --- */

/* 0: it has none, or that cannot be told. The name in front of it, in brackets, may be anything. */
static long parent_of(int proc, long pid)
{
	char text[256], *name_ends;
	long parent = 0;
	ssize_t len;
	int fd;

	snprintf(text, sizeof(text), "%ld/stat", pid);
	fd = openat(proc, text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	name_ends = strrchr(text, ')');
	if (name_ends && strlen(name_ends) > 4) /* ") S 1234 " */
		parent = strtol(name_ends + 4, NULL, 10);
	return parent > 0 ? parent : 0;
}

/* What one SSH server has. */
struct above {
	struct inodes sockets;
	uint8_t port[65536]; /* bits PORT_LISTENS; PORT_SERVER: itself, for what it forwards */
	struct control_session *to;
};

static int note_listener(void *ctx, const struct entry *e)
{
	struct above *a = ctx;

	if (e->state == STATE_LISTEN)
		a->port[e->local_port] |= PORT_LISTENS | (has_inode(&a->sockets, e->inode) ? PORT_SERVER : 0);
	return 0;
}

/* Neither a connection that it forwards from here, nor one to a port that it listens on for the client. */
static int note_own(void *ctx, const struct entry *e)
{
	struct above *a = ctx;

	if (e->state != STATE_ESTABLISHED || !has_inode(&a->sockets, e->inode) ||
	    (a->port[e->local_port] != PORT_LISTENS && (a->port[e->local_port] || e->local_port != SSH_PORT)))
		return 0;
	*a->to = (struct control_session){.peer = e->peer,
					  .local = e->local,
					  .peer_port = e->peer_port,
					  .local_port = e->local_port};
	return 1;
}

/* 1: that SSH server has a connection */
static int ask_server(struct above *a, const char *proc, int fd, const char *pid, struct sluice_err *err)
{
	int e = 0, family;

	a->sockets.n = 0;
	memset(a->port, 0, sizeof(a->port));
	if (!add_sockets(fd, pid, &a->sockets))
		return err_nomem(err);
	if (!a->sockets.n)
		return 0;
	sort(&a->sockets);
	for (family = 0; !e && family < 2; family++)
		e = each_entry(proc, family, note_listener, a, err);
	for (family = 0; !e && family < 2; family++)
		e = each_entry(proc, family, note_own, a, err);
	return e;
}

int control_session_above(long pid, const char *proc, struct control_session *s, struct sluice_err *err)
{
	struct above *a = calloc(1, sizeof(*a));
	int fd, e = 0, steps;
	char name[24];

	if (!a)
		return err_nomem(err);
	proc = proc ? proc : "/proc";
	a->to = s;
	fd = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (steps = 0; fd >= 0 && steps < ANCESTORS && !e; steps++) {
		pid = parent_of(fd, pid);
		if (!pid)
			break;
		snprintf(name, sizeof(name), "%ld", pid);
		if (is_server(fd, name))
			e = ask_server(a, proc, fd, name, err);
	}
	if (fd >= 0)
		close(fd);
	free(a->sockets.v);
	free(a);
	if (!e)
		return err_set(err, -ENOENT, "this is no session of an SSH server");
	return e > 0 ? 0 : e;
}

void control_sessions_free(struct control_sessions *s)
{
	free(s->v);
	*s = (struct control_sessions){0};
}

char *control_session_say(const struct control_session *s, char *to, size_t size)
{
	char addr[NET_ADDR_TEXT];

	snprintf(to, size, "%s port %u", net_addr_format(&s->peer, addr, sizeof(addr)), s->peer_port);
	return to;
}
