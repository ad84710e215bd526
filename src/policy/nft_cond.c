// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Conditions of a rule in the words of nft, from the rule's normal form. At the ingress hook the kernel has taken the
 * outermost 802.1Q or 802.1ad tag off (skb_vlan_untag()), "meta protocol" is the type behind it, "meta length" counts
 * from there on, and "@ll" shows the frame with the tag in its place (nft_payload.c).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/nft_parts.h"

#define BIT(field) (1u << (field))
#define TAGS "{ 0x8100, 0x88a8, 0x9100 }"
#define TAGS_OFF "{ 0x8100, 0x88a8 }" /* those that are taken off */

#define UPPER \
	(BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT) | BIT(POLICY_FLAGS) | BIT(POLICY_ICMP_TYPE) | BIT(POLICY_ICMP_CODE))

enum { ETHERNET = 14, TAG = 4, FIRST_TYPE = 1536 };

const char *nft_say(struct nft *x, const char *fmt, ...)
{
	char *to;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	to = n < 0 ? NULL : arena_add(&x->arena, (size_t)n + 1);
	if (!to)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return to;
}

static void alt(struct nft *x, struct nft_alts *a, const char *s)
{
	if (!s)
		return;
	if (a->n == NFT_ALTS_MAX)
		x->why = "it has too many alternatives";
	else
		a->v[a->n++] = s;
}

static void factor(struct nft_cond *c, const struct nft_alts *a)
{
	if (a->n)
		c->factors[c->n++] = *a;
}

static void one(struct nft *x, struct nft_cond *c, const char *s)
{
	struct nft_alts a = {0};

	alt(x, &a, s);
	factor(c, &a);
}

/* --- numbers --- */

static void span(struct buf *to, uint32_t lo, uint32_t hi, bool in_list)
{
	if (lo == hi)
		buf_printf(to, "%u", lo);
	else if (hi == UINT32_MAX)
		buf_printf(to, in_list ? "%u-%u" : ">= %u", lo, hi);
	else
		buf_printf(to, "%u-%u", lo, hi);
}

/* "WORDS VALUE" or "WORDS { VALUES }". */
static const char *spans(struct nft *x, const char *words, const struct policy_span4 *v, uint32_t n)
{
	struct buf *b = &x->scratch;
	uint32_t i;

	b->len = 0;
	buf_printf(b, n == 1 ? "%s " : "%s { ", words);
	for (i = 0; i < n; i++) {
		buf_printf(b, "%s", i ? ", " : "");
		span(b, v[i].first, v[i].last, n > 1);
	}
	buf_printf(b, n == 1 ? "" : " }");
	return nft_say(x, "%.*s", (int)b->len, (const char *)b->data);
}

static const char *spans16(struct nft *x, const char *words, const struct policy_spans16 *s)
{
	struct policy_span4 *v = arena_add(&x->arena, (s->n + 1) * sizeof(*v));
	uint32_t i;

	for (i = 0; v && i < s->n; i++)
		v[i] = (struct policy_span4){s->v[i].first, s->v[i].last};
	return v ? spans(x, words, v, s->n) : NULL;
}

/* NULL if it is all of them. */
static const char *bytes(struct nft *x, const char *words, const struct policy_bytes *b, uint32_t max,
			 bool each)
{
	struct policy_span4 v[256];
	uint32_t n = 0, i;

	for (i = 0; i <= max; i++) {
		if (!policy_bytes_has(b, (uint8_t)i))
			continue;
		if (!each && n && v[n - 1].last + 1 == i)
			v[n - 1].last = i;
		else
			v[n++] = (struct policy_span4){i, i};
	}
	if ((n == 1 && v[0].first == 0 && v[0].last == max) || n > max)
		return NULL;
	return spans(x, words, v, n);
}

static bool only_proto(const struct policy_bytes *b, uint8_t nr)
{
	struct policy_bytes want = {{0}};

	want.w[nr / 64] = UINT64_C(1) << (nr % 64);
	return !memcmp(b, &want, sizeof(want));
}

static const struct policy_bytes *protos(const struct policy_rule *r, uint8_t fam)
{
	return &r->ip[fam == POLICY_V6].proto;
}

static const char *proto(struct nft *x, const struct policy_bytes *b)
{
	static const struct {
		uint8_t nr;
		const char *name;
	} names[] = {{6, "tcp"}, {17, "udp"}, {1, "icmp"}, {58, "ipv6-icmp"}, {132, "sctp"}};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (only_proto(b, names[i].nr))
			return nft_say(x, "meta l4proto %s", names[i].name);
	return bytes(x, "meta l4proto", b, 255, false);
}

