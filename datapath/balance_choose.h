/* SPDX-License-Identifier: GPL-2.0-only */
/* Second phase of balance.bpf.c: which service a packet is for, and which backend it goes to. */
#ifndef DATAPATH_BALANCE_CHOOSE_H
#define DATAPATH_BALANCE_CHOOSE_H

#include "datapath/balance_maps.h"
#include "datapath/lib/flow.h"

#define AT(m, type, off) ((type *)((char *)(m) + (off)))

static __always_inline __u32 now_ticks(void)
{
	return (__u32)(bpf_jiffies64() >> (config.tick_shift & 63)) & 1023;
}

#define VIP_NONE (~0u)

/* Its service, if the entry counts on this interface. A number, so that to the verifier all entries are alike. */
static __always_inline __u32 vip_service(const struct balance_vip *e)
{
	return e->on & config.on ? e->service : VIP_NONE;
}

/* The service of the entry for this very key and destination. */
static __always_inline __u32 vip_find(void *m, __u64 dst0, __u64 dst1, __u32 half, __u32 key)
{
	__u64 sum = hash_word(dst1, config.vip_seed) + hash_half(key, config.vip_seed + 4);
	__u32 mask = config.vip_buckets - 1, bucket, i;
	struct balance_vip *e;

	if (key >> 30 & 1)
		sum += hash_word(dst0, config.vip_seed + 2);
	bucket = (__u32)(hash_fold(sum) >> 32);
	for (i = 0; i < BALANCE_VIP_PROBES; i++) {
		e = AT(m, struct balance_vip,
		       config.vips + half * config.vip_buckets * 64 + ((bucket + i) & mask) * 64);
		if (e[0].key == key && e[0].addr[1] == dst1 && e[0].addr[0] == dst0)
			return vip_service(&e[0]);
		if (e[1].key == key && e[1].addr[1] == dst1 && e[1].addr[0] == dst0)
			return vip_service(&e[1]);
		if (!e[0].more)
			break;
	}
	return VIP_NONE;
}

/*
 * All ports, blocks of ports, then everything that goes to the address. what: bit 0 has a port, bit 1 IPv6, from bit 8 on
 * the protocol
 */
static __always_inline __u32 vip_blocks(struct balance_head *head, __u64 dst0, __u64 dst1, __u32 what,
					__u32 port)
{
	__u32 v6 = what >> 1 & 1, level, service, half = head->half & 1, levels = head->levels;

	for (level = 1; level < BALANCE_VIP_LEVELS; level++) {
		if (!(levels >> level & 1) || (!(what & 1) && level < 16))
			continue;
		service = vip_find(head, dst0, dst1, half,
				   BALANCE_VIP_KEY(v6, what >> 8 & 255, level, port >> level << level));
		if (service != VIP_NONE)
			return service;
	}
	return levels & 1u << 16 ? vip_find(head, dst0, dst1, half, BALANCE_VIP_KEY(v6, 0, 16, 0)) : VIP_NONE;
}

/* Not inline for the short way, which it would make long; not static, so that it is verified once. */
__attribute__((noinline)) __u32 vip_blocks_call(__u64 dst0, __u64 dst1, __u32 what, __u32 port)
{
	struct balance_head *head = bpf_map_lookup_elem(&balance_tables, &map_first);

	return head ? vip_blocks(head, dst0, dst1, what, port) : VIP_NONE;
}

/*
 * The service of a packet with or without a port; VIP_NONE: it is for nobody. BALANCE_VIP_NOBODY: for an address that has some, of
 * which it is none's, or its port is not known; told of those without a port, and of first fragments.
 */
static __always_inline __u32 vip_of(void *m, const struct view *v, __u32 has_port)
{
	__u32 port = v->ports & 0xffff, service = VIP_NONE;
	struct balance_head *head = m;

	if (has_port)
		service = vip_find(m, v->dst[0], v->dst[1], head->half & 1,
				   BALANCE_VIP_KEY(v->v6, v->proto, 0, port));
	if (service == VIP_NONE && head->levels >> 1)
		service = vip_blocks(head, v->dst[0], v->dst[1],
				     (__u32)v->proto << 8 | v->v6 << 1 | has_port, port);
	if (service == VIP_NONE && (!has_port || v->more))
		service = vip_find(m, v->dst[0], v->dst[1], head->half & 1,
				   BALANCE_VIP_KEY(v->v6, 0, BALANCE_VIP_ADDR, 0));
	return service;
}

