// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a filter means: first match from the top down, limits in virtual time. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy/oracle.h"

#define SECOND UINT64_C(1000000000)

/* Whose bucket it is; unused parts are 0. */
struct bucket_key {
	uint8_t from[16], to[16];
	uint16_t from_port, to_port;
	uint8_t family, proto;
};

/* level is in units of packets (or bits) * the nanoseconds in which `amount` of them come: no fractions. */
struct bucket {
	struct bucket_key key;
	unsigned __int128 level;
	uint64_t at_ns;
};

struct policy_oracle {
	const struct policy *p;
	const struct policy_filter *filter;
	struct policy_count *counts; /* one more than rules: the default's */
	void **buckets;		     /* tsearch() tree of struct bucket, per rule */
	struct bucket *log_buckets;  /* per rule */
	uint64_t *log_seen;
	uint64_t now_ns;
	struct policy_live *live;
};

int policy_oracle_new(const struct policy *p, uint32_t filter, struct policy_oracle **oracle,
		      struct sluice_err *err)
{
	struct policy_oracle *o = calloc(1, sizeof(*o));
	size_t n = (size_t)p->filters[filter].n_stmts + 1;

	*oracle = NULL;
	if (o) {
		o->p = p;
		o->filter = &p->filters[filter];
		o->counts = calloc(n, sizeof(*o->counts));
		o->buckets = calloc(n, sizeof(*o->buckets));
		o->log_buckets = calloc(n, sizeof(*o->log_buckets));
		o->log_seen = calloc(n, sizeof(*o->log_seen));
		o->live = policy_live_new(p);
	}
	if (!o || !o->live || !o->counts || !o->buckets || !o->log_buckets || !o->log_seen) {
		policy_oracle_free(o);
		return err_nomem(err);
	}
	*oracle = o;
	return 0;
}

void policy_oracle_free(struct policy_oracle *o)
{
	uint32_t i;

	if (!o)
		return;
	for (i = 0; o->buckets && i < o->filter->n_stmts; i++)
		tdestroy(o->buckets[i], free);
	free(o->counts);
	free(o->buckets);
	free(o->log_buckets);
	free(o->log_seen);
	policy_live_free(o->live);
	free(o);
}

static int by_key(const void *a, const void *b)
{
	return memcmp(&((const struct bucket *)a)->key, &((const struct bucket *)b)->key,
		      sizeof(struct bucket_key));
}

static void keep_bits(uint8_t *to, const struct net_addr *addr, unsigned int len)
{
	unsigned int i;

	for (i = 0; i < (addr->v6 ? 128u : 32u); i++)
		if (i < len)
			to[i / 8] |= (uint8_t)(addr->bytes[i / 8] & 0x80 >> i % 8);
}

/* Packets without an IP header share the key that is all zeroes. */
static struct bucket_key key_of(const struct policy_limit *l, const struct policy_packet *k)
{
	struct bucket_key key;
	unsigned int len = k->v6 ? l->len6 : l->len4;

	memset(&key, 0, sizeof(key));
	if (l->per == POLICY_PER_RULE || !k->is_ip)
		return key;
	key.family = k->v6 ? 6 : 4;
	if (l->per == POLICY_PER_SOURCE) {
		keep_bits(key.from, &k->from, len);
	} else if (l->per == POLICY_PER_DESTINATION) {
		keep_bits(key.to, &k->to, len);
	} else {
		keep_bits(key.from, &k->from, 128);
		keep_bits(key.to, &k->to, 128);
		key.proto = k->proto;
		key.from_port = k->has_ports ? k->from_port : 0;
		key.to_port = k->has_ports ? k->to_port : 0;
	}
	return key;
}

/* Whether the bucket holds cost; then it is taken. */
static bool take(struct bucket *b, const struct policy_rate *rate, uint64_t burst, uint64_t cost,
		 uint64_t now_ns)
{
	uint64_t period = rate->seconds * SECOND;
	unsigned __int128 full = (unsigned __int128)burst * period, need = (unsigned __int128)cost * period;

	b->level += (unsigned __int128)(now_ns - b->at_ns) * rate->amount;
	if (b->level > full)
		b->level = full;
	b->at_ns = now_ns;
	if (b->level < need)
		return false;
	b->level -= need;
	return true;
}

static int limit(struct policy_oracle *o, uint32_t rule, const struct policy_packet *k, bool *within,
		 struct sluice_err *err)
{
	const struct policy_limit *l = &o->filter->stmts[rule].limit;
	struct bucket *b = calloc(1, sizeof(*b)), **found;

