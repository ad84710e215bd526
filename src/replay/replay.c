// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The loop: packets are read in batches and run in batches, so that a clock is asked twice a batch and the
 * next packet can be fetched while one runs. Only where somebody wants to see each packet, a clock is asked
 * around each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "replay/kernel.h"
#include "replay/replay.h"
#include "vm/worker.h"

#define BATCH_PACKETS 256
#define ASKED_PACKETS 64 /* so often is asked whether to stop; and after each that went wrong, which may be slow */
#define BATCH_BYTES (512u << 10)

/* Two who look on at the same packet. */
struct both {
	struct vm_watch watch;
	struct vm_watch *a, *b;
};

struct replay {
	const struct replay_config *config;
	struct replay_in *in;
	struct replay_stats *stats;
	struct vm_worker *worker; /* one of the two */
	struct kernel_runner *kernel;
	/* the batch */
	struct buf bytes;
	struct replay_packet *packet;
	struct vm_frame *frame;
	size_t n, cap;
	bool over;
	bool last; /* nobody asks any more whether to stop */
	uint64_t last_ns;		 /* the clock so far */
	uint64_t clock_ns;		 /* what asking a clock twice takes */
	uint64_t skip_ns;		 /* spent in the sink, of the packet under way */
	const struct replay_packet *now; /* the one that is running */
	bool counted;			 /* the first time through */
	struct both both;
	char text[1024]; /* of the last fault */
};

const char *replay_verdict(uint32_t verdict)
{
	static const char *const names[] = {"aborted", "drop", "pass", "tx", "redirect", "other"};

	return names[verdict < REPLAY_VERDICTS ? verdict : REPLAY_VERDICTS - 1];
}

static void deliver(void *arg, const struct vm_target *target, const struct vm_packet *packet)
{
	struct replay *r = arg;
	struct replay_target t = {
		.kind = target->kind == VM_TO_IF    ? REPLAY_TO_IF
			: target->kind == VM_TO_CPU ? REPLAY_TO_CPU
						    : REPLAY_TO_XSK,
		.index = target->index,
		.map = target->map,
		.verdict = target->verdict,
		.data = (const uint8_t *)(uintptr_t)packet->ctx.data,
		.len = packet->ctx.data_end - packet->ctx.data,
	};
	uint64_t start;

	if (!r->counted || !r->config->sink || !r->config->sink->each)
		return;
	start = clock_mono_ns();
	r->config->sink->target(r->config->sink, r->now, &t);
	r->skip_ns += clock_mono_ns() - start;
}

static int room(struct replay *r, struct sluice_err *err)
{
	size_t cap = r->cap ? r->cap * 2 : BATCH_PACKETS;
	struct replay_packet *packet;
	struct vm_frame *frame;

	if (r->n < r->cap)
		return 0;
	packet = realloc(r->packet, cap * sizeof(*packet));
	if (packet)
		r->packet = packet;
	frame = realloc(r->frame, cap * sizeof(*frame));
	if (frame)
		r->frame = frame;
	if (!packet || !frame)
		return err_nomem(err);
	r->cap = cap;
	return 0;
}

static void keep(struct replay *r, const struct replay_packet *packet)
{
	const struct replay_config *c = r->config;
	uint32_t queue = c->n_cpus ? (uint32_t)((packet->number - 1) % c->n_cpus) : 0;

	/* 0 would be the engine's own clock */
	if (packet->time_ns > r->last_ns)
		r->last_ns = packet->time_ns;
	else if (!r->last_ns)
		r->last_ns = 1;
	r->packet[r->n] = *packet;
	r->frame[r->n++] = (struct vm_frame){.len = packet->len,
					     .time_ns = c->real_clock ? 0 : r->last_ns,
					     .ifindex = c->ifindex ? c->ifindex : 1,
					     .rx_queue = queue};
	buf_put(&r->bytes, packet->data, packet->len);
}

/* The next batch: of packets to be repeated, all. */
static int fill(struct replay *r, struct sluice_err *err)
{
	bool all = r->config->repeat > 1;
	struct replay_packet packet;
	const uint8_t *at;
	size_t i;
	int e = 0;

	r->n = 0;
	r->bytes.len = 0;
	while (!r->over && (all || (r->n < BATCH_PACKETS && r->bytes.len < BATCH_BYTES))) {
		e = replay_in_next(r->in, &packet, err);
		r->over = e <= 0;
		if (e <= 0)
			break;
		e = room(r, err);
		if (!e && all && r->bytes.len + packet.len > REPLAY_KEPT_BYTES)
			e = err_set(err, -ENOSPC,
				    "more than %u MiB of packets to repeat (reached at packet %llu)",
				    REPLAY_KEPT_BYTES >> 20, (unsigned long long)packet.number);
		if (e)
			return e;
		keep(r, &packet);
	}
	if (r->bytes.failed)
		return err_nomem(err);
	for (i = 0, at = r->bytes.data; i < r->n; at += r->packet[i++].len)
		r->packet[i].data = r->frame[i].data = at;
	return e; /* with what came before the damage in the batch */
}

