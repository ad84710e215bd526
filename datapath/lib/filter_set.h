/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Run-time sets in the filter: a row of a rule asks whether an address is in one (abi/filter_sets.h).
 *
 * The lookups are global functions: the verifier goes through them once, whoever calls them, and not again for
 * every rule a packet may meet. What a policy has none of is a constant 0 and costs nothing.
 */
#ifndef DATAPATH_LIB_FILTER_SET_H
#define DATAPATH_LIB_FILTER_SET_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/filter_sets.h"
#include "datapath/lib/first.h"

/* Each question is one function: the stack of the filter is deep already. */
#define SET_RARE static inline __attribute__((always_inline, unused))
#include "datapath/lib/set.h"

const volatile struct filter_sets_config filter_sets_config = {0};

/*
 * value: abi/filter_sets.h; writer: host, and this program where sets have counters; reader: this program;
 * miss, full: the host's affair; lives: longer than the program, as long as its policy
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4096);
} filter_sets SEC(".maps");

/* A question: an address in host order, IPv4 in lo. In a map, not on the stack, which is deep here. */
struct filter_set_ask {
	__u64 hi, lo, base; /* base: of the block of prefixes */
	__u32 which, bytes;
	struct set_want want;
};

/* What was asked before about the packet, of the first 64 sets: sources, destinations. */
struct filter_set_memo {
	__u64 known[2], in[2];
	struct filter_set_ask ask;
};

#define FILTER_SET_FLAG(flag) (filter_sets_config.flags & (flag))

static __always_inline void *filter_set_memory(void)
{

	return filter_sets_config.limit ? bpf_map_lookup_elem(&filter_sets, &map_first) : 0;
}

/* Where a block of a set begins, in bytes; 0: there is none. */
static __always_inline __u64 filter_set_block(const void *mem, __u64 limit, __u32 which,
					      enum filter_block block)
{
	__u64 at = sizeof(struct filter_sets_head) + (__u64)which * sizeof(struct filter_set) +
		   __builtin_offsetof(struct filter_set, block) + 4 * block;

	SET_PIN(at);
	if (!(filter_sets_config.blocks & 1u << block) || at > limit)
		return 0;
	at = (__u64)SET_GET(__u32, mem + at) * SET_LINE;
	SET_PIN(at);
	return at > SET_LAST(limit) ? 0 : at;
}

/* Seconds since the machine came up, asked for only when something was found that may have expired. */
static __always_inline __u32 filter_set_now(const volatile struct set_head *head)
{
	if (!FILTER_SET_FLAG(SET_EXPIRES) || !(head->flags & SET_EXPIRES))
		return 0;
	return (__u32)(bpf_ktime_get_coarse_ns() / 1000000000);
}

static __always_inline int filter_set_alive(void *mem, __u64 limit, __u64 base, __u64 slot,
					    const struct filter_set_ask *ask)
{
	if (!slot || !filter_sets_config.flags)
		return slot != 0;
	return (int)set_hit_slot(mem, limit, base, &SET_HEAD(mem + base)->front, slot - 1, ask->bytes,
				 filter_set_now(SET_HEAD(mem + base)));
}

/* A prefix covers it: whether one that has not expired, and which one counts, the book knows. */
#define FILTER_SET_BOOK 2
#define FILTER_SET_LATER 3
static __always_inline int filter_set_covered(const void *mem, __u64 base, struct filter_set_ask *ask)
{
	ask->base = base;
	return filter_sets_config.flags && SET_HEAD(mem + base)->flags ? FILTER_SET_BOOK : 1;
}

/* 1 it is in the set, 0 not, or FILTER_SET_*. */
__attribute__((noinline)) int filter_set4(struct filter_set_ask *ask)
{
	__u64 limit = filter_sets_config.limit, base;
	void *mem = filter_set_memory();

	if (!mem || !ask)
		return 0;
	base = filter_set_block(mem, limit, ask->which, FILTER_BLOCK_ADDRS4);
	if (base &&
	    filter_set_alive(mem, limit, base, set_addr4(mem, limit, base, (__u32)ask->lo, &ask->want), ask))
		return 1;
	base = filter_set_block(mem, limit, ask->which, FILTER_BLOCK_PREFIXES4);
	if (base && SET_HEAD(mem + base)->n && set_covers4(mem, limit, base, (__u32)ask->lo, &ask->want))
		return filter_set_covered(mem, base, ask);
	return 0;
}

