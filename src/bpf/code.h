/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program's code in a form that outlives descriptors: instructions as libbpf relocated them, with every map and
 * module BTF named by kernel id instead of descriptor, plus function records, line records and BTF.
 */
#ifndef BPF_CODE_H
#define BPF_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#include <sluice/err.h>

#include "base/buf.h"
#include "base/view.h"
#include "bpf/seam.h"

#define CODE_MAX_INSNS 1000000 /* the kernel's limit, BPF_COMPLEXITY_LIMIT_INSNS */
#define CODE_MAX_REFS 256

enum code_ref_kind { CODE_REF_MAP = 1, CODE_REF_BTF = 2 };

struct code_ref {
	uint32_t kind, id;
};

struct code {
	struct bpf_insn *insns; /* ld_imm64 of a map: imm = index in ref; kernel function of a module: off = index + 1 */
	uint32_t n_insns;
	struct bpf_func_info *funcs; /* one per function, in order of insn_off; n_funcs 0: there is no BTF */
	uint32_t n_funcs;
	struct bpf_line_info *lines;
	uint32_t n_lines;
	void *btf; /* raw; type ids and string offsets are those of funcs and lines */
	uint32_t btf_len;
	struct code_ref ref[CODE_MAX_REFS];
	uint32_t n_refs;
	bool frags;
	char license[64];
};

bool code_is_map(const struct bpf_insn *insn);	       /* first half of a ld_imm64 that holds a map */
bool code_is_module_call(const struct bpf_insn *insn); /* call of a kernel function that a module has */

/*
 * code_capture_start() collects the loads of this thread until code_capture_stop(); code_capture_take() then hands
 * out the code of the program open as prog_fd, for the caller to free.
 * errors:  -EOPNOTSUPP the seam is not in place, -ENOENT that program was not loaded meanwhile,
 *          -ENOSPC more than CODE_MAX_REFS maps, -ENOMEM
 */
struct code_capture {
	struct seam_capture seam;
	struct code_capture_item {
		uint32_t id; /* the program's: libbpf may move a descriptor to another number, and probes reuse numbers */
		struct code *code;
		int e; /* why it could not be kept */
	} *item;
	size_t n;
	bool failed;
};
void code_capture_start(struct code_capture *capture);
void code_capture_stop(struct code_capture *capture);
int code_capture_take(struct code_capture *capture, int prog_fd, struct code **code, struct sluice_err *err);
void code_capture_free(struct code_capture *capture);

void code_write(const struct code *code, struct buf *to);
/* code_read() fails the view unless it finds one whole, consistent code; *code is NULL then. */
void code_read(struct view *from, struct code **code);
void code_free(struct code *code);
int code_copy(const struct code *code, struct code **copy, struct sluice_err *err); /* -ENOMEM */

#endif
