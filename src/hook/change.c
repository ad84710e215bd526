// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One change of one interface, from lock to unlock. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "base/err.h"
#include "bpf/privilege.h"
#include "hook/change.h"
#include "hook/generation.h"

static const char *if_name(int ifindex, char *to)
{
	if (!if_indextoname((unsigned int)ifindex, to))
		snprintf(to, IF_NAMESIZE, "if%d", ifindex);
	return to;
}

int change_foreign(const struct change *c, struct sluice_err *err)
{
	static const char *const word[] = {"xdp", "xdpdrv", "xdpgeneric", "xdpoffload"}; /* as ip link calls the modes */
	bool libxdp = !strcmp(c->prog_name, "xdp_dispatcher");
	char name[IF_NAMESIZE], how[128];

	if_name(c->ifindex, name);
	if (libxdp)
		snprintf(how, sizeof(how), "xdp-loader unload %s --all", name);
	else if (c->at.link_id)
		snprintf(how, sizeof(how), "ending its owner (sluice show %s)", name);
	else
		snprintf(how, sizeof(how), "ip link set dev %s %s off", name, word[c->at.mode]);
	return err_set(err, -EBUSY, "%s is there: program %u (%s), %s mode%s; take it off by %s, or by sluice detach %s --all --force",
		       libxdp ? "a libxdp dispatcher" : "a program that is not Sluice's", c->at.prog_id, c->prog_name,
		       sluice_mode_name(c->at.mode), c->at.link_id ? ", held by a link" : "", how, name);
}

/* What is attached, opened; tells a chain of Sluice from anything else. */
static int open_attached(struct change *c, struct sluice_err *err)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int e;

	c->prog_fd = bpf_prog_get_fd_by_id(c->at.prog_id);
	if (c->prog_fd < 0)
		return errno == EPERM ? privilege_missing("opening the program that is attached", err) :
					err_set(err, -EBUSY, "program %u was attached a moment ago and is gone", c->at.prog_id);
	if (!bpf_obj_get_info_by_fd(c->prog_fd, &info, &len))
		snprintf(c->prog_name, sizeof(c->prog_name), "%s", info.name);
	if (c->at.link_id)
		c->link_fd = bpf_link_get_fd_by_id(c->at.link_id);
	c->foreign = true;
	if (c->link_fd < 0 || strcmp(info.name, STATE_PROG_NAME) != 0)
		return 0;
	e = state_load(c->prog_fd, &c->old, err);
	if (e == -ENOENT || (e == -EBADMSG && c->opts.force))
		return 0; /* a program of that name that is not ours, or cannot be read and may be thrown away */
	if (!e)
		e = state_load(c->prog_fd, &c->next, err);
	c->foreign = false;
	return e;
}

int change_begin(struct change *c, int ifindex, const struct sluice_attach_opts *opts, uint64_t wait_ns,
		 struct sluice_err *err)
{
	int e;

	memset(c, 0, sizeof(*c));
	c->ifindex = ifindex;
	c->prog_fd = c->link_fd = c->lock.fd = -1;
	if (opts)
		c->opts = *opts;
	if (ifindex <= 0)
		return err_set(err, -ENODEV, "there is no interface number %d", ifindex);
	e = place_lock(ifindex, wait_ns, &c->lock, err);
	if (!e)
		e = place_query(ifindex, &c->at, err);
	if (!e && c->opts.expect_prog_id && c->opts.expect_prog_id != c->at.prog_id)
		e = c->at.prog_id ? err_set(err, -EBUSY, "program %u is attached, not %u as expected", c->at.prog_id,
					    c->opts.expect_prog_id) :
				    err_set(err, -EBUSY, "nothing is attached, program %u was expected", c->opts.expect_prog_id);
	if (!e && c->at.prog_id)
		e = open_attached(c, err);
	if (!e && !c->next && !(c->next = state_new()))
		e = err_nomem(err);
	return e;
}

void change_end(struct change *c)
{
	state_free(c->old);
	state_free(c->next);
	if (c->link_fd >= 0)
		close(c->link_fd);
	if (c->prog_fd >= 0)
		close(c->prog_fd);
	place_unlock(&c->lock);
}

static int mtu_of(int ifindex)
{
	struct ifreq r = {0};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 0;

	if (s >= 0 && if_indextoname((unsigned int)ifindex, r.ifr_name) && !ioctl(s, SIOCGIFMTU, &r))
		mtu = r.ifr_mtu;
	if (s >= 0)
		close(s);
	return mtu;
}

