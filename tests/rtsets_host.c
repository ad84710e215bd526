// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run-time sets on the user-space engine: made, opened, filled to the brim, carried over, damaged. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"
#include "base/test_without.h"
#include "bpf/seam.h"
#include "control/sets_watch.h"
#include "vm/vm.h"

static struct vm *vm;

static int start(void **state)
{
	struct vm_config config = {.n_cpus = 2};

	(void)state;
	if (vm_new(&config, &vm, NULL))
		return -1;
	seam_engine(vm);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	seam_engine(NULL);
	vm_free(vm);
	return 0;
}

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)max, (void)err;
	buf_printf(to, "%s", strstr(path, ".netset") ? "10.1.0.0/16\n2001:db8::1\n" : (const char *)ctx);
	return 0;
}

#define MANY 100000u

struct made {
	struct policy *p;
	struct filter_sets *plan;
	struct control_sets *sets;
	int fd;
};

static struct made make(const char *text, int before)
{
	struct policy_files files = {read_text, (void *)(uintptr_t)text};
	struct sluice_err err = {0};
	struct made m;

	assert_int_equal(policy_read("/etc/sluice/sluice.conf", &files, &m.p, &err), 0);
	assert_int_equal(filter_sets_plan(m.p, &m.plan, &err), 0);
	assert_int_equal(control_sets_make(m.plan, before, &m.fd, &err), 0);
	m.sets = NULL;
	if (m.fd >= 0)
		assert_int_equal(control_sets_open(m.fd, &m.sets, &err), 0);
	return m;
}

static void drop(struct made *m)
{
	control_sets_close(m->sets);
	if (m->fd >= 0)
		close(m->fd);
	filter_sets_free(m->plan);
	policy_free(m->p);
}

static struct sets_elem addr4(uint32_t a, uint8_t len, uint32_t expires)
{
	return (struct sets_elem){.lo = a, .len = len, .expires = expires};
}

static const char *const policy =
	"set a { 192.0.2.1 } timeout 10m counters\n"
	"set b from \"b.netset\"\n"
	"set c { } size 3000\n"
	"set d { 203.0.113.0/24 }\n"
	"filter on eth0 {\n drop from { @a, @d }\n drop from not @b\n drop to @c\n}\n";

static void which_and_how(void **state)
{
	struct made m = make(policy, -1), none;
	struct control_set set;
	struct sluice_err err;
	uint32_t nr;

	(void)state;
	/* three, and the constants beside @a */
	assert_int_equal(control_sets_n(m.sets), 4);
	assert_int_equal(control_sets_find(m.sets, "b", &nr, &err), 0);
	assert_int_equal(control_sets_get(m.sets, nr, &set, &err), 0);
	assert_string_equal(set.file, "/etc/sluice/b.netset");
	assert_int_equal(set.n[0], 1);
	assert_int_equal(set.n[1], 1);
	assert_false(set.expires);
	assert_int_equal(control_sets_find(m.sets, "a", &nr, &err), 0);
	assert_int_equal(control_sets_get(m.sets, nr, &set, &err), 0);
	assert_int_equal(set.timeout, 600);
	assert_true(set.expires && set.counts && !set.file && !set.size);
	assert_int_equal(control_sets_find(m.sets, "d", &nr, &err), -ENOENT);
	assert_string_equal(err.text,
			    "no set 'd' changes at run time; those do that have a file, timeout, size or "
			    "counters, or are empty");
	none = make("set d { 203.0.113.0/24 }\nfilter on eth0 {\n drop from @d\n}\n", -1);
	assert_int_equal(none.fd, -1);
	drop(&none);
	drop(&m);
}

static void full(void **state)
{
	struct made m = make(policy, -1);
	enum control_added what;
	struct sluice_err err;
	struct sets_elem e;
	uint64_t n;
	uint32_t nr, i;

	(void)state;
	assert_int_equal(control_sets_find(m.sets, "c", &nr, &err), 0);
	/* a third of them prefixes: more than there was room for */
	for (i = 0; i < 3000; i++) {
		e = i % 3 ? addr4(0x0a000000 + i, 32, i % 5 ? 0 : 100) : addr4(0x14000000 + i * 256, 24, 0);
		assert_int_equal(control_sets_add(m.sets, nr, false, &e, 50, &what, &err), 0);
		assert_int_equal(what, CONTROL_ADDED);
	}
	e = addr4(1, 32, 0);
	assert_int_equal(control_sets_add(m.sets, nr, false, &e, 50, &what, &err), -ENOSPC);
	assert_string_equal(err.text,
			    "set 'c' is full: it has the 3000 elements of its size; write a larger size into "
			    "the policy and apply it");
	/* what has expired makes room */
	assert_int_equal(control_sets_add(m.sets, nr, false, &e, 100, &what, &err), 0);
	assert_int_equal(control_sets_flush(m.sets, nr, &n, &err), 0);
	assert_int_equal(n, 3001 - 400);
	drop(&m);
}