static void ports(struct nft *x, uint8_t fam, struct nft_cond *c)
{
	const struct policy_rule *r = x->rule;
	const struct policy_bytes *b = protos(r, fam);
	const char *head = only_proto(b, 6) ? "tcp" : only_proto(b, 17) ? "udp" : "th";

	if (r->fields & BIT(POLICY_FROM_PORT))
		one(x, c, spans16(x, nft_say(x, "%s sport", head), &r->from_port));
	if (r->fields & BIT(POLICY_TO_PORT))
		one(x, c, spans16(x, nft_say(x, "%s dport", head), &r->to_port));
}

static void flags(struct nft *x, struct nft_cond *c)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"};
	const struct policy_match *m = policy_match_of(x->rule->stmt, POLICY_FLAGS);
	uint8_t part[2] = {m->list.v->flags.mask, m->list.v->flags.value};
	char said[2][64];
	size_t at, i, j;

	for (j = 0; j < 2; j++) {
		at = (size_t)snprintf(said[j], sizeof(said[j]), part[j] ? "" : "0x0");
		for (i = 0; i < 8; i++)
			if (part[j] >> i & 1)
				at += (size_t)snprintf(said[j] + at, sizeof(said[j]) - at, "%s%s",
						       at ? "|" : "", names[i]);
	}
	one(x, c, nft_say(x, "tcp flags & (%s) %s %s", said[0], m->negated ? "!=" : "==", said[1]));
}

/* --- addresses --- */

static void addr_spans(struct buf *b, const struct policy_addrs *a, bool v6)
{
	struct policy_range r = {.v6 = v6};
	char said[POLICY_RANGE_TEXT];
	uint32_t i;

	for (i = 0; i < a->n; i++) {
		if (v6) {
			r.first = a->v6[i].first;
			r.last = a->v6[i].last;
		} else {
			r.first.lo = a->v4[i].first;
			r.last.lo = a->v4[i].last;
		}
		buf_printf(b, "%s%s", i ? ", " : "", policy_range_format(&r, said, sizeof(said)));
	}
}

static bool all_addresses(const struct policy_addrs *a, bool v6)
{
	if (a->n != 1)
		return false;
	if (!v6)
		return !a->v4[0].first && a->v4[0].last == UINT32_MAX;
	return !(a->v6[0].first.hi | a->v6[0].first.lo) && a->v6[0].last.hi == UINT64_MAX &&
	       a->v6[0].last.lo == UINT64_MAX;
}

/* "WORD != @set WORD != @other": those in front of number n. */
static void no_sets(struct nft *x, struct buf *b, const char *word, const struct policy_addrs *a, uint32_t n,
		    bool v6)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		buf_printf(b, "%s%s != @%s_v%d", b->len ? " " : "", word, x->p->sets[a->sets[i]].name, v6 ? 6 : 4);
}

static void listed(struct nft *x, struct buf *b, const char *word, const struct policy_addrs *a, bool v6)
{
	(void)x;
	buf_printf(b, "%s%s%s%s", b->len ? " " : "", word, a->negated ? " !=" : "", a->n == 1 ? " " : " { ");
	addr_spans(b, a, v6);
	buf_printf(b, a->n == 1 ? "" : " }");
}

static void address(struct nft *x, const struct policy_addrs *a, bool to, bool v6, struct nft_cond *c)
{
	const char *word = v6 ? (to ? "ip6 daddr" : "ip6 saddr") : (to ? "ip daddr" : "ip saddr");
	struct nft_alts alts = {0};
	struct buf b = {0};
	uint32_t i;

	if (!a->n_sets && all_addresses(a, v6))
		return;
	for (i = 0; !a->negated && i < a->n_sets && i < NFT_ALTS_MAX; i++) {
		b.len = 0;
		no_sets(x, &b, word, a, i, v6);
		buf_printf(&b, "%s%s @%s_v%d", i ? " " : "", word, x->p->sets[a->sets[i]].name, v6 ? 6 : 4);
		alt(x, &alts, nft_say(x, "%.*s", (int)b.len, (const char *)b.data));
	}
	b.len = 0;
	no_sets(x, &b, word, a, a->n_sets, v6);
	if (a->n)
		listed(x, &b, word, a, v6);
	if (a->n || a->negated)
		alt(x, &alts, nft_say(x, "%.*s", (int)b.len, (const char *)b.data));
	x->arena.failed |= b.failed;
	buf_free(&b);
	if (a->n_sets >= NFT_ALTS_MAX)
		x->why = "it names too many sets";
	factor(c, &alts);
}

/* --- Ethernet --- */

