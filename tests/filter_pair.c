// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One filter asked both ways: the oracle, and the compiled program on an engine. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "bpf/seam.h"
#include "classify_rules.h"
#include "filter_pair.h"
#include "policy_random.h"
#include "port/traffic_host.h"

static const struct filter_interface interfaces[] = {{"eth0", 1}, {"eth1", 2}, {"eth9", 9}};
static struct vm *vm;
static struct traffic_hold hold;
static bool held;
uint64_t seed, n_changes;
bool kernel, moving;
static uint64_t n_packets, n_decided, n_over, n_logged, n_bytes, n_lists, n_apart, n_refused, n_filters, n_asked;
const struct buf *text_now;

void fail(const char *fmt, ...)
{
	va_list ap;

	printf("seed %llu: ", (unsigned long long)seed);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n%.*s\n", text_now ? (int)(text_now->len < 6000 ? text_now->len : 6000) : 0,
	       text_now ? (const char *)text_now->data : "");
	exit(1);
}

static void drop_sets(struct pair *a)
{
	control_sets_close(a->sets);
	filter_sets_free(a->plan);
	if (a->sets_fd >= 0)
		close(a->sets_fd);
}

bool pair_start(struct pair *a, const struct policy *p, uint32_t filter)
{
	struct filter_opts opts = {.interfaces = interfaces, .n_interfaces = 3};
	struct vm_worker_config config = {.longest = ROOM};
	struct sluice_err err = {0};
	uint64_t state = seed;
	int e, i;

	memset(a, 0, sizeof(*a));
	for (i = 0; i < 10; i++)
		opts.seed[i] = rules_random(&state);
	a->p = p;
	a->filter = filter;
	a->sets_fd = -1;
	if (moving || seed % 3) {
		if (filter_sets_plan(p, &a->plan, &err) ||
		    control_sets_make(a->plan, -1, &a->sets_fd, &err) ||
		    (a->sets_fd >= 0 && control_sets_open(a->sets_fd, &a->sets, &err))) {
			if (err.code == -EPERM)
				exit(4);
			fail("run-time sets: %s", err.text);
		}
		opts.sets = a->plan;
	}
	opts.jiffy_ns = kernel || seed % 2 ? 0 : 4000000;
	if (filter_compile(p, filter, &opts, &a->t, &err)) {
		n_refused++;
		if (err.code == -ENOSPC && !a->t) {
			drop_sets(a);
			return false;
		}
		fail("compiling: %s", err.text);
	}
	if (control_filter_load_sets(a->t, a->sets_fd, &a->f, &err)) {
		if (err.code == -EPERM)
			exit(4);
		fail("loading: %s", err.text);
	}
	if (!kernel && vm_worker_new(vm, a->f.prog_fd, &config, &a->worker, &err))
		fail("%s", err.text);
	e = policy_oracle_new(p, filter, &a->o, &err);
	if (e)
		fail("%s", err.text);
	if (kernel && !held)
		held = !traffic_hold_open(&hold, a->f.prog_fd);
	n_bytes += a->t->len;
	n_lists += a->t->config.lists;
	n_apart += a->t->config.apart;
	n_filters++;
	n_asked += a->t->sets.limit != 0;
	return true;
}

uint32_t pair_run(struct pair *a, const uint8_t *frame, uint32_t len, uint32_t ifindex, uint64_t now_ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = len, .repeat = 1);
	struct vm_frame in = {.data = frame, .len = len, .time_ns = now_ns, .ifindex = ifindex};
	struct vm_done done;
	int e;

	if (!kernel) {
		vm_worker_run(a->worker, &in, NULL, &done);
		if (done.fault)
			fail("the program faults");
		return done.verdict;
	}
	e = bpf_prog_test_run_opts(a->f.prog_fd, &o);
	if (e)
		fail("running it: %s", strerror(-e));
	return o.retval;
}

static void hex(const uint8_t *frame, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		printf("%02x", frame[i]);
	putchar('\n');
}

static const char *name_of(uint32_t verdict)
{
	static const char *const names[] = {"aborted", "drop", "pass", "tx", "redirect"};

	return verdict < 5 ? names[verdict] : "?";
}

