// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Observers: programs in front of a chain that are gone when their process is.
 *
 * The chain calls each through a prog array of one slot that is pinned nowhere. The process that observes opens the
 * array and puts its program in. A prog array counts its holders (descriptors and pins) apart from the programs that
 * use it, and the kernel empties it when the last holder goes (prog_array_map_clear() in kernel/bpf/arraymap.c): when
 * the process ends, in whatever way, the slot is empty and the chain goes on without it.
 *
 * The kernel empties it from a work queue, a moment later. Nobody else may open the array in that moment: closing it again
 * asks for another emptying, which may come after the slot was filled anew, and two that wait at once cost the kernel the
 * array for good (so Linux 6.18). Hence a slot is never used twice, and whether its process lives is asked of a lock file.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "hook/change.h"

/* An observer that checks or leaves must not hang on somebody else's change: the next change drops an empty slot anyway. */
#define SHORT_WAIT_NS 300000000ull

struct sluice_observer {
	int ifindex;
	struct sluice_program *prog[2]; /* without and with multi-buffer support */
	struct sluice_attach_opts opts;
	int map_fd, link_fd;
	struct place_lock alive; /* held as long as this process observes */
	uint32_t map_id, prog_id; /* our slot; the chain's program that has it */
};

static uint32_t map_id_of(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int fill_slot(struct sluice_observer *o, bool frags, struct sluice_err *err)
{
	int prog_fd = sluice_program_fd(o->prog[frags]);
	uint32_t zero = 0;

	if (!bpf_map_update_elem(o->map_fd, &zero, &prog_fd, BPF_ANY))
		return 0;
	return err_set(err, -errno, "putting the observer in its place: %s", strerror(errno));
}

static int add_slot(struct sluice_observer *o, struct change *c, struct sluice_attached *got, struct sluice_err *err)
{
	struct sluice_attach_opts opts = c->opts;
	int e, high;

	change_drop_slots(c);
	if (c->next->n_observers == JOIN_MAX_OBSERVERS)
		return err_set(err, -EBUSY, "%d programs observe this interface already", JOIN_MAX_OBSERVERS);
	o->map_fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, OBSERVER_MAP_NAME, 4, 4, 1, NULL);
	if (o->map_fd < 0)
		return errno == EPERM ? privilege_missing("creating a BPF map", err) :
					err_set(err, -errno, "creating a prog array: %s", strerror(errno));
	o->map_id = map_id_of(o->map_fd);
	e = place_slot_hold(o->map_id, &o->alive, err);
	if (e)
		return e;
	/* a process that ends closes in order of number: the lock first, so that nobody takes a dying slot for a live one */
	high = fcntl(o->map_fd, F_DUPFD_CLOEXEC, o->alive.fd + 1);
	if (high >= 0) {
		close(o->map_fd);
		o->map_fd = high;
	}
	c->next->observer_map_id[c->next->n_observers++] = o->map_id;
	if (c->old)
		c->opts.mode = SLUICE_MODE_AUTO; /* whatever it runs in */
	e = change_commit(c, got, &o->link_fd, err);
	c->opts = opts;
	return e ?: fill_slot(o, c->next->frags, err);
}

static int enter(struct sluice_observer *o, uint64_t wait_ns, struct sluice_attached *got, struct sluice_err *err)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	struct change c;
	int e = change_begin(&c, o->ifindex, &o->opts, wait_ns, err);

	if (!e && c.foreign && !o->opts.force)
		e = change_foreign(&c, err);
	if (e)
		goto out;
	e = add_slot(o, &c, got, err);
	if (!e && o->link_fd >= 0 && !bpf_obj_get_info_by_fd(o->link_fd, &info, &len))
		o->prog_id = info.prog_id;
out:
	change_end(&c);
	return e;
}

static void let_go(struct sluice_observer *o)
{
	place_unlock(&o->alive);
	if (o->map_fd >= 0)
		close(o->map_fd);
	if (o->link_fd >= 0)
		close(o->link_fd);
	o->map_fd = o->link_fd = -1;
	o->map_id = o->prog_id = 0;
}

int sluice_observer_open(int ifindex, struct sluice_program *prog, struct sluice_program *prog_frags,
			 const struct sluice_attach_opts *opts, struct sluice_observer **obs, struct sluice_attached *got,
			 struct sluice_err *err)
{
	struct sluice_observer *o = calloc(1, sizeof(*o));
	int e;

	*obs = NULL;
	if (got)
		memset(got, 0, sizeof(*got));
	if (!o)
		return err_nomem(err);
	o->ifindex = ifindex;
	o->prog[0] = prog;
	o->prog[1] = prog_frags;
	if (opts)
		o->opts = *opts;
	o->map_fd = o->link_fd = o->alive.fd = -1;
	e = enter(o, CHANGE_WAIT_NS, got, err);
	if (e) {
		let_go(o);
		free(o);
		return e;
	}
	*obs = o;
	return 0;
}

int sluice_observer_check(struct sluice_observer *o, struct sluice_err *err)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info), i;
	struct state *s = NULL;
	char name[IF_NAMESIZE];
	bool in = false;
	int fd;

	if (o->link_fd >= 0 && !bpf_obj_get_info_by_fd(o->link_fd, &info, &len) && info.xdp.ifindex) {
		if (info.prog_id == o->prog_id)
			return 0;
		fd = bpf_prog_get_fd_by_id(info.prog_id);
		if (fd >= 0 && !state_load(fd, &s, NULL))
			for (i = 0; i < s->n_observers; i++)
				in |= s->observer_map_id[i] == o->map_id;
		state_free(s);
		if (fd >= 0)
			close(fd);
		if (in) {
			o->prog_id = info.prog_id;
			return 0;
		}
	}
	if (!if_indextoname((unsigned int)o->ifindex, name))
		return err_set(err, -ENODEV, "the interface is gone");
	let_go(o); /* the chain was taken off, or changed in a way that left no place for us: come anew */
	return enter(o, SHORT_WAIT_NS, NULL, err);
}

void sluice_observer_close(struct sluice_observer *o)
{
	uint32_t zero = 0, i, n = 0;
	struct change c;

	if (!o)
		return;
	if (o->map_fd >= 0)
		bpf_map_delete_elem(o->map_fd, &zero);
	/* where others go on, take the empty slot out of their way; a chain of nobody else ends with its link */
	if (!change_begin(&c, o->ifindex, &o->opts, SHORT_WAIT_NS, NULL) && c.old) {
		for (i = 0; i < c.next->n_observers; i++)
			if (c.next->observer_map_id[i] != o->map_id)
				c.next->observer_map_id[n++] = c.next->observer_map_id[i];
		if (n < c.next->n_observers) {
			c.next->n_observers = n;
			c.opts.mode = SLUICE_MODE_AUTO;
			change_commit(&c, NULL, NULL, NULL);
		}
	}
	change_end(&c);
	let_go(o);
	free(o);
}
