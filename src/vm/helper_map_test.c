// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Helpers on maps: what programs may only read, walks with a callback that deletes, values of other CPUs,
 * locks, cookies. */
#include <pthread.h>
#include <sys/ioctl.h>
#include <linux/perf_event.h>

#include "vm/helper_fn.h"
#include "vm/helper_test.h"

#define UPDATE "*(u64 *)(r10 -8) = 0\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -8\nr4 = 0\n"

static void read_only(void **unused)
{
	int fd = make_fd(BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_RDONLY_PROG),
	    rw = make_fd(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
	char text[512];

	(void)unused;
	snprintf(text, sizeof(text), UPDATE "r1 = map[fd:%d]\nr5 = 1\ncall bpf_map_update_elem\nexit", fd);
	assert_int_equal(load_as(text, BPF_PROG_TYPE_XDP, BPF_XDP, "GPL"), -EACCES);
	assert_string_equal(load_log, "instruction 9: bpf_map_update_elem writes into map , which programs "
				      "may only read\n");
	snprintf(text, sizeof(text), "r1 = map[fd:%d]\n" UPDATE "call bpf_map_delete_elem\nexit", fd);
	assert_int_equal(load_as(text, BPF_PROG_TYPE_XDP, BPF_XDP, "GPL"), -EACCES);
	/* another map by another way: not before it runs */
	assert_non_null(strstr(fault(load(UPDATE "r1 = map[fd:%d]\nif r10 != 0x0 goto +2\nr1 = "
						 "map[fd:%d]\ncall bpf_map_update_elem\nexit",
					  fd, rw)),
			       "writes into a map that programs may only read"));
	assert_non_null(
		strstr(fault(load(UPDATE "r6 = map[fd:%d]\nr1 = r6\ncall bpf_map_update_elem\nexit", fd)),
		       "writes into a map that programs may only read"));
	assert_int_equal(say(load(UPDATE "r1 = map[fd:%d]\nif r10 == 0x0 goto +2\nr1 = map[fd:%d]\ncall "
					 "bpf_map_update_elem\nexit",
				  fd, rw)),
			 0);
	/* values: neither by store, nor by load where they may only be written */
	assert_non_null(
		strstr(fault(load("r1 = map[fd:%d]+0\n*(u32 *)(r1 +0) = 1\nexit", fd)), "writes 4 bytes"));
	assert_int_equal(say(load("r1 = map[fd:%d]+0\nr0 = *(u32 *)(r1 +0)\nexit", fd)), 0);
	fd = make_fd(BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_WRONLY_PROG);
	assert_non_null(
		strstr(fault(load("r1 = map[fd:%d]+0\nr0 = *(u32 *)(r1 +0)\nexit", fd)), "reads 4 bytes"));
	assert_non_null(strstr(fault(load("r3 = map[fd:%d]+0\nr1 = r10\nr1 += -4\nr2 = 4\nr3 = "
					  "map[fd:%d]+0\ncall bpf_strncmp\nexit",
					  fd, fd)),
			       "argument 3 of strncmp"));
	assert_int_equal(say(load("r1 = map[fd:%d]+0\n*(u32 *)(r1 +0) = 7\nr0 = 5\nexit", fd)), 5);
}

/* The callback deletes keys below 500; each element is shown once. */
static void walk_of(uint32_t type)
{
	int fd = make_fd(type, 4, 8, 1000, 0), prog;
	uint64_t values[16] = {1};
	uint32_t i;

	for (i = 0; i < 1000; i++)
		assert_int_equal(put(fd, i, values), 0);
	prog = load("*(u64 *)(r10 -8) = 0\nr1 = map[fd:%d]\nr2 = subprog[f]\nr3 = r10\nr3 += -8\nr4 = "
		    "0\ncall bpf_for_each_map_elem\n"
		    "r1 = *(u64 *)(r10 -8)\nr0 *= 10000\nr0 += r1\nexit\n"
		    "f: r6 = *(u64 *)(r4 +0)\nr6 += 1\n*(u64 *)(r4 +0) = r6\nr6 = *(u32 *)(r2 +0)\nr0 = 0\n"
		    "if r6 > 0x1f3 goto out\nr7 = *(u64 *)(r3 +0)\nif r7 != 0x1 goto out\n"
		    "*(u32 *)(r10 -4) = r6\nr2 = r10\nr2 += -4\ncall bpf_map_delete_elem\nr0 = 0\nout: exit",
		    fd);
	assert_int_equal(say(prog), 1000 * 10000 + 1000);
	if (type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH)
		assert_int_equal(say(prog), 500 * 10000 + 500);
	/* it may stop */
	prog = load("r1 = map[fd:%d]\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem\nexit\nf: "
		    "r0 = 1\nexit",
		    fd);
	assert_int_equal(say(prog), 1);
	prog = load("r1 = map[fd:%d]\nr2 = subprog[f]\nr3 = 0\nr4 = 1\ncall bpf_for_each_map_elem\nexit\nf: "
		    "r0 = 1\nexit",
		    fd);
	assert_int_equal(say(prog), -EINVAL);
	/* its key is not the callback's to change */
	prog = load("r1 = map[fd:%d]\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem\nexit\nf: "
		    "*(u32 *)(r2 +0) = 1\nr0 = 0\nexit",
		    fd);
	assert_non_null(strstr(fault(prog), "writes 4 bytes"));
}

static void walks(void **unused)
{
	static const uint32_t types[] = {BPF_MAP_TYPE_HASH,	   BPF_MAP_TYPE_LRU_HASH,
					 BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH,
					 BPF_MAP_TYPE_ARRAY,	   BPF_MAP_TYPE_PERCPU_ARRAY};
	size_t i;
	int fd = make_fd(BPF_MAP_TYPE_QUEUE, 0, 4, 4, 0);

	(void)unused;
	for (i = 0; i < 6; i++)
		walk_of(types[i]);
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]\nr2 = subprog[f]\nr3 = 0\nr4 = 0\ncall "
					  "bpf_for_each_map_elem\nexit\nf: r0 = 0\nexit",
					  fd)),
			       "walks over a map that is neither an array nor a hash table"));
	assert_non_null(
		strstr(fault(load("r1 = map[fd:%d]\nr2 = 5\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem\nexit",
				  fd)),
		       "argument 2 of for_each_map_elem must be a function of the program"));
}

