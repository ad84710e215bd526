// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>

#include "base/test.h"
#include "bpf/value.h"

/* A BTF like a compiler's for a firewall's maps. */
static struct fixture {
	struct btf *btf;
	int u8, u16, u32, u64, s32, s8, ch, boolean, u128, be16, be32, be64, dbl, flt, ptr;
	int proto, wide, in6, mac, name16, arr3, grid, key, flags, anon, uni, single, lock, timer_val, lpm,
		section, u8x4;
} f;

static int alias(const char *name, int of)
{
	return btf__add_typedef(f.btf, name, of);
}

static int array(int of, uint32_t n)
{
	return btf__add_array(f.btf, f.u32, of, n);
}

static void scalars(void)
{
	f.u8 = alias("__u8", btf__add_int(f.btf, "unsigned char", 1, 0));
	f.u16 = alias("__u16", btf__add_int(f.btf, "unsigned short", 2, 0));
	f.u32 = alias("__u32", btf__add_int(f.btf, "unsigned int", 4, 0));
	f.u64 = alias("__u64", btf__add_int(f.btf, "unsigned long long", 8, 0));
	f.s32 = btf__add_int(f.btf, "int", 4, BTF_INT_SIGNED);
	f.s8 = btf__add_int(f.btf, "signed char", 1, BTF_INT_SIGNED);
	f.ch = btf__add_int(f.btf, "char", 1, BTF_INT_SIGNED);
	f.boolean = alias("bool", btf__add_int(f.btf, "_Bool", 1, BTF_INT_BOOL));
	f.u128 = btf__add_int(f.btf, "unsigned __int128", 16, 0);
	f.be16 = alias("__be16", f.u16);
	f.be32 = alias("__be32", f.u32);
	f.be64 = btf__add_const(f.btf, alias("__be64", f.u64));
	f.dbl = btf__add_float(f.btf, "double", 8);
	f.flt = btf__add_volatile(f.btf, btf__add_float(f.btf, "float", 4));
	f.ptr = btf__add_ptr(f.btf, f.u32);
	f.proto = btf__add_enum(f.btf, "proto", 4);
	btf__add_enum_value(f.btf, "TCP", 6);
	btf__add_enum_value(f.btf, "UDP", 17);
	f.wide = btf__add_enum64(f.btf, "wide", 8, true);
	btf__add_enum64_value(f.btf, "LOW", (uint64_t)INT64_MIN);
	btf__add_enum64_value(f.btf, "HIGH", INT64_MAX);
}

static void structs(void)
{
	int s, u;

	f.mac = array(f.u8, 6);
	f.name16 = array(f.ch, 16);
	f.arr3 = array(f.u32, 3);
	f.grid = array(array(f.u16, 2), 2);
	f.u8x4 = array(f.u8, 4);
	u = array(f.u8, 16);
	f.in6 = btf__add_struct(f.btf, "in6_addr", 16);
	btf__add_field(f.btf, "in6_u", u, 0, 0);
	f.key = btf__add_struct(f.btf, "key", 12);
	btf__add_field(f.btf, "saddr", f.be32, 0, 0);
	btf__add_field(f.btf, "dport", f.be16, 32, 0);
	btf__add_field(f.btf, "proto", f.proto, 64, 0);
	f.flags = btf__add_struct(f.btf, "flags", 4);
	btf__add_field(f.btf, "a", f.u32, 0, 3);
	btf__add_field(f.btf, "b", f.s32, 3, 5);
	btf__add_field(f.btf, "c", f.u32, 12, 20);
	s = btf__add_struct(f.btf, NULL, 8);
	btf__add_field(f.btf, "lo", f.u32, 0, 0);
	btf__add_field(f.btf, "hi", f.u32, 32, 0);
	u = btf__add_union(f.btf, NULL, 8);
	btf__add_field(f.btf, "all", f.u64, 0, 0);
	btf__add_field(f.btf, NULL, s, 0, 0);
	f.anon = btf__add_struct(f.btf, "anon", 16);
	btf__add_field(f.btf, "id", f.u32, 0, 0);
	btf__add_field(f.btf, NULL, u, 64, 0);
	f.uni = btf__add_union(f.btf, "uni", 8);
	btf__add_field(f.btf, "small", f.u16, 0, 0);
	btf__add_field(f.btf, "ptr", f.ptr, 0, 0);
	btf__add_field(f.btf, "big", f.u64, 0, 0);
	f.single = btf__add_struct(f.btf, "single", 4);
	btf__add_field(f.btf, "addr", f.be32, 0, 0);
	f.lock = btf__add_struct(f.btf, "bpf_spin_lock", 4);
	btf__add_field(f.btf, "val", f.u32, 0, 0);
	f.timer_val = btf__add_struct(f.btf, "val", 8);
	btf__add_field(f.btf, "lock", f.lock, 0, 0);
	btf__add_field(f.btf, "hits", f.u32, 32, 0);
	f.lpm = btf__add_struct(f.btf, "lpm", 8);
	btf__add_field(f.btf, "prefixlen", f.u32, 0, 0);
	btf__add_field(f.btf, "data", f.u8x4, 32, 0);
	u = btf__add_var(f.btf, "limit", BTF_VAR_STATIC, f.u32);
	s = btf__add_var(f.btf, "on", BTF_VAR_STATIC, f.boolean);
	f.section = btf__add_datasec(f.btf, ".data", 5);
	btf__add_datasec_var_info(f.btf, u, 0, 4);
	btf__add_datasec_var_info(f.btf, s, 4, 1);
}

