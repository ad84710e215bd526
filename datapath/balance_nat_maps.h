/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps and constants of translated flows, and how they are read and written: abi/nat.h. Sizes are set before the program is
 * loaded; without services that translate there is nothing in them, and the verifier drops what would use them.
 */
#ifndef DATAPATH_BALANCE_NAT_MAPS_H
#define DATAPATH_BALANCE_NAT_MAPS_H

#include "datapath/balance_choose.h"
#include "datapath/lib/encap.h"
#include "datapath/lib/nat.h"

/* No verdicts: what is still to be done with a packet, so that there is one place where it is done. */
enum {
	DOES_NOT_KNOW = -1,   /* it goes the long way */
	DOES_FORWARD = -2,    /* the packet of the view in balance_scratch goes to its target */
	DOES_REFUSE = -3,     /* its sender is told that nobody is there */
	DOES_TO_CLIENT = -4,  /* it is translated (nat_translate()) */
	DOES_TO_BACKEND = -5,
	DOES_BEGIN = -6,      /* likewise, but its flow is new */
	DOES_TOO_BIG = -7,    /* its sender is told what would fit */
};

const volatile struct nat_config nat = {0};

#define NAT_ON (nat.n_addrs[0] || nat.n_addrs[1])

/* value: buckets of struct nat_bucket4; writer, reader: this program; reader: host; outlives programs */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 256);
} balance_nat4 SEC(".maps");

/* value: likewise, struct nat_bucket6 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 512);
} balance_nat6 SEC(".maps");

/* value: NAT_HOPS of struct nat_hop; writer, reader: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 32);
} balance_nathops SEC(".maps");

/* value: NAT_FRAGMENTS of struct nat_fragment; writer, reader: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 64);
} balance_natfrag SEC(".maps");

/* value: NAT_IDENTS counters; writer, reader: this program */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 8 * NAT_IDENTS);
} balance_natident SEC(".maps");

union nat_addr { /* as on the wire */
	__be32 v4;
	__u64 v6[2];
};

#define NAT_NOWHERE (~0u)

/* The packet under way, as a translation. */
struct nat_work {
	union nat_addr src, dst; /* it gets */
	__be32 to;		 /* and ports, as they lie in a header; echo: the identifier in the first */
	__u32 ports;		 /* that it has, host order; echo: the identifier where the client's (from the backend: the pool's) would be */
	__u32 ttl, event;
	__u32 place, word; /* of its flow; NAT_NOWHERE: none */
	__u32 ident;	   /* of fragments, that it gets, as it lies in a header; above 0xffff: its own */
	__u64 client[2], virtual[2];
	struct nat_flow f;
	struct bpf_fib_lookup fib; /* here, for want of room on the stack */
};

/* value: the packet under way; writer, reader: this program; see balance_scratch */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nat_work);
} balance_natwork SEC(".maps");

static __always_inline struct nat_work *nat_work(void)
{

	return bpf_map_lookup_elem(&balance_natwork, &map_first);
}

static __always_inline const volatile struct nat_pool *nat_pool(__u32 service)
{
	return &nat.pool[nat.pool_of[service & (NAT_SERVICES - 1)] & (NAT_POOLS - 1)];
}

static __always_inline int nat_is_echo(const struct view *v)
{
	return v->proto == IP_PROTO_ICMP || v->proto == IP_PROTO_ICMPV6;
}

static __always_inline __u32 nat_now(void)
{
	return (__u32)(bpf_jiffies64() >> (config.tick_shift & 63)) & NAT_TIME;
}

/* six is a constant wherever it is used: the two tables are two maps. */
static __always_inline char *nat_bucket_at(__u32 six, __u32 bucket)
{
	char *m = six ? bpf_map_lookup_elem(&balance_nat6, &map_first) : bpf_map_lookup_elem(&balance_nat4, &map_first);

	__u64 at = bucket;

	/* what is compared is what is used: else the verifier does not know it */
	__asm__ volatile("" : "+r"(at));
	if (!m || at >= (__u64)nat.n_addrs[six] * NAT_BUCKETS)
		return 0;
	return m + at * (six ? sizeof(struct nat_bucket6) : sizeof(struct nat_bucket4));
}

