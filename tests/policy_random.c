// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Random policies and packets. Everything comes from one 64-bit state (xorshift*, Vigna 2016): a seed is a
 * test. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy_random.h"
#include "policy/parse.h"

uint32_t random_below(struct random_state *r, uint32_t n)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return (uint32_t)((r->s * 0x2545f4914f6cdd1d) >> 32) % n;
}

static bool one_in(struct random_state *r, uint32_t n)
{
	return !random_below(r, n);
}

int random_files_read(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *main_text = ctx;

	(void)max;
	if (!strcmp(path, "random.conf"))
		buf_put(to, main_text->data, main_text->len);
	else if (strstr(path, ".netset"))
		buf_printf(to, "10.2.0.0/16\n10.3.4.5-10.3.4.9 # five\n2001:db8:7::/48\n");
	else
		return err_set(err, -ENOENT, "%s: No such file or directory", path);
	return 0;
}

/* Few bits, so that rules and packets meet. */
static uint32_t address4(struct random_state *r)
{
	static const uint32_t nets[] = {0x0a000000, 0x0a010000, 0x0a020000, 0xc0000200, 0};

	return nets[random_below(r, 5)] | random_below(r, 4) << 8 | random_below(r, 8);
}

static struct policy_addr6 address6(struct random_state *r)
{
	return (struct policy_addr6){UINT64_C(0x20010db800000000) | random_below(r, 4) << 16,
				     random_below(r, 8)};
}

static void range(struct random_state *r, struct policy_range *out)
{
	struct policy_addr6 other;
	uint32_t bits, mask;

	memset(out, 0, sizeof(*out));
	out->v6 = one_in(r, 3);
	if (out->v6) {
		out->first = address6(r);
		other = one_in(r, 2) ? address6(r) : out->first;
		if (one_in(r, 4)) {
			out->first = (struct policy_addr6){out->first.hi & ~UINT64_C(0xffff), 0};
			other = (struct policy_addr6){out->first.hi | 0xffff, UINT64_MAX};
		}
		out->last = policy_addr6_cmp(other, out->first) < 0 ? out->first : other;
		return;
	}
	out->first.lo = address4(r);
	bits = one_in(r, 2) ? 32 : random_below(r, 33);
	mask = bits ? UINT32_MAX << (32 - bits) : 0;
	if (one_in(r, 3)) {
		out->last.lo = out->first.lo + random_below(r, 700);
	} else {
		out->first.lo &= mask;
		out->last.lo = out->first.lo | (uint32_t)~mask;
	}
}

static char *text(struct policy *p, const char *s)
{
	return arena_text(&p->arena, s, strlen(s));
}

static void number(struct random_state *r, enum policy_field field, struct policy_value *v)
{
	const struct parse_field *f = &parse_fields[field];
	const struct policy_word *w;
	uint32_t n = 0;

	while (words_row(f->names, n)->name)
		n++;
	if (n && one_in(r, 2)) {
		w = words_row(f->names, random_below(r, n));
		v->num.lo = w->lo;
		v->num.hi = w->hi;
		return;
	}
	v->num.lo = random_below(r, f->max + 1);
	v->num.hi = one_in(r, 2) ? v->num.lo : v->num.lo + random_below(r, f->max - v->num.lo + 1);
	if (one_in(r, 8))
		v->num.hi = f->max;
	if (one_in(r, 8))
		v->num.lo = 0;
	if (field == POLICY_LENGTH && one_in(r, 2)) {
		v->num.lo = 40 + random_below(r, 60);
		v->num.hi = one_in(r, 2) ? 262143 : v->num.lo + random_below(r, 50);
	}
}

static const char *const expressions[] = {
	"udp",
	"ip[6:2] & 0x2000 != 0 and udp",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"vlan 7",
	"greater 100",
	"ip6 and tcp",
	"src net 10.0.0.0/8 and not port 53",
	"len <= 80",
	"ether multicast",
	"icmp or icmp6",
};

