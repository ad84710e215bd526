// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One generation of a chain: joining, loading, binding, and its counters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "base/grace.h"
#include "bpf/log.h"
#include "bpf/privilege.h"
#include "hook/generation.h"

#define LOG_BYTES (8u << 20)

/* Descriptors for the references of a code while it is being loaded. */
struct open_refs {
	int fd[CODE_MAX_REFS];
	int array[CODE_MAX_REFS + 1]; /* module BTFs, where the kernel's fd_array wants them */
	uint32_t n;
};

static void close_refs(struct open_refs *r)
{
	while (r->n > 0)
		close(r->fd[--r->n]);
}

static int open_refs(const struct code *c, struct open_refs *r, struct sluice_err *err)
{
	memset(r, 0, sizeof(*r));
	while (r->n < c->n_refs) {
		const struct code_ref *ref = &c->ref[r->n];
		int fd = ref->kind == CODE_REF_MAP ? bpf_map_get_fd_by_id(ref->id) : bpf_btf_get_fd_by_id(ref->id);

		if (fd < 0) {
			int e = errno == EPERM ? privilege_missing("opening a map by its number", err) :
						 err_set(err, -errno, "a %s of the chain, number %u, cannot be opened: %s",
							 ref->kind == CODE_REF_MAP ? "map" : "module's BTF", ref->id, strerror(errno));
			close_refs(r);
			return e;
		}
		r->array[r->n + 1] = fd;
		r->fd[r->n++] = fd;
	}
	return 0;
}

/* Reference numbers in the instructions become descriptors; code_is_module_call()'s off already is an index in array. */
static void patch(struct code *c, const struct open_refs *r)
{
	uint32_t i;

	for (i = 0; i < c->n_insns; i++) {
		if (code_is_map(&c->insns[i]))
			c->insns[i].imm = r->fd[c->insns[i].imm];
		if (c->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
}

static int load_btf(const struct code *c)
{
	LIBBPF_OPTS(bpf_btf_load_opts, opts);

	return bpf_btf_load(c->btf, c->btf_len, &opts);
}

static int refused(struct code *c, const char *name, struct bpf_prog_load_opts *opts, int e, struct sluice_err *err)
{
	char digest[SLUICE_ERR_MAX - 200];
	char *log;
	int fd;

	if (e == -EPERM)
		return privilege_missing("loading a BPF program", err);
	log = calloc(1, LOG_BYTES);
	if (!log)
		return err_nomem(err);
	opts->log_level = 1;
	opts->log_buf = log;
	opts->log_size = LOG_BYTES;
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, c->license, c->insns, c->n_insns, opts);
	if (fd >= 0)
		close(fd);
	log_digest(log, digest, sizeof(digest));
	if (digest[0])
		e = err_set(err, -EACCES, "the verifier refused the joined chain:\n%s", digest);
	else
		e = err_set(err, e == -ENOMEM ? e : -EOPNOTSUPP,
			    "loading the joined chain, %u instructions: the verifier has no complaint, but the kernel answers: %s",
			    c->n_insns, strerror(-e));
	free(log);
	return e;
}

/* Consumes c's reference numbers: it can be loaded once. */
static int load_code(struct code *c, const char *name, int *prog_fd, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	struct open_refs refs;
	int btf_fd = -1, e = open_refs(c, &refs, err);

	*prog_fd = -1;
	if (e)
		return e;
	patch(c, &refs);
	btf_fd = load_btf(c);
	if (btf_fd < 0) {
		e = errno == EPERM ? privilege_missing("loading type information", err) :
				     err_set(err, -EOPNOTSUPP, "the kernel refused the joined type information: %s", strerror(errno));
		goto out;
	}
	opts.expected_attach_type = BPF_XDP; /* as libbpf does for the members: a prog array belongs to one kind of program */
	opts.prog_flags = c->frags ? BPF_F_XDP_HAS_FRAGS : 0;
	opts.prog_btf_fd = (__u32)btf_fd;
	opts.func_info = c->funcs;
	opts.func_info_cnt = c->n_funcs;
	opts.func_info_rec_size = sizeof(*c->funcs);
	opts.line_info = c->lines;
	opts.line_info_cnt = c->n_lines;
	opts.line_info_rec_size = sizeof(*c->lines);
	opts.fd_array = refs.array;
	*prog_fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, c->license, c->insns, c->n_insns, &opts);
	if (*prog_fd < 0)
		e = refused(c, name, &opts, -errno, err);
out:
	if (btf_fd >= 0)
		close(btf_fd);
	close_refs(&refs);
	return e;
}

