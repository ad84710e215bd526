// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance show: everything about services, and what is known of each of their backends. */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/balance_show.h"
#include "cmd/policy_say.h"
#include "control/balance_checks.h"
#include "policy/print.h"

const char *balance_file;
const struct cli_opt balance_file_opts[] = {
	{.name = "file",
	 .letter = 'f',
	 .kind = OPT_TEXT,
	 .arg = "FILE",
	 .to = &balance_file,
	 .help = "the services of a policy that is not in force"},
	{0},
};

const struct cli_verb balance_show_verb = {
	.name = "balance show",
	.usage = "[SERVICE...] [--file FILE]",
	.summary = "everything about services and their backends",
	.text = "WEIGHT is what counts now, and the policy's in parentheses if it is another one. SHARE is "
		"of the slots,\n"
		"and so of new flows. SAID is what was set since the policy was applied, by hand or by "
		"health checks, but up,\n"
		"and what the last check said, unless it was good.\n",
	.opts = balance_file_opts,
	.max_args = -1,
};

struct balance_states balance_states_of(const struct balance_service *s)
{
	struct balance_states n = {0};
	size_t i;

	for (i = 0; i < s->n_backends; i++) {
		if (s->backends[i].health == BALANCE_DOWN)
			n.down++;
		else if (s->backends[i].drain || !s->backends[i].weight)
			n.draining++;
		else
			n.up++;
	}
	return n;
}

void balance_head(const struct balance_run *run, const char *path)
{
	char left[BALANCE_TIME];

	if (path) {
		printf("# %s, not in force\n", path);
		return;
	}
	printf("# policy %s", run->name);
	if (run->trial_ns)
		printf(", on trial for %s more", balance_time(run->trial_ns, left));
	putchar('\n');
}

json_t *balance_head_json(const struct balance_run *run, const char *path, const char *key, json_t *value)
{
	return json_pack("{s:s?, s:s?, s:o, s:o}", "policy", path ? NULL : run->name, "file", path,
			 "trial_ns", run->trial_ns ? json_integer((json_int_t)run->trial_ns) : json_null(),
			 key, value);
}

static json_t *json_virtuals(const struct balance_service *s)
{
	json_t *all = json_array();
	const struct balance_virtual *v;
	char text[NET_ADDR_TEXT];
	size_t i;

	for (i = 0; i < s->n_virtuals; i++) {
		v = &s->virtuals[i];
		json_array_append_new(all,
				      json_pack("{s:s, s:s?, s:i, s:i}", "address",
						net_addr_format(&v->addr, text, sizeof(text)), "protocol",
						v->proto == 6	 ? "tcp"
						: v->proto == 17 ? "udp"
								 : NULL,
						"first_port", v->first, "last_port", v->last));
	}
	return all;
}

/* A number that 0 says nothing of. */
static json_t *json_some(uint32_t n)
{
	return n ? json_integer(n) : json_null();
}

static json_t *json_check(const struct policy_balance *b)
{
	static const char *const kinds[] = {[POLICY_HEALTH_TCP] = "tcp",
					    [POLICY_HEALTH_HTTP] = "http",
					    [POLICY_HEALTH_HTTPS] = "https",
					    [POLICY_HEALTH_ICMP] = "icmp",
					    [POLICY_HEALTH_COMMAND] = "command"};
	const struct policy_health *h = &b->health;
	bool web = h->kind == POLICY_HEALTH_HTTP || h->kind == POLICY_HEALTH_HTTPS;

	if (!h->kind)
		return json_null();
	return json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:o, s:o, s:o, s:b, s:I, s:I, s:i, s:i}", "kind",
			 kinds[h->kind], "text", h->text, "host", h->host, "body", h->body, "verify", h->verify, "port",
			 json_some(h->port), "first_status", json_some(web ? h->status_lo : 0), "last_status",
			 json_some(web ? h->status_hi : 0), "direct", h->direct, "every_ns", (json_int_t)h->every_ns,
			 "timeout_ns", (json_int_t)h->timeout_ns, "rise", (int)h->rise, "fall", (int)h->fall);
}

/* Addresses behind `forward nat from`, as they are written. */
static json_t *json_pool(const struct policy_balance *b)
{
	json_t *all = json_array();
	uint32_t i;

	for (i = 0; i < b->from.n; i++) {
		struct policy_list one = {&b->from.v[i], 1};
		struct buf text = {0};

		print_list(&text, POLICY_TO, &one);
		buf_put(&text, "", 1);
		json_array_append_new(all, text.failed ? NULL : json_string((char *)text.data));
		buf_free(&text);
	}
	return all;
}

