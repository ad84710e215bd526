// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets in words: a sentence becomes a frame, and the frame is read like any other. So an expression over
 * bytes can be explained, too, and nothing can be said of a packet that a packet cannot be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "net/packet.h"
#include "policy/packet.h"
#include "policy/words.h"

#define NOT_GIVEN UINT32_MAX
enum { TCP = 6, UDP = 17, ICMP4 = 1, ICMP6 = 58 };

struct spec {
	uint32_t proto, length, ttl, dscp, ether_type, icmp_type, icmp_code;
	bool addressed, flagged;
	struct net_addr from, to;
	uint32_t from_port, to_port;
	uint8_t flags, fragment, mac_to[6], mac_from[6];
	uint16_t vlan[PACKET_TAGS_MAX];
	uint32_t n_vlan;
	const struct policy_word *type_word;
	const char *in;
};

/* The sentence in words, cut at blanks in a copy. */
struct words {
	char **word;
	size_t n, at;
	struct sluice_err *err;
};

static int expected(struct words *w, const char *what)
{
	if (w->at < w->n)
		return err_set(w->err, -EINVAL, "packet: found '%s', expected %s", w->word[w->at], what);
	return err_set(w->err, -EINVAL, "packet: expected %s behind '%s'", what,
		       w->n ? w->word[w->n - 1] : "");
}

static bool next_is(struct words *w, const char *word)
{
	if (w->at >= w->n || strcmp(w->word[w->at], word))
		return false;
	w->at++;
	return true;
}

static int number(struct words *w, enum policy_table names, uint32_t max, const char *what, uint32_t *to)
{
	const char *s = w->at < w->n ? w->word[w->at] : "";
	const struct policy_word *row = words_find(names, s, strlen(s));
	uint64_t v;

	if (row && row->lo == row->hi && row->lo <= max)
		v = row->lo;
	else if (text_u64(s, 0, max, &v, NULL))
		return expected(w, what);
	*to = (uint32_t)v;
	w->at++;
	return 0;
}

/* ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT */
static int endpoint(struct words *w, struct net_addr *addr, uint32_t *port)
{
	const char *s = w->at < w->n ? w->word[w->at] : "", *colon = strrchr(s, ':'), *end = s + strlen(s);
	char copy[64];
	uint64_t v;

	if (s[0] == '[') {
		s++;
		end = strchr(s, ']');
		colon = end && end[1] == ':' ? end + 1 : NULL;
		if (!end || (end[1] && !colon))
			return expected(w, "[ADDRESS]:PORT");
	} else if (colon && strchr(s, ':') == colon) {
		end = colon;
	} else {
		colon = NULL; /* an IPv6 address without a port */
	}
	if ((size_t)(end - s) >= sizeof(copy))
		return expected(w, "an address");
	snprintf(copy, sizeof(copy), "%.*s", (int)(end - s), s);
	if (net_addr_parse(copy, addr, NULL))
		return expected(w, "an address (198.51.100.7:4711, [2001:db8::1]:53)");
	*port = NOT_GIVEN;
	if (colon && text_u64(colon + 1, 0, 65535, &v, NULL))
		return expected(w, "a port from 0 to 65535 behind the address");
	if (colon)
		*port = (uint32_t)v;
	w->at++;
	return 0;
}

static int mac(struct words *w, uint8_t to[6])
{
	if (w->at >= w->n || net_mac_parse(w->word[w->at], to, NULL))
		return expected(w, "a MAC address");
	w->at++;
	return 0;
}

static int ether(struct words *w, struct spec *s)
{
	if (next_is(w, "from"))
		return mac(w, s->mac_from);
	if (next_is(w, "to"))
		return mac(w, s->mac_to);
	if (next_is(w, "type"))
		return number(w, WORDS_ETHER_TYPES, 65535, "an Ethernet type", &s->ether_type);
	return expected(w, "from, to or type behind 'ether'");
}

