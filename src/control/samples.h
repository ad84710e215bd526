/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Samples of packets that rules with `log` have taken: out of the ring that the filter writes them into (the map
 * "samples", abi/filter.h), with the rule that each is of, and how many found no room there.
 */
#ifndef CONTROL_SAMPLES_H
#define CONTROL_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>

#include "abi/filter.h"
#include "control/state.h"

/* All of it is valid within the call that hands it out. */
struct control_sample {
	const struct filter_event *event; /* whose fields are in bounds: captured, verdict */
	uint64_t time_ns;		  /* CLOCK_REALTIME */
	char ifname[16];		  /* "" if the interface is gone */
	const struct policy *policy;	  /* NULL: not kept any more */
	const struct policy_filter *filter;
	const struct policy_stmt *stmt; /* NULL: not known */
};

struct control_samples;

/*
 * control_samples_open() begins to read the ring of the calling thread's network namespace. It has one reader at a
 * time. Samples that were taken before, up to what it holds, come first.
 *
 * in:      bpffs  as for control_state_open()
 * errors:  -ENOENT no policy is in force, -EBUSY somebody else reads them, -EPERM; of control_state_open()
 */
int control_samples_open(const char *bpffs, struct control_samples **to, struct sluice_err *err);

/*
 * control_samples_open_ring() reads a ring whose rules are those of one filter, on the engine of the thread.
 *
 * in:      more_fd  its counters; both descriptors stay the caller's, and open as long as this is
 */
int control_samples_open_ring(int ring_fd, int more_fd, const struct policy *p, uint32_t filter,
			      struct control_samples **to, struct sluice_err *err);
void control_samples_close(struct control_samples *s);

/*
 * control_samples_read() hands out what is there, waiting for it at most wait_ms (0: not at all).
 *
 * in:      each  returns false to stop behind this one
 * out:     number of samples handed out
 * errors:  -EBADMSG the ring holds something else, -EINTR a signal came while it was waited
 */
int control_samples_read(struct control_samples *s, int wait_ms,
			 bool (*each)(void *ctx, const struct control_sample *sample), void *ctx,
			 struct sluice_err *err);

/*
 * control_samples_check() looks whether the policy was changed, and goes on with the one that is in force now; to be
 * called every second or so. It tells how many samples have found no room since opening: those that rules have
 * counted and that neither came out of the ring nor are in it. Samples that are taken at this very moment may be
 * counted a call later; those that the policy before a change lost between the last call and the change never are.
 *
 * errors:  -EPERM, -EBADMSG of the state; that no policy is in force any more is none
 */
int control_samples_check(struct control_samples *s, uint64_t *lost, struct sluice_err *err);

#endif