/* What the fragments of one packet have in common: RFC 791 and 8200. Not its ports. */
static __always_inline __u64 fragment_hash(const struct view *v)
{
	if (v->v6)
		return hash_fold(hash_word(v->src[0], config.seed) + hash_word(v->src[1], config.seed + 2) +
				 hash_word(v->dst[0], config.seed + 4) +
				 hash_word(v->dst[1], config.seed + 6) +
				 hash_word(v->ident, config.seed + 8));
	return hash_fold(hash_word(v->dst[1] << 32 | v->src[1], config.seed + 4) +
			 hash_word((__u64)v->proto << 32 | v->ident, config.seed + 6));
}

static __always_inline volatile __u64 *bucket_of(void *map, __u64 hash, __u32 shift)
{
	__u64 mask = ((1ull << ((64 - shift) & 63)) - 1) << 6;
	char *m = bpf_map_lookup_elem(map, &map_first);

	return m ? (volatile __u64 *)(m + ((__u64)flow_bucket(hash, shift) << 6 & mask)) : 0;
}

#define FRAGMENT_IDLE 8 /* ticks: no packet is in pieces for so long (RFC 1122: 60 to 120 s) */

/* The service of a fragment and, in the view, its backend (0: the first one passed), from the table of fragments; -1: not there. */
static __always_inline int fragment_find(struct view *v)
{
	__u64 hash = fragment_hash(v), key = BALANCE_FLOW_KEY(flow_tag(hash, config.fragment_shift), 0);
	volatile __u64 *b = bucket_of(&balance_fragments, hash, config.fragment_shift);
	struct flow_place p;

	if (!b)
		return -1;
	p = flow_find(b, key, ~0ull << 35);
	if (!p.entry || ((now_ticks() - BALANCE_FLOW_TIME(p.entry)) & 1023) > FRAGMENT_IDLE)
		return -1;
	v->id = BALANCE_FLOW_ID(p.entry);
	return (int)BALANCE_FLOW_SERVICE(p.entry);
}

static __always_inline void fragment_record(const struct view *v)
{
	__u64 hash = fragment_hash(v), key = BALANCE_FLOW_KEY(flow_tag(hash, config.fragment_shift), 0);
	volatile __u64 *b = bucket_of(&balance_fragments, hash, config.fragment_shift);
	__u32 now = now_ticks();
	struct flow_place p;

	if (!b)
		return;
	p = flow_find(b, key, ~0ull << 35);
	if (p.at == FLOW_NOWHERE)
		flow_place(b, hash, now, 0, &p);
	if (p.at < BALANCE_FLOW_WAYS)
		b[p.at & 7] =
			BALANCE_FLOW(key | BALANCE_FLOW_KEY(0, v->service), v->id, BALANCE_FLOW_NEW, now);
}

static __always_inline __u32 target_state(void *m, const struct balance_ring *r, __u32 id)
{
	__u32 t = r->targets + id;

	return id < r->n_targets && t < config.n_targets
		       ? *(volatile __u8 *)&AT(m, struct balance_target,
					       config.targets + t * sizeof(struct balance_target))
				  ->state
		       : BALANCE_TARGET_GONE;
}

/* What the flow table knows of a flow. */
struct known {
	volatile __u64 *bucket; /* 0: it has no table */
	__u64 key;
	struct flow_place place;
	__u32 id, state; /* its backend, 0: unknown */
};

static __always_inline void known_find(void *m, const struct balance_ring *r, const struct view *v, struct known *k)
{
	k->bucket = bucket_of(&balance_flows, v->hash, config.flow_shift);
	k->key = BALANCE_FLOW_KEY(flow_tag(v->hash, config.flow_shift), v->service);
	k->place = (struct flow_place){0, FLOW_NOWHERE};
	k->id = k->state = 0;
	if (k->bucket)
		k->place = flow_find_fast(k->bucket, v->hash, k->key, BALANCE_FLOW_KEY_MASK);
	if (!k->place.entry)
		return;
	k->id = BALANCE_FLOW_ID(k->place.entry);
	k->state = target_state(m, r, k->id);
}