/* syn,ack in one word, added to *to; false: they are no flags */
static bool flags(const char *text, uint8_t *to)
{
	const struct policy_word *row;
	size_t n;
	uint8_t v = 0;

	for (;; text += n + 1) {
		n = strcspn(text, ",");
		row = n ? words_find(WORDS_FLAGS, text, n) : NULL;
		if (!row && !(n == 4 && !strncmp(text, "none", 4)))
			return false;
		v |= row ? (uint8_t)row->lo : 0;
		if (!text[n])
			break;
	}
	*to |= v;
	return true;
}

static int icmp_type(struct words *w, struct spec *s)
{
	const char *word = w->at < w->n ? w->word[w->at] : "";

	s->type_word = words_find(WORDS_ICMP_TYPES, word, strlen(word));
	if (!s->type_word)
		return number(w, WORDS_NONE, 255, "an ICMP type", &s->icmp_type);
	w->at++;
	return 0;
}

static int vlan(struct words *w, struct spec *s)
{
	uint32_t v;
	int e = number(w, WORDS_NONE, 4095, "a VLAN id", &v);

	if (!e && s->n_vlan == PACKET_TAGS_MAX)
		return err_set(w->err, -EINVAL, "packet: more than %d VLAN tags", PACKET_TAGS_MAX);
	if (!e)
		s->vlan[s->n_vlan++] = (uint16_t)v;
	return e;
}

static int fragment(struct words *w, struct spec *s)
{
	if (next_is(w, "first"))
		s->fragment = POLICY_FRAGMENT_FIRST;
	else if (next_is(w, "later"))
		s->fragment = POLICY_FRAGMENT_LATER;
	else
		return expected(w, "first or later behind 'fragment'");
	return 0;
}

/* What may stand behind the addresses, in any order. */
static int detail(struct words *w, struct spec *s)
{
	const char *word = w->word[w->at];

	if (flags(word, &s->flags) ||
	    (next_is(w, "flags") && w->at < w->n && flags(w->word[w->at], &s->flags))) {
		s->flagged = true;
		w->at++;
		return 0;
	}
	if (words_find(WORDS_ICMP_TYPES, word, strlen(word)) || next_is(w, "type"))
		return icmp_type(w, s);
	if (next_is(w, "code"))
		return number(w, WORDS_NONE, 255, "an ICMP code", &s->icmp_code);
	if (next_is(w, "length"))
		return number(w, WORDS_NONE, PACKET_WORDS_MAX - 1, "a length in bytes, at most 65535",
			      &s->length);
	if (next_is(w, "ttl") || next_is(w, "hoplimit"))
		return number(w, WORDS_NONE, 255, "a TTL", &s->ttl);
	if (next_is(w, "dscp"))
		return number(w, WORDS_DSCPS, 63, "a DSCP", &s->dscp);
	if (next_is(w, "vlan"))
		return vlan(w, s);
	if (next_is(w, "fragment"))
		return fragment(w, s);
	if (next_is(w, "ether"))
		return ether(w, s);
	if (next_is(w, "on") || next_is(w, "in")) {
		if (w->at >= w->n)
			return expected(w, "the name of an interface");
		s->in = w->word[w->at++];
		return 0;
	}
	return expected(w, "TCP flags, type, code, length, ttl, dscp, vlan, fragment, ether or on");
}

/* tcp, proto 47, arp... */
static int what(struct words *w, struct spec *s)
{
	const char *word = w->n ? w->word[0] : "";
	const struct policy_word *row = words_find(WORDS_PROTOS, word, strlen(word));

	if (row && row->lo < 256) {
		s->proto = row->lo;
	} else if (row) {
		s->proto = row->lo == POLICY_PROTO_ICMP6 ? ICMP6 : ICMP4;
	} else if (next_is(w, "proto")) {
		return number(w, WORDS_PROTOS, 255, "a protocol by name or number", &s->proto);
	} else if (words_find(WORDS_ETHER_TYPES, word, strlen(word))) {
		s->ether_type = words_find(WORDS_ETHER_TYPES, word, strlen(word))->lo;
	} else if (!strcmp(word, "ether")) {
		return 0;
	} else {
		return expected(w, "a protocol (tcp, udp, icmp, proto 47) or an Ethernet type (arp) at the "
				   "beginning");
	}
	w->at++;
	return 0;
}

