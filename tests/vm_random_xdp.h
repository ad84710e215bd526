/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Random XDP programs that a verifier accepts: vm_random_piece.c makes them, vm_random_xdp.c runs them on all
 * engines. In their instructions maps are named by their number here.
 */
#ifndef TESTS_VM_RANDOM_XDP_H
#define TESTS_VM_RANDOM_XDP_H

#include <stdint.h>
#include <linux/bpf.h>

enum map_nr { ARRAY, PERCPU, HASH, LPM, QUEUE, PROGS, N_MAPS };
struct map_shape {
	enum bpf_map_type type;
	uint32_t key, value, entries, flags;
};
extern const struct map_shape shapes[N_MAPS];

/* Random numbers: the same seed, the same programs and packets. */
void random_seed(uint64_t seed);
uint64_t random_bits(void);
uint32_t below(uint32_t n);

/* One program, the caller's to free; negative on failure. */
int make_program(struct bpf_insn **insns, uint32_t *n);

#endif
