/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A system call as libc's syscall(2) makes it, for those who replace that. */
#ifndef BASE_RAWCALL_H
#define BASE_RAWCALL_H

#include <errno.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <dlfcn.h>
#endif

/* raw_call() returns what the call does, or -1 and errno. */
static inline long raw_call(long nr, const long *a)
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

#endif
