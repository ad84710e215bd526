// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What packets did, and would do: counters, the flow table, answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bpf/seam.h"
#include "control/balance.h"
#include "control/balance_counts.h"
#include "control/balance_inside.h"

#define KEPT_TICKS 768 /* of 1,024, after which an old entry would look young */

/* --- counters --- */

int balance_live_counts(struct balance_live *b, uint32_t service, uint32_t backend, struct balance_count *to,
			struct sluice_err *err)
{
	const struct balance_count *base;
	struct balance_live_backend x;
	int e = balance_live_backend(b, service, backend, &x, err);

	*to = (struct balance_count){0};
	if (e || !x.id)
		return e;
	e = balance_counts_read(b->maps.counts, x.target, to, err);
	if (e)
		return e;
	base = &b->services[service].base[backend];
	to->packets -= base->packets;
	to->bytes -= base->bytes;
	to->opened -= base->opened;
	to->known -= base->known;
	return 0;
}

int balance_live_reasons(struct balance_live *b, uint32_t service, struct balance_reasons *to, struct sluice_err *err)
{
	int e = service == BALANCE_LIVE_NONE ? 0 : live_check(b, service, BALANCE_LIVE_NONE, err), i;

	*to = (struct balance_reasons){0};
	if (e)
		return e;
	if (service == BALANCE_LIVE_NONE)
		return balance_reasons_read(b->maps.reasons, b->config.n_services, to, err);
	e = balance_reasons_read(b->maps.reasons, b->services[service].number, to, err);
	for (i = 0; !e && i < 16; i++)
		to->n[i] -= b->services[service].base_reasons.n[i];
	return e;
}

/* --- the flow table --- */

/*
 * The flow table's clock is the kernel's jiffies, which begin five minutes before they wrap around in 32 bits
 * (INITIAL_JIFFIES of <linux/jiffies.h>) and go with the monotonic clock; the engine in user space begins with 0.
 */
uint32_t live_ticks_long(const struct balance_live *b, uint64_t now_ns)
{
	uint64_t jiffies, hz, jiffy = control_balance_jiffy_ns();

	if (seam_in_user_space())
		return (uint32_t)(now_ns / jiffy >> b->config.tick_shift);
	hz = (1000000000u + jiffy / 2) / jiffy;
	jiffies = (uint32_t)(-300 * (int64_t)hz) + now_ns / (1000000000u / hz);
	return (uint32_t)(jiffies >> b->config.tick_shift);
}

uint32_t live_ticks(const struct balance_live *b, uint64_t now_ns)
{
	return live_ticks_long(b, now_ns) & 1023;
}

/* How many seconds n ticks of the flow table are. */
static uint32_t seconds(const struct balance_live *b, uint32_t n)
{
	return (uint32_t)((((uint64_t)n << b->config.tick_shift) * control_balance_jiffy_ns() + 500000000u) / 1000000000u);
}

static uint32_t age_of(uint64_t entry, uint32_t now)
{
	uint32_t age = (now - BALANCE_FLOW_TIME(entry)) & 1023;

	return age > 1020 ? 0 : age; /* the clock was read before the packet came */
}

static size_t n_entries(const struct balance_live *b)
{
	return b->flows_bytes / sizeof(*b->flows);
}

static uint64_t entry_at(const struct balance_live *b, size_t i)
{
	return __atomic_load_n(&b->flows[i], __ATOMIC_RELAXED);
}

/* Places by numbers: of services, and of the backends of each. */
struct places {
	uint32_t *services; /* by number */
	uint32_t **backends; /* by place of the service, by number */
	uint32_t *n;
	size_t n_services;
};

static void places_free(struct places *p)
{
	size_t i;

	for (i = 0; p->backends && i < p->n_services; i++)
		free(p->backends[i]);
	free(p->backends);
	free(p->services);
	free(p->n);
}

