// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From the options of a generator to the constants of its BPF program: a template frame in which every varying
 * field is zero, the sums of its checksums, and how each field varies.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "net/packet.h"
#include "port/traffic_plan.h"

enum { HEAD_MIN = 64 }; /* one cache line of the frame is rewritten anyway */

static int parse_addr(const char *what, const char *text, const char *fallback, struct net_range *range,
		      bool *given, struct sluice_err *err)
{
	int e = net_range_parse(text ? text : fallback, range, err);

	*given = text != NULL;
	return e ? err_prefix(err, "%s", what) : 0;
}

static int parse_ports(const char *what, const char *text, uint16_t fallback, struct net_ports *ports,
		       struct sluice_err *err)
{
	*ports = (struct net_ports){.first = fallback, .n = 1};
	if (text && net_ports_parse(text, ports, err))
		return err_prefix(err, "%s", what);
	return 0;
}

static int parse_mac(const char *what, const char *text, uint8_t mac[6], bool *given, struct sluice_err *err)
{
	*given = text != NULL;
	if (text && net_mac_parse(text, mac, err))
		return err_prefix(err, "%s", what);
	return 0;
}

int traffic_plan_parse(const struct sluice_traffic_opts *o, struct traffic_aim *aim, struct sluice_err *err)
{
	bool v6 = o->ipv6 || (o->src && strchr(o->src, ':')) || (o->dst && strchr(o->dst, ':'));
	int e;

	*aim = (struct traffic_aim){.has_src = false};
	e = parse_addr("source", o->src, v6 ? "2001:2::1" : "198.18.0.1", &aim->src, &aim->has_src, err);
	if (!e)
		e = parse_addr("destination", o->dst, v6 ? "2001:2::2" : "198.18.0.2", &aim->dst,
			       &aim->has_dst, err);
	if (!e)
		e = parse_ports("source port", o->sport, 1024, &aim->sport, err);
	if (!e)
		e = parse_ports("destination port", o->dport, 9, &aim->dport, err);
	if (!e)
		e = parse_mac("source MAC", o->src_mac, aim->src_mac, &aim->has_src_mac, err);
	if (!e)
		e = parse_mac("destination MAC", o->dst_mac, aim->dst_mac, &aim->has_dst_mac, err);
	if (e)
		return e;
	if (aim->src.first.v6 != aim->dst.first.v6)
		return err_set(err, -EINVAL, "source and destination are not of one address family");
	if (o->kind == SLUICE_TRAFFIC_ICMP && (o->sport || o->dport))
		return err_set(err, -EINVAL, "ICMP has no ports");
	return 0;
}

/* splitmix64's finish: neighbouring seeds and fields shall have nothing in common. */
static uint64_t spread(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static struct traffic_field field(const struct sluice_traffic_opts *o, enum sluice_traffic_random bit,
				  uint64_t n, uint32_t offset)
{
	struct traffic_field f = {.n = n, .offset = offset, .seed = spread(spread(o->seed) + bit)};

	if (n == 1)
		f.draw = TRAFFIC_FIXED;
	else if (!(o->random & bit))
		f.draw = TRAFFIC_SEQ;
	else if (n && n <= UINT64_C(1) << 32)
		f.draw = TRAFFIC_SCALE;
	else
		f.draw = TRAFFIC_MODULO;
	return f;
}

/* The field of an address; if it varies, it is zeroed in the template. */
static struct traffic_field addr_field(const struct sluice_traffic_opts *o, enum sluice_traffic_random bit,
				       const struct net_range *range, uint32_t offset,
				       struct net_addr *in_template)
{
	struct traffic_field f = field(o, bit, range->n, offset);
	uint64_t hi, lo;

	net_addr_words(&range->first, &hi, &lo);
	f.base_hi = hi;
	f.base_lo = lo;
	if (o->random & bit)
		f.random_hi = range->random_hi;
	*in_template = range->first;
	if (f.draw != TRAFFIC_FIXED)
		memset(in_template->bytes, 0, sizeof(in_template->bytes));
	return f;
}

static void describe(const struct sluice_traffic_opts *o, const struct traffic_aim *aim, struct net_packet *p)
{
	*p = (struct net_packet){.n_vlan = o->n_vlan, .ttl = o->ttl ? o->ttl : 64, .tos = o->tos,
		.payload = o->payload, .payload_len = o->payload_len};
	memcpy(p->dst_mac, aim->dst_mac, 6);
	memcpy(p->src_mac, aim->src_mac, 6);
	memcpy(p->vlan, o->vlan, sizeof(p->vlan));
	switch (o->kind) {
	case SLUICE_TRAFFIC_UDP:
	case SLUICE_TRAFFIC_PCAP:
		p->l4 = NET_UDP;
		break;
	case SLUICE_TRAFFIC_TCP:
		p->l4 = NET_TCP;
		p->tcp_flags = o->no_tcp_flags ? 0 : o->tcp_flags ? o->tcp_flags : NET_TCP_SYN;
		break;
	case SLUICE_TRAFFIC_ICMP:
		p->l4 = NET_ICMP;
		p->icmp_type = o->icmp ? o->icmp_type : aim->src.first.v6 ? 128 : 8;
		p->icmp_code = o->icmp ? o->icmp_code : 0;
		break;
	}
}

/* An echo has a sequence that counts; other ICMP messages keep their second word as it is. */
static void port_fields(const struct sluice_traffic_opts *o, const struct traffic_aim *aim, uint32_t l4,
			struct net_packet *p, struct traffic_conf *c)
{
	bool echo = p->l4 == NET_ICMP && (!o->icmp || p->icmp_type == (aim->src.first.v6 ? 128 : 8));

	if (p->l4 == NET_ICMP) {
		p->sport = echo ? 0x5375 : 0;
		c->port[1] = field(o, 0, echo ? 65536 : 1, l4 + 6);
		return;
	}
	c->port[0] = field(o, SLUICE_RANDOM_SPORT, aim->sport.n, l4);
	c->port[0].base_lo = aim->sport.first;
	c->port[1] = field(o, SLUICE_RANDOM_DPORT, aim->dport.n, l4 + 2);
	c->port[1].base_lo = aim->dport.first;
	p->sport = aim->sport.n > 1 ? 0 : aim->sport.first;
	p->dport = aim->dport.n > 1 ? 0 : aim->dport.first;
}

/* Numbers in the frame are in network order; the program adds 16-bit words as its CPU loads them. */
static uint32_t as_loaded(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, 2);
	return (uint16_t)~v;
}

