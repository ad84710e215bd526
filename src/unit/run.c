// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets through the program of a test, on either engine. */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "unit/unit.h"
#include "vm/worker.h"

const char *unit_verdict(uint32_t verdict, char *room, size_t size)
{
	static const char *const names[] = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"};

	snprintf(room, size, verdict < 5 ? "%s" : "%s (%u)", verdict < 5 ? names[verdict] : "no verdict",
		 verdict);
	return room;
}

static void deliver(void *arg, const struct vm_target *target, const struct vm_packet *packet)
{
	static const char *const kinds[] = {[VM_TO_IF] = "if", [VM_TO_CPU] = "cpu", [VM_TO_XSK] = "xsk"};
	struct sluice_test *t = arg;

	(void)packet;
	buf_printf(&t->targets, "%s%s %u", t->targets.len ? ", " : "", kinds[target->kind], target->index);
}

static bool make_worker(struct sluice_test *t)
{
	struct vm_worker_config config = {.cpu = t->cpu, .seed = t->seed + 1, .deliver = deliver, .arg = t};
	struct sluice_err err = {0};

	if (t->worker)
		return true;
	return vm_worker_new(t->vm, sluice_program_fd(t->prog), &config, &t->worker, &err)
		       ? unit_say_err(t, &err)
		       : true;
}

static bool keep(struct sluice_test *t, const uint8_t *data, size_t len, size_t meta_len)
{
	t->left.len = 0;
	buf_put(&t->left, data, len + meta_len);
	if (t->left.failed)
		return unit_say(t, "failed", "out of memory");
	t->result.data = t->left.data ? t->left.data + meta_len : (const uint8_t *)"";
	t->result.len = len;
	t->result.meta_len = meta_len;
	t->ran = true;
	return true;
}

bool unit_run_vm(struct sluice_test *t)
{
	struct vm_frame in = {.data = t->sent.data,
			      .len = (uint32_t)t->sent.len,
			      .time_ns = t->clock_ns,
			      .ifindex = t->ifindex ? t->ifindex : 1,
			      .rx_queue = t->rx_queue};
	struct vm_done done;
	char text[1024];

	if (!make_worker(t))
		return false;
	vm_worker_run(t->worker, &in, NULL, &done);
	if (done.error == -EFAULT) {
		unit_say(t, "fault", "%s", vm_fault_text(done.fault, text, sizeof(text)));
		unit_say_packet(t, "packet", t->sent.data, t->sent.len);
		return false;
	}
	t->result.verdict = done.verdict;
	if (done.verdict == XDP_REDIRECT && !t->targets.len)
		buf_printf(&t->targets, done.error ? "nowhere" : "none");
	return keep(t, done.data - done.meta_len, done.len, done.meta_len);
}

/* The kernel runs the program on the CPU that the caller is on. */
static int run_on_cpu(uint32_t cpu, int fd, struct bpf_test_run_opts *opts)
{
	cpu_set_t before, one;
	int e;

	CPU_ZERO(&one);
	if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before))
		return -EINVAL;
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return -EINVAL;
	e = bpf_prog_test_run_opts(fd, opts) ? -errno : 0;
	sched_setaffinity(0, sizeof(before), &before);
	return e;
}

bool unit_run_kernel(struct sluice_test *t)
{
	struct xdp_md in = {.data_end = (uint32_t)t->sent.len,
			    .ingress_ifindex = t->ifindex,
			    .rx_queue_index = t->rx_queue},
		      out = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->sent.data, .data_size_in = (uint32_t)t->sent.len,
		    .ctx_in = &in, .ctx_size_in = sizeof(in), .ctx_out = &out, .ctx_size_out = sizeof(out),
		    .repeat = 1);
	uint8_t *room = malloc(SLUICE_PACKET_MAX);
	bool ok;
	int e;

	if (!room)
		return unit_say(t, "failed", "out of memory");
	if (in.rx_queue_index && !in.ingress_ifindex)
		in.ingress_ifindex = 1;
	opts.data_out = room;
	opts.data_size_out = SLUICE_PACKET_MAX;
	e = run_on_cpu(t->cpu, sluice_program_fd(t->prog), &opts);
	if (e) {
		unit_say(t, "failed",
			 "the kernel does not run the program on CPU %u with a packet of %zu bytes from "
			 "interface %u, queue %u: %s",
			 t->cpu, t->sent.len, t->ifindex ? t->ifindex : 1, t->rx_queue, strerror(-e));
		ok = false;
	} else {
		t->result.verdict = opts.retval;
		ok = keep(t, room, opts.data_size_out - out.data, out.data);
	}
	free(room);
	return ok;
}

bool unit_run(struct sluice_test *t)
{
	t->ran = false;
	buf_free(&t->targets);
	t->targets = (struct buf){0};
	if (!unit_load(t))
		return false;
	return t->vm ? unit_run_vm(t) : unit_run_kernel(t);
}

