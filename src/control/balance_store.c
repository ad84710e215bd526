// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer's files: a head with a checksum, then what it is about. All of it is checked when it is read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/err.h"
#include "control/balance_inside.h"
#include "control/files.h"

#define MAGIC 0x65636e616c61622full /* "/balance" as the machine reads it */
#define VERSION 2u
#define FILE_MAX (256u << 20) /* 1024 services of 4000 backends have 141 MB */

/* Is written raw; sum is the CRC-32 of all that follows it. */
struct head {
	uint64_t magic;
	uint32_t version, sum;
	uint64_t bytes; /* of the file */
	uint32_t serial, unused;
};

static uint32_t sum_of(const uint8_t *bytes, size_t len)
{
	size_t at = offsetof(struct head, bytes);

	return (uint32_t)crc32(crc32(0, NULL, 0), bytes + at, (uInt)(len - at));
}

static int finish(const struct balance_live *b, const char *name, struct buf *bytes, uint32_t serial,
		  struct sluice_err *err)
{
	struct head h = {.magic = MAGIC, .version = VERSION, .bytes = bytes->len, .serial = serial};
	int e = bytes->failed ? err_nomem(err) : 0;

	/* what cannot be read again is not written */
	if (!e && bytes->len > FILE_MAX)
		e = err_set(err, -ENOSPC, "%s/%s would have %zu bytes, at most %u are read again: fewer services, or fewer "
			    "backends and virtual addresses", b->dir, name, bytes->len, FILE_MAX);
	if (!e) {
		memcpy(bytes->data, &h, sizeof(h));
		h.sum = sum_of(bytes->data, bytes->len);
		memcpy(bytes->data, &h, sizeof(h));
		e = files_write(b->dir, name, bytes->data, bytes->len, false, err);
	}
	buf_free(bytes);
	return e;
}

static int open_file(const struct balance_live *b, const char *name, struct buf *bytes, struct view *v,
		     struct sluice_err *err)
{
	struct head h;
	int e = files_read(b->dir, name, FILE_MAX, bytes, err);

	if (e)
		return e;
	*v = view_of(bytes->data, bytes->len);
	view_copy(v, &h, sizeof(h));
	if (view_ok(v) && h.magic == MAGIC && h.version != VERSION)
		return err_set(err, -EBADMSG, "%s/%s is of another version of Sluice (%u, not %u)", b->dir, name, h.version,
			       VERSION);
	if (!view_ok(v) || h.magic != MAGIC || h.bytes != bytes->len || h.sum != sum_of(bytes->data, bytes->len))
		return err_set(err, -EBADMSG, "%s/%s is damaged; sluice apply FILE makes it anew", b->dir, name);
	return 0;
}

static void service_name(const struct balance_live *b, uint32_t service, char to[32])
{
	snprintf(to, 32, "balance_%u", b->services[service].number);
}

/* --- services as the policy has them --- */

static void put_addr(struct buf *to, const struct net_addr *a)
{
	buf_put(to, a->bytes, sizeof(a->bytes));
	buf_u32(to, a->v6);
}

static struct net_addr get_addr(struct view *v)
{
	struct net_addr a = {0};

	view_copy(v, a.bytes, sizeof(a.bytes));
	a.v6 = view_u32(v) & 1;
	return a;
}

static void put_service(struct buf *to, const struct balance_live *b, uint32_t at)
{
	const struct balance_service *s = b->policy.services[at];
	size_t i;

	buf_str(to, s->name);
	buf_u32(to, b->services[at].number);
	buf_u32(to, b->on ? b->on[at] : ~0u);
	buf_u32(to, s->mode);
	buf_u32(to, s->fallback);
	buf_u32(to, s->gue_port);
	buf_u32(to, (uint32_t)s->affinity | (uint32_t)s->stateless << 1 | (uint32_t)s->quic_bytes << 8 |
			    (uint32_t)s->quic_config << 16);
	buf_u32(to, s->n_slots);
	buf_u32(to, s->hold_s);
	buf_u32(to, (uint32_t)s->n_virtuals);
	buf_u32(to, (uint32_t)s->n_backends);
	for (i = 0; i < s->n_virtuals; i++) {
		put_addr(to, &s->virtuals[i].addr);
		buf_u32(to, s->virtuals[i].proto);
		buf_u32(to, (uint32_t)s->virtuals[i].first << 16 | s->virtuals[i].last);
	}
	for (i = 0; i < s->n_backends; i++) {
		put_addr(to, &s->backends[i].addr);
		buf_u32(to, s->backends[i].port);
		buf_u32(to, s->backends[i].weight);
		buf_u32(to, (uint32_t)s->backends[i].drain | (uint32_t)s->backends[i].has_server << 1);
		buf_u32(to, s->backends[i].server);
	}
}

