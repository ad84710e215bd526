// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Random questions to the helpers through tests/vm/helpers_more.bpf.c, in the kernel and in the user-space
 * engine: same verdict, same answers, same bytes. Needs root.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/test.h"
#include "bpf/seam.h"
#include "bpf/vm_sides.h"
#include "vm/vm.h"

#define ROUNDS 12000
/* A format out of pieces, good and bad. Of those that print addresses the length must not depend on the
 * address. */
static void any_format(struct ask *q)
{
	static const char *const numbers[] = {"%d",	 "%5d",	   "%-7x",     "%s",	 "%10s",
					      "%pI4",	 "%pi6",   "%px",      "%pks",	 "%pus",
					      "%p",	 "%c",	   "%%",       "%lu",	 "%lld",
					      "%hd",	 "%",	   "%p%",      "%.3d",	 "%#x",
					      "\x01",	 "\xe9",   "abc ",     "%*d",	 "%08X",
					      "%i",	 "%llx",   "%-p",      "%+5d",	 "% d",
					      "%pI4x",	 "%pI5",   "%sx",      "%pksx",	 "%s,",
					      "%0 +-9d", "%99d",   "%l",       "%pK",	 "\n",
					      "\t",	 "%5%",	   "%s\xa0",   "%s\xa1", "%s\xc3\xa4",
					      "%p\xd7",	 "%p\xc0", "%pI4\xc0", "\x7f",	 "\x80"};
	static const char *const addresses[] = {"%s",	"%10s", "%-9s,", "%pI4",  "%pi4 ", "%pI6",
						"%pi6", "%pks", "%px",	 "%20px", "%c",	   "-"};
	bool second = q->len & 64;
	size_t n = 0;

	while (rnd(5) && n < TEXT - 10) {
		const char *piece = second ? addresses[rnd(sizeof(addresses) / sizeof(*addresses))]
					   : numbers[rnd(sizeof(numbers) / sizeof(*numbers))];

		memcpy(q->text + n, piece, strlen(piece));
		n += strlen(piece);
	}
	q->text[n] = '\0';
	if (rnd(10))
		q->len = (uint16_t)((q->len & 64) | n);
}

static void any_number(struct ask *q)
{
	static const char *const starts[] = {"",  " ",	"\t\n ", "-",  " -",   "+",
					     "0", "0x", "-0X",	 "00", "\xa0", "0xg"};
	size_t n = (size_t)snprintf(q->text, TEXT, "%s", starts[rnd(sizeof(starts) / sizeof(*starts))]);
	static const uint32_t bases[] = {0, 8, 10, 16, 0, 10, 2, 32, 48};
	uint32_t most = 1 + rnd(24);

	while (n < TEXT && most--)
		q->text[n++] = "0123456789abcdefABCDEF7777 xgz"[rnd(rnd(3) ? 8 : 30)];
	q->a = (int32_t)bases[rnd(sizeof(bases) / sizeof(*bases))];
	q->len = (uint16_t)(rnd(3) ? n : rnd(TEXT));
}

static void any_mtu(struct ask *q)
{
	static const int32_t interfaces[] = {0, 1, 1, 99999, -1};
	uint32_t len = rnd(2) ? 0 : rnd(2) ? 65400 + rnd(300) : (uint32_t)rnd(0x7fffffff) * 2;

	q->a = interfaces[rnd(5)];
	q->b = rnd(3)	? (int32_t)rnd(300) - 150
	       : rnd(2) ? 65400 + (int32_t)rnd(100)
			: (int32_t)(rnd(0x7fffffff) * 2);
	q->len = !rnd(10);
	memcpy(q->text, &len, sizeof(len));
}

/* A TCP header from byte 4 on, with options that make sense or not. */
static void any_syn(struct ask *q)
{
	static const uint8_t kinds[] = {1, 1, 2, 2, 3, 4, 8, 0, 200};
	unsigned int at = 24;

	q->text[4 + 12] = (char)((5 + rnd(8)) << 4);
	q->len = (uint16_t)(rnd(10) ? ((uint8_t)q->text[16] >> 4) * 4 : (int)rnd(64));
	while (at + 4 < TEXT) {
		uint8_t kind = kinds[rnd(sizeof(kinds))], n = kind == 2 && rnd(8) ? 4 : (uint8_t)rnd(12);
		uint16_t mss = htons((uint16_t)(rnd(3) ? 1200 + rnd(300) : rnd(65536)));

		q->text[at] = (char)kind;
		q->text[at + 1] = (char)n;
		memcpy(&q->text[at + 2], &mss, 2);
		at += kind == 1 ? 1 : n ? n : 1;
	}
}

