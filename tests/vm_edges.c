// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * vm-edges SEED PROGRAMS: random programs that load, store, look maps up and pass keys around the edges of
 * context, packet, stack and map values, right and wrong. Interpreter, compiler and a watched run, all
 * checked, must agree on r0, on every byte of memory and on the fault: its reason, instruction and address.
 * Packet, context and values end where a page ends that nobody may touch, so that a check that is missing
 * ends the test. Prints the program that they disagree on and exits 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "isa/build.h"
#include "vm/run.h"

#define BODY 32
#define CTX_BYTES 24
#define PACKET_BYTES 64
#define N_MAPS 4

/* Two arrays, one of values for each of 3 CPUs, and one that is asked by calling find(). */
struct fake_map {
	uint32_t key_bytes, value_bytes, stride, n;
	uint64_t cpu_stride;
	bool by_call, read_only;
	uint8_t *data;
	uint32_t bytes;
};
static struct fake_map maps[N_MAPS] = {
	{.key_bytes = 4, .value_bytes = 12, .stride = 16, .n = 5},
	{.key_bytes = 4, .value_bytes = 24, .stride = 24, .n = 3, .cpu_stride = 128},
	{.key_bytes = 6, .value_bytes = 8, .stride = 8, .n = 4, .by_call = true},
	{.key_bytes = 4, .value_bytes = 16, .stride = 16, .n = 1, .read_only = true},
};
static uint8_t *ctx, *packet;
static struct {
	uint32_t pad, cpu;
} host = {0, 2};

static uint64_t state;

static uint32_t below(uint32_t n)
{
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(state * 0x2545f4914f6cdd1dull >> 33) % n;
}

/* bytes below 4 GiB that end where a page begins that cannot be touched */
static uint8_t *edge(uint32_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED || mprotect(p + page, page, PROT_NONE)) {
		perror("mmap");
		exit(1);
	}
	return p + page - bytes;
}

static void *find(void *map, const void *key, uint32_t cpu)
{
	const struct fake_map *m = map;
	uint32_t k;

	memcpy(&k, key, 4);
	if (m->by_call && ((const uint8_t *)key)[5] & 1)
		return NULL;
	return k < m->n ? m->data + (m->cpu_stride ? cpu : 0) * m->cpu_stride + k * m->stride : NULL;
}

static uint64_t lookup_elem(uint64_t map, uint64_t key, uint64_t c, uint64_t d, uint64_t e,
			    struct vm_run *run)
{
	(void)c, (void)d, (void)e, (void)run;
	return (uintptr_t)find((void *)(uintptr_t)map, (void *)(uintptr_t)key, host.cpu);
}

static int address(void *owner, const struct bpf_insn insn[2], uint64_t *value, struct sluice_err *err)
{
	(void)owner, (void)err;
	*value = (uintptr_t)&maps[insn->imm];
	return 0;
}

static int helper(void *owner, int32_t number, const struct vm_helper **h, struct sluice_err *err)
{
	static const struct vm_helper l = {"map_lookup_elem", lookup_elem, {VM_ARG_MAP, VM_ARG_KEY}, {0}};

	(void)owner, (void)err;
	*h = &l;
	return number == BPF_FUNC_map_lookup_elem ? 0 : -1;
}

static bool lookup(void *owner, uint64_t map, struct vm_lookup *how)
{
	const struct fake_map *m = (const struct fake_map *)(uintptr_t)map;

	(void)owner;
	*how = (struct vm_lookup){.kind = m->by_call ? VM_LOOKUP_CALL : VM_LOOKUP_ARRAY,
				  .key_bytes = m->key_bytes,
				  .value_bytes = m->value_bytes,
				  .data = m->data,
				  .max_entries = m->n,
				  .stride = m->stride,
				  .cpu_stride = m->cpu_stride,
				  .find = find,
				  .cpu_off = sizeof(uint32_t),
				  .writable = !m->read_only,
				  .any_value = m->data};
	return true;
}

static const struct vm_linker linker = {.address = address, .helper = helper, .lookup = lookup};

static bool region(struct vm_run *run, uint64_t addr, struct vm_region *r)
{
	uint64_t off, in;
	int i;

	(void)run;
	for (i = 0; i < N_MAPS; i++) {
		off = addr - (uintptr_t)maps[i].data;
		in = maps[i].cpu_stride ? off % maps[i].cpu_stride : off;
		if (off >= maps[i].bytes || in / maps[i].stride >= maps[i].n ||
		    in % maps[i].stride >= maps[i].value_bytes)
			continue;
		*r = vm_region_make(VM_REGION_VALUE, maps[i].data + (off - in % maps[i].stride),
				    maps[i].value_bytes, !maps[i].read_only, "m");
		return true;
	}
	return false;
}

