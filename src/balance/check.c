// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What makes no sense in a model: every mistake, each with what to do about it. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/nat.h"
#include "balance/tables.h"
#include "base/err.h"

struct claim { /* a virtual address and whose it is */
	const struct balance_service *s;
	const struct balance_virtual *v;
};

struct check {
	balance_say *say;
	void *arg;
	struct sluice_err *err;
	size_t n; /* mistakes */
	struct claim *claims;
	size_t n_claims;
};

__attribute__((format(printf, 4, 5))) static void wrong_part(struct check *c, uint32_t line,
							    enum balance_part part, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!c->n++)
		err_set(c->err, -EINVAL, "%s", text);
	if (c->say)
		c->say(c->arg, line, part, text);
}

#define wrong(c, line, ...) wrong_part(c, line, BALANCE_PART_ALL, __VA_ARGS__)

static bool is_zero(const struct net_addr *a)
{
	static const uint8_t zero[16];

	return !memcmp(a->bytes, zero, sizeof(zero));
}

static const char *useless(const struct net_addr *a)
{
	if (is_zero(a))
		return "no address of a host";
	if (net_addr_is_multicast(a))
		return "a multicast address";
	if (!a->v6 && !memcmp(a->bytes, "\xff\xff\xff\xff", 4))
		return "the broadcast address";
	return NULL;
}

static void check_name(struct check *c, const struct balance_service *s)
{
	const char *p;

	if (!*s->name)
		wrong(c, s->line, "a service without a name; give it one");
	for (p = s->name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_') {
			wrong(c, s->line, "service '%s': a name has letters, digits, - and _ only", s->name);
			return;
		}
}

static void check_options(struct check *c, const struct balance_service *s)
{
	struct sluice_err err = {0};

	if (!s->n_virtuals)
		wrong(c, s->line, "service %s has no virtual address; give it one", s->name);
	if (!s->n_backends)
		wrong(c, s->line, "service %s has no backend; give it one, or leave the service out",
		      s->name);
	if (s->n_backends > MAGLEV_BACKENDS)
		wrong(c, s->line, "service %s has %zu backends; it can have %u", s->name, s->n_backends,
		      MAGLEV_BACKENDS);
	if (maglev_check_slots(s->n_slots, &err))
		wrong(c, s->line, "service %s: %s", s->name, err.text);
	else if (s->n_backends > s->n_slots)
		wrong(c, s->line,
		      "service %s has more backends (%zu) than slots (%u); give it a larger table", s->name,
		      s->n_backends, s->n_slots);
	if (!s->hold_s || s->hold_s > BALANCE_HOLD_MAX_S)
		wrong(c, s->line, "service %s: flows are held for %u s; it can be 1 s to %u s", s->name,
		      s->hold_s, BALANCE_HOLD_MAX_S);
	if (s->mode == BALANCE_GUE && !s->gue_port)
		wrong(c, s->line, "service %s: GUE cannot go to port 0; leave the port out for %u", s->name,
		      BALANCE_GUE_PORT);
	if (s->mode == BALANCE_NAT && s->stateless)
		wrong(c, s->line, "service %s: NAT cannot be stateless; leave out one of the two", s->name);
}

/* Of the plaintext algorithm of draft-ietf-quic-load-balancers. */
static void check_quic(struct check *c, const struct balance_service *s)
{
	bool udp = false;
	size_t i;

	for (i = 0; i < s->n_virtuals; i++)
		udp |= s->virtuals[i].proto != 6;
	for (i = 0; !s->quic_bytes && i < s->n_backends; i++)
		if (s->backends[i].has_server) {
			wrong(c, s->backends[i].line,
			      "service %s: a backend has id %u, and the service does not say how long ids are; say "
			      "quic server-id, or leave the id out",
			      s->name, s->backends[i].server);
			return;
		}
	if (!s->quic_bytes)
		return;
	if (s->quic_bytes > 4 || s->quic_config > 6)
		wrong(c, s->line, "service %s: server ids of %u bytes of configuration %u; they have 1 to 4, of 0 to 6",
		      s->name, s->quic_bytes, s->quic_config);
	if (!udp)
		wrong(c, s->line, "service %s: QUIC is UDP, and no virtual address is; leave quic out", s->name);
	if (s->mode == BALANCE_NAT)
		wrong(c, s->line, "service %s: NAT knows flows by their addresses, not by server ids; leave out one of the two",
		      s->name);
	for (i = 0; i < s->n_backends; i++)
		if (s->backends[i].has_server && s->quic_bytes < 4 && s->backends[i].server >> 8 * s->quic_bytes)
			wrong(c, s->backends[i].line, "service %s: id %u does not fit %u byte%s; give it a smaller one",
			      s->name, s->backends[i].server, s->quic_bytes, s->quic_bytes > 1 ? "s" : "");
}