static void other_cpus(void **unused)
{
	int fd = make_fd(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2, 0),
	    plain = make_fd(BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0);
	static const char text[] = "*(u32 *)(r10 -4) = 1\nr1 = map[fd:%d]\nr2 = r10\nr2 += -4\nr3 = %d\ncall "
				   "bpf_map_lookup_percpu_elem\n"
				   "if r0 == 0x0 goto out\nr0 = *(u64 *)(r0 +0)\nout: exit";
	const uint64_t values[2] = {70, 71};

	(void)unused;
	assert_int_equal(put(fd, 1, values), 0);
	assert_int_equal(say(load(text, fd, 0)), 70);
	assert_int_equal(say(load(text, fd, 1)), 71);
	assert_int_equal(say(load(text, fd, 2)), 0);
	assert_int_equal(say(load(text, fd, -1)), 0);
	assert_int_equal(say(load(text, plain, 0)), 0);
}

struct thread {
	pthread_t id;
	struct vm_program *prog;
	struct vm_packet packet;
	uint64_t bad;
};

#define TURNS 20000

static void *turn(void *arg)
{
	struct thread *t = arg;
	struct vm_host h = {.vm = vm, .packet = &t->packet, .random = 1};
	struct vm_run *r = malloc(sizeof(*r));
	uint64_t ret;
	int i;

	vm_run_init(r, &prog_env, &h);
	for (i = 0; i < TURNS; i++) {
		r->budget = VM_BUDGET;
		t->bad += vm_exec(r, t->prog->code, 0, 0, &ret) != 0 || ret != 0;
	}
	free(r);
	return NULL;
}