static void make(struct ask *q)
{
	uint32_t i;

	memset(q, 0, sizeof(*q));
	q->op = (uint16_t)rnd(15);
	q->op += q->op >= 11; /* 11 is asked by vm_fib_test */
	q->len = (uint16_t)rnd(65536);
	q->a = rnd(3) ? (int32_t)rnd(300) - 150 : (int32_t)rnd(0x7fffffff);
	q->b = rnd(2) ? (int32_t)rnd(300) - 150 : (int32_t)rnd(0x7fffffff);
	for (i = 0; i < TEXT; i++)
		q->text[i] = (char)rnd(256);
	if (q->op == 0 || q->op == 5)
		any_format(q);
	else if (q->op == 2 || q->op == 3)
		any_number(q);
	else if (q->op == 13 || q->op == 14)
		any_syn(q);
	else if (q->op == 12)
		any_mtu(q);
	else if (q->op >= 6 && q->op <= 8 && rnd(3))
		q->a = (int32_t)rnd(140);
	else if (q->op == 4 && rnd(2))
		snprintf(q->text, TEXT, "no arguments");
}

static void both_say_the_same(void **unused)
{
	static struct side k, v;
	struct vm *vm;
	struct sluice_err err;
	const struct vm_config config = {.seed = 5};
	uint8_t data[14 + sizeof(struct ask)] = {0};
	unsigned int i, bad = 0, refused[32] = {0}, asked[32] = {0};
	cpu_set_t all, first;
	struct ask q;

	(void)unused;
	if (getenv("SEED"))
		state = strtoull(getenv("SEED"), NULL, 0);
	if (geteuid() != 0 || !getenv("BUILD"))
		skip();
	libbpf_set_print(silent);
	assert_int_equal(vm_new(&config, &vm, &err), 0);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
	open_side(&k, NULL);
	open_side(&v, vm);
	for (i = 0; i < ROUNDS; i++) {
		const int64_t *sk = (const int64_t *)(const void *)k.memory[0],
			      *sv = (const int64_t *)(const void *)v.memory[0];

		make(&q);
		memcpy(data + 14, &q, sizeof(q));
		put_to(&k, data, sizeof(data));
		put_to(&v, data, sizeof(data));
		asked[q.op]++;
		refused[q.op] += sk[0] < 0;
		if (k.ret == v.ret && k.retval == v.retval &&
		    memcmp(k.memory[0], v.memory[0], k.bss_bytes) == 0 &&
		    memcmp(k.memory[1], v.memory[1], k.data_bytes) == 0)
			continue;
		if (bad++ < 20)
			fprintf(stderr,
				"op %u len %u a %d b %d text '%.64s': %ld %ld, %u %u; said %lld %lld, %lld "
				"%lld, %lld %lld\n",
				q.op, q.len, q.a, q.b, q.text, k.ret, v.ret, k.retval, v.retval,
				(long long)sk[0], (long long)sv[0], (long long)sk[1], (long long)sv[1],
				(long long)sk[2], (long long)sv[2]);
	}
	sched_setaffinity(0, sizeof(all), &all);
	close_side(&k);
	close_side(&v);
	vm_free(vm);
	assert_int_equal(bad, 0);
	/* each question was answered both ways, but for those that cannot be refused */
	for (i = 0; i < 32; i++)
		if (asked[i] && i != 1 && i != 4 && i != 10)
			assert_true(refused[i] > 20 && refused[i] < asked[i] - 20);
}

struct heard {
	unsigned int n;
	uint64_t lost;
	uint8_t last[2048];
	uint32_t bytes;
};

static void sample(void *arg, int cpu, void *data, uint32_t bytes)
{
	struct heard *h = arg;

	assert_int_equal(cpu, 0);
	assert_true(bytes <= sizeof(h->last));
	memcpy(h->last, data, bytes);
	h->bytes = bytes;
	h->n++;
}

static void lost(void *arg, int cpu, unsigned long long n)
{
	(void)cpu;
	((struct heard *)arg)->lost += n;
}

static struct perf_buffer *listen_to(struct side *s, struct heard *h)
{
	struct perf_buffer *pb;

	seam_engine(s->vm);
	pb = perf_buffer__new(bpf_object__find_map_fd_by_name(s->obj, "events"), 1, sample, lost, h, NULL);
	if (!pb)
		fail_msg("perf_buffer__new: %s", strerror(errno));
	seam_engine(NULL);
	return pb;
}

static int hear(struct side *s, struct perf_buffer *pb, int wait_ms)
{
	int n;

	seam_engine(s->vm);
	n = perf_buffer__poll(pb, wait_ms);
	seam_engine(NULL);
	return n;
}