static int setup(void **state)
{
	(void)state;
	f.btf = btf__new_empty();
	if (!f.btf)
		return -1;
	scalars();
	structs();
	return f.section > 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	btf__free(f.btf);
	return 0;
}

/* text becomes bytes, and bytes become back (text again if NULL) */
static void both(int id, const char *text, const void *bytes, size_t size, const char *back)
{
	uint8_t value[64];
	struct sluice_err err = {0};
	char *out;

	memset(value, 0xa5, sizeof(value));
	if (sluice_value_parse(f.btf, (uint32_t)id, text, value, size, &err))
		fail_msg("'%s': %s", text, err.text);
	assert_memory_equal(value, bytes, size);
	assert_int_equal(value[size], 0xa5);
	if (sluice_value_print(f.btf, (uint32_t)id, bytes, size, &out, &err))
		fail_msg("printing '%s': %s", text, err.text);
	assert_string_equal(out, back ? back : text);
	free(out);
}

#define B(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void refused(int id, const char *text, size_t size, const char *sentence)
{
	uint8_t value[64] = {[0 ... 63] = 0xa5};
	struct sluice_err err = {0};

	assert_int_equal(sluice_value_parse(f.btf, (uint32_t)id, text, value, size, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
	assert_int_equal(value[0], 0xa5);
}

static void numbers(void **state)
{
	uint8_t ones[16];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	both(f.u8, "255", B(255), NULL);
	both(f.u16, " 0x1234 ", B(0x34, 0x12), "4660");
	both(f.u32, "0b101", B(5, 0, 0, 0), "5");
	both(f.u32, "010", B(8, 0, 0, 0), "8");
	both(f.s32, "-3", B(0xfd, 0xff, 0xff, 0xff), NULL);
	both(f.s32, "-2147483648", B(0, 0, 0, 0x80), NULL);
	both(f.u64, "18446744073709551615", ones, 8, NULL);
	both(f.u128, "0xffffffffffffffffffffffffffffffff", ones, 16, NULL);
	both(f.u128, "17", B(17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "0x11");
	both(f.boolean, "true", B(1), NULL);
	both(f.boolean, "0", B(0), "false");
	both(f.boolean, "0x07", B(7), NULL);
	both(f.ch, "'x'", B('x'), NULL);
	both(f.ch, "-1", B(255), NULL);
	both(f.dbl, "1.5", B(0, 0, 0, 0, 0, 0, 0xf8, 0x3f), NULL);
	both(f.flt, "0x7fc00001", B(1, 0, 0xc0, 0x7f), NULL);
	both(f.flt, "-inf", B(0, 0, 0x80, 0xff), NULL);
	both(f.proto, "UDP", B(17, 0, 0, 0), NULL);
	both(f.proto, "47", B(47, 0, 0, 0), NULL);
	both(f.wide, "LOW", B(0, 0, 0, 0, 0, 0, 0, 0x80), NULL);
	both(f.ptr, "0", B(0, 0, 0, 0, 0, 0, 0, 0), NULL);
}

static void network(void **state)
{
	(void)state;
	both(f.be16, "53", B(0, 53), NULL);
	both(f.be32, "192.0.2.1", B(192, 0, 2, 1), NULL);
	both(f.be32, "10", B(0, 0, 0, 10), "0.0.0.10");
	both(f.be64, "1", B(0, 0, 0, 0, 0, 0, 0, 1), NULL);
	both(f.mac, "02:00:5e:10:00:ff", B(2, 0, 0x5e, 0x10, 0, 0xff), NULL);
	both(f.in6, "2001:db8::1", B(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), NULL);
	both(f.single, "192.0.2.1", B(192, 0, 2, 1), "{addr: 192.0.2.1}");
	both(f.u8x4, "192.0.2.1", B(192, 0, 2, 1), "hex:c0000201");
	both(f.u8x4, "[1, 2, 3, 4]", B(1, 2, 3, 4), "hex:01020304");
}

static void compounds(void **state)
{
	(void)state;
	both(f.key, "{saddr: 192.0.2.1, dport: 53, proto: UDP}", B(192, 0, 2, 1, 0, 53, 0, 0, 17, 0, 0, 0),
		NULL);
	both(f.key, "{ proto=17 ,dport = 53,.saddr=192.0.2.1}", B(192, 0, 2, 1, 0, 53, 0, 0, 17, 0, 0, 0),
		"{saddr: 192.0.2.1, dport: 53, proto: UDP}");
	both(f.key, "{192.0.2.1, 53, UDP}", B(192, 0, 2, 1, 0, 53, 0, 0, 17, 0, 0, 0),
		"{saddr: 192.0.2.1, dport: 53, proto: UDP}");
	both(f.key, "{saddr: 192.0.2.1, dport: 53, proto: UDP, @6: hex:0b16}",
		B(192, 0, 2, 1, 0, 53, 11, 22, 17, 0, 0, 0), NULL);
	both(f.key, "hex c0 00 02 01 00 35 00:00 11 0 0 0", B(192, 0, 2, 1, 0, 53, 0, 0, 17, 0, 0, 0),
		"{saddr: 192.0.2.1, dport: 53, proto: UDP}");
	both(f.flags, "{a: 5, b: -16, c: 1}", B(0x85, 0x10, 0, 0), NULL);
	both(f.flags, "{a: 0, b: 0, c: 0, @1: hex:0f}", B(0, 0x0f, 0, 0), NULL);
	both(f.anon, "{id: 1, lo: 2, hi: 3}", B(1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0),
		"{id: 1, all: 12884901890}");
	both(f.uni, "{big: 258}", B(2, 1, 0, 0, 0, 0, 0, 0), NULL);
	both(f.uni, "{small: 258}", B(2, 1, 0, 0, 0, 0, 0, 0), "{big: 258}");
	both(f.arr3, "[1, 2, 3]", B(1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0), NULL);
	both(f.arr3, "{7*2, 0}", B(7, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0), "[7, 7, 0]");
	both(f.grid, "[[1, 2], [3, 4]]", B(1, 0, 2, 0, 3, 0, 4, 0), NULL);
	both(f.section, "{limit: 9, on: true}", B(9, 0, 0, 0, 1), NULL);
	both(f.timer_val, "{hits: 4}", B(0, 0, 0, 0, 4, 0, 0, 0), NULL);
	both(f.name16, "\"eth0\\x01\"", B('e', 't', 'h', '0', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL);
	both(f.name16, "two words ", B('t', 'w', 'o', ' ', 'w', 'o', 'r', 'd', 's', 0, 0, 0, 0, 0, 0, 0),
		"\"two words\"");
}

static void mistakes(void **state)
{
	static const char key[] =
		"; wanted: struct key { __be32 saddr; __be16 dport; enum proto { TCP = 6, UDP = 17 } "
		"proto; } (12 bytes)";
	char text[512];
	size_t i;
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"{saddr: 192.0.2.1, dport: 53}", "column 29: proto of struct key is missing"},
		{"{192.0.2.1}", "column 11: dport of struct key is missing"},
		{"{}", "column 2: saddr of struct key is missing"},
		{"{sadr: 192.0.2.1}", "column 2: 'sadr' is not a member of struct key, did you mean saddr?"},
		{"{xyzzy: 1}", "column 2: 'xyzzy' is not a member of struct key"},
		{"{192.0.2.1, 53, 6, 1}", "column 20: a value too many, struct key has 3 members"},
		{"{saddr: 1, saddr: 2}", "column 12: saddr is given twice"},
		{"{saddr: 1, 2}", "column 12: members with and without names cannot be mixed"},
		{"{192.0.2.1, 65536, 6}", "column 13: 65536 does not fit __be16 (0 to 65535)"},
		{"{192.0.2.1, 53, ICMP}", "column 17: 'ICMP' is not one of enum proto, did you mean TCP?"},
		{"{192.0.2.300, 53, 6}", "column 2: '192.0.2.300' is not an IPv4 address"},
		{"{192.0.2.1, 53, 6} x", "column 20: 'x' is too much"},
		{"{192.0.2.1, 53, 6", "column 18: nothing there, ',' or '}' wanted"},
		{"{192.0.2.1; 53, 6", "column 11: ';' found, ',' or '}' wanted"},
		{"192.0.2.1", "column 1: '1' found, struct key wanted"},
		{"", "column 1: nothing there, struct key wanted"},
		{"hex:c0", "column 5: 1 byte of hex, 12 wanted"},
		{"hex c0 0g", "column 9: 'g' is not a hex digit"},
		{"{192.0.2.1, 53, 6, @4: hex:01}",
			"column 20: a member lies at offset 4, padding was wanted"},
		{"{192.0.2.1, 53, 6, @12: hex:01}", "column 20: @ wants an offset below 12"},
	};

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(text, sizeof(text), "%s%s", cases[i].sentence, key);
		refused(f.key, cases[i].text, 12, text);
	}
	refused(f.u8, "256", 1, "column 1: 256 does not fit __u8 (0 to 255); wanted: __u8 (1 byte)");
	refused(f.u8, "-1", 1, "column 1: -1 does not fit __u8 (0 to 255); wanted: __u8 (1 byte)");
	refused(f.s8, "-129", 1,
		"column 1: -129 does not fit signed char (-128 to 127); wanted: signed char (1 byte)");
	refused(f.u128, "0x100000000000000000000000000000000", 16,
		"column 1: 0x100000000000000000000000000000000 does not fit unsigned __int128 "
		"(0 to 340282366920938463463374607431768211455); wanted: unsigned __int128 (16 bytes)");
	refused(f.u32, "12x", 4, "column 1: '12x' is not a number, __u32 wanted; wanted: __u32 (4 bytes)");
	refused(f.u32, "", 4, "column 1: nothing there, __u32 wanted; wanted: __u32 (4 bytes)");
	refused(f.boolean, "yes", 1,
		"column 1: 'yes' is not a bool, true or false wanted; wanted: bool (1 byte)");
	refused(f.ptr, "0x10", 8, "column 1: a pointer cannot be typed, only 0; wanted: __u32 * (8 bytes)");
	refused(f.arr3, "[1, 2]", 12, "column 6: 2 elements, 3 wanted; wanted: __u32[3] (12 bytes)");
	refused(f.arr3, "[1, 2, 3, 4]", 12,
		"column 11: an element too many, there are 3; wanted: __u32[3] (12 bytes)");
	refused(f.arr3, "[1*4]", 12,
		"column 4: a number of repetitions wanted, at most 3; wanted: __u32[3] (12 bytes)");
	refused(f.name16, "12345678901234567", 16,
		"column 1: 17 characters do not fit char[16]; wanted: char[16] (16 bytes)");
	refused(f.name16, "\"open", 16,
		"column 1: the string has no closing quote; wanted: char[16] (16 bytes)");
	refused(f.mac, "02:00:5e:10:00", 6,
		"column 1: '02:00:5e:10:00' is not a MAC address; wanted: __u8[6] (6 bytes)");
	refused(f.flags, "{a: 8, b: 0, c: 0}", 4,
		"column 5: 8 does not fit __u32 of 3 bits (0 to 7); wanted: struct flags { __u32 a : 3; int "
		"b : 5; "
		"__u32 c : 20; } (4 bytes)");
	refused(f.anon, "{id: 1, lo: 2}", 16,
		"column 14: hi of struct anon is missing; wanted: struct anon { __u32 id; union { __u64 all; "
		"struct "
		"{ __u32 lo; __u32 hi; }; }; } (16 bytes)");
	refused(f.anon, "{id: 1, lo: 2, all: 3}", 16,
		"column 16: all lies where another given member of the union is; wanted: struct anon { __u32 "
		"id; union "
		"{ __u64 all; struct { __u32 lo; __u32 hi; }; }; } (16 bytes)");
	refused(f.anon, "{1, 2, 3}", 16,
		"column 2: struct anon has a union inside, its members are wanted by name; wanted: struct "
		"anon { __u32 id; "
		"union { __u64 all; struct { __u32 lo; __u32 hi; }; }; } (16 bytes)");
	assert_int_equal(sluice_value_parse(f.btf, (uint32_t)f.key, "{1,2,3}", text, 16, NULL), -EBADMSG);
}

static void overrides(void **state)
{
	struct sluice_as_member member = {"saddr", SLUICE_AS_BE32};
	struct sluice_type type = {.size = 4};
	struct sluice_err err = {0};
	uint8_t v[20] = {192, 0, 2, 1};
	char *out;

	(void)state;
	assert_int_equal(sluice_as_parse("ip", &type.as, &err), 0);
	assert_int_equal(sluice_type_print(&type, v, &out, &err), 0);
	assert_string_equal(out, "192.0.2.1");
	free(out);
	type.as = SLUICE_AS_MAC;
	assert_int_equal(sluice_type_print(&type, v, &out, &err), -EINVAL);
	assert_string_equal(err.text, "it has 4 bytes, mac has 6");
	assert_int_equal(sluice_as_parse("mak", &type.as, &err), -EINVAL);
	type.as = SLUICE_AS_TYPE;
	assert_int_equal(sluice_type_parse(&type, "0x01020304", v, &err), 0);
	assert_memory_equal(v, ((uint8_t[]){4, 3, 2, 1}), 4);
	assert_int_equal(sluice_type_parse(&type, "hex 1 2 3", v, &err), -EINVAL);
	assert_string_equal(err.text,
		"column 5: 3 bytes of hex, 4 wanted; wanted: a number or 4 bytes of hex, there is no "
		"BTF");
	type.size = 3;
	assert_int_equal(sluice_type_parse(&type, "0x010203", v, &err), 0);
	assert_memory_equal(v, ((uint8_t[]){1, 2, 3}), 3);
	assert_int_equal(sluice_type_parse(&type, "7", v, &err), -EINVAL);
	type = (struct sluice_type){
		.btf = f.btf, .id = (uint32_t)f.key, .size = 12, .member = &member, .n_members = 1};
	assert_int_equal(sluice_type_parse(&type, "{saddr: 1, dport: 2, proto: 3}", v, &err), 0);
	assert_int_equal(sluice_type_print(&type, v, &out, &err), 0);
	assert_string_equal(out, "{saddr: 1, dport: 2, proto: 3}");
	free(out);
}

/* Names come from whoever wrote the object: none may reach a terminal as a command. */
static void hostile_names(void **state)
{
	struct btf *btf = btf__new_empty();
	struct sluice_type type = {.btf = btf, .size = 4};
	struct sluice_err err = {0};
	uint32_t v = 7;
	char *out;
	int u32;

	(void)state;
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	type.id = (uint32_t)btf__add_struct(btf, "\033c", 4);
	assert_int_equal(btf__add_field(btf, "a\033[2J", u32, 0, 0), 0);
	assert_int_equal(sluice_type_print(&type, &v, &out, &err), 0);
	assert_string_equal(out, "{a?[2J: 7}");
	free(out);
	assert_int_equal(sluice_type_parse(&type, "{}", &v, &err), -EINVAL);
	assert_string_equal(err.text,
		"column 2: a?[2J of struct ?c is missing; wanted: struct ?c { unsigned int a?[2J; } "
		"(4 bytes)");
	btf__free(btf);
}

static void prefixes(void **state)
{
	struct sluice_type type = {.btf = f.btf, .id = (uint32_t)f.lpm, .size = 8, .prefix = true};
	struct sluice_err err = {0};
	uint8_t v[20];
	char *out;

	(void)state;
	assert_int_equal(sluice_type_parse(&type, "192.0.2.0/24", v, &err), 0);
	assert_memory_equal(v, ((uint8_t[]){24, 0, 0, 0, 192, 0, 2, 0}), 8);
	assert_int_equal(sluice_type_print(&type, v, &out, &err), 0);
	assert_string_equal(out, "192.0.2.0/24");
	free(out);
	assert_int_equal(sluice_type_parse(&type, "{prefixlen: 8, data: 10.0.0.0}", v, &err), 0);
	assert_memory_equal(v, ((uint8_t[]){8, 0, 0, 0, 10, 0, 0, 0}), 8);
	assert_int_equal(sluice_type_parse(&type, "192.0.2.0/33", v, &err), -EINVAL);
	assert_string_equal(err.text,
		"column 11: '/33' is not a prefix length, 0 to 32 is possible; wanted: struct lpm { __u32 "
		"prefixlen; __u8 data[4]; } (8 bytes), typed as 192.0.2.0/24");
	v[0] = 33;
	assert_int_equal(sluice_type_print(&type, v, &out, &err), 0);
	assert_string_equal(out, "{prefixlen: 33, data: hex:0a000000}");
	free(out);
	type = (struct sluice_type){.size = 20, .prefix = true};
	assert_int_equal(sluice_type_parse(&type, "2001:db8::/32", v, &err), 0);
	assert_int_equal(sluice_type_print(&type, v, &out, &err), 0);
	assert_string_equal(out, "2001:db8::/32");
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(network),
		cmocka_unit_test(compounds),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(overrides),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(hostile_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
