// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-vm DIR: what the engines cost. The same computations (vm_kernels.h) natively (the
 * compiler's -O2, not vectorised), on both interpreters, both compilers, and in the kernel; all
 * interleaved, medians of the rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "bench.h"
#include "isa/build.h"
#include "vm/run.h"

#define ROUNDS 15
#define BATCH_NS 2000000
#define PACKET 1024

#define UNROLL_NOT
#define KERNEL(name)                                                                           \
	static __attribute__((noinline, optimize("no-tree-vectorize", "no-unroll-loops"))) int \
	name(const struct xdp_md *ctx)
#include "vm_kernels.h"

static const struct {
	const char *name;
	int (*native)(const struct xdp_md *);
} kernels[] = {
	{"bare", bare},
	{"parse", parse},
	{"mix3", mix3},
	{"fnv64", fnv64},
	{"compare256", compare256},
	{"crc32", crc32},
	{"csum1k", csum1k},
	{"keyed16", keyed16},
};
#define N_KERNELS (sizeof(kernels) / sizeof(*kernels))

enum way { NATIVE, INTERP, CHECKED, JIT, JIT_CHECKED, IN_KERNEL, N_WAYS };

static struct vm_run run;
static struct xdp_md *ctx;

/* The thread's own time: what else runs on the machine is not the engines' price. */
static uint64_t cpu_ns(void)
{
	return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

static struct vm_prog *load(const struct bpf_insn *insns, size_t n, enum way way)
{
	struct vm_prog_spec spec = {
		.insns = insns,
		.n_insns = (uint32_t)n,
		.trusted = way == INTERP || way == JIT,
		.engine = way == INTERP || way == CHECKED ? VM_ENGINE_INTERP : VM_ENGINE_JIT,
	};
	struct sluice_err err;
	struct vm_prog *prog;

	if (vm_prog_new(&spec, &prog, &err))
		die("%s", err.text);
	return prog;
}

static uint32_t once(const struct vm_prog *prog)
{
	uint64_t r0;

	run.budget = VM_BUDGET;
	if (vm_exec(&run, prog, (uintptr_t)ctx, 0, &r0))
		die("a fault");
	return (uint32_t)r0;
}

static double time_prog(const struct vm_prog *prog, unsigned long n)
{
	uint64_t start = cpu_ns();
	unsigned long i;

	for (i = 0; i < n; i++)
		once(prog);
	return (double)(cpu_ns() - start) / (double)n;
}

static double time_native(int (*f)(const struct xdp_md *), unsigned long n)
{
	static volatile int sink;
	uint64_t start = cpu_ns();
	unsigned long i;

	for (i = 0; i < n; i++)
		sink += f(ctx);
	return (double)(cpu_ns() - start) / (double)n;
}

static unsigned long batch(double ns)
{
	return (unsigned long)(BATCH_NS / (ns + 1)) + 1;
}

static struct bpf_object *open_kernels(const char *dir)
{
	struct bpf_object *obj;
	char path[4096];

	snprintf(path, sizeof(path), "%s/vm.bpf.o", dir);
	obj = bpf_object__open(path);
	if (!obj || bpf_object__load(obj))
		die("cannot load %s", path);
	return obj;
}

/* One computation all ways: medians to ns. */
static void measure(struct bpf_object *obj, size_t k, double ns[N_WAYS])
{
	const struct bpf_program *p = bpf_object__find_program_by_name(obj, kernels[k].name);
	double v[N_WAYS][ROUNDS];
	struct vm_prog *prog[N_WAYS] = {0};
	uint32_t want = (uint32_t)kernels[k].native(ctx);
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = (void *)(uintptr_t)ctx->data,
		.data_size_in = PACKET);
	enum way w;
	int i;

	for (w = INTERP; w <= JIT_CHECKED; w++) {
		prog[w] = load(bpf_program__insns(p), bpf_program__insn_cnt(p), w);
		if (once(prog[w]) != want)
			die("%s: a wrong answer", kernels[k].name);
	}
	if (bpf_prog_test_run_opts(bpf_program__fd(p), &o) || o.retval != want)
		die("%s: the kernel has another answer", kernels[k].name);
	for (i = 0; i < ROUNDS; i++) {
		v[NATIVE][i] =
			time_native(kernels[k].native, batch(time_native(kernels[k].native, 10)));
		for (w = INTERP; w <= JIT_CHECKED; w++)
			v[w][i] = time_prog(prog[w], batch(time_prog(prog[w], 10)));
		v[IN_KERNEL][i] = bench_run_ns(
			bpf_program__fd(p), (void *)(uintptr_t)ctx->data, PACKET, 20000);
	}
	for (w = 0; w < N_WAYS; w++) {
		ns[w] = bench_median(v[w], ROUNDS);
		vm_prog_free(prog[w]);
	}
}