static json_t *json_quic(const struct balance_service *s)
{
	if (!s->quic_bytes)
		return json_null();
	return json_pack("{s:i, s:i}", "server_id_bytes", s->quic_bytes, "config", s->quic_config);
}

json_t *balance_service_json(const struct balance_run *run, uint32_t nr)
{
	const struct balance_service *s = run->model->services[nr];
	const struct policy_balance *b = balance_run_block(run->policy, s->name);
	struct balance_states n = balance_states_of(s);
	json_t *on = json_array();
	uint32_t i;

	for (i = 0; b && i < b->on.n; i++)
		json_array_append_new(on, json_string(b->on.v[i].text));
	return json_pack(
		"{s:s, s:o, s:s, s:o, s:o, s:o, s:s, s:i, s:b, s:b, s:o, s:i, s:o, s:{s:i, s:i, s:i}}",
		"service", s->name, "interfaces", on, "forward", balance_mode_name(s->mode), "gue_port",
		s->mode == BALANCE_GUE ? json_integer(s->gue_port) : json_null(), "pool",
		b && s->mode == BALANCE_NAT ? json_pool(b) : json_null(), "virtuals", json_virtuals(s),
		"all_down", balance_fallback_name(s->fallback), "table_size", (int)s->n_slots, "affinity",
		s->affinity, "stateless", s->stateless, "quic", json_quic(s), "hold_s", (int)s->hold_s,
		"check", b ? json_check(b) : json_null(), "states", "up", (int)n.up, "draining",
		(int)n.draining, "down", (int)n.down);
}

/* All that is known of one service; backends is NULL of a file. */
struct shown {
	const struct balance_service *s;
	struct balance_live_service live;
	struct balance_live_backend *backends;
	struct buf checks; /* what the last ones said */
};

static void shown_free(struct shown *w)
{
	free(w->live.slots);
	free(w->backends);
	buf_free(&w->checks);
}

static int look(const struct balance_run *run, uint32_t nr, struct shown *w, struct sluice_err *err)
{
	uint32_t i;
	int e;

	*w = (struct shown){.s = run->model->services[nr]};
	if (!run->live)
		return 0;
	w->live.slots = calloc(w->s->n_backends + 1, sizeof(*w->live.slots));
	w->backends = calloc(w->s->n_backends + 1, sizeof(*w->backends));
	if (!w->live.slots || !w->backends)
		return err_nomem(err);
	e = balance_live_service(run->live, nr, &w->live, err);
	for (i = 0; !e && i < w->s->n_backends; i++)
		e = balance_live_backend(run->live, nr, i, &w->backends[i], err);
	return e ?: balance_checks_read(run->live, nr, &w->checks, err);
}

static const char *who(uint32_t by)
{
	return by == BALANCE_WHO_HEALTH ? "health checks" : "hand";
}

/* What was said of one matter, in words; false: nothing. */
static bool said_word(const struct balance_overlay *o, enum balance_matter matter, char *to, size_t size)
{
	const struct balance_said *v = &o->said[matter];

	if (!v->who)
		return false;
	switch (matter) {
	case BALANCE_MATTER_DRAIN:
		snprintf(to, size, v->value ? "draining" : "not draining");
		break;
	case BALANCE_MATTER_WEIGHT:
		snprintf(to, size, "weight %u", v->value);
		break;
	default:
		snprintf(to, size, v->value == BALANCE_DOWN ? "down" : "up");
		break;
	}
	return true;
}

static void say_said(const struct balance_overlay *o, const struct balance_check_said *check)
{
	char word[32], when[32];
	bool first = true;
	int i;

	for (i = 0; i < BALANCE_MATTERS; i++) {
		/* up, as every backend that is in order: STATE says so */
		if (!said_word(o, (enum balance_matter)i, word, sizeof(word)) ||
		    (i == BALANCE_MATTER_HEALTH && o->said[i].who == BALANCE_WHO_HEALTH &&
		     o->said[i].value != BALANCE_DOWN))
			continue;
		printf("%s%s by %s since %s", first ? " " : ", ", word, who(o->said[i].who),
		       policy_time(o->said[i].when_ns, when));
		first = false;
	}
	if (check)
		printf("%s%s: %s", first ? " " : ", ", check->asked ? "last check" : "cannot be checked",
		       check->why);
}