static void value(struct random_state *r, struct policy *p, enum policy_field field, struct policy_value *v)
{
	static const char *const names[] = {"eth0", "eth1", "not", "a b"};
	uint32_t i, bits;

	memset(v, 0, sizeof(*v));
	v->kind = (uint8_t)parse_fields[field].kind;
	switch (parse_fields[field].kind) {
	case POLICY_NUM:
		number(r, field, v);
		return;
	case POLICY_ICMP:
		value(r, p, POLICY_TTL, v);
		v->kind = POLICY_NUM;
		return;
	case POLICY_SET:
	case POLICY_ADDR:
		if (one_in(r, 4)) {
			v->kind = POLICY_SET;
			v->text = p->sets[random_below(r, p->n_sets)].name;
		} else {
			range(r, &v->addr);
		}
		return;
	case POLICY_MAC:
		bits = one_in(r, 2) ? 48 : random_below(r, 49);
		for (i = 0; i < bits; i++) {
			v->mac.mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
			v->mac.value[i / 8] |= (uint8_t)(0x80 >> i % 8) * (one_in(r, 9) || i == 6 || i == 46);
		}
		if (one_in(r, 5)) {
			memset(&v->mac, 0, sizeof(v->mac));
			v->mac.value[0] = v->mac.mask[0] = 1;
		}
		return;
	case POLICY_BITS:
		v->flags.mask = (uint8_t)random_below(r, 256);
		v->flags.value = (uint8_t)random_below(r, 256) & v->flags.mask;
		if (!v->flags.mask)
			v->flags.mask = v->flags.value = 2;
		return;
	case POLICY_TEXT:
		/* a blank is no part of an interface's name */
		v->text = field == POLICY_IN
				  ? names[random_below(r, 3)]
				  : expressions[random_below(r, sizeof(expressions) / sizeof(*expressions))];
		return;
	}
}

static void list(struct random_state *r, struct policy *p, enum policy_field field, struct policy_list *l)
{
	bool single = field == POLICY_FLAGS || field == POLICY_MATCHING || field == POLICY_FAMILY;
	uint32_t i;

	l->n = single || one_in(r, 2) ? 1 : 1 + random_below(r, 5);
	l->v = arena_add(&p->arena, l->n * sizeof(*l->v));
	for (i = 0; i < l->n; i++)
		value(r, p, field, &l->v[i]);
	if (field == POLICY_FAMILY) {
		l->v->num.lo = one_in(r, 2) ? 4 : 6;
		l->v->num.hi = l->v->num.lo == 4 && one_in(r, 3) ? 6 : l->v->num.lo;
	}
}

/* ICMP types and codes need just one protocol in front of them; names stand for two numbers. */
static void icmp(struct random_state *r, struct policy *p, struct policy_match *m, bool *have)
{
	static const uint32_t protos[] = {POLICY_PROTO_ICMP, POLICY_PROTO_ICMP4, POLICY_PROTO_ICMP6};
	struct policy_match *proto = &m[POLICY_PROTO], *type = &m[POLICY_ICMP_TYPE];
	uint32_t i, nr = protos[random_below(r, 3)];

	have[POLICY_PROTO] = have[POLICY_ICMP_TYPE] = true;
	have[POLICY_FROM_PORT] = have[POLICY_TO_PORT] = have[POLICY_FLAGS] = false;
	proto->negated = false;
	proto->list.n = 1;
	proto->list.v = arena_add(&p->arena, sizeof(*proto->list.v));
	proto->list.v->num.lo = proto->list.v->num.hi = nr;
	for (i = 0; i < type->list.n; i++) {
		/* rows 0 to 7 are in both families */
		if (nr == POLICY_PROTO_ICMP || one_in(r, 2)) {
			type->list.v[i].kind = POLICY_ICMP;
			type->list.v[i].num.lo = type->list.v[i].num.hi = random_below(r, 8);
		}
	}
}

