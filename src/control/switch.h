/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From one generation to the next on live interfaces, and what a killed process left of that.
 *
 * One interface: one link update puts the new program where the old one is.
 * Several, or a trial: a detour (datapath/trial.bpf.c) first, on one interface after the other, which sends packets
 * to the old program; then one store sends them to the new one, on all interfaces; then the new program takes the
 * place of the detour, again one after the other. A trial stays in between until it is confirmed or its time is up.
 *
 * What is written when is in doc/control.md. Each function leaves a record that switch_mend() can go on from.
 */
#ifndef CONTROL_SWITCH_H
#define CONTROL_SWITCH_H

#include <sluice/chain.h>

#include "control/state.h"

/*
 * switch_to() puts a generation that was built into force; st is locked and mended, no trial is running.
 *
 * in:      policy    the generation's, for modes; trial_ns  0: for good
 * errors:  as sluice_chain_attach(), with the interface; all is as it was before then, and the generation gone
 */
int switch_to(struct control_state *st, const char *name, const struct policy *policy, uint64_t trial_ns,
	      struct sluice_err *err);

/* switch_verify() has the kernel check what switch_to() would attach; nothing changes. */
int switch_verify(struct control_state *st, const char *name, const struct policy *policy, struct sluice_err *err);

/* switch_mend() finishes or undoes what a killed process left, and tidies up behind a trial whose time is up. */
int switch_mend(struct control_state *st, struct sluice_err *err);

/* switch_confirm() ends a trial for good; -ENOENT there is none. switch_back() ends it the other way. */
int switch_confirm(struct control_state *st, struct sluice_err *err);
int switch_back(struct control_state *st, struct sluice_err *err);

/*
 * switch_down() takes the filter off every interface of the namespace; errors: as switch_to(), and all is as it was.
 * switch_off() does so whatever the record says, which begins anew; what cannot be noted is a warning.
 */
int switch_down(struct control_state *st, struct sluice_err *err);
int switch_off(struct control_state *st, struct sluice_err *err);

#endif
