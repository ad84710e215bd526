// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tail calls between engines of both kinds: 33 of them, out of functions, and what is refused. */
#include "base/test.h"
#include "isa/isa.h"
#include "vm/run.h"

#define MAP 0x1000u

static const struct vm_prog *table[2];

static const struct vm_prog *tail(struct vm_run *run, uint64_t map, uint32_t index)
{
	(void)run;
	return map == MAP && index < 2 ? table[index] : NULL;
}

static bool sizes(struct vm_run *run, uint64_t map, uint32_t *key, uint32_t *value)
{
	(void)run;
	*key = *value = 4;
	return map == MAP;
}

static const struct vm_env env = {.tail = tail, .map_sizes = sizes};

static struct vm_prog *load(const char *text, bool trusted, enum vm_engine engine)
{
	struct vm_prog_spec spec = {.trusted = trusted, .engine = engine, .name = "t"};
	struct sluice_err err;
	struct bpf_insn *insns;
	struct vm_prog *prog;

	if (isa_parse(text, &insns, &spec.n_insns, &err))
		fail_msg("%s", err.text);
	spec.insns = insns;
	if (vm_prog_new(&spec, &prog, &err))
		fail_msg("%s", err.text);
	free(insns);
	return prog;
}

/* Counts in the context, calls the program in slot 1, which calls the one in slot 0, ... from
 * within a function. */
static const char ping[] = "r6 = 7\n"
			   "call f\n"
			   "r0 += r6\n"
			   "exit\n"
			   "f: r6 = 1\n"
			   "r2 = *(u64 *)(r1 +0)\n"
			   "r2 += 1\n"
			   "*(u64 *)(r1 +0) = r2\n"
			   "r2 = 0x1000\n"
			   "r3 = 1\n"
			   "call bpf_tail_call\n"
			   "r0 = 100\n"
			   "exit\n";
static const char pong[] = "r2 = *(u64 *)(r1 +0)\n"
			   "r2 += 1\n"
			   "*(u64 *)(r1 +0) = r2\n"
			   "r2 = 0x1000\n"
			   "r3 = 1\n"
			   "call bpf_tail_call\n"
			   "r0 = 200\n"
			   "exit\n";

static void every_pair_of_engines(void **state)
{
	static struct vm_run run;
	struct vm_prog *a, *b;
	uint64_t count, r0;
	int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		if ((i & 5) && !vm_engine_has_jit())
			continue;
		a = load(ping, i & 2, i & 1 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		b = load(pong, i & 8, i & 4 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		table[0] = a;
		table[1] = b;
		count = 0;
		vm_run_init(&run, &env, NULL);
		vm_run_region(&run, VM_REGION_CTX, &count, sizeof(count), true);
		assert_int_equal(vm_exec(&run, a, (uintptr_t)&count, 0, &r0), 0);
		assert_int_equal(r0, 207);
		assert_int_equal(count, 1 + VM_TAIL_CALLS);
		assert_int_equal(run.depth, 0);
		vm_prog_free(a);
		vm_prog_free(b);
	}
}

static void refused(const char *text, enum vm_engine engine, const char *want)
{
	static struct vm_run run;
	struct vm_prog *a = load(text, false, engine);
	uint64_t count = 0, r0;
	char said[512];

	vm_run_init(&run, &env, NULL);
	vm_run_region(&run, VM_REGION_CTX, &count, sizeof(count), true);
	assert_int_equal(vm_exec(&run, a, (uintptr_t)&count, 0, &r0), -EFAULT);
	assert_string_equal(vm_fault_text(&run.fault, said, sizeof(said)), want);
	vm_prog_free(a);
}

static void wrong_arguments(void **state)
{
	enum vm_engine e;

	(void)state;
	for (e = VM_ENGINE_INTERP; e <= (vm_engine_has_jit() ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		e++) {
		refused("r2 = 5\ncall bpf_tail_call\nexit", e,
			"t: instruction 1, (85) call bpf_tail_call#12: argument 2 of tail_call "
			"must be a map but is 0x5");
		refused("r1 = 9\nr2 = 4096\ncall bpf_tail_call\nexit", e,
			"t: instruction 2, (85) call bpf_tail_call#12: argument 1 of tail_call "
			"must be the context but is 0x9");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_engines),
		cmocka_unit_test(wrong_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
