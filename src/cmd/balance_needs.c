// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a backend's host needs: from services to steps, from steps to command lines. Changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/balance_needs.h"
#include "cmd/balance_run.h"

/* Of the tunnel interfaces alone; 127.0.0.0/8 is the host's own anyway. */
#define TUNNEL_ADDR "127.0.0.42/32"

void needs_free(struct needs *needs)
{
	free(needs->v);
	*needs = (struct needs){0};
}

static bool same(const struct need *a, const struct need *b)
{
	return a->kind == b->kind && !strcmp(a->name, b->name) && !strcmp(a->value, b->value) &&
	       !strcmp(a->type, b->type);
}

const struct need *needs_find(const struct needs *needs, const struct need *step)
{
	size_t i;

	for (i = 0; i < needs->n; i++)
		if (same(&needs->v[i], step))
			return &needs->v[i];
	return NULL;
}

int needs_add(struct needs *needs, const struct need *step, struct sluice_err *err)
{
	size_t cap = needs->cap ? needs->cap * 2 : 16;
	struct need *v;

	if (needs_find(needs, step))
		return 0;
	if (needs->n == needs->cap) {
		v = reallocarray(needs->v, cap, sizeof(*v));
		if (!v)
			return err_nomem(err);
		needs->v = v;
		needs->cap = cap;
	}
	needs->v[needs->n++] = *step;
	return 0;
}

static int add_sysctl(struct needs *needs, const char *where, const char *what, const char *value,
		      struct sluice_err *err)
{
	struct need step = {.kind = NEED_SYSCTL};

	snprintf(step.name, sizeof(step.name), "net/ipv4/conf/%s/%s", where, what);
	snprintf(step.value, sizeof(step.value), "%s", value);
	return needs_add(needs, &step, err);
}

static int add_addr(struct needs *needs, const char *ifname, const char *addr, struct sluice_err *err)
{
	struct need step = {.kind = NEED_ADDR};

	snprintf(step.name, sizeof(step.name), "%s", ifname);
	snprintf(step.value, sizeof(step.value), "%s", addr);
	return needs_add(needs, &step, err);
}

/* The interface that takes packets of one family out of packets to one address. */
static int add_tunnel(struct needs *needs, const struct need_addr *own, size_t nr, bool v6_inside,
		      struct sluice_err *err)
{
	const char *type = own->addr.v6 ? "ip6tnl" : v6_inside ? "sit" : "ipip";
	struct need step = {.kind = NEED_LINK};
	int e;

	snprintf(step.name, sizeof(step.name), "sluice-%s%zu", type, nr % 100);
	snprintf(step.type, sizeof(step.type), "%s", type);
	net_addr_format(&own->addr, step.value, sizeof(step.value));
	e = needs_add(needs, &step, err);
	if (e || v6_inside)
		return e;
	e = add_addr(needs, step.name, TUNNEL_ADDR, err);
	return e ?: add_sysctl(needs, step.name, "rp_filter", "2", err);
}

/* One program on an interface serves all services; it knows one port of GUE. */
static int add_decap(struct needs *needs, const struct balance_service *s, const struct need_addr *own,
		     struct sluice_err *err)
{
	struct need step = {.kind = NEED_DECAP};
	size_t i;

	if (!own->ifname[0])
		return err_set(err, -EOPNOTSUPP,
			       "--xdp has to know the interface: run it on the backend's host");
	snprintf(step.name, sizeof(step.name), "%s", own->ifname);
	snprintf(step.value, sizeof(step.value), "%u", s->mode == BALANCE_GUE ? s->gue_port : 0u);
	for (i = 0; i < needs->n; i++) {
		if (needs->v[i].kind != NEED_DECAP || strcmp(needs->v[i].name, step.name) != 0)
			continue;
		if (!strcmp(needs->v[i].value, "0"))
			needs->v[i] = step;
		else if (strcmp(step.value, "0") != 0 && strcmp(step.value, needs->v[i].value) != 0)
			return err_set(err, -EOPNOTSUPP,
				       "services use GUE ports %s and %s on %s, the XDP program takes one: "
				       "leave one "
				       "of them to the kernel, with --service and without --xdp",
				       needs->v[i].value, step.value, step.name);
		return 0;
	}
	return needs_add(needs, &step, err);
}

