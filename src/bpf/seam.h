/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The seam: every bpf(2) call of this process, libbpf's included, comes through here.
 *
 * A thread can choose the user-space engine (vm/vm.h): its calls are then answered by that instead of the kernel, and
 * libbpf does not notice.
 *
 * libbpf reaches the kernel by calling syscall(__NR_bpf, ...), an ordinary imported function. seam.c defines that
 * function; with nothing switched on it passes every call straight to the kernel. What it adds is per thread:
 * a capture of programs as they are loaded, relocated by libbpf, with their function and line records - which
 * the kernel gives back only in rewritten form and libbpf keeps to itself.
 */
#ifndef BPF_SEAM_H
#define BPF_SEAM_H

#include <stdbool.h>
#include <linux/bpf.h>

/*
 * before() is called before a BPF_PROG_LOAD of this thread, and may write over the instructions; it may be NULL.
 * loaded() is called after a BPF_PROG_LOAD of this thread succeeded; attr's pointers are still valid then.
 * instead(), if there is one, is asked before: a descriptor is the answer, -1 has the kernel load the program.
 */
struct seam_capture {
	void (*before)(struct seam_capture *self, const union bpf_attr *attr);
	int (*instead)(struct seam_capture *self, const union bpf_attr *attr);
	void (*loaded)(struct seam_capture *self, const union bpf_attr *attr, int prog_fd);
};

/* seam_capture() starts capturing this thread's loads; NULL stops. */
void seam_capture(struct seam_capture *capture);

struct vm;

/* seam_engine() chooses who answers this thread's calls: an engine, or with NULL the kernel. Returns who did before. */
struct vm *seam_engine(struct vm *vm);

/* seam_n_cpus() is how many CPUs the one that answers this thread's calls may have; a negative errno. */
int seam_n_cpus(void);

/* Interfaces as the one that answers knows them: a name for a number (to has room for 16), a number for a name; NULL, 0:
 * there is none. seam_in_user_space(): is it an engine? */
const char *seam_if_name(unsigned int ifindex, char *to);
unsigned int seam_if_index(const char *name);
bool seam_in_user_space(void);

/* seam_works(): do libbpf's calls come through here? Not if the library was loaded out of symbol order. */
bool seam_works(void);

#endif
