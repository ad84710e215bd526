// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One program, six engines: see vm_engines.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "isa/build.h"
#include "vm/run.h"
#include "vm_engines.h"

const char *const engine_names[N_ENGINES] = {"interpreter, checked", "interpreter", "compiled, checked",
					     "compiled", "watched"};

/* Two helpers, so that calls are tested: the sum of all five arguments, and a function called n
 * times. */
static uint64_t sum5(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, struct vm_run *run)
{
	(void)run;
	return a + 2 * b + 3 * c + 4 * d + 5 * e;
}

static uint64_t loop(uint64_t n, uint64_t func, uint64_t ctx, uint64_t d, uint64_t e, struct vm_run *run)
{
	uint64_t args[5] = {0, ctx}, ret;

	(void)d;
	(void)e;
	for (; args[0] < n; args[0]++)
		if (vm_callback(run, func, args, &ret) || ret)
			break;
	return args[0];
}

static uint64_t take(uint64_t mem, uint64_t len, uint64_t c, uint64_t d, uint64_t e, struct vm_run *run)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)mem;
	uint64_t s = 0;

	(void)c;
	(void)d;
	(void)e;
	(void)run;
	while (len--)
		s = s * 31 + *p++;
	return s;
}

static int helper(void *owner, int32_t number, const struct vm_helper **h, struct sluice_err *err)
{
	static const struct vm_helper sum = {"sum5", sum5, {0}, {0}};
	static const struct vm_helper loop_ = {"loop", loop, {VM_ARG_ANY, VM_ARG_FUNC}, {0}};
	static const struct vm_helper take_ = {"take", take, {VM_ARG_MEM, VM_ARG_SIZE}, {0}};

	(void)owner;
	*h = number == 5000 ? &sum : number == BPF_FUNC_loop ? &loop_ : number == 5001 ? &take_ : NULL;
	if (!*h && err)
		snprintf(err->text, sizeof(err->text), "there is no helper %d here", number);
	return *h ? 0 : -EINVAL;
}

static void step(struct vm_watch *watch, struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
		 const uint64_t reg[11])
{
	(void)watch, (void)run, (void)prog, (void)pc, (void)reg;
}

/* Kernel function 5 of no BTF object and of the one with index 3. */
static int kfunc(void *owner, int32_t id, int16_t index, const struct vm_helper **h, struct sluice_err *err)
{
	static const struct vm_helper sum = {"sum5", sum5, {0}, {0}};
	static const struct vm_helper take_ = {"take", take, {VM_ARG_MEM, VM_ARG_SIZE}, {0}};

	(void)owner;
	*h = id != 5 ? NULL : index == 3 ? &take_ : index ? NULL : &sum;
	if (!*h && err)
		snprintf(err->text, sizeof(err->text), "there is no kernel function %d of BTF %d here", id,
			 index);
	return *h ? 0 : -EINVAL;
}

int engine_run(enum engine engine, bool rfc, const struct bpf_insn *insns, uint32_t n, const uint8_t *memory,
	       uint32_t len, struct answer *answer)
{
	static const struct vm_linker linker = {.helper = helper, .kfunc = kfunc};
	static struct vm_watch watch = {.step = step};
	static struct vm_run run;
	struct vm_prog_spec spec = {
		.insns = insns,
		.n_insns = n,
		.name = "test",
		.rfc = rfc,
		.linker = &linker,
		.trusted = engine == ENGINE_TRUSTED || engine == ENGINE_JIT || engine == ENGINE_WATCHED,
		.engine = engine == ENGINE_CHECKED || engine == ENGINE_TRUSTED ? VM_ENGINE_INTERP
									       : VM_ENGINE_JIT,
	};
	struct sluice_err err = {0};
	struct vm_prog *prog;
	uint8_t *copy;
	int e = vm_prog_new(&spec, &prog, &err);

	if (e) {
		snprintf(answer->text, sizeof(answer->text), "%.500s", err.text);
		return e;
	}
	/* exactly as long as it may be, so that a sanitizer sees what a check would miss */
	copy = malloc(len ? len : 1);
	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, memory, len);
	vm_run_init(&run, NULL, NULL);
	run.budget = 40000000;
	run.watch = engine == ENGINE_WATCHED ? &watch : NULL;
	vm_run_region(&run, VM_REGION_MORE, copy, len, true);
	answer->fault = vm_exec(&run, prog, len ? (uintptr_t)copy : 0, len, &answer->r0) != 0;
	answer->text[0] = '\0';
	if (answer->fault)
		vm_fault_text(&run.fault, answer->text, sizeof(answer->text));
	if (run.depth)
		snprintf(answer->text, sizeof(answer->text), "%u frames left behind", run.depth);
	if (len)
		memcpy(answer->memory, copy, len);
	free(copy);
	vm_prog_free(prog);
	return 0;
}

/* r0 of the program, its lower or upper half, as an XDP program's 32-bit answer */
static int half(const struct bpf_insn *insns, uint32_t n, bool upper, const uint8_t *memory, uint32_t len,
		struct answer *answer, uint32_t *ret)
{
	static char log[65536];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_level = 1, .log_buf = log, .log_size = sizeof(log));
	LIBBPF_OPTS(bpf_test_run_opts, run);
	uint8_t in[MEMORY_MAX] = {0}, out[MEMORY_MAX];
	struct isa_build b = {0};
	struct bpf_insn *whole;
	uint32_t body = isa_label(&b), bad = isa_label(&b), m;
	struct sluice_err err;
	int fd, e;

	isa_put(&b, ISA_LDX32, 2, 1, 4, 0);
	isa_put(&b, ISA_LDX32, 1, 1, 0, 0);
	isa_put(&b, ISA_MOV64_X, 3, 1, 0, 0);
	isa_put(&b, ISA_ADD64_K, 3, 0, 0, (int32_t)len);
	isa_put_jump(&b, ISA_JGT64_X, 3, 2, 0, bad);
	isa_put(&b, ISA_MOV64_K, 2, 0, 0, (int32_t)len);
	isa_put_jump(&b, ISA_CALL_LOCAL, 0, 0, 0, body);
	if (upper)
		isa_put(&b, ISA_RSH64_K, 0, 0, 0, 32);
	isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
	isa_here(&b, bad);
	isa_put(&b, ISA_MOV64_K, 0, 0, 0, 0);
	isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
	isa_here(&b, body);
	buf_put(&b.insns, insns, n * sizeof(*insns));
	if (isa_build_take(&b, &whole, &m, &err))
		return -ENOMEM;
	log[0] = '\0';
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "test", "GPL", whole, m, &opts);
	e = -errno;
	free(whole);
	if (fd < 0) {
		snprintf(answer->text, sizeof(answer->text), "%.500s",
			 strlen(log) > 500 ? log + strlen(log) - 500 : log);
		return e;
	}
	if (len)
		memcpy(in, memory, len);
	run.data_in = in;
	run.data_size_in = len < 64 ? 64 : len;
	run.data_out = out;
	run.data_size_out = sizeof(out);
	e = bpf_prog_test_run_opts(fd, &run);
	close(fd);
	*ret = run.retval;
	memcpy(answer->memory, out, len);
	return e;
}

int kernel_run(const struct bpf_insn *insns, uint32_t n, const uint8_t *memory, uint32_t len,
	       struct answer *answer)
{
	uint32_t low, high;
	int e;

	e = half(insns, n, false, memory, len, answer, &low);
	if (!e)
		e = half(insns, n, true, memory, len, answer, &high);
	if (!e)
		answer->r0 = (uint64_t)high << 32 | low;
	return e;
}