static int compare_servers(const void *a, const void *b)
{
	const struct balance_backend *x = *(const struct balance_backend *const *)a;
	const struct balance_backend *y = *(const struct balance_backend *const *)b;

	if (x->server != y->server)
		return x->server < y->server ? -1 : 1;
	return (x > y) - (x < y);
}

/* Is an id there twice? */
static bool check_servers(struct check *c, const struct balance_service *s,
			  const struct balance_backend **sorted)
{
	bool twice = false;
	size_t i, n = 0;

	for (i = 0; i < s->n_backends; i++)
		if (s->backends[i].has_server)
			sorted[n++] = &s->backends[i];
	qsort(sorted, n, sizeof(*sorted), compare_servers);
	for (i = 0; i + 1 < n; i++)
		if (sorted[i]->server == sorted[i + 1]->server) {
			wrong(c, sorted[i + 1]->line, "service %s: two backends have id %u; give one another",
			      s->name, sorted[i]->server);
			twice = true;
		}
	return twice;
}

/* Cells are found here, and not when packets are looked up in them already. */
static int check_cells(struct check *c, const struct balance_service *s)
{
	uint32_t *servers = calloc(s->n_backends + 1, sizeof(*servers)), mix;
	size_t i, n = 0;
	int e;

	if (!servers)
		return err_nomem(c->err);
	for (i = 0; i < s->n_backends; i++)
		if (s->backends[i].has_server)
			servers[n++] = s->backends[i].server;
	e = tables_server_mix(servers, n, tables_targets_of(s), &mix);
	free(servers);
	if (e == -ENOSPC)
		wrong(c, s->line,
		      "service %s: its %zu ids find no place beside each other; give backends others",
		      s->name, n);
	return e == -ENOMEM ? err_nomem(c->err) : 0;
}

static void check_virtual(struct check *c, const struct balance_service *s, const struct balance_virtual *v)
{
	const char *what = useless(&v->addr);
	char text[BALANCE_TEXT];
	bool all = !v->first && v->last == 65535;

	balance_virtual_text(v, text, sizeof(text));
	if (what)
		wrong_part(c, v->line, BALANCE_PART_ADDR, "service %s: virtual address %s is %s", s->name, text, what);
	if (v->proto != 6 && v->proto != 17 && v->proto != BALANCE_PROTO_ANY)
		wrong(c, v->line,
		      "service %s: virtual address %s; the protocol can be tcp or udp, or be left "
		      "out with all ports",
		      s->name, text);
	if (v->proto == BALANCE_PROTO_ANY && !all)
		wrong_part(c, v->line, BALANCE_PART_PORT, "service %s: virtual address %s has ports but no protocol; say tcp or udp",
		      s->name, text);
	if (v->proto != BALANCE_PROTO_ANY && !all && (!v->first || v->first > v->last))
		wrong_part(c, v->line, BALANCE_PART_PORT,
		      "service %s: virtual address %s; ports are 1 to 65535, the first no larger "
		      "than the last",
		      s->name, text);
}

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = x->v->addr.v6 - y->v->addr.v6;

	if (!order)
		order = memcmp(x->v->addr.bytes, y->v->addr.bytes, 16);
	if (!order)
		order = x->v->first - y->v->first;
	if (!order)
		order = x->v->last - y->v->last;
	if (!order)
		order = x->v->proto - y->v->proto;
	return order ? order : (x->v > y->v) - (x->v < y->v);
}

static void told_overlap(struct check *c, const struct claim *a, const struct claim *b)
{
	const struct claim *later = a->v->line > b->v->line ? a : b, *earlier = later == a ? b : a;
	char text[BALANCE_TEXT], other[BALANCE_TEXT];

	balance_virtual_text(later->v, text, sizeof(text));
	balance_virtual_text(earlier->v, other, sizeof(other));
	wrong_part(c, later->v->line, BALANCE_PART_PORT,
	      "service %s: virtual address %s overlaps %s of service %s; give them "
	      "different ports or put them in one service",
	      later->s->name, text, other, earlier->s->name);
}

/*
 * Claims of an address stand in the order of their first port. For each protocol the one that reaches furthest
 * is remembered: who begins below its end overlaps it. (One sentence for each claim that overlaps is enough.)
 */