int generation_load_code(const struct code *code, const char *name, bool frags, int *prog_fd, struct sluice_err *err)
{
	struct code *copy;
	int e = code_copy(code, &copy, err);

	*prog_fd = -1;
	if (e)
		return e;
	copy->frags = frags;
	e = load_code(copy, name, prog_fd, err);
	code_free(copy);
	return e;
}

/* A map that may hold programs, bound to the kind of the first program that named it (bpf_prog_map_compatible()). */
static bool tied_map(const struct code *c, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_map_info info;
	uint32_t i;

	for (i = 0; i < c->n_refs; i++) {
		__u32 len = sizeof(info);
		int fd = c->ref[i].kind == CODE_REF_MAP ? bpf_map_get_fd_by_id(c->ref[i].id) : -1, e;

		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		e = bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
		if (e || (info.type != BPF_MAP_TYPE_PROG_ARRAY && info.type != BPF_MAP_TYPE_DEVMAP &&
			  info.type != BPF_MAP_TYPE_DEVMAP_HASH && info.type != BPF_MAP_TYPE_CPUMAP))
			continue;
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
		return true;
	}
	return false;
}

/* What the kernel says nothing about: members of both kinds, and a map that takes only one of them. */
static int explain_kinds(const struct state *s, const struct code *joined, int e, struct sluice_err *err)
{
	const struct state_member *single = NULL;
	char map[BPF_OBJ_NAME_LEN];
	uint32_t i;

	for (i = 0; i < s->n_members && !joined->frags; i++)
		if (!s->member[i].code->frags)
			single = &s->member[i];
	for (i = 0; i < s->n_members && single; i++)
		if (s->member[i].code->frags && tied_map(s->member[i].code, map))
			return err_set(err, e, "%s is multi-buffer aware, and so must be all that share its map %s; %s is not: "
				       "build it with SEC(\"xdp.frags\"), or %s with SEC(\"xdp\")", s->member[i].name, map,
				       single->name, s->member[i].name);
	return e;
}

static int join_and_load(struct state *s, uint32_t counts_id, bool may_inline, int *prog_fd, struct sluice_err *err)
{
	struct join_part part[SLUICE_CHAIN_MAX];
	struct join_input in = {.part = part, .n_parts = s->n_members, .may_inline = may_inline, .counts_map_id = counts_id};
	struct code *code;
	uint32_t i;
	int e;

	for (i = 0; i < s->n_members; i++)
		part[i] = (struct join_part){.code = s->member[i].code, .name = s->member[i].name,
					     .priority = s->member[i].priority, .go_on = s->member[i].go_on};
	in.frags_if_empty = s->frags;
	in.n_observers = s->n_observers;
	memcpy(in.observer_map_id, s->observer_map_id, sizeof(in.observer_map_id));
	e = join_codes(&in, &code, err);
	if (e)
		return e;
	s->frags = code->frags;
	for (i = 0; i < s->n_members; i++)
		s->member[i].inlined = part[i].inlined;
	e = load_code(code, STATE_PROG_NAME, prog_fd, err);
	if (e == -EOPNOTSUPP)
		e = explain_kinds(s, code, e, err);
	code_free(code);
	return e;
}

static int new_counts(uint32_t *id, int *fd, struct sluice_err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	*fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, COUNTS_MAP_NAME, 4, 8, COUNTS_ENTRIES, NULL);
	if (*fd < 0 && errno == EPERM)
		return privilege_missing("creating a BPF map", err);
	if (*fd < 0 || bpf_obj_get_info_by_fd(*fd, &info, &len))
		return err_set(err, -errno, "creating the chain's counters: %s", strerror(errno));
	*id = info.id;
	return 0;
}

/* Everything that must live as long as the program is bound to it: its description, and maps members use without naming them. */
static int bind(const struct state *s, int prog_fd, int state_fd, struct sluice_err *err)
{
	uint32_t i, k;
	int fd;

	for (i = 0; i < s->n_members; i++)
		for (k = 0; k < s->member[i].n_maps; k++) {
			fd = bpf_map_get_fd_by_id(s->member[i].map_id[k]);
			if (fd < 0)
				continue;
			bpf_prog_bind_map(prog_fd, fd, NULL); /* nothing new if its instructions hold it already */
			close(fd);
		}
	if (bpf_prog_bind_map(prog_fd, state_fd, NULL)) /* last: that is where state_load() looks */
		return err_set(err, -errno, "binding the chain's description to its program: %s", strerror(errno));
	return 0;
}

