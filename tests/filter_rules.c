// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules of the lookup as text of the policy language. */
#include "classify_rules.h"
#include "filter_rules.h"
#include "net/addr.h"

static void say_prefix(struct buf *t, const char *word, uint8_t family, const uint8_t *bytes, uint8_t len)
{
	struct net_addr a = {.v6 = family == 6};
	char said[NET_ADDR_TEXT];
	uint32_t i;

	for (i = 0; i < len; i++)
		a.bytes[i / 8] |= (uint8_t)(bytes[i / 8] & 0x80 >> i % 8);
	buf_printf(t, " %s %s/%u", word, net_addr_format(&a, said, sizeof(said)), len);
}

static void say_ports(struct buf *t, const char *word, const struct classify_ports *p)
{
	if (p->first || p->last != 65535)
		buf_printf(t, " %s %u-%u", word, p->first, p->last);
}

void rules_say(struct buf *t, const struct classify_rule *r, uint64_t *state, uint32_t goes_on)
{
	bool ports = r->sport.first || r->sport.last != 65535 || r->dport.first || r->dport.last != 65535;
	uint32_t what = rules_below(state, goes_on);

	buf_printf(t, "%s", what == 0 ? "count" : rules_below(state, 2) ? "pass" : "drop");
	if (ports)
		buf_printf(t, " %s", r->proto == 17 ? "udp" : "tcp");
	else if (r->proto_mask)
		buf_printf(t, " proto %u", r->proto);
	say_prefix(t, "from", r->family, r->src, r->src_len);
	say_ports(t, "port", &r->sport);
	say_prefix(t, "to", r->family, r->dst, r->dst_len);
	say_ports(t, "port", &r->dport);
	if (what == 1)
		buf_printf(t, " length > %u", 60 + rules_below(state, 20));
	buf_printf(t, "\n");
}
