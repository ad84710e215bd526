// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes the way of an object file into the process: opening, finding programs and variables, run
 * configuration. Loading is left out: what the kernel is given, the kernel checks.
 */
#include <stdlib.h>
#include <string.h>
#include <sluice/object.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sluice_err err = {0};
	struct sluice_program *prog;
	struct sluice_object *obj;
	uint32_t priority, go_on;
	const char *name;
	size_t i;
	int e;

	e = sluice_object_open_mem(data, len, "fuzz.o", &obj, &err);
	if (e) {
		if (obj || !err.text[0] || err.code != e)
			abort();
		return 0;
	}
	sluice_object_program(obj, NULL, &prog, &err);
	for (i = 0; (name = sluice_object_program_name(obj, i)); i++) {
		if (sluice_object_program(obj, name, &prog, &err))
			continue;
		sluice_program_run_config(prog, &priority, &go_on);
		sluice_program_set_frags(prog, true);
	}
	sluice_object_set(obj, "verdict", "1", &err);
	sluice_object_set(obj, "pair", "{a=1,b=[2,3]}", &err);
	sluice_object_set_bytes(obj, "count", "12345678", 8, &err);
	sluice_object_resize(obj, "hits", 7, &err);
	sluice_object_map_fd(obj, "no such map", &err);
	sluice_object_free(obj);
	return 0;
}
