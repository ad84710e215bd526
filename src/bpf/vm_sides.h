/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For tests that put the same question to the kernel and to the user-space engine:
 * tests/vm/helpers_more.bpf.c on both. */
#ifndef BPF_VM_SIDES_H
#define BPF_VM_SIDES_H

#include <stdio.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/test.h"
#include "bpf/seam.h"

#define TEXT 64

struct ask {
	uint16_t op, len;
	int32_t a, b;
	char text[TEXT];
};

static uint64_t state = 18;

static inline uint32_t rnd(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(((state >> 33) * n) >> 31);
}

struct side {
	struct vm *vm;
	struct bpf_object *obj;
	int prog, data, bss;
	uint32_t data_bytes, bss_bytes;
	_Alignas(8) uint8_t memory[2][8192];
	long ret;
	uint32_t retval;
};

static inline int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level, (void)fmt, (void)args;
	return 0;
}

static inline int map_of(const struct bpf_object *obj, const char *suffix, uint32_t *bytes)
{
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj)
	{
		if (!strstr(bpf_map__name(m), suffix))
			continue;
		*bytes = bpf_map__value_size(m);
		return bpf_map__fd(m);
	}
	fail_msg("no map %s", suffix);
	return -1;
}

/* The object's bytes; whoever gives privileges away reads them before: the folder may be nobody else's. */
static inline const void *object_bytes(size_t *len)
{
	static _Alignas(8) char bytes[1 << 20];
	static size_t n;
	char path[512];
	FILE *f;

	if (!n) {
		snprintf(path, sizeof(path), "%s/tests/helpers_more.bpf.o", getenv("BUILD"));
		f = fopen(path, "re");
		assert_non_null(f);
		n = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
	}
	*len = n;
	return bytes;
}

static inline void open_side(struct side *s, struct vm *vm)
{
	size_t len;
	const void *bytes = object_bytes(&len);

	s->vm = vm;
	seam_engine(vm);
	s->obj = bpf_object__open_mem(bytes, len, NULL);
	assert_non_null(s->obj);
	assert_int_equal(bpf_object__load(s->obj), 0);
	s->prog = bpf_program__fd(bpf_object__find_program_by_name(s->obj, "ask"));
	s->bss = map_of(s->obj, ".bss", &s->bss_bytes);
	s->data = map_of(s->obj, ".data", &s->data_bytes);
	assert_true(s->bss_bytes <= sizeof(s->memory[0]) && s->data_bytes <= sizeof(s->memory[1]));
	seam_engine(NULL);
}

static inline void close_side(struct side *s)
{
	seam_engine(s->vm);
	bpf_object__close(s->obj);
	seam_engine(NULL);
}

static inline void put_to(struct side *s, const void *data, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = len, .repeat = 1);
	uint32_t zero = 0;

	seam_engine(s->vm);
	s->ret = bpf_prog_test_run_opts(s->prog, &o);
	s->retval = o.retval;
	assert_int_equal(bpf_map_lookup_elem(s->bss, &zero, s->memory[0]), 0);
	assert_int_equal(bpf_map_lookup_elem(s->data, &zero, s->memory[1]), 0);
	seam_engine(NULL);
}

#endif
