// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * command: a program that ends with 0. It is started without a shell, in a process group of its own, with /dev/null
 * as input, an environment of a few words and no capabilities (command_start.h); the first line of its output is the
 * reason. Its group is killed when it ends or takes too long. It is waited for by a pidfd: SIGCHLD stays the process's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "health/command_start.h"
#include "health/inside.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct environment {
	char backend[32 + NET_ADDR_TEXT], port[32], mark[32], interface[48];
	char *words[8];
};

static void environment(const struct target *t, struct environment *e)
{
	char addr[NET_ADDR_TEXT];
	size_t n = 0;

	net_addr_format(&t->t.addr, addr, sizeof(addr));
	snprintf(e->backend, sizeof(e->backend), "SLUICE_BACKEND=%s", addr);
	snprintf(e->port, sizeof(e->port), "SLUICE_PORT=%u", target_port(t));
	snprintf(e->mark, sizeof(e->mark), "SLUICE_MARK=%u", t->t.mark);
	snprintf(e->interface, sizeof(e->interface), "SLUICE_INTERFACE=%.15s", t->t.interface);
	e->words[n++] = (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	e->words[n++] = (char *)"LC_ALL=C";
	e->words[n++] = e->backend;
	e->words[n++] = e->port;
	if (t->t.mark)
		e->words[n++] = e->mark;
	if (t->t.interface[0])
		e->words[n++] = e->interface;
	e->words[n] = NULL;
}

/* A word with what stands for the target filled in. */
static void expand(const struct target *t, const char *word, struct buf *to)
{
	char addr[NET_ADDR_TEXT], port[8];

	net_addr_format(&t->t.addr, addr, sizeof(addr));
	snprintf(port, sizeof(port), "%u", target_port(t));
	while (*word) {
		if (!strncmp(word, "$ADDRESS", 8)) {
			buf_put(to, addr, strlen(addr));
			word += 8;
		} else if (!strncmp(word, "$PORT", 5)) {
			buf_put(to, port, strlen(port));
			word += 5;
		} else {
			buf_put(to, word++, 1);
		}
	}
	buf_put(to, "", 1);
}

/* All words, in one buffer. */
static int words(const struct target *t, char *argv[HEALTH_ARGS + 1], struct buf *text)
{
	const struct health_probe *p = &t->rule->p;
	size_t at[HEALTH_ARGS], i;

	for (i = 0; i < p->n_argv; i++) {
		at[i] = text->len;
		expand(t, p->argv[i], text);
	}
	if (text->failed)
		return -ENOMEM;
	for (i = 0; i < p->n_argv; i++)
		argv[i] = (char *)text->data + at[i];
	argv[p->n_argv] = NULL;
	return 0;
}

static void kill_group(const struct flight *f)
{
	/* the leader has not been reaped: the number is still its group's */
	if (f->pid > 0)
		kill(-f->pid, SIGKILL);
}

/* 0: reaped; -EAGAIN: it runs; others: it cannot be known (somebody else reaped it) */
static int reap(struct flight *f, siginfo_t *info, int flags)
{
	*info = (siginfo_t){0};
	if (waitid((idtype_t)P_PIDFD, (id_t)f->pidfd, info, WEXITED | flags))
		return -errno;
	if (!info->si_pid)
		return -EAGAIN;
	if (!(flags & WNOWAIT))
		f->pid = 0;
	return 0;
}

static enum step not_started(struct flight *f, int error)
{
	flight_why(f, "this host cannot check: starting %s: %s", f->target->rule->p.argv[0], strerror(error));
	return STEP_UNTOLD;
}

static enum step start(struct health *h, struct flight *f)
{
	char *argv[HEALTH_ARGS + 1];
	struct environment e;
	struct buf text = {0};
	int pipes[2], code;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return socket_failed(f, errno, "opening a pipe");
	f->fd = pipes[0];
	/* only our end does not block: the program's is what programs expect */
	fcntl(pipes[1], F_SETFL, 0);
	code = words(f->target, argv, &text);
	if (!code) {
		environment(f->target, &e);
		code = command_start(argv, e.words, pipes[1], h->o.nofile, &f->pid, &f->said);
	}
	buf_free(&text);
	close(pipes[1]);
	if (code)
		return not_started(f, -code);
	f->stage = STAGE_ANSWER;
	f->pidfd = (int)syscall(SYS_pidfd_open, f->pid, 0);
	if (f->pidfd < 0) {
		code = -errno;
		kill_group(f);
		while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
			;
		f->pid = 0;
		return socket_failed(f, -code, "watching a program");
	}
	code = flight_watch(h, f, EPOLLIN);
	if (!code)
		code = flight_watch_pid(h, f);
	return code ? socket_failed(f, -code, "epoll") : STEP_WAIT;
}

/* The first line is kept in why; the rest is read, so that the program can go on, and forgotten. */
static enum step take_output(struct flight *f)
{
	char data[4096];
	ssize_t n = read(f->fd, data, sizeof(data));

	if (n < 0)
		return STEP_WAIT;
	for (ssize_t i = 0; i < n && !f->over; i++) {
		f->over = data[i] == '\n' || f->line >= sizeof(f->why) - 1;
		if (!f->over)
			f->why[f->line++] = data[i] >= ' ' && data[i] < 0x7f ? data[i] : '?';
	}
	f->got += (uint32_t)n;
	if (!n) { /* the program itself may run on; a closed pipe would be announced for ever */
		close(f->fd);
		f->fd = -1;
		return STEP_WAIT;
	}
	if (f->got > HEALTH_OUTPUT_BYTES) {
		flight_why(f, "more than %u bytes of output", HEALTH_OUTPUT_BYTES);
		return STEP_BAD;
	}
	return STEP_WAIT;
}

static enum step judge(struct flight *f, const siginfo_t *info)
{
	char line[HEALTH_WHY];
	int error = command_failed(f->said);

	if (error)
		return not_started(f, error);
	snprintf(line, sizeof(line), "%.*s", (int)f->line, f->why);
	if (info->si_code != CLD_EXITED) {
		flight_why(f, "killed by signal %d%s%s", info->si_status, line[0] ? ": " : "", line);
		return STEP_BAD;
	}
	if (info->si_status)
		flight_why(f, "exit %d%s%s", info->si_status, line[0] ? ": " : "", line);
	else
		flight_why(f, "%s", line[0] ? line : "exit 0");
	return info->si_status ? STEP_BAD : STEP_GOOD;
}

static enum step ready(struct health *h, struct flight *f, bool second)
{
	siginfo_t info;
	int code;

	(void)h;
	if (f->stage == STAGE_DYING)
		return reap(f, &info, WNOHANG) == -EAGAIN ? STEP_WAIT : STEP_BAD;
	if (!second)
		return take_output(f);
	/* what it left in the pipe counts; who is left of its group goes while the number is surely theirs */
	while (f->got <= HEALTH_OUTPUT_BYTES && !f->over) {
		uint32_t before = f->got;

		if (take_output(f) == STEP_BAD || f->got == before)
			break;
	}
	code = reap(f, &info, WNOHANG | WNOWAIT);
	if (code == -EAGAIN)
		return STEP_WAIT;
	kill_group(f);
	if (!code)
		code = reap(f, &info, WNOHANG);
	if (code) {
		f->pid = 0;
		return socket_failed(f, EAGAIN, "the program's end was seen by somebody else");
	}
	return judge(f, &info);
}

static void silent(struct flight *f)
{
	char time[24], line[HEALTH_WHY];

	flight_timeout_text(f, time);
	snprintf(line, sizeof(line), "%.*s", (int)f->line, f->why);
	flight_why(f, "not over within %s, killed%s%s", time, line[0] ? ": " : "", line);
}

static bool stop(struct health *h, struct flight *f)
{
	struct pollfd p = {.fd = f->pidfd, .events = POLLIN};
	uint64_t now = clock_mono_ns();
	siginfo_t info;

	if (f->pid <= 0 || f->pidfd < 0)
		return false;
	if (f->stage == STAGE_DYING) {
		if (poll(&p, 1, h->over_ns > now ? (int)((h->over_ns - now) / 1000000) : 0) > 0)
			reap(f, &info, WNOHANG);
		return false;
	}
	kill_group(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	/* one that has ended already, or that somebody else reaped, is not dying: its slot is still a running command's */
	if (reap(f, &info, WNOHANG) != -EAGAIN)
		return false;
	f->stage = STAGE_DYING;
	return true;
}

const struct kind kind_command = {start, ready, silent, stop};
