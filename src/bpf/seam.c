// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The seam: this process's syscall(2). See seam.h.
 *
 * A function of libc defined by a program, or by a library that comes before libc in symbol order, replaces
 * libc's for every shared object of the process (ELF symbol interposition); so for all other numbers this
 * one must behave as libc's does.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/err.h"
#include "bpf/seam.h"
#include "vm/vm.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <dlfcn.h>
#endif

static __thread struct seam_capture *current;
static __thread bool seen;
static __thread struct vm *engine; /* NULL: the kernel */

static long kernel(long nr, const long *a)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr, ret __asm__("x0") = a[0], x1 __asm__("x1") = a[1];
	register long x2 __asm__("x2") = a[2], x3 __asm__("x3") = a[3];
	register long x4 __asm__("x4") = a[4], x5 __asm__("x5") = a[5];

	__asm__ volatile("svc 0" : "+r"(ret) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
#else
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");

	return next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
#endif
	if ((unsigned long)ret > -4096UL) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

static long answer(const long *a)
{
	long ret = vm_bpf(engine, (int)a[0], (union bpf_attr *)a[1], (unsigned int)a[2]);

	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

SLUICE_API long syscall(long nr, ...)
{
	struct seam_capture *capture = current;
	long a[6], ret;
	va_list ap;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++) /* as libc does: take all six, the kernel ignores what a call does not have */
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == __NR_bpf && engine)
		ret = answer(a);
	else
		ret = kernel(nr, a);
	if (nr != __NR_bpf)
		return ret;
	seen = true;
	if (capture && a[0] == BPF_PROG_LOAD && ret >= 0) {
		union bpf_attr attr = {0}; /* callers pass as much of it as they know */

		memcpy(&attr, (const void *)a[1], (size_t)a[2] < sizeof(attr) ? (size_t)a[2] : sizeof(attr));
		current = NULL; /* what it calls itself is not captured */
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
	long ret = kernel(__NR_epoll_ctl, a);
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
	return (int)kernel(__NR_epoll_ctl, (const long[6]){epfd, op, wait, event ? (long)&edge : 0});
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
