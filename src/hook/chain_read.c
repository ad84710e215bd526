// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Telling what is attached to an interface, Sluice's or not. Reads only. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "bpf/privilege.h"
#include "hook/generation.h"
#include "hook/place.h"
#include "hook/state.h"

/* The kernel gives the load time on the boot clock. */
static uint64_t boot_to_wall(uint64_t boot_ns)
{
	uint64_t ns = clock_wall_ns() - clock_of(CLOCK_BOOTTIME) + boot_ns;

	return ns - ns % 1000000; /* two clocks are not read at the same moment: the rest would be noise */
}

/* The kernel keeps 15 characters of a name; the type information may have all of it. */
static void full_name(const struct bpf_prog_info *info, struct bpf_func_info *first, char *to, size_t size)
{
	struct btf *btf = info->btf_id && info->nr_func_info ? btf__load_from_kernel_by_id(info->btf_id) : NULL;
	const struct btf_type *t = btf ? btf__type_by_id(btf, first->type_id) : NULL;
	const char *name = t ? btf__name_by_offset(btf, t->name_off) : NULL;

	text_printable(name && !strncmp(name, info->name, strlen(info->name)) ? name : info->name, to, size);
	btf__free(btf);
}

static void read_prog(int fd, struct sluice_chain_info *c)
{
	struct bpf_func_info first = {0};
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	info.nr_func_info = 1;
	info.func_info_rec_size = sizeof(first);
	info.func_info = (uintptr_t)&first;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return;
	full_name(&info, &first, c->prog_name, sizeof(c->prog_name));
	memcpy(c->prog_tag, info.tag, sizeof(c->prog_tag));
	c->loaded_ns = boot_to_wall(info.load_time);
	c->loaded_by_uid = info.created_by_uid;
	c->run_cnt = info.run_cnt;
	c->run_time_ns = info.run_time_ns;
}

/* Does a descriptor's fdinfo name this link? */
static bool holds(int dirfd, const char *fdname, uint32_t link_id)
{
	char text[512], *at;
	int fd = openat(dirfd, fdname, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "link_id:");
	return at && strtoul(at + 8, NULL, 10) == link_id;
}

