// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes the instruction set and the checked engines: any bytes are instructions. What isa_check()
 * accepts prints and parses back to the same bytes, and runs on both checked engines with the first
 * 64 bytes' worth of memory, to the same end: the same r0 and memory, or a fault of the same kind
 * at the same instruction.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "isa/isa.h"
#include "vm/run.h"

#define MEMORY 64

/* All instructions in one text, a line each. */
static void round_trip(const struct bpf_insn *insns, uint32_t n)
{
	char *text = malloc((size_t)n * 96 + 1), *at = text;
	struct sluice_err err;
	struct bpf_insn *back;
	uint32_t i, m;

	if (!text)
		abort();
	for (i = 0; i < n; i += 1 + isa_is_wide(&insns[i])) {
		isa_print(&insns[i], n - i, at, 95);
		at += strlen(at);
		*at++ = '\n';
		*at = '\0';
	}
	if (isa_parse(text, &back, &m, &err) || m != n ||
		memcmp(back, insns, n * sizeof(*insns)) != 0)
		abort();
	free(back);
	free(text);
}

static int run(const struct bpf_insn *insns, uint32_t n, enum vm_engine engine, uint8_t *memory,
	uint64_t *r0, struct vm_fault *fault)
{
	static struct vm_run run;
	struct vm_prog_spec spec = {.insns = insns, .n_insns = n, .engine = engine};
	struct vm_prog *prog;
	int e = vm_prog_new(&spec, &prog, NULL);
	char text[512];

	if (e)
		return e;
	vm_run_init(&run, NULL, NULL);
	run.budget = 20000;
	vm_run_region(&run, VM_REGION_MORE, memory, MEMORY, true);
	if (vm_exec(&run, prog, (uintptr_t)memory, MEMORY, r0))
		vm_fault_text(&run.fault, text, sizeof(text));
	if (run.depth)
		abort();
	*fault = run.fault;
	vm_prog_free(prog);
	return 0;
}

/* The same program twice sees the same addresses, but for those of its functions. */
static bool has_function_address(const struct bpf_insn *insns, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i += 1 + isa_is_wide(&insns[i]))
		if (isa_decode(&insns[i]) == ISA_LD64_FUNC)
			return true;
	return false;
}

static void both_engines(
	const struct bpf_insn *insns, uint32_t n, const uint8_t *before, uint8_t *memory)
{
	struct vm_fault f[2];
	uint8_t after[MEMORY];
	uint64_t r0[2];

	memcpy(memory, before, MEMORY);
	if (run(insns, n, VM_ENGINE_INTERP, memory, &r0[0], &f[0]) || !vm_engine_has_jit())
		return;
	memcpy(after, memory, MEMORY);
	memcpy(memory, before, MEMORY);
	if (run(insns, n, VM_ENGINE_JIT, memory, &r0[1], &f[1]))
		abort();
	/* the compiler charges a backward jump whether it is taken or not: only one of them may run
	 * out of budget */
	if (f[0].reason == VM_FAULT_BUDGET || f[1].reason == VM_FAULT_BUDGET ||
		has_function_address(insns, n))
		return;
	if (f[0].reason != f[1].reason || memcmp(memory, after, MEMORY) != 0)
		abort();
	if (f[0].reason ? f[0].pc != f[1].pc || f[0].addr != f[1].addr : r0[0] != r0[1])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint32_t n = (uint32_t)(len / sizeof(struct bpf_insn));
	uint8_t *memory, before[MEMORY];
	struct bpf_insn *insns;

	if (!n || n > 4096)
		return 0;
	insns = malloc(n * sizeof(*insns));
	memory = malloc(MEMORY);
	if (!insns || !memory)
		abort();
	memcpy(insns, data, n * sizeof(*insns));
	memset(before, 0x5a, sizeof(before));
	memcpy(before, data, len < MEMORY ? len : MEMORY);
	if (!isa_check(insns, n, NULL, NULL)) {
		round_trip(insns, n);
		both_engines(insns, n, before, memory);
	}
	free(memory);
	free(insns);
	return 0;
}
