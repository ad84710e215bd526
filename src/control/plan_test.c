// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Plans: their text, letter by letter; that they add up; how long large ones take. */
#include <stdio.h>

#include "base/clock.h"
#include "base/test.h"
#include "control/plan.h"

/* Any file is ctx, a text; old.conf and new.conf are names for it. */
static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *from = ctx;

	(void)err;
	assert_true(from->len <= max);
	if (strstr(path, ".netset"))
		buf_printf(to, "192.0.2.1\n2001:db8::/32\n");
	else
		buf_put(to, from->data, from->len);
	return 0;
}

static struct policy *read_buf(const char *name, struct buf *text)
{
	struct policy_files files = {.read = read_text, .ctx = text};
	struct sluice_err err = {0};
	struct policy *p = NULL;

	if (policy_read(name, &files, &p, &err))
		fail_msg("%s: %s", name, p && p->n_diags ? p->diags[0].text : err.text);
	return p;
}

static struct policy *read_string(const char *name, const char *s)
{
	struct buf text = {0};
	struct policy *p;

	if (!s)
		return NULL;
	buf_put(&text, s, strlen(s));
	p = read_buf(name, &text);
	buf_free(&text);
	return p;
}

static void check(const char *old_text, const char *new_text, const struct control_plan_opts *o, bool all,
		  const char *want)
{
	struct policy *old = read_string("old.conf", old_text), *now = read_string("new.conf", new_text);
	struct control_plan *plan;
	struct buf said = {0};

	assert_int_equal(control_plan_new(old, now, o, &plan, NULL), 0);
	control_plan_print(plan, all, &said);
	buf_put(&said, "", 1);
	assert_string_equal((char *)said.data, want);
	assert_int_equal(control_plan_empty(plan),
			 !strcmp(want, "nothing changes\n") || strstr(want, "\nnothing changes\n") != NULL);
	buf_free(&said);
	control_plan_free(plan);
	policy_free(old);
	policy_free(now);
}

static void first_policy(void **state)
{
	(void)state;
	check(NULL, "filter on eth0 {\n\tdrop tcp\n\tpass udp\n\tdefault drop\n}\n", NULL, false,
	      "eth0: gets the filter of new.conf:1\n"
	      "filter on eth0: 2 rules added\n"
	      "  default drop\n"
	      "  + new.conf:2: drop tcp\n"
	      "  + new.conf:3: pass udp\n");
	check(NULL, "filter on eth0 { }\n", NULL, false,
	      "eth0: gets the filter of new.conf:1\nfilter on eth0: no rules\n  default pass\n");
}

static void all_kinds(void **state)
{
	(void)state;
	check("set a { 192.0.2.1, 192.0.2.3 }\nset gone { 10.0.0.0/8 }\ninterface eth0 { mode native }\n"
	      "filter on { eth0, eth1 } {\n"
	      "\tdrop from @a\n\tdrop from @gone\n\tlimit udp to 5/s as \"udp\"\n\tpass tcp\n\tdrop icmp\n"
	      "\tpass udp port 53\n\tshadow\n}\n",
	      "set a { 192.0.2.1, 192.0.2.5, 192.0.2.7 }\nset b from \"b.netset\"\n"
	      "filter on { eth1, eth2 } {\n"
	      "\tdrop from @a\n\tpass udp port 53\n\tlimit udp to 7/s as \"udp\"\n\tpass   tcp # the same\n"
	      "\tdrop from @b\n\tdrop icmp\n\tdefault drop\n}\n",
	      NULL, false,
	      "eth0: loses the filter of old.conf:4 (6 rules): every packet passes\n"
	      "eth2: gets the filter of new.conf:3\n"
	      "filter on eth1, eth2: 1 rule added, 1 removed, 1 changed, 1 moved, 3 unchanged\n"
	      "  default drop, was pass\n"
	      "  no longer in shadow: what rules drop is dropped\n"
	      "  > new.conf:5: pass udp to port 53\n"
	      "    was elsewhere, old.conf:10\n"
	      "  - old.conf:6: drop from @gone\n"
	      "  ~ new.conf:6: limit udp to 7/s burst 10 as \"udp\"\n"
	      "    was old.conf:7: limit udp to 5/s burst 10 as \"udp\"\n"
	      "  + new.conf:8: drop from @b\n"
	      "~ set a: 2 ranges added, 1 removed, 1 unchanged\n"
	      "+ set b: 2 ranges of addresses from b.netset\n"
	      "- set gone: 1 range of addresses\n");
}