static bool sizes(struct vm_run *run, uint64_t map, uint32_t *key, uint32_t *value)
{
	const struct fake_map *m = (const struct fake_map *)(uintptr_t)map;

	(void)run;
	if (m < maps || m >= maps + N_MAPS)
		return false;
	*key = m->key_bytes;
	*value = m->value_bytes;
	return true;
}

static const struct vm_env env = {.region = region, .map_sizes = sizes};

/* -------- programs -------- */

/* r6 context, r7 packet, r8 its end, r9 stack, r5 and r0 what was found or anything; offsets around what is
 * there */
static void touch(struct isa_build *b)
{
	static const uint8_t bases[] = {6, 7, 7, 7, 7, 8, 9, 9, 10, 5};
	static const enum isa_id ops[] = {ISA_LDX8,	 ISA_LDX16,	 ISA_LDX32,	  ISA_LDX64,
					  ISA_LDSX16,	 ISA_LDSX32,	 ISA_ST8_K,	  ISA_ST16_K,
					  ISA_ST32_K,	 ISA_ST64_K,	 ISA_ST8_X,	  ISA_ST32_X,
					  ISA_ST64_X,	 ISA_AADD64,	 ISA_FETCH_OR32,  ISA_XCHG64,
					  ISA_CMPXCHG32, ISA_LOAD_ACQ16, ISA_STORE_REL32, ISA_FETCH_XOR64};
	static const uint16_t most[] =
		{[5] = 9, [6] = CTX_BYTES, [7] = PACKET_BYTES - 12, [8] = 8, [9] = 48, [10] = 40};
	uint8_t base = bases[below(sizeof(bases))], other = (uint8_t)below(5);
	enum isa_id id = ops[below(below(3) ? 13 : sizeof(ops) / sizeof(*ops))];
	int off = (int)below(most[base]) & (below(8) ? ~7 : ~0);

	if (base == 6 && !below(8))
		off = 8 + off % 16; /* or data and data_end are lost */
	if (base == 6 && !(isa_op(id)->fields & ISA_W))
		off = 8;
	if (base == 8 || base == 10)
		off = -off - 8;
	if (!below(100))
		off += below(2) ? most[base] : -most[base];
	if (!below(500))
		off = (int)below(60000) - 30000;
	/* now and then into a base: what it points to is anybody's guess then */
	if (!below(150))
		other = (uint8_t)(5 + below(5));
	if (isa_op(id)->fields & ISA_W)
		isa_put(b, id, other, base, (int16_t)off, 0);
	else
		isa_put(b, id, base, isa_op(id)->fields & ISA_S ? other : 0, (int16_t)off,
			isa_op(id)->fields & ISA_I ? (int32_t)below(256) : 0);
}