/* The process that holds a link, as "pid (comm)": the only trace of whose it is. */
static void find_holder(uint32_t link_id, char *to, size_t size)
{
	DIR *proc = opendir("/proc"), *fds;
	struct dirent *p, *f;
	char path[64], comm[32] = "";
	bool found = false;
	ssize_t n;
	int fd;

	while (proc && !found && (p = readdir(proc))) {
		if (!isdigit((unsigned char)p->d_name[0]) || (pid_t)atol(p->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/fdinfo", p->d_name);
		fds = opendir(path);
		while (fds && !found && (f = readdir(fds)))
			found = isdigit((unsigned char)f->d_name[0]) && holds(dirfd(fds), f->d_name, link_id);
		if (fds)
			closedir(fds);
		if (!found)
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", p->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd >= 0 ? read(fd, comm, sizeof(comm) - 1) : 0;
		if (fd >= 0)
			close(fd);
		comm[n > 0 ? n : 0] = '\0';
		comm[strcspn(comm, "\n")] = '\0';
		snprintf(to, size, "%.20s (", p->d_name);
		text_printable(comm, to + strlen(to), size - strlen(to) - 1);
		snprintf(to + strlen(to), size - strlen(to), ")");
	}
	if (proc)
		closedir(proc);
}

static void fill_member(const struct state_member *m, const struct generation_counts *n, struct sluice_member_info *to)
{
	uint32_t v;

	memcpy(to->name, m->name, sizeof(to->name));
	memcpy(to->owner, m->owner, sizeof(to->owner));
	memcpy(to->object, m->object, sizeof(to->object));
	memcpy(to->tag, m->tag, sizeof(to->tag));
	to->priority = m->priority;
	to->go_on = m->go_on;
	to->n_insns = m->code->n_insns;
	to->inlined = m->inlined;
	to->attached_ns = m->attached_ns;
	to->n_maps = m->n_maps;
	memcpy(to->map_ids, m->map_id, sizeof(to->map_ids));
	to->passed_on = n->passed_on;
	to->runs = n->passed_on;
	for (v = 0; v < 6; v++) {
		to->verdict[v] = n->ended[v];
		to->runs += n->ended[v];
	}
}

static int fill_members(struct sluice_chain_info *c, const struct state *s, struct sluice_err *err)
{
	struct generation_counts *counts = calloc(SLUICE_CHAIN_MAX, sizeof(*counts));
	uint32_t i;

	c->member = calloc(s->n_members + 1, sizeof(*c->member));
	if (!counts || !c->member) {
		free(counts);
		return err_nomem(err);
	}
	generation_counts(s, counts, NULL);
	c->frags = s->frags;
	c->n_observers = s->n_observers;
	for (i = 0; i < s->n_members; i++)
		fill_member(&s->member[i], &counts[i], &c->member[i]);
	c->n_members = s->n_members;
	free(counts);
	return 0;
}

static void find_pin(struct sluice_chain_info *c, const char *known)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	char dir[256];
	int fd;

	snprintf(dir, sizeof(dir), "%s", known);
	if (!dir[0] && place_dir(NULL, c->ifindex, false, dir, sizeof(dir), NULL))
		return;
	snprintf(c->pin, sizeof(c->pin), "%.249s/link", dir);
	fd = bpf_obj_get(c->pin);
	c->pinned = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.id == c->link_id;
	if (fd >= 0)
		close(fd);
	if (!c->pinned)
		c->pin[0] = '\0';
}

static int read_attached(struct sluice_chain_info *c, struct sluice_err *err)
{
	int fd = bpf_prog_get_fd_by_id(c->prog_id), e = 0;
	struct state *s = NULL;

	c->owner = SLUICE_OWNER_OTHER;
	if (fd < 0 && errno == EPERM) {
		c->owner = SLUICE_OWNER_UNKNOWN;
		return 0;
	}
	if (fd < 0)
		return err_set(err, -EBUSY, "program %u was attached a moment ago and is gone", c->prog_id);
	read_prog(fd, c);
	if (!strcmp(c->prog_name, "xdp_dispatcher"))
		c->owner = SLUICE_OWNER_LIBXDP;
	if (c->link_id && !strcmp(c->prog_name, STATE_PROG_NAME)) {
		e = state_load(fd, &s, err);
		if (!e) {
			c->owner = SLUICE_OWNER_SLUICE;
			e = fill_members(c, s, err);
		} else if (e == -ENOENT || e == -EBADMSG) {
			e = 0; /* said to be ours, cannot be read: somebody else's, as far as can be told */
		}
	}
	close(fd);
	if (!e && c->link_id)
		find_pin(c, s ? s->dir : "");
	if (!e && c->link_id && !c->pinned)
		find_holder(c->link_id, c->holder, sizeof(c->holder));
	state_free(s);
	return e;
}

static int read_once(int ifindex, const struct place_attached *at, struct sluice_chain_info **info, struct sluice_err *err)
{
	struct sluice_chain_info *c = calloc(1, sizeof(*c));
	int e = 0;

	*info = NULL;
	if (!c)
		return err_nomem(err);
	c->ifindex = ifindex;
	if (!if_indextoname((unsigned int)ifindex, c->ifname)) {
		free(c);
		return err_set(err, -ENODEV, "there is no interface number %d", ifindex);
	}
	if (at->prog_id) {
		c->mode = at->mode;
		c->prog_id = at->prog_id;
		c->link_id = at->link_id;
		c->n_more = at->n_more;
		e = read_attached(c, err);
	}
	if (e) {
		sluice_chain_info_free(c);
		return e;
	}
	*info = c;
	return 0;
}

/* Reading takes several calls, and nobody is locked out meanwhile: it counts if the same is attached before and after. */
int sluice_chain_read(int ifindex, struct sluice_chain_info **info, struct sluice_err *err)
{
	struct place_attached at, after;
	int tries, e = 0;

	for (tries = 0; tries < 20; tries++) {
		e = place_query(ifindex, &at, err) ?: read_once(ifindex, &at, info, err);
		if (e && e != -EBUSY)
			return e;
		if (!e && !place_query(ifindex, &after, NULL) && after.prog_id == at.prog_id && after.link_id == at.link_id)
			return 0;
		if (!e) {
			sluice_chain_info_free(*info);
			*info = NULL;
		}
	}
	return err_set(err, -EBUSY, "what is attached changes all the time: %d attempts to read it failed", tries);
}

void sluice_chain_info_free(struct sluice_chain_info *info)
{
	if (!info)
		return;
	free(info->member);
	free(info);
}