/* The kernel's own means of taking tunnels off. */
static int add_tunnels(struct needs *needs, const struct balance_service *s, const bool inside[2],
		       const struct need_addr *own, size_t nr, struct sluice_err *err)
{
	struct need fou = {.kind = NEED_FOU};
	int i, e = 0;

	if (s->mode == BALANCE_GUE) {
		snprintf(fou.name, sizeof(fou.name), "%d", own->addr.v6 ? 6 : 4);
		snprintf(fou.value, sizeof(fou.value), "%u", s->gue_port);
		e = needs_add(needs, &fou, err);
	}
	for (i = 0; !e && i < 2; i++)
		if (inside[i])
			e = add_tunnel(needs, own, nr, i, err);
	return e;
}

static int add_ways(struct needs *needs, const struct balance_service *s, bool xdp,
		    const struct need_addr *own, size_t nr, struct sluice_err *err)
{
	bool inside[2] = {false, false};
	size_t i;
	int e = 0;

	for (i = 0; i < s->n_virtuals; i++)
		inside[s->virtuals[i].addr.v6] = true;
	if (s->mode != BALANCE_L2)
		e = xdp ? add_decap(needs, s, own, err) : add_tunnels(needs, s, inside, own, nr, err);
	/* what arrives has the balancer's or a client's source, whichever way those are routed */
	if (!e && own->ifname[0] && (s->mode == BALANCE_L2 || xdp ? inside[0] : !own->addr.v6))
		e = add_sysctl(needs, own->ifname, "rp_filter", "2", err);
	if (!e && inside[0])
		e = add_sysctl(needs, "all", "arp_ignore", "1", err);
	if (!e && inside[0])
		e = add_sysctl(needs, "all", "arp_announce", "2", err);
	return e;
}

static int add_virtuals(struct needs *needs, const struct balance_service *s, struct sluice_err *err)
{
	char addr[NET_ADDR_TEXT], text[64];
	size_t i;
	int e = 0;

	for (i = 0; !e && i < s->n_virtuals; i++) {
		net_addr_format(&s->virtuals[i].addr, addr, sizeof(addr));
		snprintf(text, sizeof(text), "%s/%d", addr, s->virtuals[i].addr.v6 ? 128 : 32);
		e = add_addr(needs, "lo", text, err);
	}
	return e;
}

static bool is_backend(const struct balance_service *s, const struct net_addr *addr)
{
	size_t i;

	for (i = 0; i < s->n_backends; i++)
		if (s->backends[i].addr.v6 == addr->v6 && !memcmp(s->backends[i].addr.bytes, addr->bytes, 16))
			return true;
	return false;
}

static bool is_any_backend(const struct balance_model *m, const struct net_addr *addr)
{
	size_t i;

	for (i = 0; i < m->n_services; i++)
		if (is_backend(m->services[i], addr))
			return true;
	return false;
}

/* A pass over the services whose backend the host is: ways first, then the virtual addresses of all. */
static int each_service(const struct balance_model *m, const char *service, bool xdp,
			const struct need_addr *own, size_t n_own, bool virtuals, struct needs *needs,
			struct sluice_err *err)
{
	const struct balance_service *s;
	size_t i, k, nr;
	bool hit;
	int e = 0;

	for (i = 0; !e && i < m->n_services; i++) {
		s = m->services[i];
		if (service && strcmp(s->name, service) != 0)
			continue;
		hit = false;
		for (k = nr = 0; !e && k < n_own; k++) {
			if (is_backend(s, &own[k].addr)) {
				hit = true;
				if (!virtuals && s->mode != BALANCE_NAT)
					e = add_ways(needs, s, xdp, &own[k], nr, err);
			}
			nr += is_any_backend(m,
					     &own[k].addr); /* tunnels are numbered by addresses that count */
		}
		if (!e && hit && virtuals && s->mode != BALANCE_NAT)
			e = add_virtuals(needs, s, err);
		needs->n_services += hit && !virtuals;
		needs->n_nat += hit && !virtuals && s->mode == BALANCE_NAT;
	}
	return e;
}

int needs_of(const struct balance_model *m, const char *service, bool xdp, const struct need_addr *own,
	     size_t n_own, struct needs *needs, struct sluice_err *err)
{
	uint32_t nr;
	int e = service ? balance_run_service(m, service, &nr, err) : 0;

	e = e ?: each_service(m, service, xdp, own, n_own, false, needs, err);
	if (!e && !needs->n_services)
		return err_set(err, -ENOENT,
			       "none of the backends%s%s is an address of this host; --address "
			       "says which one is meant",
			       service ? " of " : "", service ? service : "");
	return e ?: each_service(m, service, xdp, own, n_own, true, needs, err);
}

