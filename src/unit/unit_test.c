// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sluice/test.h: every call on both engines, and what failing ones say, to the letter. The kernel's half
 * needs root; objects come from the build folder.
 */
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <sluice/object.h>
#include <sluice/test.h>

#include "base/test.h"
#include "bpf/seam.h"

static char object[512], told[8192];
static int told_line;
static jmp_buf out;

static void keep(void *arg, const char *file, int line, const char *text)
{
	(void)arg;
	assert_non_null(strstr(file, "unit_test.c"));
	told_line = line;
	snprintf(told, sizeof(told), "%s", text);
}

static void leave(void *arg, const char *file, int line, const char *text)
{
	keep(arg, file, line, text);
	longjmp(out, 1);
}

static struct sluice_test *start(const char *program, const char *engine)
{
	const struct sluice_test_config config = {.object = object,
						  .program = program,
						  .engine = engine,
						  .seed = 1};
	struct sluice_err err = {0};
	struct sluice_test *t;

	if (!getenv("BUILD") || (!strcmp(engine, "kernel") && geteuid() != 0))
		skip();
	snprintf(object, sizeof(object), "%s/tests/unit.bpf.o", getenv("BUILD"));
	if (sluice_test_open(&config, &t, &err))
		fail_msg("%s", err.text);
	sluice_test_on_failure(t, keep, NULL);
	told[0] = '\0';
	return t;
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

/* What holds on both engines. */
static void all_calls(const char *engine)
{
	unsigned int before = descriptors();
	struct sluice_test *t = start("act", engine);

	assert_true(sluice_test_set(t, "step", "3"));
	assert_true(sluice_test_put(t, "packets", "1", "0x10"));
	assert_true(sluice_test_cpu(t, 1));
	assert_true(sluice_test_expect(t, XDP_PASS,
				       "eth / ipv4 src 10.0.0.%d / udp sport 4660 dport 1 / zeros 20", 9));
	assert_true(sluice_test_unchanged(t));
	assert_true(sluice_test_variable(t, "total", "8"));
	assert_true(sluice_test_variable(t, "step", "0x3"));
	assert_true(sluice_test_value(t, "ports", NULL, "4660"));
	assert_true(sluice_test_entries(t, "sources", 1));
	assert_true(sluice_test_del(t, "sources", "10.0.0.9"));
	assert_true(sluice_test_absent(t, "sources", "10.0.0.9"));
	assert_true(sluice_test_cpu(t, 0));
	assert_true(sluice_test_expect(t, XDP_TX, "eth / ipv4 / udp dport 2 / zeros 20"));
	assert_true(sluice_test_packet(t,
				       "eth dst 02:00:00:00:00:01 src 02:00:00:00:00:02 / ipv4 ttl 63 "
				       "checksum any / udp / zeros %d / end",
				       20));
	assert_true(sluice_test_expect(t, XDP_REDIRECT, "eth / ipv4 / udp dport 3 / zeros 20"));
	assert_true(sluice_test_target(t, "if 3"));
	assert_int_equal(sluice_test_unknown(t), sluice_test_in_kernel(t));
	assert_true(sluice_test_expect(t, XDP_PASS, "eth / ipv4 / udp dport 6 / zeros 20"));
	assert_true(sluice_test_unchanged(t));
	assert_int_equal(sluice_test_result(t)->meta_len, 8);
	assert_memory_equal(sluice_test_result(t)->data - 8, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	assert_true(sluice_test_send_fragment(t, 576, 1, "eth / ipv4 / udp dport 1 / zeros 1000"));
	assert_true(sluice_test_packet(t, "eth / ipv4 offset 69 proto 17 / zeros 456 / end"));
	assert_true(sluice_test_send_bytes(t, "abcdefghijklmnopqrst", 20));
	assert_true(sluice_test_verdict(t, XDP_DROP));
	assert_true(sluice_test_bytes(t, "abcdefghijklmnopqrst", 20));
	/* on two CPUs, added up; nothing else counted them */
	assert_true(sluice_test_value(t, "packets", "0", "6"));
	assert_true(sluice_test_true(t, 1 + 1 == 2));
	assert_int_equal(sluice_test_failures(t), 0);
	assert_null(seam_engine(NULL));
	sluice_test_close(t);
	assert_int_equal(descriptors(), before);
}

static void on_the_engine(void **unused)
{
	(void)unused;
	all_calls("vm");
}

static void in_the_kernel(void **unused)
{
	(void)unused;
	all_calls("kernel");
}

/* What only the engine can do. */
static void clock_and_targets(void **unused)
{
	struct sluice_test *t = start("act", "vm");

	(void)unused;
	assert_true(sluice_test_clock(t, 1700000000123456789));
	assert_true(sluice_test_from(t, 77, 5));
	assert_true(sluice_test_send(t, "eth / ipv4 src 10.0.0.9 / udp dport 1"));
	assert_true(
		sluice_test_variable(t, "last", "{cpu: 0, ifindex: 77, queue: 5, ns: 1700000000123456789}"));
	assert_true(sluice_test_value(t, "sources", "10.0.0.9",
				      "{cpu: 0, ifindex: 77, queue: 5, ns: 1700000000123456789}"));
	assert_true(sluice_test_expect(t, XDP_REDIRECT, "eth / ipv4 / udp dport 4"));
	assert_true(sluice_test_target(t, "none"));
	assert_true(sluice_test_put(t, "devices", "2", "12"));
	assert_true(sluice_test_put(t, "devices", "5", "15"));
	assert_true(sluice_test_send(t, "eth / ipv4 / udp dport 4"));
	assert_true(sluice_test_target(t, "if 12, if 15"));
	assert_true(sluice_test_put(t, "cpus", "1", "192"));
	assert_true(sluice_test_send(t, "eth / ipv4 / udp dport 5"));
	assert_true(sluice_test_target(t, "cpu 1"));
	assert_true(sluice_test_send(t, "eth / ipv4 / udp dport 7"));
	assert_true(sluice_test_target(t, "nowhere"));
	assert_true(sluice_test_send_bytes(t, NULL, 0));
	assert_true(sluice_test_verdict(t, XDP_DROP));
	assert_true(sluice_test_send(t, "eth / ipv4 / udp / zeros 60000"));
	assert_true(sluice_test_unchanged(t));
	assert_int_equal(sluice_test_failures(t), 0);
	sluice_test_close(t);
}

#define SAYS(call, text)                                        \
	do {                                                    \
		assert_false(call);                             \
		assert_string_equal(told, text);                \
		assert_int_equal(told_line, __LINE__);          \
		assert_int_equal(sluice_test_failures(t), ++n); \
	} while (0)

static void failures(void **unused)
{
	struct sluice_test *t = start("act", "vm");
	uint8_t other[80] = {2};
	unsigned int n = 0;

	(void)unused;
	SAYS(sluice_test_verdict(t, XDP_PASS), "verdict XDP_PASS\n  failed    no packet ran");
	assert_null(sluice_test_result(t));
	SAYS(sluice_test_set(t, "stap", "3"),
	     "set \"stap\": unit.bpf.o has no variable 'stap', did you mean step?");
	SAYS(sluice_test_send(t, "eth / ip4"), "send: packet text, column 7: there is no layer 'ip4', did "
					       "you mean ipv4?\n  text      eth / ip4");
	SAYS(sluice_test_expect(t, XDP_PASS, "eth / ipv4 / udp dport 2"),
	     "expect XDP_PASS\n  packet    eth / ipv4 src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport "
	     "2\n"
	     "  expected  XDP_PASS\n  got       XDP_TX");
	SAYS(sluice_test_packet(t, "eth / ipv4 ttl 63"),
	     "packet: ipv4 checksum is 0x8e9b, right is 0x8f9b\n  expected  eth / ipv4 ttl 63\n"
	     "  got       eth dst 02:00:00:00:00:01 src 02:00:00:00:00:02 / "
	     "ipv4 ttl 63 checksum 0x8e9b src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport 2");
	memcpy(other, sluice_test_result(t)->data, 42);
	other[0] = 3;
	other[20] = 0xff;
	SAYS(sluice_test_bytes(t, other, 44),
	     "bytes other\n"
	     "  expected  eth dst 03:00:00:00:00:01 src 02:00:00:00:00:02 / "
	     "ipv4 rf 1 df 1 mf 1 offset 7936 ttl 63 proto 17 checksum 0x8e9b src 192.0.2.1 dst 198.51.100.1 "
	     "/ hex 9c40000200087765 / pad 44\n"
	     "  got       eth dst 02:00:00:00:00:01 src 02:00:00:00:00:02 / "
	     "ipv4 ttl 63 checksum 0x8e9b src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport 2\n"
	     "  length    expected 44 bytes, got 42\n"
	     "  0000  expected 03 00 00 00 00 01 02 00 00 00 00 02 08 00 45 00\n"
	     "        got      02 00 00 00 00 01 02 00 00 00 00 02 08 00 45 00\n"
	     "                 ^^\n"
	     "  0010  expected 00 1c 00 00 ff 00 3f 11 8e 9b c0 00 02 01 c6 33\n"
	     "        got      00 1c 00 00 00 00 3f 11 8e 9b c0 00 02 01 c6 33\n"
	     "                             ^^\n"
	     "  0020  expected 64 01 9c 40 00 02 00 08 77 65 00 00\n"
	     "        got      64 01 9c 40 00 02 00 08 77 65\n"
	     "                                               ^^ ^^");
	SAYS(sluice_test_target(t, "if 3"),
	     "target\n  packet    eth / ipv4 src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport 2\n"
	     "  expected  XDP_REDIRECT to if 3\n  got       XDP_TX");
	assert_true(sluice_test_send(t, "eth / ipv4 / udp dport 3"));
	SAYS(sluice_test_target(t, "if 4"),
	     "target\n  packet    eth / ipv4 src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport 3\n"
	     "  expected  XDP_REDIRECT to if 4\n  got       XDP_REDIRECT to if 3");
	SAYS(sluice_test_value(t, "packets", "0", "7"),
	     "value \"packets\"\n  key       0\n  expected  7\n  got       2");
	SAYS(sluice_test_value(t, "sources", "10.0.0.1", "{cpu: 1}"),
	     "value \"sources\": expected value: column 8: ifindex of struct seen is missing; wanted: struct seen { __u32 "
	     "cpu; __u32 ifindex; __u32 queue; "
	     "__u64 ns; } (24 bytes)");
	SAYS(sluice_test_value(t, "sources", "10.0.0.1", "{cpu: 1, ifindex: 1, queue: 0, ns: 0}"),
	     "value \"sources\"\n  key       10.0.0.1\n  expected  {cpu: 1, ifindex: 1, queue: 0, ns: 0}\n  "
	     "got       no such entry");
	SAYS(sluice_test_value(t, "source", "1", "1"),
	     "value \"source\": unit.bpf.o has no map 'source'; it has packets, devices, cpus, "
	     "sources, ports, unit.rodata, unit.data, unit.bss");
	SAYS(sluice_test_absent(t, "packets", "0"),
	     "absent \"packets\"\n  key       0\n  expected  no such entry\n  got       2");
	SAYS(sluice_test_entries(t, "sources", 3),
	     "entries \"sources\"\n  expected  3 entries\n  got       0 entries");
	SAYS(sluice_test_variable(t, "total", "6"), "variable \"total\"\n  expected  6\n  got       5");
	SAYS(sluice_test_put(t, "packets", "2", "1"), told);
	assert_non_null(strstr(told, "put \"packets\": map packets (id "));
	assert_non_null(strstr(told, ") ends at index 1"));
	SAYS(sluice_test_set(t, "step", "4"), "set \"step\": unit.bpf.o is loaded already");
	SAYS(sluice_test_cpu(t, 5000), told);
	assert_non_null(strstr(told, "cpu\n  failed    there is no CPU 5000, only 0 to "));
	SAYS(sluice_test_from(t, 0, 0), "from\n  failed    interfaces count from 1");
	SAYS(sluice_test_true(t, n == 0), "n == 0\n  failed    this does not hold");
	sluice_test_close(t);
}

static void a_fault_is_a_failure(void **unused)
{
	struct sluice_test *t = start("wild", "vm");
	unsigned int n = 0;

	(void)unused;
	SAYS(sluice_test_send(t, "eth / ipv4 / udp"), told);
	assert_non_null(strstr(told, "send\n  fault     "));
	assert_non_null(strstr(told, "18 bytes behind the end of the packet"));
	assert_non_null(
		strstr(told,
		       "\n  packet    eth / ipv4 src 192.0.2.1 dst 198.51.100.1 / udp sport 40000 dport 9"));
	assert_null(sluice_test_result(t));
	sluice_test_close(t);
}

static void the_kernel_says_no(void **unused)
{
	struct sluice_test *t = start("wild", "kernel");
	struct sluice_err err = {0};
	unsigned int n = 0;

	(void)unused;
	assert_int_equal(sluice_test_load(t, &err), -EACCES);
	assert_non_null(strstr(err.text, "unit.bpf.o: the verifier refused program wild:"));
	SAYS(sluice_test_send(t, "eth / ipv4 / udp"), told);
	assert_non_null(strstr(told, "send: unit.bpf.o: the verifier refused program wild:"));
	sluice_test_close(t);
	t = start("act", "kernel");
	n = 0;
	SAYS(sluice_test_clock(t, 5),
	     "clock\n  failed    the kernel's clocks cannot be set; use the engine vm");
	SAYS(sluice_test_send_bytes(t, "abc", 3),
	     "send_bytes\n  failed    the kernel does not run the program on CPU 0 with a packet of 3 bytes "
	     "from interface 1, queue 0: "
	     "Invalid argument");
	sluice_test_close(t);
}

/* A framework leaves with longjmp: nothing is lost, and the thread is not left on the engine. */
static void leaving_by_longjmp(void **unused)
{
	struct sluice_test *volatile t = start("act", "vm");

	(void)unused;
	sluice_test_on_failure(t, leave, NULL);
	if (!setjmp(out)) {
		sluice_test_packet(t, "eth");
		fail_msg("came back");
	}
	assert_string_equal(told, "packet\n  failed    no packet ran");
	assert_null(seam_engine(NULL));
	sluice_test_close(t);
}

static void opening(void **unused)
{
	struct sluice_test_config config = {.object = "/nowhere/x.o"};
	struct sluice_err err = {0};
	struct sluice_test *t = (void *)object;

	assert_int_equal(sluice_test_open(&config, &t, &err), -ENOENT);
	assert_null(t);
	assert_string_equal(err.text, "/nowhere/x.o: no such file");
	config.engine = "VM";
	assert_int_equal(sluice_test_open(&config, &t, &err), -EINVAL);
	assert_string_equal(err.text, "there is no engine 'VM': vm and kernel are known");
	t = start("act", "vm");
	config.object = object;
	config.engine = NULL;
	sluice_test_close(t);
	assert_int_equal(sluice_test_open(&config, &t, &err), -EINVAL);
	assert_non_null(strstr(err.text, "act"));
	(void)unused;
}

/* Descriptors of the object, through libbpf, between enter and leave. */
static void the_object_inside(void **unused)
{
	struct sluice_test *t = start("act", "vm");
	struct sluice_err err = {0};
	struct vm *before;

	(void)unused;
	assert_int_equal(sluice_test_load(t, &err), 0);
	assert_true(sluice_object_map_fd(sluice_test_object(t), "packets", &err) >= 0);
	sluice_test_enter(t);
	before = seam_engine(NULL);
	assert_non_null(before);
	seam_engine(before);
	assert_true(sluice_test_put(t, "packets", "0", "1"));
	assert_ptr_equal(seam_engine(before), before);
	sluice_test_leave(t);
	assert_null(seam_engine(NULL));
	sluice_test_close(t);
}

static void case_passes(struct sluice_test *t)
{
	sluice_test_expect(t, XDP_DROP, "eth / arp");
}

static const int case_fails_line = __LINE__ + 4;

static void case_fails(struct sluice_test *t)
{
	sluice_test_value(t, "packets", "0", "1");
	sluice_test_value(t, "packets", "0", "2");
}

static void case_skips(struct sluice_test *t)
{
	sluice_test_skip(t, "not today");
}

static void set_up_case(struct sluice_test *t)
{
	sluice_test_send(t, "eth / ipv4 / udp");
	sluice_test_send(t, "eth / ipv4 / udp");
}

static void runner(void **unused)
{
	struct sluice_test_config config = {.object = object, .program = "act"};
	const struct sluice_test_case cases[] = {SLUICE_TEST_CASE(case_passes), SLUICE_TEST_CASE(case_fails),
						 SLUICE_TEST_CASE(case_skips)};
	char want[1024], *tap = NULL;
	size_t size;
	FILE *to;

	(void)unused;
	sluice_test_close(start("act", "vm")); /* object is set, or the case skipped */
	to = open_memstream(&tap, &size);
	assert_int_equal(sluice_test_run_all(&config, set_up_case, cases, 3, to), 1);
	fclose(to);
	snprintf(want, sizeof(want),
		 "1..3\nok 1 - case_passes\nnot ok 2 - case_fails\n# %s:%d: value \"packets\"\n"
		 "#   key       0\n#   expected  1\n#   got       2\nok 3 - case_skips # SKIP not today\n",
		 __FILE__, case_fails_line);
	assert_string_equal(tap, want);
	free(tap);
	to = open_memstream(&tap, &size);
	assert_int_equal(sluice_test_run_all(&config, NULL, cases, 1, to), 0);
	fclose(to);
	free(tap);
	config.program = "none";
	to = open_memstream(&tap, &size);
	assert_int_equal(sluice_test_run_all(&config, NULL, cases, 1, to), 1);
	fclose(to);
	assert_non_null(strstr(tap, "not ok 1 - case_passes\n# unit.bpf.o has no XDP program 'none'"));
	free(tap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_the_engine),	cmocka_unit_test(in_the_kernel),
		cmocka_unit_test(clock_and_targets),	cmocka_unit_test(failures),
		cmocka_unit_test(a_fault_is_a_failure), cmocka_unit_test(the_kernel_says_no),
		cmocka_unit_test(leaving_by_longjmp),	cmocka_unit_test(opening),
		cmocka_unit_test(the_object_inside),	cmocka_unit_test(runner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
