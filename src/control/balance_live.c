// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer of a generation: opened, looked at. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "control/balance.h"
#include "control/balance_inside.h"
#include "control/files.h"
#include "control/inside.h"

int live_new(struct balance_live **b, struct sluice_err *err)
{
	*b = calloc(1, sizeof(**b));
	if (!*b)
		return err_nomem(err);
	(*b)->maps = (struct balance_maps){-1, -1, -1, -1, -1};
	(*b)->hop_next = 1;
	return 0;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void unmap(void *at, size_t bytes)
{
	if (at)
		munmap(at, control_balance_pages(bytes));
}

void balance_live_close(struct balance_live *b)
{
	size_t i;

	if (!b)
		return;
	for (i = 0; b->services && i < b->policy.n_services; i++) {
		free(b->services[i].overlay);
		free(b->services[i].ids);
		free(b->services[i].sorted);
		free(b->services[i].base);
	}
	free(b->services);
	tables_free(b->t);
	unmap(b->memory, b->memory_bytes);
	unmap(b->flows, b->flows_bytes);
	unmap(b->fragments, b->fragments_bytes);
	shut(&b->maps.memory);
	shut(&b->maps.flows);
	shut(&b->maps.fragments);
	shut(&b->maps.counts);
	shut(&b->maps.reasons);
	balance_model_free(&b->policy);
	balance_model_free(&b->model);
	free(b->on);
	free(b->notes);
	free(b->hop_users);
	free(b);
}

/* --- models --- */

int live_copy_model(const struct balance_model *from, struct balance_model *to, struct sluice_err *err)
{
	size_t i, k;

	memcpy(to->seed, from->seed, sizeof(to->seed));
	for (i = 0; i < from->n_services; i++) {
		const struct balance_service *f = from->services[i];
		struct balance_service *s = balance_service_add(to, f->name), was;

		if (!s)
			return err_nomem(err);
		was = *s;
		*s = *f;
		s->virtuals = was.virtuals;
		s->backends = was.backends;
		s->pools = NULL;
		s->n_virtuals = s->n_backends = s->n_pools = 0;
		for (k = 0; k < f->n_virtuals; k++) {
			struct balance_virtual *v = balance_virtual_add(s, &f->virtuals[k].addr, 0, 0, 0);

			if (!v)
				return err_nomem(err);
			*v = f->virtuals[k];
		}
		for (k = 0; k < f->n_backends; k++) {
			struct balance_backend *x = balance_backend_add(s, &f->backends[k].addr);

			if (!x)
				return err_nomem(err);
			*x = f->backends[k];
		}
		for (k = 0; k < f->n_pools; k++) {
			struct balance_pool *p = balance_pool_add(s, &f->pools[k].first, f->pools[k].n);

			if (!p)
				return err_nomem(err);
			*p = f->pools[k];
		}
	}
	return 0;
}

static int compare_backends(const struct balance_backend *a, const struct net_addr *addr, uint16_t port)
{
	int order = a->addr.v6 - addr->v6;

	order = order ? order : memcmp(a->addr.bytes, addr->bytes, sizeof(addr->bytes));
	return order ? order : a->port - port;
}

static int by_address(const void *a, const void *b, void *backends)
{
	const struct balance_backend *v = backends, *y = &v[*(const uint32_t *)b];

	return compare_backends(&v[*(const uint32_t *)a], &y->addr, y->port);
}

int live_places(struct balance_live *b, struct sluice_err *err)
{
	size_t i, n;
	uint32_t k;

	b->services = calloc(b->policy.n_services + 1, sizeof(*b->services));
	if (!b->services)
		return err_nomem(err);
	for (i = 0; i < b->policy.n_services; i++) {
		n = b->policy.services[i]->n_backends;
		b->services[i].overlay = calloc(n + 1, sizeof(*b->services[i].overlay));
		b->services[i].ids = calloc(n + 1, sizeof(*b->services[i].ids));
		b->services[i].base = calloc(n + 1, sizeof(*b->services[i].base));
		b->services[i].sorted = calloc(n + 1, sizeof(*b->services[i].sorted));
		if (!b->services[i].overlay || !b->services[i].ids || !b->services[i].base || !b->services[i].sorted)
			return err_nomem(err);
		for (k = 0; k < n; k++)
			b->services[i].sorted[k] = k;
		qsort_r(b->services[i].sorted, n, sizeof(*b->services[i].sorted), by_address,
			b->policy.services[i]->backends);
	}
	return live_copy_model(&b->policy, &b->model, err);
}

void live_overlay(struct balance_live *b, uint32_t service)
{
	const struct balance_service *from = b->policy.services[service];
	size_t i;

	for (i = 0; i < from->n_backends; i++)
		b->model.services[service]->backends[i] =
			overlay_apply(&from->backends[i], &b->services[service].overlay[i]);
}

/* --- maps --- */

static int map_one(int from, const char *what, size_t want, int *fd, void **to, size_t *bytes, struct sluice_err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	void *at;

	*fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
	if (*fd < 0 || bpf_obj_get_info_by_fd(*fd, &info, &len))
		return err_set(err, -errno, "the balancer's %s: %s", what, strerror(errno));
	if (info.value_size != want)
		return err_set(err, -EBADMSG, "the balancer's %s have %u bytes, and %zu is what its files say", what,
			       info.value_size, want);
	at = mmap(NULL, control_balance_pages(want), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (at == MAP_FAILED)
		return err_set(err, -errno, "mapping the balancer's %s: %s", what, strerror(errno));
	*to = at;
	*bytes = want;
	return 0;
}

static int keep_one(int from, const char *what, int *fd, struct sluice_err *err)
{
	*fd = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 3);
	return from >= 0 && *fd < 0 ? err_set(err, -errno, "the balancer's %s: %s", what, strerror(errno)) : 0;
}

int live_maps(struct balance_live *b, const struct balance_maps *maps, struct sluice_err *err)
{
	void *at = NULL;
	int e = map_one(maps->memory, "tables", tables_bytes(b->t), &b->maps.memory, &b->memory, &b->memory_bytes, err);

	e = e ?: map_one(maps->flows, "flows", 64ull << (64 - b->config.flow_shift), &b->maps.flows, &at, &b->flows_bytes,
			 err);
	b->flows = at;
	at = NULL;
	if (maps->fragments >= 0)
		e = e ?: map_one(maps->fragments, "fragments", 64ull << (64 - b->config.fragment_shift),
				 &b->maps.fragments, &at, &b->fragments_bytes, err);
	b->fragments = at;
	e = e ?: keep_one(maps->counts, "counters", &b->maps.counts, err);
	e = e ?: keep_one(maps->reasons, "counters by reason", &b->maps.reasons, err);
	if (!e)
		tables_attach(b->t, b->memory);
	return e;
}

/* --- opening --- */

static int open_dir(struct control_state *st, const char *generation, const char *dir, const struct balance_maps *maps,
		    struct balance_live **to, struct sluice_err *err)
{
	struct balance_live *b;
	uint32_t i;
	int e = live_new(&b, err);

	*to = NULL;
	if (e)
		return e;
	b->st = st;
	snprintf(b->generation, sizeof(b->generation), "%s", generation);
	if (snprintf(b->dir, sizeof(b->dir), "%s", dir) >= (int)sizeof(b->dir))
		e = err_set(err, -ENAMETOOLONG, "%s is too long a path", dir);
	e = e ?: store_read_state(b, err);
	if (!e && maps)
		e = live_maps(b, maps, err);
	for (i = 0; !e && i < b->policy.n_services; i++)
		e = store_read_service(b, i, false, err);
	if (e)
		balance_live_close(b);
	else
		*to = b;
	return e;
}

int balance_live_open_at(const char *dir, const struct balance_maps *maps, struct balance_live **b, struct sluice_err *err)
{
	return open_dir(NULL, "", dir, maps, b, err);
}

static int open_maps(const struct control_state *st, const char *generation, struct balance_maps *m, struct sluice_err *err)
{
	int e = 0;

	*m = (struct balance_maps){-1, -1, -1, -1, -1};
	m->memory = control_state_map(st, generation, CONTROL_BALANCE_MEMORY, 0, err);
	e = m->memory < 0 ? m->memory : 0;
	if (!e)
		m->flows = control_state_map(st, generation, CONTROL_BALANCE_FLOWS, 0, err);
	e = e ?: m->flows < 0 ? m->flows : 0;
	if (!e)
		m->counts = control_state_map(st, generation, CONTROL_BALANCE_COUNTS, 0, err);
	e = e ?: m->counts < 0 ? m->counts : 0;
	if (!e)
		m->reasons = control_state_map(st, generation, CONTROL_BALANCE_REASONS, 0, err);
	e = e ?: m->reasons < 0 ? m->reasons : 0;
	if (!e)
		m->fragments = control_state_map(st, generation, CONTROL_BALANCE_FRAGMENTS, 0, NULL);
	return e;
}

/* The folder of a generation; is there a balancer in it? */
static int find(const struct control_state *st, const char *name, char dir[PATH_MAX], bool *there, struct sluice_err *err)
{
	char path[PATH_MAX];
	int e = control_generation_dir(st, name, dir, err) ?: files_path(path, sizeof(path), dir, LIVE_STATE, err);

	*there = !e && !access(path, F_OK);
	return e;
}

static int nothing_there(const char *name, struct sluice_err *err)
{
	return err_set(err, -ENOENT, "policy %s has no balance blocks; see sluice.conf(5)", name);
}

int balance_live_is_there(const struct control_state *st, const char *generation, struct sluice_err *err)
{
	char dir[PATH_MAX];
	bool there;
	int e = find(st, generation, dir, &there, err);

	return e || there ? e : nothing_there(generation, err);
}

enum need { NEED_ALL, NEED_MAPS, NEED_NOTHING };

static int open_generation(struct control_state *st, const char *name, enum need need, struct balance_live **b,
			   struct sluice_err *err)
{
	struct balance_maps maps;
	char dir[PATH_MAX];
	bool there;
	int e = find(st, name, dir, &there, err);

	*b = NULL;
	if (e)
		return e;
	if (!there)
		return need != NEED_ALL ? 0 : nothing_there(name, err);
	e = open_maps(st, name, &maps, err);
	if (e == -ENOENT && need != NEED_NOTHING && !control_state_pinned(st, name, err))
		err_set(err, e,
			"the maps of policy %s are not pinned any more: there is no %s/%s/balance_memory; "
			"sluice apply "
			"FILE pins them again",
			name, st->pins, name);
	if (!e || (e == -ENOENT && need == NEED_NOTHING))
		e = open_dir(st, name, dir, e ? NULL : &maps, b, err);
	shut(&maps.memory);
	shut(&maps.flows);
	shut(&maps.fragments);
	shut(&maps.counts);
	shut(&maps.reasons);
	return e;
}

int live_open_other(struct control_state *st, const char *generation, struct balance_live **b, struct sluice_err *err)
{
	return open_generation(st, generation, NEED_MAPS, b, err);
}

int live_open_files(struct control_state *st, const char *generation, struct balance_live **b, struct sluice_err *err)
{
	return open_generation(st, generation, NEED_NOTHING, b, err);
}

int balance_live_open(struct control_state *st, const char *generation, struct balance_live **b, struct sluice_err *err)
{
	char name[CONTROL_NAME];
	int e = 0;

	*b = NULL;
	if (generation)
		snprintf(name, sizeof(name), "%s", generation);
	else
		e = control_state_current(st, name, NULL, err);
	if (e)
		return e;
	if (!name[0])
		return err_set(err, -ENOENT, "no policy is in force here; sluice apply FILE puts one in");
	return open_generation(st, name, NEED_ALL, b, err);
}

int balance_live_reload(struct balance_live *b, bool *changed, struct sluice_err *err)
{
	uint32_t i, serial;
	int e = 0;

	if (changed)
		*changed = false;
	for (i = 0; !e && i < b->policy.n_services; i++) {
		e = store_serial(b, i, &serial, err);
		if (e || serial == b->services[i].serial)
			continue;
		e = store_read_service(b, i, false, err);
		if (changed)
			*changed = true;
	}
	return e;
}

/* --- looking --- */

const char *balance_live_generation(const struct balance_live *b)
{
	return b->generation;
}

const struct balance_model *balance_live_model(const struct balance_live *b)
{
	return &b->model;
}

int balance_live_find(const struct balance_live *b, const char *service)
{
	size_t i;

	for (i = 0; i < b->model.n_services; i++)
		if (!strcmp(b->model.services[i]->name, service))
			return (int)i;
	return -1;
}

int balance_live_find_backend(const struct balance_live *b, uint32_t service, const struct net_addr *addr, uint16_t port)
{
	const struct balance_backend *v, *x;
	size_t lo = 0, hi, n, mid;
	const uint32_t *at;

	if (service >= b->model.n_services)
		return -1;
	v = b->model.services[service]->backends;
	n = hi = b->model.services[service]->n_backends;
	at = b->services[service].sorted;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (compare_backends(&v[at[mid]], addr, port) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n)
		return -1;
	x = &v[at[lo]];
	if (compare_backends(x, addr, x->port) || (port && x->port != port))
		return -1;
	/* any port: the only one, unless there is one without */
	if (x->port != port && lo + 1 < n && !compare_backends(&v[at[lo + 1]], addr, v[at[lo + 1]].port))
		return -1;
	return (int)at[lo];
}

int live_check(const struct balance_live *b, uint32_t service, uint32_t backend, struct sluice_err *err)
{
	if (service >= b->model.n_services)
		return err_set(err, -EINVAL, "service %u of %zu", service, b->model.n_services);
	if (backend != BALANCE_LIVE_NONE && backend >= b->model.services[service]->n_backends)
		return err_set(err, -EINVAL, "backend %u of service %s, which has %zu", backend,
			       b->model.services[service]->name, b->model.services[service]->n_backends);
	return 0;
}

const struct balance_target *live_targets(const struct balance_live *b, uint32_t service)
{
	return (const struct balance_target *)(const void *)((const char *)b->memory + b->config.targets) +
	       tables_first(b->t, b->services[service].number);
}

const struct balance_ring *live_ring(const struct balance_live *b, uint32_t service)
{
	return (const struct balance_ring *)(const void *)((const char *)b->memory + b->config.services) +
	       b->services[service].number;
}

int balance_live_backend(const struct balance_live *b, uint32_t service, uint32_t backend, struct balance_live_backend *to,
			 struct sluice_err *err)
{
	const struct balance_target *t;
	const struct live_service *s;
	int e = live_check(b, service, backend, err);

	*to = (struct balance_live_backend){0};
	if (e)
		return e;
	s = &b->services[service];
	to->policy = b->policy.services[service]->backends[backend];
	to->now = b->model.services[service]->backends[backend];
	to->set = s->overlay[backend];
	to->number = s->number;
	to->id = s->ids[backend];
	to->target = tables_first(b->t, s->number) + to->id;
	if (!to->id || !b->memory)
		return 0;
	t = live_targets(b, service) + to->id;
	to->state = t->state;
	to->way = t->hop && t->hop < b->config.n_hops;
	if (to->way)
		memcpy(&to->hop, (const char *)b->memory + b->config.hops + t->hop * sizeof(to->hop), sizeof(to->hop));
	return 0;
}

/* The places of a service's backends by their number; NULL: out of memory. */
static uint32_t *by_id(const struct balance_live *b, uint32_t service, uint32_t n)
{
	uint32_t *v = malloc((n + 1ul) * sizeof(*v));
	size_t i;

	if (!v)
		return NULL;
	memset(v, 0xff, (n + 1ul) * sizeof(*v));
	for (i = 0; i < b->model.services[service]->n_backends; i++)
		if (b->services[service].ids[i] && b->services[service].ids[i] < n)
			v[b->services[service].ids[i]] = (uint32_t)i;
	return v;
}

int balance_live_service(const struct balance_live *b, uint32_t service, struct balance_live_service *to,
			 struct sluice_err *err)
{
	uint32_t *slots = to->slots, n, i, id, *places = NULL;
	const struct balance_ring *r;
	const void *current;
	const uint16_t *changes;
	int e = live_check(b, service, BALANCE_LIVE_NONE, err);

	*to = (struct balance_live_service){.slots = slots};
	if (e)
		return e;
	r = live_ring(b, service);
	to->number = b->services[service].number;
	n = tables_n_targets(b->t, to->number);
	to->n_slots = b->model.services[service]->n_slots;
	if (r->n_slots != to->n_slots) /* not published yet */
		return 0;
	if (slots) {
		places = by_id(b, service, n);
		if (!places)
			return err_nomem(err);
		memset(slots, 0, b->model.services[service]->n_backends * sizeof(*slots));
	}
	current = (const char *)b->memory + b->config.slots + tables_slots(b->t, to->number);
	changes = (const uint16_t *)(const void *)((const char *)b->memory + b->config.changes) +
		  tables_changes(b->t, to->number);
	for (i = 0; i < to->n_slots; i++) {
		uint32_t before = changes[i] & BALANCE_ID_NOBODY, epoch = changes[i] >> 13;

		id = r->flags & BALANCE_FLAG_WIDE ? ((const uint16_t *)current)[i] : ((const uint8_t *)current)[i];
		if (slots && id < n && places[id] != BALANCE_LIVE_NONE)
			slots[places[id]]++;
		if (!before || !(r->flags & BALANCE_FLAG_CHANGES))
			continue;
		to->changed++;
		if (before == BALANCE_ID_NOBODY || before == id)
			continue;
		to->waiting++;
		to->until = r->until[epoch] > to->until ? r->until[epoch] : to->until;
	}
	free(places);
	return 0;
}
