// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is known becomes a number, what hangs on it goes; what is not known stays. */
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

/* Registers that are read at the end, into what nobody knows. */
#define READ "*(u64 *)(r9 +0) = r2\n*(u64 *)(r9 +0) = r3\n*(u64 *)(r9 +0) = r4\n"
#define READ8 READ "*(u64 *)(r9 +0) = r5\n*(u64 *)(r9 +0) = r6\n*(u64 *)(r9 +0) = r7\n*(u64 *)(r9 +0) = r8\n"
#define DONE "r0 = 0\nexit\n"

static void each_size(void **state)
{
	char before[1024], after[1024];

	(void)state;
	snprintf(
		before, sizeof(before),
		"r1 = map[fd:5]+0\nr2 = *(u64 *)(r1 +%d)\nr3 = *(u32 *)(r1 +%d)\nr4 = *(u32 *)(r1 +%d)\n"
		"r5 = *(u16 *)(r1 +%d)\nr6 = *(u8 *)(r1 +%d)\nr7 = *(u64 *)(r1 +%d)\nr8 = *(u64 *)(r1 +%d)\n" READ8
			DONE,
		AT(small), AT(word), AT(top), AT(half), AT(byte), AT(minus), AT(large));
	snprintf(after, sizeof(after),
		 "r1 = map[fd:5]+0\nw2 = 7\nw3 = 1000\nw4 = -2\nw5 = 500\nw6 = 200\nr7 = -3\n"
		 "r8 = *(u64 *)(r1 +%d)\n" READ8 DONE,
		 AT(large));
	expect(before, after, 6);
}

static void through_copies_and_sums(void **state)
{
	(void)state;
	expect("r1 = map[fd:5]+4\nr6 = r1\nr6 += 12\nr2 = *(u32 *)(r6 +0)\nr6 += -4\nr3 = *(u32 *)(r6 +4)\nr4 = r2\nr4 += r3\n" READ
		       DONE,
	       "goto +0\ngoto +0\ngoto +0\ngoto +0\nw2 = 1000\ngoto +0\nw3 = 1000\ngoto +0\nw4 = 2000\n" READ
		       DONE,
	       9);
}

static void not_beyond_the_end(void **state)
{
	const char *p =
		"r1 = map[fd:5]+0\nr2 = *(u64 *)(r1 +36)\nr3 = *(u8 *)(r1 +40)\nr4 = *(u8 *)(r1 -1)\n" READ
		"r1 = map[fd:9]+0\nr2 = *(u16 *)(r1 +0)\nr1 = map[fd:6]+0\nr3 = *(u8 *)(r1 +0)\n"
		"r1 = map[fd:5]\nr4 = *(u8 *)(r1 +0)\n" READ DONE;

	(void)state;
	assert_int_equal(sizeof(known), 40);
	expect(p, p, 0);
}

/* What is computed, of 64 and 32 bits; what an immediate cannot hold stays. */
static void computed(void **state)
{
	static const struct {
		const char *op, *is;
	} v[] = {
		{"r2 += 5", "w2 = 105"},
		{"r2 -= 101", "r2 = -1"},
		{"w2 -= 101", "w2 = -1"},
		{"r2 *= 3", "w2 = 300"},
		{"r2 |= 3", "w2 = 103"},
		{"r2 &= 96", "w2 = 96"},
		{"r2 ^= -1", "r2 = -101"},
		{"w2 ^= -1", "w2 = -101"},
		{"r2 <<= 24", "w2 = 1677721600"},
		{"r2 <<= 34", "r2 <<= 34"},
		{"w2 <<= 26", "w2 = -1879048192"},
		{"r2 >>= 2", "w2 = 25"},
		{"r2 += r1", "r2 += r1"},
		{"r2 s>>= 1", "w2 = 50"},
		{"r2 /= 2", "r2 /= 2"},
		{"r2 = -r2", "r2 = -100"},
		{"w2 = -w2", "w2 = -100"},
		{"r2 = be16 r2", "r2 = be16 r2"},
	};
	char before[256], after[256];
	bool same;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(*v); i++) {
		same = !strcmp(v[i].op, v[i].is);
		snprintf(before, sizeof(before), "r2 = 100\n%s\nr0 = r2\nr0 += r1\nexit\n", v[i].op);
		/* else r0 = r2 becomes the number, too, and r2 is read no more */
		snprintf(after, sizeof(after), "goto +0\ngoto +0\n%c0%s\nr0 += r1\nexit\n", v[i].is[0],
			 v[i].is + 2);
		expect(before, same ? before : after, same ? 0 : 4);
	}
}

