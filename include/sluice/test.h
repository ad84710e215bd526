/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Unit tests of XDP programs, in C: a packet goes in, verdict, packet and maps are looked at. By default the
 * program runs on Sluice's engine in this process, without any privilege; with engine "kernel" the same test
 * runs in the kernel.
 *
 *     static void telnet(struct sluice_test *t)
 *     {
 *             sluice_test_put(t, "blocked_ports", "23", "1");
 *             sluice_test_send(t, "eth / ipv4 src 192.0.2.%d / tcp dport 23 flags syn", 7);
 *             sluice_test_verdict(t, XDP_DROP);
 *             sluice_test_value(t, "reasons", "BLOCKED_PORT", "1");
 *     }
 *
 * Packets and expectations are text (sluice/packet.h), so are keys, values and variables (sluice/value.h).
 * Whatever a call cannot do, and every check that does not hold, is a failure: reported with file and line,
 * what was expected and what was found, and counted. Each call then returns false and the test goes on. Runs
 * with cmocka or any other framework (sluice_test_on_failure()) and without one (sluice_test_run_all()).
 */
#ifndef SLUICE_TEST_H
#define SLUICE_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sluice/err.h>
#include <sluice/packet.h>

struct sluice_test;
struct sluice_object;

struct sluice_test_config {
	const char *object;  /* path of the .bpf.o */
	const char *program; /* function name; NULL: the only one */
	const char *engine;  /* "vm" or "kernel"; NULL: "vm" */
	uint64_t seed; /* of the program's random numbers on the engine "vm"; 0 is a seed like any other */
};

/*
 * sluice_test_open() opens an object for a test. It is loaded by sluice_test_load(), or by the first call
 * that needs it loaded; until then variables can be set.
 *
 * in:      config  is not kept
 * out:     *test   NULL on failure
 * owns:    the caller closes *test, and with it object, maps and engine
 * errors:  -EINVAL no such engine, several programs and none named; otherwise sluice_object_open()'s
 * thread:  a test is for one thread at a time, different tests are independent. The engine is in effect
 * during each call only: between them, libbpf's calls on this thread go where they went before
 */
SLUICE_API int sluice_test_open(const struct sluice_test_config *config, struct sluice_test **test,
				struct sluice_err *err);
SLUICE_API void sluice_test_close(struct sluice_test *test);
/* errors: sluice_object_load()'s; -EPERM: the kernel wants a privilege, which err names */
SLUICE_API int sluice_test_load(struct sluice_test *test, struct sluice_err *err);

/* The object, owned by the test. Whoever uses descriptors of it calls between sluice_test_enter() and
 * _leave(). */
SLUICE_API struct sluice_object *sluice_test_object(struct sluice_test *test);
SLUICE_API bool sluice_test_in_kernel(const struct sluice_test *test);
/* sluice_test_enter() has this thread's bpf(2) calls answered by the test's engine until sluice_test_leave(). */
SLUICE_API void sluice_test_enter(struct sluice_test *test);
SLUICE_API void sluice_test_leave(struct sluice_test *test);

/* What the program made of the last packet. */
struct sluice_test_result {
	uint32_t verdict;
	const uint8_t *data; /* the packet, owned by the test, valid until the next one is sent */
	size_t len;
	size_t meta_len; /* bytes of metadata in front of data */
};
/* NULL: no packet was sent, or the program did not come to its end */
SLUICE_API const struct sluice_test_result *sluice_test_result(const struct sluice_test *test);

/*
 * Failures. sluice_test_on_failure() has each told to a function (text: lines without the last newline, valid
 * during the call), which may leave by longjmp; a test without one keeps the first texts, for
 * sluice_test_run_all(). sluice_test_unknown() counts checks that could not be made: of redirect targets in
 * the kernel.
 */
typedef void sluice_test_told(void *arg, const char *file, int line, const char *text);
SLUICE_API void sluice_test_on_failure(struct sluice_test *test, sluice_test_told *told, void *arg);
SLUICE_API unsigned int sluice_test_failures(const struct sluice_test *test);
SLUICE_API unsigned int sluice_test_unknown(const struct sluice_test *test);

/*
 * The runner, for tests without a framework: each case gets a freshly opened test, on which set_up (may be
 * NULL) is called first. Writes TAP to a stream.
 *
 * returns: an exit code: 0 all cases passed, 1 one failed, 4 none could run for want of privilege (each is a
 * skip)
 */