#define NAT_STRIDE(six) ((six) ? (__u32)sizeof(struct nat_place6) : (__u32)sizeof(struct nat_place4))

static __always_inline volatile __u32 *nat_word_at(__u32 six, char *bucket, __u32 way)
{
	return nat_word(bucket, NAT_STRIDE(six), way);
}

static __always_inline struct nat_flow *nat_flow_at(__u32 six, char *bucket, __u32 way)
{
	return six ? &((struct nat_bucket6 *)bucket)->place[way & 7].f
		   : &((struct nat_bucket4 *)bucket)->place[way & 7].f;
}

#define nat_barrier() __asm__ volatile("" ::: "memory")

/* The flow in a place, into the work; 0: there is none, or it is being changed. */
static __always_inline int nat_load(struct nat_work *w, __u32 six, __u32 place)
{
	char *b = nat_bucket_at(six, place / NAT_WAYS);
	__u32 way = place & 7, word;

	if (!b)
		return 0;
	word = *nat_word_at(six, b, way);
	if (!NAT_TAG(word))
		return 0;
	nat_barrier();
	if (six) {
		struct nat_place6 *f = &((struct nat_bucket6 *)b)->place[way];

		w->client[0] = f->client[0];
		w->client[1] = f->client[1];
		w->virtual[0] = f->virtual[0];
		w->virtual[1] = f->virtual[1];
		w->f = f->f;
	} else {
		struct nat_place4 *f = &((struct nat_bucket4 *)b)->place[way];

		w->client[0] = w->virtual[0] = 0;
		w->client[1] = f->client;
		w->virtual[1] = f->virtual;
		w->f = f->f;
	}
	nat_barrier();
	w->place = place;
	w->word = word;
	return NAT_TAG(*nat_word_at(six, b, way)) == NAT_TAG(word);
}

static __always_inline int nat_same(const struct view *v, const struct nat_work *w)
{
	return w->client[1] == v->src[1] && w->virtual[1] == v->dst[1] && w->f.ports == w->ports &&
	       w->client[0] == v->src[0] && w->virtual[0] == v->dst[0] && NAT_WHO_PROTO(w->f.who) == v->proto;
}

/* An echo's flows differ by their identifiers, which the balancer's hash does not know. */
static __always_inline __u64 nat_hash(const struct view *v, const struct nat_work *w)
{
	return w->ports == v->ports ? v->hash : hash_fold(v->hash + w->ports);
}

/* The flow of a client's packet; 0: not there. */
static __always_inline int nat_find(const struct view *v, const volatile struct nat_pool *pool, struct nat_work *w, __u32 six)
{
	__u64 hash = nat_hash(v, w);
	__u32 which, bucket, way;
	char *b;

	if (!pool->n[six])
		return 0;
	for (which = 0; which < 2; which++) {
		bucket = nat_bucket(pool, six, nat_turn(hash, which));
		b = nat_bucket_at(six, bucket);
		if (!b)
			return 0;
		way = nat_way_of(b, NAT_STRIDE(six), hash);
		if (way && nat_load(w, six, bucket * NAT_WAYS + way - 1) && nat_same(v, w))
			return 1;
	}
	w->place = NAT_NOWHERE;
	return 0;
}

