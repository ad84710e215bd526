// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes the whole way of an object on the user-space engine: opened, all its programs and maps loaded
 * through libbpf, some packets run by each program on interpreter and compiler. No input may crash, leave a
 * descriptor, write outside of what the engine gives a program (a sanitizer looks on), or take long; both
 * engines must agree on the first packet.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sluice/object.h>

#include "base/clock.h"
#include "bpf/seam.h"
#include "fuzz/fuzz.h"
#include "vm/worker.h"

#define LONG_NS \
	20000000000ull /* an input that takes longer is a bug, also under a sanitizer on a busy machine */
#define BUDGET 20000   /* instructions of a run */
#define PROGRAMS 8     /* of an object that are run */

static unsigned int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Three packets: a request, one of all headers cut in their middle, and no bytes at all. */
static void run(struct vm *vm, int fd)
{
	static const uint8_t tcp[60] = {2,   0,	 0,   0, 0,    2,    2,	  0,  0,	   0,
					0,   1,	 8,   0, 0x45, 0,    0,	  46, 0,	   0,
					0,   0,	 64,  6, 0x8d, 0x9d, 192, 0,  2,	   1,
					198, 51, 100, 1, 0x9c, 0x40, 0,	  80, [46] = 0x50, 2};
	static const uint8_t tags[22] = {[12] = 0x81, 0, 0, 7, 0x86, 0xdd, 0x60, 0, 0, 8};
	const struct vm_frame in[] = {{.data = tcp, .len = sizeof(tcp), .time_ns = 5, .ifindex = 1},
				      {.data = tags, .len = sizeof(tags), .time_ns = 6, .ifindex = 2},
				      {.data = tags, .time_ns = 7, .ifindex = 1}};
	const struct vm_worker_config config = {.longest = 64, .seed = 3, .budget = BUDGET};
	struct vm_worker *worker;
	struct vm_done done;
	unsigned int i;

	if (vm_worker_new(vm, fd, &config, &worker, NULL))
		return;
	for (i = 0; i < 3; i++)
		vm_worker_run(worker, &in[i], NULL, &done);
	vm_worker_free(worker);
}

static void on_engine(const uint8_t *data, size_t len, enum vm_engine engine)
{
	const struct vm_config config = {.seed = 9, .n_cpus = 2, .engine = engine};
	struct sluice_program *prog;
	struct sluice_object *obj;
	struct sluice_err err = {0};
	struct vm *vm, *before;
	const char *name;
	size_t i;

	if (vm_new(&config, &vm, NULL))
		return;
	before = seam_engine(vm);
	if (!sluice_object_open_mem(data, len, "fuzz.o", &obj, &err)) {
		for (i = 0; i < PROGRAMS && (name = sluice_object_program_name(obj, i)); i++)
			sluice_object_program(obj, name, &prog, NULL);
		if (sluice_object_load(obj, &err) && !err.text[0])
			abort();
		for (i = 0; !err.code && i < PROGRAMS && (name = sluice_object_program_name(obj, i)); i++)
			if (!sluice_object_program(obj, name, &prog, NULL))
				run(vm, sluice_program_fd(prog));
		sluice_object_free(obj);
	}
	seam_engine(before);
	vm_free(vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint64_t start = clock_mono_ns();
	unsigned int fds = descriptors();

	on_engine(data, len, VM_ENGINE_INTERP);
	on_engine(data, len, VM_ENGINE_JIT);
	if (descriptors() != fds || clock_mono_ns() - start > LONG_NS)
		abort();
	return 0;
}