static int sentence(struct words *w, struct spec *s)
{
	int e = what(w, s);

	if (!e && s->proto != NOT_GIVEN) {
		e = endpoint(w, &s->from, &s->from_port);
		if (!e && !next_is(w, ">"))
			e = expected(w, "'>' between source and destination");
		if (!e)
			e = endpoint(w, &s->to, &s->to_port);
		s->addressed = true;
	}
	while (!e && w->at < w->n)
		e = detail(w, s);
	if (e)
		return e;
	if (!s->addressed && s->ether_type == NOT_GIVEN)
		return err_set(w->err, -EINVAL, "packet: neither a protocol nor an Ethernet type is given");
	if (s->addressed && s->from.v6 != s->to.v6)
		return err_set(w->err, -EINVAL, "packet: source and destination are of different families");
	if (s->addressed && s->from.v6 && s->proto == ICMP4)
		s->proto = ICMP6;
	if (s->flagged && s->proto != TCP)
		return err_set(w->err, -EINVAL, "packet: only tcp has flags");
	if ((s->type_word || s->icmp_type != NOT_GIVEN) && s->proto != ICMP4 && s->proto != ICMP6)
		return err_set(w->err, -EINVAL, "packet: only icmp has a type");
	if (s->type_word)
		s->icmp_type = s->from.v6 ? s->type_word->hi : s->type_word->lo;
	if (s->type_word && s->icmp_type > 255)
		return err_set(w->err, -EINVAL, "packet: ICMP%s has no type '%s'", s->from.v6 ? "v6" : "",
			       s->type_word->name);
	return 0;
}

/* --- the frame --- */

struct frame {
	uint8_t *at;
	uint32_t n, room;
};

static void put(struct frame *f, const void *bytes, uint32_t n)
{
	if (f->n + n <= f->room)
		memcpy(f->at + f->n, bytes, n);
	f->n += n;
}

static void put8(struct frame *f, uint32_t v)
{
	uint8_t b = (uint8_t)v;

	put(f, &b, 1);
}

static void put16(struct frame *f, uint32_t v)
{
	put8(f, v >> 8);
	put8(f, v);
}

static void zeroes(struct frame *f, uint32_t n)
{
	while (n--)
		put8(f, 0);
}

static uint32_t upper_bytes(const struct spec *s)
{
	if (s->fragment == POLICY_FRAGMENT_LATER)
		return 8;
	return s->proto == TCP ? 20 : 8;
}

static void upper(struct frame *f, const struct spec *s, uint32_t bytes)
{
	uint32_t from = f->n;
	bool icmp = s->proto == ICMP4 || s->proto == ICMP6;

	if (s->fragment == POLICY_FRAGMENT_LATER) {
		zeroes(f, bytes);
		return;
	}
	if (icmp) {
		put8(f, s->icmp_type == NOT_GIVEN ? (s->from.v6 ? 128 : 8) : s->icmp_type);
		put8(f, s->icmp_code == NOT_GIVEN ? 0 : s->icmp_code);
	} else {
		put16(f, s->from_port == NOT_GIVEN ? 0 : s->from_port);
		put16(f, s->to_port == NOT_GIVEN ? 0 : s->to_port);
	}
	if (s->proto == UDP)
		put16(f, bytes > 65535 ? 0 : bytes);
	if (s->proto == TCP) {
		zeroes(f, 8);
		put8(f, 5 << 4);
		put8(f, s->flagged ? s->flags : NET_TCP_ACK);
	}
	if (f->n - from < bytes)
		zeroes(f, bytes - (f->n - from));
}

