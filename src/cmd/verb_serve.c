// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice serve: reads the files of sets again when they change, and takes out what has expired. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cmd/set_run.h"
#include "control/sets_watch.h"

#define SECOND UINT64_C(1000000000)

static uint64_t sweep_ns = 10 * SECOND;

static const struct cli_opt opts[] = {
	{"sweep", 0, OPT_TIME, "TIME", "how often to take out what has expired (default 10s)", &sweep_ns,
	 SECOND, 3600 * SECOND, NULL},
	{0},
};

static const struct cli_verb verb = {
	.name = "serve",
	.usage = "[OPTION...]",
	.summary = "keep the sets of the policy in force as their files are",
	.text = "Stays in the foreground, and says what it does on stderr. A file that changes is read again "
		"half a second\n"
		"after the last change, and its set changed by difference; one with a mistake changes "
		"nothing. Packets do\n"
		"not depend on it: without it sets stay as they are, and what expires is expired.\n"
		"SIGHUP: all files are read again. SIGTERM, SIGINT: ends. Under systemd: Type=notify.\n",
	.opts = opts,
};

/* To systemd, if it wants to know (sd_notify(3)). */
static void notify(const char *state)
{
	struct sluice_err err;

	if (control_watch_notify(getenv("NOTIFY_SOCKET"), state, &err))
		cli_warn(&verb, "%s", err.text);
}

static void say(void *ctx, const struct watch_event *e)
{
	(void)ctx;
	switch (e->what) {
	case WATCH_POLICY:
		if (e->name[0])
			cli_warn(&verb, "policy %s: %u files of sets", e->name, e->n_files);
		else
			cli_warn(&verb, "no policy with sets that change is in force; waiting for one");
		return;
	case WATCH_LOADED:
		if (e->done.added || e->done.removed || cli.verbose)
			cli_warn(&verb, "set %s: %" PRIu64 " added, %" PRIu64 " removed, %" PRIu64 " kept",
				 e->name, e->done.added, e->done.removed, e->done.kept);
		return;
	case WATCH_FAILED:
		cli_warn(&verb, "set %s stays as it is: %s", e->name, e->why);
		return;
	case WATCH_TROUBLE:
		cli_warn(&verb, "%s", e->why);
		return;
	}
}

static int loop(struct control_watch *w, int signals, struct sluice_err *err)
{
	struct pollfd fds[] = {{.fd = control_watch_fd(w), .events = POLLIN},
			       {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo info;
	uint64_t wait_ns;
	int e;

	for (;;) {
		e = control_watch_turn(w, &wait_ns, err);
		if (e)
			return e;
		if (poll(fds, 2, (int)(wait_ns / 1000000) + 1) < 0 && errno != EINTR)
			return err_set(err, -errno, "waiting for files: %s", strerror(errno));
		if (read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGHUP)
			return 0;
		notify("RELOADING=1");
		control_watch_again(w);
		notify("READY=1");
	}
}

int verb_serve(int argc, char **argv)
{
	struct control_watch *w = NULL;
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
	e = signals < 0 ? err_set(&err, -errno, "signalfd: %s", strerror(errno))
			: control_watch_new(cli.bpffs, sweep_ns, say, NULL, &w, &err);
	if (!e) {
		notify("READY=1");
		e = loop(w, signals, &err);
		notify("STOPPING=1");
	}
	control_watch_free(w);
	if (signals >= 0)
		close(signals);
	return e ? cli_fail(&verb, &err) : EXIT_DONE;
}