static int explain_link(const struct change *c, enum sluice_mode mode, int e, struct sluice_err *err)
{
	char name[IF_NAMESIZE];

	if_name(c->ifindex, name);
	switch (e) {
	case -EPERM:
		return privilege_missing("attaching to an interface", err);
	case -ENODEV:
		return err_set(err, -ENODEV, "the interface is gone");
	case -EBUSY:
	case -EEXIST:
		return err_set(err, -EBUSY, "somebody else attached a program at the same moment");
	case -ERANGE:
		return err_set(err, -ERANGE,
			       "MTU %d is too large for %s mode without multi-buffer support; build the program with "
			       "SEC(\"xdp.frags\"), lower the MTU, or use --mode generic", mtu_of(c->ifindex),
			       sluice_mode_name(mode));
	case -EOPNOTSUPP:
	case -EINVAL:
		/* some drivers refuse a large MTU with -EINVAL, which also means that they cannot at all */
		if (e == -EINVAL && mtu_of(c->ifindex) > 3498 && !c->next->frags && mode == SLUICE_MODE_NATIVE)
			return explain_link(c, mode, -ERANGE, err);
		return err_set(err, -EOPNOTSUPP, "%s has no XDP in %s mode%s", name, sluice_mode_name(mode),
			       mode == SLUICE_MODE_NATIVE ? "; use --mode generic" : mode == SLUICE_MODE_OFFLOAD ?
			       ": this takes a network card that runs BPF itself; use --mode native" : "");
	default:
		return err_set(err, e, "the kernel refused the link: %s", strerror(-e));
	}
}

static int create_link(const struct change *c, int prog_fd, enum sluice_mode mode, int *link_fd, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = place_mode_flags(mode));

	*link_fd = bpf_link_create(prog_fd, c->ifindex, BPF_XDP, &opts);
	return *link_fd < 0 ? explain_link(c, mode, -errno, err) : 0;
}

/* auto: native if the driver can, generic otherwise; says why. */
static int first_link(struct change *c, int prog_fd, int *link_fd, struct sluice_attached *got, struct sluice_err *err)
{
	enum sluice_mode mode = c->opts.mode == SLUICE_MODE_AUTO ? SLUICE_MODE_NATIVE : c->opts.mode;
	struct sluice_err why = {0};
	int e = create_link(c, prog_fd, mode, link_fd, &why);

	if (e && c->opts.mode == SLUICE_MODE_AUTO && (e == -EOPNOTSUPP || e == -ERANGE)) {
		mode = SLUICE_MODE_GENERIC;
		if (got) /* without the advice to do what is being done */
			snprintf(got->why, sizeof(got->why), "%.*s", (int)strcspn(why.text, ";"), why.text);
		e = create_link(c, prog_fd, mode, link_fd, &why);
	}
	if (e)
		return err_set(err, e, "%s", why.text);
	c->at.mode = mode;
	return 0;
}

static int take_off_foreign(struct change *c, struct sluice_err *err)
{
	int e = place_take_off(c->ifindex, &c->at, c->prog_fd, err);

	if (!e && c->link_fd >= 0) {
		close(c->link_fd);
		c->link_fd = -1;
	}
	return e;
}

/* The program that was there goes back where it was; a link that held it stays what it is, detached. */
static int put_back(const struct change *c, bool had_link, struct sluice_err *err)
{
	int e = bpf_xdp_attach(c->ifindex, c->prog_fd, (__u32)c->at.flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	char text[SLUICE_ERR_MAX];

	if (!err)
		return e;
	snprintf(text, sizeof(text), "%s", err->text);
	if (e)
		return err_set(err, err->code, "%.1200s; program %u, which was there, could not be put back: %s", text, c->at.prog_id,
			       strerror(-e));
	return err_set(err, err->code, "%.1200s; program %u is back where it was%s", text, c->at.prog_id,
		       had_link ? ", without the link that held it" : "");
}

/* The new program in, one atomic step if something of Sluice runs already. */
static int switch_over(struct change *c, int prog_fd, struct sluice_attached *got, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE, .old_prog_fd = (__u32)c->prog_fd);
	bool had_link = c->link_fd >= 0;
	int e;

	if (c->old) {
		if (c->opts.mode != SLUICE_MODE_AUTO && c->opts.mode != c->at.mode)
			return err_set(err, -EBUSY, "the chain runs in %s mode; detach it first to run it in %s mode",
				       sluice_mode_name(c->at.mode), sluice_mode_name(c->opts.mode));
		if (!bpf_link_update(c->link_fd, prog_fd, &opts))
			return 0;
		return explain_link(c, c->at.mode, errno == EPERM ? -EBUSY : -errno, err);
	}
	if (c->foreign) {
		e = take_off_foreign(c, err);
		if (e)
			return e;
	}
	e = first_link(c, prog_fd, &c->link_fd, got, err);
	if (e && c->foreign)
		put_back(c, had_link, err);
	return e;
}