/* A loop of a known number of instructions: arithmetic, loads, stores, jumps, as programs have
 * them. */
static struct bpf_insn *known_loop(uint32_t *n, int32_t turns)
{
	struct isa_build b = {0};
	uint32_t again = isa_label(&b), over = isa_label(&b);
	struct sluice_err err;
	struct bpf_insn *insns;

	isa_put(&b, ISA_MOV64_K, 6, 0, 0, turns);
	isa_put(&b, ISA_MOV64_K, 0, 0, 0, 0);
	isa_put(&b, ISA_ST64_K, 10, 0, -8, 1);
	isa_here(&b, again);
	isa_put(&b, ISA_LDX64, 2, 10, -8, 0);
	isa_put(&b, ISA_MOV64_X, 3, 2, 0, 0);
	isa_put(&b, ISA_ADD64_X, 0, 3, 0, 0);
	isa_put(&b, ISA_XOR64_K, 3, 0, 0, 0x55);
	isa_put(&b, ISA_LSH64_K, 3, 0, 0, 3);
	isa_put(&b, ISA_AND32_K, 3, 0, 0, 0xff);
	isa_put(&b, ISA_ST64_X, 10, 6, -8, 0);
	isa_put_jump(&b, ISA_JSGT64_K, 3, 0, 0x7fffffff, over);
	isa_put(&b, ISA_RSH64_K, 2, 0, 0, 5);
	isa_put(&b, ISA_OR64_X, 3, 2, 0, 0);
	isa_here(&b, over);
	isa_put(&b, ISA_ADD64_K, 6, 0, 0, -1);
	isa_put_jump(&b, ISA_JNE64_K, 6, 0, 0, again);
	isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
	if (isa_build_take(&b, &insns, n, &err))
		die("%s", err.text);
	return insns;
}

/* A native chain of dependent multiplications, 3 cycles each on what is sold today: what a
 * nanosecond is worth here. */
static double reference_ns(void)
{
	uint64_t start = cpu_ns(), x = start | 1;
	unsigned long i;

	for (i = 0; i < 2000000; i++)
		__asm__ volatile("imul %0, %0" : "+r"(x));
	return (double)(cpu_ns() - start) / 2e6;
}

static void per_instruction(void)
{
	const int turns = 2000;
	const double executed = 4 + 12.0 * turns;
	double t[ROUNDS], c[ROUNDS], r[ROUNDS], trusted, checked, ref;
	struct vm_prog *p[2];
	struct bpf_insn *insns;
	uint32_t n;
	int i;

	insns = known_loop(&n, turns);
	p[0] = load(insns, n, INTERP);
	p[1] = load(insns, n, CHECKED);
	for (i = 0; i < ROUNDS; i++) {
		t[i] = time_prog(p[0], 200) / executed;
		c[i] = time_prog(p[1], 200) / executed;
		r[i] = reference_ns();
	}
	trusted = bench_median(t, ROUNDS);
	checked = bench_median(c, ROUNDS);
	ref = bench_median(r, ROUNDS);
	printf("interpreter: %.2f ns an instruction, checked %.2f; a multiplication here takes "
	       "%.2f ns\n\n",
		trusted, checked, ref);
	/* 1.0 ns where a multiplication takes 0.93 (a core at 3.2 GHz) */
	bench_figure("vm_interp_per_multiplication", trusted / ref, "ratio", "<=", 1.1);
	bench_note("vm_interp_instruction", trusted, "ns");
	bench_figure("vm_interp_checked", checked / trusted, "ratio", "<=", 1.2);
	vm_prog_free(p[0]);
	vm_prog_free(p[1]);
	free(insns);
}