static int places_of(const struct balance_live *b, struct places *p, struct sluice_err *err)
{
	size_t i, k;

	*p = (struct places){.n_services = b->policy.n_services};
	p->services = malloc(BALANCE_SERVICES * sizeof(*p->services));
	p->backends = calloc(p->n_services + 1, sizeof(*p->backends));
	p->n = calloc(p->n_services + 1, sizeof(*p->n));
	if (!p->services || !p->backends || !p->n)
		return err_nomem(err);
	memset(p->services, 0xff, BALANCE_SERVICES * sizeof(*p->services));
	for (i = 0; i < p->n_services; i++) {
		const struct live_service *s = &b->services[i];

		p->services[s->number] = (uint32_t)i;
		p->n[i] = tables_n_targets(b->t, s->number);
		p->backends[i] = malloc((p->n[i] + 1ul) * sizeof(uint32_t));
		if (!p->backends[i])
			return err_nomem(err);
		memset(p->backends[i], 0xff, (p->n[i] + 1ul) * sizeof(uint32_t));
		for (k = 0; k < b->policy.services[i]->n_backends; k++)
			if (s->ids[k] && s->ids[k] < p->n[i])
				p->backends[i][s->ids[k]] = (uint32_t)k;
	}
	return 0;
}

static void place(const struct places *p, uint32_t number, uint32_t id, uint32_t *service, uint32_t *backend)
{
	*backend = BALANCE_LIVE_NONE;
	*service = number < BALANCE_SERVICES ? p->services[number] : BALANCE_LIVE_NONE;
	if (*service != BALANCE_LIVE_NONE && id < p->n[*service])
		*backend = p->backends[*service][id];
}

/* Translated flows as entries of the flow table. */
struct as_entries {
	const struct balance_live *b;
	const struct places *p;
	int (*each)(void *arg, const struct balance_live_flow *flow);
	void *arg;
};

static int as_entry(void *arg, const struct live_nat_flow *n)
{
	const struct as_entries *a = arg;
	struct balance_live_flow f = {.state = n->state, .age_s = seconds(a->b, n->age)};

	place(a->p, n->number, n->id, &f.service, &f.backend);
	if (!live_is_translated(a->b, f.service))
		return 0;
	f.entry = BALANCE_FLOW_KEY(n->tag, n->number) | (uint64_t)n->id << 12 | n->state << 10;
	return a->each(a->arg, &f);
}

int balance_live_flows(struct balance_live *b, uint64_t now_ns, int (*each)(void *arg, const struct balance_live_flow *flow),
		       void *arg, struct sluice_err *err)
{
	uint32_t now = live_ticks(b, now_ns);
	struct balance_live_flow f;
	struct places p;
	struct as_entries nat = {b, &p, each, arg};
	size_t i;
	int e = places_of(b, &p, err);

	for (i = 0; !e && i < n_entries(b); i++) {
		f.entry = entry_at(b, i);
		if (!f.entry)
			continue;
		place(&p, BALANCE_FLOW_SERVICE(f.entry), BALANCE_FLOW_ID(f.entry), &f.service, &f.backend);
		if (live_is_translated(b, f.service))
			continue;
		f.state = BALANCE_FLOW_STATE(f.entry);
		f.age_s = seconds(b, age_of(f.entry, now));
		e = each(arg, &f);
	}
	e = e ?: live_nat_flows(b, now_ns, as_entry, &nat, err);
	places_free(&p);
	return e;
}

struct tally {
	const struct balance_live *b;
	uint32_t active_s;
	uint32_t first[BALANCE_SERVICES], room[BALANCE_SERVICES]; /* by number */
	bool translated[BALANCE_SERVICES];
	struct balance_tally *v;
};

static void count_one(struct tally *t, uint32_t number, uint32_t id, uint32_t state, uint32_t age)
{
	struct balance_tally *to;

	if (id >= t->room[number] || (t->active_s && seconds(t->b, age) > t->active_s))
		return;
	to = &t->v[t->first[number] + id];
	to->kept += state == BALANCE_FLOW_KEPT;
	to->fresh += state != BALANCE_FLOW_KEPT;
}

static int count_translated(void *arg, const struct live_nat_flow *f)
{
	struct tally *t = arg;

	if (t->translated[f->number])
		count_one(t, f->number, f->id, f->state, f->age);
	return 0;
}

int balance_live_tally(struct balance_live *b, uint64_t now_ns, uint32_t active_s, struct balance_tally **to, uint32_t *n,
		       struct sluice_err *err)
{
	uint32_t now = live_ticks(b, now_ns), number;
	struct tally *t = calloc(1, sizeof(*t));
	uint64_t entry;
	size_t i;
	int e;

