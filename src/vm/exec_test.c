// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tail calls between engines of both kinds: 33 of them, out of functions, and what is refused. What somebody
 * who watches a program is told, and the source line in a fault. */
#include <inttypes.h>

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
	for (e = VM_ENGINE_INTERP; e <= (vm_engine_has_jit() ? VM_ENGINE_JIT : VM_ENGINE_INTERP); e++) {
		refused("r2 = 5\ncall bpf_tail_call\nexit", e,
			"t: instruction 1, (85) call bpf_tail_call#12: argument 2 of tail_call "
			"must be a map but is 0x5");
		refused("r1 = 9\nr2 = 4096\ncall bpf_tail_call\nexit", e,
			"t: instruction 2, (85) call bpf_tail_call#12: argument 1 of tail_call "
			"must be the context but is 0x9");
	}
}

/* -------- watching -------- */

struct diary {
	struct vm_watch watch;
	char text[4096];
	uint32_t steps, fail_at;
};

__attribute__((format(printf, 2, 3))) static void put(struct diary *d, const char *fmt, ...)
{
	size_t n = strlen(d->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->text + n, sizeof(d->text) - n, fmt, ap);
	va_end(ap);
}

static void step(struct vm_watch *watch, struct vm_run *r, const struct vm_prog *prog, uint32_t pc,
		 const uint64_t reg[11])
{
	struct diary *d = (struct diary *)watch;

	(void)prog;
	put(d, "%u:%" PRIu64 " ", pc, reg[6]);
	assert_true(reg[10] == (uintptr_t)r->stack + (VM_FRAMES + 1 - r->depth) * (uint64_t)VM_FRAME_BYTES);
	if (++d->steps == d->fail_at)
		vm_run_fail(r, "that is enough");
}

static void called(struct vm_watch *watch, struct vm_run *r, const struct vm_helper *h,
		   const uint64_t args[5], uint64_t ret)
{
	struct diary *d = (struct diary *)watch;

	(void)r;
	put(d, "%s(%" PRIu64 ")=%" PRIu64 " ", h->name, args[0], ret);
}

static uint64_t twice(uint64_t n, uint64_t func, uint64_t c, uint64_t d, uint64_t e, struct vm_run *r)
{
	uint64_t args[5] = {n}, ret = 0;

	(void)c, (void)d, (void)e;
	if (!vm_callback(r, func, args, &ret)) {
		args[0] = ret;
		(void)vm_callback(r, func, args, &ret);
	}
	return ret;
}

static int twice_only(void *owner, int32_t number, const struct vm_helper **h, struct sluice_err *err)
{
	static const struct vm_helper t = {"twice", twice, {VM_ARG_ANY, VM_ARG_FUNC}, {0}};

	(void)owner, (void)err;
	*h = &t;
	return number == 7000 ? 0 : -EINVAL;
}

static bool line(void *owner, uint32_t pc, char *to, size_t size)
{
	snprintf(to, size, "%s.c:%u: x = y;", (const char *)owner, 100 + pc);
	return pc != 1;
}

static const char watched[] = "r6 = 3\n"
			      "call f\n"
			      "r1 = r0\n"
			      "r2 = subprog[g]\n"
			      "call unknown#7000\n"
			      "exit\n"
			      "f: r6 = 8\n"
			      "r0 = 20\n"
			      "exit\n"
			      "g: r0 = r1\n"
			      "r0 += 1\n"
			      "exit\n";

static const struct vm_linker twice_linker = {.helper = twice_only};