static __always_inline void nat_fill(const struct view *v, const struct nat_work *w, __u32 six, char *b, __u32 way,
				     __u32 check)
{
	struct nat_flow flow = {w->ports, check, NAT_WHO(v->proto, v->service, v->id), 0, 0};

	if (six) {
		struct nat_place6 *f = &((struct nat_bucket6 *)b)->place[way & 7];

		f->client[0] = v->src[0];
		f->client[1] = v->src[1];
		f->virtual[0] = v->dst[0];
		f->virtual[1] = v->dst[1];
		f->f = flow;
	} else {
		struct nat_place4 *f = &((struct nat_bucket4 *)b)->place[way & 7];

		f->client = (__u32)v->src[1];
		f->virtual = (__u32)v->dst[1];
		f->f = flow;
	}
}

/* The better place of a flow's two buckets: w->place is its bucket. Returns its rank, 0: there is none. */
static __always_inline __u32 nat_best(const volatile struct nat_pool *pool, struct nat_work *w, __u32 six, __u64 hash,
				      __u32 now)
{
	__u32 rank, other, second = nat_bucket(pool, six, nat_turn(hash, 1));
	char *b;

	w->place = nat_bucket(pool, six, nat_turn(hash, 0));
	b = nat_bucket_at(six, w->place);
	if (!b)
		return 0;
	rank = nat_place(&nat, b, NAT_STRIDE(six), now, hash);
	if (rank >= NAT_TAKES_FREE)
		return rank;
	b = nat_bucket_at(six, second);
	if (!b)
		return rank;
	other = nat_place(&nat, b, NAT_STRIDE(six), now, hash);
	if (other <= rank)
		return rank;
	w->place = second;
	return other;
}

/* A place for a flow that has none. Returns 0 if there is none, or another CPU was faster. */
static __always_inline int nat_take(const struct view *v, struct nat_work *w, __u32 six, __u32 check)
{
	const volatile struct nat_pool *pool = nat_pool(v->service);
	__u32 now = nat_now(), claim = NAT_WORD(0, NAT_CLAIMED, now), rank, way, old;
	__u64 hash = nat_hash(v, w);
	char *b;

	if (!pool->n[six])
		return 0;
	rank = nat_best(pool, w, six, hash, now);
	nat_barrier();
	way = NAT_TAKES_WAY(rank);
	b = nat_bucket_at(six, w->place);
	if (!rank || !b)
		return 0;
	old = *nat_word_at(six, b, way);
	if (nat_rank(&nat, old, way, now, hash) < NAT_TAKES ||
	    !nat_swap(nat_word_at(six, b, way), old, claim))
		return 0;
	nat_fill(v, w, six, b, way, check);
	w->word = NAT_WORD(nat_tag(hash), NAT_NEW, now);
	nat_swap(nat_word_at(six, b, way), claim, w->word);
	w->place = w->place * NAT_WAYS + way;
	return 1;
}

/* Another packet of the flow in a place whose word was read: its state, and its time. Returns the word as it is then. */
static __always_inline __u32 nat_touch_at(char *b, __u32 six, __u32 way, __u32 was, __u32 back, __u32 event)
{
	__u32 word = NAT_WORD(NAT_TAG(was), nat_step(NAT_STATE(was), back, event), nat_now());

	return word != was && event != NAT_NOTHING && nat_swap(nat_word_at(six, b, way), was, word) ? word
												    : was;
}

/* The same of the flow in w->place. */
static __always_inline void nat_touch(struct nat_work *w, __u32 six, __u32 back)
{
	char *b = nat_bucket_at(six, w->place / NAT_WAYS);

	if (b)
		w->word = nat_touch_at(b, six, w->place, w->word, back, w->event);
}

static __always_inline void nat_free(const struct nat_work *w, __u32 six)
{
	char *b = nat_bucket_at(six, w->place / NAT_WAYS);

	if (b)
		nat_swap(nat_word_at(six, b, w->place), w->word, 0);
}

/* --- packets in fragments --- */

#define NAT_FRAGMENT_SAME(key, hash) (!(((key) ^ (hash)) >> 12))

