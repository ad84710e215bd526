// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What datapath/balance_choose.h does, step by step, without its stores. */
#include <string.h>

#include "balance/answer.h"
#include "balance/balance.h"
#include "datapath/lib/balance.h"
#include "datapath/lib/flow.h"
#include "datapath/lib/nat.h"

#define ICMP_OF(v6) ((v6) ? 58 : 1)
#define TCP 6
#define TCP_RST 4
#define FRAGMENT_IDLE 8 /* ticks, as in datapath/balance_choose.h */

struct look {
	const struct answer_memory *m;
	uint64_t src[2], dst[2];
	uint32_t ports, on;
	uint8_t proto;
	bool v6;
};

static const void *at(const struct look *l, uint32_t part, uint64_t n, size_t size)
{
	return (const char *)l->m->memory + part + n * size;
}

/* The service of the entry for this very key and address, on one of the interfaces. */
static uint32_t vip_find_at(const struct look *l, const uint64_t dst[2], uint32_t half, uint32_t key)
{
	const struct balance_config *c = l->m->config;
	uint64_t sum = hash_word(dst[1], c->vip_seed) + hash_half(key, c->vip_seed + 4);
	const struct balance_vip *e;
	uint32_t bucket, i, k;

	if (l->v6)
		sum += hash_word(dst[0], c->vip_seed + 2);
	bucket = (uint32_t)(hash_fold(sum) >> 32);
	for (i = 0; i < BALANCE_VIP_PROBES; i++) {
		e = at(l, c->vips, (uint64_t)half * c->vip_buckets + ((bucket + i) & (c->vip_buckets - 1)),
		       BALANCE_VIP_WAYS * sizeof(*e));
		for (k = 0; k < BALANCE_VIP_WAYS; k++)
			if (e[k].key == key && e[k].addr[0] == dst[0] && e[k].addr[1] == dst[1])
				return e[k].on & l->on ? e[k].service : ANSWER_NONE;
		if (!e[0].more)
			break;
	}
	return ANSWER_NONE;
}

static uint32_t vip_find(const struct look *l, uint32_t half, uint32_t key)
{
	return vip_find_at(l, l->dst, half, key);
}

static uint32_t vip_of(const struct look *l, bool has_port)
{
	const struct balance_head *head = l->m->memory;
	uint32_t half = head->half & 1, levels = head->levels, service = ANSWER_NONE, port = l->ports & 0xffff, level;

	if (has_port)
		service = vip_find(l, half, BALANCE_VIP_KEY(l->v6, l->proto, 0, port));
	for (level = 1; service == ANSWER_NONE && level < BALANCE_VIP_LEVELS; level++)
		if (levels >> level & 1 && (has_port || level == 16))
			service = vip_find(l, half, BALANCE_VIP_KEY(l->v6, l->proto, level, port >> level << level));
	if (service == ANSWER_NONE && levels & 1u << 16)
		service = vip_find(l, half, BALANCE_VIP_KEY(l->v6, 0, 16, 0));
	if (service == ANSWER_NONE && !has_port)
		service = vip_find(l, half, BALANCE_VIP_KEY(l->v6, 0, BALANCE_VIP_ADDR, 0));
	return service;
}

static uint64_t flow_hash(const struct look *l, uint32_t flags)
{
	if (l->v6)
		return balance_hash6(flags, (const __u64 *)l->src, (const __u64 *)l->dst, l->ports, l->proto,
				     l->m->config->seed);
	return balance_hash4(flags, (uint32_t)l->src[1], (uint32_t)l->dst[1], l->ports, l->proto, l->m->config->seed);
}

static uint64_t fragment_hash(const struct look *l, uint32_t ident)
{
	const __u64 *seed = l->m->config->seed;

	if (l->v6)
		return hash_fold(hash_word(l->src[0], seed) + hash_word(l->src[1], seed + 2) + hash_word(l->dst[0], seed + 4) +
				 hash_word(l->dst[1], seed + 6) + hash_word(ident, seed + 8));
	return hash_fold(hash_word(l->dst[1] << 32 | l->src[1], seed + 4) +
			 hash_word((uint64_t)l->proto << 32 | ident, seed + 6));
}

static struct flow_place find(const uint64_t *table, uint64_t hash, uint32_t shift, uint32_t service, uint64_t mask)
{
	uint64_t buckets = 1ull << (64 - shift);