static inline void count(struct replay_stats *s, uint32_t verdict, uint32_t len)
{
	uint32_t v = verdict < REPLAY_VERDICTS ? verdict : REPLAY_VERDICTS - 1;

	s->verdict[v]++;
	s->verdict_bytes[v] += len;
}

/* The sentence of a run that went wrong; *fault: it was the program's doing. */
static const char *explain(const struct vm_done *d, char *to, size_t size, bool *fault)
{
	*fault = d->error == -EFAULT && d->fault;
	if (*fault)
		return vm_fault_text(d->fault, to, size);
	switch (d->error) {
	case -EBADRQC:
		return "XDP_REDIRECT without a helper that says where to";
	case -ENOENT:
		return "redirected to a map entry that is gone";
	case -ELOOP:
		return "redirected from CPU to CPU without end";
	default:
		snprintf(to, size, "not redirected: %s", strerror(-d->error));
		return to;
	}
}

/* Counts and says what went wrong; true: the replay ends here. */
static bool wrong(struct replay *r, size_t i, const struct vm_done *d, struct replay_result *result)
{
	struct replay_sink *sink = r->config->sink;
	bool fault;

	result->fault = explain(d, r->text, sizeof(r->text), &fault);
	if (!r->counted)
		return false;
	r->stats->faults += fault;
	r->stats->lost += !fault;
	if (sink && sink->fault)
		sink->fault(sink, &r->packet[i], result->fault);
	return fault && r->config->stop_on_fault;
}

static bool told_to_stop(const struct replay *r)
{
	return !r->last && r->config->sink && r->config->sink->stop && r->config->sink->stop(r->config->sink);
}

/* Every packet of the batch, nobody looks at each. */
static bool run_fast(struct replay *r)
{
	uint64_t start = clock_mono_ns();
	struct replay_stats *s = r->stats;
	struct replay_result result;
	bool cpus = r->config->n_cpus > 1;
	struct vm_done d;
	bool end = false;
	size_t i;

	for (i = 0; i < r->n && !end; i++) {
		if (i % ASKED_PACKETS == ASKED_PACKETS - 1)
			end = told_to_stop(r);
		if (cpus)
			vm_worker_cpu(r->worker, r->frame[i].rx_queue);
		r->now = &r->packet[i];
		vm_worker_run(r->worker, &r->frame[i], i + 1 < r->n ? &r->frame[i + 1] : NULL, &d);
		if (r->counted) {
			s->packets++;
			s->bytes += r->frame[i].len;
			count(s, d.verdict, d.len);
		}
		if (__builtin_expect(d.error != 0, 0))
			end |= wrong(r, i, &d, &result) || told_to_stop(r);
	}
	s->run_ns += clock_mono_ns() - start;
	s->runs += i;
	return end;
}

static void both_step(struct vm_watch *watch, struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
		      const uint64_t reg[11])
{
	struct both *b = (struct both *)watch;

	b->a->step(b->a, run, prog, pc, reg);
	b->b->step(b->b, run, prog, pc, reg);
}

static void both_called(struct vm_watch *watch, struct vm_run *run, const struct vm_helper *helper,
			const uint64_t args[5], uint64_t ret)
{
	struct both *b = (struct both *)watch;

	if (b->a->called)
		b->a->called(b->a, run, helper, args, ret);
	if (b->b->called)
		b->b->called(b->b, run, helper, args, ret);
}

static struct vm_watch *watch_of(struct replay *r, uint64_t number)
{
	const struct replay_config *c = r->config;

	if (!c->look || !r->counted || c->look_packet != number)
		return c->watch;
	if (!c->watch)
		return c->look;
	r->both = (struct both){{both_step, both_called}, c->watch, c->look};
	return &r->both.watch;
}

