// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance why: which backend a packet would get at this moment, and what decides. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cmd/balance_run.h"
#include "cmd/balance_stats.h"
#include "policy/packet.h"

static const struct cli_opt opts[] = {{0}};

const struct cli_verb balance_why_verb = {
	.name = "balance why",
	.usage = "'PACKET IN WORDS'",
	.summary = "which backend a packet would get now, and what decides",
	.text = "The words are those of sluice explain, which says what the filter does with it before. A "
		"packet\n"
		"without flags is one in the middle of its connection; with syn it opens one. Exit status 3 "
		"if no\n"
		"backend gets it.\n"
		"\n"
		"  sluice balance why 'tcp 198.51.100.7:4711 > 203.0.113.10:443'\n"
		"  sluice balance why 'tcp 198.51.100.7:4711 > 203.0.113.10:443 syn'\n",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
};

#define TCP 6
#define UDP 17
static const char *const ids[] = {
	[BALANCE_WHY_HASH] = "hash",	     [BALANCE_WHY_TABLE] = "flow_table",
	[BALANCE_WHY_NEW] = "new",	     [BALANCE_WHY_PREVIOUS] = "previous",
	[BALANCE_WHY_CURRENT] = "current",   [BALANCE_WHY_NO_BACKEND] = "no_backend",
	[BALANCE_WHY_NO_FIRST] = "no_first",
};

/* What would not be the packet's answer if the slot's backend did not exist; NULL: none was chosen, it is dropped before. */
static const char *chosen_by(const struct balance_live_answer *a)
{
	if (a->a.unasked && a->a.drop != BALANCE_DROP_NO_FIRST)
		return NULL;
	if (a->a.why == BALANCE_WHY_HASH && a->a.affinity)
		return "affinity";
	return a->a.why < sizeof(ids) / sizeof(*ids) ? ids[a->a.why] : "?";
}

static void say_why(const struct balance_service *s, const struct balance_live_answer *a, uint64_t now)
{
	const char *of = a->a.affinity ? " of its source address" : "";
	char left[BALANCE_TIME];

	switch (a->a.why) {
	case BALANCE_WHY_HASH:
		printf("by %s: slot %u%s of %u is settled\n", a->a.affinity ? "affinity" : "hash",
		       a->a.slot, of, s->n_slots);
		break;
	case BALANCE_WHY_TABLE:
		printf("by the flow table: the %s is known there; its slot %u has changed\n",
		       a->a.entry ? "flow" : "packet's first fragment", a->a.slot);
		break;
	case BALANCE_WHY_NEW:
		printf("by hash: the packet opens a flow; slot %u%s has changed, its backend of now gets "
		       "it\n",
		       a->a.slot, of);
		break;
	case BALANCE_WHY_PREVIOUS:
		printf("by transition: slot %u%s has changed, the flow is not in the flow table, so it is "
		       "taken for one\n"
		       "of the slot's previous backend",
		       a->a.slot, of);
		if (a->a.until > now)
			printf(" for %s more", balance_time(a->a.until - now, left));
		putchar('\n');
		break;
	case BALANCE_WHY_CURRENT:
		printf("by hash: slot %u%s has changed, the flow is not in the flow table, and there is no "
		       "previous\n"
		       "backend to go back to\n",
		       a->a.slot, of);
		break;
	case BALANCE_WHY_NO_BACKEND: /* what is dropped is said by say_drop() */
	case BALANCE_WHY_NO_FIRST:
	case BALANCE_WHY_SERVER: /* words have no connection id */
		break;
	}
}