static uint64_t mac_number(const uint8_t *mac)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < 6; i++)
		v = v << 8 | mac[i];
	return v;
}

static const char *mac_said(uint64_t v, char *to, size_t size)
{
	snprintf(to, size, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned int)(v >> 40 & 255),
		 (unsigned int)(v >> 32 & 255), (unsigned int)(v >> 24 & 255), (unsigned int)(v >> 16 & 255),
		 (unsigned int)(v >> 8 & 255), (unsigned int)(v & 255));
	return to;
}

struct mac_span {
	uint64_t first, last;
};

static int by_first(const void *a, const void *b)
{
	const struct mac_span *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Prefixes become spans; what has another mask stands alone, as in nft's lists there is no place for it. */
static void macs(struct nft *x, const char *word, const struct policy_macs *m, struct nft_cond *c)
{
	struct mac_span *v = arena_add(&x->arena, (m->n + 1) * sizeof(*v));
	const char *sign = m->negated ? "!=" : "==";
	char said[2][24];
	uint32_t i, n = 0, merged = 0;
	uint64_t mask;
	struct buf b = {0};

	for (i = 0; v && i < m->n; i++) {
		mask = mac_number(m->v[i].mask);
		v[n].first = mac_number(m->v[i].value);
		v[n].last = v[n].first | (~mask & 0xffffffffffff);
		if (((~mask & 0xffffffffffff) & ((~mask & 0xffffffffffff) + 1)) == 0) {
			n++;
			continue;
		}
		if (m->n > 1 && !m->negated)
			x->why = "nft has no list of MAC addresses with other masks than prefixes";
		one(x, c,
		    nft_say(x, "%s & %s %s %s", word, mac_said(mask, said[0], sizeof(said[0])), sign,
			    mac_said(v[n].first, said[1], sizeof(said[1]))));
	}
	if (!v || !n)
		return;
	qsort(v, n, sizeof(*v), by_first);
	for (i = 1; i < n; i++) {
		if (v[i].first <= v[merged].last + 1)
			v[merged].last = v[i].last > v[merged].last ? v[i].last : v[merged].last;
		else
			v[++merged] = v[i];
	}
	for (i = 0; i <= merged; i++)
		buf_printf(&b, v[i].first == v[i].last ? "%s%s" : "%s%s-%s", i ? ", " : "",
			   mac_said(v[i].first, said[0], sizeof(said[0])),
			   mac_said(v[i].last, said[1], sizeof(said[1])));
	one(x, c,
	    nft_say(x, merged ? "%s %s{ %.*s }" : "%s %s%.*s", word, m->negated ? "!= " : "", (int)b.len,
		    (const char *)b.data));
	x->arena.failed |= b.failed;
	buf_free(&b);
}

static void vlan(struct nft *x, struct nft_cond *c)
{
	const struct policy_spans16 *s = &x->rule->vlan;
	struct policy_spans16 ids = {0};
	struct policy_span16 *v = arena_add(&x->arena, (s->n + 1) * sizeof(*v));
	struct nft_alts alts = {0};
	uint32_t i;

	if (!v)
		return;
	ids.v = v;
	for (i = 0; i < s->n; i++) {
		if (s->v[i].last >= POLICY_VLAN_NONE)
			alt(x, &alts, "@ll,96,16 != " TAGS);
		if (s->v[i].first >= POLICY_VLAN_NONE)
			continue;
		v[ids.n] = s->v[i];
		if (v[ids.n].last >= POLICY_VLAN_NONE)
			v[ids.n].last = POLICY_VLAN_NONE - 1;
		ids.n++;
	}
	if (ids.n == 1 && !v[0].first && v[0].last == POLICY_VLAN_NONE - 1)
		alt(x, &alts, "@ll,96,16 " TAGS);
	else if (ids.n)
		alt(x, &alts, spans16(x, "@ll,96,16 " TAGS " @ll,116,12", &ids));
	if (alts.n < 2 || ids.n != 1 || v[0].first || v[0].last != POLICY_VLAN_NONE - 1)
		factor(c, &alts);
}

static void ether_type(struct nft *x, struct nft_cond *c)
{
	const struct policy_spans16 *s = &x->rule->ether_type;
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if ((s->v[i].first && s->v[i].first < FIRST_TYPE) || s->v[i].last < FIRST_TYPE - 1)
			x->why = "nft cannot tell 802.3 lengths apart";
	if (s->n == 1 && s->v[0].first == 0x800 && s->v[0].last == 0x800)
		one(x, c, "meta protocol ip");
	else if (s->n == 1 && s->v[0].first == 0x806 && s->v[0].last == 0x806)
		one(x, c, "meta protocol arp");
	else if (s->n == 1 && s->v[0].first == 0x86dd && s->v[0].last == 0x86dd)
		one(x, c, "meta protocol ip6");
	else
		one(x, c, spans16(x, "meta protocol", s));
}

/* nft's length begins behind the Ethernet header, and behind the tag that was taken off. */
static void length(struct nft *x, struct nft_cond *c)
{
	static const char *const words[] = {"@ll,96,16 != " TAGS_OFF " meta length",
					    "@ll,96,16 " TAGS_OFF " meta length"};
	const struct policy_rule *r = x->rule;
	struct policy_span4 *v = arena_add(&x->arena, (r->n_length + 1) * sizeof(*v));
	struct nft_alts alts = {0};
	uint32_t i, n, k, off;

	for (k = 0; v && k < 2; k++) {
		off = ETHERNET + k * TAG;
		for (i = n = 0; i < r->n_length; i++) {
			if (r->length[i].last < off)
				continue;
			v[n].first = r->length[i].first > off ? r->length[i].first - off : 0;
			v[n++].last = r->length[i].last == UINT32_MAX ? UINT32_MAX : r->length[i].last - off;
		}
		if (n)
			alt(x, &alts, spans(x, words[k], v, n));
	}
	if (v && !alts.n)
		x->why = "no frame is that short";
	factor(c, &alts);
}

/* --- the rest --- */

/* measured on Linux 6.18: at this hook nft takes what stands in a later fragment for ports */
void nft_no_later(struct nft *x, bool v6, struct nft_cond *c)
{
	struct nft_alts alts = {0};

	if (v6) {
		alt(x, &alts, "exthdr frag missing");
		alt(x, &alts, "frag frag-off 0");
	} else {
		alt(x, &alts, "ip frag-off & 0x1fff == 0");
	}
	factor(c, &alts);
}

static void fragment(struct nft *x, bool v6, uint8_t f, struct nft_cond *c)
{
	static const char *const v4[8] = {
		[1] = "ip frag-off & 0x3fff == 0",	 [2] = "ip frag-off & 0x3fff == 0x2000",
		[3] = "ip frag-off & 0x1fff == 0",	 [4] = "ip frag-off & 0x1fff != 0",
		[5] = "ip frag-off & 0x3fff != 0x2000", [6] = "ip frag-off & 0x3fff != 0",
	};
	struct nft_alts alts = {0};

	if (f == 7)
		return;
	if (!f)
		x->why = "no later fragment has ports";
	if (!v6) {
		one(x, c, v4[f]);
		return;
	}
	if (f == (1 << POLICY_FRAGMENT_NONE | 1 << POLICY_FRAGMENT_FIRST)) {
		nft_no_later(x, true, c);
		return;
	}
	if (f & 1 << POLICY_FRAGMENT_NONE) {
		alt(x, &alts, "exthdr frag missing");
		alt(x, &alts, "frag frag-off 0 frag more-fragments 0");
	}
	if (f & 1 << POLICY_FRAGMENT_FIRST)
		alt(x, &alts, "frag frag-off 0 frag more-fragments 1");
	if (f & 1 << POLICY_FRAGMENT_LATER)
		alt(x, &alts, "frag frag-off != 0");
	factor(c, &alts);
}

static void in(struct nft *x, struct nft_cond *c)
{
	const struct policy_names *n = &x->rule->in;
	struct buf b = {0};
	size_t len;
	uint32_t i;

	for (i = 0; i < n->n; i++) {
		len = strcspn(n->v[i], "*?");
		if (n->v[i][len] && (n->v[i][len] == '?' || n->v[i][len + 1] || n->n > 1))
			x->why = "nft has only one * at the end of a single name of interfaces";
		buf_printf(&b, "%s\"%s\"", i ? ", " : "", n->v[i]);
	}
	one(x, c,
	    nft_say(x, n->n == 1 ? "iifname %s%.*s" : "iifname %s{ %.*s }", n->negated ? "!= " : "", (int)b.len,
		    (const char *)b.data));
	x->arena.failed |= b.failed;
	buf_free(&b);
}

static void unsayable(struct nft *x)
{
	uint32_t f = x->rule->fields;

	if (f & BIT(POLICY_MATCHING))
		x->why = "nft has no pcap expressions";
	else if (f & BIT(POLICY_MALFORMED))
		x->why = "nft does not tell damaged packets apart";
	else if (f & BIT(POLICY_INNER_VLAN))
		x->why = "nft looks behind one VLAN tag here";
}

bool nft_needs_ip(const struct policy_rule *r)
{
	static const uint32_t ip = BIT(POLICY_PROTO) | BIT(POLICY_FLAGS) | BIT(POLICY_ICMP_TYPE) |
				   BIT(POLICY_ICMP_CODE) | BIT(POLICY_FROM) | BIT(POLICY_TO) |
				   BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT) | BIT(POLICY_TTL) |
				   BIT(POLICY_DSCP) | BIT(POLICY_FRAGMENT);

	return r->fields & ip || policy_match_of(r->stmt, POLICY_FAMILY);
}

