// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice replay: what a policy would have done to captured traffic, and what differently from another one. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "bpf/seam.h"
#include "cmd/policy_say.h"
#include "cmd/replay_flows.h"
#include "control/filter.h"
#include "control/sets.h"
#include "replay/in.h"
#include "vm/worker.h"

#define FLOWS_SHOWN 20

static const char *interface, *against;
static bool all;

static const struct cli_opt opts[] = {
	{.name = "on",
	 .kind = OPT_TEXT,
	 .arg = "IF",
	 .to = &interface,
	 .help = "packets came in on this interface"},
	{.name = "against",
	 .kind = OPT_TEXT,
	 .arg = "OLD",
	 .to = &against,
	 .help = "flows that this policy treats differently"},
	{.name = "all",
	 .letter = 'a',
	 .kind = OPT_FLAG,
	 .to = &all,
	 .help = "all of those flows (else the 20 with most packets)"},
	{0},
};

static const struct cli_verb verb = {
	.name = "replay",
	.usage = "FILE CAPTURE... [--on IF] [--against OLD]",
	.summary = "what a policy would have done to captured traffic",
	.text = "  sluice replay sluice.conf yesterday.pcap\n"
		"  sluice replay new.conf yesterday.pcap --against sluice.conf\n",
	.opts = opts,
	.min_args = 2,
	.max_args = -1,
};

/* One policy at work. */
struct side {
	const char *path;
	struct policy *p;
	uint32_t filter;
	struct filter_sets *sets; /* looked up as in force: as constants, large ones would not fit */
	struct filter_tables *t;
	struct control_filter f;
	struct vm_worker *worker;
	struct filter_count *counts;
};

struct replay {
	struct vm *vm;
	struct side side[2]; /* FILE, OLD */
	int n_sides;
	struct replay_in *in;
	struct replay_flows flows;
	uint64_t packets, bytes, verdicts[5], first_ns, last_ns;
	uint8_t *frame;
};

static const char *const verdict_words[] = {"aborted", "drop", "pass", "tx", "redirect"};

static int choose(struct side *s, struct sluice_err *err)
{
	int e = policy_filter_on(s->p, interface, "--on IF", &s->filter, err);

	return e ? err_prefix(err, "%s", s->path) : 0;
}

/* Reads a policy; mistakes in it are printed. */
static int read_policy(struct side *s, struct sluice_err *err)
{
	int e = policy_read(s->path, &policy_once, &s->p, err);

	policy_say_errors(s->p); /* none where all is well */
	/* mistakes in a file are no mistake of the command line */
	if (e == -EINVAL && err)
		err->code = e = -EBADMSG;
	return e ? e : choose(s, err);
}

