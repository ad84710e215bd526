// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs of generations onto interfaces. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/embedded.h"
#include "base/err.h"
#include "bpf/object.h"
#include "control/build.h"
#include "control/carry.h"
#include "control/carry_nat.h"
#include "control/files.h"
#include "control/inside.h"
#include "control/lay.h"
#include "hook/generation.h"
#include "hook/put.h"

#define GO_ON_PASS (1u << 2) /* after XDP_PASS the next member runs */

struct both {
	struct control_generation *to, *from; /* NULL: none */
	struct spot { /* an interface; numbers of the parts of each kind, -1: none */
		int ifindex;
		const char *ifname;
		int to[CONTROL_KINDS], from[CONTROL_KINDS];
	} *v;
	uint32_t n;
};

static void both_close(struct both *b)
{
	control_generation_free(b->to);
	control_generation_free(b->from);
	free(b->v);
}

static bool is_gone(int ifindex)
{
	char name[IF_NAMESIZE];

	return !if_indextoname((unsigned int)ifindex, name);
}

static struct spot *spot_of(struct both *b, const struct control_part *p)
{
	uint32_t i, k;

	for (i = 0; i < b->n; i++)
		if (b->v[i].ifindex == p->ifindex)
			return &b->v[i];
	b->v[i] = (struct spot){.ifindex = p->ifindex, .ifname = p->ifname};
	for (k = 0; k < CONTROL_KINDS; k++)
		b->v[i].to[k] = b->v[i].from[k] = -1;
	b->n++;
	return &b->v[i];
}

static bool has_any(const int part[CONTROL_KINDS])
{
	uint32_t k;

	for (k = 0; k < CONTROL_KINDS && part[k] < 0; k++)
		;
	return k < CONTROL_KINDS;
}

static void drop_gone(struct both *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < b->n; i++)
		if (has_any(b->v[i].to) || !is_gone(b->v[i].ifindex))
			b->v[n++] = b->v[i];
	b->n = n;
}

/* Interfaces of `from` alone that are gone need nothing any more. */
static int both_open(const struct control_state *st, const char *to, const char *from, struct both *b,
		     struct sluice_err *err)
{
	uint32_t n_to, n_from, i;
	int e = 0;

	memset(b, 0, sizeof(*b));
	if (to[0])
		e = control_generation_open(st, to, &b->to, err);
	if (!e && from[0])
		e = control_generation_open(st, from, &b->from, err);
	n_to = b->to ? b->to->n_all : 0;
	n_from = b->from ? b->from->n_all : 0;
	b->v = calloc((size_t)n_to + n_from + 1, sizeof(*b->v));
	if (!e && !b->v)
		e = err_nomem(err);
	for (i = 0; i < n_to && !e; i++)
		spot_of(b, &b->to->parts[i])->to[b->to->parts[i].kind] = (int)i;
	for (i = 0; i < n_from && !e; i++)
		spot_of(b, &b->from->parts[i])->from[b->from->parts[i].kind] = (int)i;
	drop_gone(b);
	if (e)
		both_close(b);
	return e;
}

int lay_count(const struct control_state *st, const char *a, const char *b, uint32_t *n, struct sluice_err *err)
{
	struct both both;
	int e = both_open(st, a, b, &both, err);

	*n = e ? 0 : both.n;
	if (!e)
		both_close(&both);
	return e;
}

static struct sluice_attach_opts options(const struct control_state *st, const struct lay_want *want, const char *ifname)
{
	struct sluice_attach_opts o = {.owner = CONTROL_OWNER, .bpffs = st->bpffs[0] ? st->bpffs : NULL};

	if (want && want->policy)
		o.mode = build_mode(want->policy, ifname);
	return o;
}

