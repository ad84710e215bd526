// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What maps cost, how user space maps them, and when they go. No privilege needed. */
#include <dirent.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "vm/map_ring.h"
#include "vm/map_test.h"

static long rss_kb(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6))
			kb = strtol(line + 6, NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

static unsigned int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void big_maps_are_cheap(void **unused)
{
	long before = rss_kb();
	uint32_t key = 500000, flags;
	uint64_t v = 1;
	struct map *map;
	int fd;

	(void)unused;
	for (flags = 0; flags <= BPF_F_MMAPABLE; flags += BPF_F_MMAPABLE) {
		map = make(BPF_MAP_TYPE_ARRAY, 4, 128, 1u << 20, flags, &fd); /* 134 MB */
		*(uint64_t *)map->lookup(map, &key, 0) = v;
		close(fd);
	}
	map = make(BPF_MAP_TYPE_HASH, 4, 128, 1u << 20, 0, &fd);
	assert_int_equal(map->ops->update(map, &key, map, BPF_ANY, 0), 0);
	close(fd);
	assert_in_range(rss_kb() - before, 0, 1500);
}

static void array_is_its_descriptor(void **unused)
{
	uint32_t key = 3;
	uint64_t v = 77, got = 0, *mem;
	struct map *map;
	int fd, copy;

	(void)unused;
	map = make(BPF_MAP_TYPE_ARRAY, 4, 8, 1000, BPF_F_MMAPABLE, &fd);
	mem = mmap(NULL, 8000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mem != MAP_FAILED);
	assert_int_equal(map_write(map, &key, &v, 0), 0);
	assert_int_equal(mem[3], 77);
	mem[4] = 99;
	key = 4;
	copy = dup(fd);
	close(fd);
	assert_int_equal(map_read(map, &key, &got, 0), 0);
	assert_int_equal(got, 99);
	assert_true(vm_owns(vm, copy));
	{
		union bpf_attr a = {.map_fd = (uint32_t)copy};

		assert_int_equal(vm_bpf(vm, BPF_MAP_FREEZE, &a, sizeof(a)), 0);
		assert_true(mmap(NULL, 8000, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0) == MAP_FAILED);
	}
	close(copy);
	munmap(mem, 8000);
}

static uint32_t n_maps(void)
{
	union bpf_attr a = {0};
	uint32_t n = 0;

	while (vm_bpf(vm, BPF_MAP_GET_NEXT_ID, &a, sizeof(a)) == 0) {
		a.start_id = a.next_id;
		n++;
	}
	return n;
}

/* An object lives as long as a descriptor, a copy of it, a mapping, a pin or another map holds it. */
static void lifetime(void **unused)
{
	union bpf_attr outer = {.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 2};
	union bpf_attr a;
	unsigned int before = descriptors();
	uint32_t key = 0;
	int in, out, fd;
	void *mem;

	(void)unused;
	in = make_fd(BPF_MAP_TYPE_ARRAY, 4, 8, 10, BPF_F_MMAPABLE);
	assert_int_equal(n_maps(), 1);
	fd = dup(in);
	close(in);
	assert_int_equal(n_maps(), 1);
	mem = mmap(NULL, 80, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	assert_int_equal(n_maps(), 1);
	munmap(mem, 80);
	assert_int_equal(n_maps(), 0);

	in = make_fd(BPF_MAP_TYPE_ARRAY, 4, 8, 10, 0);
	outer.inner_map_fd = (uint32_t)in;
	out = (int)vm_bpf(vm, BPF_MAP_CREATE, &outer, sizeof(outer));
	assert_true(out >= 0);
	a = (union bpf_attr){.map_fd = (uint32_t)out, .key = (uintptr_t)&key, .value = (uintptr_t)&in};
	assert_int_equal(vm_bpf(vm, BPF_MAP_UPDATE_ELEM, &a, sizeof(a)), 0);
	close(in);
	assert_int_equal(n_maps(), 2);
	a = (union bpf_attr){.pathname = (uintptr_t)"/sys/fs/bpf/x", .bpf_fd = (uint32_t)out};
	assert_int_equal(vm_bpf(vm, BPF_OBJ_PIN, &a, sizeof(a)), 0);
	assert_int_equal(vm_bpf(vm, BPF_OBJ_PIN, &a, sizeof(a)), -EEXIST);
	close(out);
	assert_int_equal(n_maps(), 2);
	a = (union bpf_attr){.pathname = (uintptr_t)"/sys/fs/bpf/x"};
	out = (int)vm_bpf(vm, BPF_OBJ_GET, &a, sizeof(a));
	assert_true(out >= 0);
	a = (union bpf_attr){.map_fd = (uint32_t)out, .key = (uintptr_t)&key};
	assert_int_equal(vm_bpf(vm, BPF_MAP_DELETE_ELEM, &a, sizeof(a)), 0);
	assert_int_equal(n_maps(), 1);
	assert_int_equal(vm_unpin(vm, "/sys/fs/bpf/x"), 0);
	assert_int_equal(vm_unpin(vm, "/sys/fs/bpf/x"), -ENOENT);
	close(out);
	assert_int_equal(n_maps(), 0);
	assert_int_equal(descriptors(), before);
}

/* Records as libbpf reads them: user space's mapping, wrapped records whole, a wake-up. */
static void ring_buffer(void **unused)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	uint64_t *cons, at = 0;
	uint8_t *data, out[300];
	struct map *map;
	uint32_t i, n, len;
	int fd, ep;

	(void)unused;
	map = make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, &fd);
	cons = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	data = mmap(NULL, 4096 + 8192, PROT_READ, MAP_SHARED, fd, 4096);
	assert_true(cons != MAP_FAILED && data != MAP_FAILED);
	ep = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, vm_wait_fd(vm, fd), &ev), 0);
	for (i = 0; i < 1000; i++) {
		n = 1 + rnd(sizeof(out) - 1);
		memset(out, (int)i, n);
		assert_int_equal(ring_output(map, out, n, 0), 0);
		assert_int_equal(epoll_wait(ep, &ev, 1, 0), 1);
		assert_int_equal(*(uint64_t *)(void *)data, at + ((n + 15) & ~7u));
		len = *(uint32_t *)(void *)(data + 4096 + (at & 4095));
		assert_int_equal(len, n);
		assert_memory_equal(data + 4096 + (at & 4095) + 8, out, n);
		at += (n + 15) & ~7u;
		__atomic_store_n(cons, at, __ATOMIC_RELEASE);
	}
	for (n = 0; ring_output(map, out, 100, 0) == 0; n++)
		;
	assert_int_equal(n, 4095 / 112);
	assert_int_equal(ring_query(map, BPF_RB_AVAIL_DATA), n * 112);
	assert_null(ring_reserve(map, NULL, 4089, 0));
	close(ep);
	munmap(cons, 4096);
	munmap(data, 4096 + 8192);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(big_maps_are_cheap, engine_new, engine_free),
		cmocka_unit_test_setup_teardown(array_is_its_descriptor, engine_new, engine_free),
		cmocka_unit_test_setup_teardown(lifetime, engine_new, engine_free),
		cmocka_unit_test_setup_teardown(ring_buffer, engine_new, engine_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