/* Interfaces as the policy knows them: packets come in on number 1, packets are redirected to others. */
static int compile(struct side *s, struct sluice_err *err)
{
	const struct policy_filter *filter = &s->p->filters[s->filter];
	struct filter_interface *v = calloc(filter->n_stmts + 1ul, sizeof(*v));
	struct filter_opts o = {.interfaces = v, .any_interface = !interface, .jiffy_ns = 4000000};
	uint32_t i, k;
	int e;

	if (!v)
		return err_nomem(err);
	for (i = 0; i < 10; i++) /* nobody attacks a capture: the same each time */
		o.seed[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
	if (interface)
		v[o.n_interfaces++] = (struct filter_interface){interface, 1};
	for (i = 0; i < filter->n_stmts; i++) {
		if (!filter->stmts[i].redirect)
			continue;
		for (k = 0; k < o.n_interfaces && strcmp(v[k].name, filter->stmts[i].redirect) != 0; k++)
			;
		if (k == o.n_interfaces)
			v[o.n_interfaces++] = (struct filter_interface){filter->stmts[i].redirect, k + 2};
	}
	e = filter_sets_plan(s->p, &s->sets, err);
	o.sets = s->sets;
	if (!e)
		e = filter_compile(s->p, s->filter, &o, &s->t, err);
	if (e)
		err_prefix(err, "%s", s->path);
	else
		s->t->config.shadow = 0;
	free(v);
	return e;
}

static int load_side(struct side *s, struct sluice_err *err)
{
	int fd, e = control_sets_make(s->sets, -1, &fd, err);

	if (e)
		return err_prefix(err, "%s", s->path);
	e = control_filter_load_sets(s->t, fd, &s->f, err);
	if (fd >= 0)
		close(fd);
	return e;
}

static int load(struct replay *r, struct sluice_err *err)
{
	struct vm_config config = {.n_cpus = 1, .seed = 1};
	struct vm_worker_config worker = {.longest = REPLAY_LONGEST};
	struct side *s;
	uint32_t last;
	int e;

	for (s = r->side; s < r->side + r->n_sides; s++) {
		last = s->t->n_cpus ? s->t->cpus[s->t->n_cpus - 1] : 0;
		config.n_cpus = last + 1 > config.n_cpus ? last + 1 : config.n_cpus;
	}
	e = vm_new(&config, &r->vm, err);
	if (e)
		return e;
	seam_engine(r->vm);
	for (s = r->side; s < r->side + r->n_sides && !e; s++) {
		e = load_side(s, err);
		if (!e)
			e = vm_worker_new(r->vm, s->f.prog_fd, &worker, &s->worker, err);
	}
	return e;
}

static uint32_t run(struct side *s, const struct vm_frame *in)
{
	struct vm_done done;

	vm_worker_run(s->worker, in, NULL, &done);
	return done.verdict < 5 ? done.verdict : XDP_ABORTED;
}

static int one(struct replay *r, const struct replay_packet *packet)
{
	struct vm_frame in = {.data = packet->data,
			      .len = packet->len,
			      .time_ns = packet->time_ns,
			      .ifindex = 1};
	struct policy_packet k;
	uint32_t after, before;

	/* what was cut off counts as zeroes, so that lengths are right */
	if (packet->wire_len > packet->len && packet->wire_len <= REPLAY_LONGEST) {
		memcpy(r->frame, packet->data, packet->len);
		memset(r->frame + packet->len, 0, packet->wire_len - packet->len);
		in.data = r->frame;
		in.len = packet->wire_len;
	}
	after = run(&r->side[0], &in);
	r->packets++;
	r->bytes += in.len;
	r->verdicts[after]++;
	r->first_ns = r->packets == 1 || packet->time_ns < r->first_ns ? packet->time_ns : r->first_ns;
	r->last_ns = packet->time_ns > r->last_ns ? packet->time_ns : r->last_ns;
	if (r->n_sides < 2)
		return 0;
	before = run(&r->side[1], &in);
	if (before == after)
		return 0;
	packet_read(&k, in.data, in.len, in.len, interface);
	return replay_flows_add(&r->flows, &k, before, after);
}

static int run_all(struct replay *r, struct sluice_err *err)
{
	struct replay_packet packet;
	struct side *s;
	int e = 0, got;

	r->frame = malloc(REPLAY_LONGEST);
	if (!r->frame)
		return err_nomem(err);
	while ((got = replay_in_next(r->in, &packet, err)) == 1) {
		if (one(r, &packet))
			return err_nomem(err);
	}
	for (s = r->side; s < r->side + r->n_sides && !e; s++) {
		s->counts = calloc(s->f.n_rules + 1ul, sizeof(*s->counts));
		e = s->counts ? control_filter_counts(&s->f, s->counts, err) : err_nomem(err);
	}
	replay_flows_sort(&r->flows);
	return got < 0 ? got : e;
}

/* --- output --- */

static const struct policy_stmt *stmt_of(const struct side *s, uint32_t rule)
{
	const struct policy_filter *f = &s->p->filters[s->filter];

	return rule < f->n_stmts ? &f->stmts[rule] : NULL;
}

static void print_rule(const struct side *s, uint32_t rule, struct buf *to)
{
	policy_rule_print(&s->p->filters[s->filter], stmt_of(s, rule), 0, to);
	buf_put(to, "", 1);
}

static void show_rules(const struct side *s)
{
	struct policy_where w;
	struct filter_count *c;
	struct buf text;
	uint32_t i;

	printf("%12s %14s  %s\n", "PACKETS", "BYTES", "RULE");
	for (i = 0; i <= s->f.n_rules; i++) {
		c = &s->counts[i];
		w = policy_rule_where(s->p, &s->p->filters[s->filter], stmt_of(s, i));
		text = (struct buf){0};
		print_rule(s, i, &text);
		printf("%12" PRIu64 " %14" PRIu64 "  %s:%u: %s\n", (uint64_t)c->packets, (uint64_t)c->bytes,
		       w.path, w.line, text.failed ? "?" : (char *)text.data);
		if (c->over_packets)
			printf("%12" PRIu64 " %14" PRIu64 "      over the limit\n", (uint64_t)c->over_packets,
			       (uint64_t)c->over_bytes);
		if (c->logged)
			printf("%12" PRIu64 " %14s      logged\n", (uint64_t)c->logged, "");
		buf_free(&text);
	}
}

static void show_flows(const struct replay *r)
{
	uint32_t i, n = all || r->flows.n < FLOWS_SHOWN ? r->flows.n : FLOWS_SHOWN;
	const struct replay_flow *f;
	char said[PACKET_SAY];

	printf("against %s: %" PRIu64 " packets of %u flow%s treated differently\n", r->side[1].path,
	       r->flows.packets, r->flows.n, r->flows.n == 1 ? "" : "s");
	for (i = 0; i < n; i++) {
		f = r->flows.v[i];
		printf("%12" PRIu64 " %14" PRIu64 "  %s -> %s  %s\n", f->packets, f->bytes,
		       verdict_words[f->before], verdict_words[f->after],
		       replay_flow_say(f, said, sizeof(said)));
	}
	if (n < r->flows.n)
		printf("%12s %14s  ... and %u more flows (--all shows them)\n", "", "", r->flows.n - n);
	if (r->flows.nameless)
		printf("%12" PRIu64 " %14s  of more flows than are kept\n", r->flows.nameless, "");
}

static void show(const struct replay *r)
{
	const struct replay_in_stats *stats = replay_in_stats(r->in);
	uint32_t i;

	printf("%" PRIu64 " packets, %" PRIu64 " bytes, %.3f s", r->packets, r->bytes,
	       (double)(r->last_ns - r->first_ns) / 1e9);
	if (stats->cut)
		printf("; %" PRIu64 " cut short", stats->cut);
	if (stats->too_short + stats->too_long)
		printf("; %" PRIu64 " left out", stats->too_short + stats->too_long);
	printf("\n");
	show_rules(&r->side[0]);
	for (i = 0; i < 5; i++)
		if (r->verdicts[i])
			printf("%12" PRIu64 " %14s  %s\n", r->verdicts[i], "", verdict_words[i]);
	if (r->n_sides == 2)
		show_flows(r);
}

static json_t *json_rules(const struct side *s)
{
	json_t *list = json_array();
	const struct policy_filter *filter = &s->p->filters[s->filter];
	struct policy_where w;
	struct filter_count *c;
	struct buf text;
	uint32_t i;

	for (i = 0; i <= s->f.n_rules; i++) {
		c = &s->counts[i];
		w = policy_rule_where(s->p, &s->p->filters[s->filter], stmt_of(s, i));
		text = (struct buf){0};
		print_rule(s, i, &text);
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:s, s:s?, s:b, s:I, s:I, s:I, s:I, s:I}", "file",
						w.path, "line", (json_int_t)w.line, "rule",
						text.failed ? "" : (char *)text.data, "name",
						i < filter->n_stmts ? filter->stmts[i].name : NULL, "default",
						i == filter->n_stmts, "packets", (json_int_t)c->packets,
						"bytes", (json_int_t)c->bytes, "over_packets",
						(json_int_t)c->over_packets, "over_bytes",
						(json_int_t)c->over_bytes, "logged", (json_int_t)c->logged));
		buf_free(&text);
	}
	return list;
}