static void nothing(void **state)
{
	static const char text[] = "set a { 10.0.0.1 }\nfilter on eth0 { \n drop tcp from @a\n drop udp\n}\n";
	static const char spaced[] =
		"\n\nset a { 10.0.0.1 }\nfilter on eth0 { # as before\n\n drop  from @a tcp\n"
		" drop udp\n default pass\n}\n";

	(void)state;
	check(text, text, NULL, false, "filter on eth0: 2 rules unchanged\nnothing changes\n");
	check(text, spaced, NULL, false, "filter on eth0: 2 rules unchanged\nnothing changes\n");
}

static void settings(void **state)
{
	(void)state;
	check("filter on eth0 { default pass\n}", "filter on eth0 {\n default pass\n shadow\n}\n", NULL,
	      false, "filter on eth0: no rules\n  in shadow: rules are counted, every packet passes\n");
	check("filter on eth0 { }", "interface eth0 { mode generic }\nfilter on eth0 { }\n", NULL, false,
	      "eth0: mode generic, was auto\nfilter on eth0: no rules\n");
	check("set a { } timeout 10m\nfilter on eth0 {\n drop from @a\n}\n",
	      "set a { } timeout 1h\nfilter on eth0 {\n drop from @a\n}\n", NULL, false,
	      "filter on eth0: 1 rule unchanged\n~ set a: another file, timeout, size or counters\n");
}

/* Interfaces that are there, where the text has a glob. */
static void globs(void **state)
{
	static const char *const old[] = {"veth1", "veth0", "eth0"}, *const now[] = {"veth1", "veth2",
										     "eth0"};
	struct control_plan_opts o = {.old_interfaces = old,
				      .interfaces = now,
				      .n_old_interfaces = 3,
				      .n_interfaces = 3};

	(void)state;
	check("filter on veth* {\n drop tcp\n}\n", "filter on veth* {\n drop udp\n}\nfilter on eth0 { }\n",
	      &o, false,
	      "eth0: gets the filter of new.conf:4\n"
	      "veth0: loses the filter of old.conf:1 (1 rule): every packet passes\n"
	      "veth2: gets the filter of new.conf:1\n"
	      "filter on veth1, veth2: 1 rule added, 1 removed\n"
	      "  + new.conf:2: drop udp\n"
	      "  - old.conf:2: drop tcp\n"
	      "filter on eth0: no rules\n"
	      "  default pass\n");
}

/* Rules that are there more than once: as many as there were are the same. */
static void duplicates(void **state)
{
	(void)state;
	check("filter on eth0 {\n count tcp\n count udp\n count tcp\n}\n",
	      "filter on eth0 {\n count tcp\n count tcp\n count tcp\n count udp\n}\n", NULL, false,
	      "filter on eth0: 1 rule added, 1 moved, 2 unchanged\n"
	      "  > new.conf:3: count tcp\n    was elsewhere, old.conf:4\n"
	      "  + new.conf:4: count tcp\n");
	check("filter on eth0 {\n count tcp\n count tcp\n}\n", "filter on eth0 {\n count tcp\n}\n", NULL,
	      false, "filter on eth0: 1 rule removed, 1 unchanged\n  - old.conf:3: count tcp\n");
	/* a name is another rule than none */
	check("filter on eth0 {\n count tcp\n}\n", "filter on eth0 {\n count tcp as \"tcp\"\n}\n", NULL,
	      false,
	      "filter on eth0: 1 rule added, 1 removed\n  + new.conf:2: count tcp as \"tcp\"\n"
	      "  - old.conf:2: count tcp\n");
}

static void long_lists(void **state)
{
	struct buf text = {0}, said = {0};
	struct control_plan *plan;
	struct policy *p;
	int i;

	(void)state;
	buf_printf(&text, "filter on eth0 {\n drop from { 10.0.0.1");
	for (i = 2; i < 100; i++)
		buf_printf(&text, ", 10.0.0.%d", i * 2);
	buf_printf(&text, " }\n");
	for (i = 1; i <= 24; i++)
		buf_printf(&text, " count udp to port %d\n", i);
	buf_printf(&text, "}\n");
	p = read_buf("new.conf", &text);
	assert_int_equal(control_plan_new(NULL, p, NULL, &plan, NULL), 0);
	control_plan_print(plan, false, &said);
	buf_put(&said, "", 1);
	assert_non_null(strstr((char *)said.data,
			       "count udp to port 19\n  ... and 5 more rules that are added, "
			       "removed, changed or moved\n"));
	assert_null(strstr((char *)said.data, "port 20"));
	assert_non_null(strstr((char *)said.data, "...\n  + new.conf:3"));
	said.len = 0;
	control_plan_print(plan, true, &said);
	buf_put(&said, "", 1);
	assert_non_null(strstr((char *)said.data, "count udp to port 24\n"));
	assert_null(strstr((char *)said.data, "..."));
	buf_free(&said);
	buf_free(&text);
	control_plan_free(plan);
	policy_free(p);
}

