// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* attach, replace, detach: what they do to the state of a chain. How it becomes real: change.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "bpf/object.h"
#include "hook/change.h"
#include "hook/generation.h"
#include "hook/offload.h"

/*
 * An exception (bpf_throw) unwinds to the entry of the joined program: members behind the one that throws would not run.
 * Kernel functions are called by their BTF id in vmlinux.
 */
static int refuse_exceptions(const struct code *code, const char *name, struct sluice_err *err)
{
	struct btf *vmlinux = NULL;
	int e = 0, id = -1;
	uint32_t i;

	for (i = 0; i < code->n_insns && !e; i++) {
		const struct bpf_insn *n = &code->insns[i];

		if (n->code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
		if (n->code != (BPF_JMP | BPF_CALL) || n->src_reg != BPF_PSEUDO_KFUNC_CALL || n->off)
			continue;
		if (!vmlinux) {
			vmlinux = btf__load_vmlinux_btf();
			id = vmlinux ? btf__find_by_name_kind(vmlinux, "bpf_throw", BTF_KIND_FUNC) : -1;
		}
		if (id > 0 && n->imm == id)
			e = err_set(err, -EOPNOTSUPP, "program %s throws exceptions (bpf_throw), which would end the whole chain and not "
				    "only the program; let it return a verdict", name);
		if (!vmlinux)
			break;
	}
	btf__free(vmlinux);
	return e;
}

/* What a loaded program is as a member; m->code is a copy. */
static int describe(struct sluice_program *prog, struct state_member *m, struct sluice_err *err)
{
	const struct code *code = program_code(prog);
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int e;

	if (!code)
		return err_set(err, -EINVAL, "program %s is not loaded", sluice_program_name(prog));
	e = refuse_exceptions(code, sluice_program_name(prog), err);
	if (e)
		return e;
	info.nr_map_ids = sizeof(m->map_id) / sizeof(*m->map_id);
	info.map_ids = (uintptr_t)m->map_id;
	if (bpf_obj_get_info_by_fd(sluice_program_fd(prog), &info, &len))
		return err_set(err, -errno, "asking about program %s: %s", sluice_program_name(prog), strerror(errno));
	m->n_maps = info.nr_map_ids;
	if (m->n_maps > sizeof(m->map_id) / sizeof(*m->map_id))
		m->n_maps = sizeof(m->map_id) / sizeof(*m->map_id);
	memcpy(m->tag, info.tag, sizeof(m->tag));
	snprintf(m->object, sizeof(m->object), "%s", program_object_name(prog));
	m->attached_ns = clock_wall_ns();
	return code_copy(code, &m->code, err);
}

/* Only whoever attached a member under an owner's name may change it. */
static int may_change(const struct state_member *m, const struct sluice_attach_opts *opts, struct sluice_err *err)
{
	if (!m->owner[0] || opts->force || (opts->owner && !strcmp(opts->owner, m->owner)))
		return 0;
	return err_set(err, -EBUSY, "%s belongs to owner '%s'; give --owner %s, or --force", m->name, m->owner, m->owner);
}

static int no_member(const struct state *s, const char *name, struct sluice_err *err)
{
	char names[512] = "";
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < s->n_members && n + 4 < sizeof(names); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "", s->member[i].name);
	if (!s->n_members)
		return err_set(err, -ENOENT, "no program of Sluice is attached");
	return err_set(err, -ENOENT, "the chain has no program '%s'; it has %s", name, names);
}

static int add_member(struct change *c, const struct sluice_member *member, char *name, struct sluice_err *err)
{
	struct state_member m = {0};
	uint32_t priority, go_on;
	int e = describe(member->prog, &m, err);

	if (e)
		return e;
	sluice_program_run_config(member->prog, &priority, &go_on);
	m.priority = member->priority >= 0 ? (uint32_t)member->priority : priority;
	m.go_on = member->go_on >= 0 ? (uint32_t)member->go_on & 31 : go_on;
	m.uid = c->next->next_uid++;
	snprintf(m.owner, sizeof(m.owner), "%s", c->opts.owner ?: "");
	state_unique_name(c->next, member->name ?: sluice_program_name(member->prog), m.name);
	snprintf(name, SLUICE_MEMBER_NAME_MAX, "%s", m.name);
	e = state_insert(c->next, &m, err);
	if (e)
		code_free(m.code);
	return e;
}

int chain_load(const struct sluice_member *members, size_t n, struct state **state, int *prog_fd, struct sluice_err *err)
{
	char name[SLUICE_MEMBER_NAME_MAX];
	struct change c = {.next = state_new()};
	int e = c.next ? 0 : err_nomem(err);
	size_t i;

	*prog_fd = -1;
	*state = NULL;
	for (i = 0; i < n && !e; i++)
		e = add_member(&c, &members[i], name, err);
	if (!e)
		e = generation_load(c.next, prog_fd, err);
	if (e)
		state_free(c.next);
	else
		*state = c.next;
	return e;
}

/* Names are printed on terminals, and typed: no spaces, no control characters. */
static bool readable(const char *s)
{
	while (*s > ' ' && *s < 127)
		s++;
	return !*s;
}

static int check_name(const char *name, struct sluice_err *err)
{
	char shown[SLUICE_MEMBER_NAME_MAX];

	if (!name || (name[0] && strlen(name) < SLUICE_MEMBER_NAME_MAX && readable(name)))
		return 0;
	return err_set(err, -EINVAL, "'%s' cannot be a name, 1 to %d printable characters without spaces are possible",
		       text_printable(name, shown, sizeof(shown)), SLUICE_MEMBER_NAME_MAX - 1);
}

