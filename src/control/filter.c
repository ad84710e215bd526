// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loading a compiled filter: constants, sizes and contents of its maps, and reading its counters. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi/classify.h"
#include "base/embedded.h"
#include "base/err.h"
#include "bpf/object.h"
#include "bpf/seam.h"
#include "control/counts.h"
#include "control/filter.h"

#define FILTER_HITS_MOST (500u << 20) /* what a program reaches from one address */
#define CPU_QUEUE 2048 /* packets that wait for another CPU */

/* The program gets the filter's pcap expressions, before it is loaded. */
static int put_expressions(const struct filter_tables *t, const char *program, struct control_filter *f,
			   struct sluice_err *err)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(sluice_object_libbpf(f->obj), program);
	size_t n = prog ? bpf_program__insn_cnt(prog) : 0;
	struct bpf_insn *insns = n && t->n_matching ? malloc(n * sizeof(*insns)) : NULL;
	int e = 0;

	if (!t->n_matching)
		return 0;
	if (!insns)
		return err_nomem(err);
	memcpy(insns, bpf_program__insns(prog), n * sizeof(*insns));
	e = filter_matching_place(insns, (uint32_t)n, t->matching, t->n_matching, err);
	if (!e && bpf_program__set_insns(prog, insns, n))
		e = err_nomem(err);
	free(insns);
	return e;
}

/* The memory of run-time sets is there already: it outlives programs. */
static int prepare_sets(const struct filter_tables *t, int sets_fd, struct control_filter *f, struct sluice_err *err)
{
	struct bpf_map *map = bpf_object__find_map_by_name(sluice_object_libbpf(f->obj), "filter_sets");
	int e = sluice_object_set_bytes(f->obj, "filter_sets_config", &t->sets, sizeof(t->sets), err);

	if (e)
		return e;
	if (sets_fd < 0)
		return err_set(err, -EINVAL, "rules ask run-time sets, and there is no map of them");
	e = map ? bpf_map__set_value_size(map, t->sets.limit + SET_LINE) : -ENOENT;
	return e ? err_set(err, e, "the size of filter_sets: %s", strerror(-e)) : 0;
}

static int prepare(const struct filter_tables *t, struct control_filter *f, struct sluice_err *err)
{
	struct bpf_map *cells,
		*hits = bpf_object__find_map_by_name(sluice_object_libbpf(f->obj), "filter_hits");
	struct filter_config config = t->config;
	uint64_t stride = FILTER_HITS_STRIDE(f->n_rules, config.sums.n), size;
	int n_cpus = seam_n_cpus(), e;

	if (n_cpus <= 0)
		return err_set(err, n_cpus ? n_cpus : -EIO, "the number of CPUs: %s", strerror(-n_cpus));
	size = stride * (uint64_t)n_cpus;
	if (size > FILTER_HITS_MOST)
		return err_set(err, -ENOSPC, "counters of %u rules on %d CPUs take %" PRIu64 " bytes, at most %u fit", f->n_rules,
			       n_cpus, size, FILTER_HITS_MOST);
	config.hits_stride = (uint32_t)stride;
	config.hits_last =
		(uint32_t)(stride * ((uint64_t)n_cpus - 1) +
			   (FILTER_HITS(f->n_rules, config.sums.n) - 1) * sizeof(struct filter_hits));
	e = sluice_object_set_bytes(f->obj, "config", &config, sizeof(config), err);
	if (!e && (config.has_limits || config.has_logs))
		e = sluice_object_resize(f->obj, "filter_more", f->n_rules + 1, err);
	if (!e && (!hits || bpf_map__set_value_size(hits, (uint32_t)size)))
		e = err_set(err, -EINVAL, "the size of filter_hits");
	if (e)
		return e;
	cells = bpf_object__find_map_by_name(sluice_object_libbpf(f->obj), "filter_cells");
	e = cells ? bpf_map__set_value_size(cells, t->n_cells * 8) : -ENOENT;
	return e ? err_set(err, e, "the size of filter_cells: %s", strerror(-e)) : 0;
}

/* The map of CPUs, into its slot, which keeps it. */
static int fill_cpus(const struct filter_tables *t, const struct control_filter *f, struct sluice_err *err)
{
	int slot = sluice_object_map_fd(f->obj, "filter_cpus", err), fd, e = 0;
	uint32_t i, zero = 0, queue = CPU_QUEUE;

	if (slot < 0)
		return slot;
	fd = bpf_map_create(BPF_MAP_TYPE_CPUMAP, "filter_cpu", 4, 4, t->cpus[t->n_cpus - 1] + 1, NULL);
	if (fd < 0)
		return err_set(err, fd, "making the map of CPUs: %s", strerror(-fd));
	for (i = 0; i < t->n_cpus && !e; i++)
		if (bpf_map_update_elem(fd, &t->cpus[i], &queue, 0))
			e = err_set(err, -ENODEV, "packets cannot be sent to CPU %u: %s", t->cpus[i], strerror(errno));
	if (!e && bpf_map_update_elem(slot, &zero, &fd, 0))
		e = err_set(err, -errno, "putting the map of CPUs into its slot: %s", strerror(errno));
	close(fd);
	return e;
}