static void look_up(struct isa_build *b)
{
	uint32_t over = isa_label(b), there = isa_label(b);
	bool either = !below(6);

	if (either) { /* one map or another, a key here or there */
		isa_put64(b, ISA_LD64_MAP_FD, 1, below(N_MAPS - 1));
		isa_put(b, ISA_MOV64_X, 2, 7, 0, 0);
		isa_put(b, ISA_ADD64_K, 2, 0, 0, (int32_t)below(40));
		isa_put_jump(b, ISA_JSET64_K, (uint8_t)(3 + below(2)), 0, 8, there);
	}
	switch (below(5)) {
	case 0: /* as compilers write it */
	case 1:
		isa_put(b, ISA_ST32_K, 10, 0, -8, (int32_t)below(6));
		isa_put(b, ISA_ST16_K, 10, 0, -4, (int32_t)below(512));
		isa_put(b, ISA_MOV64_X, 2, 10, 0, 0);
		isa_put(b, ISA_ADD64_K, 2, 0, 0, -8);
		break;
	case 2: /* a key in the packet, or not quite */
		isa_put(b, ISA_MOV64_X, 2, 7, 0, 0);
		isa_put(b, ISA_ADD64_K, 2, 0, 0, (int32_t)below(40));
		break;
	case 3: /* at the frame's end, or beyond */
		isa_put(b, ISA_MOV64_X, 2, 10, 0, 0);
		isa_put(b, ISA_ADD64_K, 2, 0, 0, -3 - (int32_t)below(6));
		break;
	default: /* deep in the stack, or below it */
		isa_put(b, ISA_MOV64_X, 2, 9, 0, 0);
		isa_put(b, ISA_ADD64_K, 2, 0, 0, -(int32_t)below(490));
	}
	isa_put64(b, below(400) ? ISA_LD64_MAP_FD : ISA_LD64, 1, below(below(8) ? N_MAPS - 1 : N_MAPS));
	if (either)
		isa_here(b, there);
	if (!below(8))
		isa_put_jump(b, ISA_JEQ64_K, 7, 0, 1, over);
	isa_put(b, ISA_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	if (below(60))
		isa_put_jump(b, ISA_JEQ64_K, 0, 0, 0, over);
	isa_put(b, ISA_MOV64_X, 5, 0, 0, 0);
	touch(b);
	isa_here(b, over);
	if (!either)
		isa_here(b, there);
}

static void one(struct isa_build *b, uint32_t end)
{
	switch (below(16)) {
	case 0:
		isa_put(b, ISA_ADD64_K, (uint8_t)(7 + below(3)), 0, 0,
			(int32_t)below(2) * 8 - 8 * (int32_t)below(2));
		return;
	case 1:
		if (below(6))
			return;
		isa_put(b, ISA_AND64_K, (uint8_t)below(5), 0, 0, 7);
		isa_put(b, ISA_ADD64_X, 7, (uint8_t)below(5), 0, 0);
		return;
	case 2:
		isa_put_jump(b, ISA_JGT64_X, (uint8_t)below(10), (uint8_t)below(10), 0, end);
		return;
	case 3:
		isa_put(b, ISA_LDX32, 7, 6, (int16_t)(4 * below(2)), 0);
		return;
	case 4:
		isa_put(b, ISA_MOV64_X, 5, below(8) ? 7 : (uint8_t)(6 + below(5)), 0, 0);
		return;
	case 5:
		look_up(b);
		return;
	default:
		touch(b);
	}
}

static int random_program(struct bpf_insn **insns, uint32_t *n)
{
	uint32_t label[BODY + 1], i;
	struct isa_build b = {0};
	struct sluice_err err;
	uint8_t r;

	for (i = 0; i <= BODY; i++)
		label[i] = isa_label(&b);
	isa_put(&b, ISA_MOV64_X, 6, 1, 0, 0);
	isa_put(&b, ISA_LDX32, 7, 6, 0, 0);
	isa_put(&b, ISA_LDX32, 8, 6, 4, 0);
	isa_put(&b, ISA_MOV64_X, 9, 10, 0, 0);
	isa_put(&b, ISA_ADD64_K, 9, 0, 0, -48);
	isa_put(&b, ISA_MOV64_X, 5, 7, 0, 0);
	for (i = 0; i < BODY; i++) {
		isa_here(&b, label[i]);
		one(&b, label[i + 1 + below(BODY - i)]);
	}
	isa_here(&b, label[BODY]);
	for (r = 1; r < 10; r++) {
		isa_put(&b, ISA_MUL64_K, 0, 0, 0, 31);
		isa_put(&b, ISA_ADD64_X, 0, r, 0, 0);
	}
	for (i = 1; i <= 6; i++) {
		isa_put(&b, ISA_MUL64_K, 0, 0, 0, 31);
		isa_put(&b, ISA_LDX64, 1, 10, (int16_t)(-8 * (int)i), 0);
		isa_put(&b, ISA_ADD64_X, 0, 1, 0, 0);
	}
	isa_put(&b, ISA_EXIT, 0, 0, 0, 0);
	return isa_build_take(&b, insns, n, &err);
}

/* -------- runs -------- */

struct outcome {
	int e;
	uint64_t r0, addr;
	uint32_t pc;
	uint8_t reason, arg;
	uint8_t memory[CTX_BYTES + PACKET_BYTES + 1024];
};

static void fill(void)
{
	uint32_t word[2] = {(uint32_t)(uintptr_t)packet, (uint32_t)(uintptr_t)packet + PACKET_BYTES};
	uint32_t i, k;

	for (i = 0; i < PACKET_BYTES; i++)
		packet[i] = (uint8_t)(i * 7);
	memset(ctx, 3, CTX_BYTES);
	memcpy(ctx, word, sizeof(word));
	for (i = 0; i < N_MAPS; i++)
		for (k = 0; k < maps[i].bytes; k++)
			maps[i].data[k] = (uint8_t)(k + i);
}

static void step(struct vm_watch *watch, struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
		 const uint64_t reg[11])
{
	(void)watch, (void)run, (void)prog, (void)pc, (void)reg;
}

static void run_on(const struct vm_prog *prog, bool watched, bool read_only, struct outcome *o)
{
	static struct vm_watch watch = {.step = step};
	static struct vm_run run;
	static bool ready;
	uint8_t *to = o->memory;
	int i;

	if (!ready) {
		vm_run_init(&run, &env, &host);
		/* what an earlier program left on the stack must not show */
		memset(run.stack, 0xcc, sizeof(run.stack));
		ready = true;
	}
	fill();
	memset(o, 0, sizeof(*o));
	run.budget = 100000;
	run.watch = watched ? &watch : NULL;
	vm_run_region(&run, VM_REGION_CTX, ctx, CTX_BYTES, !read_only);
	vm_run_region(&run, VM_REGION_PACKET, packet, PACKET_BYTES, true);
	o->e = vm_exec(&run, prog, (uintptr_t)ctx, 0, &o->r0);
	if (o->e) {
		o->addr = run.fault.addr;
		o->pc = run.fault.pc;
		o->reason = run.fault.reason;
		o->arg = run.fault.arg;
	}
	memcpy(to, ctx, CTX_BYTES);
	memcpy(to += CTX_BYTES, packet, PACKET_BYTES);
	to += PACKET_BYTES;
	for (i = 0; i < N_MAPS; to += maps[i++].bytes)
		memcpy(to, maps[i].data, maps[i].bytes);
}

static void show(const struct bpf_insn *insns, uint32_t n, const char *who, const struct outcome *o)
{
	char text[96];
	uint32_t i;

	for (i = 0; who == NULL && i < n; i += 1 + isa_is_wide(&insns[i]))
		printf("# %u: %s\n", i, isa_print(&insns[i], n - i, text, sizeof(text)));
	if (who)
		printf("# %s: %d, r0 %llx, fault %u argument %u at %u, address %llx\n", who, o->e,
		       (unsigned long long)o->r0, o->reason, o->arg, o->pc, (unsigned long long)o->addr);
}

static int try(const struct bpf_insn *insns, uint32_t n, unsigned long *faults)
{
	static const char *const who[] = {"interpreter", "compiled", "watched"};
	struct vm_prog_spec spec = {.insns = insns,
				    .n_insns = n,
				    .linker = &linker,
				    .engine = VM_ENGINE_INTERP};
	struct vm_prog *prog[3] = {NULL};
	struct sluice_err err;
	struct outcome o[3];
	bool read_only = !below(4);
	int i, bad = 0;

	for (i = 0; i < 3; i++) {
		spec.engine = i == 1 ? VM_ENGINE_BEST : VM_ENGINE_INTERP;
		if (vm_prog_new(&spec, &prog[i], &err)) {
			printf("# does not load: %s\n", err.text);
			return 1;
		}
	}
	for (i = 0; i < 3; i++)
		run_on(prog[i], i == 2, read_only, &o[i]);
	for (i = 1; i < 3; i++)
		bad |= memcmp(&o[i], &o[0], sizeof(o[0])) != 0;
	for (i = 0; bad && i < 3; i++)
		show(insns, n, who[i], &o[i]);
	*faults += o[0].e != 0;
	for (i = 0; i < 3; i++)
		vm_prog_free(prog[i]);
	return bad;
}

int main(int argc, char **argv)
{
	unsigned long i, programs, faults = 0;
	struct bpf_insn *insns;
	uint32_t n;
	int bad = 0, k;

	if (argc != 3)
		return 2;
	state = strtoul(argv[1], NULL, 0) * 2654435761u + 88172645463325252ull;
	programs = strtoul(argv[2], NULL, 0);
	ctx = edge(CTX_BYTES);
	packet = edge(PACKET_BYTES);
	for (k = 0; k < N_MAPS; k++) {
		maps[k].bytes =
			maps[k].cpu_stride ? 3 * (uint32_t)maps[k].cpu_stride : maps[k].n * maps[k].stride;
		maps[k].data = edge(maps[k].bytes);
	}
	for (i = 0; i < programs && !bad; i++) {
		if (random_program(&insns, &n))
			return 1;
		bad = try(insns, n, &faults);
		if (bad) {
			printf("# program %lu of seed %s\n", i, argv[1]);
			show(insns, n, NULL, NULL);
		}
		free(insns);
	}
	printf("%lu programs, %lu of them faulty\n", i, faults);
	return bad;
}