/* Compile time on a program of the random kind: 2,400 instructions of the known loop's body. */
static void compile_time(void)
{
	struct bpf_insn *body, *insns = calloc(2400, sizeof(*insns));
	double v[2][ROUNDS], decoded, compiled;
	uint32_t n, i;
	uint64_t start;

	body = known_loop(&n, 1);
	if (!insns)
		die("out of memory");
	for (i = 0; i + 1 < 2400; i++)
		insns[i] = body[i < 13 ? i : 3 + (i - 13) % 10];
	insns[2399] = isa_make(ISA_EXIT);
	for (i = 0; i < ROUNDS; i++) {
		start = cpu_ns();
		vm_prog_free(load(insns, 2400, INTERP));
		v[0][i] = (double)(cpu_ns() - start) / 24;
		start = cpu_ns();
		vm_prog_free(load(insns, 2400, JIT));
		v[1][i] = (double)(cpu_ns() - start) / 24;
	}
	decoded = bench_median(v[0], ROUNDS);
	compiled = bench_median(v[1], ROUNDS);
	printf("\nloading 100 instructions: %.1f us, compiled %.1f us (check, link and decode "
	       "included)\n",
		decoded / 1000, compiled / 1000);
	bench_figure("vm_compile_100", compiled / 1000, "us", "<=", 20);
	free(body);
	free(insns);
}

/* What entering costs is another matter: both without it; below 4 ns a difference says nothing. */
static double net_of(const double *ns, const double *bare, size_t way, size_t than)
{
	double a = ns[way] - bare[way], b = ns[than] - bare[than];

	return ((a > 0 ? a : 0) + 4) / ((b > 0 ? b : 0) + 4);
}

int main(int argc, char **argv)
{
	double ns[N_WAYS], bare_ns[N_WAYS] = {0}, net, sum = 1, worst = 0, worst_checked = 0,
			   slow = 0;
	struct bpf_object *obj;
	size_t k;

	if (argc != 2)
		die("usage: bench-vm DIR");
	if (!vm_engine_has_jit())
		die("there is no compiler for this machine");
	bench_pin(0);
	ctx = mmap(
		NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (ctx == MAP_FAILED)
		die("no memory below 4 GB");
	ctx->data = (uint32_t)(uintptr_t)ctx + 4096;
	ctx->data_end = ctx->data + PACKET;
	bench_packet((void *)(uintptr_t)ctx->data, PACKET);
	vm_run_init(&run, NULL, NULL);
	vm_run_region(&run, VM_REGION_CTX, ctx, sizeof(*ctx), false);
	vm_run_region(&run, VM_REGION_PACKET, (void *)(uintptr_t)ctx->data, PACKET, true);
	obj = open_kernels(argv[1]);
	per_instruction();
	printf("%-12s %8s %12s %12s %10s %12s %10s\n", "ns a run", "native", "interpreter",
		"checked", "compiled", "checked", "kernel");
	for (k = 0; k < N_KERNELS; k++) {
		measure(obj, k, ns);
		if (!k)
			memcpy(bare_ns, ns, sizeof(ns));
		printf("%-12s %8.1f %12.1f %12.1f %10.1f %12.1f %10.1f\n", kernels[k].name,
			ns[NATIVE], ns[INTERP], ns[CHECKED], ns[JIT], ns[JIT_CHECKED],
			ns[IN_KERNEL]);
		if (!k)
			continue;
		net = net_of(ns, bare_ns, JIT, IN_KERNEL);
		sum *= net;
		worst = net > worst ? net : worst;
		net = net_of(ns, bare_ns, JIT_CHECKED, JIT);
		worst_checked = net > worst_checked ? net : worst_checked;
		slow = ns[INTERP] / ns[NATIVE] > slow ? ns[INTERP] / ns[NATIVE] : slow;
	}
	bench_figure("vm_jit_to_kernel_mean", __builtin_pow(sum, 1.0 / (N_KERNELS - 1)), "ratio",
		"<=", 1.1);
	bench_figure("vm_jit_to_kernel_worst", worst, "ratio", "<=", 1.3);
	bench_figure("vm_jit_checked_worst", worst_checked, "ratio", "<=", 1.5);
	bench_note("vm_interp_to_native_worst", slow, "ratio");
	compile_time();
	bpf_object__close(obj);
	return 0;
}