/* One number of two: an immediate, if it fits and the kernel takes it there. */
static void immediates(void **state)
{
	(void)state;
	expect("r2 = 100\nr3 = -7\nr4 = 65\nr5 = 0x100000000\nr0 += r2\nw0 -= w3\nr0 ^= r3\nr0 <<= r4\nw0 s>>= w4\nr0 /= r2\nr0 += r5\n"
	       "w0 |= w5\nif r0 > r2 goto out\nif w0 s< w3 goto out\nif r0 == r5 goto out\nr0 += r1\nout:\nexit\n",
	       "r2 = 100\ngoto +0\ngoto +0\nr5 = 0x100000000\nr0 += 100\nw0 -= -7\nr0 ^= -7\nr0 <<= 1\nw0 s>>= 1\nr0 /= r2\nr0 += r5\n"
	       "w0 |= 0\nif r0 > 100 goto out\nif w0 s< -7 goto out\nif r0 == r5 goto out\nr0 += r1\nout:\nexit\n",
	       10);
}

/* The sign goes along, in 64 bits and in 32. */
static void signs(void **state)
{
	(void)state;
	expect("r2 = -100\nr2 s>>= 3\nr3 = -2147483648\nw3 s>>= 31\nw4 = -64\nr4 s>>= 4\n" READ DONE,
	       "goto +0\nr2 = -13\ngoto +0\nw3 = -1\ngoto +0\nw4 = 268435452\n" READ DONE, 6);
}

/* What changes nothing goes, what makes 0 of anything is 0, and a number that changes nothing of the other one is a copy of it. */
static void neutral(void **state)
{
	(void)state;
	expect("r2 = r1\nr2 += 0\nr2 |= 0\nr2 ^= 0\nr2 &= -1\nr3 = r1\nw3 += 0\nw3 &= -1\nr4 = r1\nr4 &= 0\n" READ
		       DONE,
	       "r2 = r1\ngoto +0\ngoto +0\ngoto +0\ngoto +0\nr3 = r1\nw3 += 0\nw3 &= -1\ngoto +0\nw4 = 0\n" READ
		       DONE,
	       6);
	expect("r2 = 0\nr2 += r1\nr3 = -1\nr3 &= r1\nw4 = 0\nw4 ^= w1\n" READ DONE,
	       "goto +0\nr2 = r1\ngoto +0\nr3 = r1\ngoto +0\nw4 = w1\n" READ DONE, 6);
	expect("r2 = 0\nr2 *= r1\nr3 = 0\nr3 &= r1\nw4 = -1\nr4 &= r1\nw5 = -1\nw5 &= w1\nr2 += r5\n" READ
		       DONE,
	       "goto +0\ngoto +0\ngoto +0\nw3 = 0\nw4 = -1\nr4 &= r1\ngoto +0\nw5 = w1\nr2 = r5\n" READ DONE,
	       8);
}