/* -EBADMSG without a sentence: balance_check() finds the rest. */
static int get_service(struct view *v, struct balance_live *b, uint32_t *number, uint32_t *on)
{
	uint32_t n_virtuals, n_backends, i, flags, mode, fallback, ports;
	char name[BALANCE_NAME];
	struct balance_service *s;

	view_str(v, name, sizeof(name));
	*number = view_u32(v);
	*on = view_u32(v);
	mode = view_u32(v);
	fallback = view_u32(v);
	s = view_ok(v) && mode <= BALANCE_NAT && fallback <= BALANCE_OPEN ? balance_service_add(&b->policy, name) : NULL;
	if (!s)
		return view_ok(v) && mode <= BALANCE_NAT && fallback <= BALANCE_OPEN ? -ENOMEM : -EBADMSG;
	s->mode = (enum balance_mode)mode;
	s->fallback = (enum balance_fallback)fallback;
	s->gue_port = (uint16_t)view_u32(v);
	flags = view_u32(v);
	s->affinity = flags & 1;
	s->stateless = flags >> 1 & 1;
	s->quic_bytes = (uint8_t)(flags >> 8);
	s->quic_config = (uint8_t)(flags >> 16);
	s->n_slots = view_u32(v);
	s->hold_s = view_u32(v);
	n_virtuals = view_u32(v);
	n_backends = view_u32(v);
	if (!view_ok(v) || n_virtuals > v->left / 28 || n_backends > v->left / 36)
		return -EBADMSG;
	for (i = 0; i < n_virtuals; i++) {
		struct net_addr a = get_addr(v);
		uint8_t proto = (uint8_t)view_u32(v);

		ports = view_u32(v);
		if (!balance_virtual_add(s, &a, proto, (uint16_t)(ports >> 16), (uint16_t)ports))
			return -ENOMEM;
	}
	for (i = 0; i < n_backends; i++) {
		struct net_addr a = get_addr(v);
		struct balance_backend *x = balance_backend_add(s, &a);

		if (!x)
			return -ENOMEM;
		x->port = (uint16_t)view_u32(v);
		x->weight = view_u32(v);
		flags = view_u32(v);
		x->drain = flags & 1;
		x->has_server = flags >> 1 & 1;
		x->server = view_u32(v);
	}
	return view_ok(v) ? 0 : -EBADMSG;
}

/* --- balance_state --- */

int store_state(const struct balance_live *b, struct sluice_err *err)
{
	struct buf bytes = {0};
	uint32_t i;

	buf_add(&bytes, sizeof(struct head));
	buf_u32(&bytes, b->config.flow_shift);
	buf_u32(&bytes, b->config.fragment_shift);
	buf_u32(&bytes, b->config.tick_shift);
	buf_u32(&bytes, b->config.idle);
	buf_str(&bytes, b->policy.seed);
	buf_u32(&bytes, (uint32_t)b->policy.n_services);
	for (i = 0; i < b->policy.n_services; i++)
		put_service(&bytes, b, i);
	tables_save(b->t, &bytes);
	return finish(b, LIVE_STATE, &bytes, 0, err);
}

static int read_policy(struct view *v, struct balance_live *b, uint32_t **numbers, struct sluice_err *err)
{
	uint32_t n, i;
	int e = 0;

	view_str(v, b->policy.seed, sizeof(b->policy.seed));
	n = view_u32(v);
	if (!view_ok(v) || n > BALANCE_SERVICES)
		return err_set(err, -EBADMSG, "%u services", n);
	*numbers = calloc(n + 1ul, sizeof(**numbers));
	b->on = calloc(n + 1ul, sizeof(*b->on));
	if (!*numbers || !b->on)
		return err_nomem(err);
	for (i = 0; !e && i < n; i++)
		e = get_service(v, b, &(*numbers)[i], &b->on[i]);
	if (e == -ENOMEM)
		return err_nomem(err);
	if (e)
		return err_set(err, e, "service %u is damaged", i - 1);
	e = balance_check(&b->policy, NULL, NULL, err);
	return e == -EINVAL ? -EBADMSG : e;
}

