// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* bpf(2) in user space: what is common to all commands, and which function answers which. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "base/err.h"
#include "vm/fib.h"
#include "vm/map_ring.h"
#include "vm/perf.h"
#include "vm/sys.h"
#include "vm/timer.h"
#include "vm/user.h"

#define MOST_CPUS 4096

/* "0-3", "0" or "0,2-7": the last number says it. */
static uint32_t possible_cpus(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	char text[256], *last;
	long n = 0;

	if (f && fgets(text, sizeof(text), f)) {
		last = text + strcspn(text, "\n");
		while (last > text && last[-1] >= '0' && last[-1] <= '9')
			last--;
		n = strtol(last, NULL, 10) + 1;
	}
	if (f)
		fclose(f);
	if (n < 1)
		n = sysconf(_SC_NPROCESSORS_CONF);
	return n < 1 ? 1 : n > MOST_CPUS ? MOST_CPUS : (uint32_t)n;
}

int vm_new(const struct vm_config *config, struct vm **to, struct sluice_err *err)
{
	struct vm *vm;
	int e;

	*to = NULL;
	if (config && config->n_cpus > MOST_CPUS)
		return err_set(err, -EINVAL, "%u CPUs are more than the %u that the engine can have", config->n_cpus, MOST_CPUS);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_nomem(err);
	pthread_mutex_init(&vm->lock, NULL);
	vm->n_cpus = config && config->n_cpus ? config->n_cpus : possible_cpus();
	vm->seed = config ? config->seed : 0;
	if (config)
		vm->trace = (struct trace){.say = config->trace, .arg = config->trace_arg};
	vm->engine = config ? config->engine : VM_ENGINE_BEST;
	vm->trusted = config && config->trusted;
	if (!vm->seed && getrandom(&vm->seed, sizeof(vm->seed), GRND_NONBLOCK) != (ssize_t)sizeof(vm->seed))
		vm->seed = (uintptr_t)vm;
	e = sys_if_lo(vm, err);
	if (e) {
		vm_free(vm);
		return e;
	}
	*to = vm;
	return 0;
}

uint32_t vm_n_cpus(const struct vm *vm)
{
	return vm->n_cpus;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	sys_unpin_all(vm);
	obj_free_all(vm);
	timer_free_all(vm);
	trace_free(&vm->trace);
	fib_free(vm->fib);
	btf__free(vm->kernel_btf);
	pthread_mutex_destroy(&vm->lock);
	free(vm->ifs);
	free(vm);
}

bool sys_tail_zero(const void *p, uint64_t len)
{
	const uint8_t *b = p;
	uint64_t i;

	for (i = 0; i < len; i++)
		if (b[i])
			return false;
	return true;
}