/* Each comparison of 5 with a number below, the same and above; and of -5, with and without a sign. */
static void decided(void **state)
{
	static const struct {
		const char *op;
		uint8_t five, minus; /* of 4, 5, 6: bits of those where it goes; of -6, -5, 6 */
	} v[] = {
		{"==", 2, 2}, {"!=", 5, 5}, {">", 1, 5},   {">=", 3, 7}, {"<", 4, 0},
		{"<=", 6, 2}, {"s>", 1, 1}, {"s>=", 3, 3}, {"s<", 4, 4}, {"s<=", 6, 6},
	};
	static const int with[2][3] = {{4, 5, 6}, {-6, -5, 6}};
	char before[256];
	size_t i, k, minus, narrow;
	bool goes;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(*v); i++)
		for (k = 0; k < 12; k++) {
			minus = k / 3 % 2;
			narrow = k / 6;
			goes = (minus ? v[i].minus : v[i].five) >> k % 3 & 1;
			/* -6 and -5 are large without a sign: below, the same */
			snprintf(before, sizeof(before),
				 "r2 = %d\nif %c2 %s %d goto out\nr1 = 7\nout:\nr0 = r1\nexit\n",
				 minus ? -5 : 5, narrow ? 'w' : 'r', v[i].op, with[minus][k % 3]);
			/* where it goes the kernel must have a way to what is skipped: the jump stays */
			expect(before, goes ? before : "goto +0\ngoto +0\ngoto +0\nw0 = 7\nexit\n",
			       goes ? 0 : 4);
		}
	expect("r2 = 5\nr3 = 2\nif r2 & r3 goto out\nr1 = 7\nout:\nr0 = r1\nexit\n",
	       "goto +0\ngoto +0\ngoto +0\ngoto +0\nw0 = 7\nexit\n", 6);
	expect("r2 = 5\nif r2 & 4 goto out\nr1 = 7\nout:\nr0 = r1\nexit\n",
	       "r2 = 5\nif r2 & 4 goto out\nr1 = 7\nout:\nr0 = r1\nexit\n", 0);
}

/* A jump that is never taken stays where it is the only way. */
static void only_way(void **state)
{
	const char *p = "r2 = 1\nif r2 == 0 goto odd\nr0 = 1\nexit\nodd:\nr0 = 2\nexit\n";

	(void)state;
	expect(p, p, 0);
	expect("r2 = 1\nif r2 == 0 goto odd\nif r2 == 3 goto odd\nif r1 == 2 goto odd\nr0 = 1\nexit\nodd:\nr0 = 2\nexit\n",
	       "goto +0\ngoto +0\ngoto +0\nif r1 == 2 goto odd\nr0 = 1\nexit\nodd:\nr0 = 2\nexit\n", 3);
}

/* Of a number that no immediate holds, the load stays, and the verifier need not know what it gives: it goes both ways. */
static void too_large_to_decide(void **state)
{
	char p[256];

	(void)state;
	snprintf(
		p, sizeof(p),
		"r6 = r1\nr3 = map[fd:5]+0\nr2 = *(u64 *)(r3 +%d)\nif r2 == 0 goto odd\nr0 = 1\nexit\nodd:\nr0 = r6\nexit\n",
		AT(large));
	expect(p, p, 0);
}