static void check_overlaps(struct check *c)
{
	const struct claim *far[3] = {0}, *at, *other; /* TCP, UDP, any */
	size_t i, k, kind;

	for (i = 0; i < c->n_claims; i++) {
		at = &c->claims[i];
		kind = at->v->proto == 6 ? 0 : at->v->proto == 17 ? 1 : 2;
		if (i && !net_addr_same(&at->v->addr, &at[-1].v->addr))
			far[0] = far[1] = far[2] = NULL;
		for (k = 0; k < 3; k++) {
			other = far[k];
			if (other && (k == kind || k == 2 || kind == 2) && at->v->first <= other->v->last) {
				told_overlap(c, at, other);
				break;
			}
		}
		if (!far[kind] || far[kind]->v->last < at->v->last)
			far[kind] = at;
	}
}

static const struct claim *claimed(const struct check *c, const struct net_addr *addr)
{
	size_t low = 0, high = c->n_claims;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct net_addr *a = &c->claims[mid].v->addr;
		int order = a->v6 - addr->v6;

		if (!order)
			order = memcmp(a->bytes, addr->bytes, sizeof(a->bytes));
		if (!order)
			return &c->claims[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void check_backend(struct check *c, const struct balance_service *s, const struct balance_backend *b)
{
	const struct claim *claim = claimed(c, &b->addr);
	const char *what = useless(&b->addr);
	char text[BALANCE_TEXT], virt[BALANCE_TEXT];
	size_t i;

	balance_backend_text(b, text, sizeof(text));
	if (what)
		wrong_part(c, b->line, BALANCE_PART_ADDR, "service %s: backend %s is %s", s->name, text, what);
	if (claim)
		wrong_part(c, b->line, BALANCE_PART_ADDR,
		      "service %s: backend %s is a virtual address of service %s; packets would go "
		      "round; name the backend by an address of its own",
		      s->name, text, claim->s->name);
	if (b->weight > MAGLEV_WEIGHT_MAX)
		wrong(c, b->line, "service %s: backend %s has weight %u; it can be 0 to %u", s->name, text,
		      b->weight, MAGLEV_WEIGHT_MAX);
	if (b->port && s->mode != BALANCE_NAT)
		wrong_part(c, b->line, BALANCE_PART_PORT,
		      "service %s: backend %s has a port, which only NAT can change; leave it out", s->name,
		      text);
	for (i = 0; s->mode == BALANCE_NAT && i < s->n_virtuals; i++)
		if (s->virtuals[i].addr.v6 != b->addr.v6) {
			wrong_part(c, b->line, BALANCE_PART_ADDR,
			      "service %s: backend %s is %s and virtual address %s is not; NAT does "
			      "not translate between them; use ipip or gue, or two services",
			      s->name, text, b->addr.v6 ? "IPv6" : "IPv4",
			      balance_virtual_text(&s->virtuals[i], virt, sizeof(virt)));
			break;
		}
}

static int compare_backends(const void *a, const void *b)
{
	const struct balance_backend *x = *(const struct balance_backend *const *)a;
	const struct balance_backend *y = *(const struct balance_backend *const *)b;
	struct maglev_backend mx = {x->addr, x->port, 0}, my = {y->addr, y->port, 0};
	int order = maglev_compare(&mx, &my);

	return order ? order : (x > y) - (x < y);
}

static int check_backends(struct check *c, const struct balance_service *s)
{
	const struct balance_backend **sorted;
	char text[BALANCE_TEXT];
	bool twice;
	size_t i;

	for (i = 0; i < s->n_backends; i++)
		check_backend(c, s, &s->backends[i]);
	sorted = calloc(s->n_backends + 1, sizeof(*sorted));
	if (!sorted)
		return err_nomem(c->err);
	for (i = 0; i < s->n_backends; i++)
		sorted[i] = &s->backends[i];
	qsort(sorted, s->n_backends, sizeof(*sorted), compare_backends);
	for (i = 0; i + 1 < s->n_backends; i++) {
		struct maglev_backend a = {sorted[i]->addr, sorted[i]->port, 0};
		struct maglev_backend b = {sorted[i + 1]->addr, sorted[i + 1]->port, 0};

		if (!maglev_compare(&a, &b))
			wrong_part(c, sorted[i + 1]->line, BALANCE_PART_ADDR,
			      "service %s: backend %s is there twice; leave one out and add its weight to the "
			      "other",
			      s->name, balance_backend_text(sorted[i + 1], text, sizeof(text)));
	}
	twice = check_servers(c, s, sorted);
	free(sorted);
	return twice || !s->quic_bytes || s->n_backends > MAGLEV_BACKENDS ? 0 : check_cells(c, s);
}

static bool is_in(const struct balance_pool *p, const struct net_addr *a)
{
	uint64_t hi, lo, first_hi, first_lo;

	net_addr_words(a, &hi, &lo);
	net_addr_words(&p->first, &first_hi, &first_lo);
	return p->first.v6 == a->v6 && hi == first_hi && lo - first_lo < p->n;
}

/* What comes from a backend's own address is answered by the backend to itself. */
static void check_pool(struct check *c, const struct balance_service *s, const struct balance_pool *p)
{
	char text[BALANCE_TEXT];
	size_t i;

	for (i = 0; i < s->n_backends; i++)
		if (is_in(p, &s->backends[i].addr)) {
			wrong(c, p->line,
			      "service %s: backend %s is an address to translate to; its answers would not "
			      "come back; name "
			      "addresses that lead to the balancer",
			      s->name, balance_backend_text(&s->backends[i], text, sizeof(text)));
			return;
		}
}

static void check_pools(struct check *c, const struct balance_service *s)
{
	bool has[2] = {false, false};
	char text[NET_ADDR_TEXT];
	const char *what;
	size_t i;

	for (i = 0; i < s->n_pools; i++) {
		what = useless(&s->pools[i].first);
		net_addr_format(&s->pools[i].first, text, sizeof(text));
		if (what)
			wrong(c, s->pools[i].line, "service %s: address %s to translate to is %s", s->name, text, what);
		else
			check_pool(c, s, &s->pools[i]);
		has[s->pools[i].first.v6] = true;
	}
	for (i = 0; s->mode == BALANCE_NAT && s->n_pools && i < s->n_virtuals; i++)
		if (!has[s->virtuals[i].addr.v6]) {
			wrong(c, s->line,
			      "service %s has %s virtual addresses, but no %s address to translate to; name one behind from",
			      s->name, s->virtuals[i].addr.v6 ? "IPv6" : "IPv4",
			      s->virtuals[i].addr.v6 ? "IPv6" : "IPv4");
			break;
		}
}

static int check_plan(struct check *c, const struct balance_model *m)
{
	const struct balance_service *whose;
	struct nat_config plan;
	struct sluice_err err;
	int e = nat_plan(m, NULL, &plan, &whose, &err);

	if (e == -EINVAL)
		wrong(c, whose->line, "%s", err.text);
	return e == -EINVAL ? 0 : e ? err_nomem(c->err) : 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct balance_service *x = *(const struct balance_service *const *)a;
	const struct balance_service *y = *(const struct balance_service *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int check_services(struct check *c, const struct balance_model *m)
{
	struct balance_service **sorted = calloc(m->n_services + 1, sizeof(*sorted));
	size_t i;

	if (!sorted)
		return err_nomem(c->err);
	if (m->n_services > BALANCE_SERVICES)
		wrong(c, m->services[BALANCE_SERVICES]->line, "%zu services; there can be %u", m->n_services,
		      BALANCE_SERVICES);
	for (i = 0; i < m->n_services; i++)
		sorted[i] = m->services[i];
	qsort(sorted, m->n_services, sizeof(*sorted), compare_names);
	for (i = 0; i + 1 < m->n_services; i++)
		if (*sorted[i]->name && !strcmp(sorted[i]->name, sorted[i + 1]->name))
			wrong(c, sorted[i + 1]->line, "service %s is there twice; give one another name",
			      sorted[i + 1]->name);
	free(sorted);
	return 0;
}

static int claim_all(struct check *c, const struct balance_model *m)
{
	size_t i, k, n = 0;

	for (i = 0; i < m->n_services; i++)
		n += m->services[i]->n_virtuals;
	c->claims = calloc(n + 1, sizeof(*c->claims));
	if (!c->claims)
		return err_nomem(c->err);
	for (i = 0; i < m->n_services; i++)
		for (k = 0; k < m->services[i]->n_virtuals; k++)
			c->claims[c->n_claims++] =
				(struct claim){m->services[i], &m->services[i]->virtuals[k]};
	qsort(c->claims, n, sizeof(*c->claims), compare_claims);
	return 0;
}

int balance_check(const struct balance_model *m, balance_say *say, void *arg, struct sluice_err *err)
{
	struct check c = {.say = say, .arg = arg, .err = err};
	size_t i, k;
	int e = claim_all(&c, m);

	if (!e)
		e = check_services(&c, m);
	for (i = 0; !e && i < m->n_services; i++) {
		const struct balance_service *s = m->services[i];

		check_name(&c, s);
		check_options(&c, s);
		check_quic(&c, s);
		for (k = 0; k < s->n_virtuals; k++)
			check_virtual(&c, s, &s->virtuals[k]);
		e = check_backends(&c, s);
		check_pools(&c, s);
	}
	if (!e)
		e = check_plan(&c, m);
	if (!e)
		check_overlaps(&c);
	free(c.claims);
	return e ? e : c.n ? -EINVAL : 0;
}
