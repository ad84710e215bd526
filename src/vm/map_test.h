/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the map_*_test.c share: an engine, a map by its inside, numbers that look random. */
#ifndef VM_MAP_TEST_H
#define VM_MAP_TEST_H

#include <unistd.h>

#include "base/test.h"
#include "vm/map.h"
#include "vm/vm.h"

static struct vm *vm;
static uint64_t rnd_state = 0x5eedu;

static inline uint32_t rnd(uint32_t n)
{
	rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(((rnd_state >> 33) * n) >> 31);
}

static inline int make_fd(uint32_t type, uint32_t key, uint32_t value, uint32_t most, uint32_t flags)
{
	union bpf_attr a = {.map_type = type, .key_size = key, .value_size = value, .max_entries = most, .map_flags = flags};

	return (int)vm_bpf(vm, BPF_MAP_CREATE, &a, sizeof(a));
}

/* The map itself; *fd holds it. */
static inline struct map *make(uint32_t type, uint32_t key, uint32_t value, uint32_t most, uint32_t flags, int *fd)
{
	struct obj *obj;

	*fd = make_fd(type, key, value, most, flags);
	assert_true(*fd >= 0);
	assert_int_equal(obj_of_fd(vm, *fd, OBJ_MAP, &obj), 0);
	obj_put(obj);
	return (struct map *)obj;
}

static inline int engine_new(void **unused)
{
	const struct vm_config config = {.n_cpus = 2, .seed = 7};
	struct sluice_err err;

	(void)unused;
	return vm_new(&config, &vm, &err);
}

static inline int engine_free(void **unused)
{
	(void)unused;
	vm_free(vm);
	return 0;
}

#endif