static uint64_t rng = 7;

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 11) % n;
}

/* The longest run in the old order, the slow way. */
static uint32_t longest(const uint32_t *v, uint32_t n)
{
	uint32_t best[64], most = 0, i, k;

	for (i = 0; i < n; i++) {
		best[i] = 1;
		for (k = 0; k < i; k++)
			if (v[k] < v[i] && best[k] + 1 > best[i])
				best[i] = best[k] + 1;
		most = best[i] > most ? best[i] : most;
	}
	return most;
}

/* Rules are numbers, each there once: what a plan says must be what was done. */
static void random_edits(void **state)
{
	uint32_t n_old, n, i, k, t, round, old[40], now[80], run[64], n_run;
	struct buf a, b;
	struct control_plan *plan;
	const struct plan_filter *f;
	struct policy *p, *q;

	(void)state;
	for (round = 0; round < 400; round++) {
		n_old = below(40);
		n = n_run = 0;
		for (i = 0; i < n_old; i++)
			old[i] = i;
		for (i = 0; i < n_old; i++) /* some go, some come, some change places */
			if (below(5))
				now[n++] = old[i];
		for (i = below(6); i-- > 0;)
			now[n++] = 100 + i;
		for (i = below(8); n && i-- > 0;) {
			k = below(n);
			t = now[k];
			now[k] = now[n / 2];
			now[n / 2] = t;
		}
		for (i = 0; i < n; i++)
			if (now[i] < 100)
				run[n_run++] = now[i];
		a = b = (struct buf){0};
		buf_printf(&a, "filter on eth0 {\n");
		for (i = 0; i < n_old; i++)
			buf_printf(&a, " count tcp to port %u\n", 1000 + old[i]);
		buf_printf(&a, "}\n");
		buf_printf(&b, "filter on eth0 {\n");
		for (i = 0; i < n; i++)
			buf_printf(&b, " count tcp to port %u\n", 1000 + now[i]);
		buf_printf(&b, "}\n");
		p = read_buf("old.conf", &a);
		q = read_buf("new.conf", &b);
		assert_int_equal(control_plan_new(p, q, NULL, &plan, NULL), 0);
		f = &plan->filters[0];
		assert_int_equal(f->changed, 0);
		assert_int_equal(f->added, n - n_run);
		assert_int_equal(f->removed, n_old - n_run);
		assert_int_equal(f->unchanged, longest(run, n_run));
		assert_int_equal(f->moved, n_run - f->unchanged);
		assert_int_equal(f->n_rules, f->added + f->removed + f->moved);
		for (i = 0; i < f->n_rules; i++) {
			assert_int_equal(f->rules[i].old == PLAN_NONE, f->rules[i].what == PLAN_ADDED);
			assert_int_equal(f->rules[i].now == PLAN_NONE, f->rules[i].what == PLAN_REMOVED);
			if (f->rules[i].what == PLAN_MOVED)
				assert_int_equal(old[f->rules[i].old], now[f->rules[i].now]);
		}
		control_plan_free(plan);
		policy_free(p);
		policy_free(q);
		buf_free(&a);
		buf_free(&b);
	}
}

#define MANY 100000

static void fill(struct buf *to, uint32_t from, uint32_t step)
{
	uint32_t i;

	to->len = 0;
	buf_printf(to, "filter on eth0 {\n");
	for (i = 0; i < MANY; i++)
		buf_printf(to, " drop tcp from 10.%u.%u.%u/32 to port %u\n", (from + i * step) % 100000 >> 12,
			   (from + i * step) >> 4 & 255, (from + i * step) & 15,
			   1 + (from + i * step) % 100000 % 60000);
	buf_printf(to, "}\n");
}