struct sluice_test_case {
	const char *name;
	void (*run)(struct sluice_test *test);
};
#define SLUICE_TEST_CASE(function) {#function, function}
SLUICE_API int sluice_test_run_all(const struct sluice_test_config *config,
				   void (*set_up)(struct sluice_test *test),
				   const struct sluice_test_case *cases, size_t n_cases, FILE *tap);
/* sluice_test_skip() ends a case as not run; the case returns then. */
SLUICE_API void sluice_test_skip(struct sluice_test *test, const char *why);

/*
 * Everything below is a macro that knows its place and returns bool: true, or false after a failure. test
 * first, then:
 *
 *   before the packet
 *   sluice_test_set(variable, text)     a global variable; those in .rodata (const volatile) before load only
 *   sluice_test_put(map, key, value)    an entry; key NULL pushes (queue, stack)
 *   sluice_test_del(map, key)
 *   sluice_test_clock(ns)               what the program's clocks say; 0: real time. Only "vm": a failure in the
 *                                       kernel
 *   sluice_test_cpu(cpu)                on which the program runs, below the number of possible CPUs; to begin
 *                                       with 0
 *   sluice_test_from(ifindex, queue)    where packets come from; to begin with 1 ("lo") and 0. The kernel wants an
 *                                       interface that is there, with that queue
 *
 *   the packet
 *   sluice_test_send(format, ...)       builds it (printf's format of packet text) and runs the program
 *   sluice_test_send_bytes(bytes, len)  the kernel takes 14 to some 3500 bytes, "vm" 0 to 65536
 *   sluice_test_send_fragment(mtu, nth, format, ...)   the nth fragment of it
 *   sluice_test_expect(verdict, format, ...)           sends, and checks the verdict
 *
 *   checks, of the last packet
 *   sluice_test_verdict(verdict)
 *   sluice_test_packet(format, ...)     the packet as it left is as expected (sluice_packet_match())
 *   sluice_test_bytes(bytes, len)       is exactly this; the difference is shown row by row
 *   sluice_test_unchanged()             is as it was sent
 *   sluice_test_target(text)            of XDP_REDIRECT: "if 3", "cpu 1", "xsk 0"; several in their order with ", "
 *                                       between; "none" for a broadcast to nobody. The kernel does not tell: there
 *                                       the check is counted as unknown if the verdict is XDP_REDIRECT
 *
 *   checks of state
 *   sluice_test_value(map, key, value)  an entry; of a per-CPU map all CPUs' values added up. key NULL: the head
 *   sluice_test_absent(map, key)
 *   sluice_test_entries(map, n)         how many there are
 *   sluice_test_variable(name, value)   a global variable
 *   sluice_test_true(expression)        anything else
 */
