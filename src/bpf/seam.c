// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The seam: this process's syscall(2). See seam.h.
 *
 * A function of libc defined by a program, or by a library that comes before libc in symbol order, replaces
 * libc's for every shared object of the process (ELF symbol interposition); so for all other numbers this
 * one must behave as libc's does.
 */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "base/rawcall.h"
#include "bpf/seam.h"
#include "vm/vm.h"

static __thread struct seam_capture *current;
static __thread bool seen;
static __thread struct vm *engine; /* NULL: the kernel */

/* A program that runs under an engine elsewhere (src/preload) has these two, preloaded; others do not. */
extern long sluice_vm_bpf(int cmd, void *attr, unsigned int size) __attribute__((weak));
extern bool sluice_vm_on(void) __attribute__((weak));

static long answer(const long *a)
{
	long ret = vm_bpf(engine, (int)a[0], (union bpf_attr *)a[1], (unsigned int)a[2]);

	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

static long elsewhere(const long *a)
{
	long ret = sluice_vm_bpf((int)a[0], (void *)a[1], (unsigned int)a[2]);

	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

/* The one event that programs write to is the engine's; any other one the kernel's. */
static long perf_open(const long *a)
{
	long ret = vm_perf_open(engine, (const void *)a[0], (int)a[1], (int)a[2], (int)a[3], (unsigned long)a[4]);

	if (ret == -ENOENT)
		return raw_call(__NR_perf_event_open, a);
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

SLUICE_API long syscall(long nr, ...)
{
	struct seam_capture *capture = current;
	union bpf_attr attr = {0};
	long a[6], ret = -1;
	va_list ap;
	bool load;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++) /* as libc does: take all six, the kernel ignores what a call does not have */
		a[i] = va_arg(ap, long);
	va_end(ap);
	load = nr == __NR_bpf && capture && a[0] == BPF_PROG_LOAD;
	if (load) { /* callers pass as much of it as they know */
		memcpy(&attr, (const void *)a[1], (size_t)a[2] < sizeof(attr) ? (size_t)a[2] : sizeof(attr));
		current = NULL; /* what it calls itself is not captured */
		if (capture->before)
			capture->before(capture, &attr);
		ret = capture->instead ? capture->instead(capture, &attr) : -1;
		current = capture;
	}
	if (load && ret >= 0)
		;
	else if (nr == __NR_bpf && engine)
		ret = answer(a);
	else if (nr == __NR_bpf && sluice_vm_on && sluice_vm_on())
		ret = elsewhere(a);
	else if (nr == __NR_perf_event_open && engine)
		ret = perf_open(a);
	else
		ret = raw_call(nr, a);
	if (nr != __NR_bpf)
		return ret;
	seen = true;
	if (load && ret >= 0) {
		current = NULL;
		capture->loaded(capture, &attr, (int)ret);
		current = capture;
	}
	return ret;
}

/*
 * A ring buffer's descriptor can be waited on, a memfd cannot: the kernel says -EPERM of it. With an engine chosen, what
 * is added then is the engine's descriptor to wait on, edge-triggered, since nobody reads from it.
 */
SLUICE_API int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	const long a[6] = {epfd, op, fd, (long)event}, saved = errno;
	struct epoll_event edge;
	long ret = raw_call(__NR_epoll_ctl, a);
	int wait;

	if (ret == 0 || errno != EPERM || !engine)
		return (int)ret;
	wait = vm_wait_fd(engine, fd);
	if (wait < 0)
		return (int)ret; /* errno stays EPERM */
	if (event) {
		edge = *event;
		edge.events |= EPOLLET;
	}
	errno = (int)saved;
	return (int)raw_call(__NR_epoll_ctl, (const long[6]){epfd, op, wait, event ? (long)&edge : 0});
}

/* A perf event of the engine's is enabled by ioctl(2), which knows nothing of memfds. */
SLUICE_API int ioctl(int fd, unsigned long request, ...)
{
	const int saved = errno;
	va_list ap;
	long arg, ret;

	va_start(ap, request);
	arg = va_arg(ap, long);
	va_end(ap);
	ret = raw_call(__NR_ioctl, (const long[6]){fd, (long)request, arg});
	if (ret == 0 || errno != ENOTTY || !engine || vm_perf_control(engine, fd, request))
		return (int)ret;
	errno = saved;
	return 0;
}

struct vm *seam_engine(struct vm *vm)
{
	struct vm *before = engine;

	engine = vm;
	return before;
}

int seam_n_cpus(void)
{
	return engine ? (int)vm_n_cpus(engine) : libbpf_num_possible_cpus();
}

const char *seam_if_name(unsigned int ifindex, char *to)
{
	struct vm_if is;

	if (!engine)
		return if_indextoname(ifindex, to);
	if (!vm_if_by_index(engine, ifindex, &is))
		return NULL;
	memcpy(to, is.name, sizeof(is.name));
	return to;
}

unsigned int seam_if_index(const char *name)
{
	struct vm_if is;

	if (!engine)
		return if_nametoindex(name);
	return vm_if_by_name(engine, name, &is) ? is.ifindex : 0;
}

bool seam_in_user_space(void)
{
	return engine || (sluice_vm_on && sluice_vm_on());
}

void seam_capture(struct seam_capture *capture)
{
	current = capture;
}

bool seam_works(void)
{
	__u32 id;

	seen = false;
	bpf_prog_get_next_id(0, &id);
	return seen;
}