/* Changed here and there; in the reverse order; all the same rule. */
static void large(void **state)
{
	static const char *const names[] = {"shifted by 1,000", "backwards", "one rule 100,000 times"};
	struct buf a = {0}, b = {0};
	struct control_plan *plan;
	struct policy *p, *q;
	uint64_t ms;
	uint32_t i;
	int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		fill(&a, 0, round < 2);
		fill(&b, round == 0 ? 1000 : round == 1 ? 99999 : 0, round == 0 ? 1 : round == 1 ? 99999 : 0);
		p = read_buf("old.conf", &a);
		q = read_buf("new.conf", &b);
		ms = clock_cpu_ns();
		assert_int_equal(control_plan_new(p, q, NULL, &plan, NULL), 0);
		b.len = 0;
		control_plan_print(plan, false, &b);
		ms = (clock_cpu_ns() - ms) / 1000000;
		i = plan->filters[0].unchanged + plan->filters[0].moved + plan->filters[0].added;
		assert_int_equal(i, MANY);
		print_message("# 100,000 rules, %s: %u ms, %u unchanged\n", names[round], (unsigned int)ms,
			      plan->filters[0].unchanged);
#if !defined(__SANITIZE_ADDRESS__)
		assert_true(ms < 500);
#endif
		control_plan_free(plan);
		policy_free(p);
		policy_free(q);
	}
	buf_free(&a);
	buf_free(&b);
}

#define WEB(on, lines) "balance web on " on " {\n\tforward ipip\n" lines "}\n"
#define VIRTUAL "\tvirtual 203.0.113.10 tcp port { 80, 443 }\n"
#define TWO "\tbackend 10.1.0.11 weight 10\n\tbackend 10.1.0.12 weight 10\n"
#define DNS "balance dns on eth0 {\n\tvirtual 203.0.113.20 udp port 53\n\tforward gue\n\tbackend 10.1.0.21\n}\n"

static void services(void **state)
{
	(void)state;
	check(NULL, WEB("eth0", VIRTUAL TWO), NULL, false,
	      "eth0: gets the balancer\n"
	      "balance: 1 service added\n"
	      "  web: add service, forward ipip, table of 65537 slots\n"
	      "  web: add virtual 203.0.113.10 tcp port 80\n"
	      "  web: add virtual 203.0.113.10 tcp port 443\n"
	      "  web: add backend 10.1.0.11 weight 10\n"
	      "  web: add backend 10.1.0.12 weight 10\n");
	check(WEB("eth0", VIRTUAL TWO) DNS, DNS WEB("eth0", TWO VIRTUAL), NULL, false,
	      "balance: 2 services unchanged\nnothing changes\n");
	/* all of them on other interfaces, in another mode */
	check("interface eth1 { mode native }\n" WEB("{ eth0, eth1 }", VIRTUAL TWO),
	      "interface eth1 { mode generic }\ninterface eth2 { mode generic }\n" WEB("{ eth1, eth2 }", VIRTUAL TWO), NULL, false,
	      "eth0: loses the balancer: packets to virtual addresses pass\n"
	      "eth1: the balancer in mode generic, was native\n"
	      "eth2: gets the balancer in generic mode\n"
	      "balance: 1 service unchanged\n");
	check(WEB("eth0", VIRTUAL TWO) DNS, "filter on eth0 { }\n", NULL, false,
	      "eth0: gets the filter of new.conf:1\n"
	      "filter on eth0: no rules\n"
	      "  default pass\n"
	      "eth0: loses the balancer: packets to virtual addresses pass\n"
	      "balance: 2 services removed\n"
	      "  dns: remove service\n"
	      "  dns: 203.0.113.20 udp port 53 is no longer served: its packets pass\n"
	      "  web: remove service\n"
	      "  web: 203.0.113.10 tcp port 80 is no longer served: its packets pass\n"
	      "  web: 203.0.113.10 tcp port 443 is no longer served: its packets pass\n");
}