/* Four threads move a sum between two words that only a lock keeps together. */
static void locks(void **unused)
{
	int fd = make_fd(BPF_MAP_TYPE_ARRAY, 4, 24, 1, 0), prog, i;
	uint64_t value[3] = {0, 1000, 0};
	struct thread t[4] = {{.bad = 0}};
	struct obj *obj;

	(void)unused;
	assert_int_equal(put(fd, 0, value), 0);
	prog = load("r6 = map[fd:%d]+0\nr1 = r6\ncall bpf_spin_lock\n"
		    "r7 = *(u64 *)(r6 +8)\nr8 = *(u64 *)(r6 +16)\nr9 = r7\nr9 += r8\nr9 -= 1000\n"
		    "r7 -= 1\nr8 += 1\n*(u64 *)(r6 +8) = r7\n*(u64 *)(r6 +16) = r8\nr1 = r6\ncall "
		    "bpf_spin_unlock\nr0 = r9\nexit",
		    fd);
	assert_int_equal(obj_of_fd(vm, prog, OBJ_PROG, &obj), 0);
	for (i = 0; i < 4; i++) {
		t[i].prog = (struct vm_program *)obj;
		assert_int_equal(pthread_create(&t[i].id, NULL, turn, &t[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i].id, NULL);
		assert_int_equal(t[i].bad, 0);
	}
	obj_put(obj);
	assert_int_equal(get(fd, 0, value), 0);
	assert_int_equal((int64_t)value[1], 1000 - 4 * TURNS);
	assert_int_equal(value[2], 4 * TURNS);
	assert_int_equal((uint32_t)value[0], 0);
	/* none is kept, none is waited for for ever */
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+0\ncall bpf_spin_lock\nr1 = map[fd:%d]+0\ncall "
					  "bpf_spin_lock\nexit",
					  fd, fd)),
			       "takes a lock while it holds one"));
	helper_give_back(&host);
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+0\ncall bpf_spin_unlock\nexit", fd)),
			       "gives back a lock that it does not hold"));
	assert_int_equal(say(load("r1 = map[fd:%d]+0\ncall bpf_spin_lock\nr0 = 0\nexit", fd)), 0);
	host.held = NULL; /* as if another thread had it */
	budget = 1000;
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+0\ncall bpf_spin_lock\nexit", fd)),
			       "waits too long for a lock"));
	budget = VM_BUDGET;
	assert_non_null(strstr(fault(load("r1 = 16\ncall bpf_spin_lock\nexit")),
			       "argument 1 of spin_lock must point to 4 writable bytes"));
	assert_non_null(strstr(fault(load("r1 = r10\nr1 += -3\ncall bpf_spin_unlock\nexit")),
			       "argument 1 of spin_unlock"));
}

/* SipHash-2-4 of the paper's appendix: key 00 to 0f, message 00 to 07 (and none). */
static void hashes(void **unused)
{
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908}, word = 0x0706050403020100;

	(void)unused;
	assert_int_equal(host_siphash(key, &word, 1), 0x93f5f5799a932462);
	assert_int_equal(host_siphash(key, &word, 0), 0x726fdb47dd0e0e31);
}

static void cookies_age(void **unused)
{
	uint8_t *ip = &packet->frame[HELPER_HEADROOM], *tcp = ip + 20;
	int make_one = load("r6 = *(u32 *)(r1 +0)\nr1 = r6\nr2 = r6\nr2 += 20\nr3 = 20\ncall "
			    "bpf_tcp_raw_gen_syncookie_ipv4\nexit");
	int check = load("r6 = *(u32 *)(r1 +0)\nr1 = r6\nr2 = r6\nr2 += 20\ncall "
			 "bpf_tcp_raw_check_syncookie_ipv4\nexit");
	uint32_t cookie;

	(void)unused;
	tcp[12] = 5 << 4;
	memset(tcp + 4, 0, 8);
	vm_set_clock(vm, 600000000000);
	cookie = __builtin_bswap32((uint32_t)say(make_one) + 1);
	assert_int_equal(say(make_one) >> 32, 536);
	tcp[7] = 1;
	memcpy(tcp + 8, &cookie, 4);
	assert_int_equal(say(check), 0);
	vm_set_clock(vm, 600000000000 + 119000000000); /* in the second minute */
	assert_int_equal(say(check), 0);
	vm_set_clock(vm, 600000000000 + 120000000000);
	assert_int_equal(say(check), -EACCES);
	assert_non_null(
		strstr(fault(load("r1 = 0\nr2 = 0\nr3 = 20\ncall bpf_tcp_raw_gen_syncookie_ipv6\nexit")),
		       "argument 1 of tcp_raw_gen_syncookie_ipv6 must point to 40 readable bytes"));
	assert_non_null(strstr(fault(load("r1 = 7\ncall bpf_sk_release\nexit")),
			       "that is no socket: the user-space engine has none"));
	assert_int_equal(say(load("r1 = 0\nr2 = r10\nr2 += -20\nr3 = 20\nr4 = r2\nr5 = 20\ncall "
				  "bpf_tcp_gen_syncookie\nexit")),
			 -EINVAL);
	assert_int_equal(
		say(load("r2 = r10\nr2 += -16\nr3 = 12\nr4 = -1\nr5 = 0\ncall bpf_sk_lookup_tcp\nexit")), 0);
	assert_non_null(
		strstr(fault(load("r2 = r10\nr3 = 12\nr4 = -1\nr5 = 0\ncall bpf_sk_lookup_udp\nexit")),
		       "argument 2 of sk_lookup_udp"));
}