static char *way_of(const struct balance_live_backend *b, char *to, size_t size)
{
	char name[IF_NAMESIZE] = "?", shown[CLI_NAME], mac[NET_MAC_TEXT];

	if (!b->way) {
		snprintf(to, size, "looked up");
		return to;
	}
	if_indextoname(b->hop.ifindex, name);
	snprintf(to, size, "%s %s mtu %u", cli_name(name, shown),
		 net_mac_format(b->hop.dmac, mac, sizeof(mac)), b->hop.mtu);
	return to;
}

static void say_backend(const struct shown *w, uint32_t i)
{
	const struct balance_backend *now = &w->s->backends[i];
	const struct balance_live_backend *b = w->backends ? &w->backends[i] : NULL;
	char name[BACKEND_NAME], id[16] = "", weight[32], way[CLI_NAME + 48], share[BALANCE_SHARE];
	struct balance_check_said check;

	snprintf(weight, sizeof(weight), "%u", now->weight);
	if (b && b->policy.weight != now->weight)
		snprintf(weight, sizeof(weight), "%u (%u)", now->weight, b->policy.weight);
	if (now->has_server)
		snprintf(id, sizeof(id), " id %u", now->server);
	backend_name(now, name);
	printf("  %s%-*s %7s", name, strlen(name) < 22 ? 22 - (int)strlen(name) : 0, id, weight);
	if (!b) {
		printf("  %s\n", backend_state(now));
		return;
	}
	printf(" %6s  %-8s %-30s",
	       balance_share((double)w->live.slots[i] / (w->live.n_slots ? w->live.n_slots : 1), share),
	       backend_state(now), way_of(b, way, sizeof(way)));
	say_said(&b->set, balance_checks_find(&w->checks, &now->addr, now->port, &check) ? &check : NULL);
	putchar('\n');
}

/* The block as it is written, but for its backends: they follow as a table. */
static int say_block(const struct policy_balance *b, struct sluice_err *err)
{
	struct buf text = {0};
	const char *at, *end;
	int e = 0;

	print_balance(&text, b);
	buf_put(&text, "", 1);
	if (text.failed)
		e = err_nomem(err);
	for (at = e ? "" : (const char *)text.data; (end = strchr(at, '\n')); at = end + 1)
		if (strncmp(at, "\tbackend ", 9) != 0 && at[0] != '}')
			printf("%.*s\n", (int)(end - at), at);
	buf_free(&text);
	return e;
}

static int show(const struct balance_run *run, uint32_t nr, struct sluice_err *err)
{
	struct shown w;
	const struct policy_balance *b;
	uint64_t now = clock_mono_ns();
	char left[BALANCE_TIME];
	uint32_t i;
	int e = look(run, nr, &w, err);

	b = e ? NULL : balance_run_block(run->policy, w.s->name);
	if (b)
		e = say_block(b, err);
	if (!e && w.backends) {
		printf("\t%u slots: %u changed, %u with a previous backend", w.live.n_slots, w.live.changed,
		       w.live.waiting);
		if (w.live.until > now && w.live.waiting)
			printf(" for %s more", balance_time(w.live.until - now, left));
		printf("\n  %-22s %7s %6s  %-8s %-30s %s\n", "BACKEND", "WEIGHT", "SHARE", "STATE", "WAY",
		       "SAID");
	} else if (!e) {
		printf("  %-22s %7s  STATE\n", "BACKEND", "WEIGHT");
	}
	for (i = 0; !e && i < w.s->n_backends; i++)
		say_backend(&w, i);
	if (!e)
		printf("}\n");
	shown_free(&w);
	return e;
}

static json_t *json_said(const struct balance_overlay *o)
{
	static const char *const matters[] = {[BALANCE_MATTER_DRAIN] = "drain",
					      [BALANCE_MATTER_WEIGHT] = "weight",
					      [BALANCE_MATTER_HEALTH] = "health"};
	json_t *all = json_array(), *value;
	const struct balance_said *v;
	int i;

	for (i = 0; i < BALANCE_MATTERS; i++) {
		v = &o->said[i];
		if (!v->who)
			continue;
		value = i == BALANCE_MATTER_DRAIN    ? json_boolean(v->value)
			: i == BALANCE_MATTER_WEIGHT ? json_integer(v->value)
						     : json_string(v->value == BALANCE_DOWN ? "down" : "up");
		json_array_append_new(all,
				      json_pack("{s:s, s:o, s:s, s:f}", "what", matters[i], "value", value,
						"by", v->who == BALANCE_WHO_HEALTH ? "health" : "operator",
						"when", (double)v->when_ns / 1e9));
	}
	return all;
}

