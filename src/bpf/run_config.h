/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XDP_RUN_CONFIG metadata as libxdp defines it: a BTF data section ".xdp_run_config" with a variable _PROGRAM per
 * program, a struct whose members are pointers to arrays: the number of elements is the value.
 * https://github.com/xdp-project/xdp-tools, lib/libxdp/README.org, "The XDP_RUN_CONFIG metadata"
 */
#ifndef BPF_RUN_CONFIG_H
#define BPF_RUN_CONFIG_H

#include <stdint.h>

struct btf;

/* run_config_read() fills in what the metadata says about a program and leaves the rest as it was. */
void run_config_read(const struct btf *btf, const char *program, uint32_t *priority, uint32_t *go_on);

/* One entry to write. */
struct run_config {
	const char *program;
	uint32_t priority, go_on;
};

/* run_config_write() adds such a section to btf, renaming one that is there. Returns 0 or a negative errno. */
int run_config_write(struct btf *btf, const struct run_config *entries, uint32_t n);

#endif