/* One packet on the user-space engine, timed alone. */
static bool run_one(struct replay *r, size_t i, struct replay_result *result)
{
	const struct replay_config *c = r->config;
	uint64_t start, ns;
	struct vm_done d;
	bool end = false;

	vm_worker_watch(r->worker, watch_of(r, r->packet[i].number));
	if (c->n_cpus > 1)
		vm_worker_cpu(r->worker, r->frame[i].rx_queue);
	r->now = &r->packet[i];
	r->skip_ns = 0;
	start = clock_mono_ns();
	vm_worker_run(r->worker, &r->frame[i], NULL, &d);
	ns = clock_mono_ns() - start;
	r->stats->run_ns += ns > r->skip_ns + r->clock_ns ? ns - r->skip_ns - r->clock_ns : 0;
	*result = (struct replay_result){.verdict = d.verdict,
					 .data = d.data,
					 .len = d.len,
					 .meta_len = d.meta_len,
					 .n_targets = (uint32_t)d.n_targets};
	if (d.error)
		end = wrong(r, i, &d, result);
	return end;
}

/* 1: the packet ran, 0: the kernel does not run such packets. */
static int run_in_kernel(struct replay *r, size_t i, struct replay_result *result, struct sluice_err *err)
{
	uint64_t ns = 0;
	int e = kernel_run(r->kernel, r->packet[i].data, r->packet[i].len, result, &ns, err);

	if (e == -EMSGSIZE) {
		r->stats->refused += r->counted;
		return 0;
	}
	r->stats->run_ns += ns;
	return e ? e : 1;
}

/* Every packet of the batch, each shown. */
static int run_each(struct replay *r, struct sluice_err *err)
{
	struct replay_sink *sink = r->config->sink;
	struct replay_result result;
	size_t i;
	int e = 0;

	for (i = 0; i < r->n && !e && (r->last || !r->stats->stopped); i++) {
		bool end = false;

		if (r->kernel) {
			e = run_in_kernel(r, i, &result, err);
			if (e <= 0)
				continue;
			e = 0;
		} else {
			end = run_one(r, i, &result);
		}
		r->stats->runs++;
		if (!r->counted) {
			r->stats->stopped |= told_to_stop(r);
			continue;
		}
		r->stats->packets++;
		r->stats->bytes += r->packet[i].len;
		count(r->stats, result.verdict, result.len);
		if (sink && sink->each)
			e = sink->done(sink, &r->packet[i], &result, err);
		r->stats->stopped |= end | told_to_stop(r);
	}
	return e;
}

static uint64_t clock_cost(void)
{
	uint64_t best = UINT64_MAX, start, ns;
	int i;

	for (i = 0; i < 200; i++) {
		start = clock_mono_ns();
		ns = clock_mono_ns() - start;
		best = ns < best ? ns : best;
	}
	return best;
}

static int run_batch(struct replay *r, struct sluice_err *err)
{
	const struct replay_config *c = r->config;
	bool each =
		r->kernel || c->watch || (c->look && r->counted) || (c->sink && c->sink->each && r->counted);
	int e = 0;

	if (!r->n)
		return 0;
	if (each)
		e = run_each(r, err);
	else
		r->stats->stopped |= run_fast(r);
	r->stats->stopped |= told_to_stop(r);
	return e;
}

static int run_all(struct replay *r, struct sluice_err *err)
{
	struct sluice_err damage = {0};
	uint64_t again;
	int e = 0, end = 0;

	r->counted = true;
	do {
		end = fill(r, &damage);
		if (end == -EINTR && told_to_stop(r)) { /* while it waited for packets: those that came run */
			r->last = r->stats->stopped = true;
			end = 0;
		}
		e = end == -ENOSPC || end == -ENOMEM ? 0 : run_batch(r, err);
	} while (!e && !end && !r->over && !r->stats->stopped);
	r->counted = false;
	for (again = 1; again < r->config->repeat && !e && !end && !r->stats->stopped; again++)
		e = run_batch(r, err);
	if (!e && end) {
		e = end;
		if (err)
			*err = damage;
	}
	return e;
}

int replay_run(struct replay_in *in, const struct replay_config *config, struct replay_stats *stats,
	       struct sluice_err *err)
{
	struct replay r = {.config = config, .in = in, .stats = stats, .clock_ns = clock_cost()};
	struct vm_worker_config w = {.seed = config->seed,
				     .budget = config->budget,
				     .watch = config->watch,
				     .deliver = deliver,
				     .arg = &r};
	int e;

	memset(stats, 0, sizeof(*stats));
	if (config->vm)
		e = vm_worker_new(config->vm, config->prog_fd, &w, &r.worker, err);
	else
		e = kernel_runner_new(config->prog_fd, config->ifindex, &r.kernel, err);
	if (!e)
		e = run_all(&r, err);
	vm_worker_free(r.worker);
	kernel_runner_free(r.kernel);
	free(r.packet);
	free(r.frame);
	buf_free(&r.bytes);
	return e;
}