bool nft_splits(const struct policy_rule *r)
{
	static const uint32_t apart = BIT(POLICY_ICMP_TYPE) | BIT(POLICY_ICMP_CODE) | BIT(POLICY_FROM) |
				      BIT(POLICY_TO) | BIT(POLICY_TTL) | BIT(POLICY_DSCP) |
				      BIT(POLICY_FRAGMENT) | UPPER;

	return r->fields & apart || memcmp(&r->ip[0].proto, &r->ip[1].proto, sizeof(r->ip[0].proto)) != 0;
}

static void ip(struct nft *x, uint8_t fam, struct nft_cond *c)
{
	const struct policy_rule *r = x->rule;
	bool v6 = fam == POLICY_V6;
	uint32_t f = r->fields;
	uint8_t fragments = f & BIT(POLICY_FRAGMENT) ? r->fragment & 7 : 7;
	struct policy_bytes dscp = {{r->dscp}};

	if (f & UPPER)
		fragments &= (uint8_t) ~(1 << POLICY_FRAGMENT_LATER);

	if (f & BIT(POLICY_FROM))
		address(x, &r->ip[v6].from, false, v6, c);
	if (f & BIT(POLICY_TO))
		address(x, &r->ip[v6].to, true, v6, c);
	if (f & BIT(POLICY_TTL))
		one(x, c, bytes(x, v6 ? "ip6 hoplimit" : "ip ttl", &r->ttl, 255, false));
	if (f & BIT(POLICY_DSCP))
		one(x, c, bytes(x, v6 ? "ip6 dscp" : "ip dscp", &dscp, 63, true));
	fragment(x, v6, fragments, c);
	if (f & BIT(POLICY_PROTO))
		one(x, c, proto(x, protos(r, fam)));
	if (f & (BIT(POLICY_FROM_PORT) | BIT(POLICY_TO_PORT)))
		ports(x, fam, c);
	if (f & BIT(POLICY_FLAGS))
		flags(x, c);
	/* all types: that there is one is asked all the same */
	if (f & (BIT(POLICY_ICMP_TYPE) | BIT(POLICY_ICMP_CODE))) {
		const char *type = f & BIT(POLICY_ICMP_TYPE) ? bytes(x, v6 ? "icmpv6 type" : "icmp type",
								     &r->ip[v6].icmp_type, 255, false)
							     : NULL;

		one(x, c, type ? type : v6 ? "icmpv6 type 0-255" : "icmp type 0-255");
	}
	if (f & BIT(POLICY_ICMP_CODE))
		one(x, c, bytes(x, v6 ? "icmpv6 code" : "icmp code", &r->icmp_code, 255, false));
}