static struct vm_prog *load_for(const char *text, bool trusted, enum vm_engine engine)
{
	struct vm_prog_spec spec = {.trusted = trusted,
				    .engine = engine,
				    .name = "t",
				    .linker = &twice_linker,
				    .line = line,
				    .owner = (void *)"fw"};
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

static void watching_every_engine(void **state)
{
	static struct vm_run run;
	struct vm_prog *a;
	char said[512];
	uint64_t r0;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct diary d = {.watch = {step, called}};

		if ((i & 1) && !vm_engine_has_jit())
			continue;
		a = load_for(watched, i & 2, i & 1 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		vm_run_init(&run, NULL, NULL);
		run.watch = &d.watch;
		assert_int_equal(vm_exec(&run, a, 0, 0, &r0), 0);
		assert_int_equal(r0, 22);
		/* registers of a callback start at 0, those of a function are its caller's */
		assert_string_equal(d.text, "0:0 1:3 7:3 8:8 9:8 2:3 3:3 5:3 10:0 11:0 12:0 10:0 11:0 12:0 "
					    "twice(20)=22 6:3 ");
		memset(d.text, 0, sizeof(d.text));
		d.steps = 0;
		d.fail_at = 3;
		assert_int_equal(vm_exec(&run, a, 0, 0, &r0), -EFAULT);
		assert_string_equal(vm_fault_text(&run.fault, said, sizeof(said)),
				    "t: instruction 7, (b7) r6 = 8: that is enough; at fw.c:107: x = y;");
		assert_int_equal(run.depth, 0);
		run.watch = NULL;
		assert_int_equal(vm_exec(&run, a, 0, 0, &r0), 0);
		assert_int_equal(r0, 22);
		assert_int_equal(d.steps, 3);
		vm_prog_free(a);
	}
}

/* A trusted program is checked while it is watched; where no line is known none is said. */
static void watching_checks(void **state)
{
	static struct vm_run run;
	struct vm_prog *a;
	char said[512];
	uint64_t r0;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct diary d = {.watch = {step, called}};

		if (i && !vm_engine_has_jit())
			continue;
		a = load_for("r1 = 16\nr0 = *(u8 *)(r1 +0)\nexit", true,
			     i ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		vm_run_init(&run, NULL, NULL);
		run.watch = &d.watch;
		assert_int_equal(vm_exec(&run, a, 0, 0, &r0), -EFAULT);
		assert_int_equal(run.fault.reason, VM_FAULT_READ);
		assert_string_equal(d.text, "0:0 1:0 ");
		vm_fault_text(&run.fault, said, sizeof(said));
		assert_null(strstr(said, "; at "));
		vm_prog_free(a);
	}
}

/* Tail calls stay with who watches, whatever the engines of both; one that is not taken is a call. */
static void watching_tail_calls(void **state)
{
	static struct vm_run run;
	struct vm_prog *a, *b;
	uint64_t count, r0;
	int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		struct diary d = {.watch = {step, called}};

		if ((i & 5) && !vm_engine_has_jit())
			continue;
		a = load(ping, i & 2, i & 1 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		b = load(pong, i & 8, i & 4 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		table[0] = a;
		table[1] = b;
		count = 0;
		vm_run_init(&run, &env, NULL);
		run.watch = &d.watch;
		vm_run_region(&run, VM_REGION_CTX, &count, sizeof(count), true);
		assert_int_equal(vm_exec(&run, a, (uintptr_t)&count, 0, &r0), 0);
		assert_int_equal(r0, 207);
		assert_int_equal(count, 1 + VM_TAIL_CALLS);
		assert_int_equal(d.steps, 2 + 7 + 6 * VM_TAIL_CALLS + 2 + 2);
		put(&d, "|");
		assert_non_null(strstr(d.text, " 5:1 tail_call("));
		assert_non_null(strstr(d.text, ")=18446744073709551614 6:1 7:1 2:7 3:7 |"));
		vm_prog_free(a);
		vm_prog_free(b);
	}
}

/* -------- what lookups found, across programs -------- */

/* Map 0 has values of 64 bytes, map 1 of 8; one each. */
static uint64_t values[2][16];
static const uint32_t value_bytes[2] = {64, 8};

static uint64_t look(uint64_t map, uint64_t key, uint64_t c, uint64_t d, uint64_t e, struct vm_run *r)
{
	(void)key, (void)c, (void)d, (void)e, (void)r;
	return map;
}

static int look_only(void *owner, int32_t number, const struct vm_helper **h, struct sluice_err *err)
{
	static const struct vm_helper l = {"map_lookup_elem", look, {VM_ARG_MAP, VM_ARG_KEY}, {0}};

	(void)owner, (void)err;
	*h = &l;
	return number == BPF_FUNC_map_lookup_elem ? 0 : -EINVAL;
}

static int which_map(void *owner, const struct bpf_insn insn[2], uint64_t *value, struct sluice_err *err)
{
	(void)owner, (void)err;
	*value = (uintptr_t)values[insn->imm];
	return 0;
}

static bool how_to_look(void *owner, uint64_t map, struct vm_lookup *how)
{
	(void)owner;
	*how = (struct vm_lookup){.kind = VM_LOOKUP_ARRAY,
				  .key_bytes = 4,
				  .value_bytes = value_bytes[map == (uintptr_t)values[1]],
				  .data = (uint8_t *)(uintptr_t)map,
				  .max_entries = 1,
				  .stride = 64,
				  .any_value = (void *)(uintptr_t)map,
				  .writable = true};
	return true;
}

static bool value_region(struct vm_run *r, uint64_t addr, struct vm_region *region)
{
	int i;

	(void)r;
	for (i = 0; i < 2; i++)
		if (addr - (uintptr_t)values[i] < value_bytes[i]) {
			*region = vm_region_make(VM_REGION_VALUE, values[i], value_bytes[i], true, "m");
			return true;
		}
	return false;
}

static bool any_sizes(struct vm_run *r, uint64_t map, uint32_t *key, uint32_t *value)
{
	(void)r;
	*key = 4;
	*value = value_bytes[map == (uintptr_t)values[1]];
	return true;
}

static struct vm_prog *load_looking(const char *text, enum vm_engine engine)
{
	static const struct vm_linker l = {.address = which_map, .helper = look_only, .lookup = how_to_look};
	struct vm_prog_spec spec = {.engine = engine, .name = "t", .linker = &l};
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

/* The caller's lookup found 64 bytes, the program that its function went on in found 8. The caller makes its
 * pointer the other one: what compiled code remembers of its own lookup must not be taken for that. */
static void values_of_another_program(void **state)
{
	static const struct vm_env other = {.tail = tail, .map_sizes = any_sizes, .region = value_region};
	static const char caller[] = "*(u32 *)(r10 -4) = 0\n"
				     "r8 = r1\n"
				     "r2 = r10\n"
				     "r2 += -4\n"
				     "r1 = map[fd:0]\n"
				     "call bpf_map_lookup_elem\n"
				     "r6 = r0\n"
				     "r9 = *(u64 *)(r6 +16)\n"
				     "r1 = r8\n"
				     "call f\n"
				     "r7 = r6\n"
				     "r7 -= r0\n"
				     "r6 -= r7\n"
				     "r0 = *(u64 *)(r6 +16)\n"
				     "exit\n"
				     "f: r2 = 0x1000\n"
				     "r3 = 0\n"
				     "call bpf_tail_call\n"
				     "exit\n";
	static const char finder[] = "*(u32 *)(r10 -4) = 0\n"
				     "r2 = r10\n"
				     "r2 += -4\n"
				     "r1 = map[fd:1]\n"
				     "call bpf_map_lookup_elem\n"
				     "exit\n";
	static struct vm_run run;
	uint64_t count = 0, r0;
	struct vm_prog *a, *b;
	char said[512], first[512];
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		if (i && !vm_engine_has_jit())
			continue;
		a = load_looking(caller, i & 1 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		b = load_looking(finder, i & 2 ? VM_ENGINE_JIT : VM_ENGINE_INTERP);
		table[0] = b;
		vm_run_init(&run, &other, NULL);
		vm_run_region(&run, VM_REGION_CTX, &count, sizeof(count), true);
		assert_int_equal(vm_exec(&run, a, (uintptr_t)&count, 0, &r0), -EFAULT);
		vm_fault_text(&run.fault, said, sizeof(said));
		assert_non_null(strstr(said, "t: instruction 14, (79) r0 = *(u64 *)(r6 +16): reads 8 bytes"));
		if (!i)
			snprintf(first, sizeof(first), "%s", said);
		assert_string_equal(said, first);
		vm_prog_free(a);
		vm_prog_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_engines), cmocka_unit_test(wrong_arguments),
		cmocka_unit_test(watching_every_engine), cmocka_unit_test(watching_checks),
		cmocka_unit_test(watching_tail_calls),	 cmocka_unit_test(values_of_another_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