/* What becomes of a packet that nobody gets. to: the backend that was chosen, or NULL */
static void say_drop(const struct policy_packet *k, const struct answer_packet *p, const struct answer *a,
		     const char *to)
{
	const char *reason = stats_reason(a->drop);

	switch (a->drop) {
	case BALANCE_DROP_NO_BACKEND:
		printf("no backend takes it, all are down or draining: it is dropped and counted (%s)\n",
		       reason);
		break;
	case BALANCE_DROP_REFUSED:
		printf("no backend takes it, all are down or draining: it is answered with %s (all-down reset)\n",
		       k->proto == TCP ? "a reset" : "port unreachable");
		break;
	case BALANCE_DROP_NO_FIRST:
		printf("a fragment whose first one was not seen: it is dropped and counted (%s)\n", reason);
		break;
	case BALANCE_DROP_DAMAGED:
		printf("nobody sends from its source address (loopback, multicast, zero, a virtual address):\n"
		       "it is dropped and counted (%s)\n",
		       reason);
		break;
	case BALANCE_DROP_MODE:
		printf("forward nat translates TCP, UDP and ICMP echo requests alone: it is dropped and counted (%s)\n",
		       reason);
		break;
	case BALANCE_DROP_TTL:
		printf("with a TTL of %u it has come as far as it may: it is dropped and counted (%s)\n",
		       k->ttl, reason);
		break;
	case BALANCE_DROP_TOO_BIG:
		printf("of its %u bytes %u would fit on the way to %s: it is dropped and counted (%s)\n",
		       p->bytes, a->fits, to, reason);
		break;
	case BALANCE_DROP_TOO_BIG_TOLD:
		printf("of its %u bytes %u would fit on the way to %s: it is dropped, and its sender told by ICMP (%s)\n",
		       p->bytes, a->fits, to, reason);
		break;
	case BALANCE_DROP_NO_NEIGH:
		printf("the MAC address on the way to %s is not known: it is dropped and counted (%s)\n", to,
		       reason);
		break;
	default:
		printf("it is dropped and counted (%s)\n", reason);
	}
}

/* Is the service on the interface that the packet comes in on? */
static bool is_on(const struct balance_run *run, const struct balance_service *s, const char *ifname)
{
	const struct policy_balance *b = balance_run_block(run->policy, s->name);
	struct policy_filter names = {0};

	if (!b || !ifname)
		return true;
	names.on = b->on;
	return policy_filter_names(&names, ifname);
}

/* Has the address services on the interface? Of which one a fragment is, its first one would have told. */
static bool is_served(const struct balance_run *run, const struct policy_packet *k)
{
	const struct balance_service *s;
	size_t i, n;

	for (i = 0; i < run->model->n_services; i++) {
		s = run->model->services[i];
		for (n = 0; n < s->n_virtuals; n++)
			if (!memcmp(&s->virtuals[n].addr, &k->to, sizeof(k->to)) && is_on(run, s, k->in))
				return true;
	}
	return false;
}

/* A virtual address of which nothing but the protocol is another; NULL: there is none. */
static const struct balance_virtual *other_proto(const struct balance_run *run, const struct policy_packet *k)
{
	const struct balance_service *s;
	const struct balance_virtual *v;
	size_t i;

	for (i = 0; k->has_ports && i < run->model->n_services; i++) {
		s = run->model->services[i];
		for (v = s->virtuals; v < s->virtuals + s->n_virtuals; v++)
			if (!memcmp(&v->addr, &k->to, sizeof(k->to)) && v->first <= k->to_port &&
			    v->last >= k->to_port && v->proto != k->proto && v->proto != BALANCE_PROTO_ANY &&
			    is_on(run, s, k->in))
				return v;
	}
	return NULL;
}

static int nobody(const struct balance_run *run, const struct policy_packet *k, const struct answer_packet *p,
		  const struct answer *a, const char *said)
{
	bool no_first = a->drop == BALANCE_DROP_NO_FIRST && is_served(run, k);
	const struct balance_virtual *v;
	char to[NET_ADDR_TEXT];

	if (cli.json)
		return cli_json(json_pack("{s:s, s:n, s:n, s:s, s:s?}", "packet", said, "service", "backend",
					  "why", no_first ? "no_first" : "no_service", "drop",
					  no_first ? stats_reason(a->drop) : NULL));
	if (no_first) {
		say_drop(k, p, a, NULL);
		return 0;
	}
	if (p->hosts) {
		printf("no service: %s; the packet passes to this host\n",
		       k->ether_to[0] & 1 ? "a frame for many hosts is none's"
					  : "what neighbours and routers say to each other is none's");
		return 0;
	}
	net_addr_format(&k->to, to, sizeof(to));
	v = other_proto(run, k);
	if (v) {
		printf("no service: %s port %u is a virtual address of %s alone; the packet passes to this "
		       "host\n",
		       to, k->to_port, v->proto == TCP ? "TCP" : "UDP");
		return 0;
	}
	printf("no service: %s%s is none of the virtual addresses%s; the packet passes to this host\n", to,
	       k->has_ports ? " with this port" : "", k->in ? " on this interface" : "");
	return 0;
}

