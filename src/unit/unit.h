/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of a test (sluice/test.h): what the files of this room share. */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <sluice/map.h>
#include <sluice/object.h>
#include <sluice/test.h>

#include "base/buf.h"

#define UNIT_PACKET_TEXT 2000 /* characters of a packet that a report has */

struct vm;
struct vm_worker;

/* A map of the object. Its types are as the object has them: the kernel keeps none where an array's key is no
 * plain integer. */
struct unit_map {
	const char *name;	   /* libbpf's */
	uint32_t key_id, value_id; /* in the object's BTF, 0: none */
	struct sluice_map *map;	   /* NULL until somebody asks */
};

struct sluice_test {
	struct sluice_object *obj;
	struct sluice_program *prog;
	struct vm *vm; /* NULL: the kernel */
	struct vm *outer;
	struct vm_worker *worker;
	bool tried; /* to load; load_err.code says how it went */
	struct sluice_err load_err;
	uint64_t seed, clock_ns;
	uint32_t cpu, ifindex, rx_queue;
	struct unit_map *map;
	size_t n_maps;
	/* the last packet */
	struct buf sent, left;
	struct buf targets; /* text */
	struct sluice_test_result result;
	bool ran;
	/* what is to be said */
	struct buf report; /* of the call under way */
	struct buf told_text;
	struct buf kept; /* of all failures, where nobody is told */
	sluice_test_told *told;
	void *told_arg;
	unsigned int failures, unknown;
	char why_not[256]; /* skipped */
};

/*
 * Every public call is unit_enter(), the work, unit_leave(): the engine is in effect in between, and what the
 * work wrote into the report is told afterwards, when nothing is held that a longjmp would lose. unit_leave()
 * returns ok.
 */
struct vm *unit_enter(struct sluice_test *t);
bool unit_leave(const struct sluice_test_at *at, struct vm *before, bool ok);

/* unit_say() adds a line "  name      text" to the report; unit_say_err() err's sentence. Both return false. */
bool unit_say(struct sluice_test *t, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool unit_say_err(struct sluice_test *t, const struct sluice_err *err);
/* unit_say_packet() adds a packet in words. */
void unit_say_packet(struct sluice_test *t, const char *name, const void *frame, size_t len);

/* unit_load() loads if need be; false: the report says why not. */
bool unit_load(struct sluice_test *t);

/* unit_run() sends what is in t->sent through the program; the two engines it chooses from. */
bool unit_run(struct sluice_test *t);
bool unit_run_vm(struct sluice_test *t);
bool unit_run_kernel(struct sluice_test *t);
const char *unit_verdict(uint32_t verdict, char *room, size_t size);

/* unit_bytes_differ() reports the rows in which two packets differ. */
void unit_bytes_differ(struct sluice_test *t, const uint8_t *want, size_t want_len, const uint8_t *got,
		       size_t got_len);

#endif
