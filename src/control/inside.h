/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of this room share, and others do not need. */
#ifndef CONTROL_INSIDE_H
#define CONTROL_INSIDE_H

#include <string.h>
#include <sluice/chain.h>

#include "control/state.h"

#define CONTROL_RUN "/run/sluice"
#define CONTROL_LIB "/var/lib/sluice/policy"
#define CONTROL_HASH 12 /* hexadecimal digits of it in a name */

/* What several interfaces are switched to when the policy is taken off them: a generation without parts. */
#define CONTROL_EMPTY "0-000000000000"

/* control_name_ok(): is it NUMBER-HASH? What comes out of files becomes part of paths. */
bool control_name_ok(const char *name);
/* control_same_policy(): do two generations' names say that their policies are the same? "" is the same as none. */
static inline bool control_same_policy(const char *a, const char *b)
{
	return a[0] && b[0] && !strcmp(strchr(a, '-'), strchr(b, '-'));
}
void control_map_name(enum control_map map, uint32_t which, char to[32]);

/* control_step() tells a test that a step is done. */
static inline void control_step(const struct control_state *st, const char *done)
{
	if (st->step)
		st->step(st->step_ctx, done);
}

/* control_same_file(): is what is open still what the path leads to? */
bool control_same_file(int fd, const char *path);

/* control_warn() says what went wrong while the change itself is done; the first one stays, but -EHOSTUNREACH. */
void control_warn(const struct control_state *st, const struct sluice_err *why, const char *what);

/* control_sweep() removes the state of namespaces that are gone, where that can be told. */
void control_sweep(const struct control_state *st);

/* control_until() reads a generation's deadline. */
int control_until(const struct control_state *st, const char *generation, uint64_t *until_ns,
		  struct sluice_err *err);

/* control_switched(): has the change of the record, CONTROL_APPLY or CONTROL_DOWN, been done on its one interface? */
int control_switched(const struct control_state *st, bool *yes, struct sluice_err *err);

/* control_state_record() writes st->record. */
int control_state_record(struct control_state *st, struct sluice_err *err);
/* control_state_forget() removes the record: then no policy is in force. */
void control_state_forget(const struct control_state *st);

/* A generation's folder under /run, and the file in it that says what it is made of. */
int control_generation_dir(const struct control_state *st, const char *name, char to[PATH_MAX], struct sluice_err *err);
int control_generation_write(const struct control_state *st, const struct control_generation *g, struct sluice_err *err);

/*
 * control_part_on() asks the kernel what is on the interface of a part.
 * errors:  those of sluice_chain_read(): -ENODEV the interface is gone
 */
struct control_on {
	bool member; /* there is a member of the policy's owner and the part's kind, */
	bool itself; /* it is this part's program, */
	bool detour; /* or the program that chooses between this generation and the one before it */
	uint32_t behind, n_members; /* members in front of it, and all of them */
	enum sluice_owner owner;
	enum sluice_mode mode;
	char ifname[16]; /* as it is called now */
	char prog_name[64];
};
int control_part_on(const struct control_state *st, const struct control_generation *g, uint32_t part,
		    struct control_on *on, struct sluice_err *err);
uint32_t control_map_id(int fd); /* 0: it has none */

/* What members of a kind are called: names, and objects by which they are found again. */
const char *control_member_name(enum control_kind kind);
const char *control_member_object(enum control_kind kind);

#endif