static int check_opts(const struct sluice_attach_opts *opts, struct sluice_err *err)
{
	char shown[SLUICE_OWNER_MAX];

	if (opts && opts->owner && strlen(opts->owner) >= SLUICE_OWNER_MAX)
		return err_set(err, -EINVAL, "owner '%s' is too long, at most %d characters", opts->owner, SLUICE_OWNER_MAX - 1);
	if (opts && opts->owner && !readable(opts->owner))
		return err_set(err, -EINVAL, "'%s' cannot be an owner, printable characters without spaces are possible",
			       text_printable(opts->owner, shown, sizeof(shown)));
	return 0;
}

int sluice_chain_attach(int ifindex, const struct sluice_member *members, size_t n, const struct sluice_attach_opts *opts,
			struct sluice_attached *got, struct sluice_err *err)
{
	char name[SLUICE_MEMBER_NAME_MAX];
	struct change c;
	size_t i;
	int e;

	if (got)
		memset(got, 0, sizeof(*got));
	if (n < 1 || n > SLUICE_CHAIN_MAX)
		return err_set(err, -EINVAL, "%zu programs to attach, 1 to %d are possible", n, SLUICE_CHAIN_MAX);
	for (i = 0, e = 0; i < n && !e; i++)
		e = check_name(members[i].name, err);
	if (!e)
		e = check_opts(opts, err);
	if (e)
		return e;
	if (opts && opts->mode == SLUICE_MODE_OFFLOAD)
		return offload_attach(ifindex, members, n, opts, got, err);
	place_sweep(opts ? opts->bpffs : NULL);
	e = change_begin(&c, ifindex, opts, CHANGE_WAIT_NS, err);
	if (!e && c.foreign && !c.opts.force)
		e = change_foreign(&c, err);
	for (i = 0; i < n && !e; i++) {
		e = add_member(&c, &members[i], name, err);
		if (got)
			memcpy(got->name[i], name, sizeof(name));
	}
	if (!e)
		e = change_commit(&c, got, NULL, err);
	change_end(&c);
	return e;
}

int sluice_chain_replace(int ifindex, const char *name, const struct sluice_member *member,
			 const struct sluice_attach_opts *opts, struct sluice_attached *got, struct sluice_err *err)
{
	struct state_member m = {0}, *old;
	struct change c;
	int i = -1, e;

	if (got)
		memset(got, 0, sizeof(*got));
	e = check_name(member->name, err) ?: check_opts(opts, err);
	if (e)
		return e;
	e = change_begin(&c, ifindex, opts, CHANGE_WAIT_NS, err);
	if (!e && c.foreign)
		e = change_foreign(&c, err);
	if (!e && (i = state_find(c.next, name)) < 0)
		e = no_member(c.next, name, err);
	if (!e)
		e = may_change(&c.next->member[i], &c.opts, err);
	if (!e)
		e = describe(member->prog, &m, err);
	if (!e) {
		old = &c.next->member[i];
		m.uid = old->uid;
		memcpy(m.owner, old->owner, sizeof(m.owner));
		m.priority = member->priority >= 0 ? (uint32_t)member->priority : old->priority;
		m.go_on = member->go_on >= 0 ? (uint32_t)member->go_on & 31 : old->go_on;
		memcpy(m.name, old->name, sizeof(m.name));
		if (member->name && strcmp(member->name, old->name) != 0)
			state_unique_name(c.next, member->name, m.name);
		if (m.priority == old->priority) { /* in its place */
			code_free(old->code);
			*old = m;
		} else {
			state_remove(c.next, (uint32_t)i);
			e = state_insert(c.next, &m, err);
		}
		if (got)
			memcpy(got->name[0], m.name, sizeof(m.name));
	}
	if (!e)
		e = change_commit(&c, got, NULL, err);
	change_end(&c);
	return e;
}

int sluice_chain_detach(int ifindex, const char *const *names, size_t n, const struct sluice_attach_opts *opts,
			struct sluice_err *err)
{
	struct change c;
	uint32_t k;
	size_t i;
	int e, at;

	e = change_begin(&c, ifindex, opts, CHANGE_WAIT_NS, err);
	if (!e && !c.at.prog_id)
		e = err_set(err, -ENOENT, "nothing is attached");
	if (!e && c.foreign)
		e = n == 0 && c.opts.force ? place_take_off(ifindex, &c.at, c.prog_fd, err) : change_foreign(&c, err);
	if (e || c.foreign)
		goto out;
	if (n == 0 && !c.next->n_members)
		e = no_member(c.next, "", err);
	for (i = 0; i < n && !e; i++) {
		at = state_find(c.next, names[i]);
		e = at < 0 ? no_member(c.next, names[i], err) : may_change(&c.next->member[at], &c.opts, err);
	}
	for (i = 0; i < n && !e; i++) {
		at = state_find(c.next, names[i]);
		if (at >= 0) /* not twice, if it was named twice */
			state_remove(c.next, (uint32_t)at);
	}
	for (k = 0; n == 0 && k < c.next->n_members && !e; k++)
		e = may_change(&c.next->member[k], &c.opts, err);
	while (n == 0 && c.next->n_members && !e)
		state_remove(c.next, 0);
	if (!e)
		e = change_commit(&c, NULL, NULL, err);
out:
	change_end(&c);
	if (!e)
		place_sweep(opts ? opts->bpffs : NULL);
	return e;
}