static __always_inline struct nat_fragment *nat_fragments(__u64 hash)
{
	struct nat_fragment *f = bpf_map_lookup_elem(&balance_natfrag, &map_first);

	return f ? f + (hash >> 52) * NAT_FRAGMENT_WAYS : 0;
}

/* The flow of a later fragment, from the first one. */
static __always_inline int nat_fragment_find(const struct view *v, struct nat_work *w, __u32 six)
{
	__u64 hash = fragment_hash(v), key;
	struct nat_fragment *f = nat_fragments(hash);
	__u32 i, now = nat_now(), place, tag, ident;

	w->ident = NAT_NOWHERE;
	for (i = 0; f && i < NAT_FRAGMENT_WAYS; i++) {
		key = *(volatile __u64 *)&f[i].key;
		if (!NAT_FRAGMENT_SAME(key, hash) || NAT_AGE((__u32)key, now) > FRAGMENT_IDLE)
			continue;
		nat_barrier();
		place = f[i].place;
		tag = f[i].tag;
		ident = f[i].ident;
		nat_barrier();
		if (*(volatile __u64 *)&f[i].key != key) /* another packet took its place meanwhile */
			return 0;
		w->ident = ident;
		return nat_load(w, six, place) && NAT_TAG(w->word) == tag;
	}
	return 0;
}

/* The next identification for what a sender sends to who gets it (NAT_IDENTS). */
static __always_inline __u16 nat_ident(const struct view *v, const struct nat_work *w)
{
	__u64 sender = hash_fold(hash_half(v->src[1] & 0xffffffff, config.seed)) >> 58;
	__u64 hash = hash_fold(hash_word((__u64)w->src.v4 << 32 | w->dst.v4, config.seed + 2) +
			       hash_word(sender << 32 | v->proto, config.seed + 4));
	__u64 *next = bpf_map_lookup_elem(&balance_natident, &map_first);

	if (!next)
		return 0;
	next += hash >> 32 & (NAT_IDENTS - 1);
	return ENCAP_BE16(sender * NAT_IDENT_TURN |
			  ((__sync_fetch_and_add(next, 1) + hash) & (NAT_IDENT_TURN - 1)));
}

/*
 * A first fragment: where its later ones go, and what identification they all get. The oldest of the bucket gives way: whose first fragment
 * was followed by the others needs its place no more, and a flood of first ones keeps none from it. Returns 0 if another CPU was faster.
 */
static __always_inline int nat_fragment_record(const struct view *v, struct nat_work *w)
{
	__u64 hash = fragment_hash(v), key, old = 0;
	struct nat_fragment *f = nat_fragments(hash);
	__u32 i, at = 0, now = nat_now(), rank, best = 0;
	const __u32 same = 1u << 20, empty = 1u << 19;

	w->ident = NAT_NOWHERE;
	if (!f)
		return 0;
	for (i = 0; i < NAT_FRAGMENT_WAYS; i++) {
		key = *(volatile __u64 *)&f[i].key;
		rank = NAT_AGE((__u32)key, now) << 2 | ((i + (__u32)hash) & 3);
		rank = NAT_FRAGMENT_SAME(key, hash) ? same : !key ? empty : rank + 1;
		if (rank > best && key != NAT_FRAGMENT_CLAIMED) {
			best = rank;
			at = i;
			old = key;
		}
	}
	f += at & 3;
	if (!best || __sync_val_compare_and_swap(&f->key, old, NAT_FRAGMENT_CLAIMED) != old)
		return 0;
	f->place = w->place;
	f->tag = (__u16)NAT_TAG(w->word);
	/* the same packet once more has the one that it had */
	if (!v->v6 && (best != same || NAT_AGE((__u32)old, now) > FRAGMENT_IDLE))
		f->ident = nat_ident(v, w);
	w->ident = f->ident;
	__sync_val_compare_and_swap(&f->key, NAT_FRAGMENT_CLAIMED, (hash & ~(__u64)NAT_TIME) | now);
	return 1;
}

#endif
