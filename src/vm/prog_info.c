// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What BPF_OBJ_GET_INFO_BY_FD tells of a program: as the kernel's bpf_prog_get_info_by_fd(). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "isa/isa.h"
#include "vm/prog.h"
#include "vm/sys.h"
#include "vm/sys_prog.h"
#include "vm/user.h"

static bool names_map(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW) &&
	       (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE ||
		insn->src_reg == BPF_PSEUDO_MAP_IDX || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE);
}

/* The instructions as a reader can understand them: maps by id, as the kernel shows them, where the loader had descriptors. */
static struct bpf_insn *readable(const struct vm_program *p, const struct bpf_insn *insns, uint32_t n)
{
	struct bpf_insn *to = malloc(n * sizeof(*to));
	uint32_t i, use = 0;

	if (!to)
		return NULL;
	memcpy(to, insns, n * sizeof(*to));
	for (i = 0; i + 1 < n; i++) {
		if (names_map(&to[i]) && use < p->n_uses) {
			to[i].imm = (int32_t)p->use[use++]->obj.id;
			if (to[i].src_reg == BPF_PSEUDO_MAP_IDX)
				to[i].src_reg = BPF_PSEUDO_MAP_FD;
			else if (to[i].src_reg == BPF_PSEUDO_MAP_IDX_VALUE)
				to[i].src_reg = BPF_PSEUDO_MAP_VALUE;
		}
		i += to[i].code == (BPF_LD | BPF_IMM | BPF_DW);
	}
	return to;
}

/* 64 bits that are the same for the same instructions, whatever maps they are given. The kernel's are those of a SHA. */
static void tag_of(const struct bpf_insn *insns, uint32_t n, __u8 tag[BPF_TAG_SIZE])
{
	uint64_t h = 0x9e3779b97f4a7c15ull, v;
	bool map = false;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct bpf_insn insn = insns[i];

		if (map || names_map(&insn))
			insn.imm = 0;
		map = names_map(&insns[i]);
		memcpy(&v, &insn, sizeof(v));
		h = (h ^ v) * 0xbb67ae8584caa73bull;
		h ^= h >> 32;
	}
	memcpy(tag, &h, BPF_TAG_SIZE);
}

/* A record's size is the caller's word for what it knows; this engine knows one. */
static int record_sizes(struct bpf_prog_info *info)
{
	if ((info->nr_func_info || info->func_info_rec_size) && info->func_info_rec_size != sizeof(struct bpf_func_info))
		return -EINVAL;
	if ((info->nr_line_info || info->line_info_rec_size) && info->line_info_rec_size != sizeof(struct bpf_line_info))
		return -EINVAL;
	if ((info->nr_jited_line_info || info->jited_line_info_rec_size) &&
	    info->jited_line_info_rec_size != sizeof(uint64_t))
		return -EINVAL;
	return 0;
}

/* Copies as many records as there is room for. */
static int records(uint64_t to, uint32_t room, const void *from, uint32_t n, uint32_t bytes)
{
	uint32_t some = room < n ? room : n;

	return some ? user_write(to, from, (uint64_t)some * bytes) : 0;
}

static int map_ids(const struct vm_program *p, uint64_t to, uint32_t room)
{
	uint32_t i;
	int e = 0;

	for (i = 0; i < p->n_maps && i < room && !e; i++)
		e = user_write(to + i * sizeof(uint32_t), &p->map[i]->obj.id, sizeof(uint32_t));
	return e;
}

static int tags(const struct vm_program *p, const struct bpf_insn *insns, uint32_t n, uint64_t to, uint32_t room)
{
	const struct vm_lines *l = &p->lines;
	uint32_t i, n_funcs = l->n_funcs ? l->n_funcs : 1;
	__u8 tag[BPF_TAG_SIZE];
	int e = 0;

	for (i = 0; i < n_funcs && i < room && !e; i++) {
		uint32_t first = l->n_funcs ? l->func[i].insn_off : 0;
		uint32_t end = i + 1 < l->n_funcs ? l->func[i + 1].insn_off : n;

		tag_of(insns + first, end - first, tag);
		e = user_write(to + i * BPF_TAG_SIZE, tag, BPF_TAG_SIZE);
	}
	return e;
}

int prog_info(struct vm_program *p, struct bpf_prog_info *info)
{
	const struct bpf_prog_info in = *info;
	const struct vm_lines *l = &p->lines;
	const struct bpf_insn *insns;
	struct bpf_insn *shown;
	uint32_t n, bytes;
	int e = record_sizes(info);

	if (e)
		return e;
	insns = vm_prog_insns(p->code, &n);
	bytes = n * (uint32_t)sizeof(*insns);
	*info = (struct bpf_prog_info){
		.type = p->shape.type,
		.id = p->obj.id,
		.load_time = p->load_ns,
		.created_by_uid = geteuid(),
		.gpl_compatible = p->gpl,
		.btf_id = p->btf ? p->btf->id : 0,
		.run_cnt = __atomic_load_n(&p->runs, __ATOMIC_RELAXED),
		.run_time_ns = __atomic_load_n(&p->run_ns, __ATOMIC_RELAXED),
		.map_ids = in.map_ids,
		.nr_map_ids = p->n_maps,
		.xlated_prog_insns = in.xlated_prog_insns,
		.xlated_prog_len = bytes,
		.jited_prog_len = vm_prog_code_bytes(p->code),
		.func_info = in.func_info,
		.nr_func_info = l->n_funcs,
		.func_info_rec_size = sizeof(struct bpf_func_info),
		.line_info = in.line_info,
		.nr_line_info = l->n_lines,
		.line_info_rec_size = sizeof(struct bpf_line_info),
		.jited_line_info_rec_size = sizeof(uint64_t),
		.prog_tags = in.prog_tags,
		.nr_prog_tags = l->n_funcs ? l->n_funcs : 1,
	};
	memcpy(info->name, p->name, sizeof(info->name));
	tag_of(insns, n, info->tag);
	shown = readable(p, insns, n);
	if (!shown)
		return -ENOMEM;
	e = map_ids(p, in.map_ids, in.nr_map_ids);
	e = e ? e : user_write(in.xlated_prog_insns, shown, bytes < in.xlated_prog_len ? bytes : in.xlated_prog_len);
	e = e ? e : records(in.func_info, in.nr_func_info, l->func, l->n_funcs, sizeof(*l->func));
	e = e ? e : records(in.line_info, in.nr_line_info, l->line, l->n_lines, sizeof(*l->line));
	e = e ? e : tags(p, insns, n, in.prog_tags, in.nr_prog_tags);
	free(shown);
	return e;
}