static void action(struct random_state *r, struct policy *p, struct policy_stmt *s)
{
	s->action = (uint8_t)random_below(r, 7);
	s->log = s->action == POLICY_LOG || one_in(r, 6);
	s->log_every = one_in(r, 2) ? 1 : 1 + random_below(r, 2000);
	s->log_max = (struct policy_rate){.amount = one_in(r, 2) ? 100 : 1 + random_below(r, 5000),
					  .seconds = one_in(r, 3) ? 60 : 1};
	if (s->action == POLICY_REDIRECT)
		s->redirect = "eth9";
	if (s->action == POLICY_CPU)
		list(r, p, PARSE_CPUS, &s->cpus);
	if (s->action == POLICY_LIMIT) {
		s->limit.rate.bits = one_in(r, 3);
		s->limit.rate.seconds = s->limit.rate.bits ? 1 : one_in(r, 2) ? 1 : one_in(r, 2) ? 60 : 3600;
		s->limit.rate.amount = (1 + random_below(r, 5000)) * (one_in(r, 2) ? 1 : 1000);
		s->limit.burst = 1 + random_below(r, 20000);
		s->limit.per = (uint8_t)random_below(r, 4);
		if (s->limit.per == POLICY_PER_SOURCE || s->limit.per == POLICY_PER_DESTINATION) {
			s->limit.len4 = one_in(r, 2) ? 32 : (uint8_t)(1 + random_below(r, 32));
			s->limit.len6 = one_in(r, 2) ? 128 : (uint8_t)(1 + random_below(r, 128));
		}
	}
}

static void stmt(struct random_state *r, struct policy *p, uint32_t number_of, struct policy_stmt *s)
{
	struct policy_match m[POLICY_N_FIELDS] = {0};
	bool have[POLICY_N_FIELDS] = {false};
	uint32_t i, f, n = one_in(r, 20) ? 0 : 1 + random_below(r, 4), nr;
	char name[32];

	action(r, p, s);
	for (i = 0; i < n; i++)
		have[random_below(r, one_in(r, 3) ? POLICY_N_FIELDS : POLICY_LENGTH)] = true;
	for (f = 0; f < POLICY_N_FIELDS; f++) {
		m[f].field = (uint8_t)f;
		m[f].negated = f != POLICY_FAMILY && one_in(r, 5);
		list(r, p, (enum policy_field)f, &m[f].list);
	}
	if (have[POLICY_ICMP_TYPE] || have[POLICY_ICMP_CODE])
		icmp(r, p, m, have);
	if (have[POLICY_FLAGS] || have[POLICY_FROM_PORT] || have[POLICY_TO_PORT]) {
		nr = have[POLICY_FLAGS] || one_in(r, 2) ? 6 : 17;
		m[POLICY_PROTO].negated = false;
		m[POLICY_PROTO].list.v[0].num.lo = m[POLICY_PROTO].list.v[0].num.hi = nr;
	}
	s->matches = arena_add(&p->arena, POLICY_N_FIELDS * sizeof(*s->matches));
	for (f = 0; f < POLICY_N_FIELDS; f++)
		if (have[f])
			s->matches[s->n_matches++] = m[f];
	if (one_in(r, 3)) {
		snprintf(name, sizeof(name), one_in(r, 4) ? "say \"%u\" \\ so" : "rule %u", number_of);
		s->name = text(p, name);
	}
}

/* A rule about what an earlier one is about: with one condition less, or turned round, or the same. */
static void relative(struct random_state *r, struct policy *p, const struct policy_stmt *of,
		     struct policy_stmt *s)
{
	uint32_t i, drop = random_below(r, 8), turn = random_below(r, 12);

	s->matches = arena_add(&p->arena, (of->n_matches + 1) * sizeof(*s->matches));
	s->n_matches = 0;
	s->name = NULL;
	for (i = 0; i < of->n_matches; i++) {
		/* what others need stays: ports a protocol, types ICMP */
		if (i == drop && of->matches[i].field >= POLICY_FROM)
			continue;
		s->matches[s->n_matches] = of->matches[i];
		if (i == turn && of->matches[i].field >= POLICY_FROM)
			s->matches[s->n_matches].negated = !of->matches[i].negated;
		s->n_matches++;
	}
}