static int show_json(const struct replay *r)
{
	const struct replay_in_stats *stats = replay_in_stats(r->in);
	json_t *flows = json_array(), *o;
	const struct replay_flow *f;
	char said[PACKET_SAY];
	uint32_t i;

	for (i = 0; i < r->flows.n; i++) {
		f = r->flows.v[i];
		json_array_append_new(flows,
				      json_pack("{s:s, s:s, s:s, s:I, s:I}", "flow",
						replay_flow_say(f, said, sizeof(said)), "before",
						verdict_words[f->before], "after", verdict_words[f->after],
						"packets", (json_int_t)f->packets, "bytes",
						(json_int_t)f->bytes));
	}
	o = json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "file", r->side[0].path,
		      "against", against, "packets", (json_int_t)r->packets, "bytes", (json_int_t)r->bytes,
		      "cut", (json_int_t)stats->cut, "left_out",
		      (json_int_t)(stats->too_short + stats->too_long), "pass",
		      (json_int_t)r->verdicts[XDP_PASS], "drop", (json_int_t)r->verdicts[XDP_DROP],
		      "redirect", (json_int_t)r->verdicts[XDP_REDIRECT], "aborted",
		      (json_int_t)r->verdicts[XDP_ABORTED], "rules", json_rules(&r->side[0]));
	if (against) {
		json_object_set_new(o, "different_packets", json_integer((json_int_t)r->flows.packets));
		json_object_set_new(o, "different", flows);
	} else {
		json_decref(flows);
	}
	return cli_json(o);
}

static void close_all(struct replay *r)
{
	struct side *s;

	for (s = r->side; s < r->side + 2; s++) {
		vm_worker_free(s->worker);
		control_filter_close(&s->f);
		filter_tables_free(s->t);
		filter_sets_free(s->sets);
		policy_free(s->p);
		free(s->counts);
	}
	seam_engine(NULL);
	vm_free(r->vm);
	replay_in_free(r->in);
	replay_flows_free(&r->flows);
	free(r->frame);
}

int verb_replay(int argc, char **argv)
{
	struct replay r = {.n_sides = 1};
	struct sluice_err err = {0};
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args), e = 0, i;

	if (rc >= 0)
		return rc;
	r.side[0].path = args[0];
	r.side[1].path = against;
	r.n_sides = against ? 2 : 1;
	for (i = 0; i < r.n_sides && !e; i++)
		e = read_policy(&r.side[i], &err);
	for (i = 0; i < r.n_sides && !e; i++)
		e = compile(&r.side[i], &err);
	if (!e)
		e = replay_in_new((const char *const *)args + 1, (size_t)n_args - 1, false, &r.in, &err);
	if (!e)
		e = load(&r, &err);
	if (!e)
		e = run_all(&r, &err);
	if (e)
		rc = cli_fail(&verb, &err);
	else if (cli.json)
		rc = show_json(&r);
	else {
		show(&r);
		rc = EXIT_DONE;
	}
	close_all(&r);
	return rc;
}
