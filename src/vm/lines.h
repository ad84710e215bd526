/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a program was made of: the records of functions and source lines that its loader gave to BPF_PROG_LOAD
 * (Documentation/bpf/btf.rst, "BPF_PROG_LOAD"), with the strings of its BTF.
 */
#ifndef VM_LINES_H
#define VM_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>

struct btf;
struct vm_prog;

struct vm_lines {
	const struct btf *btf;	    /* lives as long as the program */
	struct bpf_line_info *line; /* ascending by insn_off */
	struct bpf_func_info *func;
	uint32_t n_lines, n_funcs, n_insns;
};

/* One source line: that of the instructions from pc on, up to the next one's. file and text may be "". */
struct vm_line {
	const char *file, *text;
	uint32_t line, col, pc;
};

/*
 * lines_take() copies the records that attr of a BPF_PROG_LOAD points to.
 * errors:  -EINVAL, -E2BIG, -EFAULT as the kernel's check_btf_func(), check_btf_line(); -ENOMEM
 */
int lines_take(struct vm_lines *to, const union bpf_attr *attr, const struct btf *btf);
void lines_free(struct vm_lines *l);

/* lines_of() is what is known of a program that BPF_PROG_LOAD made; of others NULL. */
const struct vm_lines *lines_of(const struct vm_prog *prog);

/* lines_get() is record i; lines_at() the one that instruction pc belongs to. false: there is none. */
bool lines_get(const struct vm_lines *l, uint32_t i, struct vm_line *to);
bool lines_at(const struct vm_lines *l, uint32_t pc, struct vm_line *to);

/* lines_func() is the name of function i and where it starts; NULL: there is none. lines_func_at() its
 * number, or -1. */
const char *lines_func(const struct vm_lines *l, uint32_t i, uint32_t *pc);
int lines_func_at(const struct vm_lines *l, uint32_t pc);

/* lines_say() writes "FILE:LINE: TEXT" of an instruction; false if nobody knows. owner: struct vm_program. */
bool lines_say(void *owner, uint32_t pc, char *to, size_t size);

#endif
