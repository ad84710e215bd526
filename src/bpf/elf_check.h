/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looks an object over before libbpf does. libbpf (1.1 at least) believes offsets, lengths and type numbers that it
 * finds in a file, and a damaged one ends the process; whoever attaches a file that came from elsewhere deserves a
 * sentence. What passes here is in bounds and free of cycles; whether it makes sense, libbpf and the kernel decide.
 */
#ifndef BPF_ELF_CHECK_H
#define BPF_ELF_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

/* elf_check(): -ENOEXEC something else than an ELF object for BPF, -EBADMSG truncated or damaged, -ENOMEM */
int elf_check(const void *bytes, size_t len, struct sluice_err *err);

/* btf_check() does the same with a section ".BTF", and ".BTF.ext" that refers to it (NULL: there is none). */
int btf_check(const void *btf, size_t len, const void *ext, size_t ext_len, struct sluice_err *err);

#endif