/* A set without a size has as much room as its memory has, and says what to do when that ends. */
static void grows(void **state)
{
	struct made m = make("set a { } timeout 10m\nfilter on eth0 {\n drop from @a\n}\n", -1);
	enum control_added what;
	struct sets_elem e, found;
	struct sluice_err err;
	uint32_t nr, i, n = 0;
	int rc = 0;

	(void)state;
	assert_int_equal(control_sets_find(m.sets, "a", &nr, &err), 0);
	for (i = 0; i < 400000 && !rc; i++) {
		e = addr4(i * 7919, 32, 1000);
		rc = control_sets_add(m.sets, nr, false, &e, 1, &what, &err);
		n += !rc;
	}
	assert_int_equal(rc, -ENOSPC);
	assert_string_equal(err.text, "set 'a' is full; give it a size in the policy (size 1M) and apply it");
	if (n < 4 * FILTER_SETS_ROOM)
		fail_msg("full at %u", n);
	for (i = 0; i < n; i++) {
		assert_int_equal(control_sets_test(m.sets, nr, false, 0, i * 7919, 1, &found, NULL, &err), 0);
		assert_int_equal(found.expires, 1000);
	}
	drop(&m);
}

#define TIMED "set a { } timeout 10m\nfilter on eth0 {\n drop from @a\n}\n"

/* Without anybody who sweeps: what has expired makes room before a set grows. */
static void reused(void **state)
{
	struct made m = make(TIMED, -1);
	struct control_set before, after;
	enum control_added what;
	struct sluice_err err;
	struct sets_elem e;
	uint32_t i;

	(void)state;
	assert_int_equal(control_sets_get(m.sets, 0, &before, &err), 0);
	for (i = 0; i < 10 * FILTER_SETS_ROOM; i++) { /* a new one every second, each for ten minutes */
		e = addr4(0x0a000000 + i, 32, i + 601);
		assert_int_equal(control_sets_add(m.sets, 0, false, &e, i + 1, &what, &err), 0);
		e = addr4(0x14000000 + i * 256, 24, i + 601);
		assert_int_equal(control_sets_add(m.sets, 0, false, &e, i + 1, &what, &err), 0);
	}
	assert_int_equal(control_sets_get(m.sets, 0, &after, &err), 0);
	assert_int_equal(after.bytes, before.bytes);
	drop(&m);
}

/* Adds what has expired long ago, until there are n or the set has grown; how many that were. */
static uint32_t add_expired(struct made *m, uint32_t n)
{
	struct control_set before, after;
	enum control_added what;
	struct sluice_err err;
	struct sets_elem e;
	uint32_t i;

	assert_int_equal(control_sets_get(m->sets, 0, &before, &err), 0);
	for (i = 0; i < n; i++) {
		e = addr4(0x1e000000 + i, 32, 1);
		assert_int_equal(control_sets_add(m->sets, 0, false, &e, 0, &what, &err), 0);
		assert_int_equal(control_sets_get(m->sets, 0, &after, &err), 0);
		if (after.bytes != before.bytes)
			break;
	}
	return i;
}

/* The same of a list. How many addresses have room follows from the seeds a little. */
static void reused_by_a_list(void **state)
{
	struct made m = make(TIMED, -1), probe = make(TIMED, -1);
	uint32_t i, room = add_expired(&probe, MANY);
	struct filter_elems elems[2] = {{calloc(MANY, sizeof(struct sets_elem)), room / 2}, {NULL, 0}};
	struct control_set before, after;
	struct sets_change done;
	struct sluice_err err;

	(void)state;
	drop(&probe);
	assert_non_null(elems[0].v);
	assert_in_range(room, FILTER_SETS_ROOM, MANY - 1);
	for (i = 0; i < room / 2; i++)
		elems[0].v[i] = addr4(0x28000000 + i, 32, 0);
	assert_int_equal(control_sets_get(m.sets, 0, &before, &err), 0);
	assert_int_equal(add_expired(&m, room / 10 * 8), room / 10 * 8);
	assert_int_equal(control_sets_load(m.sets, 0, elems, &done, &err), 0);
	assert_int_equal(done.added, room / 2);
	assert_int_equal(done.kept, 0);
	assert_int_equal(control_sets_get(m.sets, 0, &after, &err), 0);
	assert_int_equal(after.bytes, before.bytes);
	assert_true(after.n[0] < room / 10 * 8 + room / 2);
	free(elems[0].v);
	drop(&m);
}

