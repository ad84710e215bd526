// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sluice serve: checks the backends of balanced services and keeps the ways to them; reads the files of sets again when
 * they change, and takes out what has expired. Sets have a thread of their own: a file of a million addresses is not to
 * hold up checks.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/set_run.h"
#include "control/balance_serve.h"
#include "control/sets_watch.h"

#define SECOND UINT64_C(1000000000)

static uint64_t sweep_ns = 10 * SECOND;
static atomic_bool balances; /* there is a balancer in force */

static const struct cli_opt opts[] = {
	{"sweep", 0, OPT_TIME, "TIME", "how often to take out what has expired (default 10s)", &sweep_ns,
	 SECOND, 3600 * SECOND, NULL},
	{0},
};

static const struct cli_verb verb = {
	.name = "serve",
	.usage = "[OPTION...]",
	.summary = "check the backends of the policy in force, keep its sets as their files are",
	.text = "Stays in the foreground, and says what it does on stderr. Backends of balance blocks are checked as "
		"their\n"
		"blocks say; who goes down gets no packets from then on. Routes to them and their MAC addresses are "
		"followed.\n"
		"A set's file that changes is read again half a second after the last change, and its set changed "
		"by difference;\n"
		"one with a mistake changes nothing. Packets do not depend on it: without it backends and sets stay as "
		"they are,\n"
		"and what expires is expired. SIGHUP: everything is looked at again. SIGTERM, SIGINT: ends. Under "
		"systemd:\n"
		"Type=notify.\n",
	.opts = opts,
};

/* To systemd, if it wants to know (sd_notify(3)). */
static void notify(const char *state)
{
	struct sluice_err err;

	if (control_watch_notify(getenv("NOTIFY_SOCKET"), state, &err))
		cli_warn(&verb, "%s", err.text);
}

/* Who has the lock is told once, whichever thread waits for it; stderr is locked. */
static bool is_told(const char *why)
{
	static char holder[SLUICE_ERR_MAX];

	if (!strstr(why, " is changing the policy (it holds "))
		return false;
	if (!strcmp(holder, why))
		return true;
	snprintf(holder, sizeof(holder), "%s", why);
	return false;
}

static void say_set(const struct watch_event *e)
{
	switch (e->what) {
	case WATCH_POLICY:
		if (e->name[0])
			cli_warn(&verb, "policy %s: %u file%s of sets", e->name, e->n_files,
				 e->n_files == 1 ? "" : "s");
		else if (!balances)
			cli_warn(&verb,
				 "neither services nor sets that change are in force; waiting for some");
		else if (cli.verbose)
			cli_warn(&verb, "no sets that change are in force");
		return;
	case WATCH_LOADED:
		if (e->done.added || e->done.removed || cli.verbose)
			cli_warn(&verb, "set %s: %" PRIu64 " added, %" PRIu64 " removed, %" PRIu64 " kept",
				 e->name, e->done.added, e->done.removed, e->done.kept);
		return;
	case WATCH_FAILED:
		if (is_told(e->why))
			return;
		cli_warn(&verb, "set %s stays as it is: %s", e->name, e->why);
		return;
	case WATCH_TROUBLE:
		if (is_told(e->why))
			return;
		cli_warn(&verb, "%s", e->why);
		return;
	}
}

/* Two threads: a line is a whole. */
static void say(void *ctx, const struct watch_event *e)
{
	(void)ctx;
	flockfile(stderr);
	say_set(e);
	funlockfile(stderr);
}

/* What is said by the balancer; of interest to who asks for all if it is routine. */
static void say_balance(void *ctx, bool routine, const char *sentence)
{
	(void)ctx;
	if (routine && !cli.verbose)
		return;
	flockfile(stderr);
	if (!is_told(sentence))
		cli_warn(&verb, "%s", sentence);
	funlockfile(stderr);
}

/* The sets' thread. wake: written by the main one (again, stop); over: written at its end. */
struct sets {
	struct control_watch *w;
	int wake, over;
	atomic_bool stop, again;
	struct sluice_err err;
	pthread_t thread;
	bool runs;
};

static void *run_sets(void *arg)
{
	struct sets *s = arg;
	struct pollfd fds[] = {{.fd = control_watch_fd(s->w), .events = POLLIN}, {.fd = s->wake, .events = POLLIN}};
	uint64_t wait_ns, n;
	int e = 0;

	while (!e && !s->stop) {
		if (atomic_exchange(&s->again, false))
			control_watch_again(s->w);
		e = control_watch_turn(s->w, &wait_ns, &s->err);
		if (!e && poll(fds, 2, (int)(wait_ns / 1000000) + 1) < 0 && errno != EINTR)
			e = err_set(&s->err, -errno, "waiting for files: %s", strerror(errno));
		if (read(s->wake, &n, sizeof(n)) < 0 && errno != EAGAIN)
			e = e ? e : err_set(&s->err, -errno, "eventfd: %s", strerror(errno));
	}
	n = 1;
	if (write(s->over, &n, sizeof(n)) != sizeof(n))
		cli_warn(&verb, "eventfd: %s", strerror(errno));
	return NULL;
}