int traffic_plan_build(const struct sluice_traffic_opts *o, const struct traffic_aim *aim, uint32_t frame_max,
		       struct traffic_plan *plan, struct sluice_err *err)
{
	struct traffic_conf *c = &plan->conf;
	struct net_layout at;
	struct net_packet p;
	bool addrs, ports;
	uint32_t l4;
	int e;

	memset(plan, 0, sizeof(*plan));
	if (o->frame_bytes > frame_max)
		return err_set(err, -EINVAL, "a frame of %u bytes is too large: %s %u", o->frame_bytes,
			       frame_max == TRAFFIC_FRAME_MAX ? "live frames hold at most"
							      : "with the interface's MTU it can be",
			       frame_max);
	describe(o, aim, &p);
	c->ipv6 = aim->src.first.v6;
	l4 = 14 + 4 * o->n_vlan + (c->ipv6 ? 40 : 20);
	c->src = addr_field(o, SLUICE_RANDOM_SRC, &aim->src, l4 - (c->ipv6 ? 32 : 8), &p.src);
	c->dst = addr_field(o, SLUICE_RANDOM_DST, &aim->dst, l4 - (c->ipv6 ? 16 : 4), &p.dst);
	port_fields(o, aim, l4, &p, c);
	e = net_packet_build(&p, o->frame_bytes, plan->frame, frame_max, &at, err);
	if (e)
		return e;
	plan->frame_len = c->frame_len = at.frame_len;
	addrs = c->src.draw != TRAFFIC_FIXED || c->dst.draw != TRAFFIC_FIXED;
	ports = c->port[0].draw != TRAFFIC_FIXED || c->port[1].draw != TRAFFIC_FIXED;
	c->udp = p.l4 == NET_UDP;
	c->l4_pseudo = p.l4 != NET_ICMP || c->ipv6;
	if (addrs && !c->ipv6) {
		c->ip_csum_at = at.ip_csum;
		c->ip_csum = as_loaded(plan->frame + at.ip_csum);
	}
	if (ports || (addrs && c->l4_pseudo)) {
		c->l4_csum_at = at.l4_csum;
		c->l4_csum = as_loaded(plan->frame + at.l4_csum);
	}
	c->head_len = at.payload > HEAD_MIN ? at.payload : HEAD_MIN;
	if (c->head_len > at.frame_len)
		c->head_len = at.frame_len;
	c->n_words = c->head_len / 8;
	memcpy(c->words, plan->frame, c->head_len);
	memcpy(&c->tail, plan->frame + c->head_len - 8, 8);
	return 0;
}

void traffic_plan_replay(const struct sluice_traffic_opts *o, const struct port_pcap *cap,
			 struct traffic_plan *plan)
{
	struct traffic_conf *c = &plan->conf;

	memset(plan, 0, sizeof(*plan));
	plan->frame_len = c->frame_len = cap->longest;
	c->replay = 1;
	c->same_len = cap->longest == cap->shortest;
	c->arena_last = (uint32_t)cap->bytes.len;
	c->order = field(o, SLUICE_RANDOM_ORDER, cap->n_frames, 0);
	if (c->order.draw == TRAFFIC_FIXED)
		c->order.draw = TRAFFIC_SEQ;
}