	*to = NULL;
	*n = b->config.n_targets;
	if (t) {
		t->b = b;
		t->active_s = active_s;
		t->v = calloc(b->config.n_targets + 1ul, sizeof(*t->v));
	}
	if (!t || !t->v) {
		free(t);
		return err_nomem(err);
	}
	for (i = 0; i < b->policy.n_services; i++) {
		number = b->services[i].number;
		t->first[number] = tables_first(b->t, number);
		t->room[number] = tables_n_targets(b->t, number);
		t->translated[number] = live_is_translated(b, (uint32_t)i);
	}
	for (i = 0; i < n_entries(b); i++) {
		entry = entry_at(b, i);
		if (entry && !t->translated[BALANCE_FLOW_SERVICE(entry)])
			count_one(t, BALANCE_FLOW_SERVICE(entry), BALANCE_FLOW_ID(entry), BALANCE_FLOW_STATE(entry),
				  age_of(entry, now));
	}
	e = live_nat_flows(b, now_ns, count_translated, t, err);
	if (e)
		free(t->v);
	else
		*to = t->v;
	free(t);
	return e;
}

/* Silent for so long that it may go. What a packet makes of it meanwhile stays. */
static bool take_out(struct balance_live *b, size_t i, uint64_t entry, uint32_t now)
{
	uint32_t most = BALANCE_FLOW_STATE(entry) == BALANCE_FLOW_KEPT ? KEPT_TICKS
			: b->config.idle < KEPT_TICKS		       ? b->config.idle
								       : KEPT_TICKS;

	return age_of(entry, now) > most &&
	       __atomic_compare_exchange_n(&b->flows[i], &entry, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The slot of an entry: bucket and tag are the upper bits of its hash. */
static uint32_t slot_of(const struct balance_live *b, const struct balance_ring *r, size_t i, uint64_t entry)
{
	uint32_t shift = b->config.flow_shift;
	uint64_t hash = (uint64_t)(i / BALANCE_FLOW_WAYS) << shift |
			(uint64_t)BALANCE_FLOW_TAG(entry) << (shift - BALANCE_FLOW_TAG_BITS);

	return (uint32_t)((hash >> 32) * r->n_slots >> 32);
}

static uint32_t current_of(const struct balance_live *b, const struct live_service *s, bool wide, uint32_t slot)
{
	const char *at = (const char *)b->memory + b->config.slots + tables_slots(b->t, s->number);

	return wide ? ((const uint16_t *)(const void *)at)[slot] : ((const uint8_t *)at)[slot];
}

/* With affinity an entry does not tell its slot: it is elsewhere in every slot that is another backend's. */
static void mark(const struct balance_live *b, uint32_t service, size_t i, uint64_t entry, uint8_t *bits)
{
	const struct live_service *s = &b->services[service];
	const struct balance_ring *r = live_ring(b, service);
	uint32_t n = b->policy.services[service]->n_slots, slot = slot_of(b, r, i, entry), id = BALANCE_FLOW_ID(entry), last;
	bool wide = r->flags & BALANCE_FLAG_WIDE;

	last = slot;
	if (r->flags & BALANCE_FLAG_AFFINITY) {
		slot = 0;
		last = n - 1;
	}
	for (; slot <= last && slot < n; slot++)
		if (current_of(b, s, wide, slot) != id)
			bits[slot / 8] |= (uint8_t)(1u << slot % 8);
}

int live_elsewhere(struct balance_live *b, uint64_t now_ns, uint8_t **bits, struct sluice_err *err)
{
	uint32_t now = live_ticks(b, now_ns), service, backend, any = 0;
	uint8_t **seen = calloc(b->policy.n_services + 1, sizeof(*seen)); /* by backend: with affinity once is enough */
	struct places p;
	uint64_t entry;
	size_t i;
	int e = places_of(b, &p, err);

	if (!e && !seen)
		e = err_nomem(err);
	for (i = 0; !e && i < b->policy.n_services; i++) {
		if (!(live_ring(b, (uint32_t)i)->flags & BALANCE_FLAG_CHANGES))
			continue;
		bits[i] = calloc(b->policy.services[i]->n_slots / 8 + 1, 1);
		seen[i] = calloc(BALANCE_ID_NOBODY + 1, 1);
		if (!bits[i] || !seen[i])
			e = err_nomem(err);
		any++;
	}
	for (i = 0; !e && i < n_entries(b); i++) {
		entry = entry_at(b, i);
		if (!entry || take_out(b, i, entry, now) || !any)
			continue;
		place(&p, BALANCE_FLOW_SERVICE(entry), BALANCE_FLOW_ID(entry), &service, &backend);
		/* of one that went or is down: packets do not go there whatever the table says */
		if (service == BALANCE_LIVE_NONE || !bits[service] || BALANCE_FLOW_ID(entry) >= p.n[service] ||
		    !(live_targets(b, service)[BALANCE_FLOW_ID(entry)].state & 1))
			continue;
		if (live_ring(b, service)->flags & BALANCE_FLAG_AFFINITY && seen[service][BALANCE_FLOW_ID(entry)]++)
			continue;
		mark(b, service, i, entry, bits[service]);
	}
	for (i = 0; seen && i < b->policy.n_services; i++)
		free(seen[i]);
	free(seen);
	places_free(&p);
	return e;
}

/* --- answers --- */

#define TCP 6
#define ETHERNET 14
#define TAG 4
#define SYN 0x02
#define ACK 0x10

static bool is_icmp_error(const struct policy_packet *k)
{
	if (!k->has_icmp || k->fragment != POLICY_FRAGMENT_NONE)
		return false;
	return k->v6 ? k->icmp_type >= 1 && k->icmp_type <= 4
		     : k->icmp_type == 3 || k->icmp_type == 4 || k->icmp_type == 11 || k->icmp_type == 12;
}

/* As datapath/balance_view.h sees it. */
int balance_live_packet(const struct policy_packet *k, struct answer_packet *to, struct sluice_err *err)
{
	*to = (struct answer_packet){.src = k->from,
				     .dst = k->to,
				     .proto = k->proto,
				     .ttl = k->ttl,
				     .more = k->fragment == POLICY_FRAGMENT_FIRST,
				     .bytes = k->length - ETHERNET - k->n_tags * TAG};
	if (!k->is_ip)
		return err_set(err, -EINVAL, "the packet is not IP: only IP packets are balanced");
	if (is_icmp_error(k))
		return err_set(err, -EINVAL,
			       "an ICMP error goes where the flow goes whose packet it quotes: ask about "
			       "that flow");
	to->extended = k->v6 && to->more;
	to->hosts =
		k->ether_to[0] & 1 || (k->v6 && k->has_icmp && k->icmp_type >= 130 && k->icmp_type <= 137);
	if (k->fragment == POLICY_FRAGMENT_LATER)
		to->kind = BALANCE_PACKET_FRAGMENT;
	else if (k->has_flags && k->proto == TCP && (k->flags & (SYN | ACK)) == SYN)
		to->kind = BALANCE_PACKET_OPENS;
	if (k->has_ports) {
		to->sport = k->from_port;
		to->dport = k->to_port;
	}
	if (k->has_flags)
		to->tcp_flags = k->flags;
	if (k->has_icmp) {
		to->icmp_type = k->icmp_type;
		to->icmp_code = k->icmp_code;
	}
	return 0;
}

int balance_live_why(struct balance_live *b, const struct answer_packet *p, uint32_t on, uint64_t now_ns,
		     struct balance_live_answer *to, struct sluice_err *err)
{
	struct answer_memory m = {.memory = b->memory,
				  .flows = b->flows,
				  .fragments = b->fragments,
				  .config = &b->config,
				  .ticks = live_ticks(b, now_ns),
				  .now_ns = now_ns};
	struct places places;
	int e;

	*to = (struct balance_live_answer){.service = BALANCE_LIVE_NONE, .backend = BALANCE_LIVE_NONE};
	if (!b->memory)
		return err_set(err, -EINVAL, "this balancer has not got its place yet");
	answer_packet(&m, p, on, &to->a);
	e = places_of(b, &places, err);
	if (!e && to->a.service != ANSWER_NONE)
		place(&places, to->a.service, to->a.id ? to->a.id : ~0u, &to->service, &to->backend);
	places_free(&places);
	return e;
}