/* A chain keeps its mode as long as it is there: what the policy wants instead is said before anything is done. */
static int check_mode(const struct lay_want *want, const struct spot *s, struct sluice_err *err)
{
	enum sluice_mode mode = want && want->policy ? build_mode(want->policy, s->ifname) : SLUICE_MODE_AUTO;
	struct sluice_chain_info *info;
	bool others = false, ours = false;
	uint32_t i;
	int e;

	if (mode == SLUICE_MODE_AUTO)
		return 0;
	e = sluice_chain_read(s->ifindex, &info, err);
	if (e)
		return e;
	for (i = 0; i < info->n_members; i++)
		*(strcmp(info->member[i].owner, CONTROL_OWNER) ? &others : &ours) = true;
	if (info->owner == SLUICE_OWNER_SLUICE && info->mode != mode)
		e = err_set(err, -EBUSY,
			    "it runs in %s mode, and the policy wants %s mode: that takes %s%s%s%s%s first, and until "
			    "the next apply nothing is filtered",
			    sluice_mode_name(info->mode), sluice_mode_name(mode), ours ? "sluice down" : "",
			    ours && others ? " and " : "", others ? "sluice detach " : "", others ? s->ifname : "",
			    others ? " --all" : "");
	sluice_chain_info_free(info);
	return e;
}

/* code NULL: it is taken out. The filter is before the balancer. */
static struct put_member member_of(enum control_kind kind, const struct code *code)
{
	return (struct put_member){.owner = CONTROL_OWNER,
				   .object = control_member_object(kind),
				   .name = control_member_name(kind),
				   .priority = CONTROL_PRIORITY + kind,
				   .go_on = GO_ON_PASS,
				   .code = code};
}

static void why_name(uint32_t part, char to[32])
{
	snprintf(to, 32, "why_%u", part);
}

void lay_why(const struct control_state *st, const char *name, uint32_t part, char *to, size_t size)
{
	char dir[PATH_MAX], file[32];
	struct buf b = {0};

	why_name(part, file);
	to[0] = '\0';
	if (!control_generation_dir(st, name, dir, NULL) && !files_read(dir, file, size - 1, &b, NULL))
		snprintf(to, size, "%s", (char *)b.data);
	buf_free(&b);
}

/* What is written down of any of these parts, unless a reason is known. */
static void find_why(const struct control_state *st, const struct control_generation *g,
		     const int part[CONTROL_KINDS], char *why, size_t size)
{
	uint32_t k;

	for (k = 0; g && k < CONTROL_KINDS; k++)
		if (!why[0] && part[k] >= 0)
			lay_why(st, g->name, (uint32_t)part[k], why, size);
}

/*
 * Why the mode is not native is known when a chain begins; whoever follows on the interface inherits it. Of a chain that others began
 * nobody has written it down.
 */
static void keep_why(const struct control_state *st, const struct both *b, const struct spot *s,
		     enum sluice_mode wanted, const struct sluice_attached *got)
{
	char why[sizeof(got->why)], dir[PATH_MAX], file[32];
	uint32_t k;

	snprintf(why, sizeof(why), "%s", got->why);
	if (got->mode != SLUICE_MODE_NATIVE) {
		find_why(st, b->from, s->from, why, sizeof(why));
		find_why(st, b->to, s->to, why, sizeof(why)); /* the step before this one may have known */
	}
	if (!why[0] && got->mode == SLUICE_MODE_GENERIC && wanted == SLUICE_MODE_AUTO)
		snprintf(why, sizeof(why), "its chain was there before the policy, in that mode");
	if (!why[0] || !b->to || control_generation_dir(st, b->to->name, dir, NULL))
		return;
	for (k = 0; k < CONTROL_KINDS; k++) {
		if (s->to[k] < 0)
			continue;
		why_name((uint32_t)s->to[k], file);
		files_write(dir, file, why, strlen(why), false, NULL);
	}
}

struct last {
	const struct control_state *st;
	const char *from, *to;
	bool limits;
};

static void last_moment(void *ctx)
{
	const struct last *l = ctx;

	if (l->limits)
		carry_cells(l->st, l->from, l->to);
	carry_nat(l->st, l->from, l->to);
}