void random_policy(struct random_state *r, struct policy *p, uint32_t n_rules)
{
	static const char *const modes[] = {"auto", "native", "generic"};
	static const char *const on[] = {"eth0", "eth1", "veth*", "wan"};
	char name[16];
	uint32_t i, j;

	p->n_interfaces = random_below(r, 3);
	p->interfaces = arena_add(&p->arena, 4 * sizeof(*p->interfaces));
	for (i = 0; i < p->n_interfaces; i++)
		p->interfaces[i] =
			(struct policy_interface){.name = on[i], .mode = modes[random_below(r, 3)]};
	p->n_sets = 4;
	p->sets = arena_add(&p->arena, p->n_sets * sizeof(*p->sets));
	for (i = 0; i < p->n_sets; i++) {
		snprintf(name, sizeof(name), "set_%u", i);
		p->sets[i].name = text(p, name);
		p->sets[i].timeout_ns = one_in(r, 3) ? (1 + random_below(r, 7200)) * UINT64_C(1000000000) : 0;
		p->sets[i].size = one_in(r, 3) ? 20000 + random_below(r, 2) * UINT64_C(980000) : 0;
		p->sets[i].counters = one_in(r, 3);
		if (i == 3) {
			p->sets[i].file = "list.netset";
			continue;
		}
		p->sets[i].list.n = random_below(r, 7);
		p->sets[i].list.v = arena_add(&p->arena, 7 * sizeof(struct policy_value));
		for (j = 0; j < p->sets[i].list.n; j++) {
			p->sets[i].list.v[j].kind = POLICY_ADDR;
			range(r, &p->sets[i].list.v[j].addr);
		}
	}
	p->n_filters = 1 + random_below(r, 2);
	p->filters = arena_add(&p->arena, p->n_filters * sizeof(*p->filters));
	for (i = 0; i < p->n_filters; i++) {
		struct policy_filter *f = &p->filters[i];

		f->on.n = 1 + (i == 0 && one_in(r, 2));
		f->on.v = arena_add(&p->arena, 2 * sizeof(*f->on.v));
		f->on.v[0] = (struct policy_value){.kind = POLICY_TEXT, .text = on[i * 2]};
		f->on.v[1] = (struct policy_value){.kind = POLICY_TEXT, .text = on[1]};
		f->shadow = one_in(r, 3);
		f->default_drop = one_in(r, 2);
		f->n_stmts = random_below(r, n_rules + 1);
		f->stmts = arena_add(&p->arena, (f->n_stmts + 1) * sizeof(*f->stmts));
		for (j = 0; j < f->n_stmts; j++) {
			stmt(r, p, j, &f->stmts[j]);
			if (j && one_in(r, 4))
				relative(r, p, &f->stmts[random_below(r, j)], &f->stmts[j]);
		}
	}
}

/* --- packets --- */

struct wanted {
	bool v6;
	struct policy_addr6 from, to;
	uint32_t proto, from_port, to_port, flags, type, code, ttl, dscp, vlan, length, fragment;
};

static uint32_t near(struct random_state *r, const struct policy_match *m, uint32_t max)
{
	const struct policy_value *v = &m->list.v[random_below(r, m->list.n)];
	uint32_t n = one_in(r, 2) ? v->num.lo : v->num.hi;

	n += random_below(r, 3) - (one_in(r, 2) ? 1 : 0);
	return n > max ? v->num.lo : n;
}

static void near_address(struct random_state *r, const struct policy_match *m, bool *v6,
			 struct policy_addr6 *to)
{
	const struct policy_value *v = &m->list.v[random_below(r, m->list.n)];

	if (v->kind != POLICY_ADDR)
		return;
	*v6 = v->addr.v6;
	*to = one_in(r, 2) ? v->addr.first : v->addr.last;
	to->lo += one_in(r, 4) - one_in(r, 4);
}

