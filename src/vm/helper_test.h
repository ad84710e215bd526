/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tests of helpers share: an engine, programs as text, a packet, a run with its inside in sight. */
#ifndef VM_HELPER_TEST_H
#define VM_HELPER_TEST_H

#include <stdio.h>
#include <sys/mman.h>

#include "isa/isa.h"
#include "vm/helper.h"
#include "vm/map_test.h"
#include "vm/sys_prog.h"

#define TEST_FRAME 4096

static struct vm_packet *packet;
static struct vm_host host;
static struct vm_run run;
static char load_log[512];
static int64_t budget = VM_BUDGET;

/* Loads text ("r1 = map[fd:%d]" filled in by the caller); a descriptor, or a negative errno with load_log. */
static inline int load_as(const char *text, uint32_t type, uint32_t attach, const char *licence)
{
	union bpf_attr a = {.prog_type = type,
			    .expected_attach_type = attach,
			    .license = (uintptr_t)licence,
			    .log_level = 1,
			    .log_size = sizeof(load_log),
			    .log_buf = (uintptr_t)load_log};
	struct bpf_insn *insns;
	struct sluice_err err;
	uint32_t n;
	int fd;

	if (isa_parse(text, &insns, &n, &err))
		fail_msg("%s", err.text);
	a.insns = (uintptr_t)insns;
	a.insn_cnt = n;
	*load_log = '\0';
	fd = (int)vm_bpf(vm, BPF_PROG_LOAD, &a, sizeof(a));
	free(insns);
	return fd;
}

static inline int load(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline int load(const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = load_as(text, BPF_PROG_TYPE_XDP, BPF_XDP, "GPL");
	if (fd < 0)
		fail_msg("%s%s", load_log, strerror(-fd));
	return fd;
}

/* A fresh packet of len bytes, byte i is i. */
static inline void packet_new(uint32_t len)
{
	uint32_t i;

	packet->frame_bytes = TEST_FRAME - 320;
	memset(&packet->ctx, 0, sizeof(packet->ctx));
	packet->ctx.data = packet->ctx.data_meta = (uint32_t)(uintptr_t)packet->frame + HELPER_HEADROOM;
	packet->ctx.data_end = packet->ctx.data + len;
	packet->ctx.ingress_ifindex = 1;
	for (i = 0; i < len; i++)
		packet->frame[HELPER_HEADROOM + i] = (uint8_t)i;
}

/* Runs the program on the packet as it is; r0 is in *ret, the answer vm_exec()'s. */
static inline int exec(int fd, uint64_t *ret)
{
	struct obj *obj;
	int e;

	assert_int_equal(obj_of_fd(vm, fd, OBJ_PROG, &obj), 0);
	run.budget = budget;
	helper_packet_region(&run);
	e = vm_exec(&run, ((struct vm_program *)obj)->code, (uintptr_t)&packet->ctx, 0, ret);
	obj_put(obj);
	return e;
}

/* What a program says that must not fault. */
static inline uint64_t say(int fd)
{
	char text[512];
	uint64_t ret;

	if (exec(fd, &ret))
		fail_msg("%s", vm_fault_text(&run.fault, text, sizeof(text)));
	return ret;
}

/* What a program that must fault is told. */
static inline const char *fault(int fd)
{
	static char text[512];
	uint64_t ret;

	assert_int_equal(exec(fd, &ret), -EFAULT);
	return vm_fault_text(&run.fault, text, sizeof(text));
}

static inline int put(int map, uint32_t key, const void *value)
{
	union bpf_attr a = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)value};

	return (int)vm_bpf(vm, BPF_MAP_UPDATE_ELEM, &a, sizeof(a));
}

static inline int get(int map, uint32_t key, void *value)
{
	union bpf_attr a = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)value};

	return (int)vm_bpf(vm, BPF_MAP_LOOKUP_ELEM, &a, sizeof(a));
}

static inline int fixture_new(void **state)
{
	uint8_t *mem = mmap(NULL, TEST_FRAME + 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	assert_true(mem != MAP_FAILED);
	assert_int_equal(engine_new(state), 0);
	packet = (struct vm_packet *)(void *)(mem + TEST_FRAME);
	packet->frame = mem;
	packet_new(64);
	host = (struct vm_host){.vm = vm, .packet = packet, .random = 1};
	vm_run_init(&run, &prog_env, &host);
	vm_run_region(&run, VM_REGION_CTX, &packet->ctx, sizeof(packet->ctx), false);
	return 0;
}

static inline int fixture_free(void **state)
{
	munmap(packet->frame, TEST_FRAME + 4096);
	return engine_free(state);
}

#endif
