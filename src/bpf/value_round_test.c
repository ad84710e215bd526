// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Random types, random bytes: what is printed parses back to the same bytes. SEED in the environment
 * repeats a run.
 */
#include <stdio.h>

#include "base/test.h"
#include "bpf/value.h"

#define TYPES 3000
#define VALUES 12

static uint64_t state64;
static unsigned int names; /* every name is unique: members of anonymous groups share a struct */

static uint32_t rnd(uint32_t n)
{
	state64 = state64 * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state64 >> 33) % n;
}

static const char *fresh(char to[16])
{
	static const char *const odd[] = {"fe80", "a", "dead", "hex", "m.x"};

	snprintf(to, 16, "%s_%u", rnd(4) ? "m" : odd[rnd(5)], names++);
	return to;
}

static int leaf(struct btf *btf, uint32_t *size)
{
	static const char *const wire[] = {"__be16", "__be32", "__be64"};
	char name[16];
	uint32_t i, n;
	int id;

	*size = 1u << rnd(4);
	switch (rnd(9)) {
	case 0:
		*size = 1u << rnd(5);
		return btf__add_int(btf, "signed", *size, BTF_INT_SIGNED);
	case 1:
		*size = 1;
		return btf__add_int(btf, "char", 1, rnd(2) ? BTF_INT_SIGNED : 0);
	case 2:
		*size = 1;
		return btf__add_int(btf, "_Bool", 1, BTF_INT_BOOL);
	case 3:
		id = btf__add_enum(btf, fresh(name), *size);
		for (i = 0, n = rnd(6); i < n; i++)
			btf__add_enum_value(btf, fresh(name), (int)rnd(*size < 4 ? 100 : 100000));
		return id;
	case 4:
		id = btf__add_enum64(btf, fresh(name), *size = 8, rnd(2));
		for (i = 0, n = rnd(6); i < n; i++)
			btf__add_enum64_value(btf, fresh(name), ((uint64_t)rnd(1u << 31) << 33) + rnd(4));
		return id;
	case 5:
		*size = 4u << rnd(2);
		return btf__add_float(btf, "real", *size);
	case 6:
		i = rnd(3);
		*size = 2u << i;
		return btf__add_typedef(btf, wire[i], btf__add_int(btf, "wire", *size, 0));
	default:
		return btf__add_const(
			btf, btf__add_typedef(btf, "alias", btf__add_int(btf, "unsigned", *size, 0)));
	}
}

static int any(struct btf *btf, uint32_t *size, int depth, bool *group);

static int composite(struct btf *btf, uint32_t *size, int depth, bool is_union)
{
	uint32_t n = rnd(6), i, at = 0, sizes[6], offs[6], bits[6], end = 0;
	int ids[6], id;
	bool group[6];
	char name[16];

	for (i = 0; i < n; i++) {
		group[i] = false;
		ids[i] = any(btf, &sizes[i], depth + 1, &group[i]);
		bits[i] = 0;
		at += is_union ? 0 : rnd(3) ? 0 : rnd(4);
		offs[i] = at * 8;
		if (!group[i] && rnd(4) == 0) {
			uint32_t wide = 1u << rnd(4);

			ids[i] = btf__add_int(btf, "field", wide, rnd(2) ? BTF_INT_SIGNED : 0);
			bits[i] = 1 + rnd(wide * 8);
			offs[i] += is_union ? 0 : rnd(wide * 8 - bits[i] + 1);
			sizes[i] = wide;
		}
		if (!is_union)
			at += sizes[i];
		end = at > end ? at : end;
		end = is_union && sizes[i] > end ? sizes[i] : end;
	}
	*size = end + (rnd(3) ? 0 : rnd(8));
	id = is_union ? btf__add_union(btf, fresh(name), *size) : btf__add_struct(btf, fresh(name), *size);
	for (i = 0; i < n; i++)
		assert_int_equal(btf__add_field(btf, group[i] && rnd(2) ? NULL : fresh(name), ids[i], offs[i],
					 bits[i]),
			0);
	return id;
}

static int any(struct btf *btf, uint32_t *size, int depth, bool *group)
{
	uint32_t n, inner;
	int id;

	switch (depth > 4 ? 9 : rnd(10)) {
	case 0:
	case 1:
		*group = true;
		return composite(btf, size, depth, false);
	case 2:
		*group = true;
		return composite(btf, size, depth, true);
	case 3:
	case 4:
		id = any(btf, &inner, depth + 1, group);
		*group = false;
		n = rnd(4) ? rnd(8) : rnd(40);
		*size = inner * n;
		return btf__add_array(btf, btf__add_int(btf, "index", 4, 0), id, n);
	default:
		return leaf(btf, size);
	}
}

/* no typedef __be16 of 8 bytes, no lock: everything random() makes must come back */
static void one_type(uint64_t seed)
{
	struct btf *btf = btf__new_empty();
	uint8_t *bytes, *again;
	struct sluice_err err = {0};
	bool group = false;
	uint32_t size, i, k;
	char *text, *layout;
	int id;

	assert_non_null(btf);
	id = any(btf, &size, 0, &group);
	assert_true(id > 0);
	bytes = malloc(size + 1);
	again = malloc(size + 1);
	assert_non_null(bytes);
	assert_non_null(again);
	for (i = 0; i < VALUES; i++) {
		struct sluice_type type = {.btf = btf, .id = (uint32_t)id, .size = size};

		for (k = 0; k < size; k++)
			bytes[k] = i == 0 ? 0 : i == 1 ? 0xff : rnd(3) ? (uint8_t)rnd(256) : 0;
		if (sluice_type_print(&type, bytes, &text, &err))
			fail_msg("seed %llu: printing: %s", (unsigned long long)seed, err.text);
		if (sluice_type_parse(&type, text, again, &err))
			fail_msg("seed %llu: '%s': %s", (unsigned long long)seed, text, err.text);
		if (memcmp(bytes, again, size) != 0)
			fail_msg("seed %llu: '%s' is not what was printed", (unsigned long long)seed, text);
		free(text);
		assert_int_equal(sluice_type_layout(&type, &layout, &err), 0);
		free(layout);
	}
	free(bytes);
	free(again);
	btf__free(btf);
}

static void round_trip(void **state)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 1, i;

	(void)state;
	for (i = 0; i < (given ? 1 : TYPES); i++) {
		state64 = seed + i;
		names = 0;
		one_type(seed + i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