	if (!b)
		return err_nomem(err);
	b->key = key_of(l, k);
	found = tsearch(b, &o->buckets[rule], by_key);
	if (!found) {
		free(b);
		return err_nomem(err);
	}
	if (*found == b) {
		b->at_ns = o->now_ns;
		b->level = (unsigned __int128)l->burst * l->rate.seconds * SECOND;
	} else {
		free(b);
	}
	*within = take(*found, &l->rate, l->burst, l->rate.bits ? k->length * UINT64_C(8) : 1, o->now_ns);
	return 0;
}

/* The first of each log_every packets, if there is room: a bucket of one second's worth, at least one. */
static void log_sample(struct policy_oracle *o, uint32_t rule)
{
	const struct policy_stmt *s = &o->filter->stmts[rule];
	uint64_t burst = s->log_max.amount / s->log_max.seconds;
	struct bucket *b = &o->log_buckets[rule];

	burst = burst ? burst : 1;
	if (!o->log_seen[rule]) {
		b->at_ns = o->now_ns;
		b->level = (unsigned __int128)burst * s->log_max.seconds * SECOND;
	}
	if (o->log_seen[rule]++ % s->log_every == 0 && take(b, &s->log_max, burst, 1, o->now_ns))
		o->counts[rule].logged++;
}

static const struct policy_match *first_no(const struct policy_oracle *o, const struct policy_stmt *s,
					   const struct policy_packet *k)
{
	uint32_t i;

	for (i = 0; i < s->n_matches; i++)
		if (!policy_match_holds_live(o->p, o->live, o->now_ns / SECOND, &s->matches[i], k))
			return &s->matches[i];
	return NULL;
}

/* One rule for a packet; STEP_NO and STEP_GOES_ON and STEP_WITHIN lead to the next. */
static int one(struct policy_oracle *o, uint32_t rule, const struct policy_packet *k, enum policy_step *step,
	       const struct policy_match **why, struct sluice_err *err)
{
	const struct policy_stmt *s = &o->filter->stmts[rule];
	struct policy_count *n = &o->counts[rule];
	bool within = true;
	int e;

	*why = first_no(o, s, k);
	*step = STEP_NO;
	if (*why)
		return 0;
	*step = s->action == POLICY_COUNT || s->action == POLICY_LOG ? STEP_GOES_ON : STEP_DECIDES;
	if (s->action == POLICY_LIMIT) {
		e = limit(o, rule, k, &within, err);
		if (e)
			return e;
		*step = within ? STEP_WITHIN : STEP_OVER;
	}
	n->packets += within;
	n->bytes += within ? k->length : 0;
	n->over_packets += !within;
	n->over_bytes += within ? 0 : k->length;
	/* a limit logs what it drops */
	if (s->log && (s->action != POLICY_LIMIT || !within))
		log_sample(o, rule);
	return 0;
}

int policy_oracle_decide(struct policy_oracle *o, const struct policy_packet *k, uint64_t now_ns,
			 const struct policy_trace *trace, struct policy_answer *answer,
			 struct sluice_err *err)
{
	static const enum policy_verdict verdicts[] = {
		[POLICY_PASS] = VERDICT_PASS,	      [POLICY_DROP] = VERDICT_DROP,
		[POLICY_REDIRECT] = VERDICT_REDIRECT, [POLICY_CPU] = VERDICT_CPU,
		[POLICY_LIMIT] = VERDICT_DROP,
	};
	const struct policy_filter *f = o->filter;
	const struct policy_match *why;
	enum policy_step step;
	uint32_t i;
	int e;

	o->now_ns = now_ns > o->now_ns ? now_ns : o->now_ns;
	*answer = (struct policy_answer){.verdict = f->default_drop ? VERDICT_DROP : VERDICT_PASS,
					 .shadow = f->shadow,
					 .rule = ORACLE_DEFAULT};
	for (i = 0; i < f->n_stmts; i++) {
		e = one(o, i, k, &step, &why, err);
		if (e)
			return e;
		if (trace)
			trace->step(trace->ctx, i, step, why);
		if (step != STEP_DECIDES && step != STEP_OVER)
			continue;
		answer->verdict = verdicts[f->stmts[i].action];
		answer->rule = i;
		answer->over = step == STEP_OVER;
		answer->redirect = f->stmts[i].redirect;
		return 0;
	}
	o->counts[f->n_stmts].packets++;
	o->counts[f->n_stmts].bytes += k->length;
	return 0;
}

struct policy_live *policy_oracle_live(struct policy_oracle *o)
{
	return o->live;
}

const struct policy_count *policy_oracle_count(const struct policy_oracle *o, uint32_t rule)
{
	return &o->counts[rule == ORACLE_DEFAULT ? o->filter->n_stmts : rule];
}
