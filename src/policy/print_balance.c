// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Balance blocks back to text; whether two are the same. */
#include <inttypes.h>
#include <string.h>

#include "policy/print.h"

static const char *const modes[] =
	{[BALANCE_IPIP] = "ipip", [BALANCE_GUE] = "gue", [BALANCE_L2] = "l2", [BALANCE_NAT] = "nat"};
static const char *const fallbacks[] =
	{[BALANCE_DROP] = "drop", [BALANCE_RESET] = "reset", [BALANCE_OPEN] = "open"};
static const char *const kinds[] = {[POLICY_HEALTH_TCP] = "tcp",
				    [POLICY_HEALTH_HTTP] = "http",
				    [POLICY_HEALTH_HTTPS] = "https",
				    [POLICY_HEALTH_ICMP] = "icmp",
				    [POLICY_HEALTH_COMMAND] = "command"};

static void put_virtual(struct buf *to, const struct policy_virtual *v)
{
	buf_printf(to, "\tvirtual ");
	print_list(to, POLICY_TO, &v->addrs);
	if (v->proto)
		buf_printf(to, v->proto == 6 ? " tcp" : " udp");
	if (v->ports.n) {
		buf_printf(to, " port ");
		print_list(to, POLICY_TO_PORT, &v->ports);
	} else {
		buf_printf(to, " all ports");
	}
	buf_printf(to, "\n");
}

static void put_backend(struct buf *to, const struct policy_backend *b)
{
	buf_printf(to, "\tbackend ");
	print_list(to, POLICY_TO, &b->addrs);
	buf_printf(to, " weight %u", b->weight);
	if (b->port)
		buf_printf(to, " port %u", b->port);
	if (b->has_server)
		buf_printf(to, " id %u", b->server);
	buf_printf(to, b->drain ? " drain\n" : "\n");
}

static void put_time(struct buf *to, const char *word, uint64_t ns)
{
	if (ns % 1000000000)
		buf_printf(to, " %s %" PRIu64 "ms", word, ns / 1000000);
	else
		buf_printf(to, " %s %" PRIu64 "s", word, ns / 1000000000);
}

static void put_health(struct buf *to, const struct policy_health *h)
{
	buf_printf(to, "\tcheck %s", kinds[h->kind]);
	if (h->text) {
		buf_printf(to, " ");
		print_quoted(to, h->text);
	}
	if (h->host) {
		buf_printf(to, " host ");
		print_quoted(to, h->host);
	}
	if (h->verify)
		buf_printf(to, " verify");
	if (h->body) {
		buf_printf(to, " body ");
		print_quoted(to, h->body);
	}
	if (h->port)
		buf_printf(to, " port %u", h->port);
	if (h->kind == POLICY_HEALTH_HTTP || h->kind == POLICY_HEALTH_HTTPS) {
		buf_printf(to, " status %u", h->status_lo);
		if (h->status_lo != h->status_hi)
			buf_printf(to, "-%u", h->status_hi);
	}
	put_time(to, "every", h->every_ns);
	put_time(to, "timeout", h->timeout_ns);
	buf_printf(to, " rise %u fall %u%s\n", h->rise, h->fall, h->direct ? " direct" : "");
}

void print_balance(struct buf *to, const struct policy_balance *b)
{
	uint32_t i;

	buf_printf(to, "balance %s on ", b->name);
	print_list(to, POLICY_IN, &b->on);
	buf_printf(to, " {\n");
	for (i = 0; i < b->n_virtuals; i++)
		put_virtual(to, &b->virtuals[i]);
	buf_printf(to, "\tforward %s", modes[b->mode]);
	if (b->mode == BALANCE_GUE && b->gue_port != BALANCE_GUE_PORT)
		buf_printf(to, " port %u", b->gue_port);
	if (b->from.n) {
		buf_printf(to, " from ");
		print_list(to, POLICY_TO, &b->from);
	}
	buf_printf(to, "\n");
	for (i = 0; i < b->n_backends; i++)
		put_backend(to, &b->backends[i]);
	if (b->health.kind)
		put_health(to, &b->health);
	if (b->n_slots != MAGLEV_SLOTS)
		buf_printf(to, "\ttable-size %u\n", b->n_slots);
	if (b->affinity)
		buf_printf(to, "\taffinity source\n");
	if (b->quic_bytes)
		buf_printf(to, "\tquic server-id %u bytes", b->quic_bytes);
	if (b->quic_bytes && b->quic_config)
		buf_printf(to, " config %u", b->quic_config);
	if (b->quic_bytes)
		buf_printf(to, "\n");
	if (b->stateless)
		buf_printf(to, "\tstateless\n");
	if (b->hold_s != BALANCE_HOLD_S)
		buf_printf(to, "\thold %us\n", b->hold_s);
	if (b->fallback != BALANCE_DROP)
		buf_printf(to, "\tall-down %s\n", fallbacks[b->fallback]);
	buf_printf(to, "}\n");
}

static bool same_health(const struct policy_health *a, const struct policy_health *b)
{
	return a->kind == b->kind && policy_same_text(a->text, b->text) &&
	       policy_same_text(a->host, b->host) && policy_same_text(a->body, b->body) &&
	       a->verify == b->verify && a->port == b->port && a->status_lo == b->status_lo &&
	       a->status_hi == b->status_hi && a->every_ns == b->every_ns && a->timeout_ns == b->timeout_ns &&
	       a->rise == b->rise && a->fall == b->fall && a->direct == b->direct;
}

bool policy_same_balance(const struct policy_balance *a, const struct policy_balance *b)
{
	uint32_t i;

	if (!policy_same_text(a->name, b->name) || a->mode != b->mode || a->fallback != b->fallback ||
	    a->gue_port != b->gue_port || a->affinity != b->affinity || a->stateless != b->stateless ||
	    a->n_slots != b->n_slots || a->quic_bytes != b->quic_bytes || a->quic_config != b->quic_config ||
	    a->hold_s != b->hold_s || a->n_virtuals != b->n_virtuals || a->n_backends != b->n_backends ||
	    !policy_same_list(&a->on, &b->on) || !policy_same_list(&a->from, &b->from) ||
	    !same_health(&a->health, &b->health))
		return false;
	for (i = 0; i < a->n_virtuals; i++)
		if (a->virtuals[i].proto != b->virtuals[i].proto ||
		    !policy_same_list(&a->virtuals[i].addrs, &b->virtuals[i].addrs) ||
		    !policy_same_list(&a->virtuals[i].ports, &b->virtuals[i].ports))
			return false;
	for (i = 0; i < a->n_backends; i++)
		if (a->backends[i].weight != b->backends[i].weight ||
		    a->backends[i].port != b->backends[i].port ||
		    a->backends[i].drain != b->backends[i].drain ||
		    a->backends[i].has_server != b->backends[i].has_server ||
		    a->backends[i].server != b->backends[i].server ||
		    !policy_same_list(&a->backends[i].addrs, &b->backends[i].addrs))
			return false;
	return true;
}
