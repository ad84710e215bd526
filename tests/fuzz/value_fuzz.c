// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes typed values (sluice/value.h). An input is either
 *   one letter, the type (see types[]), and a text to parse: what parses must print, parse back and be the
 *   same, or
 *   a whole BTF section and the bytes of a value behind it: hostile BTF must be refused or shown, never
 *   believed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/value.h"
#include "fuzz/fuzz.h"

#define VALUE_MAX 65536

static struct btf *btf;
static struct sluice_type types[26];

static void add(char letter, int id, uint32_t size)
{
	if (id <= 0)
		abort();
	types[letter - 'a'] = (struct sluice_type){.btf = btf, .id = (uint32_t)id, .size = size};
}

static void structs(int u8, int u16, int u32, int be32, int be16, int ch, int proto)
{
	int inner, uni, key;

	key = btf__add_struct(btf, "key", 12);
	btf__add_field(btf, "saddr", be32, 0, 0);
	btf__add_field(btf, "dport", be16, 32, 0);
	btf__add_field(btf, "proto", proto, 64, 0);
	add('k', key, 12);
	inner = btf__add_struct(btf, NULL, 8);
	btf__add_field(btf, "lo", u32, 0, 3);
	btf__add_field(btf, "hi", u32, 32, 0);
	uni = btf__add_union(btf, NULL, 8);
	btf__add_field(btf, NULL, inner, 0, 0);
	btf__add_field(btf, "mac", btf__add_array(btf, u32, u8, 6), 0, 0);
	key = btf__add_array(btf, u32, key, 3);
	ch = btf__add_array(btf, u32, ch, 16);
	u16 = btf__add_array(btf, u32, btf__add_array(btf, u32, u16, 2), 2);
	add('s', ch, 16);
	add('g', u16, 8);
	btf__add_struct(btf, "all", 72);
	inner = (int)btf__type_cnt(btf) - 1;
	btf__add_field(btf, NULL, uni, 0, 0);
	btf__add_field(btf, "name", ch, 64, 0);
	btf__add_field(btf, "keys", key, 24 * 8, 0);
	btf__add_field(btf, "grid", u16, 60 * 8, 0);
	add('z', inner, 72);
	btf__add_struct(btf, "lpm", 20);
	inner = (int)btf__type_cnt(btf) - 1;
	btf__add_field(btf, "len", u32, 0, 0);
	btf__add_field(btf, "data", btf__add_array(btf, u32, u8, 16), 32, 0);
}

static void make_types(void)
{
	int u8, u16, u32, be16, be32, ch, proto, id;

	btf = btf__new_empty();
	if (!btf)
		abort();
	u8 = btf__add_int(btf, "unsigned char", 1, 0);
	u16 = btf__add_int(btf, "unsigned short", 2, 0);
	u32 = btf__add_int(btf, "unsigned int", 4, 0);
	ch = btf__add_int(btf, "char", 1, BTF_INT_SIGNED);
	be16 = btf__add_typedef(btf, "__be16", u16);
	be32 = btf__add_typedef(btf, "__be32", u32);
	add('u', u32, 4);
	add('c', ch, 1);
	add('i', btf__add_int(btf, "__int128", 16, BTF_INT_SIGNED), 16);
	add('b', btf__add_int(btf, "_Bool", 1, BTF_INT_BOOL), 1);
	add('n', be32, 4);
	add('f', btf__add_float(btf, "float", 4), 4);
	add('d', btf__add_float(btf, "double", 8), 8);
	add('p', btf__add_ptr(btf, u32), 8);
	add('m', btf__add_array(btf, u32, u8, 6), 6);
	add('v', btf__add_array(btf, u32, u8, 16), 16);
	add('x', btf__add_array(btf, u32, u8, 5), 5);
	proto = btf__add_enum(btf, "proto", 4);
	btf__add_enum_value(btf, "TCP", 6);
	btf__add_enum_value(btf, "UDP", 17);
	add('e', proto, 4);
	id = btf__add_enum64(btf, "wide", 8, true);
	btf__add_enum64_value(btf, "LOW", (uint64_t)INT64_MIN);
	add('w', id, 8);
	structs(u8, u16, u32, be32, be16, ch, proto);
	types['l' - 'a'] = (struct sluice_type){.size = 8, .prefix = true};
	types['r' - 'a'] = (struct sluice_type){.size = 4};
	types['h' - 'a'] = (struct sluice_type){.size = 7};
	types['t' - 'a'] = (struct sluice_type){.size = 9, .as = SLUICE_AS_TEXT};
}

static void round_trip(const struct sluice_type *type, const char *text)
{
	uint8_t value[128], again[128];
	struct sluice_err err = {0};
	char *printed;

	memset(value, 0xa5, sizeof(value));
	if (sluice_type_parse(type, text, value, &err)) {
		if (!err.text[0] || value[0] != 0xa5)
			abort();
		return;
	}
	if (value[type->size] != 0xa5 || sluice_type_print(type, value, &printed, &err) ||
		sluice_type_parse(type, printed, again, &err) || memcmp(value, again, type->size) != 0)
		abort();
	free(printed);
}

/* Every type of a BTF that somebody else wrote, on the bytes behind it, and on its own text. */
static void foreign(const uint8_t *data, size_t len)
{
	struct btf_header h;
	struct btf *other;
	struct value_shape s;
	struct sluice_type type = {0};
	uint8_t *value;
	uint64_t end;
	uint32_t id;
	char *text;

	memcpy(&h, data, sizeof(h));
	end = (uint64_t)h.hdr_len + ((uint64_t)h.type_off + h.type_len > (uint64_t)h.str_off + h.str_len
						    ? (uint64_t)h.type_off + h.type_len
						    : (uint64_t)h.str_off + h.str_len);
	if (end > len || end > 4096)
		return;
	other = btf__new(data, (uint32_t)end);
	if (!other)
		return;
	value = calloc(1, VALUE_MAX);
	if (!value)
		abort();
	memcpy(value, data + end, len - end < VALUE_MAX ? len - end : VALUE_MAX);
	type.btf = other;
	for (id = 1; id < btf__type_cnt(other) && id < 40; id++) {
		type.id = id;
		if (value_shape(&type, id, NULL, &s, NULL) || s.size > VALUE_MAX)
			continue;
		type.size = s.size;
		if (!sluice_type_print(&type, value, &text, NULL)) {
			sluice_type_parse(&type, text, value, NULL);
			free(text);
		}
		if (!sluice_type_layout(&type, &text, NULL))
			free(text);
	}
	free(value);
	btf__free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text;

	if (!btf)
		make_types();
	if (len >= sizeof(struct btf_header) && data[0] == 0x9f && data[1] == 0xeb) {
		foreign(data, len);
		return 0;
	}
	if (len < 1 || data[0] < 'a' || data[0] > 'z' || !types[data[0] - 'a'].size)
		return 0;
	text = calloc(1, len);
	if (!text)
		abort();
	memcpy(text, data + 1, len - 1);
	round_trip(&types[data[0] - 'a'], text);
	free(text);
	return 0;
}