static void ipv4(struct frame *f, const struct spec *s, uint32_t bytes)
{
	uint32_t from = f->n, sum;

	put8(f, 0x45);
	put8(f, (s->dscp == NOT_GIVEN ? 0 : s->dscp) << 2);
	put16(f, 20 + bytes);
	put16(f, 1);
	put16(f, s->fragment == POLICY_FRAGMENT_FIRST	? 0x2000
		 : s->fragment == POLICY_FRAGMENT_LATER ? 185
							: 0);
	put8(f, s->ttl == NOT_GIVEN ? 64 : s->ttl);
	put8(f, s->proto);
	put16(f, 0);
	put(f, s->from.bytes, 4);
	put(f, s->to.bytes, 4);
	if (f->n <= f->room) {
		sum = net_sum_finish(net_sum(0, f->at + from, 20));
		memcpy(f->at + from + 10, &(uint16_t){(uint16_t)sum}, 2);
	}
}

static void ipv6(struct frame *f, const struct spec *s, uint32_t bytes)
{
	uint32_t extension = s->fragment ? 8 : 0, dscp = s->dscp == NOT_GIVEN ? 0 : s->dscp;

	put16(f, 0x6000 | dscp << 6);
	put16(f, 0);
	put16(f, bytes + extension);
	put8(f, s->fragment ? 44 : s->proto);
	put8(f, s->ttl == NOT_GIVEN ? 64 : s->ttl);
	put(f, s->from.bytes, 16);
	put(f, s->to.bytes, 16);
	if (!s->fragment)
		return;
	put8(f, s->proto);
	put8(f, 0);
	put16(f, s->fragment == POLICY_FRAGMENT_FIRST ? 1 : 185 << 3);
	zeroes(f, 4);
}

static int build(const struct spec *s, struct frame *f, struct sluice_err *err)
{
	uint32_t i, ip = s->addressed ? (s->from.v6 ? 40 + (s->fragment ? 8 : 0) : 20) : 0, least, bytes;
	uint32_t type = s->ether_type != NOT_GIVEN ? s->ether_type : s->from.v6 ? 0x86dd : 0x0800;

	put(f, s->mac_to, 6);
	put(f, s->mac_from, 6);
	for (i = 0; i < s->n_vlan; i++) {
		put16(f, i + 1 < s->n_vlan ? 0x88a8 : 0x8100);
		put16(f, s->vlan[i]);
	}
	put16(f, type);
	least = f->n + ip + (s->addressed ? upper_bytes(s) : 0);
	if (s->length != NOT_GIVEN && s->length < least)
		return err_set(err, -EINVAL,
			       "packet: a length of %u is too little, its headers alone take %u", s->length,
			       least);
	bytes = s->length == NOT_GIVEN ? least - f->n - ip : s->length - f->n - ip;
	if (s->addressed && s->from.v6)
		ipv6(f, s, bytes);
	else if (s->addressed)
		ipv4(f, s, bytes);
	if (s->addressed)
		upper(f, s, bytes);
	else
		zeroes(f, bytes);
	if (s->length == NOT_GIVEN && f->n < NET_FRAME_MIN)
		zeroes(f, NET_FRAME_MIN - f->n);
	return f->n > f->room ? err_set(err, -EINVAL, "packet: longer than %u bytes", f->room) : 0;
}

int packet_words(const char *words, uint8_t *frame, uint32_t room, struct policy_packet *p,
		 struct sluice_err *err)
{
	static const uint8_t mac_to[6] = {2, 0, 0, 0, 0, 2}, mac_from[6] = {2, 0, 0, 0, 0, 1};
	struct spec s = {.proto = NOT_GIVEN,
			 .length = NOT_GIVEN,
			 .ttl = NOT_GIVEN,
			 .dscp = NOT_GIVEN,
			 .ether_type = NOT_GIVEN,
			 .icmp_type = NOT_GIVEN,
			 .icmp_code = NOT_GIVEN,
			 .from_port = NOT_GIVEN,
			 .to_port = NOT_GIVEN};
	struct frame f = {.at = frame, .room = room};
	char copy[512], *word[64], *save = NULL, *at;
	struct words w = {.word = word, .err = err};
	int e;

