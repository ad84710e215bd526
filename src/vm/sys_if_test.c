// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The engine's interfaces: numbers, names, and what is refused. */
#include <stdio.h>

#include "base/test.h"
#include "vm/vm.h"

static int set_up(void **to)
{
	return vm_new(NULL, (struct vm **)to, NULL);
}

static int tear_down(void **vm)
{
	vm_free(*vm);
	return 0;
}

static int add(struct vm *vm, uint32_t ifindex, const char *name, struct sluice_err *err)
{
	struct vm_if spec = {.ifindex = ifindex};

	memcpy(spec.name, name, strlen(name) < sizeof(spec.name) ? strlen(name) + 1 : sizeof(spec.name));
	return vm_if_add(vm, &spec, err);
}

static void numbers(void **state)
{
	struct vm *vm = *state;
	struct vm_if spec = {.name = "wan", .mac = {2, 0, 0, 0, 0, 9}, .mtu = 9000}, got = {0};
	static const uint32_t order[] = {1, 2, 3, 4, 7, 100};
	uint32_t i, at = 0;
	char name[16];

	assert_true(vm_if_by_index(vm, 1, &got));
	assert_string_equal(got.name, "lo");
	assert_int_equal(got.mtu, 65536);
	assert_int_equal(vm_if_add(vm, &spec, NULL), 0);
	assert_int_equal(add(vm, 100, "eth100", NULL), 0);
	assert_int_equal(add(vm, 4, "eth4", NULL), 0);
	assert_int_equal(add(vm, 7, "eth7", NULL), 0);
	assert_int_equal(add(vm, 0, "eth3", NULL), 0);
	assert_true(vm_if_by_name(vm, "wan", &got));
	assert_int_equal(got.ifindex, 2);
	assert_int_equal(got.mtu, 9000);
	assert_int_equal(got.mac[5], 9);
	assert_true(vm_if_by_index(vm, 100, &got));
	assert_string_equal(got.name, "eth100");
	assert_int_equal(got.mtu, 1500);
	assert_false(vm_if_by_index(vm, 5, &got));
	assert_false(vm_if_by_name(vm, "eth", &got));
	for (i = 0; vm_if_next(vm, at, &got); i++) {
		assert_int_equal(got.ifindex, order[i]);
		at = got.ifindex;
	}
	assert_int_equal(i, 6);
	assert_false(vm_if_next(vm, UINT32_MAX, &got));
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		assert_int_equal(add(vm, 0, name, NULL), 0);
	}
	assert_true(vm_if_by_name(vm, "many999", &got));
	assert_int_equal(got.ifindex, 1006);
}

static void refused(void **state)
{
	struct vm *vm = *state;
	struct sluice_err err;

	assert_int_equal(add(vm, 0, "", &err), -EINVAL);
	assert_string_equal(err.text, "an interface's name has 1 to 15 characters");
	assert_int_equal(add(vm, 0, "sixteen_letters_", &err), -EINVAL);
	assert_string_equal(err.text, "an interface's name has 1 to 15 characters");
	assert_int_equal(add(vm, 0, "a/b", &err), -EINVAL);
	assert_string_equal(err.text,
			    "'a/b' cannot be an interface's name: '/', ':', blanks, '.' and '..' are not allowed");
	assert_int_equal(add(vm, 0, "..", &err), -EINVAL);
	assert_int_equal(add(vm, 0, "a b", &err), -EINVAL);
	assert_int_equal(add(vm, 0, "lo", &err), -EEXIST);
	assert_string_equal(err.text, "the engine has an interface lo already");
	assert_int_equal(add(vm, 1, "eth0", &err), -EEXIST);
	assert_string_equal(err.text, "the engine's interface 1 is lo already");
	assert_int_equal(add(vm, 0x80000000u, "eth0", &err), -EINVAL);
	assert_string_equal(err.text, "interface number 2147483648 is too large: at most 2147483647");
	assert_int_equal(add(vm, 0, "fifteen_letters", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