/* All members of an interface in one step: those that `to` has, without those of `from` alone. */
static int direct_one(const struct control_state *st, const struct both *b, const struct spot *s,
		      const struct lay_want *want, struct sluice_err *err)
{
	struct sluice_attach_opts opts = options(st, want, s->ifname);
	struct last last = {st, b->from ? b->from->name : "", b->to ? b->to->name : "",
			    s->from[CONTROL_FILTER] >= 0};
	struct code *code[CONTROL_KINDS] = {NULL};
	struct put_member m[CONTROL_KINDS];
	struct sluice_attached got;
	uint32_t k;
	int e;

	if (is_gone(s->ifindex))
		return err_set(err, -ENODEV, "the interface is gone");
	if (!has_any(s->to)) {
		e = put_remove(s->ifindex, CONTROL_OWNER, &opts, err);
		return e == -ENOENT ? 0 : e;
	}
	e = check_mode(want, s, err);
	for (k = 0; k < CONTROL_KINDS && !e; k++) {
		if (s->to[k] >= 0)
			e = build_code(st, b->to->name, (uint32_t)s->to[k], &code[k], err);
		m[k] = member_of(k, code[k]);
	}
	if (!e && want && want->only_verify) {
		e = put_verify(s->ifindex, m, CONTROL_KINDS, &opts, err);
	} else if (!e) {
		e = put_members(s->ifindex, m, CONTROL_KINDS, &opts, want ? last_moment : NULL, &last, &got,
				err);
		if (!e)
			keep_why(st, b, s, opts.mode, &got);
	}
	for (k = 0; k < CONTROL_KINDS; k++)
		code_free(code[k]);
	return e;
}

/* Do the parts' own programs run there already, and nothing of ours besides? */
static bool is_there(const struct control_state *st, const struct both *b, const struct spot *s)
{
	struct control_on on;
	uint32_t k;

	for (k = 0; k < CONTROL_KINDS; k++) {
		if (s->to[k] < 0 && s->from[k] >= 0 &&
		    (control_part_on(st, b->from, (uint32_t)s->from[k], &on, NULL) || on.member))
			return false;
		if (s->to[k] >= 0 && (control_part_on(st, b->to, (uint32_t)s->to[k], &on, NULL) || !on.itself))
			return false;
	}
	return has_any(s->to);
}

int lay_direct(const struct control_state *st, const char *to, const char *from, const struct lay_want *want,
	       struct sluice_err *err)
{
	struct both b;
	int e = both_open(st, to, from, &b, err), one, refused = 0;
	uint32_t i;

	if (e)
		return e;
	for (i = 0; i < b.n && !e; i++) {
		if (!(want && want->only_verify) && is_there(st, &b, &b.v[i]))
			continue;
		one = direct_one(st, &b, &b.v[i], want, err);
		if (one == -ENODEV && !want)
			one = 0;
		if (one)
			err_prefix(err, "%s", b.v[i].ifname);
		/* the others are not kept waiting by one that stays as it is */
		if (one && !want && one != -EPERM && one != -ENOMEM)
			refused = one;
		else
			e = one;
		control_step(st, "direct");
	}
	both_close(&b);
	return e ?: refused;
}

/* --- detours --- */