static json_t *json_way(const struct balance_live_backend *b)
{
	char name[IF_NAMESIZE] = "?", shown[CLI_NAME], mac[NET_MAC_TEXT];

	if (!b->way)
		return json_null();
	if_indextoname(b->hop.ifindex, name);
	return json_pack("{s:s, s:s, s:i}", "interface", cli_name(name, shown), "mac",
			 net_mac_format(b->hop.dmac, mac, sizeof(mac)), "mtu", (int)b->hop.mtu);
}

static json_t *json_last_check(const struct shown *w, const struct balance_backend *b)
{
	struct balance_check_said check;

	if (!balance_checks_find(&w->checks, &b->addr, b->port, &check))
		return json_null();
	return json_pack("{s:b, s:s}", "asked", check.asked, "why", check.why);
}

static json_t *json_backend(const struct shown *w, uint32_t i)
{
	const struct balance_backend *now = &w->s->backends[i];
	const struct balance_live_backend *b = w->backends ? &w->backends[i] : NULL;
	char text[NET_ADDR_TEXT];
	json_t *o = json_pack("{s:s, s:o, s:o, s:i, s:s}", "address",
			      net_addr_format(&now->addr, text, sizeof(text)), "port", json_some(now->port),
			      "server_id", now->has_server ? json_integer(now->server) : json_null(),
			      "weight", (int)now->weight, "state", backend_state(now));

	if (!b)
		return o;
	json_object_set_new(o, "policy_weight", json_integer(b->policy.weight));
	json_object_set_new(o, "slots", json_integer(w->live.slots[i]));
	json_object_set_new(o, "way", json_way(b));
	json_object_set_new(o, "said", json_said(&b->set));
	json_object_set_new(o, "failed_check", json_last_check(w, now));
	return o;
}

static int add_json(const struct balance_run *run, uint32_t nr, json_t *all, struct sluice_err *err)
{
	json_t *o, *backends = json_array();
	struct shown w;
	uint32_t i;
	int e = look(run, nr, &w, err);

	for (i = 0; !e && i < w.s->n_backends; i++)
		json_array_append_new(backends, json_backend(&w, i));
	o = balance_service_json(run, nr);
	if (w.backends)
		json_object_set_new(o, "slots",
				    json_pack("{s:i, s:i}", "changed", (int)w.live.changed, "previous",
					      (int)w.live.waiting));
	if (json_object_set_new(o, "backends", backends) || json_array_append_new(all, o))
		e = e ?: err_nomem(err);
	shown_free(&w);
	return e;
}

static int each(const struct balance_run *run, char **args, int n, json_t *all, struct sluice_err *err)
{
	uint32_t nr, i, n_all = n ? (uint32_t)n : (uint32_t)run->model->n_services;
	int e = 0;

	for (i = 0; !e && i < n_all; i++) {
		nr = i;
		e = n ? balance_run_service(run->model, args[i], &nr, err) : 0;
		if (!e)
			e = all ? add_json(run, nr, all, err) : show(run, nr, err);
	}
	return e;
}

int balance_show_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct balance_run run;
	json_t *all = NULL;
	char **args;
	uint32_t nr;
	int n, i, e, rc = cli_parse(&balance_show_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	e = balance_file ? balance_run_read(&run, balance_file, &err) : balance_run_open(&run, false, &err);
	for (i = 0; !e && i < n; i++)
		e = balance_run_service(run.model, args[i], &nr, &err);
	if (!e && cli.json)
		all = json_array();
	else if (!e)
		balance_head(&run, balance_file);
	e = e ?: each(&run, args, n, all, &err);
	if (!e && all)
		rc = cli_json(balance_head_json(&run, balance_file, "services", all));
	else
		json_decref(all);
	balance_run_close(&run);
	return e ? cli_fail(&balance_show_verb, &err) : rc > 0 ? rc : EXIT_DONE;
}