int generation_load(struct state *s, int *prog_fd, struct sluice_err *err)
{
	int counts_fd = -1, state_fd = -1, e = 0;
	uint32_t counts_id = 0;

	*prog_fd = -1;
	if (s->n_members)
		e = new_counts(&counts_id, &counts_fd, err);
	if (e)
		return e;
	e = join_and_load(s, counts_id, true, prog_fd, err);
	if (e == -EACCES || e == -E2BIG) /* what cannot be verified inlined may be, called */
		e = join_and_load(s, counts_id, false, prog_fd, err);
	s->counts_map_id = counts_id;
	if (!e)
		e = state_save(s, &state_fd, err);
	if (!e)
		e = bind(s, *prog_fd, state_fd, err);
	if (state_fd >= 0)
		close(state_fd);
	if (counts_fd >= 0)
		close(counts_fd);
	if (e && *prog_fd >= 0) {
		close(*prog_fd);
		*prog_fd = -1;
	}
	return e;
}

static int read_sum(int fd, uint32_t index, uint64_t *per_cpu, int n_cpus, uint64_t *sum)
{
	int i;

	*sum = 0;
	if (bpf_map_lookup_elem(fd, &index, per_cpu))
		return -errno;
	for (i = 0; i < n_cpus; i++)
		*sum += per_cpu[i];
	return 0;
}

int generation_counts(const struct state *s, struct generation_counts *counts, struct sluice_err *err)
{
	int n_cpus = libbpf_num_possible_cpus(), fd, e = 0;
	uint64_t *per_cpu, now = 0, carried = 0, after = 0;
	uint32_t i, v;

	memset(counts, 0, s->n_members * sizeof(*counts));
	if (!s->counts_map_id)
		return -ENOENT;
	fd = bpf_map_get_fd_by_id(s->counts_map_id);
	if (fd < 0)
		return err_set(err, -errno, "opening the chain's counters: %s", strerror(errno));
	per_cpu = n_cpus > 0 ? calloc((size_t)n_cpus, sizeof(*per_cpu)) : NULL;
	if (!per_cpu)
		e = err_nomem(err);
	for (i = s->n_members; i-- > 0 && !e;) {
		uint64_t here = 0;

		for (v = 0; v < 6 && !e; v++) {
			e = read_sum(fd, i * JOIN_COUNTS + v, per_cpu, n_cpus, &now) ?:
			    read_sum(fd, COUNTS_CARRIED + i * JOIN_COUNTS + v, per_cpu, n_cpus, &carried);
			counts[i].ended[v] = now + carried;
			here += now;
		}
		if (!e)
			e = read_sum(fd, COUNTS_CARRIED + i * JOIN_COUNTS + COUNTS_PASSED_ON, per_cpu, n_cpus, &carried);
		counts[i].passed_on = after + carried; /* whatever ended further down ran here, and was passed on */
		after += here;
		if (e)
			err_set(err, e, "reading the chain's counters: %s", strerror(-e));
	}
	free(per_cpu);
	close(fd);
	return e;
}

void generation_wait(void)
{
	if (grace_wait(NULL))
		usleep(20000);
}

void generation_carry(const struct state *old, const struct state *now, bool switched)
{
	struct generation_counts *counts = calloc(SLUICE_CHAIN_MAX, sizeof(*counts));
	int n_cpus = libbpf_num_possible_cpus(), fd;
	uint64_t *per_cpu = n_cpus > 0 ? calloc((size_t)n_cpus, sizeof(*per_cpu)) : NULL;
	uint32_t i, k, v, index;

	fd = now->counts_map_id ? bpf_map_get_fd_by_id(now->counts_map_id) : -1;
	if (!counts || !per_cpu || fd < 0)
		goto out;
	if (switched)
		generation_wait();
	if (generation_counts(old, counts, NULL))
		goto out;
	for (i = 0; i < old->n_members; i++)
		for (k = 0; k < now->n_members; k++) {
			if (old->member[i].uid != now->member[k].uid)
				continue;
			for (v = 0; v <= COUNTS_PASSED_ON; v++) {
				index = COUNTS_CARRIED + k * JOIN_COUNTS + v;
				per_cpu[0] = v == COUNTS_PASSED_ON ? counts[i].passed_on : counts[i].ended[v];
				bpf_map_update_elem(fd, &index, per_cpu, BPF_ANY);
			}
		}
out:
	if (fd >= 0)
		close(fd);
	free(per_cpu);
	free(counts);
}