/* A part's program by itself, into a slot of the detour; a part that is not there leaves the slot empty. */
static int fill_slot(const struct control_state *st, const char *name, int part, enum control_kind kind, bool frags,
		     int ways_fd, uint32_t slot, struct sluice_err *err)
{
	struct code *code;
	int fd = -1, e;

	if (part < 0)
		return 0;
	e = build_code(st, name, (uint32_t)part, &code, err);
	if (e)
		return e;
	e = generation_load_code(code, control_member_name(kind), frags, &fd, err);
	if (!e && bpf_map_update_elem(ways_fd, &slot, &fd, BPF_ANY))
		e = err_set(err, -errno, "putting a program into the detour of a switch: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	code_free(code);
	return e;
}

/* follows: a detour in front of it on the interface has chosen */
static int load_detour(const struct both *b, const struct spot *s, enum control_kind kind, struct sluice_object *first,
		       const struct control_state *st, bool frags, struct sluice_object **obj, const struct code **code,
		       struct sluice_err *err)
{
	uint32_t follows = first != NULL;
	struct sluice_program *prog;
	int fd = control_state_map(st, b->to->name, CONTROL_TRIAL_UNTIL, 0, err), ways, chosen, e;

	*obj = NULL;
	if (fd < 0)
		return fd;
	e = sluice_object_open_mem(embedded_trial, embedded_trial_len, "trial", obj, err);
	e = e ?: sluice_object_share_map(*obj, "filter_until", fd, err);
	if (!e && first) {
		chosen = sluice_object_map_fd(first, "filter_chosen", err);
		e = chosen < 0 ? chosen : sluice_object_share_map(*obj, "filter_chosen", chosen, err);
	}
	e = e ?: sluice_object_set_bytes(*obj, "follows", &follows, sizeof(follows), err);
	e = e ?: sluice_object_program(*obj, "trial", &prog, err);
	if (!e) {
		sluice_program_set_frags(prog, frags);
		e = object_load_code(*obj, err);
	}
	close(fd);
	if (e)
		return e;
	ways = sluice_object_map_fd(*obj, "filter_ways", err);
	e = ways < 0 ? ways : fill_slot(st, b->to->name, s->to[kind], kind, frags, ways, 0, err);
	if (b->from)
		e = e ?: fill_slot(st, b->from->name, s->from[kind], kind, frags, ways, 1, err);
	*code = program_code(prog);
	return e;
}

/* A detour for each kind of part that either generation has there, all put into the chain at once. */
static int detour_one(const struct control_state *st, const struct both *b, const struct spot *s,
		      const struct lay_want *want, struct sluice_err *err)
{
	const struct lay_want *wants = has_any(s->to) ? want : NULL;
	struct sluice_attach_opts opts = options(st, wants, s->ifname);
	struct sluice_object *obj[CONTROL_KINDS] = {NULL}, *first = NULL;
	struct put_member m[CONTROL_KINDS];
	struct sluice_attached got;
	const struct code *code;
	uint32_t k, n = 0;
	bool frags;
	int e = is_gone(s->ifindex) ? err_set(err, -ENODEV, "the interface is gone") :
				      put_frags(s->ifindex, CONTROL_OWNER, &frags, err);

	e = e ?: check_mode(wants, s, err);
	for (k = 0; k < CONTROL_KINDS && !e; k++) {
		if (s->to[k] < 0 && s->from[k] < 0)
			continue;
		e = load_detour(b, s, k, first, st, frags, &obj[k], &code, err);
		first = first ? first : obj[k];
		m[n++] = member_of(k, e ? NULL : code);
	}
	if (!e)
		e = put_members(s->ifindex, m, n, &opts, NULL, NULL, &got, err);
	if (!e)
		keep_why(st, b, s, opts.mode, &got);
	for (k = 0; k < CONTROL_KINDS; k++)
		sluice_object_free(obj[k]);
	return e;
}

int lay_detours(const struct control_state *st, const char *next, const char *live, const struct lay_want *want,
		struct sluice_err *err)
{
	struct both b;
	int e = both_open(st, next, live, &b, err);
	uint32_t i;

	if (e)
		return e;
	for (i = 0; i < b.n && !e; i++) {
		e = detour_one(st, &b, &b.v[i], want, err);
		if (e == -ENODEV && !has_any(b.v[i].to))
			e = 0; /* gone, and the next policy is not on it */
		if (e)
			err_prefix(err, "%s", b.v[i].ifname);
		control_step(st, "detour");
	}
	both_close(&b);
	return e;
}

int lay_nowhere(const struct control_state *st, struct sluice_err *err)
{
	struct sluice_attach_opts opts = options(st, NULL, "");
	struct if_nameindex *all = if_nameindex();
	struct sluice_err why = {0};
	uint32_t i;
	int e = 0, one;

	if (!all)
		return err_set(err, -errno, "listing the interfaces: %s", strerror(errno));
	for (i = 0; all[i].if_index; i++) {
		one = put_remove((int)all[i].if_index, CONTROL_OWNER, &opts, &why);
		if (one && one != -ENOENT && one != -ENODEV) /* the others are not kept waiting by it */
			e = err_set(err, one, "%s: %.1000s", all[i].if_name, why.text);
		control_step(st, "off");
	}
	if_freenameindex(all);
	return e;
}
