/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changing the policy of a network namespace. Each call takes the lock, mends what a killed process left, makes its
 * change, and leaves a consistent whole, or what was there before.
 */
#ifndef CONTROL_APPLY_H
#define CONTROL_APPLY_H

#include "control/state.h"
#include "control/store.h"

/* What is about to happen, all of it loaded. Valid during the call. */
struct control_ready {
	struct control_state *st;
	const struct policy *old;		/* NULL: none is in force */
	const struct policy *policy;		/* NULL: all is taken off */
	const struct control_generation *live;	/* of old; NULL */
	const struct control_generation *next;	/* of policy; NULL */
	const bool *lost; /* of live's parts (n_all): it is not on its interface any more; NULL: nobody looked */
};

struct control_opts {
	const char *bpffs; /* NULL: as sluice_chain_attach() finds it */
	uint64_t wait_ns;  /* for another process */
	uint64_t trial_ns; /* apply, rollback: 0: for good */
	bool dry_run;	   /* apply, rollback: all but the switch; nothing is kept */
	bool any;	   /* restore: without an error if there is nothing to restore */

	/* called before the first packet sees anything; not 0: nothing happens, and that is the call's result */
	int (*ready)(void *ctx, const struct control_ready *r, struct sluice_err *err);
	void *ctx;
	void (*step)(void *ctx, const char *done); /* struct control_state.step */
	void *step_ctx;
};

/* What happened. */
struct control_done {
	char name[CONTROL_NAME]; /* in force now; "" none */
	char left[CONTROL_NAME]; /* before; "" none */
	uint64_t trial_ns;	 /* it is on trial for so long */
	uint64_t read_ns, load_ns; /* compiling, maps, programs */
	uint64_t switch_ns;	   /* joining them on each interface, loading that, and the step itself */
	bool nothing;		   /* apply, restore, confirm: all is as it should be */
	struct sluice_err warned; /* code 0: nothing; the first that went wrong without being a failure */
};

/*
 * control_apply() puts the policy of a file into force. If that is the one in force, on every interface, nothing
 * happens (done->nothing), and ready() is not called. Standard input (POLICY_STDIN) is read before the lock is taken.
 *
 * out:     *p  the policy read, also after a failure (its mistakes), for store_free()
 * errors:  those of store_read(), build_parts(), build_new(), switch_to(); -EBUSY a policy is on trial, or another
 *          process is at work; -EPERM
 */
int control_apply(const struct control_opts *o, const char *path, struct store_policy *p, struct control_done *done,
		  struct sluice_err *err);

/*
 * control_rollback() puts a policy of the history back: number 0 the one before; a trial is ended.
 * errors:  -ENOENT there is none; those of control_apply()
 */
int control_rollback(const struct control_opts *o, uint32_t number, struct control_done *done, struct sluice_err *err);

/*
 * control_confirm() ends a trial for good; a policy that is in force without one stays (done->nothing).
 * errors:  -ENOENT no policy is in force, or the trial is over
 */
int control_confirm(const struct control_opts *o, struct control_done *done, struct sluice_err *err);

/*
 * control_down() takes the policy off. force: whatever is known of it, and whatever an earlier change left.
 * errors:  -ENOENT there is none; with force: -EBUSY another process is at work, -EPERM, what a chain refuses
 */
int control_down(const struct control_opts *o, bool force, struct control_done *done, struct sluice_err *err);

/*
 * control_restore() puts the last confirmed policy back, as far as its interfaces are there: after a boot, and again
 * when more of them are there. errors: -ENOENT none was confirmed; -EBADMSG what was kept is damaged
 */
int control_restore(const struct control_opts *o, struct control_done *done, struct sluice_err *err);

#endif