static void wake(struct sets *s)
{
	uint64_t one = 1;

	if (write(s->wake, &one, sizeof(one)) != sizeof(one))
		cli_warn(&verb, "eventfd: %s", strerror(errno));
}

static int start_sets(struct sets *s, struct sluice_err *err)
{
	int e;

	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0 || s->over < 0)
		return err_set(err, -errno, "eventfd: %s", strerror(errno));
	e = control_watch_new(cli.bpffs, sweep_ns, say, NULL, &s->w, err);
	if (e)
		return e;
	e = pthread_create(&s->thread, NULL, run_sets, s);
	if (e)
		return err_set(err, -e, "starting a thread: %s", strerror(e));
	s->runs = true;
	return 0;
}

static void end_sets(struct sets *s)
{
	if (s->runs) {
		s->stop = true;
		wake(s);
		pthread_join(s->thread, NULL);
	}
	control_watch_free(s->w);
	if (s->wake >= 0)
		close(s->wake);
	if (s->over >= 0)
		close(s->over);
}

/* The line that `systemctl status` shows, when it is another one. */
static void status(const struct serve *b, char before[200])
{
	struct serve_sum sum;
	char line[200];

	serve_sum(b, &sum);
	balances = sum.elsewhere || sum.services;
	if (sum.elsewhere)
		snprintf(line, sizeof(line), "STATUS=another sluice serve checks the backends");
	else if (!sum.services)
		snprintf(line, sizeof(line), "STATUS=no services are in force");
	else
		snprintf(line, sizeof(line), "STATUS=%u services, %u backends, %u of them checked, %u down%s", sum.services,
			 sum.backends, sum.checked, sum.down, sum.waiting ? "; changes wait for the lock" : "");
	if (!strcmp(line, before))
		return;
	snprintf(before, 200, "%s", line);
	notify(line);
}

/* How often systemd wants to hear of it: half of what it would wait (sd_watchdog_enabled(3)); 0: it does not. */
static uint64_t watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n = 0;

	if (!usec || text_u64(usec, 1, UINT64_MAX / 2000, &n, NULL))
		return 0;
	if (pid && strtoull(pid, NULL, 10) != (unsigned long long)getpid())
		return 0;
	return n * 500;
}

/* A signal: true if it ends the daemon. */
static bool take_signal(int signals, struct serve *b, struct sets *s)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGHUP)
		return true;
	notify("RELOADING=1");
	serve_again(b);
	s->again = true;
	wake(s);
	notify("READY=1");
	return false;
}

static int loop(struct serve *b, struct sets *s, int signals, char line[200], struct sluice_err *err)
{
	struct pollfd fds[] = {{.fd = serve_fd(b), .events = POLLIN},
			       {.fd = signals, .events = POLLIN},
			       {.fd = s->over, .events = POLLIN}};
	uint64_t wait_ns, dog_ns = watchdog_ns(), barked_ns = clock_mono_ns();
	int e;

	for (;;) {
		e = serve_turn(b, &wait_ns, err);
		if (e)
			return e;
		status(b, line);
		if (dog_ns && clock_mono_ns() - barked_ns >= dog_ns / 2) {
			notify("WATCHDOG=1");
			barked_ns = clock_mono_ns();
		}
		if (dog_ns && wait_ns > dog_ns / 2)
			wait_ns = dog_ns / 2;
		if (poll(fds, 3, wait_ns ? (int)((wait_ns + 999999) / 1000000) : 0) < 0 && errno != EINTR)
			return err_set(err, -errno, "waiting: %s", strerror(errno));
		if (fds[1].revents && take_signal(signals, b, s))
			return 0;
		if (fds[2].revents) {
			*err = s->err;
			return err->code;
		}
	}
}

/* As many descriptors as it may have: a check is one. *before: what commands get back. */
static void raise_files(uint64_t *before)
{
	struct rlimit r;

	*before = 0;
	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= r.rlim_max)
		return;
	*before = r.rlim_cur;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r))
		*before = 0;
}

static int serve(int signals, struct sluice_err *err)
{
	struct serve_options options = {.bpffs = cli.bpffs, .say = say_balance};
	struct sets sets = {.wake = -1, .over = -1};
	char line[200] = "";
	struct serve *b = NULL;
	uint64_t wait_ns;
	int e;

	raise_files(&options.nofile);
	e = serve_new(&options, &b, err);
	e = e ? e : serve_turn(b, &wait_ns, err); /* services first: sets are spoken of as there are some */
	if (!e) {
		status(b, line);
		e = start_sets(&sets, err);
	}
	if (!e) {
		notify("READY=1");
		e = loop(b, &sets, signals, line, err);
		notify("STOPPING=1");
	}
	end_sets(&sets);
	serve_free(b);
	return e;
}

int verb_serve(int argc, char **argv)
{
	struct sluice_err err = {0};
	sigset_t set;
	char **args;
	int n, e, signals, rc = cli_parse(&verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	e = signals < 0 ? err_set(&err, -errno, "signalfd: %s", strerror(errno)) : serve(signals, &err);
	if (signals >= 0)
		close(signals);
	return e ? cli_fail(&verb, &err) : EXIT_DONE;
}
