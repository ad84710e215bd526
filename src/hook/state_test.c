// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A chain's description: there and back, cut at every length, every byte changed. */
#include <stdio.h>

#include "base/test.h"
#include "hook/state.h"

static struct code *some_code(void)
{
	struct code *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->n_insns = 4;
	c->insns = calloc(4, sizeof(*c->insns));
	c->insns[0] = (struct bpf_insn){BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 1};
	c->insns[2] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 2};
	c->insns[3] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
	c->n_funcs = 1;
	c->funcs = calloc(1, sizeof(*c->funcs));
	c->n_lines = 2;
	c->lines = calloc(2, sizeof(*c->lines));
	c->lines[1].insn_off = 2;
	c->btf_len = 5;
	c->btf = calloc(1, 5);
	memcpy(c->btf, "types", 5);
	c->n_refs = 2;
	c->ref[0] = (struct code_ref){CODE_REF_BTF, 9};
	c->ref[1] = (struct code_ref){CODE_REF_MAP, 41};
	c->frags = true;
	snprintf(c->license, sizeof(c->license), "Dual BSD/GPL");
	return c;
}

static void add(struct state *s, const char *name, uint32_t priority)
{
	struct state_member m = {.uid = s->next_uid++, .owner = "somebody", .object = "file.o", .tag = {1, 2, 3}, .priority = priority,
				 .go_on = 6, .attached_ns = 1234567890123, .inlined = true, .n_maps = 2, .map_id = {41, 42}};

	state_unique_name(s, name, m.name);
	m.code = some_code();
	assert_int_equal(state_insert(s, &m, NULL), 0);
}

static struct state *some_state(void)
{
	struct state *s = state_new();

	assert_non_null(s);
	s->counts_map_id = 77;
	s->frags = true;
	s->n_observers = 2;
	s->observer_map_id[0] = 5;
	s->observer_map_id[1] = 6;
	add(s, "middle", 50);
	add(s, "last", 70);
	add(s, "first", 10);
	add(s, "middle", 50);
	return s;
}

static void order_and_names(void **state)
{
	struct state *s = some_state();
	char name[SLUICE_MEMBER_NAME_MAX];

	(void)state;
	assert_string_equal(s->member[0].name, "first");
	assert_string_equal(s->member[1].name, "middle");
	assert_string_equal(s->member[2].name, "middle-2");
	assert_string_equal(s->member[3].name, "last");
	assert_int_equal(state_find(s, "middle-2"), 2);
	assert_int_equal(state_find(s, "middle-3"), -1);
	state_remove(s, 1);
	state_unique_name(s, "middle", name);
	assert_string_equal(name, "middle");
	while (s->n_members < SLUICE_CHAIN_MAX)
		add(s, "more", 50);
	{
		struct state_member m = {.code = NULL};
		struct sluice_err err;

		assert_int_equal(state_insert(s, &m, &err), -ENOSPC);
		assert_string_equal(err.text, "the chain is full: it has 64 programs");
	}
	state_free(s);
}

static void round_trip(void **state)
{
	struct state *s = some_state(), *again;
	struct buf a = {0}, b = {0};

	(void)state;
	state_format(s, &a);
	assert_int_equal(state_parse(a.data, a.len, &again, NULL), 0);
	state_format(again, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	assert_int_equal(again->n_members, 4);
	assert_int_equal(again->next_uid, s->next_uid);
	assert_string_equal(again->member[1].owner, "somebody");
	assert_string_equal(again->member[3].code->license, "Dual BSD/GPL");
	assert_true(again->member[3].code->frags && again->member[3].inlined);
	assert_int_equal(again->member[0].map_id[1], 42);
	state_free(again);
	state_free(s);
	buf_free(&a);
	buf_free(&b);
}

static void cut(void **state)
{
	struct state *s = some_state(), *again = NULL;
	struct sluice_err err;
	struct buf a = {0};
	uint8_t *exact;
	size_t n;

	(void)state;
	state_format(s, &a);
	for (n = 0; n < a.len; n++) {
		exact = malloc(n ? n : 1); /* just as long: a sanitizer sees what is read beyond */
		assert_non_null(exact);
		memcpy(exact, a.data, n);
		assert_int_equal(state_parse(exact, n, &again, &err), -EBADMSG);
		assert_null(again);
		assert_true(err.text[0]);
		free(exact);
	}
	state_free(s);
	buf_free(&a);
}

static void changed(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct state *s = some_state(), *again;
	struct buf a = {0};
	uint32_t ok = 0, refused = 0, k, m;
	uint8_t was;
	size_t n;
	int e;

	(void)state;
	state_format(s, &a);
	for (n = 0; n < a.len; n++) {
		was = a.data[n];
		for (k = 0; k < sizeof(values); k++) {
			a.data[n] = values[k];
			again = NULL;
			e = state_parse(a.data, a.len, &again, NULL);
			assert_true(e == 0 || e == -EBADMSG);
			assert_true((e == 0) == (again != NULL));
			/* what is let in holds the promises that the rest of the room builds on */
			for (m = 0; again && m < again->n_members; m++) {
				assert_true(memchr(again->member[m].name, 0, SLUICE_MEMBER_NAME_MAX) != NULL);
				assert_true(again->member[m].n_maps <= 64);
				assert_true(again->member[m].code->n_insns > 0);
			}
			ok += e == 0;
			refused += e != 0;
			state_free(again);
		}
		a.data[n] = was;
	}
	assert_true(ok > 100 && refused > 100);
	state_free(s);
	buf_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_names),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(cut),
		cmocka_unit_test(changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
