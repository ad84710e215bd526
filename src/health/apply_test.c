// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sets of targets: what cannot be is refused with its sentence, and out of memory at any allocation changes nothing
 * and leaves nothing. calloc() and its kin are replaced for the whole program, but not under a sanitizer.
 */
#include <stdio.h>

#include "base/test.h"
#include "health/health.h"

static long left = -1; /* allocations before the one that fails; negative: none does */
static long live;

#if defined(__SANITIZE_ADDRESS__)
#define COUNTED false
#else
#define COUNTED true
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);
/* seen by the C library, too, whose strdup() is to count */
#pragma GCC visibility push(default)
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *reallocarray(void *p, size_t n, size_t size);
void free(void *p);
#pragma GCC visibility pop

static bool fails(void)
{
	if (left == 0) {
		errno = ENOMEM;
		return true;
	}
	left -= left > 0;
	return false;
}

static void *counted(void *p)
{
	live += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return fails() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	void *q = fails() ? NULL : __libc_realloc(p, n);

	live += q && !p;
	return q;
}

void *reallocarray(void *p, size_t n, size_t size)
{
	return size && n > SIZE_MAX / size ? NULL : realloc(p, n * size);
}

void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}
#endif

#define SECOND UINT64_C(1000000000)
#define LONG_NS (3600 * SECOND) /* nothing is probed while these run */

static struct health_probe a_probe(enum health_kind kind)
{
	return (struct health_probe){.kind = kind,
				     .interval_ns = LONG_NS,
				     .timeout_ns = SECOND,
				     .rise = 1,
				     .fall = 1};
}

static struct health_target a_target(uint64_t id, uint32_t probe)
{
	return (struct health_target){.id = id,
				      .probe = probe,
				      .port = 80,
				      .addr.bytes = {127, 0, 0, (uint8_t)(id + 1)}};
}

static const char *const argv[] = {"/bin/true", "x"};

static void some_probes(struct health_probe p[4])
{
	p[0] = a_probe(HEALTH_TCP);
	p[1] = a_probe(HEALTH_HTTP);
	p[1].path = "/a";
	p[1].host = "b";
	p[1].body = "c";
	p[2] = a_probe(HEALTH_COMMAND);
	p[2].argv = argv;
	p[2].n_argv = 2;
	p[3] = p[0]; /* the same: they share what is made of them */
}

static struct health *fresh(void)
{
	struct health *h;

	assert_int_equal(health_new(&(struct health_options){.max_flights = 16}, &h, NULL), 0);
	return h;
}

static void applied(struct health *h, const struct health_probe *p, const struct health_target *t, size_t n,
		    size_t added, size_t removed, size_t changed, size_t same)
{
	struct health_applied a;
	struct sluice_err err;

	assert_int_equal(health_apply(h, p, 4, t, n, &a, &err), 0);
	assert_int_equal(a.added, added);
	assert_int_equal(a.removed, removed);
	assert_int_equal(a.changed, changed);
	assert_int_equal(a.same, same);
}

static void test_difference(void **state)
{
	struct health_target t[40];
	struct health_probe p[4];
	struct health_look look;
	struct health *h = fresh();

	(void)state;
	some_probes(p);
	for (uint32_t i = 0; i < 40; i++)
		t[i] = a_target(39 - i, i % 4);
	applied(h, p, t, 40, 40, 0, 0, 0);
	applied(h, p, t, 40, 0, 0, 0, 40);
	/* another probe of the same values is no change, other values are */
	t[0].probe = 3;
	t[4].probe = 1;
	applied(h, p, t, 40, 0, 0, 1, 39);
	p[1].path = "/other";
	applied(h, p, t, 40, 0, 0, 11, 29);
	t[5].mark = 1;
	t[6].addr.bytes[0] = 128;
	snprintf(t[7].interface, sizeof(t[7].interface), "eth9");
	t[8].known = true; /* counts for new targets only */
	t[9].through.bytes[3] = 7;
	t[10].through_port = 6080;
	applied(h, p, t, 40, 0, 0, 5, 35);
	applied(h, p, t + 10, 20, 0, 20, 0, 20);
	assert_int_equal(health_look(h, 39, &look), -ENOENT);
	assert_int_equal(health_look(h, 29, &look), 0);
	assert_true(look.up && !look.proven);
	p[0].initially_down = p[3].initially_down = true;
	t[0].known_up = t[0].known = true;
	applied(h, p, t, 12, 10, 18, 1, 1);
	assert_int_equal(health_look(h, 39, &look), 0);
	assert_true(look.up);
	assert_int_equal(health_look(h, 38, &look), 0);
	assert_true(look.up);
	assert_int_equal(health_look(h, 36, &look), 0);
	assert_false(look.up);
	assert_int_equal(health_look(h, 28, &look), 0);
	assert_true(look.up); /* it was there before its probe began with down */
	assert_int_equal(health_look(h, 31, &look), 0);
	assert_false(look.up); /* t[8]: it was known as down */
	applied(h, p, NULL, 0, 0, 12, 0, 0);
	health_free(h);
}

