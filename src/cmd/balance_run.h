/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the verbs about the balancer share: which services are meant, their names and words.
 *
 *     in force   balance_run_open() --> live, policy, model      a file   balance_run_read() --> policy, model
 */
#ifndef CMD_BALANCE_RUN_H
#define CMD_BALANCE_RUN_H

#include "balance/balance.h"
#include "cmd/cli.h"
#include "control/balance_live.h"
#include "control/state.h"
#include "policy/policy.h"

extern const struct cli_verb balance_list_verb, balance_show_verb, balance_stats_verb, balance_flows_verb,
	balance_drain_verb, balance_undrain_verb, balance_set_weight_verb, balance_why_verb,
	balance_backend_verb;
int balance_list_run(int argc, char **argv);
int balance_show_run(int argc, char **argv);
int balance_stats_run(int argc, char **argv);
int balance_flows_run(int argc, char **argv);
int balance_drain_run(int argc, char **argv);
int balance_undrain_run(int argc, char **argv);
int balance_set_weight_run(int argc, char **argv);
int balance_why_run(int argc, char **argv);
int balance_backend_run(int argc, char **argv);

struct balance_run {
	struct control_state *st; /* NULL: of a file */
	struct balance_live *live;
	struct policy *policy;
	const struct balance_model *model; /* as it counts now */
	char name[CONTROL_NAME];
	uint64_t trial_ns; /* the policy is on trial for so long */
};

/*
 * balance_run_open() opens the balancer in force, balance_run_read() a file in its place. Both are closed with
 * balance_run_close(), also after a failure.
 *
 * in:      change  take the lock
 * errors:  of control_state_open(), balance_live_open(), policy_read() (its mistakes are on stderr then); -ENOENT
 *          no balance block
 */
int balance_run_open(struct balance_run *run, bool change, struct sluice_err *err);
int balance_run_read(struct balance_run *run, const char *path, struct sluice_err *err);
void balance_run_close(struct balance_run *run);

/* balance_run_service() is the place of a service in a model; -ENOENT with the nearest name. */
int balance_run_service(const struct balance_model *m, const char *name, uint32_t *nr,
			struct sluice_err *err);

/* balance_run_backend() is that of a backend, ADDRESS or ADDRESS:PORT. -EINVAL: not one, or several; -ENOENT */
int balance_run_backend(const struct balance_service *s, const char *name, uint32_t *nr,
			struct sluice_err *err);

/* balance_run_block() is the block of a service in the policy's tree; NULL: there is none. */
const struct policy_balance *balance_run_block(const struct policy *p, const char *service);

/* A backend as one names it on the command line: 10.1.0.11, 10.1.0.11:8080, [2001:db8::1]:8080. Returns to. */
#define BACKEND_NAME 64
char *backend_name(const struct balance_backend *b, char to[BACKEND_NAME]);

/* What a backend is doing: "up", "down", "draining"; of a file's "up" and "draining". */
const char *backend_state(const struct balance_backend *now);

/* "ipip", "gue port 6081"; "drop", "reset", "open". */
const char *balance_mode_name(enum balance_mode mode);
const char *balance_fallback_name(enum balance_fallback fallback);

/* A share of the whole, 0 to 1: "33.3%", "0.25%", "0.025%", "<0.01%"; returns to. */
#define BALANCE_SHARE 8
char *balance_share(double share, char to[BALANCE_SHARE]);

/* A time in words, "5m", "1h5m", "12s", rounded up to seconds; returns to. */
#define BALANCE_TIME 24
char *balance_time(uint64_t ns, char to[BALANCE_TIME]);

#endif
