// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Timers: when they fire and in which order, what they may do, and what ends them. */
#include <bpf/btf.h>

#include "vm/helper_test.h"
#include "vm/timer.h"

#define SECOND 1000000000ull

/* A map whose value is {u64 count; struct bpf_timer t;}. */
static int timer_map(uint32_t type, uint32_t most)
{
	struct btf *btf = btf__new_empty();
	int u32_id = btf__add_int(btf, "u32", 4, 0), u64_id = btf__add_int(btf, "u64", 8, 0), timer, value,
	    btf_fd, fd;
	union bpf_attr a = {.btf = 0},
		       m = {.map_type = type, .key_size = 4, .value_size = 24, .max_entries = most};
	uint32_t bytes;

	timer = btf__add_struct(btf, "bpf_timer", 16);
	btf__add_field(btf, "a", u64_id, 0, 0);
	btf__add_field(btf, "b", u64_id, 64, 0);
	value = btf__add_struct(btf, "value", 24);
	btf__add_field(btf, "count", u64_id, 0, 0);
	btf__add_field(btf, "t", timer, 64, 0);
	a.btf = (uintptr_t)btf__raw_data(btf, &bytes);
	a.btf_size = bytes;
	btf_fd = (int)vm_bpf(vm, BPF_BTF_LOAD, &a, sizeof(a));
	assert_true(btf_fd >= 0);
	m.btf_fd = (uint32_t)btf_fd;
	m.btf_key_type_id = (uint32_t)u32_id;
	m.btf_value_type_id = (uint32_t)value;
	fd = (int)vm_bpf(vm, BPF_MAP_CREATE, &m, sizeof(m));
	assert_true(fd >= 0);
	close(btf_fd);
	btf__free(btf);
	return fd;
}

/* Puts the address of the timer of key K into r6, the value's into r7, or returns 99. */
#define FIND                                                                                                 \
	"*(u32 *)(r10 -4) = %d\nr1 = map[fd:%d]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr7 = r0\nr0 " \
	"= 99\nif r7 == 0x0 goto out\nr6 = r7\nr6 += 8\n"
#define COUNTS "f: r4 = *(u64 *)(r3 +0)\nr4 += 1\n*(u64 *)(r3 +0) = r4\nr0 = 0\nexit"

static int init(int map, int key)
{
	return load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nif r0 != 0x0 goto out\nr1 = "
			 "r6\nr2 = subprog[f]\ncall bpf_timer_set_callback\nout: exit\n" COUNTS,
		    key, map, map);
}

static int begin(int map, int key, const char *ns, int flags)
{
	return load(FIND "r1 = r6\nr2 = %s\nr3 = %d\ncall bpf_timer_start\nout: exit", key, map, ns, flags);
}

static int cancel(int map, int key)
{
	return load(FIND "r1 = r6\ncall bpf_timer_cancel\nout: exit", key, map);
}

static uint64_t count(int map, uint32_t key)
{
	uint64_t v[3] = {0};

	return get(map, key, v) ? UINT64_MAX : v[0];
}

static void add(int map, uint32_t key)
{
	const uint64_t v[3] = {0, 7, 7};

	assert_int_equal(put(map, key, v), 0);
}

static void at(uint64_t ns)
{
	char text[256];

	vm_set_clock(vm, ns);
	if (timer_run(&run))
		fail_msg("%s", vm_fault_text(&run.fault, text, sizeof(text)));
}

static void fires_of(uint32_t type)
{
	int map = timer_map(type, 4), go, p;

	vm_set_clock(vm, SECOND);
	if (type != BPF_MAP_TYPE_ARRAY)
		add(map, 1);
	go = begin(map, 1, "1000", 0);
	assert_int_equal(say(go), -EINVAL); /* not made */
	p = init(map, 1);
	assert_int_equal(say(p), 0);
	assert_int_equal(say(p), -EBUSY);
	assert_int_equal(say(go), 0);
	at(SECOND + 999);
	assert_int_equal(count(map, 1), 0);
	at(SECOND + 1000);
	assert_int_equal(count(map, 1), 1);
	at(SECOND + 5000);
	assert_int_equal(count(map, 1), 1);
	/* started twice it fires once, at the later time; absolute times, too */
	assert_int_equal(say(go), 0);
	assert_int_equal(say(begin(map, 1, "2000000000", 1)), 0);
	at(2 * SECOND - 1);
	assert_int_equal(count(map, 1), 1);
	at(9 * SECOND);
	assert_int_equal(count(map, 1), 2);
	assert_int_equal(say(begin(map, 1, "5", 4)), -EINVAL);
	/* cancelled: its callback is forgotten with it */
	assert_int_equal(say(go), 0);
	p = cancel(map, 1);
	assert_int_equal(say(p), 1);
	assert_int_equal(say(p), 0);
	at(20 * SECOND);
	assert_int_equal(count(map, 1), 2);
	assert_int_equal(say(go), -EINVAL);
	/* the value is written over: a new timer */
	assert_int_equal(say(init(map, 1)), -EBUSY);
	add(map, 1);
	assert_int_equal(say(go), -EINVAL);
	assert_int_equal(say(init(map, 1)), 0);
	assert_int_equal(say(go), 0);
	if (type != BPF_MAP_TYPE_ARRAY) {
		uint32_t key = 1;
		union bpf_attr a = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};

		assert_int_equal(vm_bpf(vm, BPF_MAP_DELETE_ELEM, &a, sizeof(a)), 0);
		at(30 * SECOND);
		add(map, 1);
		assert_int_equal(count(map, 1), 0);
		assert_int_equal(say(go), -EINVAL);
	}
}