static void refused(const struct health_probe *p, const struct health_target *t, size_t n, int code,
		    const char *sentence)
{
	struct sluice_err err = {0};
	struct health *h = fresh();

	assert_int_equal(health_apply(h, p, 1, t, n, NULL, &err), code);
	assert_string_equal(err.text, sentence);
	health_free(h);
}

#define REFUSE(kind, change, sentence)                   \
	do {                                             \
		struct health_probe p = a_probe(kind);   \
		struct health_target t = a_target(7, 0); \
		change;                                  \
		refused(&p, &t, 1, -EINVAL, sentence);   \
	} while (0)

static void test_refusals(void **state)
{
	static const char *const relative[] = {"true"};
	struct health_target two[] = {a_target(3, 0), a_target(3, 0)};
	struct health_probe good = a_probe(HEALTH_TCP);

	(void)state;
	REFUSE(HEALTH_TCP, p.interval_ns = 99 * SECOND / 1000, "probe 0: the interval is 100ms to 1h");
	REFUSE(HEALTH_TCP, p.timeout_ns = 61 * SECOND, "probe 0: the timeout is 10ms to 60s");
	REFUSE(HEALTH_TCP, p.fall = 0, "probe 0: rise and fall are 1 to 100");
	REFUSE(HEALTH_TCP, p.jitter = 51, "probe 0: jitter is at most 50 per cent");
	REFUSE(HEALTH_TCP, p.damp_cut = 2000,
	       "probe 0: damping ends below 2000, so it has to begin above that, not at 2000");
	REFUSE(HEALTH_HTTP, p.path = "a",
	       "probe 0: a path begins with '/', has no blanks and at most 1024 bytes");
	REFUSE(HEALTH_HTTP, p.path = "/a\r\nX: y",
	       "probe 0: a path begins with '/', has no blanks and at most 1024 bytes");
	REFUSE(HEALTH_HTTP, p.host = "a b", "probe 0: a host has no blanks and 1 to 1024 bytes");
	REFUSE(HEALTH_HTTP, p.body = "", "probe 0: what is looked for in a body has 1 to 255 bytes");
	REFUSE(HEALTH_HTTP, (p.body = "a", p.head = true), "probe 0: HEAD has no body to look into: use GET");
	REFUSE(HEALTH_HTTP, p.verify = true, "probe 0: certificates are there with https only");
	REFUSE(HEALTH_HTTP, p.n_status = 9, "probe 0: 9 ranges of statuses, at most 8 are possible");
	REFUSE(HEALTH_HTTP, (p.n_status = 1, p.status[0].lo = 300, p.status[0].hi = 200),
	       "probe 0: no status is in 300-200: 100 to 599 are possible");
	REFUSE(HEALTH_COMMAND, p.n_argv = 0, "probe 0: a command has 1 to 32 words, not 0");
	REFUSE(HEALTH_COMMAND, (p.argv = relative, p.n_argv = 1),
	       "probe 0: 'true' is no absolute path: no shell looks for it");
	REFUSE(HEALTH_TCP, t.probe = 1, "target 7: there is no probe 1");
	REFUSE(HEALTH_TCP, t.port = 0, "target 7, 127.0.0.8: no port to check: give the check one");
	REFUSE(HEALTH_ICMP, t.addr.bytes[0] = 224, "target 7, 224.0.0.8: that is no address of a host");
	REFUSE(HEALTH_ICMP, memset(t.addr.bytes, 0, 4), "target 7, 0.0.0.0: that is no address of a host");
	REFUSE(HEALTH_ICMP, (t.has_source = true, t.source.v6 = true),
	       "target 7, 127.0.0.8: the source is of the other family");
	refused(&good, two, 2, -EINVAL, "health checks: two targets have the id 3");
	refused(&good, two, HEALTH_TARGETS + 1, -ENOSPC,
		"health checks: 65537 targets, at most 65536 are possible");
}

static void test_no_memory(void **state)
{
	struct health_target t[20];
	struct health_probe p[4];
	struct health_look look;
	struct health *h;
	long before = live, n;
	int code;

	(void)state;
	if (!COUNTED)
		skip();
	for (n = 0, code = -ENOMEM; code; n++) {
		left = n;
		code = health_new(&(struct health_options){.max_flights = 16}, &h, NULL);
		left = -1;
		assert_true(!code || code == -ENOMEM);
		assert_true(code ? live == before && !h : h != NULL);
	}
	some_probes(p);
	for (uint32_t i = 0; i < 20; i++)
		t[i] = a_target(i, i % 4);
	applied(h, p, t, 10, 10, 0, 0, 0);
	p[1].path = "/other";
	before = live;
	for (n = 0, code = -ENOMEM; code; n++) {
		left = n;
		code = health_apply(h, p, 4, t + 5, 15, NULL, NULL);
		left = -1;
		assert_true(!code || code == -ENOMEM);
		if (!code)
			break;
		assert_int_equal(live, before);
		assert_int_equal(health_look(h, 0, &look), 0);
		assert_int_equal(health_look(h, 12, &look), -ENOENT);
	}
	assert_true(n > 15);
	assert_int_equal(health_look(h, 0, &look), -ENOENT);
	assert_int_equal(health_look(h, 12, &look), 0);
	health_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
