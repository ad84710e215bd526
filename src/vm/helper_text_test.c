// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Printing and reading numbers: texts word by word, bad arguments, where the texts go, and licences. */
#include "vm/helper_test.h"

static const uint8_t words[64] = "seven 7%s|%px|%pI4\0a\0%d\0%5c|\0-0x1f\0\xc0\x00\x02\x01";
enum { AT_FORMAT = 7, AT_A = 19, AT_D = 21, AT_C = 24, AT_HEX = 29, AT_IP = 35 };

/* A map with one value of 64 bytes, read as data. */
static int words_map(void)
{
	int fd = make_fd(BPF_MAP_TYPE_ARRAY, 4, 64, 1, 0);

	assert_true(fd >= 0);
	assert_int_equal(put(fd, 0, words), 0);
	return fd;
}

static void prints(void **unused)
{
	int map = words_map();
	char text[64], want[64];
	int prog = load("r1 = map[fd:%d]+%d\nr2 = 12\nr3 = map[fd:%d]+0\nr4 = 0x12ab\nr5 = map[fd:%d]+%d\ncall "
			"bpf_trace_printk\nexit",
			map, AT_FORMAT, map, map, AT_IP);

	(void)unused;
	snprintf(want, sizeof(want), "%s|00000000000012ab|192.0.2.1", (const char *)words);
	assert_int_equal(say(prog), strlen(want));
	assert_int_equal(vm_trace_read(vm, text, sizeof(text)), strlen(want) + 1);
	assert_string_equal(text, want);
	assert_int_equal(vm_trace_read(vm, text, sizeof(text)), 0);
	/* an address that is nothing: an empty string, zeros */
	prog = load("r1 = map[fd:%d]+%d\nr2 = 12\nr3 = 5\nr4 = 0\nr5 = 6\ncall bpf_trace_printk\nexit", map,
		    AT_FORMAT);
	assert_int_equal(say(prog), 25);
	assert_int_equal(vm_trace_read(vm, text, 20), 26);
	assert_string_equal(text, "|0000000000000000|0");
	/* the format does not end within its size; and none at all */
	prog = load("r1 = map[fd:%d]+%d\nr2 = 3\ncall bpf_trace_printk\nexit", map, AT_FORMAT);
	assert_int_equal(say(prog), -EINVAL);
	prog = load("r1 = map[fd:%d]+0\nr2 = 0\ncall bpf_trace_printk\nexit", map);
	assert_int_equal(say(prog), -EINVAL);
	/* arguments as an array */
	prog = load("r1 = 65\n*(u64 *)(r10 -8) = r1\nr1 = map[fd:%d]+%d\nr2 = 5\nr3 = r10\nr3 += -8\nr4 = "
		    "8\ncall bpf_trace_vprintk\nexit",
		    map, AT_C);
	assert_int_equal(say(prog), 6);
	assert_int_equal(vm_trace_read(vm, text, sizeof(text)), 7);
	assert_string_equal(text, "    A|");
	prog = load("r1 = map[fd:%d]+%d\nr2 = 5\nr3 = r10\nr3 += -8\nr4 = 7\ncall bpf_trace_vprintk\nexit",
		    map, AT_C);
	assert_int_equal(say(prog), -EINVAL);
	assert_int_equal(vm_trace_read(vm, text, sizeof(text)), 0);
}

/* The oldest go first, and what is left is whole. */
static void keeps_the_last(void **unused)
{
	int map = words_map(), prog = load("r6 = r1\nr1 = *(u32 *)(r6 +0)\nr3 = *(u32 *)(r1 +0)\nr1 = "
					   "map[fd:%d]+%d\nr2 = 3\ncall bpf_trace_printk\nexit",
					   map, AT_D);
	char text[16], want[16];
	uint32_t i, n = 40000, first;
	size_t len;

	(void)unused;
	for (i = 1; i <= n; i++) {
		memcpy(&packet->frame[HELPER_HEADROOM], &i, 4);
		assert_in_range(say(prog), 1, 5);
	}
	assert_true(vm_trace_read(vm, text, sizeof(text)) > 1);
	first = (uint32_t)strtoul(text, NULL, 10);
	assert_int_equal(first, n - 65536 / 6 + 1);
	for (i = first + 1; i <= n; i++) {
		snprintf(want, sizeof(want), "%u", i);
		len = vm_trace_read(vm, text, sizeof(text));
		assert_int_equal(len, strlen(want) + 1);
		assert_string_equal(text, want);
	}
	assert_int_equal(vm_trace_read(vm, text, sizeof(text)), 0);
}

static void heard(void *arg, const char *text)
{
	snprintf(arg, 64, "%s", text);
}

static void told_at_once(void **unused)
{
	char text[64] = "";
	const struct vm_config config = {.trace = heard, .trace_arg = text};
	struct vm *before = vm;
	struct sluice_err err;
	int prog;

	(void)unused;
	assert_int_equal(vm_new(&config, &vm, &err), 0);
	host.vm = vm;
	prog = load("r1 = map[fd:%d]+%d\nr2 = 3\nr3 = -4\ncall bpf_trace_printk\nexit", words_map(), AT_D);
	assert_int_equal(say(prog), 2);
	assert_string_equal(text, "-4");
	assert_int_equal(vm_trace_read(vm, text, sizeof(text)), 0);
	vm_free(vm);
	vm = before;
}

