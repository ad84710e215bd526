// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes the saved state of the balancer: two bytes say how long the first part is, which is where everything lies; the
 * rest is one service's. What is taken can be published into memory of its own, and saved and taken again.
 */
#include <stdlib.h>
#include <string.h>

#include "balance/tables.h"
#include "fuzz/fuzz.h"

#define MEMORY_MAX (1u << 22)

static void again(const struct tables *t, uint32_t service)
{
	struct buf frame = {0}, bytes = {0};
	struct tables *other = NULL;
	struct view v;

	tables_save(t, &frame);
	v = view_of(frame.data, frame.len);
	if (frame.failed || tables_load(&v, &other, NULL))
		abort();
	tables_save_service(t, service, &bytes);
	v = view_of(bytes.data, bytes.len);
	if (bytes.failed || tables_load_service(other, service, &v, NULL, NULL))
		abort();
	tables_free(other);
	buf_free(&frame);
	buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t first = len < 2 ? 0 : (size_t)data[0] | (size_t)data[1] << 8;
	struct tables *t;
	struct view v;
	void *memory;
	uint32_t i;

	if (len < 2 || first > len - 2)
		return 0;
	v = view_of(data + 2, first);
	if (tables_load(&v, &t, NULL))
		return 0;
	memory = tables_bytes(t) <= MEMORY_MAX ? calloc(1, tables_bytes(t)) : NULL;
	if (memory)
		tables_attach(t, memory);
	for (i = 0; i < tables_n_services(t); i++) {
		v = view_of(data + 2 + first, len - 2 - first);
		if (!tables_name(t, i)[0] || tables_load_service(t, i, &v, NULL, NULL))
			continue;
		if (memory && tables_publish_service(t, i, NULL))
			abort();
		again(t, i);
	}
	tables_free(t);
	free(memory);
	return 0;
}