/* Values at the edges of one rule's conditions. */
static void want(struct random_state *r, const struct policy_stmt *s, struct wanted *w)
{
	const struct policy_match *m;

	for (m = s->matches; m < s->matches + s->n_matches; m++) {
		switch ((enum policy_field)m->field) {
		case POLICY_FAMILY:
			w->v6 = m->list.v->num.lo == 6;
			break;
		case POLICY_PROTO:
			w->proto = near(r, m, 258);
			break;
		case POLICY_FROM:
			near_address(r, m, &w->v6, &w->from);
			break;
		case POLICY_TO:
			near_address(r, m, &w->v6, &w->to);
			break;
		case POLICY_FROM_PORT:
			w->from_port = near(r, m, 65535);
			break;
		case POLICY_TO_PORT:
			w->to_port = near(r, m, 65535);
			break;
		case POLICY_FLAGS:
			w->flags = m->list.v->flags.value ^ (one_in(r, 3) ? 1u << random_below(r, 8) : 0);
			break;
		case POLICY_ICMP_TYPE:
			w->type = near(r, m, 255);
			break;
		case POLICY_ICMP_CODE:
			w->code = near(r, m, 255);
			break;
		case POLICY_TTL:
			w->ttl = near(r, m, 255);
			break;
		case POLICY_DSCP:
			w->dscp = near(r, m, 63);
			break;
		case POLICY_VLAN:
			w->vlan = near(r, m, 4096);
			break;
		case POLICY_LENGTH:
			w->length = near(r, m, 2000);
			break;
		case POLICY_FRAGMENT:
			w->fragment = near(r, m, 2);
			break;
		default:
			break;
		}
	}
}

struct frame {
	uint8_t *at;
	uint32_t n;
};

static void put(struct frame *f, uint64_t v, uint32_t bytes)
{
	while (bytes--)
		f->at[f->n++] = (uint8_t)(v >> 8 * bytes);
}

static void upper(struct random_state *r, struct frame *f, const struct wanted *w)
{
	bool icmp = w->proto == 1 || w->proto == 58;

	if (icmp) {
		put(f, w->type, 1);
		put(f, w->code, 1);
		put(f, random_below(r, 65536), 2);
	} else {
		put(f, w->from_port, 2);
		put(f, w->to_port, 2);
	}
	put(f, random_below(r, 1000), 8);
	put(f, 5 << 4, 1);
	put(f, w->flags, 1);
	put(f, 0, 6);
}

static void ipv4(struct random_state *r, struct frame *f, const struct wanted *w)
{
	uint32_t ihl = one_in(r, 6) ? random_below(r, 16) : 5, i;

	put(f, 0x40 | ihl, 1);
	put(f, w->dscp << 2 | random_below(r, 4), 1);
	put(f, one_in(r, 8) ? random_below(r, 80) : ihl * 4 + 20 + random_below(r, 40), 2);
	put(f, 1, 2);
	put(f,
	    w->fragment == 1   ? 0x2000
	    : w->fragment == 2 ? 1 + random_below(r, 8191)
	    : one_in(r, 5)     ? 0x4000
			       : 0,
	    2);
	put(f, w->ttl, 1);
	put(f, w->proto, 1);
	put(f, 0, 2);
	put(f, w->from.lo & UINT32_MAX, 4);
	put(f, w->to.lo & UINT32_MAX, 4);
	for (i = 5; i < ihl; i++)
		put(f, random_below(r, UINT32_MAX), 4);
	upper(r, f, w);
}