static void bad_arguments(void **unused)
{
	int map = words_map();

	(void)unused;
	assert_non_null(strstr(fault(load("r1 = 8\nr2 = 4\ncall bpf_trace_printk\nexit")),
			       "argument 1 of trace_printk must point to 4 readable bytes"));
	assert_non_null(strstr(fault(load("r1 = r10\nr1 += -4\nr2 = 5\ncall bpf_trace_printk\nexit")),
			       "argument 1 of trace_printk"));
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+%d\nr2 = 5\nr3 = r10\nr3 += -8\nr4 = 16\ncall "
					  "bpf_trace_vprintk\nexit",
					  map, AT_C)),
			       "argument 3 of trace_vprintk must point to 16 readable bytes"));
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+0\nr2 = 65\nr3 = map[fd:%d]+%d\nr4 = 0\nr5 = "
					  "0\ncall bpf_snprintf\nexit",
					  map, map, AT_A)),
			       "argument 1 of snprintf must point to 65 writable bytes"));
	assert_non_null(strstr(fault(load("r1 = r10\nr1 += -8\nr2 = 8\nr3 = 9\nr4 = 0\nr5 = 0\ncall "
					  "bpf_snprintf\nexit")),
			       "argument 3 of snprintf"));
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+0\nr2 = 4\nr3 = 0\ncall bpf_strncmp\nexit", map)),
			       "argument 3 of strncmp"));
	assert_non_null(strstr(fault(load("r1 = map[fd:%d]+0\nr2 = 4\nr3 = 0\nr4 = map[fd:%d]+57\ncall "
					  "bpf_strtol\nexit",
					  map, map)),
			       "argument 4 of strtol must point to 8 writable bytes"));
	assert_non_null(
		strstr(fault(load("r1 = map[fd:%d]+0\nr2 = 65\nr3 = 0\nr4 = map[fd:%d]+0\ncall bpf_strtoul\nexit",
				  map, map)),
		       "argument 1 of strtoul must point to 65 readable bytes"));
	/* a text of snprintf that never ends: 64 bytes of 'x' in a map */
	{
		uint8_t x[64];

		memset(x, 'x', sizeof(x));
		assert_int_equal(put(map, 0, x), 0);
		assert_non_null(strstr(fault(load("r1 = 0\nr2 = 0\nr3 = map[fd:%d]+0\nr4 = 0\nr5 = 0\ncall "
						  "bpf_snprintf\nexit",
						  map)),
				       "argument 3 of snprintf must point to 65 readable bytes"));
	}
}

static void numbers(void **unused)
{
	int map = words_map();

	(void)unused;
	/* the number may lie anywhere, also where a u64 does not belong */
	assert_int_equal(say(load("r1 = map[fd:%d]+%d\nr2 = 5\nr3 = 0\nr4 = r10\nr4 += -13\ncall "
				  "bpf_strtol\nr1 = *(u64 *)(r10 -13)\nr0 *= 1000\nr0 -= r1\nexit",
				  map, AT_HEX)),
			 5 * 1000 + 31);
	assert_int_equal(say(load("r1 = map[fd:%d]+%d\nr2 = 5\nr3 = 0\nr4 = r10\nr4 += -8\ncall "
				  "bpf_strtoul\nexit",
				  map, AT_HEX)),
			 -EINVAL);
	assert_int_equal(
		say(load("r1 = map[fd:%d]+0\nr2 = 0\nr3 = 0\nr4 = r10\nr4 += -8\ncall bpf_strtoul\nexit", map)),
		-EINVAL);
	assert_int_equal(say(load("r1 = 0\nr2 = 0\nr3 = map[fd:%d]+0\nr4 = 0\nr5 = 0\ncall bpf_snprintf\nexit",
				  map)),
			 -EINVAL);
	assert_int_equal(say(load("r1 = 0\nr2 = 0\nr3 = map[fd:%d]+%d\nr4 = 0\nr5 = 0\ncall "
				  "bpf_snprintf\nexit",
				  map, AT_A)),
			 2);
}

static void licences(void **unused)
{
	static const char print[] = "r1 = 0\nr2 = 0\ncall bpf_trace_printk\nexit",
			  time[] = "call bpf_ktime_get_ns\nexit";
	static const char *const good[] = {"GPL",	   "GPL v2",	   "Dual BSD/GPL",
					   "Dual MIT/GPL", "Dual MPL/GPL", "GPL and additional rights"};
	static const char *const bad[] = {"", "gpl", "GPL v3", "BSD", "LGPL", "Dual GPL/BSD"};
	size_t i;

	(void)unused;
	for (i = 0; i < 6; i++)
		assert_true(load_as(print, BPF_PROG_TYPE_XDP, BPF_XDP, good[i]) >= 0);
	for (i = 0; i < 6; i++) {
		assert_int_equal(load_as(print, BPF_PROG_TYPE_XDP, BPF_XDP, bad[i]), -EINVAL);
		assert_string_equal(load_log, "instruction 2: helper bpf_trace_printk is only for programs "
					      "under a licence "
					      "compatible with the GPL\n");
		assert_true(load_as(time, BPF_PROG_TYPE_XDP, BPF_XDP, bad[i]) >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(prints, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(keeps_the_last, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(told_at_once, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(bad_arguments, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(numbers, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(licences, fixture_new, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
