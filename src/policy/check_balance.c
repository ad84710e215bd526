// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Balance blocks to services: the model of src/balance, and what it says is wrong, at its place in the text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "policy/policy.h"

/* Where a thing of the model stands; its line is its number here. */
struct place {
	struct policy_pos all, addr, port;
	bool damaged; /* not all of it could be read: what is missing in it may be there */
};

struct places {
	struct policy *p;
	struct buf all;
};

static uint32_t place(struct places *to, struct policy_pos all, struct policy_pos addr,
		      struct policy_pos port, bool damaged)
{
	struct place one = {all, addr, port, damaged};

	buf_put(&to->all, &one, sizeof(one));
	return (uint32_t)(to->all.len / sizeof(one)) - 1;
}

static void say(void *arg, uint32_t line, enum balance_part part, const char *sentence)
{
	struct places *places = arg;
	const struct place *at = (const struct place *)places->all.data + line;

	if (!at->damaged)
		policy_error(places->p,
			     part == BALANCE_PART_ADDR	 ? at->addr
			     : part == BALANCE_PART_PORT ? at->port
							 : at->all,
			     "%s", sentence);
}

static struct net_addr address(const struct policy_value *v)
{
	struct policy_addr6 n = v->addr.first;
	struct net_addr a = {.v6 = v->addr.v6};
	size_t i, len = a.v6 ? 16 : 4;

	for (i = 0; i < len; i++)
		a.bytes[i] = (uint8_t)((a.v6 && i < 8 ? n.hi : n.lo) >> 8 * ((len - 1 - i) % 8));
	return a;
}

static struct policy_pos together(struct policy_pos a, struct policy_pos b)
{
	uint32_t len = b.at + b.len - a.at;

	if (a.file == b.file && b.at >= a.at)
		a.len = len > UINT16_MAX ? UINT16_MAX : (uint16_t)len;
	return a;
}

static bool virtuals(struct balance_service *s, const struct policy_virtual *v, struct places *places)
{
	struct policy_value all = {.num = {0, 65535}};
	uint32_t i, k, n = v->ports.n ? v->ports.n : 1;
	struct balance_virtual *to;
	struct net_addr addr;

	for (i = 0; i < v->addrs.n; i++) {
		addr = address(&v->addrs.v[i]);
		for (k = 0; k < n; k++) {
			const struct policy_value *port = v->ports.n ? &v->ports.v[k] : &all;
			struct policy_pos a = v->addrs.v[i].pos;
			/* of several the one that is wrong, else address and port together */
			struct policy_pos at = !v->ports.n ? a : n > 1 ? port->pos : together(a, port->pos);

			to = balance_virtual_add(s, &addr, v->proto, (uint16_t)port->num.lo,
						 (uint16_t)port->num.hi);
			if (!to)
				return false;
			to->line = place(places, at, a, v->addrs.n > 1 ? a : at, false);
		}
	}
	return true;
}

static bool backends(struct balance_service *s, const struct policy_backend *b, struct places *places)
{
	struct balance_backend *to;
	struct net_addr addr;
	uint32_t i;

	for (i = 0; i < b->addrs.n; i++) {
		addr = address(&b->addrs.v[i]);
		to = balance_backend_add(s, &addr);
		if (!to)
			return false;
		to->weight = b->weight;
		to->port = (uint16_t)b->port;
		to->drain = b->drain;
		to->has_server = b->has_server;
		to->server = b->server;
		to->line = place(places, b->addrs.v[i].pos, b->addrs.v[i].pos, b->port_pos, false);
	}
	return true;
}

static bool pool(struct balance_service *s, const struct policy_value *v, struct places *places)
{
	struct net_addr first = address(v);
	struct balance_pool *to = balance_pool_add(s, &first, (uint32_t)(v->addr.last.lo - v->addr.first.lo) + 1);

	if (to)
		to->line = place(places, v->pos, v->pos, v->pos, false);
	return to;
}