/* A list that the set has to grow for is counted as any other. */
static void counted(void **state)
{
	struct made m = make("set a { }\nfilter on eth0 {\n drop from @a\n}\n", -1);
	struct filter_elems elems[2] = {{calloc(MANY, sizeof(struct sets_elem)), MANY}, {NULL, 0}};
	struct sets_change done;
	struct sluice_err err;
	uint32_t i;

	(void)state;
	assert_non_null(elems[0].v);
	for (i = 0; i < MANY; i++)
		elems[0].v[i] = addr4(0x0a000000 + i, 32, 0);
	assert_int_equal(control_sets_load(m.sets, 0, elems, &done, &err), 0);
	assert_int_equal(done.added, MANY);
	assert_int_equal(done.removed, 0);
	assert_int_equal(done.kept, 0);
	elems[0].n = MANY / 2;
	assert_int_equal(control_sets_load(m.sets, 0, elems, &done, &err), 0);
	assert_int_equal(done.added, 0);
	assert_int_equal(done.removed, MANY - MANY / 2);
	assert_int_equal(done.kept, MANY / 2);
	free(elems[0].v);
	drop(&m);
}

/* What came at run time has room in the next policy's memory, and more comes. */
static void room(void **state)
{
	const char *text = "set a { } timeout 10m\nfilter on eth0 {\n drop from @a\n}\n";
	struct made m = make("set a { } timeout 10m size 200k\nfilter on eth0 {\n drop from @a\n}\n", -1),
		    next = {.fd = -1};
	struct policy_files files = {read_text, (void *)(uintptr_t)text};
	uint32_t now = control_sets_now(), i, round;
	enum control_added what;
	struct control_set set;
	struct sluice_err err;
	struct sets_elem e;

	(void)state;
	for (i = 0; i < MANY; i++) { /* a third of them prefixes of any length */
		e = i % 3 ? addr4(0x0a000000 + i, 32, now + 1000)
			  : addr4(0x14000000 + i * 256, 24 + i % 5, now + 1000);
		assert_int_equal(control_sets_add(m.sets, 0, false, &e, now, &what, &err), 0);
	}
	for (round = 0; round < 2; round++) {
		assert_int_equal(policy_read("/etc/sluice/sluice.conf", &files, &next.p, &err), 0);
		assert_int_equal(filter_sets_plan(next.p, &next.plan, &err), 0);
		assert_int_equal(control_sets_room(next.plan, m.fd, -1, &err), 0);
		assert_int_equal(control_sets_make(next.plan, m.fd, &next.fd, &err), 0);
		assert_int_equal(control_sets_open(next.fd, &next.sets, &err), 0);
		assert_int_equal(control_sets_get(next.sets, 0, &set, &err), 0);
		assert_int_equal(set.n[0], MANY);
		drop(&m);
		m = next;
		next = (struct made){.fd = -1};
	}
	for (; i < MANY + MANY / 4; i++) {
		e = addr4(0x0a000000 + i, 32, now + 1000);
		assert_int_equal(control_sets_add(m.sets, 0, false, &e, now, &what, &err), 0);
	}
	drop(&m);
}

