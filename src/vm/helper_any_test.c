// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every helper with any arguments: an answer or a fault, never memory that is not the program's. Says little
 * unless it runs under the sanitizers.
 */
#include "vm/helper_test.h"

#define ROUNDS 30000
#define MOST_HELPER 220

static int maps[12];
static unsigned int n_maps;

/* One register's value as text. */
static void any(char *to, size_t size, int reg)
{
	static const char *const fixed[] = {"0",	  "1",		"4",	      "8",
					    "16",	  "20",		"64",	      "-1",
					    "0x7fffffff", "4096",	"512",	      "-4096",
					    "0x10000",	  "0x3fffffff", "0x60000000", "-2147483648"};

	switch (rnd(9)) {
	case 0:
	case 1:
		snprintf(to, size, "r%d = %s\n", reg, fixed[rnd(16)]);
		break;
	case 2:
		snprintf(to, size, "r%d = r6\n", reg);
		break;
	case 3:
		snprintf(to, size, "r%d = r10\nr%d += %d\n", reg, reg, -(int)rnd(520));
		break;
	case 4:
	case 5:
		snprintf(to, size, "r%d = map[fd:%d]\n", reg, maps[rnd(n_maps)]);
		break;
	case 6:
		snprintf(to, size, "r%d = map[fd:%d]+%u\n", reg, maps[0], rnd(64));
		break;
	case 7:
		snprintf(to, size, "r%d = *(u32 *)(r6 +%u)\nr%d += %u\n", reg, rnd(2) * 4, reg, rnd(70));
		break;
	default:
		snprintf(to, size, "r%d = subprog[f]\n", reg);
	}
}

static void anything(void **unused)
{
	static const uint32_t types[][3] = {{BPF_MAP_TYPE_ARRAY, 4, 64},
					    {BPF_MAP_TYPE_HASH, 4, 8},
					    {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8},
					    {BPF_MAP_TYPE_QUEUE, 0, 8},
					    {BPF_MAP_TYPE_DEVMAP, 4, 4},
					    {BPF_MAP_TYPE_PROG_ARRAY, 4, 4},
					    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4},
					    {BPF_MAP_TYPE_LRU_HASH, 4, 8},
					    {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8},
					    {BPF_MAP_TYPE_STACK, 0, 8},
					    {BPF_MAP_TYPE_CPUMAP, 4, 4}};
	unsigned int i, reg, faults = 0, answers[MOST_HELPER] = {0}, n_helpers = 0, called = 0;
	uint64_t ret;

	(void)unused;
	for (n_maps = 0; n_maps < 11; n_maps++)
		maps[n_maps] =
			make_fd(types[n_maps][0], types[n_maps][1], types[n_maps][2], n_maps ? 4 : 1, 0);
	maps[n_maps++] = make_fd(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
	budget = 20000;
	for (i = 0; i < ROUNDS; i++) {
		uint32_t number = rnd(MOST_HELPER);
		const struct vm_helper *h = helper_find((int32_t)number);
		char text[2048];
		size_t n;
		int fd;

		if (!h)
			continue;
		n = (size_t)snprintf(text, sizeof(text), "r6 = r1\n");
		for (reg = 1; reg <= 5; reg++) {
			any(text + n, sizeof(text) - n, (int)reg);
			n += strlen(text + n);
		}
		snprintf(text + n, sizeof(text) - n, "call bpf_%s\nexit\nf: r0 = 1\nexit", h->name);
		fd = load_as(text, BPF_PROG_TYPE_XDP, BPF_XDP, "GPL");
		if (fd < 0)
			continue;
		packet_new(rnd(60) + 14);
		if (exec(fd, &ret))
			faults++;
		else
			answers[number]++;
		helper_give_back(&host);
		close(fd);
		called++;
	}
	for (i = 0; i < MOST_HELPER; i++)
		n_helpers += answers[i] > 0;
	budget = VM_BUDGET;
	assert_true(faults > called / 4 && faults < called);
	assert_true(n_helpers > 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(anything, fixture_new, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