static __always_inline int known_goes(const struct view *v, const struct known *k)
{
	return v->kind == BALANCE_PACKET_OPENS ? k->state == BALANCE_TARGET_UP : balance_usable((__u8)k->state);
}

/* A flow that stays where the table says it is. */
static __always_inline void known_touch(const struct view *v, const struct known *k)
{
	__u64 entry = flow_touch(k->place.entry, now_ticks(), v->kind == BALANCE_PACKET_OPENS);

	if (entry != k->place.entry && v->kind != BALANCE_PACKET_ERROR)
		k->bucket[k->place.at & 7] = entry;
}

/*
 * A changed slot, and a flow that is not in the table or cannot go where that says: it is told. The deadline's clock is read
 * only if it decides: it costs more than the rest.
 */
static __always_inline struct balance_choice choose_changed(void *m, const struct balance_ring *r,
							    const struct view *v, __u32 word,
							    struct known *k)
{
	__u32 now = now_ticks(), previous = BALANCE_PREVIOUS(word), before = 0;
	struct balance_choice c;
	__u64 clock = 0;

	if (v->kind != BALANCE_PACKET_OPENS && previous != BALANCE_ID_NOBODY) {
		before = target_state(m, r, previous);
		clock = bpf_ktime_get_coarse_ns();
	}
	c = balance_choose(r, word, v->kind, k->id, k->state, before, clock);
	if (!k->bucket || v->kind == BALANCE_PACKET_ERROR || !c.record)
		return c;
	if (k->place.at == FLOW_NOWHERE)
		flow_place(k->bucket, v->hash, now, config.idle, &k->place);
	if (k->place.at < BALANCE_FLOW_WAYS)
		k->bucket[k->place.at & 7] = BALANCE_FLOW(k->key, c.id, BALANCE_FLOW_NEW, now);
	else
		note(v->service, BALANCE_NOTE_FULL);
	return c;
}

static __always_inline __u64 view_hash(const struct view *v, __u32 flags)
{
	if (v->v6)
		return balance_hash6(flags, v->src, v->dst, v->ports, v->proto, config.seed);
	return balance_hash4(flags, (__u32)v->src[1], (__u32)v->dst[1], v->ports, v->proto, config.seed);
}

static __always_inline __u32 is_marked(void *m, __u32 change)
{
	return *AT(m, volatile __u8, config.marks + (change >> 3)) >> (change & 7) & 1;
}

/* The slot and its change, in this order: abi/balance.h says why. -1: the tables contradict themselves. */
static __always_inline __u64 word_of(void *m, const struct balance_ring *r, __u32 slot)
{
	__u32 at = balance_slot_at(r, slot), flags, change = r->change + slot, current;

	if (at >= config.slot_bytes - 1)
		return ~0ull;
	current = *AT(m, volatile __u16, config.slots + at);
	flags = *(volatile __u32 *)&r->flags;
	current = balance_slot_id(flags, (__u16)current);
	if (!(flags & BALANCE_FLAG_CHANGES))
		return current;
	if (change >= config.n_changes)
		return ~0ull;
	if (!is_marked(m, change))
		return current;
	return balance_word(current, *AT(m, volatile __u16, config.changes + change * 2));
}

static __always_inline void count(const struct view *v, __u32 target, __u8 why)
{
	__u32 page = target / BALANCE_TALLIES, at = target % BALANCE_TALLIES;
	struct balance_counts *c = bpf_map_lookup_elem(&balance_counts, &page);
	__u64 tally;

	if (!c)
		return;
	tally = c->tally[at] +
		BALANCE_TALLY(why == BALANCE_WHY_TABLE, v->kind == BALANCE_PACKET_OPENS, v->bytes);
	if (tally >= BALANCE_TALLY_FULL) {
		c->count[at].packets += BALANCE_TALLY_PACKETS(tally);
		c->count[at].known += BALANCE_TALLY_KNOWN(tally);
		c->count[at].opened += BALANCE_TALLY_OPENED(tally);
		c->count[at].bytes += BALANCE_TALLY_BYTES(tally);
		tally = 0;
	}
	c->tally[at] = tally;
}