/* The object with number iterators and other kernel functions, by a user who may do nothing. */
static int as_nobody(void)
{
	static struct heard heard;
	static struct side v;
	struct perf_buffer *pb;
	struct ask q = {.op = 10, .a = 5, .b = 4};
	uint8_t data[14 + sizeof(q)] = {0};
	struct sluice_err err;
	struct vm *vm;
	const int64_t *s = (const int64_t *)(const void *)v.memory[0];

	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 1;
	prctl(PR_SET_DUMPABLE, 1); /* or /proc/self/fd stays root's */
	if (vm_new(NULL, &vm, &err))
		return 2;
	open_side(&v, vm);
	memcpy(data + 14, &q, sizeof(q));
	put_to(&v, data, sizeof(data));
	if (v.ret || v.retval != XDP_DROP || s[0] != 0 || s[1] != 5 + 6 + 7 + 8 || s[2] != 4)
		return 3;
	/* and its events by libbpf's reader */
	q = (struct ask){.op = 16, .a = 1, .len = 9, .text = "eventful"};
	memcpy(data + 14, &q, sizeof(q));
	pb = listen_to(&v, &heard);
	put_to(&v, data, sizeof(data));
	if (s[0] != 0 || hear(&v, pb, 1000) != 1 || heard.n != 1 || strcmp((char *)heard.last, "eventful"))
		return 4;
	seam_engine(vm);
	perf_buffer__free(pb);
	close_side(&v);
	vm_free(vm);
	return 0;
}

static void without_privilege(void **unused)
{
	size_t len;
	int status;
	pid_t pid;

	(void)unused;
	if (!getenv("BUILD") || access("/sys/kernel/btf/vmlinux", R_OK))
		skip();
	object_bytes(&len);
	libbpf_set_print(silent);
	pid = fork();
	if (pid == 0)
		_exit(as_nobody());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* libbpf's own reader, on both: same answers, same samples. */
static void perf_events(void **unused)
{
	static struct heard hk, hv;
	static struct side k, v;
	struct perf_buffer *pk, *pv;
	const struct vm_config config = {.seed = 5};
	uint8_t data[14 + sizeof(struct ask)] = {0};
	struct ask q = {.op = 16};
	struct sluice_err err;
	struct vm *vm;
	cpu_set_t all, first;
	unsigned int i, sent = 0;

	(void)unused;
	if (geteuid() != 0 || !getenv("BUILD"))
		skip();
	assert_int_equal(vm_new(&config, &vm, &err), 0);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
	open_side(&k, NULL);
	open_side(&v, vm);
	pk = listen_to(&k, &hk);
	pv = listen_to(&v, &hv);
	for (i = 0; i < 5000; i++) {
		q.len = (uint16_t)rnd(65536);
		q.a = (int32_t)rnd(64);
		q.b = rnd(30) ? (int32_t)rnd(100) : -1;
		snprintf(q.text, TEXT, "number %u of many, with some more words behind it", i);
		memcpy(data + 14, &q, sizeof(q));
		put_to(&k, data, sizeof(data));
		put_to(&v, data, sizeof(data));
		if (memcmp(k.memory[0], v.memory[0], 64) != 0)
			fail_msg("len %u a %d b %d: said %lld %lld", q.len & 63, q.a, q.b,
				 *(long long *)(void *)k.memory[0], *(long long *)(void *)v.memory[0]);
		sent += *(int64_t *)(void *)v.memory[0] == 0;
		if (rnd(4)) /* else they gather */
			continue;
		hear(&k, pk, 0);
		hear(&v, pv, 0);
		assert_int_equal(hv.n, sent);
		assert_int_equal(hk.n, sent);
		assert_int_equal(hk.bytes, hv.bytes);
		/* what fills the last eight bytes is not the program's */
		assert_memory_equal(hk.last, hv.last, hk.bytes > 8 ? hk.bytes - 8 : 0);
	}
	assert_true(sent > 2000 && sent < 4900);
	assert_int_equal(hear(&v, pv, 0), 0);
	/* nobody reads: what finds no room is counted, and told with the next that does */
	q.len = 60;
	q.a = 1;
	q.b = 0;
	memcpy(data + 14, &q, sizeof(q));
	for (i = 0; i < 200; i++) {
		put_to(&k, data, sizeof(data));
		put_to(&v, data, sizeof(data));
		assert_memory_equal(k.memory[0], v.memory[0], 64);
	}
	assert_int_equal(*(int64_t *)(void *)v.memory[0], -ENOSPC);
	hear(&k, pk, 0);
	assert_int_equal(hear(&v, pv, 1000), 1);
	put_to(&k, data, sizeof(data));
	put_to(&v, data, sizeof(data));
	hear(&k, pk, 0);
	assert_int_equal(hear(&v, pv, 1000), 1);
	assert_int_equal(hv.n, hk.n);
	assert_int_equal(hv.lost, hk.lost);
	assert_true(hv.lost > 100);
	sched_setaffinity(0, sizeof(all), &all);
	seam_engine(vm);
	perf_buffer__free(pv);
	seam_engine(NULL);
	perf_buffer__free(pk);
	close_side(&k);
	close_side(&v);
	vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_say_the_same),
		cmocka_unit_test(without_privilege),
		cmocka_unit_test(perf_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