	return flow_find((const __u64 *)table + (flow_bucket(hash, shift) & (buckets - 1)) * BALANCE_FLOW_WAYS,
			 BALANCE_FLOW_KEY(flow_tag(hash, shift), service), mask);
}

static uint8_t state_of(const struct look *l, const struct balance_ring *r, uint32_t id)
{
	const struct balance_config *c = l->m->config;
	const struct balance_target *t;

	if (id >= r->n_targets || r->targets + id >= c->n_targets)
		return BALANCE_TARGET_GONE;
	t = at(l, c->targets, r->targets + id, sizeof(*t));
	return t->state;
}

/* The slot first, then its change, as a packet reads them. false: the tables contradict themselves */
static bool word_of(const struct look *l, const struct balance_ring *r, uint32_t slot, uint32_t *word)
{
	const struct balance_config *c = l->m->config;
	uint32_t where = balance_slot_at(r, slot), flags;
	uint16_t two;

	*word = 0;
	if (where >= c->slot_bytes - 1)
		return false;
	memcpy(&two, at(l, c->slots, where, 1), sizeof(two));
	flags = r->flags;
	*word = balance_slot_id(flags, two);
	if (!(flags & BALANCE_FLAG_CHANGES))
		return true;
	if (r->change + slot >= c->n_changes)
		return false;
	memcpy(&two, at(l, c->changes, r->change + slot, sizeof(two)), sizeof(two));
	*word = balance_word(*word, two);
	return true;
}

static void choose(const struct look *l, const struct balance_ring *r, enum balance_packet kind, uint32_t known,
		   struct answer *to)
{
	uint32_t previous = BALANCE_PREVIOUS(to->word);
	struct balance_choice c;
	uint8_t state = known ? state_of(l, r, known) : BALANCE_TARGET_GONE, before = BALANCE_TARGET_GONE;

	if (previous && previous != BALANCE_ID_NOBODY) {
		before = state_of(l, r, previous);
		to->until = r->until[BALANCE_EPOCH(to->word)];
	}
	c = balance_choose(r, to->word, kind, known, state, before, l->m->now_ns);
	to->id = c.id;
	to->why = (enum balance_why)c.why;
}

/* --- what becomes of it --- */

static bool is_forged(const struct look *l)
{
	const struct balance_head *head = l->m->memory;

	return !balance_is_sender(l->v6, (const __u64 *)l->src) ||
	       vip_find_at(l, l->src, head->half & 1, BALANCE_VIP_KEY(l->v6, 0, BALANCE_VIP_ADDR, 0)) !=
		       ANSWER_NONE;
}

static bool is_echo(const struct answer_packet *p)
{
	return p->icmp_type == nat_echo(p->dst.v6, 1) && !p->icmp_code;
}

/* What is not translated, before a backend is chosen; BALANCE_REASONS: nothing is wrong. */
static enum balance_reason nat_refuses(const struct look *l, const struct answer_packet *p)
{
	if (p->kind == BALANCE_PACKET_FRAGMENT)
		return BALANCE_DROP_NO_FIRST;
	if (!nat_is_translated(l->v6, p->proto) || (p->proto == ICMP_OF(l->v6) && !is_echo(p)))
		return BALANCE_DROP_MODE;
	return is_forged(l) ? BALANCE_DROP_DAMAGED : BALANCE_REASONS;
}

/* Would its sender be told of an error? */
static bool is_answered(const struct look *l, const struct answer_packet *p)
{
	return p->kind != BALANCE_PACKET_FRAGMENT && p->kind != BALANCE_PACKET_ERROR &&
	       !(p->proto == ICMP_OF(l->v6) && balance_is_unanswered(l->v6, p->icmp_type)) && !is_forged(l);
}

static enum balance_reason without_backend(const struct look *l, const struct answer_packet *p,
					   const struct balance_ring *r, enum balance_why why)
{
	bool told = r->fallback == BALANCE_RESET && is_answered(l, p);

	if (why == BALANCE_WHY_NO_FIRST)
		return BALANCE_DROP_NO_FIRST;
	if (p->proto == TCP)
		told = told && !p->more && !(p->tcp_flags & TCP_RST);
	else
		told = told && (p->bytes >= BALANCE_QUOTE || !p->extended);
	return told ? BALANCE_DROP_REFUSED : BALANCE_DROP_NO_BACKEND;
}

