/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watching the files of run-time sets: by their folders, so that files that are replaced by a rename, written in
 * place, or come later are all seen.
 *
 *     folders ──inotify──> a file may have changed ──half a second of quiet──> read, applied by difference
 *
 * thread:  one at a time. The lock of control/state.h is held for a moment at a time only.
 */
#ifndef CONTROL_SETS_WATCH_H
#define CONTROL_SETS_WATCH_H

#include "control/sets_live.h"

struct control_watch;

enum watch_what {
	WATCH_POLICY,  /* another policy is in force: name, n_files */
	WATCH_LOADED,  /* a file was read again: name of the set, done */
	WATCH_FAILED,  /* it could not be, and the set is as it was: name, why */
	WATCH_TROUBLE, /* why */
};

struct watch_event {
	enum watch_what what;
	const char *name, *why;
	uint32_t n_files;
	struct sets_change done;
};

/*
 * control_watch_new() begins to watch; there need not be a policy yet.
 *
 * in:      say  called for everything that happens, from within control_watch_turn()
 * owns:    control_watch_free()
 */
int control_watch_new(const char *bpffs, uint64_t sweep_ns,
		      void (*say)(void *ctx, const struct watch_event *e), void *ctx,
		      struct control_watch **watch, struct sluice_err *err);
void control_watch_free(struct control_watch *w);

/* control_watch_fd() is readable when there is something to do. */
int control_watch_fd(const struct control_watch *w);

/*
 * control_watch_turn() does what there is to do.
 *
 * out:     *wait_ns  until the next time, also if nothing becomes readable
 * errors:  -ENOMEM; -EPERM privilege missing. Everything else is told to say(), and tried again
 */
int control_watch_turn(struct control_watch *w, uint64_t *wait_ns, struct sluice_err *err);

/* control_watch_again() has all files read again at the next turn. */
void control_watch_again(struct control_watch *w);

/*
 * control_watch_notify() tells a service manager a state ("READY=1") as sd_notify(3) does.
 * in:      socket  NOTIFY_SOCKET: a path, or @ and a name; NULL or "": nothing is told
 */
int control_watch_notify(const char *socket, const char *state, struct sluice_err *err);

#endif