uint32_t pair_ask(struct pair *a, const uint8_t *frame, uint32_t len, uint32_t ifindex, uint64_t now_ns)
{
	static const uint32_t verdicts[] =
		{[VERDICT_PASS] = 2, [VERDICT_DROP] = 1, [VERDICT_REDIRECT] = 4, [VERDICT_CPU] = 4};
	struct sluice_err err;
	struct policy_answer answer;
	struct policy_packet k;
	char said[PACKET_SAY];
	uint32_t got = pair_run(a, frame, len, ifindex, now_ns), want;

	packet_read(&k, frame, len, len, ifindex == 1 ? "eth0" : "eth1");
	if (policy_oracle_decide(a->o, &k, now_ns, NULL, &answer, &err))
		fail("%s", err.text);
	want = answer.shadow ? 2 : verdicts[answer.verdict];
	n_packets++;
	n_decided += answer.rule != ORACLE_DEFAULT;
	n_over += answer.over;
	if (got == want)
		return answer.rule;
	hex(frame, len);
	fail("packet %llu, %s: %s, should be %s by rule %u%s", (unsigned long long)n_packets,
	     packet_say(&k, said, sizeof(said)), name_of(got), name_of(want), answer.rule + 1,
	     answer.over ? ", over" : "");
}

void pair_free(struct pair *a)
{
	vm_worker_free(a->worker);
	policy_oracle_free(a->o);
	control_filter_close(&a->f);
	filter_tables_free(a->t);
	drop_sets(a);
}

void pair_stop(struct pair *a)
{
	uint32_t n = a->p->rulesets[a->filter].n, i;
	struct filter_count *counts = calloc(n + 1ul, sizeof(*counts)), *c;
	const struct policy_count *want;
	struct sluice_err err;

	if (!counts || control_filter_counts(&a->f, counts, &err))
		fail("%s", counts ? err.text : "memory");
	for (i = 0; i <= n; i++) {
		want = policy_oracle_count(a->o, i == n ? ORACLE_DEFAULT : i);
		c = &counts[i];
		n_logged += want->logged;
		if (c->packets != want->packets || c->bytes != want->bytes ||
		    c->over_packets != want->over_packets || c->over_bytes != want->over_bytes ||
		    c->logged != want->logged)
			fail("rule %u counts %llu packets, %llu bytes, %llu, %llu over, %llu logged; should "
			     "be %llu, %llu, %llu, "
			     "%llu, %llu",
			     i + 1, (unsigned long long)c->packets, (unsigned long long)c->bytes,
			     (unsigned long long)c->over_packets, (unsigned long long)c->over_bytes,
			     (unsigned long long)c->logged, (unsigned long long)want->packets,
			     (unsigned long long)want->bytes, (unsigned long long)want->over_packets,
			     (unsigned long long)want->over_bytes, (unsigned long long)want->logged);
	}
	free(counts);
	pair_free(a);
}

struct policy *pair_parse(const struct buf *text)
{
	struct policy_files files = {.read = random_files_read, .ctx = (void *)(uintptr_t)text};
	struct sluice_err err = {0};
	struct buf said = {0};
	struct policy *p;
	uint32_t i;

	text_now = text;
	if (!policy_read("random.conf", &files, &p, &err))
		return p;
	for (i = 0; p && i < p->n_diags; i++)
		if (p->diags[i].severity == POLICY_ERROR)
			policy_diag_print(p, &p->diags[i], &said);
	fail("%s %.*s", err.text, (int)said.len, (const char *)said.data);
}

void pair_engine(const char *name)
{
	struct vm_config config = {.n_cpus = N_CPUS, .seed = 7};
	struct sluice_err err;

	kernel = !strcmp(name, "kernel");
	if (kernel)
		return;
	config.engine = !strcmp(name, "jit") ? VM_ENGINE_JIT : VM_ENGINE_INTERP;
	if (vm_new(&config, &vm, &err))
		fail("%s", err.text);
	seam_engine(vm);
}

int pair_done(void)
{
	if (held)
		traffic_hold_close(&hold);
	seam_engine(NULL);
	vm_free(vm);
	printf("%llu packets, %llu decided by a rule, %llu over a limit, %llu logged; %llu filters, %llu "
	       "with lists, %llu of "
	       "them apart, %llu asking sets that changed %llu times, %llu bytes of tables; %llu refused\n",
	       (unsigned long long)n_packets, (unsigned long long)n_decided, (unsigned long long)n_over,
	       (unsigned long long)n_logged, (unsigned long long)n_filters, (unsigned long long)n_lists,
	       (unsigned long long)n_apart, (unsigned long long)n_asked, (unsigned long long)n_changes,
	       (unsigned long long)n_bytes, (unsigned long long)n_refused);
	/* a comparison in which nothing happens compares little */
	return n_decided * 5 > n_packets && n_refused * 10 <= n_filters ? 0 : 1;
}
