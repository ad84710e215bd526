/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The run-time sets of the policy that is in force, for those who change them: the lock, the map, and while a
 * policy is on trial also the map of the one before it, which may come back by itself.
 */
#ifndef CONTROL_SETS_LIVE_H
#define CONTROL_SETS_LIVE_H

#include "base/buf.h"
#include "control/sets.h"
#include "control/state.h"

struct control_live {
	struct control_state *st;
	char name[CONTROL_NAME]; /* of the generation in force */
	struct control_sets *sets;
	struct control_sets *other; /* of the generation that may be in force next; NULL: there is none */
	int fd, other_fd;
	char next[CONTROL_NAME]; /* that generation */
	bool no_sets;		 /* -ENOENT, for the policy in force has none */
	struct sluice_err beside; /* why it has not got a change, the first one; code 0: it has all */
};

/*
 * control_live_open() locks, and opens what there is.
 *
 * in:      bpffs    NULL: as control_state_open() finds it; wait_ns for the lock
 * owns:    the caller closes with control_live_close(), also after a failure
 * errors:  -ENOENT no policy is in force, it has no such sets, or they are not pinned any more; -EBUSY the lock;
 *          -EPERM; -EBADMSG
 */
int control_live_open(const char *bpffs, uint64_t wait_ns, struct control_live *live, struct sluice_err *err);
void control_live_close(struct control_live *live);

/*
 * control_live_choose() is the set that is meant where none is named: the only one with a timeout, else the one
 * that is called "banned".
 * errors:  -ENOENT there is none, -EINVAL there are several: err names them
 */
int control_live_choose(const struct control_live *live, uint32_t *nr, struct sluice_err *err);

/*
 * The same as control_sets_add(), _del(), _load() and _flush(), for both generations: err is of the one in force.
 * What the other one has no set for is left; what it has no room for is left, too, and live->beside says so: to be
 * shown. A file is loaded into both only if both have the set from that file (or from none).
 */
int control_live_add(struct control_live *live, uint32_t nr, bool v6, const struct sets_elem *elem,
		     enum control_added *what, struct sluice_err *err);
int control_live_del(struct control_live *live, uint32_t nr, bool v6, const struct sets_elem *elem,
		     struct sluice_err *err);
int control_live_load(struct control_live *live, uint32_t nr, const struct filter_elems elems[2],
		      const struct filter_elems timed[2], struct sets_change *done, struct sluice_err *err);
int control_live_flush(struct control_live *live, uint32_t nr, uint64_t *n, struct sluice_err *err);

/*
 * control_sets_read() reads a file of addresses. Its text is not trusted.
 *
 * out:     elems  IPv4, IPv6; the caller frees both v
 *          *loose prefixes that had bits beyond their length
 * errors:  -EBADMSG "FILE:LINE: SENTENCE"; -ENOENT, -EACCES, -ENOEXEC, -EFBIG of the file; -ENOMEM
 * cost:    a tenth of a second a million lines, more if they are not sorted
 */
int control_sets_read(const char *path, struct filter_elems elems[2], uint64_t *loose,
		      struct sluice_err *err);

/*
 * control_sets_saved() reads a file likewise, and what control_sets_text() wrote apart: elements with a time behind
 * them go to timed, their expires the seconds that are left. In a file of other origin there are none.
 */
int control_sets_saved(const char *path, struct filter_elems elems[2], struct filter_elems timed[2],
		       uint64_t *loose, struct sluice_err *err);

/*
 * control_sets_text() appends a set as text that control_sets_read() and _saved() read: what expires has the seconds
 * that are left behind it, as a comment.
 * control_sets_save() writes that into a file, by a temporary file that is renamed, mode 0600; a link is followed.
 *
 * out:     *n  elements
 * errors:  -EINVAL what is there is no regular file; of the file
 */
int control_sets_text(struct control_sets *sets, uint32_t nr, struct buf *to, uint64_t *n,
		      struct sluice_err *err);
int control_sets_save(struct control_sets *sets, uint32_t nr, const char *path, uint64_t *n,
		      struct sluice_err *err);

#endif