static void ipv6(struct random_state *r, struct frame *f, const struct wanted *w)
{
	static const uint8_t kinds[] = {0, 43, 44, 51, 60, 135, 139, 140};
	uint32_t n = one_in(r, 3) ? random_below(r, 11) : 0, i, len;
	uint8_t next[12];

	for (i = 0; i < n; i++)
		next[i] = kinds[random_below(r, 8)];
	if (w->fragment && !n)
		next[n++] = 44;
	next[n] = (uint8_t)w->proto;
	put(f, 6u << 28 | w->dscp << 22 | random_below(r, 65536), 4);
	put(f, one_in(r, 8) ? random_below(r, 60) : 200, 2);
	put(f, next[0], 1);
	put(f, w->ttl, 1);
	put(f, w->from.hi, 8);
	put(f, w->from.lo, 8);
	put(f, w->to.hi, 8);
	put(f, w->to.lo, 8);
	for (i = 0; i < n; i++) {
		len = next[i] == 51   ? 1 + random_below(r, 3) * 2
		      : next[i] == 44 ? random_below(r, 3)
				      : random_below(r, 2);
		put(f, next[i + 1], 1);
		put(f, len, 1);
		put(f,
		    next[i] == 44 && w->fragment ? (w->fragment == 2 ? 8 : 1)
		    : one_in(r, 9)		 ? random_below(r, 65536)
						 : 0,
		    2);
		put(f, 0, 4);
		if (next[i] == 51)
			len = (len + 2) * 4 - 8;
		else
			len = next[i] == 44 ? 0 : len * 8;
		for (; len; len--)
			put(f, 0, 1);
	}
	upper(r, f, w);
}

uint32_t random_frame(struct random_state *r, const struct policy_filter *filter, uint8_t *frame)
{
	static const uint8_t protos[] = {6, 6, 17, 17, 1, 58, 132, 47, 50, 0, 255, 136};
	static const uint16_t types[] = {0x0806, 0x88cc, 0x0800, 0x86dd, 60, 0x8847, 0x8100};
	static const uint16_t tag_types[] = {0x8100, 0x88a8, 0x9100};
	struct wanted w = {.v6 = one_in(r, 3),
			   .proto = protos[random_below(r, sizeof(protos))],
			   .from_port = random_below(r, 65536),
			   .to_port = random_below(r, 3) ? 53 : 80,
			   .flags = random_below(r, 256),
			   .type = one_in(r, 2) ? 8 : 128,
			   .ttl = 64,
			   .dscp = random_below(r, 64),
			   .vlan = 4096,
			   .fragment = one_in(r, 6) ? random_below(r, 3) : 0};
	struct frame f = {.at = frame};
	uint32_t tags, i, type;

	w.from = w.v6 ? address6(r) : (struct policy_addr6){0, address4(r)};
	w.to = w.v6 ? address6(r) : (struct policy_addr6){0, address4(r)};
	if (filter->n_stmts && !one_in(r, 8))
		want(r, &filter->stmts[random_below(r, filter->n_stmts)], &w);
	if (w.proto > 255)
		w.proto = w.v6 ? 58 : 1;
	tags = w.vlan < 4096 ? 1 + random_below(r, 2) : one_in(r, 6) ? random_below(r, 7) : 0;
	put(&f,
	    one_in(r, 4)   ? UINT64_C(0xffffffffffff)
	    : one_in(r, 2) ? UINT64_C(0x020000000002)
			   : UINT64_C(0x01005e000001),
	    6);
	put(&f, UINT64_C(0x020000000000) | random_below(r, 3), 6);
	for (i = 0; i < tags; i++) {
		put(&f, tag_types[random_below(r, 3)], 2);
		put(&f, (i == 0 && w.vlan < 4096 ? w.vlan : random_below(r, 4096)) | random_below(r, 8) << 13,
		    2);
	}
	type = one_in(r, 8) ? types[random_below(r, 7)] : w.v6 ? 0x86dd : 0x0800;
	put(&f, type, 2);
	if (w.v6)
		ipv6(r, &f, &w);
	else
		ipv4(r, &f, &w);
	for (i = random_below(r, 40); i; i--)
		put(&f, random_below(r, 256), 1);
	if (w.length && w.length <= 2000) {
		while (f.n < w.length)
			put(&f, 0, 1);
		f.n = w.length;
	}
	if (one_in(r, 8))
		f.n = random_below(r, f.n + 1);
	if (one_in(r, 8) && f.n)
		f.at[random_below(r, f.n)] = (uint8_t)random_below(r, 256);
	return f.n;
}