/* Where ways meet, only what is the same on all of them is known; ways that are not gone do not count. */
static void ways_meet(void **state)
{
	static const char *const same[] = {
		"r6 = map[fd:5]+0\nif r1 == 0 goto one\nr6 = map[fd:5]+16\none:\nr0 = *(u32 *)(r6 +8)\nexit\n",
		/* a loop that moves the pointer */
		"r6 = map[fd:5]+0\nr0 = 0\nagain:\nr2 = *(u8 *)(r6 +8)\nr6 += 1\nr0 += r2\nif r0 < 300 goto again\nexit\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		expect(same[i], same[i], 0);
	expect("r6 = map[fd:5]+0\nif r1 == 0 goto one\nr6 = map[fd:5]+0\none:\nr0 = *(u32 *)(r6 +8)\nexit\n",
	       "goto +0\ngoto +0\nif r1 == 0 goto one\ngoto +0\ngoto +0\none:\nw0 = 7\nexit\n", 3);
	/* a loop that does not move it */
	expect("r6 = map[fd:5]+0\nr0 = r1\nagain:\nr2 = *(u8 *)(r6 +8)\nr0 += r2\nif r0 < 300 goto again\nexit\n",
	       "goto +0\ngoto +0\nr0 = r1\nagain:\ngoto +0\nr0 += 7\nif r0 < 300 goto again\nexit\n", 4);
	expect("r2 = 1\nr3 = 5\nif r2 == 1 goto one\nr3 = 6\none:\nr0 = r3\nexit\n",
	       "r2 = 1\ngoto +0\nif r2 == 1 goto one\nr3 = 6\none:\nw0 = 5\nexit\n", 2);
}

/* Calls forget r1 to r5 and keep r6 on; functions know nothing of who calls them. */
static void calls(void **state)
{
	(void)state;
	expect("r6 = map[fd:5]+0\nr1 = r6\ncall bpf_ktime_get_ns#5\nr2 = *(u32 *)(r1 +8)\nr3 = *(u32 *)(r6 +8)\nr4 = r3\n" READ
	       "r1 = r6\nr8 = 1\ncall sub\nr0 = *(u32 *)(r6 +8)\nexit\nsub:\nr0 = *(u32 *)(r1 +8)\nr6 = *(u32 *)(r6 +8)\nexit\n",
	       "r6 = map[fd:5]+0\nr1 = r6\ncall bpf_ktime_get_ns#5\nr2 = *(u32 *)(r1 +8)\nw3 = 7\nw4 = 7\n" READ
	       "r1 = r6\ngoto +0\ncall sub\nw0 = 7\nexit\nsub:\nr0 = *(u32 *)(r1 +8)\ngoto +0\nexit\n",
	       5);
}

static void what_is_never_reached_stays(void **state)
{
	const char *p = "r0 = 0\nexit\nr6 = map[fd:5]+0\nr2 = *(u32 *)(r6 +8)\nexit\n";

	(void)state;
	expect(p, p, 0);
}

/* A write makes a register another's: 32 bits of a pointer, exchanged memory, what others could have written meanwhile. */
static void overwritten(void **state)
{
	const char *p =
		"r6 = map[fd:5]+0\nw6 += 0\nr2 = *(u32 *)(r6 +8)\n"
		"r6 = map[fd:5]+0\nr0 = r6\nr0 = atomic64_xchg((u64 *)(r10 -8), r0)\nr3 = *(u32 *)(r0 +8)\n"
		"*(u64 *)(r8 +0) = r6\nr6 = *(u64 *)(r8 +0)\nr4 = *(u32 *)(r6 +8)\n" READ DONE;

	(void)state;
	expect(p, p, 0);
}

/* What is read: by atomics, which answer in r0, by stores, by who is called; loads for nobody go. */
static void unread(void **state)
{
	const char *p =
		"r0 = 3\nr6 = 4\nr0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r6)\nr7 = 5\n*(u64 *)(r9 +0) = r7\nr1 = 8\n"
		"call bpf_ktime_get_ns#5\nexit\n";

	(void)state;
	expect(p, p, 0);
	expect("r2 = *(u64 *)(r1 +0)\nr3 = r2\nr3 += r2\nr0 = 1\nr0 = 2\nexit\n",
	       "goto +0\ngoto +0\ngoto +0\ngoto +0\nr0 = 2\nexit\n", 4);
	/* a counter that only counts itself */
	expect("r2 = *(u64 *)(r1 +0)\nr3 = r1\nagain:\nr3 += 1\nr2 -= r1\nif r2 != 0 goto again\nr0 = 2\nexit\n",
	       "r2 = *(u64 *)(r1 +0)\ngoto +0\nagain:\ngoto +0\nr2 -= r1\nif r2 != 0 goto again\nr0 = 2\nexit\n",
	       2);
}

/* What is spilled comes back as known: numbers and pointers, of 64 and 32 bits, where ways meet what is the same on all. */
static void spilled(void **state)
{
	(void)state;
	expect("r6 = map[fd:5]+0\n*(u64 *)(r10 -8) = r6\n*(u32 *)(r10 -12) = 9\nr7 = 1000\n*(u64 *)(r10 -24) = r7\n"
	       "r6 = *(u64 *)(r10 -8)\nr2 = *(u32 *)(r6 +8)\nr3 = *(u32 *)(r10 -12)\nr4 = *(u32 *)(r10 -24)\n" READ
		       DONE,
	       "goto +0\ngoto +0\ngoto +0\ngoto +0\ngoto +0\ngoto +0\ngoto +0\nw2 = 7\nw3 = 9\nw4 = 1000\n" READ
		       DONE,
	       9);
	/* a pointer that is not a number stays where it is read */
	expect("r6 = map[fd:5]+0\n*(u64 *)(r10 -8) = r6\nr2 = *(u64 *)(r10 -8)\nr3 = *(u32 *)(r10 -8)\nr4 = *(u16 *)(r10 -8)\n" READ
		       DONE,
	       "r6 = map[fd:5]+0\n*(u64 *)(r10 -8) = r6\nr2 = *(u64 *)(r10 -8)\nr3 = *(u32 *)(r10 -8)\nr4 = *(u16 *)(r10 -8)\n" READ
		       DONE,
	       0);
	expect("if r1 == 0 goto one\n*(u32 *)(r10 -8) = 5\n*(u32 *)(r10 -4) = 1\ngoto both\none:\n*(u32 *)(r10 -8) = 5\n"
	       "*(u32 *)(r10 -4) = 2\nboth:\nr2 = *(u32 *)(r10 -8)\nr3 = *(u32 *)(r10 -4)\nr4 = r2\n" READ
		       DONE,
	       "if r1 == 0 goto one\ngoto +0\n*(u32 *)(r10 -4) = 1\ngoto both\none:\ngoto +0\n"
	       "*(u32 *)(r10 -4) = 2\nboth:\nw2 = 5\nr3 = *(u32 *)(r10 -4)\nw4 = 5\n" READ DONE,
	       4);
	/* a function's frame is its own */
	expect("*(u64 *)(r10 -8) = 5\ncall sub\nr0 = *(u64 *)(r10 -8)\nexit\nsub:\nr0 = *(u64 *)(r10 -8)\n*(u64 *)(r10 -8) = 6\nexit\n",
	       "goto +0\ncall sub\nw0 = 5\nexit\nsub:\nr0 = *(u64 *)(r10 -8)\ngoto +0\nexit\n", 3);
}

/* What may have been written to otherwise is not known, and what may be read otherwise stays. */
static void spilled_and_lost(void **state)
{
	static const char *const same[] = {
		/* parts of it, beside it, bytes */
		"*(u64 *)(r10 -8) = 5\n*(u8 *)(r10 -3) = 1\nr0 = *(u64 *)(r10 -8)\nexit\n",
		"*(u64 *)(r10 -8) = 5\n*(u16 *)(r10 -4) = 1\nr0 = *(u32 *)(r10 -4)\nexit\n",
		"*(u64 *)(r10 -16) = 5\nr0 = *(u64 *)(r10 -12)\nexit\n",
		"*(u64 *)(r10 -8) = 5\nr0 = *(u8 *)(r10 -8)\nexit\n",
		"*(u32 *)(r10 -8) = 5\nr0 = *(u64 *)(r10 -8)\nexit\n",
		"*(u64 *)(r10 -8) = 5\nr0 = *(s8 *)(r10 -8)\nexit\n",
		/* an atomic */
		"*(u64 *)(r10 -8) = 5\nlock *(u64 *)(r10 -8) += r1\nr0 = *(u64 *)(r10 -8)\nexit\n",
		/* its address is known to others: a call, a store, somebody who was told where it is */
		"*(u64 *)(r10 -8) = 5\nr1 = r10\ncall bpf_ktime_get_ns#5\nr0 = *(u64 *)(r10 -8)\nexit\n",
		"r2 = r10\n*(u64 *)(r10 -8) = 5\n*(u64 *)(r2 -8) = r1\nr0 = *(u64 *)(r10 -8)\nexit\n",
		"*(u64 *)(r1 +0) = r10\n*(u64 *)(r10 -8) = 5\ncall bpf_ktime_get_ns#5\nr0 = *(u64 *)(r10 -8)\nexit\n",
		"if r1 == 0 goto one\nr2 = r10\none:\n*(u64 *)(r10 -8) = 5\n*(u64 *)(r9 +0) = r2\nr0 = *(u64 *)(r10 -8)\nexit\n",
		/* in a loop it changes */
		"*(u64 *)(r10 -8) = 5\nagain:\nr0 = *(u64 *)(r10 -8)\nr0 += -1\n*(u64 *)(r10 -8) = r0\nif r0 != 0 goto again\nexit\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		expect(same[i], same[i], 0);
	/* others read a frame only if they know where it is; other functions' frames do not matter */
	expect("r6 = r1\n*(u64 *)(r10 -8) = r6\ncall sub\nexit\nsub:\nr2 = r10\n*(u64 *)(r10 -8) = r1\nr0 = 1\nexit\n",
	       "goto +0\ngoto +0\ncall sub\nexit\nsub:\ngoto +0\n*(u64 *)(r10 -8) = r1\nr0 = 1\nexit\n", 3);
}

/* A pointer and a number in a register, in either order. */
static void pointer_sums(void **state)
{
	(void)state;
	expect("r6 = map[fd:5]+0\nr1 = 16\nr6 += r1\nr2 = *(u32 *)(r6 -8)\nr3 = 8\nr7 = map[fd:5]+0\nr3 += r7\nr3 = *(u32 *)(r3 +0)\n"
	       "r4 = -8\nr6 += r4\nr4 = *(u32 *)(r6 +8)\n" READ DONE,
	       "goto +0\ngoto +0\ngoto +0\ngoto +0\nw2 = 7\ngoto +0\ngoto +0\ngoto +0\ngoto +0\nw3 = 7\n"
	       "goto +0\ngoto +0\nw4 = 1000\n" READ DONE,
	       13);
	expect("r6 = map[fd:5]+0\nr1 = 0x100000000\nr6 += r1\nr2 = *(u32 *)(r6 +8)\nr0 = r2\nexit\n",
	       "r6 = map[fd:5]+0\nr1 = 0x100000000\nr6 += r1\nr2 = *(u32 *)(r6 +8)\nr0 = r2\nexit\n", 0);
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
		"r2 = map[fd:5]+28\nr1 = map[fd:7]\nr1 += 8\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nr3 = map[fd:7]\ncall bpf_map_lookup_elem#1\nexit\n",
		"r2 = map[fd:5]+28\nif r9 == 0 goto in\nr1 = map[fd:7]\nin:\ncall bpf_map_lookup_elem#1\nexit\n",
	};
	size_t i;

	(void)state;
	assert_int_equal(AT(pad), 27);
	/* it is never NULL */
	expect("r2 = map[fd:5]+28\nr1 = map[fd:7]\ncall bpf_map_lookup_elem#1\nif r0 == 0 goto out\nr0 = *(u32 *)(r0 +0)\n"
	       "out:\nexit\n",
	       "goto +0\ngoto +0\nr0 = map[fd:7]+0\ngoto +0\ngoto +0\nr0 = *(u32 *)(r0 +0)\nout:\nexit\n", 3);
	expect("r1 = map[fd:7]\nr2 = map[fd:5]+28\nr6 = 1\ncall bpf_map_lookup_elem#1\nexit\n",
	       "r0 = map[fd:7]+0\ngoto +0\ngoto +0\ngoto +0\ngoto +0\nexit\n", 3);
	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		expect(same[i], same[i], 0);
}

/* What never runs is led to from other places that never run, so that but one jump has to ask. */
static void led_to(void **state)
{
	(void)state;
	expect("r2 = 1\nif r2 == 1 goto one\nr3 = 6\nr4 = 7\none:\nif r2 == 1 goto two\nr5 = 8\ntwo:\nr0 = 5\nexit\n",
	       "r2 = 1\nif r2 == 1 goto one\nr3 = 6\nif r10 == 0 goto never\none:\ngoto two\nnever:\nr5 = 8\ntwo:\nr0 = 5\nexit\n",
	       1);
	expect("r2 = 1\nif r2 == 1 goto one\nr3 = 6\none:\nif r2 == 0 goto odd\nr0 = 5\nexit\nodd:\nr0 = 6\nexit\n",
	       "r2 = 1\nif r2 == 1 goto one\nif r10 == 0 goto odd\none:\ngoto +0\nr0 = 5\nexit\nodd:\nr0 = 6\nexit\n",
	       1);
	/* neither a jump nor a call makes place for another way, nor what is as long as two */
	expect("r2 = 1\nif r2 == 1 goto one\ncall bpf_ktime_get_ns#5\nr3 = map[fd:5]+0\ngoto one\none:\nif r2 == 1 goto two\nr5 = 8\ntwo:\n"
	       "r0 = 5\nexit\n",
	       "r2 = 1\nif r2 == 1 goto one\ncall bpf_ktime_get_ns#5\nr3 = map[fd:5]+0\ngoto one\none:\nif r2 == 1 goto two\nr5 = 8\ntwo:\n"
	       "r0 = 5\nexit\n",
	       0);
	/* each function for itself */
	expect("r2 = 1\nif r2 == 1 goto one\nr3 = 6\none:\ncall sub\nexit\nsub:\nr2 = 1\nif r2 == 1 goto two\nr5 = 8\ntwo:\nr0 = 5\nexit\n",
	       "r2 = 1\nif r2 == 1 goto one\nr3 = 6\none:\ncall sub\nexit\nsub:\nr2 = 1\nif r2 == 1 goto two\nr5 = 8\ntwo:\nr0 = 5\nexit\n",
	       0);
	/* what leads somewhere may come behind it */
	expect("r2 = 1\nif r2 == 0 goto odd\nr0 = 5\nexit\nback:\nr4 = 2\nexit\nodd:\nr5 = 1\ngoto back\n",
	       "r2 = 1\nif r2 == 0 goto odd\nr0 = 5\nexit\nback:\nr4 = 2\nexit\nodd:\nr5 = 1\ngoto back\n",
	       0);
	expect("r2 = 1\nif r2 == 0 goto odd\nif r2 == 1 goto on\ncall bpf_ktime_get_ns#5\non:\nr0 = 5\nexit\nback:\nexit\nodd:\nr5 = 1\ngoto back\n",
	       "r2 = 1\nif r2 == 0 goto odd\nif r2 == 1 goto on\ncall bpf_ktime_get_ns#5\non:\nr0 = 5\nexit\nback:\nexit\nodd:\nr5 = 1\ngoto back\n",
	       0);
	/* what nothing led to before, and no place is there for a way, leaves its function as it was */
	expect("r2 = 1\nif r2 == 0 goto out\nr0 = 3\nout:\nexit\nr0 = 5\nexit\n",
	       "r2 = 1\nif r2 == 0 goto out\nr0 = 3\nout:\nexit\nr0 = 5\nexit\n", 0);
}

/* Where a pointer is stored by what never runs, its frame is nobody else's still. */
static void shown_by_nobody(void **state)
{
	(void)state;
	expect("r2 = 1\n*(u64 *)(r10 -8) = r2\nif r2 == 1 goto one\nr3 = r10\none:\nr0 = 5\nexit\n",
	       "r2 = 1\ngoto +0\nif r2 == 1 goto one\nr3 = r10\none:\nr0 = 5\nexit\n", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_size),
		cmocka_unit_test(through_copies_and_sums),
		cmocka_unit_test(not_beyond_the_end),
		cmocka_unit_test(ways_meet),
		cmocka_unit_test(calls),
		cmocka_unit_test(what_is_never_reached_stays),
		cmocka_unit_test(overwritten),
		cmocka_unit_test(spilled),
		cmocka_unit_test(spilled_and_lost),
		cmocka_unit_test(pointer_sums),
		cmocka_unit_test(lookups),
		cmocka_unit_test(computed),
		cmocka_unit_test(immediates),
		cmocka_unit_test(signs),
		cmocka_unit_test(neutral),
		cmocka_unit_test(decided),
		cmocka_unit_test(only_way),
		cmocka_unit_test(led_to),
		cmocka_unit_test(shown_by_nobody),
		cmocka_unit_test(too_large_to_decide),
		cmocka_unit_test(unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
