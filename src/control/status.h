/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is in force, asked of the kernel rather than believed. Changes nothing, takes no lock. */
#ifndef CONTROL_STATUS_H
#define CONTROL_STATUS_H

#include <sluice/chain.h>

#include "control/state.h"
#include "control/store.h"
#include "filter/compile.h"

/* What the balancer of an interface does; written when it is made. */
struct control_balance_report {
	uint32_t n_services, n_virtuals, n_backends; /* of the blocks that are on the interface */
	uint64_t bytes;				     /* of the memory of all */
};

enum control_health {
	CONTROL_RUNS,	  /* the policy's program is in the interface's chain */
	CONTROL_DETOUR,	  /* it runs behind the detour of a trial, or of a switch that was interrupted */
	CONTROL_OTHER,	  /* a program of its kind is there, of another generation */
	CONTROL_TAKEN,	  /* the chain is there without it, or nothing is */
	CONTROL_FOREIGN,  /* somebody else's program is there in its place */
	CONTROL_GONE,	  /* the interface is gone */
	CONTROL_AGAIN,	  /* it was made anew under the same name, without it */
	CONTROL_NEW,	  /* an interface that the policy means and that came later */
	CONTROL_MISSING,  /* one that the policy names and that was not there */
	CONTROL_ALIAS,	  /* the policy has another name of an interface, which it is not on: why has that one's own */
	CONTROL_LEFT,	  /* it is on an interface that the policy does not mean */
	CONTROL_UNKNOWN,  /* it could not be asked: why says why */
};

struct control_status_part {
	enum control_kind kind;
	char ifname[16]; /* as it is called now, or was */
	char was[16];	 /* under which name the policy found it; "": under this one */
	int ifindex;
	enum control_health health;
	enum sluice_mode mode;
	char why[256];	    /* not native, or nobody could be asked */
	char program[64];   /* FOREIGN: its name */
	uint32_t members;   /* of the chain */
	uint32_t filter;
	bool has_report; /* of a filter */
	struct filter_report report;
	bool has_services; /* of the balancer */
	struct control_balance_report services;
};

/* Where rules redirect to, and it is gone, or another one of the name: what is sent there is lost. */
struct control_status_redirect {
	char ifname[16];
	int ifindex; /* that packets are sent to */
	bool gone;   /* false: there is another one */
};

struct control_status {
	struct control_state *st;
	char current[CONTROL_NAME];   /* whose rules packets meet; "": no policy */
	char confirmed[CONTROL_NAME]; /* what restore would put back */
	bool busy;		      /* somebody is changing it right now */
	bool unkept;		      /* it is not in the history any more: a boot would not bring it back */
	uint64_t trial_ns;	      /* until it rolls back; 0: no trial */
	uint64_t since_ns;	      /* CLOCK_REALTIME */
	uint64_t rolled_back_ns;      /* a trial that ended by itself; 0 */
	char tried[CONTROL_NAME];     /* what was tried then */
	struct control_generation *gen; /* of current, NULL */
	struct control_status_part *parts;
	uint32_t n_parts;
	struct control_status_redirect *lost;
	uint32_t n_lost;
	struct store_entry *history; /* the newest first */
	uint32_t n_history;
	uint64_t memory; /* bytes of all maps of generations that are kept */
};

/*
 * control_status() finds out. out: *to, for control_status_free()
 * errors:  -EPERM privilege missing (named), -EBADMSG the record is damaged
 */
int control_status(const char *bpffs, struct control_status **to, struct sluice_err *err);
void control_status_free(struct control_status *s);
const char *control_health_name(enum control_health health); /* "runs"; for programs */

#endif