#define sluice_test_set(t, variable, text) \
	sluice_test_set_at(SLUICE_TEST_AT(t, "set " #variable), variable, text)
#define sluice_test_put(t, map, key, value) \
	sluice_test_put_at(SLUICE_TEST_AT(t, "put " #map), map, key, value)
#define sluice_test_del(t, map, key) sluice_test_del_at(SLUICE_TEST_AT(t, "del " #map), map, key)
#define sluice_test_clock(t, ns) sluice_test_clock_at(SLUICE_TEST_AT(t, "clock"), ns)
#define sluice_test_cpu(t, cpu) sluice_test_cpu_at(SLUICE_TEST_AT(t, "cpu"), cpu)
#define sluice_test_from(t, ifindex, queue) sluice_test_from_at(SLUICE_TEST_AT(t, "from"), ifindex, queue)
#define sluice_test_send(t, ...) sluice_test_send_at(SLUICE_TEST_AT(t, "send"), __VA_ARGS__)
#define sluice_test_send_bytes(t, bytes, len) \
	sluice_test_send_bytes_at(SLUICE_TEST_AT(t, "send_bytes"), bytes, len)
#define sluice_test_send_fragment(t, mtu, nth, ...) \
	sluice_test_send_fragment_at(SLUICE_TEST_AT(t, "send_fragment"), mtu, nth, __VA_ARGS__)
#define sluice_test_expect(t, verdict, ...) \
	sluice_test_expect_at(SLUICE_TEST_AT(t, "expect " #verdict), verdict, __VA_ARGS__)
#define sluice_test_verdict(t, verdict) \
	sluice_test_verdict_at(SLUICE_TEST_AT(t, "verdict " #verdict), verdict)
#define sluice_test_packet(t, ...) sluice_test_packet_at(SLUICE_TEST_AT(t, "packet"), __VA_ARGS__)
#define sluice_test_bytes(t, bytes, len) sluice_test_bytes_at(SLUICE_TEST_AT(t, "bytes " #bytes), bytes, len)
#define sluice_test_unchanged(t) sluice_test_unchanged_at(SLUICE_TEST_AT(t, "unchanged"))
#define sluice_test_target(t, text) sluice_test_target_at(SLUICE_TEST_AT(t, "target"), text)
#define sluice_test_value(t, map, key, value) \
	sluice_test_value_at(SLUICE_TEST_AT(t, "value " #map), map, key, value)
#define sluice_test_absent(t, map, key) sluice_test_absent_at(SLUICE_TEST_AT(t, "absent " #map), map, key)
#define sluice_test_entries(t, map, n) sluice_test_entries_at(SLUICE_TEST_AT(t, "entries " #map), map, n)
#define sluice_test_variable(t, name, value) \
	sluice_test_variable_at(SLUICE_TEST_AT(t, "variable " #name), name, value)
#define sluice_test_true(t, expression) sluice_test_true_at(SLUICE_TEST_AT(t, #expression), expression)

/* What the macros call: where a call stands in the test, and its words for the report. */
struct sluice_test_at {
	struct sluice_test *test;
	const char *file;
	int line;
	const char *what;
};
#define SLUICE_TEST_AT(t, what) ((struct sluice_test_at){t, __FILE__, __LINE__, what})
#define SLUICE_TEST_PRINTF(nth) __attribute__((format(printf, nth, (nth) + 1)))

SLUICE_API bool sluice_test_set_at(struct sluice_test_at at, const char *variable, const char *text);
SLUICE_API bool sluice_test_put_at(struct sluice_test_at at, const char *map, const char *key,
				   const char *value);
SLUICE_API bool sluice_test_del_at(struct sluice_test_at at, const char *map, const char *key);
SLUICE_API bool sluice_test_clock_at(struct sluice_test_at at, uint64_t ns);
SLUICE_API bool sluice_test_cpu_at(struct sluice_test_at at, uint32_t cpu);
SLUICE_API bool sluice_test_from_at(struct sluice_test_at at, uint32_t ifindex, uint32_t rx_queue);
SLUICE_API bool sluice_test_send_at(struct sluice_test_at at, const char *format, ...) SLUICE_TEST_PRINTF(2);
SLUICE_API bool sluice_test_send_bytes_at(struct sluice_test_at at, const void *bytes, size_t len);
SLUICE_API bool sluice_test_send_fragment_at(struct sluice_test_at at, size_t mtu, unsigned int nth,
					     const char *format, ...) SLUICE_TEST_PRINTF(4);
SLUICE_API bool sluice_test_expect_at(struct sluice_test_at at, uint32_t verdict, const char *format, ...)
	SLUICE_TEST_PRINTF(3);
SLUICE_API bool sluice_test_verdict_at(struct sluice_test_at at, uint32_t verdict);
SLUICE_API bool sluice_test_packet_at(struct sluice_test_at at, const char *format, ...)
	SLUICE_TEST_PRINTF(2);
SLUICE_API bool sluice_test_bytes_at(struct sluice_test_at at, const void *bytes, size_t len);
SLUICE_API bool sluice_test_unchanged_at(struct sluice_test_at at);
SLUICE_API bool sluice_test_target_at(struct sluice_test_at at, const char *text);
SLUICE_API bool sluice_test_value_at(struct sluice_test_at at, const char *map, const char *key,
				     const char *value);
SLUICE_API bool sluice_test_absent_at(struct sluice_test_at at, const char *map, const char *key);
SLUICE_API bool sluice_test_entries_at(struct sluice_test_at at, const char *map, uint64_t n);
SLUICE_API bool sluice_test_variable_at(struct sluice_test_at at, const char *name, const char *value);
SLUICE_API bool sluice_test_true_at(struct sluice_test_at at, bool holds);

#endif