static bool service(struct policy *p, const struct policy_balance *b, struct places *places)
{
	struct balance_service *s = balance_service_add(&p->services, b->name);
	bool ok = s;
	uint32_t i;

	if (!ok)
		return false;
	s->mode = (enum balance_mode)b->mode;
	s->fallback = (enum balance_fallback)b->fallback;
	s->gue_port = (uint16_t)b->gue_port;
	s->affinity = b->affinity;
	s->stateless = b->stateless;
	s->n_slots = b->n_slots;
	s->hold_s = b->hold_s;
	s->quic_bytes = (uint8_t)b->quic_bytes;
	s->quic_config = (uint8_t)b->quic_config;
	s->line = place(places, b->pos, b->pos, b->pos, b->damaged);
	for (i = 0; ok && i < b->from.n; i++)
		ok = pool(s, &b->from.v[i], places);
	for (i = 0; ok && i < b->n_virtuals; i++)
		ok = virtuals(s, &b->virtuals[i], places);
	for (i = 0; ok && i < b->n_backends; i++)
		ok = backends(s, &b->backends[i], places);
	return ok;
}

/* Where there is no tunnel, or what is run knows of none, a check cannot but go straight. */
static void straight(struct policy *p, const struct policy_balance *b)
{
	const struct policy_health *h = &b->health;

	if (!h->direct)
		return;
	if (h->kind == POLICY_HEALTH_COMMAND)
		policy_error(p, h->direct_pos,
			     "service %s: commands always go straight to the backend; leave out 'direct'", b->name);
	else if (b->forward_given && b->mode != BALANCE_IPIP && b->mode != BALANCE_GUE)
		policy_error(p, h->direct_pos,
			     "service %s: with forward %s checks always go straight to the backend; leave out 'direct'",
			     b->name, b->mode == BALANCE_NAT ? "nat" : "l2");
}

/* Addresses that no way leads to, or none out of this host. */
static const char *nowhere(const struct net_addr *a)
{
	static const struct net_addr loopback = {.bytes = {[15] = 1}, .v6 = true};

	if (a->v6 ? !memcmp(a->bytes, loopback.bytes, sizeof(loopback.bytes)) : a->bytes[0] == 127)
		return "an address of this host: packets do not leave it";
	if (a->v6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80)
		return "link-local: there is no way to it without an interface; name another address of it";
	return NULL;
}

/* What can be meant, and hardly is. */
static void doubts(struct policy *p, const struct policy_balance *b)
{
	bool any = b->damaged || !b->n_backends;
	char text[NET_ADDR_TEXT];
	struct net_addr addr;
	const char *what;
	uint32_t i, k;

	for (i = 0; i < b->n_backends; i++) {
		any |= b->backends[i].weight && !b->backends[i].drain;
		for (k = 0; k < b->backends[i].addrs.n; k++) {
			addr = address(&b->backends[i].addrs.v[k]);
			what = nowhere(&addr);
			if (what)
				policy_warn(p, b->backends[i].addrs.v[k].pos, "service %s: backend %s is %s",
					    b->name, net_addr_format(&addr, text, sizeof(text)), what);
		}
	}
	if (!any)
		policy_warn(p, b->pos,
			    "service %s: all backends have weight 0 or drain, so no new flow gets one",
			    b->name);
}

int policy_services(struct policy *p, struct sluice_err *err)
{
	struct places places = {.p = p};
	bool ok = true;
	uint32_t i;
	int e;

	if (p->balance_seed)
		snprintf(p->services.seed, sizeof(p->services.seed), "%s", p->balance_seed);
	for (i = 0; ok && i < p->n_balances; i++) {
		straight(p, &p->balances[i]);
		doubts(p, &p->balances[i]);
		ok = service(p, &p->balances[i], &places);
	}
	e = ok && !places.all.failed ? balance_check(&p->services, say, &places, NULL) : -ENOMEM;
	buf_free(&places.all);
	return e == -ENOMEM ? err_nomem(err) : 0;
}