	memcpy(s.mac_to, mac_to, 6);
	memcpy(s.mac_from, mac_from, 6);
	if (strlen(words) >= sizeof(copy))
		return err_set(err, -EINVAL, "packet: more than %zu characters", sizeof(copy) - 1);
	memcpy(copy, words, strlen(words) + 1);
	for (at = strtok_r(copy, " \t", &save); at && w.n < 64; at = strtok_r(NULL, " \t", &save))
		word[w.n++] = at;
	e = sentence(&w, &s);
	if (!e)
		e = build(&s, &f, err);
	if (e)
		return e;
	packet_read(p, frame, f.n, f.n, NULL);
	if (s.in) {
		snprintf(p->in_name, sizeof(p->in_name), "%s", s.in);
		p->in = p->in_name;
	}
	return 0;
}

static const char *const malforms[] = {"",
				       " (cut short)",
				       " (too many tags)",
				       " (damaged IP header)",
				       " (cut behind the IP header)",
				       " (too many extension headers)"};

/* What the upper header says beyond ports; the characters written. */
static int say_upper(const struct policy_packet *k, char *to, size_t size)
{
	const struct policy_word *w;
	uint32_t bit;
	size_t n = 0;

	if (k->has_icmp)
		return snprintf(to, size, " type %u code %u", k->icmp_type, k->icmp_code);
	if (k->has_flags && !k->flags)
		return snprintf(to, size, " none");
	for (bit = 1; k->has_flags && bit < 256; bit <<= 1) {
		for (w = words_row(WORDS_FLAGS, 0); w->lo != bit; w++)
			;
		if (k->flags & bit)
			n += (size_t)snprintf(to + n, size - n, "%c%s", n ? ',' : ' ', w->name);
	}
	return (int)n;
}

char *packet_say(const struct policy_packet *k, char *to, size_t size)
{
	char from[NET_ADDR_TEXT], dst[NET_ADDR_TEXT];
	uint32_t proto = k->proto == (k->v6 ? 58 : 1) ? POLICY_PROTO_ICMP : k->proto;
	const char *name = words_name(WORDS_PROTOS, proto, proto),
		   *type = words_name(WORDS_ETHER_TYPES, k->ether_type, k->ether_type);
	int n = 0;

	if (!k->is_ip) {
		n = k->has_type ? snprintf(to, size, "ether type %s", type ? type : "")
				: snprintf(to, size, "frame");
		if (k->has_type && !type)
			n += snprintf(to + n, size - (size_t)n, "0x%04x", k->ether_type);
	} else {
		n = name ? snprintf(to, size, "%s ", name) : snprintf(to, size, "proto %u ", k->proto);
		net_addr_format(&k->from, from, sizeof(from));
		net_addr_format(&k->to, dst, sizeof(dst));
		if (k->has_ports)
			n += snprintf(to + n, size - (size_t)n, k->v6 ? "[%s]:%u > [%s]:%u" : "%s:%u > %s:%u",
				      from, k->from_port, dst, k->to_port);
		else
			n += snprintf(to + n, size - (size_t)n, "%s > %s", from, dst);
		n += say_upper(k, to + n, size - (size_t)n);
	}
	if (k->n_tags)
		n += snprintf(to + n, size - (size_t)n, " vlan %u", k->vlan[0]);
	if (k->n_tags > 1)
		n += snprintf(to + n, size - (size_t)n, " vlan %u", k->vlan[1]);
	if (k->fragment)
		n += snprintf(to + n, size - (size_t)n, " fragment %s",
			      k->fragment == POLICY_FRAGMENT_FIRST ? "first" : "later");
	snprintf(to + n, size - (size_t)n, " length %u%s", k->length, malforms[k->malformed]);
	return to;
}
