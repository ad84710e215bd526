/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tests of the engines share: a program run on each of them, the kernel included. */
#ifndef TESTS_VM_ENGINES_H
#define TESTS_VM_ENGINES_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/bpf.h>

#define MEMORY_MAX 4096

enum engine { ENGINE_CHECKED, ENGINE_TRUSTED, ENGINE_JIT_CHECKED, ENGINE_JIT, ENGINE_WATCHED, N_ENGINES };
extern const char *const engine_names[N_ENGINES];

struct answer {
	bool fault;
	uint64_t r0;
	char text[512]; /* of the fault, or why it did not load */
	uint8_t memory[MEMORY_MAX];
};

/* Runs a program with r1 = memory (len bytes, a copy), r2 = len; rfc: see vm/prog.h. 0, or -errno if it does
 * not load.
 */
int engine_run(enum engine engine, bool rfc, const struct bpf_insn *insns, uint32_t n, const uint8_t *memory,
	       uint32_t len, struct answer *answer);

/*
 * The same in the kernel: the program becomes a function that a small XDP program calls with a
 * pointer into the packet, once for each half of r0. Returns -EACCES if the verifier refuses (text:
 * its last line), -EPERM without privilege.
 */
int kernel_run(const struct bpf_insn *insns, uint32_t n, const uint8_t *memory, uint32_t len,
	       struct answer *answer);

#endif