/* What is an event of ours, and what a program may say of it. */
static void events(void **unused)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
				    .size = sizeof(a),
				    .config = PERF_COUNT_SW_BPF_OUTPUT,
				    .sample_type = PERF_SAMPLE_RAW};
	int map = make_fd(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2, 0),
	    other = make_fd(BPF_MAP_TYPE_ARRAY, 4, 4, 2, 0), fd, prog;
	static const char text[] =
		"r2 = map[fd:%d]\nr3 = %d\nr4 = r10\nr4 += -8\nr5 = %d\ncall bpf_perf_event_output\nexit";
	struct perf_event_mmap_page *page;

	(void)unused;
	assert_int_equal(vm_perf_open(vm, NULL, -1, 0, -1, 0), -EFAULT);
	assert_int_equal(vm_perf_open(vm, &a, 0, 0, -1, 0), -EINVAL);
	assert_int_equal(vm_perf_open(vm, &a, -1, 2, -1, 0), -EINVAL);
	assert_int_equal(vm_perf_open(vm, &a, -1, -1, -1, 0), -EINVAL);
	assert_int_equal(vm_perf_open(vm, &a, -1, 0, 3, 0), -EINVAL);
	a.sample_type |= PERF_SAMPLE_TIME;
	assert_int_equal(vm_perf_open(vm, &a, -1, 0, -1, 0), -EINVAL);
	a.sample_type = PERF_SAMPLE_RAW;
	a.config = PERF_COUNT_SW_CPU_CLOCK;
	assert_int_equal(vm_perf_open(vm, &a, -1, 0, -1, 0), -ENOENT);
	a.config = PERF_COUNT_SW_BPF_OUTPUT;
	fd = vm_perf_open(vm, &a, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(vm_perf_control(vm, fd, PERF_EVENT_IOC_ENABLE), 0);
	assert_int_equal(vm_perf_control(vm, fd, PERF_EVENT_IOC_PERIOD), -ENOTTY);
	assert_int_equal(vm_perf_control(vm, map, PERF_EVENT_IOC_ENABLE), -EINVAL);
	assert_int_equal(put(map, 0, &other), -EBADF);
	prog = load(text, map, 0, 8);
	assert_int_equal(say(prog), -ENOENT);
	assert_int_equal(put(map, 0, &fd), 0);
	assert_int_equal(say(prog), -ENOSPC); /* nobody has mapped it */
	page = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	assert_int_equal(say(prog), -ENOSPC); /* three pages of data are no ring */
	munmap(page, 4 * 4096);
	page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	assert_int_equal(say(prog), 0);
	assert_int_equal(page->data_size, 2 * 4096);
	assert_int_equal(page->data_head, 24);
	page->data_tail = 1ull << 60; /* nonsense: no room, nothing else */
	assert_int_equal(say(prog), -ENOSPC);
	munmap(page, 3 * 4096);
	assert_int_equal(ftruncate(fd, 0), -1); /* under the engine's mapping */
	assert_int_equal(errno, EPERM);
	assert_int_equal(say(load(text, map, 2, 8)), -E2BIG);
	assert_int_equal(say(load(text, other, 0, 8)), -EINVAL);
	host.cpu = 1;
	assert_int_equal(say(prog), -EOPNOTSUPP);
	host.cpu = 0;
	assert_non_null(strstr(fault(load(text, map, 0, 9)),
			       "argument 4 of perf_event_output must point to 9 readable bytes"));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(read_only, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(walks, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(other_cpus, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(locks, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(hashes, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(events, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(cookies_age, fixture_new, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