static void fires(void **unused)
{
	(void)unused;
	fires_of(BPF_MAP_TYPE_ARRAY);
	fires_of(BPF_MAP_TYPE_HASH);
	fires_of(BPF_MAP_TYPE_LRU_HASH);
}

/* Thousands, in random order: each callback notes the time order in a common word. */
static void order(void **unused)
{
	int map = timer_map(BPF_MAP_TYPE_HASH, 5000), log_map = make_fd(BPF_MAP_TYPE_ARRAY, 4, 16, 1, 0),
	    start, i;
	uint64_t seen[2];

	(void)unused;
	/* key from the packet's bytes 0-3, nanoseconds from 4-7; the callback checks that the key it gets (=
	 * its time) grew */
	start = load("r6 = *(u32 *)(r1 +0)\nr8 = *(u32 *)(r6 +4)\nr9 = *(u32 *)(r6 +0)\n*(u32 *)(r10 -4) = "
		     "r9\n*(u64 *)(r10 -40) = 0\n*(u64 *)(r10 -32) = 0\n*(u64 *)(r10 -24) = 0\n"
		     "r1 = map[fd:%d]\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -40\nr4 = 0\ncall "
		     "bpf_map_update_elem\n"
		     "r1 = map[fd:%d]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0x0 goto "
		     "out\nr6 = r0\nr6 += 8\n"
		     "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nif r0 != 0x0 goto out\n"
		     "r1 = r6\nr2 = subprog[f]\ncall bpf_timer_set_callback\nif r0 != 0x0 goto out\nr1 = "
		     "r6\nr2 = r8\nr3 = 0\ncall bpf_timer_start\nout: exit\n"
		     "f: r1 = *(u32 *)(r2 +0)\nr4 = map[fd:%d]+0\nr5 = *(u64 *)(r4 +0)\nif r5 > r1 goto "
		     "bad\n*(u64 *)(r4 +0) = r1\nr5 = *(u64 *)(r4 +8)\nr5 += 1\n*(u64 *)(r4 +8) = r5\nbad: "
		     "r0 = 0\nexit",
		     map, map, map, log_map);
	vm_set_clock(vm, SECOND);
	for (i = 0; i < 4000; i++) {
		uint32_t key = 1 + (uint32_t)i * 1237 % 4001, word[2] = {key, key * 10};

		memcpy(&packet->frame[HELPER_HEADROOM], word, sizeof(word));
		assert_int_equal(say(start), 0);
	}
	at(SECOND + 20000);
	assert_int_equal(get(log_map, 0, seen), 0);
	assert_int_equal(seen[1], 2000);
	assert_int_equal(seen[0], 2000);
	at(SECOND + 2 * SECOND);
	assert_int_equal(get(log_map, 0, seen), 0);
	assert_int_equal(seen[1], 4000);
}