static void carried(void **state)
{
	struct made m = make(policy, -1), next;
	uint32_t now = control_sets_now(), nr;
	struct set_count counts;
	enum control_added what;
	struct sluice_err err;
	struct sets_elem e, found;

	(void)state;
	assert_int_equal(control_sets_find(m.sets, "a", &nr, &err), 0);
	e = addr4(0x01020304, 32, now + 500);
	assert_int_equal(control_sets_add(m.sets, nr, false, &e, now, &what, &err), 0);
	e = addr4(0x01030000, 16, 0);
	assert_int_equal(control_sets_add(m.sets, nr, false, &e, now, &what, &err), 0);
	e = addr4(0x01020305, 32, now - 1);
	assert_int_equal(control_sets_add(m.sets, nr, false, &e, now, &what, &err), 0);
	assert_int_equal(control_sets_find(m.sets, "b", &nr, &err), 0);
	e = addr4(0x01020304, 32, 0);
	assert_int_equal(control_sets_add(m.sets, nr, false, &e, now, &what, &err), 0);
	control_sets_close(m.sets);
	m.sets = NULL;
	/* other constants: those of before go, what was put in stays */
	next = make("set a { 192.0.2.9 } timeout 1h counters\nset b from \"b.netset\"\n"
		    "filter on eth0 {\n drop from @a\n drop from @b\n}\n",
		    m.fd);
	assert_int_equal(control_sets_find(next.sets, "a", &nr, &err), 0);
	assert_int_equal(control_sets_test(next.sets, nr, false, 0, 0x01020304, now, &found, &counts, &err),
			 0);
	assert_int_equal(found.expires, now + 500);
	assert_int_equal(control_sets_test(next.sets, nr, false, 0, 0x0103ffff, now, &found, &counts, &err),
			 0);
	assert_int_equal(found.len, 16);
	assert_int_equal(control_sets_test(next.sets, nr, false, 0, 0xc0000209, now, &found, &counts, &err),
			 0);
	assert_int_equal(control_sets_test(next.sets, nr, false, 0, 0xc0000201, now, &found, &counts, &err),
			 -ENOENT);
	assert_int_equal(control_sets_test(next.sets, nr, false, 0, 0x01020305, now, &found, &counts, &err),
			 -ENOENT);
	/* a file says itself what is in its set */
	assert_int_equal(control_sets_find(next.sets, "b", &nr, &err), 0);
	assert_int_equal(control_sets_test(next.sets, nr, false, 0, 0x01020304, now, &found, &counts, &err),
			 -ENOENT);
	drop(&next);
	drop(&m);
}

/* What was added stays beyond a smaller size, and keeps a policy out that has no memory for it. */
static void smaller(void **state)
{
	struct made m = make("set a { } size 400000\nfilter on eth0 {\n drop from @a\n}\n", -1), next;
	uint32_t now = control_sets_now(), nr, i;
	enum control_added what;
	struct sluice_err err;
	struct control_set set;
	struct policy_files files = {read_text, (void *)(uintptr_t)"set a { } size 4\nfilter on eth0 {\n drop from @a\n}\n"};
	struct sets_elem e;
	int rc;

	(void)state;
	assert_int_equal(control_sets_find(m.sets, "a", &nr, &err), 0);
	for (i = 0; i < 400000; i++) {
		e = addr4(i * 7919, 32, 0);
		assert_int_equal(control_sets_add(m.sets, nr, false, &e, now, &what, &err), 0);
		if (i != 4)
			continue;
		next = make("set a { } size 4\nfilter on eth0 {\n drop from @a\n}\n", m.fd);
		assert_int_equal(control_sets_get(next.sets, 0, &set, &err), 0);
		assert_int_equal(set.n[0], 5);
		assert_int_equal(set.size, 4);
		assert_int_equal(control_sets_add(next.sets, 0, false, &(struct sets_elem){.lo = 1, .len = 32}, now, &what, &err),
				 -ENOSPC);
		drop(&next);
	}
	assert_int_equal(policy_read("/etc/sluice/sluice.conf", &files, &next.p, &err), 0);
	assert_int_equal(filter_sets_plan(next.p, &next.plan, &err), 0);
	rc = control_sets_make(next.plan, m.fd, &next.fd, &err);
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(next.fd, -1);
	assert_non_null(strstr(err.text, "set 'a' has a size of 4, and no room for "));
	assert_non_null(strstr(err.text, " elements that were added to it at run time; write a larger size into the policy, or "
					 "take them out first: sluice set flush a"));
	next.sets = NULL;
	drop(&next);
	drop(&m);
}

/* Elements come and go in a child whose kernel has no membarrier(2): 0, or what went wrong. */
static int churn(struct made *m)
{
	struct control_set before, after;
	enum control_added what;
	struct sluice_err err;
	struct sets_elem e;
	uint32_t i;

	if (control_sets_get(m->sets, 0, &before, &err))
		return 1;
	for (i = 0; i < 10 * FILTER_SETS_ROOM; i++) {
		e = (struct sets_elem){.hi = 7, .lo = i, .len = 128};
		if (control_sets_add(m->sets, 0, true, &e, 1, &what, &err) ||
		    control_sets_del(m->sets, 0, true, &e, 1, &err))
			return 2;
	}
	return control_sets_get(m->sets, 0, &after, &err) || after.bytes != before.bytes ? 3 : 0;
}