static void put(struct need_words *w, size_t *n, const char *text)
{
	snprintf(w->text[*n], sizeof(w->text[*n]), "%s", text);
	w->args[*n] = w->text[*n];
	w->args[++*n] = NULL;
}

static void put_all(struct need_words *w, size_t *n, const char *const *texts)
{
	for (; *texts; texts++)
		put(w, n, *texts);
}

void need_words(const struct need *s, bool undo, struct need_words *w)
{
	char text[160];
	size_t n = 0;

	*w = (struct need_words){0};
	put(w, &n, s->kind == NEED_SYSCTL ? "sysctl" : "ip");
	switch (s->kind) {
	case NEED_FOU:
		if (!strcmp(s->name, "6"))
			put(w, &n, "-6");
		put_all(w, &n, (const char *const[]){"fou", undo ? "del" : "add", "port", s->value, NULL});
		if (!undo)
			put(w, &n, "gue");
		break;
	case NEED_LINK:
		put_all(w, &n, (const char *const[]){"link", undo ? "del" : "add", s->name, NULL});
		if (undo)
			break;
		put_all(w, &n, (const char *const[]){"up", "type", s->type, "local", s->value, NULL});
		if (!strcmp(s->type, "ip6tnl"))
			put_all(w, &n, (const char *const[]){"mode", "any", NULL});
		break;
	case NEED_ADDR:
		put_all(w, &n,
			(const char *const[]){"addr", undo ? "del" : "add", s->value, "dev", s->name, NULL});
		/* no source of connections that this host opens: of the host alone, and in IPv6 deprecated */
		if (!undo && strchr(s->value, ':'))
			put_all(w, &n, (const char *const[]){"preferred_lft", "0", NULL});
		else if (!undo)
			put_all(w, &n, (const char *const[]){"scope", "host", NULL});
		break;
	case NEED_SYSCTL:
		snprintf(text, sizeof(text), "%s=%s", s->name, undo ? s->before : s->value);
		put_all(w, &n, (const char *const[]){"-w", text, NULL});
		break;
	case NEED_DECAP:
		break;
	}
}

/* Names of interfaces may be nearly anything. */
static void quote(const char *word, char *to, size_t size)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=@%+,";
	size_t n = 0;

	if (word[strspn(word, plain)] == '\0') {
		snprintf(to, size, "%s", word);
		return;
	}
	to[n++] = '\'';
	for (; *word && n + 6 < size; word++) {
		if (*word != '\'')
			to[n++] = *word;
		else
			n += (size_t)snprintf(to + n, size - n, "'\\''");
	}
	to[n++] = '\'';
	to[n] = '\0';
}

char *need_text(const struct need *step, bool undo, char *to, size_t size)
{
	char word[200];
	struct need_words w;
	size_t i, n = 0;

	if (step->kind == NEED_DECAP) {
		quote(step->name, word, sizeof(word));
		n = (size_t)snprintf(to, size, "program decap on %s", text_harmless(word));
		if (n < size && strcmp(step->value, "0") != 0)
			snprintf(to + n, size - n, ", GUE port %s", step->value);
		return to;
	}
	need_words(step, undo, &w);
	to[0] = '\0';
	for (i = 0; w.args[i] && n < size; i++) {
		quote(text_harmless(w.args[i]), word, sizeof(word));
		n += (size_t)snprintf(to + n, size - n, "%s%s", i ? " " : "", word);
	}
	return to;
}

static const char *const kinds[] = {[NEED_FOU] = "fou",
				    [NEED_LINK] = "link",
				    [NEED_ADDR] = "addr",
				    [NEED_SYSCTL] = "sysctl",
				    [NEED_DECAP] = "decap"};

char *need_write(const struct need *s, char *to, size_t size)
{
	snprintf(to, size, "%s %s %s %s %s", kinds[s->kind], s->name, s->value, s->type[0] ? s->type : "-",
		 s->before[0] ? s->before : "-");
	return to;
}

bool need_read(const char *line, struct need *s)
{
	char kind[16];
	size_t i;

	*s = (struct need){0};
	if (sscanf(line, "%15s %63s %63s %15s %15s", kind, s->name, s->value, s->type, s->before) != 5)
		return false;
	if (!strcmp(s->type, "-"))
		s->type[0] = '\0';
	if (!strcmp(s->before, "-"))
		s->before[0] = '\0';
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kind, kinds[i])) {
			s->kind = (enum need_kind)i;
			return true;
		}
	return false;
}
