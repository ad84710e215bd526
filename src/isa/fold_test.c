// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loads of constants that are known become their values, those that are not stay. */
#include "base/test.h"
#include "isa/fold.h"
#include "isa/isa.h"

static const struct {
	uint64_t large, small;
	uint32_t word, top;
	uint16_t half;
	uint8_t byte, pad[5];
	uint64_t minus;
} known = {0x123456789abcdef0, 7, 1000, 0xfffffffe, 500, 200, {0}, (uint64_t)-3};

#define AT(field) (int)offsetof(__typeof__(known), field)

/* Folds a program whose map 5 is `known`, and compares with what it should be. */
static void expect(const char *before, const char *after, uint32_t wanted)
{
	const struct isa_memory v[] = {{.imm = 9, .bytes = "x", .len = 1},
					 {.imm = 7},
					  {.imm = 5, .bytes = &known, .len = sizeof(known)}};
	struct bpf_insn *a, *b;
	struct sluice_err err;
	uint32_t n_a, n_b, i, folded;
	char is[96];

	if (isa_parse(before, &a, &n_a, &err) || isa_parse(after, &b, &n_b, &err))
		fail_msg("%s", err.text);
	assert_int_equal(isa_fold(a, n_a, v, 3, &folded, &err), 0);
	assert_int_equal(n_a, n_b);
	for (i = 0; i < n_a; i += isa_is_wide(&a[i]) ? 2 : 1)
		if (memcmp(&a[i], &b[i], sizeof(*a)) != 0)
			fail_msg("instruction %u became %s", i, isa_print(&a[i], n_a - i, is, sizeof(is)));
	assert_int_equal(folded, wanted);
	free(a);
	free(b);
}

static void each_size(void **state)
{
	char before[1024], after[1024];

	(void)state;
	snprintf(before, sizeof(before),
		 "r1 = map[fd:5]+0\nr2 = *(u64 *)(r1 +%d)\nr3 = *(u32 *)(r1 +%d)\nr4 = *(u32 *)(r1 +%d)\n"
		 "r5 = *(u16 *)(r1 +%d)\nr6 = *(u8 *)(r1 +%d)\nr7 = *(u64 *)(r1 +%d)\nr8 = *(u64 *)(r1 +%d)\nexit\n",
		 AT(small), AT(word), AT(top), AT(half), AT(byte), AT(minus), AT(large));
	snprintf(after, sizeof(after),
		 "r1 = map[fd:5]+0\nw2 = 7\nw3 = 1000\nw4 = -2\nw5 = 500\nw6 = 200\nr7 = -3\n"
		 "r8 = *(u64 *)(r1 +%d)\nexit\n",
		 AT(large));
	expect(before, after, 6);
}

static void through_copies_and_sums(void **state)
{
	(void)state;
	expect("r1 = map[fd:5]+4\nr6 = r1\nr6 += 12\nr2 = *(u32 *)(r6 +0)\nr6 += -4\nr3 = *(u32 *)(r6 +4)\nexit\n",
	       "r1 = map[fd:5]+4\nr6 = r1\nr6 += 12\nw2 = 1000\nr6 += -4\nw3 = 1000\nexit\n", 2);
}

static void not_beyond_the_end(void **state)
{
	const char *p = "r1 = map[fd:5]+0\nr2 = *(u64 *)(r1 +36)\nr3 = *(u8 *)(r1 +40)\nr4 = *(u8 *)(r1 -1)\n"
			"r1 = map[fd:9]+0\nr2 = *(u16 *)(r1 +0)\nr1 = map[fd:6]+0\nr2 = *(u8 *)(r1 +0)\n"
			"r1 = map[fd:5]\nr2 = *(u8 *)(r1 +0)\nexit\n";

	(void)state;
	assert_int_equal(sizeof(known), 40);
	expect(p, p, 0);
}

/* Where ways meet, only what is the same on all of them is known. */
static void ways_meet(void **state)
{
	(void)state;
	expect("r6 = map[fd:5]+0\nif r1 == 0 goto one\nr6 = map[fd:5]+16\none:\nr2 = *(u32 *)(r6 +8)\nexit\n",
	       "r6 = map[fd:5]+0\nif r1 == 0 goto one\nr6 = map[fd:5]+16\none:\nr2 = *(u32 *)(r6 +8)\nexit\n", 0);
	expect("r6 = map[fd:5]+0\nif r1 == 0 goto one\nr6 = map[fd:5]+0\none:\nr2 = *(u32 *)(r6 +8)\nexit\n",
	       "r6 = map[fd:5]+0\nif r1 == 0 goto one\nr6 = map[fd:5]+0\none:\nw2 = 7\nexit\n", 1);
	/* a loop that moves the pointer */
	expect("r6 = map[fd:5]+0\nr0 = 0\nagain:\nr2 = *(u8 *)(r6 +8)\nr6 += 1\nr0 += 1\nif r0 < 3 goto again\nexit\n",
	       "r6 = map[fd:5]+0\nr0 = 0\nagain:\nr2 = *(u8 *)(r6 +8)\nr6 += 1\nr0 += 1\nif r0 < 3 goto again\nexit\n", 0);
	/* and one that does not */
	expect("r6 = map[fd:5]+0\nr0 = 0\nagain:\nr2 = *(u8 *)(r6 +8)\nr0 += 1\nif r0 < 3 goto again\nexit\n",
	       "r6 = map[fd:5]+0\nr0 = 0\nagain:\nw2 = 7\nr0 += 1\nif r0 < 3 goto again\nexit\n", 1);
}