void nft_condition(struct nft *x, uint8_t fam, struct nft_cond *c)
{
	static const char *const families[8] = {
		[POLICY_V4] = "meta protocol ip",
		[POLICY_V6] = "meta protocol ip6",
		[POLICY_V4 | POLICY_V6] = "meta protocol { ip, ip6 }",
		[POLICY_NO_IP] = "meta protocol != { ip, ip6 }",
	};
	uint32_t f = x->rule->fields;

	memset(c, 0, sizeof(*c));
	x->why = NULL;
	unsayable(x);
	if (x->why)
		return;
	if (f & BIT(POLICY_IN))
		in(x, c);
	if (f & BIT(POLICY_ETHER_FROM))
		macs(x, "ether saddr", &x->rule->ether_from, c);
	if (f & BIT(POLICY_ETHER_TO))
		macs(x, "ether daddr", &x->rule->ether_to, c);
	if (f & BIT(POLICY_VLAN))
		vlan(x, c);
	if (f & BIT(POLICY_ETHER_TYPE))
		ether_type(x, c);
	if (f & BIT(POLICY_LENGTH))
		length(x, c);
	/* a protocol that both families have is asked for in both at once */
	if (families[fam] && !(fam == (POLICY_V4 | POLICY_V6) && f & BIT(POLICY_PROTO) &&
			       proto(x, protos(x->rule, fam))))
		one(x, c, families[fam]);
	if (fam & (POLICY_V4 | POLICY_V6) && fam != 7)
		ip(x, fam, c);
}