/* The text of a packet into t->sent. */
static bool build(struct sluice_test *t, const char *format, va_list args)
{
	struct sluice_err err = {0};
	char *text = NULL;
	size_t len = 0;
	bool ok = false;

	t->ran = false;
	t->sent.len = 0;
	if (vasprintf(&text, format, args) < 0 || !buf_add(&t->sent, SLUICE_PACKET_MAX)) {
		unit_say(t, "failed", "out of memory");
	} else if (sluice_packet_build(text, t->sent.data, SLUICE_PACKET_MAX, &len, &err)) {
		unit_say_err(t, &err);
		unit_say(t, "text", "%s", text);
	} else {
		ok = true;
	}
	t->sent.len = len;
	free(text);
	return ok;
}

bool sluice_test_send_at(struct sluice_test_at at, const char *format, ...)
{
	struct vm *before = unit_enter(at.test);
	va_list args;
	bool ok;

	va_start(args, format);
	ok = build(at.test, format, args) && unit_run(at.test);
	va_end(args);
	return unit_leave(&at, before, ok);
}

bool sluice_test_send_bytes_at(struct sluice_test_at at, const void *bytes, size_t len)
{
	struct sluice_test *t = at.test;
	struct vm *before = unit_enter(t);
	bool ok = len <= SLUICE_PACKET_MAX;

	t->ran = false;
	t->sent.len = 0;
	if (!ok)
		unit_say(t, "failed", "a packet of %zu bytes, at most %d are possible", len,
			 SLUICE_PACKET_MAX);
	else
		buf_put(&t->sent, bytes, len);
	if (ok && t->sent.failed)
		ok = unit_say(t, "failed", "out of memory");
	return unit_leave(&at, before, ok && unit_run(t));
}

static bool cut(struct sluice_test *t, size_t mtu, unsigned int nth)
{
	uint8_t *room = malloc(SLUICE_PACKET_MAX);
	struct sluice_err err = {0};
	size_t len = 0;
	int e;

	e = room ? sluice_packet_fragment(t->sent.data, t->sent.len, mtu, 1, nth, room, SLUICE_PACKET_MAX,
					  &len, &err)
		 : err_nomem(&err);
	if (e)
		unit_say_err(t, &err);
	t->sent.len = 0;
	buf_put(&t->sent, room, len);
	free(room);
	return !e && !t->sent.failed;
}

bool sluice_test_send_fragment_at(struct sluice_test_at at, size_t mtu, unsigned int nth, const char *format,
				  ...)
{
	struct vm *before = unit_enter(at.test);
	va_list args;
	bool ok;

	va_start(args, format);
	ok = build(at.test, format, args) && cut(at.test, mtu, nth) && unit_run(at.test);
	va_end(args);
	return unit_leave(&at, before, ok);
}

static bool check_verdict(struct sluice_test *t, uint32_t verdict)
{
	char want[32], got[32];

	if (t->result.verdict == verdict)
		return true;
	unit_say_packet(t, "packet", t->sent.data, t->sent.len);
	unit_say(t, "expected", "%s", unit_verdict(verdict, want, sizeof(want)));
	return unit_say(t, "got", "%s", unit_verdict(t->result.verdict, got, sizeof(got)));
}

bool sluice_test_expect_at(struct sluice_test_at at, uint32_t verdict, const char *format, ...)
{
	struct vm *before = unit_enter(at.test);
	va_list args;
	bool ok;

	va_start(args, format);
	ok = build(at.test, format, args) && unit_run(at.test) && check_verdict(at.test, verdict);
	va_end(args);
	return unit_leave(&at, before, ok);
}

bool sluice_test_verdict_at(struct sluice_test_at at, uint32_t verdict)
{
	struct vm *before = unit_enter(at.test);

	return unit_leave(&at, before,
			  at.test->ran ? check_verdict(at.test, verdict)
				       : unit_say(at.test, "failed", "no packet ran"));
}

bool sluice_test_clock_at(struct sluice_test_at at, uint64_t ns)
{
	struct vm *before = unit_enter(at.test);

	at.test->clock_ns = ns;
	return unit_leave(&at, before,
			  at.test->vm || !ns
				  ? true
				  : unit_say(at.test, "failed",
					     "the kernel's clocks cannot be set; use the engine vm"));
}

bool sluice_test_cpu_at(struct sluice_test_at at, uint32_t cpu)
{
	struct sluice_test *t = at.test;
	struct vm *before = unit_enter(t);
	int n = libbpf_num_possible_cpus();
	bool ok = n > 0 && cpu < (uint32_t)n;

	if (!ok)
		unit_say(t, "failed", "there is no CPU %u, only 0 to %d", cpu, n - 1);
	else
		t->cpu = cpu;
	if (ok && t->worker)
		vm_worker_cpu(t->worker, cpu);
	return unit_leave(&at, before, ok);
}

bool sluice_test_from_at(struct sluice_test_at at, uint32_t ifindex, uint32_t rx_queue)
{
	struct vm *before = unit_enter(at.test);

	at.test->ifindex = ifindex;
	at.test->rx_queue = rx_queue;
	return unit_leave(&at, before,
			  ifindex ? true : unit_say(at.test, "failed", "interfaces count from 1"));
}