static int fill(const struct filter_tables *t, struct control_filter *f, struct sluice_err *err)
{
	int fd = sluice_object_map_fd(f->obj, "filter_tables", err);
	void *m;

	if (fd < 0)
		return fd;
	m = mmap(NULL, t->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return err_set(err, -errno, "mapping filter_tables: %s", strerror(errno));
	memcpy(m, t->bytes, t->len);
	munmap(m, t->len);
	return t->n_cpus ? fill_cpus(t, f, err) : 0;
}

/* Maps that go on. Their layouts are compared before anything is made. */
static int share(const struct filter_tables *t, struct control_filter *f, const struct control_filter_maps *maps,
		 struct sluice_err *err)
{
	const struct {
		const char *name;
		int fd;
	} v[] = {
		{"filter_tables", maps->tables},   {"filter_cells", maps->cells}, {"filter_cpus", maps->cpus},
		{"filter_samples", maps->samples}, {"filter_sets", t->sets.limit ? maps->sets : -1},
	};
	size_t i;
	int e = 0;

	for (i = 0; i < sizeof(v) / sizeof(*v) && !e; i++)
		if (v[i].fd >= 0)
			e = sluice_object_share_map(f->obj, v[i].name, v[i].fd, err);
	return e;
}

/* How much of the tables nobody writes to: all in front of a class cache. */
static size_t settled_bytes(const struct filter_tables *t)
{
	const struct classify_image *image = t->bytes;
	size_t len = t->len, i;

	for (i = 0; i < sizeof(image->part) / sizeof(*image->part); i++)
		if (image->part[i].structure == CLASSIFY_SPLIT && image->part[i].split.cache &&
		    image->part[i].split.cache < len)
			len = image->part[i].split.cache;
	return len;
}

static int load(const struct filter_tables *t, const void *object, size_t len, const char *program,
		const struct control_filter_maps *maps, struct control_filter *f, const struct code **code,
		struct sluice_err *err)
{
	struct sluice_program *prog;
	int e;

	memset(f, 0, sizeof(*f));
	f->prog_fd = -1;
	f->n_rules = t->config.n_rules;
	f->sums = t->config.sums;
	e = sluice_object_open_mem(object, len, "filter", &f->obj, err);
	if (!e)
		e = prepare(t, f, err);
	if (!e && t->sets.limit)
		e = prepare_sets(t, maps ? maps->sets : -1, f, err);
	if (!e && maps)
		e = share(t, f, maps, err);
	if (!e && maps)
		e = sluice_object_set_bytes(f->obj, "filter_generation", &maps->generation, sizeof(maps->generation), err);
	if (!e)
		e = sluice_object_program(f->obj, program, &prog, err);
	if (!e)
		e = put_expressions(t, program, f, err);
	if (!e) {
		object_fold(f->obj);
		object_settle(f->obj, "filter_tables", t->bytes, settled_bytes(t));
	}
	if (!e)
		e = code ? object_load_code(f->obj, err) : sluice_object_load(f->obj, err);
	if (!e && (!maps || maps->tables < 0))
		e = fill(t, f, err);
	if (e)
		return e;
	f->prog_fd = sluice_program_fd(prog);
	if (code)
		*code = program_code(prog);
	return 0;
}

int control_filter_load_from(const struct filter_tables *t, const void *object, size_t len,
			     const char *program, int sets_fd, struct control_filter *f, struct sluice_err *err)
{
	struct control_filter_maps maps = {
		.tables = -1, .cells = -1, .cpus = -1, .samples = -1, .sets = sets_fd};

	return load(t, object, len, program, &maps, f, NULL, err);
}

int control_filter_load(const struct filter_tables *t, struct control_filter *f, struct sluice_err *err)
{
	return control_filter_load_sets(t, -1, f, err);
}

int control_filter_load_sets(const struct filter_tables *t, int sets_fd, struct control_filter *f,
			     struct sluice_err *err)
{
	struct control_filter_maps maps = {
		.tables = -1, .cells = -1, .cpus = -1, .samples = -1, .sets = sets_fd};

	if (t->room == FILTER_ROOM_SMALL)
		return load(t, embedded_filter_small, embedded_filter_small_len, "filter", &maps, f, NULL, err);
	return load(t, embedded_filter, embedded_filter_len, "filter", &maps, f, NULL, err);
}

int control_filter_load_code(const struct filter_tables *t, const struct control_filter_maps *maps,
			     struct control_filter *f, const struct code **code, struct sluice_err *err)
{
	if (t->room == FILTER_ROOM_SMALL)
		return load(t, embedded_filter_small, embedded_filter_small_len, "filter", maps, f, code, err);
	return load(t, embedded_filter, embedded_filter_len, "filter", maps, f, code, err);
}

void control_filter_close(struct control_filter *f)
{
	sluice_object_free(f->obj);
	memset(f, 0, sizeof(*f));
	f->prog_fd = -1;
}

int control_filter_counts(struct control_filter *f, struct filter_count *to, struct sluice_err *err)
{
	struct counts_maps maps = {sluice_object_map_fd(f->obj, "filter_hits", err),
				   sluice_object_map_fd(f->obj, "filter_more", err), f->sums};

	if (maps.hits < 0 || maps.more < 0)
		return maps.hits < 0 ? maps.hits : maps.more;
	return counts_read(&maps, to, f->n_rules + 1, err);
}