int store_read_state(struct balance_live *b, struct sluice_err *err)
{
	struct sluice_err why = {0};
	uint32_t *numbers = NULL, shifts[4], i;
	struct buf bytes = {0};
	struct view v;
	int e = open_file(b, LIVE_STATE, &bytes, &v, err);

	if (e) {
		buf_free(&bytes);
		return e;
	}
	for (i = 0; i < 4; i++)
		shifts[i] = view_u32(&v);
	if (shifts[0] < 33 || shifts[0] > 63 || shifts[1] < 33 || shifts[1] > 63 || shifts[2] > 31 || shifts[3] > 1023)
		e = err_set(&why, -EBADMSG, "tables of flows of an impossible size");
	e = e ?: read_policy(&v, b, &numbers, &why);
	e = e ?: tables_load(&v, &b->t, &why);
	e = e ?: live_places(b, &why);
	for (i = 0; !e && i < b->policy.n_services; i++) {
		int at = tables_service(b->t, b->policy.services[i]->name);

		if (at < 0 || (uint32_t)at != numbers[i])
			e = err_set(&why, -EBADMSG, "service %s has no place", b->policy.services[i]->name);
		else
			b->services[i].number = numbers[i];
	}
	if (!e) {
		b->config = *tables_config(b->t);
		b->config.flow_shift = shifts[0];
		b->config.fragment_shift = shifts[1];
		b->config.tick_shift = shifts[2];
		b->config.idle = shifts[3];
	} else {
		e = err_set(err, e, "%s/" LIVE_STATE ": %s", b->dir, why.text);
	}
	free(numbers);
	buf_free(&bytes);
	return e;
}

/* --- balance_N --- */

int store_service(const struct balance_live *b, uint32_t service, struct sluice_err *err)
{
	const struct live_service *s = &b->services[service];
	size_t n = b->policy.services[service]->n_backends, i;
	struct buf bytes = {0};
	char name[32];

	service_name(b, service, name);
	buf_add(&bytes, sizeof(struct head));
	buf_u32(&bytes, (uint32_t)n);
	for (i = 0; i < n; i++)
		overlay_write(&s->overlay[i], &bytes);
	buf_put(&bytes, s->base, n * sizeof(*s->base));
	buf_put(&bytes, &s->base_reasons, sizeof(s->base_reasons));
	tables_save_service(b->t, s->number, &bytes);
	return finish(b, name, &bytes, s->serial, err);
}

static int read_overlay(struct view *v, struct balance_overlay *o, size_t n, struct sluice_err *err)
{
	size_t i;

	if (view_u32(v) != n || !view_ok(v))
		return err_set(err, -EBADMSG, "it is not about %zu backends", n);
	for (i = 0; i < n; i++)
		if (overlay_read(v, &o[i]))
			return err_set(err, -EBADMSG, "what was said of backend %zu cannot be", i);
	return 0;
}

int store_read_service(struct balance_live *b, uint32_t service, bool keep, struct sluice_err *err)
{
	const struct balance_service *policy = b->policy.services[service];
	struct live_service *s = &b->services[service];
	struct balance_overlay *o = calloc(policy->n_backends + 1, sizeof(*o));
	struct balance_count *base = calloc(policy->n_backends + 1, sizeof(*base));
	struct balance_reasons reasons;
	struct sluice_err why = {0};
	struct buf bytes = {0};
	uint32_t serial = 0;
	struct view v;
	char name[32];
	int e;

	service_name(b, service, name);
	e = o && base ? open_file(b, name, &bytes, &v, err) : err_nomem(err);
	if (!e) {
		e = read_overlay(&v, o, policy->n_backends, &why);
		view_copy(&v, base, policy->n_backends * sizeof(*base));
		view_copy(&v, &reasons, sizeof(reasons));
		e = e ?: tables_load_service(b->t, s->number, &v, &serial, &why);
		if (!e && tables_ring(b->t, s->number)->n_slots != policy->n_slots)
			e = err_set(&why, -EBADMSG, "it has another number of slots");
		e = e ?: ring_ids(tables_ring(b->t, s->number), policy->backends, policy->n_backends, s->ids, &why);
		if (e)
			err_set(err, e, "%s/%s: %s", b->dir, name, why.text);
	}
	if (!e) {
		s->serial = serial;
		free(s->overlay);
		free(s->base);
		s->overlay = o;
		s->base = base;
		s->base_reasons = reasons;
		o = NULL;
		base = NULL;
		live_overlay(b, service);
	}
	if (e || !keep)
		tables_unload_service(b->t, s->number);
	free(o);
	free(base);
	buf_free(&bytes);
	return e;
}

int store_serial(const struct balance_live *b, uint32_t service, uint32_t *serial, struct sluice_err *err)
{
	char name[32], path[PATH_MAX];
	struct head h;
	ssize_t n;
	int fd, e;

	service_name(b, service, name);
	e = files_path(path, sizeof(path), b->dir, name, err);
	if (e)
		return e;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	n = read(fd, &h, sizeof(h));
	close(fd);
	if (n != sizeof(h) || h.magic != MAGIC || h.version != VERSION)
		return err_set(err, -EBADMSG, "%s is damaged; sluice apply FILE makes it anew", path);
	*serial = h.serial;
	return 0;
}
