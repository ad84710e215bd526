/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policies that were applied, on disk: what rollback and restore need, after a power cut too.
 *
 *     LIB/generations/7-0f3a5b.../policy    the printed form
 *     LIB/generations/7-0f3a5b.../meta      number, hash, when, where it came from, its sets' files
 *     LIB/files/SHA256                      contents of those files, one for all generations that have them
 *     LIB/confirmed                         the generation that restore puts back; "-": none
 *
 * Everything is written under another name, synced, renamed, and the folder synced, in this order: files,
 * generation, and when it is in force confirmed.
 */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include "base/buf.h"
#include "control/state.h"

#define STORE_KEPT 16 /* generations in the history */

struct store_file {
	char *path;
	char hash[65];
};

/* A policy with what makes it the one it is. */
struct store_policy {
	struct policy *policy;
	char path[PATH_MAX]; /* absolute */
	char hash[65];	     /* SHA-256 of the printed form and the files' hashes */
	struct buf text;     /* the printed form */
	struct store_file *files;
	uint32_t n_files;
};

/*
 * store_read() reads and checks a policy; keep: contents of its sets' files go to LIB/files (st is locked).
 * store_again() reads a generation of the history; its files must be what they were.
 *
 * in:      files  NULL: policy_disk
 * out:     *p, for store_free(), also after a failure: p->policy has the mistakes then
 * errors:  those of policy_read(); store_again(): -ENOENT, -EBADMSG
 */
int store_read(const struct control_state *st, const char *path, const struct policy_files *files, bool keep,
	       struct store_policy *p, struct sluice_err *err);
int store_again(const struct control_state *st, const char *name, struct store_policy *p, struct sluice_err *err);
void store_free(struct store_policy *p);

/* One line of the history. */
struct store_entry {
	char name[CONTROL_NAME];
	uint32_t number;
	char hash[65], path[PATH_MAX];
	uint64_t made_ns;
	char again[CONTROL_NAME]; /* rolled back to this one; "" if it was applied */
	uint32_t first; /* of a policy that was put back in its place: the number it came with; else its own */
};

/*
 * store_name() gives the next generation of a policy its number and name; store_put() keeps it; store_forget()
 * removes one that was never in force.
 * store_confirm() notes the generation in force ("" none), which must be in the history or is fetched from where the
 * namespace had another name; store_ready() makes sure that this will not fail for want of room, and changes nothing.
 * store_confirmed() reads what was noted, -ENOENT: nothing ever.
 * store_mend() writes the generation in force again if its policy cannot be read any more; *mended: it could not.
 * store_entry() reads one, store_history() all, the newest first (for free()): of a policy that was put back while it was
 * in force, the last. store_find() finds the name of a number, also of those.
 * store_prune() removes what is older than STORE_KEPT entries, not among the keep (n of them) and not what restore
 * puts back, generations that gave way to one of the same policy, files that none needs, and what killed processes
 * left; nothing if `confirmed` cannot be read.
 */
int store_name(const struct control_state *st, const struct store_policy *p, const char *again,
	       struct store_entry *to, struct sluice_err *err);
int store_put(const struct control_state *st, const struct store_policy *p, const struct store_entry *entry,
	      struct sluice_err *err);
void store_forget(const struct control_state *st, const char *name);
int store_mend(const struct control_state *st, const struct store_policy *p,
	       const struct control_generation *live, bool *mended, struct sluice_err *err);
int store_ready(const struct control_state *st, const char *name, struct sluice_err *err);
int store_confirm(const struct control_state *st, const char *name, struct sluice_err *err);
int store_confirmed(const struct control_state *st, char name[CONTROL_NAME], struct sluice_err *err);
int store_entry(const struct control_state *st, const char *name, struct store_entry *to, struct sluice_err *err);
int store_history(const struct control_state *st, struct store_entry **to, uint32_t *n, struct sluice_err *err);
int store_find(const struct control_state *st, uint32_t number, char name[CONTROL_NAME],
	       struct sluice_err *err);
void store_prune(const struct control_state *st, const char *const *keep, uint32_t n);

#endif
