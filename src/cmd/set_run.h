/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the verbs about run-time sets share. */
#ifndef CMD_SET_RUN_H
#define CMD_SET_RUN_H

#include "cmd/cli.h"
#include "control/sets_live.h"

extern const struct cli_verb set_list_verb, set_add_verb, set_del_verb, set_test_verb, set_flush_verb,
	set_load_verb, set_save_verb;
int set_list_run(int argc, char **argv);
int set_add_run(int argc, char **argv);
int set_del_run(int argc, char **argv);
int set_test_run(int argc, char **argv);
int set_flush_run(int argc, char **argv);
int set_load_run(int argc, char **argv);
int set_save_run(int argc, char **argv);

/* set_open() opens the sets in force; for control_live_close(), also after a failure. */
int set_open(struct control_live *live, struct sluice_err *err);

/* set_beside() warns if a policy that may be in force again has not got a change. */
void set_beside(const struct cli_verb *verb, const struct control_live *live);

/* set_words() takes "for TIME" and "in SET" off the end of the arguments, in either order. -EINVAL */
struct set_words {
	const char *in;	 /* NULL: not there */
	uint64_t for_ns; /* 0: not there */
};
int set_words(char **args, int *n_args, bool in, struct set_words *words, struct sluice_err *err);

/* set_elems() reads addresses, prefixes and ranges, "-": those that stand in standard input; the caller frees both v. -EINVAL */
int set_elems(char **args, int n_args, struct filter_elems elems[2], struct sluice_err *err);
void set_elems_free(struct filter_elems elems[2]);

/*
 * set_guard() refuses elements that have the address in them that this session comes from. set_guard_in() does so where a
 * rule of the policy in force drops by the set, not where it lets in. errors: -EBUSY
 */
int set_guard(const struct filter_elems elems[2], struct sluice_err *err);
int set_guard_in(const char *set, const struct filter_elems elems[2], struct sluice_err *err);

/*
 * set_guard_out() refuses to take the address that this session comes from out of a set that lets it in by a rule of the policy in
 * force. errors: -EBUSY
 *
 * in:      gone          what goes, of both families; NULL: everything
 *          stays, timed  what is in it afterwards, besides what expires; NULL: nothing
 */
int set_guard_out(struct control_live *live, uint32_t nr, const struct filter_elems *gone,
		  const struct filter_elems *stays, const struct filter_elems *timed, struct sluice_err *err);

/* set_until() is when what is added now expires: after for_ns, else the set's timeout, 0: never. */
uint32_t set_until(const struct control_set *set, uint64_t for_ns);

/* set_elem() writes an element, "192.0.2.0/24"; set_left() a time, "1h5m"; both return to. */
#define SET_ELEM (NET_ADDR_TEXT + 4)
char *set_elem(bool v6, const struct sets_elem *e, char to[SET_ELEM]);
#define SET_LEFT 24
/* set_seconds(): from now until a second of control_sets_now(), at least 1; 0: never */
uint32_t set_seconds(uint32_t expires);
char *set_left(uint32_t seconds, char to[SET_LEFT]);

/*
 * set_put() adds elements to a set of the policy in force and prints what became of each, word in front: "banned
 * 192.0.2.1 in banned for 10m". set_take() deletes them. Both return the exit code.
 *
 * in:      in     the set's name; NULL: the one that control_live_choose() finds
 *          force  set_guard_out() is not asked
 */
int set_put(const struct cli_verb *verb, const char *word, const char *in, const struct filter_elems elems[2],
	    uint64_t for_ns);
int set_take(const struct cli_verb *verb, const char *word, const char *in,
	     const struct filter_elems elems[2], bool force);

#endif