/* What was set at run time: how many slots of 65,537 get another backend is a matter of what counts. */
static void set_at_run_time(void **state)
{
	static const char heavier[] =
		WEB("eth0", VIRTUAL "\tbackend 10.1.0.11 weight 10\n\tbackend 10.1.0.12 weight 30\n"),
			  gone[] = WEB("eth0", VIRTUAL "\tbackend 10.1.0.11 weight 10\n");
	struct policy *old = read_string("old.conf", WEB("eth0", VIRTUAL TWO)),
		      *now = read_string("new.conf", heavier);
	struct control_plan_opts o = {.old_services = &old->services, .services = &now->services};
	struct balance_backend *was = &old->services.services[0]->backends[1],
			       *is = &now->services.services[0]->backends[1];

	(void)state;
	was->drain = is->drain = true;
	check(WEB("eth0", VIRTUAL TWO), heavier, &o, false,
	      "balance: 1 service changed\n"
	      "  web: backend 10.1.0.12: weight 10 -> 30\n");
	was->drain = is->drain = false;
	was->weight = is->weight = 3;
	check(WEB("eth0", VIRTUAL TWO), heavier, &o, false,
	      "balance: 1 service changed\n"
	      "  web: backend 10.1.0.12: weight 10 -> 30\n");
	policy_free(now);
	now = read_string("new.conf", gone);
	o.services = &now->services;
	was->drain = true;
	check(WEB("eth0", VIRTUAL TWO), gone, &o, false,
	      "balance: 1 service changed\n"
	      "  web: remove backend 10.1.0.12\n");
	policy_free(now);
	policy_free(old);
}

/* What a change means for flows. Of 65,537 slots one of two backends has 32,768 and the other one more. */
static void flows(void **state)
{
	(void)state;
	check(WEB("eth0", VIRTUAL TWO), WEB("eth0", VIRTUAL "\tbackend 10.1.0.11 weight 10\n\tbackend 10.1.0.12 weight 0\n"), NULL,
	      false,
	      "balance: 1 service changed\n"
	      "  web: backend 10.1.0.12: weight 10 -> 0, draining\n"
	      "  web: 32768 of 65537 slots (50.0 %) get another backend; flows that are open stay where they are\n");
	check(WEB("eth0", VIRTUAL TWO), WEB("eth0", VIRTUAL "\tbackend 10.1.0.11 weight 10\n"), NULL, false,
	      "balance: 1 service changed\n"
	      "  web: remove backend 10.1.0.12\n"
	      "  web: flows of 10.1.0.12 move to others; those of a backend of weight 0 end by themselves\n"
	      "  web: 32768 of 65537 slots (50.0 %) get another backend; other flows that are open stay where they are\n");
	check(WEB("eth0", VIRTUAL TWO "\tstateless\n"), WEB("eth0", VIRTUAL "\tbackend { 10.1.0.11, 10.1.0.12 } weight 20\n\tstateless\n"),
	      NULL, false,
	      "balance: 1 service changed\n"
	      "  web: backend 10.1.0.11: weight 10 -> 20\n"
	      "  web: backend 10.1.0.12: weight 10 -> 20\n");
	check(WEB("eth0", VIRTUAL TWO), WEB("eth0", VIRTUAL TWO "\taffinity source\n"), NULL, false,
	      "balance: 1 service changed\n"
	      "  web: affinity by source\n"
	      "  web: established flows outside the flow table move\n");
	check(WEB("eth0", VIRTUAL TWO), WEB("eth0", VIRTUAL TWO "\taffinity source\n"), NULL, true,
	      "balance: 1 service changed\n"
	      "  web: affinity by source\n"
	      "  web: writes parameters all slots; established flows outside the flow table move\n");
	/* another service takes a virtual address over, in a range */
	check(WEB("eth0", VIRTUAL TWO),
	      WEB("eth0", "\tvirtual 203.0.113.10 tcp port 80\n" TWO)
	      "balance more on eth0 {\n\tvirtual 203.0.113.10 tcp port 400-500\n\tforward ipip\n\tbackend 10.1.0.13\n}\n",
	      NULL, false,
	      "balance: 1 service added, 1 changed\n"
	      "  more: add service, forward ipip, table of 65537 slots\n"
	      "  more: add virtual 203.0.113.10 tcp port 400-500\n"
	      "  more: add backend 10.1.0.13 weight 1\n"
	      "  web: remove virtual 203.0.113.10 tcp port 443\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services),	   cmocka_unit_test(flows),
		cmocka_unit_test(set_at_run_time), cmocka_unit_test(first_policy),
		cmocka_unit_test(all_kinds),	   cmocka_unit_test(nothing),
		cmocka_unit_test(settings),	   cmocka_unit_test(globs),
		cmocka_unit_test(duplicates),	   cmocka_unit_test(long_lists),
		cmocka_unit_test(random_edits),	   cmocka_unit_test(large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