/* Fragments of a flow whose service is known from the table of fragments or from its address. */
static __always_inline struct balance_choice choose_fragment(void *m, const struct balance_ring *r,
							     struct view *v, __u32 word)
{
	return balance_choose(r, word, v->kind, v->id, (__u8)target_state(m, r, v->id), 0, 0);
}

/*
 * The view's service. Returns -1: it is for none; 0; else a reason to drop, plus one. Of a first fragment that is for no service of an
 * address that has some, it is kept that it passed: later ones, which do not say their port, pass, too.
 */
static __always_inline int service_of(void *m, struct view *v)
{
	int service = -1;

	if (v->kind == BALANCE_PACKET_FRAGMENT)
		service = fragment_find(v);
	if (service >= 0) {
		v->service = (__u32)service;
		return v->id ? 0 : -1;
	}
	v->service = vip_of(m, v, v->kind != BALANCE_PACKET_FRAGMENT && !v->damaged);
	if (v->service == VIP_NONE)
		return -1;
	if (v->damaged)
		return 1 + BALANCE_DROP_DAMAGED;
	if (v->service != BALANCE_VIP_NOBODY)
		return 0;
	if (!v->more)
		return 1 + BALANCE_DROP_NO_FIRST;
	v->service = v->id = 0;
	fragment_record(v);
	return -1;
}

static __always_inline struct balance_ring *ring_at(void *m, __u32 service)
{
	return AT(m, struct balance_ring, config.services + (service & (config.n_services - 1)) * sizeof(struct balance_ring));
}

static __always_inline struct balance_ring *ring_of(void *m, const struct view *v)
{
	return ring_at(m, v->service);
}

#define CHOOSE_AGAIN 255 /* the slot changed while it was looked at */

static __always_inline int chosen(struct view *v, const struct balance_choice *c, __u8 *why)
{
	*why = c->why;
	v->id = c->id;
	if (!c->id)
		return 1 + (c->why == BALANCE_WHY_NO_FIRST ? BALANCE_DROP_NO_FIRST : BALANCE_DROP_NO_BACKEND);
	return 0;
}

/* The slot is marked: the flow table comes first, and what it knows needs neither slot nor change. */
static __always_inline int choose_marked(void *m, struct view *v, const struct balance_ring *r, __u32 slot,
					 __u8 *why)
{
	struct balance_choice c;
	struct known k;
	__u64 word;

	known_find(m, r, v, &k);
	if (known_goes(v, &k)) {
		known_touch(v, &k);
		v->id = k.id;
		*why = BALANCE_WHY_TABLE;
		return 0;
	}
	word = word_of(m, r, slot);
	if (word == ~0ull)
		return 1 + BALANCE_DROP_TABLES;
	c = balance_settled((__u32)word) ? (struct balance_choice){(__u32)word, BALANCE_WHY_HASH, 0}
					 : choose_changed(m, r, v, (__u32)word, &k);
	return chosen(v, &c, why);
}

/*
 * Sets the view's hash and target. Returns 0, else a reason to drop, or CHOOSE_AGAIN, plus one. What is of settled slots, most of all,
 * knows nothing of the flow table, and keeps no registers for it.
 */
static __always_inline int choose(void *m, struct view *v, const struct balance_ring *r, __u8 *why)
{
	struct balance_choice c = {0, BALANCE_WHY_HASH, 0};
	__u64 word, hash;
	__u32 slot;

	v->hash = hash = view_hash(v, 0);
	if (r->flags &
	    BALANCE_FLAG_AFFINITY) /* the slot is the source's, the place in the flow table the flow's */
		hash = view_hash(v, BALANCE_FLAG_AFFINITY);
	slot = balance_slot(r, hash);
	if (r->flags & BALANCE_FLAG_CHANGES && v->kind != BALANCE_PACKET_FRAGMENT &&
	    r->change + slot < config.n_changes && is_marked(m, r->change + slot))
		return choose_marked(m, v, r, slot, why);
	word = word_of(m, r, slot);
	if (word == ~0ull)
		return 1 + BALANCE_DROP_TABLES;
	if (v->kind == BALANCE_PACKET_FRAGMENT)
		c = choose_fragment(m, r, v, (__u32)word);
	else if (balance_settled((__u32)word))
		c.id = (__u32)word;
	else
		return 1 + CHOOSE_AGAIN;
	return chosen(v, &c, why);
}

#endif