/* Nothing to wait with: a set that grows says so, and has what it had. */
static int cannot_wait(struct made *m)
{
	struct sets_elem e = {.hi = 7, .len = 128}, found;
	enum control_added what;
	struct sluice_err err;
	int rc = 0;

	for (e.lo = 0; !rc && e.lo < 10 * FILTER_SETS_ROOM; e.lo++)
		rc = control_sets_add(m->sets, 0, true, &e, 1, &what, &err);
	if (rc != -EPERM ||
	    strcmp(err.text, "set 'a' grew: creating a map to wait for running programs with: "
			     "Operation not permitted") != 0)
		return 1;
	for (e.lo--; e.lo--;)
		if (control_sets_test(m->sets, 0, true, 7, e.lo, 1, &found, NULL, &err))
			return 2;
	return 0;
}

static void no_membarrier(void **state)
{
	int (*const what[2])(struct made * m) = {churn, cannot_wait};
	const uint32_t other[2] = {__NR_membarrier, __NR_bpf};
	int i, status;
	struct made m;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	for (i = 0; i < 2; i++) {
		pid = fork();
		if (!pid) {
			seam_engine(NULL); /* in the kernel */
			m = make("set a { } timeout 10m\nfilter on eth0 {\n drop from @a\n}\n", -1);
			_exit(test_without(__NR_membarrier, other[i], EPERM) ? 77 : what[i](&m));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			skip();
		if (WEXITSTATUS(status))
			fail_msg("%d: %d", i, WEXITSTATUS(status));
	}
}

/* Every byte of the directory, and the heads of blocks, damaged in turn: an error or an answer, no fault. */
static void damaged(void **state)
{
	struct made m = make(policy, -1);
	size_t bytes = m.plan->bytes, dir = (size_t)m.plan->blocks * SET_LINE, i, step;
	struct control_elem *v;
	struct control_sets *s;
	struct control_set set;
	struct sluice_err err;
	uint32_t nr, refused = 0;
	uint8_t *mem, kept;
	size_t n;

	(void)state;
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	assert_true(mem != MAP_FAILED);
	for (i = 0; i < dir + 256; i += step) {
		step = i < 640 || i >= dir ? 1 : 509;
		kept = mem[i];
		mem[i] ^= 0xff;
		if (control_sets_open(m.fd, &s, &err)) {
			assert_int_equal(err.code, -EBADMSG);
			refused++;
		}
		for (nr = 0; s && nr < control_sets_n(s); nr++) {
			if (control_sets_get(s, nr, &set, &err)) {
				assert_int_equal(err.code, -EBADMSG);
				refused++;
				continue;
			}
			if (control_sets_list(s, nr, false, 1, &v, &n, &err)) {
				assert_int_equal(err.code, -EBADMSG);
				refused++;
			}
			free(v);
		}
		control_sets_close(s);
		mem[i] = kept;
	}
	assert_true(refused > 200);
	munmap(mem, bytes);
	drop(&m);
}

static void notifies(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), n;
	char name[64], got[64] = "";
	struct sluice_err err;

	(void)state;
	n = snprintf(name, sizeof(name), "@sluice-test-%d", (int)getpid());
	memcpy(at.sun_path + 1, name + 1, (size_t)n - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
			 0);
	assert_int_equal(control_watch_notify(name, "READY=1", &err), 0);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
	assert_string_equal(got, "READY=1");
	close(fd);
	assert_int_equal(control_watch_notify("", "READY=1", &err), 0);
	assert_int_equal(control_watch_notify(NULL, "READY=1", &err), 0);
	assert_int_equal(control_watch_notify("x", "READY=1", &err), -EINVAL);
	assert_string_equal(err.text, "NOTIFY_SOCKET 'x' is neither a path nor @NAME");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_and_how), cmocka_unit_test(full),
		cmocka_unit_test(grows),	 cmocka_unit_test(counted),
		cmocka_unit_test(room),		 cmocka_unit_test(carried),
		cmocka_unit_test(smaller),	 cmocka_unit_test(damaged),
		cmocka_unit_test(notifies),	 cmocka_unit_test(no_membarrier),
		cmocka_unit_test(reused),	 cmocka_unit_test(reused_by_a_list),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