static void callbacks(void **unused)
{
	int map = timer_map(BPF_MAP_TYPE_HASH, 4), p, bad;
	char text[512];

	(void)unused;
	vm_set_clock(vm, SECOND);
	/* one that starts itself again, at once: still once a packet; it cannot cancel itself */
	add(map, 2);
	p = load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 7\ncall bpf_timer_init\nif r0 != 0x0 goto out\nr1 = "
		      "r6\nr2 = subprog[f]\ncall bpf_timer_set_callback\nr1 = r6\nr2 = 0\nr3 = 0\ncall "
		      "bpf_timer_start\nout: exit\n"
		      "f: r6 = r3\nr1 = r3\nr1 += 8\ncall bpf_timer_cancel\nr7 = r0\nr1 = r6\nr1 += 8\nr2 = "
		      "0\nr3 = 0\ncall bpf_timer_start\nr4 = *(u64 *)(r6 +0)\nr4 -= r7\n*(u64 *)(r6 +0) = "
		      "r4\nr0 = 0\nexit",
		 2, map, map);
	assert_int_equal(say(p), 0);
	at(SECOND);
	assert_int_equal(count(map, 2), EDEADLK);
	at(SECOND);
	assert_int_equal(count(map, 2), 2 * EDEADLK);
	assert_int_equal(say(cancel(map, 2)), 1);
	/* one that deletes its own element */
	add(map, 3);
	p = load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nr1 = r6\nr2 = subprog[f]\ncall "
		      "bpf_timer_set_callback\nr1 = r6\nr2 = 0\nr3 = 0\ncall bpf_timer_start\nout: exit\n"
		      "f: call bpf_map_delete_elem\nr0 = 0\nexit",
		 3, map, map);
	assert_int_equal(say(p), 0);
	at(SECOND);
	assert_int_equal(count(map, 3), UINT64_MAX);
	/* one that does what no program may: the fault is the caller's to tell */
	add(map, 3);
	bad = load(FIND
		   "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nr1 = r6\nr2 = subprog[f]\ncall "
		   "bpf_timer_set_callback\nr1 = r6\nr2 = 0\nr3 = 0\ncall bpf_timer_start\nout: exit\n"
		   "f: r0 = *(u64 *)(r3 +24)\nexit",
		   3, map, map);
	assert_int_equal(say(bad), 0);
	assert_int_equal(timer_run(&run), -EFAULT);
	assert_non_null(strstr(vm_fault_text(&run.fault, text, sizeof(text)), "reads 8 bytes"));
	/* neither context nor packet are its: their helpers find no context */
	add(map, 3);
	p = load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nr1 = r6\nr2 = subprog[f]\ncall "
		      "bpf_timer_set_callback\nr1 = r6\nr2 = 0\nr3 = 0\ncall bpf_timer_start\nout: exit\n"
		      "f: r1 = 0\ncall bpf_xdp_get_buff_len\nr0 = 0\nexit",
		 3, map, map);
	assert_int_equal(say(p), 0);
	assert_int_equal(timer_run(&run), -EFAULT);
	assert_non_null(strstr(vm_fault_text(&run.fault, text, sizeof(text)),
			       "argument 1 of xdp_get_buff_len must be the context"));
}

static void bad_arguments(void **unused)
{
	int map = timer_map(BPF_MAP_TYPE_HASH, 4), plain = make_fd(BPF_MAP_TYPE_HASH, 4, 24, 4, 0);

	(void)unused;
	add(map, 1);
	add(plain, 1);
	assert_int_equal(say(load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 2\ncall bpf_timer_init\nout: exit", 1,
				  map, map)),
			 -EINVAL);
	assert_int_equal(say(load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 17\ncall bpf_timer_init\nout: exit", 1,
				  map, map)),
			 -EINVAL);
	assert_non_null(
		strstr(fault(load(FIND "r1 = r7\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nout: exit", 1,
				  map, map)),
		       "that is no timer in a value of the map"));
	assert_non_null(
		strstr(fault(load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nout: exit", 1,
				  map, plain)),
		       "that is no timer in a value of the map"));
	assert_non_null(
		strstr(fault(load(FIND "r1 = r6\nr2 = map[fd:%d]\nr3 = 1\ncall bpf_timer_init\nout: exit", 1,
				  plain, plain)),
		       "that is no timer in a value of the map"));
	assert_non_null(strstr(fault(load("r1 = 0\nr2 = 5\ncall bpf_timer_set_callback\nexit")),
			       "argument 2 of timer_set_callback must be a function of the program"));
	assert_int_equal(say(load("r1 = 0\ncall bpf_timer_cancel\nexit")), -EINVAL);
}

/* A program that nobody holds takes its callbacks with it; a map its timers. */
static void what_goes(void **unused)
{
	int map = timer_map(BPF_MAP_TYPE_HASH, 4), p;

	(void)unused;
	vm_set_clock(vm, SECOND);
	add(map, 1);
	p = init(map, 1);
	assert_int_equal(say(p), 0);
	assert_int_equal(say(begin(map, 1, "10", 0)), 0);
	close(p);
	make_fd(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0); /* which sweeps */
	at(2 * SECOND);
	assert_int_equal(count(map, 1), 0);
	close(map);
	make_fd(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
	at(3 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fires, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(order, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(callbacks, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(bad_arguments, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(what_goes, fixture_new, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