/* A connection id may name a backend, and would decide; words do not have one. */
static bool may_name(const struct balance_service *s, const struct policy_packet *k)
{
	return s->quic_bytes && k->proto == UDP && k->has_ports;
}

static int tell(const struct balance_run *run, const struct policy_packet *k, const struct answer_packet *p,
		const struct balance_live_answer *a, uint64_t now)
{
	bool drops = a->a.drop != BALANCE_REASONS;
	const struct balance_backend *b = NULL;
	const struct balance_service *s;
	char said[PACKET_SAY], name[BACKEND_NAME];
	json_t *all;

	packet_say(k, said, sizeof(said));
	if (!cli.json)
		printf("%s\n", said);
	s = a->service == BALANCE_LIVE_NONE ? NULL : run->model->services[a->service];
	if (!s)
		return nobody(run, k, p, &a->a, said);
	if (a->backend != BALANCE_LIVE_NONE)
		b = &s->backends[a->backend];
	if (cli.json) {
		all = json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s?, s:b, s:o, s:o}", "packet", said, "service",
				s->name, "backend", b && !drops ? backend_name(b, name) : NULL, "forward",
				balance_mode_name(s->mode), "why", chosen_by(a), "drop",
				drops ? stats_reason(a->a.drop) : NULL, "affinity", s->affinity, "slot",
				a->a.unasked ? json_null() : json_integer(a->a.slot), "until_ns",
				a->a.why == BALANCE_WHY_PREVIOUS && a->a.until > now
					? json_integer((json_int_t)(a->a.until - now))
					: json_null());
		if (may_name(s, k))
			json_object_set_new(all, "server_id", json_null());
		return cli_json(all);
	}
	if (b && !drops)
		printf("service %s, backend %s (forward %s)\n", s->name, backend_name(b, name),
		       balance_mode_name(s->mode));
	else
		printf("service %s, no backend\n", s->name);
	if (!a->a.unasked)
		say_why(s, a, now);
	if (drops)
		say_drop(k, p, &a->a, b ? backend_name(b, name) : NULL);
	if (may_name(s, k))
		printf("unless its connection id names a backend's server id: that one gets it then\n");
	return 0;
}

static int why(const char *words, bool *any, struct sluice_err *err)
{
	struct balance_live_answer a;
	struct answer_packet packet;
	struct policy_packet k;
	struct balance_run run;
	struct buf bytes = {0};
	uint64_t now;
	int e = buf_add(&bytes, PACKET_WORDS_MAX) ? 0 : err_nomem(err);

	e = e ?: packet_words(words, bytes.data, PACKET_WORDS_MAX, &k, err);
	e = e ?: balance_live_packet(&k, &packet, err);
	if (e) {
		buf_free(&bytes);
		return e;
	}
	e = balance_run_open(&run, false, err);
	now = clock_mono_ns();
	e = e ?: balance_live_why(run.live, &packet, ~0u, now, &a, err);
	if (!e && a.service != BALANCE_LIVE_NONE && !is_on(&run, run.model->services[a.service], k.in))
		a.service = a.backend = BALANCE_LIVE_NONE;
	if (!e && tell(&run, &k, &packet, &a, now))
		e = cli_gone(err);
	*any = !e && a.backend != BALANCE_LIVE_NONE && a.a.drop == BALANCE_REASONS;
	balance_run_close(&run);
	buf_free(&bytes);
	return e;
}

int balance_why_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	bool any = false;
	char **args;
	int n, rc = cli_parse(&balance_why_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (why(args[0], &any, &err))
		return cli_fail(&balance_why_verb, &err);
	return any ? EXIT_DONE : EXIT_NOT_FOUND;
}