int sys_name(char *to, const char *from, uint32_t size)
{
	uint32_t i;

	memset(to, 0, size);
	for (i = 0; i < size && from[i]; i++) {
		char c = from[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.'))
			return -EINVAL;
		to[i] = c;
	}
	return i == size ? -EINVAL : 0;
}

#define END(member) (offsetof(union bpf_attr, member) + sizeof(((union bpf_attr *)0)->member))

/* Where each command's part of attr ends; what follows must be zero. 0: a command that is not answered here. */
static const uint16_t end[] = {
	[BPF_MAP_CREATE] = END(map_extra),
	[BPF_MAP_LOOKUP_ELEM] = END(flags),
	[BPF_MAP_UPDATE_ELEM] = END(flags),
	[BPF_MAP_DELETE_ELEM] = END(key),
	[BPF_MAP_GET_NEXT_KEY] = END(next_key),
	[BPF_MAP_LOOKUP_AND_DELETE_ELEM] = END(flags),
	[BPF_MAP_FREEZE] = END(map_fd),
	[BPF_MAP_LOOKUP_BATCH] = END(batch.flags),
	[BPF_MAP_LOOKUP_AND_DELETE_BATCH] = END(batch.flags),
	[BPF_MAP_UPDATE_BATCH] = END(batch.flags),
	[BPF_MAP_DELETE_BATCH] = END(batch.flags),
	[BPF_OBJ_PIN] = END(file_flags),
	[BPF_OBJ_GET] = END(file_flags),
	[BPF_OBJ_GET_INFO_BY_FD] = END(info.info),
	[BPF_MAP_GET_NEXT_ID] = END(next_id),
	[BPF_PROG_GET_NEXT_ID] = END(next_id),
	[BPF_BTF_GET_NEXT_ID] = END(next_id),
	[BPF_MAP_GET_FD_BY_ID] = END(open_flags),
	[BPF_PROG_GET_FD_BY_ID] = END(start_id),
	[BPF_BTF_GET_FD_BY_ID] = 16, /* with open_flags and a token, newer than the header at hand */
	[BPF_PROG_LOAD] = END(core_relo_rec_size),
	[BPF_PROG_TEST_RUN] = END(test.batch_size),
	[BPF_PROG_BIND_MAP] = END(prog_bind_map.flags),
	[BPF_ENABLE_STATS] = END(enable_stats.type),
	[BPF_BTF_LOAD] = END(btf_log_level),
	[BPF_LINK_CREATE] = 60, /* with uprobe_multi, newer than the header at hand */
	[BPF_LINK_UPDATE] = END(link_update.old_prog_fd),
	[BPF_LINK_DETACH] = END(link_detach.link_fd),
	[BPF_LINK_GET_NEXT_ID] = END(next_id),
	[BPF_LINK_GET_FD_BY_ID] = END(link_id),
};

static long answer(struct vm *vm, int cmd, union bpf_attr *attr)
{
	switch (cmd) {
	case BPF_MAP_CREATE:
		return sys_map_create(vm, attr);
	case BPF_MAP_LOOKUP_ELEM:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_GET_NEXT_KEY:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
		return sys_map_elem(vm, cmd, attr);
	case BPF_MAP_LOOKUP_BATCH:
	case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
	case BPF_MAP_UPDATE_BATCH:
	case BPF_MAP_DELETE_BATCH:
		return sys_map_batch(vm, cmd, attr);
	case BPF_MAP_FREEZE:
		return sys_map_freeze(vm, attr);
	case BPF_PROG_LOAD:
		return sys_prog_load(vm, attr);
	case BPF_PROG_TEST_RUN:
		return sys_prog_run(vm, attr);
	case BPF_PROG_BIND_MAP:
		return sys_prog_bind_map(vm, attr);
	case BPF_ENABLE_STATS:
		return sys_enable_stats(vm, attr);
	case BPF_BTF_LOAD:
		return sys_btf_load(vm, attr);
	case BPF_LINK_CREATE:
		return sys_link_create(vm, attr);
	case BPF_LINK_UPDATE:
		return sys_link_update(vm, attr);
	case BPF_LINK_DETACH:
		return sys_link_detach(vm, attr);
	case BPF_OBJ_GET_INFO_BY_FD:
		return sys_info(vm, attr);
	case BPF_MAP_GET_NEXT_ID:
	case BPF_PROG_GET_NEXT_ID:
	case BPF_BTF_GET_NEXT_ID:
	case BPF_LINK_GET_NEXT_ID:
		return sys_next_id(vm, cmd, attr);
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
		return sys_fd_by_id(vm, cmd, attr);
	case BPF_OBJ_PIN:
		return sys_pin(vm, attr);
	case BPF_OBJ_GET:
		return sys_pinned(vm, attr);
	}
	return -EINVAL;
}

bool vm_makes_fd(int cmd)
{
	switch (cmd) {
	case BPF_MAP_CREATE:
	case BPF_PROG_LOAD:
	case BPF_BTF_LOAD:
	case BPF_OBJ_GET:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
	case BPF_LINK_CREATE:
	case BPF_ENABLE_STATS:
		return true;
	}
	return false;
}

long vm_bpf(struct vm *vm, int cmd, union bpf_attr *user, unsigned int size)
{
	union {
		union bpf_attr attr;
		uint8_t bytes[VM_ATTR_BYTES];
	} a = {.bytes = {0}};
	unsigned int known = size < sizeof(a) ? size : (unsigned int)sizeof(a);
	uint64_t addr = (uintptr_t)user;
	int zero, e;
	long ret;

	if (size > 4096)
		return -E2BIG;
	zero = user_zero(addr + known, size - known);
	if (zero <= 0)
		return zero ? zero : -E2BIG;
	e = user_read(a.bytes, addr, known);
	if (e)
		return e;
	if (cmd < 0 || (size_t)cmd >= sizeof(end) / sizeof(*end) || !end[cmd])
		return -EINVAL;
	if (!sys_tail_zero(a.bytes + end[cmd], sizeof(a) - end[cmd]))
		return -EINVAL;
	ret = answer(vm, cmd, &a.attr);
	/* results go back where the caller has room for them, and only there */
	e = user_write(addr, a.bytes, known < end[cmd] ? known : end[cmd]);
	return e && ret >= 0 && !vm_makes_fd(cmd) ? e : ret;
}

size_t vm_trace_read(struct vm *vm, char *to, size_t size)
{
	return trace_read(&vm->trace, to, size);
}

void vm_set_clock(struct vm *vm, uint64_t now_ns)
{
	__atomic_store_n(&vm->now_ns, now_ns, __ATOMIC_RELAXED);
}

bool vm_owns(struct vm *vm, int fd)
{
	struct obj *obj;

	if (obj_any_of_fd(vm, fd, &obj))
		return false;
	obj_put(obj);
	return true;
}

int vm_wait_fd(struct vm *vm, int fd)
{
	struct obj *obj;
	int e = obj_any_of_fd(vm, fd, &obj);

	if (e)
		return e;
	if (obj->kind == OBJ_PERF)
		e = perf_wait_fd(obj);
	else
		e = obj->kind == OBJ_MAP && ((struct map *)obj)->ops == &map_ring_ops ? ring_wait_fd((struct map *)obj) : -EINVAL;
	obj_put(obj);
	return e;
}
