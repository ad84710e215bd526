/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One change of one interface, from lock to unlock: look at what is there, decide what should be, switch over in one
 * atomic step, tidy up. attach, replace, detach and observers differ only in what they do to the state in between.
 */
#ifndef HOOK_CHANGE_H
#define HOOK_CHANGE_H

#include <sluice/chain.h>

#include "hook/place.h"
#include "hook/state.h"

struct change {
	int ifindex;
	struct sluice_attach_opts opts;
	struct place_lock lock;
	struct place_attached at;
	char prog_name[64];
	int prog_fd, link_fd; /* of what is attached; -1 if nothing, link_fd also if it is no link */
	bool foreign;	      /* what is attached is not a chain of Sluice */
	struct state *old;    /* the chain that runs, NULL if there is none */
	struct state *next;   /* a copy of it to work on; empty if there is none */
	char dir[256];	      /* pins; "" until a bpffs is needed */
	void (*last)(void *ctx); /* called when all is ready, before the switch; may be NULL */
	void *last_ctx;
};

/*
 * change_begin() locks the interface and reads what it has. Whatever it returns, change_end() is due.
 * change_commit() makes next the running chain: with members it is pinned; with observers only, it is held by
 * whoever has its link; with neither, the link goes. keep_link: where a link without pin is handed to, may be NULL.
 */
#define CHANGE_WAIT_NS 30000000000ull /* for the lock, where a person waits for the change */
int change_begin(struct change *c, int ifindex, const struct sluice_attach_opts *opts, uint64_t wait_ns,
		 struct sluice_err *err);
int change_commit(struct change *c, struct sluice_attached *got, int *keep_link, struct sluice_err *err);
void change_end(struct change *c);

/*
 * change_drop_slots() takes out of next the slots that nobody is in any more, and all slots of a chain whose
 * multi-buffer support changes with this change: a slot takes only programs of the kind it was made for, so their
 * observers have to come anew (sluice_observer_check()). change_commit() does this, too.
 */
void change_drop_slots(struct change *c);

/*
 * chain_load() joins and loads members as attaching them would, for no interface: to be run, not attached.
 *
 * in:      members  n of them, 1..SLUICE_CHAIN_MAX, objects loaded
 * out:     *state   the chain, for the caller to free with state_free(); *prog_fd, for the caller to close
 * errors:  those of generation_load()
 */
int chain_load(const struct sluice_member *members, size_t n, struct state **state, int *prog_fd, struct sluice_err *err);

/* change_foreign() writes "NAME is attached, program N of libxdp's dispatcher..." and returns -EBUSY. */
int change_foreign(const struct change *c, struct sluice_err *err);

#endif
