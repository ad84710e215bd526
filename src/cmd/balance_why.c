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
#define ICMP4 1
#define ICMP6 58
#define SYN 0x02
#define ACK 0x10

static bool is_icmp_error(const struct policy_packet *k)
{
	if (!k->has_icmp)
		return false;
	return k->v6 ? k->icmp_type >= 1 && k->icmp_type <= 4
		     : k->icmp_type == 3 || k->icmp_type == 4 || k->icmp_type == 11 || k->icmp_type == 12;
}

/* As datapath/balance_view.h sees it. */
static int read_packet(const struct policy_packet *k, struct answer_packet *to, struct sluice_err *err)
{
	*to = (struct answer_packet){.src = k->from, .dst = k->to, .proto = k->proto};
	if (!k->is_ip)
		return err_set(err, -EINVAL, "the packet is not IP: only IP packets are balanced");
	if (is_icmp_error(k))
		return err_set(err, -EINVAL,
			       "an ICMP error goes where the flow goes whose packet it quotes: ask about "
			       "that flow");
	if (k->fragment == POLICY_FRAGMENT_LATER)
		to->kind = BALANCE_PACKET_FRAGMENT;
	else if (k->has_flags && k->proto == TCP && (k->flags & (SYN | ACK)) == SYN)
		to->kind = BALANCE_PACKET_OPENS;
	if (k->has_ports) {
		to->sport = k->from_port;
		to->dport = k->to_port;
	}
	return 0;
}

static const char *const ids[] = {
	[BALANCE_WHY_HASH] = "hash",	     [BALANCE_WHY_TABLE] = "flow_table",
	[BALANCE_WHY_NEW] = "new",	     [BALANCE_WHY_PREVIOUS] = "previous",
	[BALANCE_WHY_CURRENT] = "current",   [BALANCE_WHY_NO_BACKEND] = "no_backend",
	[BALANCE_WHY_NO_FIRST] = "no_first",
};

/* What would not be the packet's answer if the slot's backend did not exist. */
static const char *chosen_by(const struct balance_live_answer *a)
{
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
	case BALANCE_WHY_NO_BACKEND:
		printf("no backend takes it, all are down or draining: %s\n",
		       s->fallback == BALANCE_RESET ? "it is answered with a reset (all-down reset)"
						    : "it is dropped and counted (no_backend)");
		break;
	case BALANCE_WHY_NO_FIRST:
		printf("a fragment whose first one was not seen: it is dropped and counted (no_first)\n");
		break;
	case BALANCE_WHY_SERVER: /* words have no connection id */
		break;
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

static int nobody(const struct balance_run *run, const struct policy_packet *k, bool no_first,
		  const char *said)
{
	const struct balance_virtual *v;
	char to[NET_ADDR_TEXT];

	if (cli.json)
		return cli_json(json_pack("{s:s, s:n, s:n, s:s}", "packet", said, "service", "backend", "why",
					  no_first ? "no_first" : "no_service"));
	if (no_first) {
		printf("a fragment whose first one was not seen: it is dropped and counted (no_first)\n");
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

static int tell(const struct balance_run *run, const struct policy_packet *k,
		const struct balance_live_answer *a, uint64_t now)
{
	const struct balance_backend *b = NULL;
	const struct balance_service *s;
	char said[PACKET_SAY], name[BACKEND_NAME];
	json_t *all;

	packet_say(k, said, sizeof(said));
	if (!cli.json)
		printf("%s\n", said);
	s = a->service == BALANCE_LIVE_NONE ? NULL : run->model->services[a->service];
	if (!s)
		return nobody(run, k, a->a.why == BALANCE_WHY_NO_FIRST && is_served(run, k), said);
	if (a->backend != BALANCE_LIVE_NONE)
		b = &s->backends[a->backend];
	if (cli.json) {
		all = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:b, s:o, s:o}", "packet", said, "service", s->name, "backend",
				b ? backend_name(b, name) : NULL, "forward", balance_mode_name(s->mode), "why", chosen_by(a),
				"affinity", a->a.affinity, "slot", json_integer(a->a.slot), "until_ns",
				a->a.why == BALANCE_WHY_PREVIOUS && a->a.until > now
					? json_integer((json_int_t)(a->a.until - now))
					: json_null());
		if (may_name(s, k))
			json_object_set_new(all, "server_id", json_null());
		return cli_json(all);
	}
	if (b)
		printf("service %s, backend %s (forward %s)\n", s->name, backend_name(b, name),
		       balance_mode_name(s->mode));
	else
		printf("service %s, no backend\n", s->name);
	say_why(s, a, now);
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
	e = e ?: read_packet(&k, &packet, err);
	if (e) {
		buf_free(&bytes);
		return e;
	}
	e = balance_run_open(&run, false, err);
	now = clock_mono_ns();
	e = e ?: balance_live_why(run.live, &packet, ~0u, now, &a, err);
	if (!e && a.service != BALANCE_LIVE_NONE && !is_on(&run, run.model->services[a.service], k.in))
		a.service = a.backend = BALANCE_LIVE_NONE;
	if (!e && tell(&run, &k, &a, now))
		e = cli_gone(err);
	*any = !e && a.backend != BALANCE_LIVE_NONE;
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