/* The same in line, of sets without counters and expiry; SET_LATER: filter_set4() has to be asked. */
static __always_inline __u32 filter_set_quick4(__u32 which, __u32 addr)
{
	__u64 limit = filter_sets_config.limit, base;
	void *mem = filter_set_memory();
	__u32 in = 0;

	if (!mem || filter_sets_config.flags)
		return SET_LATER;
	base = filter_set_block(mem, limit, which, FILTER_BLOCK_ADDRS4);
	if (base)
		in = set_look_addr4(mem, limit, base, addr);
	if (in)
		return in;
	base = filter_set_block(mem, limit, which, FILTER_BLOCK_PREFIXES4);
	return base && SET_HEAD(mem + base)->n ? set_covers4(mem, limit, base, addr, 0) : 0;
}

__attribute__((noinline)) int filter_set6(struct filter_set_ask *ask)
{
	__u64 limit = filter_sets_config.limit, base;
	void *mem = filter_set_memory();

	if (!mem || !ask)
		return 0;
	base = filter_set_block(mem, limit, ask->which, FILTER_BLOCK_ADDRS6);
	if (base && filter_set_alive(mem, limit, base,
				     set_addr6(mem, limit, base, ask->hi, ask->lo, &ask->want), ask))
		return 1;
	base = filter_set_block(mem, limit, ask->which, FILTER_BLOCK_PREFIXES6);
	if (!base || !SET_HEAD(mem + base)->n)
		return 0;
	ask->base = base;
	switch (set_look6(mem, limit, base, ask->hi, ask->lo, &ask->want)) {
	case 0:
		return 0;
	case SET_LATER:
		return FILTER_SET_LATER;
	}
	return filter_set_covered(mem, base, ask);
}

/* What FILTER_SET_LATER and FILTER_SET_BOOK ask for, in functions beside and not below: the stack is deep. */
__attribute__((noinline)) int filter_set_later(struct filter_set_ask *ask)
{
	__u64 limit = filter_sets_config.limit, base;
	void *mem = filter_set_memory();

	if (!mem || !ask || !set_later6(mem, limit, &ask->want))
		return 0;
	base = ask->base & -(__u64)SET_LINE;
	SET_PIN(base);
	return base > SET_LAST(limit) ? 0 : filter_set_covered(mem, base, ask);
}

static __always_inline int filter_set_booked(struct filter_set_ask *ask, int longest)
{
	__u64 limit = filter_sets_config.limit, base;
	void *mem = filter_set_memory();

	if (!mem || !ask || !filter_sets_config.flags)
		return 0;
	base = ask->base & -(__u64)SET_LINE;
	SET_PIN(base);
	if (base > SET_LAST(limit))
		return 0;
	ask->want =
		(struct set_want){ask->hi, ask->lo, base, ask->bytes, filter_set_now(SET_HEAD(mem + base))};
	return (int)set_hit_book(mem, limit, &ask->want, longest);
}

__attribute__((noinline)) int filter_set_book4(struct filter_set_ask *ask)
{
	return filter_set_booked(ask, 32);
}

__attribute__((noinline)) int filter_set_book6(struct filter_set_ask *ask)
{
	return filter_set_booked(ask, 128);
}

static __always_inline void filter_set_begin(struct filter_set_memo *memo)
{
	if (filter_sets_config.limit)
		memo->known[0] = memo->known[1] = 0;
}

/* 1 if the address that a row asks about is in its set; addresses in host order, IPv4 in the upper half of [0] */
static __always_inline __u64 filter_set_asked(struct filter_set_memo *memo, __u32 ask, int is_ip6,
					      const __u64 *src, const __u64 *dst, __u32 bytes)
{
	__u32 which = (ask & ~FILTER_ASK_TO) - 1, side = ask >> 31;
	const __u64 *addr = side ? dst : src;
	__u64 in;

	if (which < 64 && memo->known[side] >> which & 1)
		return memo->in[side] >> which & 1;
	memo->ask.which = which;
	memo->ask.bytes = bytes;
	if (is_ip6) {
		memo->ask.hi = addr[0];
		memo->ask.lo = addr[1];
		in = (__u32)filter_set6(&memo->ask);
		if (in == FILTER_SET_LATER)
			in = (__u32)filter_set_later(&memo->ask);
	} else {
		memo->ask.hi = 0;
		memo->ask.lo = addr[0] >> 32;
		in = (__u32)filter_set4(&memo->ask);
	}
	if (filter_sets_config.flags && in == FILTER_SET_BOOK)
		in = (__u32)(is_ip6 ? filter_set_book6(&memo->ask) : filter_set_book4(&memo->ask));
	in &= 1;
	if (which < 64) {
		memo->known[side] |= 1ull << which;
		memo->in[side] = (memo->in[side] & ~(1ull << which)) | in << which;
	}
	return in;
}

#endif