/* A way that is looked up for each packet takes it, as far as is known here. */
static enum balance_reason on_the_way(const struct look *l, const struct answer_packet *p,
				      const struct balance_ring *r, struct answer *to)
{
	const struct balance_config *c = l->m->config;
	bool tunnel = r->mode == BALANCE_IPIP || r->mode == BALANCE_GUE;
	const struct balance_target *t;
	const struct balance_hop *hop;
	uint32_t head;

	if (r->targets + to->id >= c->n_targets)
		return BALANCE_DROP_TABLES;
	t = at(l, c->targets, r->targets + to->id, sizeof(*t));
	hop = at(l, c->hops, t->hop & (c->n_hops - 1), sizeof(*hop));
	head = tunnel ? balance_outer(r->mode == BALANCE_GUE, t->v6) : 0;
	if (t->hop && !hop->ifindex)
		return BALANCE_DROP_NO_NEIGH;
	if (t->hop && p->bytes + head > hop->mtu) {
		to->fits = hop->mtu - head;
		return is_answered(l, p) && p->bytes >= BALANCE_QUOTE ? BALANCE_DROP_TOO_BIG_TOLD
								      : BALANCE_DROP_TOO_BIG;
	}
	return r->mode == BALANCE_NAT && p->ttl <= 1 ? BALANCE_DROP_TTL : BALANCE_REASONS;
}

void answer_packet(const struct answer_memory *m, const struct answer_packet *p, uint32_t on, struct answer *to)
{
	struct look l = {.m = m,
			 .ports = (uint32_t)p->sport << 16 | p->dport,
			 .on = on,
			 .proto = p->proto,
			 .v6 = p->dst.v6};
	const struct balance_config *c = m->config;
	bool fragment = p->kind == BALANCE_PACKET_FRAGMENT;
	struct flow_place place = {0, FLOW_NOWHERE};
	const struct balance_ring *r;

	*to = (struct answer){.service = ANSWER_NONE, .why = BALANCE_WHY_NO_BACKEND, .drop = BALANCE_REASONS};
	if (p->hosts)
		return;
	net_addr_words(&p->src, &l.src[0], &l.src[1]);
	net_addr_words(&p->dst, &l.dst[0], &l.dst[1]);
	if (fragment) {
		l.ports = 0;
		to->why = BALANCE_WHY_NO_FIRST;
		if (m->fragments)
			place = find(m->fragments, fragment_hash(&l, p->ident), c->fragment_shift, 0, ~0ull << 35);
		if (place.entry && ((m->ticks - BALANCE_FLOW_TIME(place.entry)) & 1023) > FRAGMENT_IDLE)
			place.entry = 0;
	}
	if (!place.entry)
		to->service = vip_of(&l, !fragment);
	else if (BALANCE_FLOW_ID(place.entry))
		to->service = BALANCE_FLOW_SERVICE(place.entry); /* else its first one passed, and so does this */
	if (to->service == ANSWER_NONE || to->service == BALANCE_VIP_NOBODY) {
		if (to->service == ANSWER_NONE)
			to->why = BALANCE_WHY_NO_BACKEND; /* it passes; a fragment for an address that has services does not */
		else if (fragment)
			to->drop = BALANCE_DROP_NO_FIRST;
		to->service = ANSWER_NONE;
		return;
	}
	r = at(&l, c->services, to->service & (c->n_services - 1), sizeof(*r));
	if (r->mode == BALANCE_NAT)
		to->drop = nat_refuses(&l, p);
	to->unasked = to->drop != BALANCE_REASONS;
	if (to->unasked)
		return;
	to->affinity = r->flags & BALANCE_FLAG_AFFINITY;
	to->hash = flow_hash(&l, 0);
	to->slot = balance_slot(r, to->affinity ? flow_hash(&l, BALANCE_FLAG_AFFINITY) : to->hash);
	if (!word_of(&l, r, to->slot, &to->word)) {
		to->drop = BALANCE_DROP_TABLES;
		return;
	}
	if (!fragment)
		place = find(m->flows, to->hash, c->flow_shift, to->service, BALANCE_FLOW_KEY_MASK);
	to->entry = place.entry;
	if (!fragment && balance_settled(to->word)) {
		to->id = BALANCE_CURRENT(to->word);
		to->why = to->id ? BALANCE_WHY_HASH : BALANCE_WHY_NO_BACKEND;
	} else {
		choose(&l, r, p->kind, BALANCE_FLOW_ID(place.entry), to);
	}
	to->drop = to->id ? on_the_way(&l, p, r, to) : without_backend(&l, p, r, to->why);
}