/* Calls forget r1 to r5 and keep r6 on; functions know nothing of who calls them. */
static void calls(void **state)
{
	(void)state;
	expect("r6 = map[fd:5]+0\nr1 = r6\ncall bpf_ktime_get_ns#5\nr2 = *(u32 *)(r1 +8)\nr3 = *(u32 *)(r6 +8)\nr1 = r6\n"
	       "call sub\nr2 = *(u32 *)(r6 +8)\nexit\nsub:\nr0 = *(u32 *)(r1 +8)\nr6 = *(u32 *)(r6 +8)\nexit\n",
	       "r6 = map[fd:5]+0\nr1 = r6\ncall bpf_ktime_get_ns#5\nr2 = *(u32 *)(r1 +8)\nw3 = 7\nr1 = r6\n"
	       "call sub\nw2 = 7\nexit\nsub:\nr0 = *(u32 *)(r1 +8)\nr6 = *(u32 *)(r6 +8)\nexit\n", 2);
}

static void what_is_never_reached_stays(void **state)
{
	const char *p = "r0 = 0\nexit\nr6 = map[fd:5]+0\nr2 = *(u32 *)(r6 +8)\nexit\n";

	(void)state;
	expect(p, p, 0);
}

/* A write makes a register another's: 32 bits of a pointer, exchanged memory, a spilled pointer. */
static void overwritten(void **state)
{
	const char *p = "r6 = map[fd:5]+0\nw6 += 0\nr2 = *(u32 *)(r6 +8)\n"
			"r6 = map[fd:5]+0\nr0 = r6\nr0 = atomic64_xchg((u64 *)(r10 -8), r0)\nr3 = *(u32 *)(r0 +8)\n"
			"*(u64 *)(r10 -8) = r6\nr6 = *(u64 *)(r10 -8)\nr2 = *(u32 *)(r6 +8)\nexit\n";

	(void)state;
	expect(p, p, 0);
}

/* A lookup of the only value is its address; of maps that have others, or with another key, it stays. */
static void lookups(void **state)
{
	static const char *const same[] = {
		/* another key, an unknown one */
		"r2 = map[fd:5]+8\nr1 = map[fd:7]\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = r10\nr2 += -4\nr1 = map[fd:7]\ncall bpf_map_lookup_elem#1\nexit\n",
		/* a map that is not known, another helper, something between, another register, somebody jumps in */
		"r2 = map[fd:5]+28\nr1 = map[fd:6]\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nr1 = map[fd:7]\ncall bpf_map_delete_elem#3\nexit\n",
		"r2 = map[fd:5]+28\nr1 = map[fd:7]\nr3 = r0\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nr1 = map[fd:7]\nr1 += 0\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nr1 = map[fd:7]\nr0 = 1\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nr3 = map[fd:7]\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nif r9 == 0 goto in\nr1 = map[fd:7]\nin:\ncall bpf_map_lookup_elem#1\nexit\n",
	};
	size_t i;

	(void)state;
	assert_int_equal(AT(pad), 27);
	expect("r2 = map[fd:5]+28\nr1 = map[fd:7]\ncall bpf_map_lookup_elem#1\nif r0 == 0 goto out\nr0 = *(u32 *)(r0 +0)\n"
	       "out:\nexit\n",
	       "r2 = map[fd:5]+28\nr0 = map[fd:7]+0\ngoto +0\nif r0 == 0 goto out\nr0 = *(u32 *)(r0 +0)\nout:\nexit\n", 1);
	expect("r1 = map[fd:7]\nr2 = map[fd:5]+28\nr6 = 1\ncall bpf_map_lookup_elem#1\nexit\n",
	       "r0 = map[fd:7]+0\nr2 = map[fd:5]+28\nr6 = 1\ngoto +0\nexit\n", 1);
	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		expect(same[i], same[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_size),	 cmocka_unit_test(through_copies_and_sums),
		cmocka_unit_test(not_beyond_the_end), cmocka_unit_test(ways_meet),
		cmocka_unit_test(calls),	 cmocka_unit_test(what_is_never_reached_stays),
		cmocka_unit_test(overwritten),	 cmocka_unit_test(lookups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