/* Maps of next that die without a holder; pinned before the switch, so that the new program never runs without them. */
static int keep_maps(struct change *c, uint32_t *ids, uint32_t *n, struct sluice_err *err)
{
	uint32_t i, k;
	int e;

	*n = 0;
	for (i = 0; i < c->next->n_members; i++)
		for (k = 0; k < c->next->member[i].n_maps && *n < 1024; k++) {
			if (!place_needs_keep(c->next->member[i].map_id[k]))
				continue;
			e = place_keep(c->dir, c->next->member[i].map_id[k], err);
			if (e)
				return e;
			ids[(*n)++] = c->next->member[i].map_id[k];
		}
	return 0;
}

static int pin_link(struct change *c, struct sluice_err *err)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info), mine;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/link", c->dir);
	if (!bpf_obj_pin(c->link_fd, path))
		return 0;
	if (errno == EEXIST) {
		/* ours, or left over from a chain that somebody took off by force */
		bpf_obj_get_info_by_fd(c->link_fd, &info, &len);
		mine = info.id;
		fd = bpf_obj_get(path);
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.id == mine) {
			close(fd);
			return 0;
		}
		if (fd >= 0)
			close(fd);
		unlink(path);
		if (!bpf_obj_pin(c->link_fd, path))
			return 0;
	}
	return err_set(err, -errno, "pinning the link as %s: %s", path, strerror(errno));
}

/* The folder of the chain's pins: where they are, if there are some; the state remembers it. */
static int find_dir(struct change *c, struct sluice_err *err)
{
	bool there = c->next->dir[0] && !access(c->next->dir, F_OK);
	int e = 0;

	if (!there || c->opts.bpffs) /* one that was named must be one, even if it is not needed */
		e = place_dir(c->opts.bpffs, c->ifindex, !there, c->dir, sizeof(c->dir), err);
	if (there)
		snprintf(c->dir, sizeof(c->dir), "%s", c->next->dir);
	if (!e)
		snprintf(c->next->dir, sizeof(c->next->dir), "%s", c->dir);
	return e;
}

static void remove_pins(struct change *c)
{
	if (c->old && c->old->dir[0])
		place_remove(c->old->dir);
	else if (!place_dir(c->opts.bpffs, c->ifindex, false, c->dir, sizeof(c->dir), NULL))
		place_remove(c->dir);
}

static int go_away(struct change *c, struct sluice_err *err)
{
	if (c->link_fd >= 0 && bpf_link_detach(c->link_fd) && errno != ENOLINK)
		return err_set(err, -errno, "detaching: %s", strerror(errno));
	remove_pins(c);
	return 0;
}

static bool was_there(const struct state *old, uint32_t map_id)
{
	uint32_t i;

	for (i = 0; old && i < old->n_observers; i++)
		if (old->observer_map_id[i] == map_id)
			return true;
	return false;
}

void change_drop_slots(struct change *c)
{
	struct state *s = c->next;
	bool frags = s->n_members || s->frags;
	uint32_t i, n = 0;

	for (i = 0; i < s->n_members; i++)
		frags &= s->member[i].code->frags;
	for (i = 0; i < s->n_observers; i++) {
		bool old = was_there(c->old, s->observer_map_id[i]);

		if (!old || (c->old->frags == frags && place_slot_held(s->observer_map_id[i])))
			s->observer_map_id[n++] = s->observer_map_id[i];
	}
	s->n_observers = n;
}

static uint32_t prog_id_of(int fd)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

int change_commit(struct change *c, struct sluice_attached *got, int *keep_link, struct sluice_err *err)
{
	uint32_t keep[1024], n_keep = 0;
	bool pinned = c->next->n_members > 0, had_members = c->old && c->old->n_members;
	int prog_fd = -1, e;

	change_drop_slots(c);
	if (!c->next->n_members && !c->next->n_observers)
		return go_away(c, err);
	if (pinned) {
		e = find_dir(c, err);
		if (e)
			return e;
	}
	else
		c->next->dir[0] = '\0';
	e = generation_load(c->next, &prog_fd, err);
	if (!e && pinned)
		e = keep_maps(c, keep, &n_keep, err);
	if (!e && pinned && c->old) /* the link stays the same one: what can fail comes before the switch */
		e = pin_link(c, err);
	if (!e && c->old) /* once before, so that a process killed in between loses moments of counting, not all of it */
		generation_carry(c->old, c->next, false);
	if (!e && c->last)
		c->last(c->last_ctx);
	if (!e)
		e = switch_over(c, prog_fd, got, err);
	if (!e && pinned && !c->old)
		e = pin_link(c, err);
	if (e) {
		if (pinned && !had_members)
			place_remove(c->dir);
		goto out;
	}
	if (c->old)
		generation_carry(c->old, c->next, true);
	if (pinned)
		place_unkeep(c->dir, keep, n_keep);
	else
		remove_pins(c); /* the observers hold the link now */
	if (got) {
		got->mode = c->at.mode;
		got->prog_id = prog_id_of(prog_fd);
	}
	if (keep_link) {
		*keep_link = c->link_fd;
		c->link_fd = -1;
	}
out:
	if (prog_fd >= 0)
		close(prog_fd);
	return e;
}
