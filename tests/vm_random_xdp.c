// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * vm-random-xdp SEED PROGRAMS KERNEL: random XDP programs that a verifier accepts, with random packets, on
 * all engines, and with KERNEL 1 in the kernel. They read and write packets behind bounds checks, at fixed
 * and at computed offsets, look up, change, take and delete map entries, call helpers, functions and other
 * programs. All engines must agree on what the system call says, verdict, packet and the contents of all
 * maps. Prints the program that they disagree on, and exits 1.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/seam.h"
#include "isa/isa.h"
#include "vm/vm.h"
#include "vm_random_xdp.h"

#define PACKETS 3
#define PACKET_MAX 160
#define VALUE_MAX 8192 /* of all CPUs */

/* One engine: its maps, and what it made of the last packet. */
struct side {
	const char *name;
	struct vm *vm; /* NULL: the kernel */
	int map[N_MAPS];
	int prog;
	long ret;
	uint32_t retval, len;
	uint8_t out[PACKET_MAX * 4];
};

static void show(const struct bpf_insn *insns, uint32_t n)
{
	char text[96];
	uint32_t i;

	for (i = 0; i < n; i++) {
		printf("# %u: %s\n", i, isa_print(&insns[i], n - i, text, sizeof(text)));
		i += isa_is_wide(&insns[i]);
	}
}

/* Loads a program for one side: maps are named by their number until now. */
static int load(struct side *s, const struct bpf_insn *insns, uint32_t n, char *log, uint32_t log_size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log, .log_size = log_size, .log_level = log ? 1 : 0);
	struct bpf_insn *own = malloc(n * sizeof(*own));
	uint32_t i;
	int fd;

	if (!own)
		return -ENOMEM;
	memcpy(own, insns, n * sizeof(*own));
	for (i = 0; i < n; i++)
		if (isa_is_wide(&own[i]) && own[i].src_reg == BPF_PSEUDO_MAP_FD)
			own[i].imm = s->map[own[i].imm];
	seam_engine(s->vm);
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "random", "GPL", own, n, &opts);
	fd = fd < 0 ? -errno : fd;
	seam_engine(NULL);
	free(own);
	return fd;
}

static int make_maps(struct side *s)
{
	const struct bpf_insn length[] = {{.code = 0x61, .dst_reg = 0, .src_reg = 1, .off = 4},
					  {.code = 0x61, .dst_reg = 2, .src_reg = 1},
					  {.code = 0x1f, .dst_reg = 0, .src_reg = 2},
					  {.code = 0x95}};
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	uint32_t slot = 1;
	int fd;

	seam_engine(s->vm);
	for (enum map_nr m = 0; m < N_MAPS; m++) {
		opts.map_flags = shapes[m].flags;
		s->map[m] = bpf_map_create(shapes[m].type, "random", shapes[m].key, shapes[m].value,
					   shapes[m].entries, &opts);
		if (s->map[m] < 0)
			return -errno;
	}
	fd = load(s, length, 4, NULL, 0);
	seam_engine(s->vm);
	if (fd < 0 || bpf_map_update_elem(s->map[PROGS], &slot, &fd, 0))
		return fd < 0 ? fd : -errno;
	close(fd);
	seam_engine(NULL);
	return 0;
}

static void run(struct side *s, const uint8_t *data, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = len, .data_out = s->out,
		    .data_size_out = sizeof(s->out), .repeat = 1);

	memset(s->out, 0xa5, sizeof(s->out));
	seam_engine(s->vm);
	s->ret = bpf_prog_test_run_opts(s->prog, &o) ? -errno : 0;
	seam_engine(NULL);
	s->retval = o.retval;
	s->len = o.data_size_out;
}

/* One value of a map; false: none. */
static bool read_value(const struct side *s, enum map_nr m, const void *key, uint8_t *value)
{
	memset(value, 0, VALUE_MAX);
	seam_engine(s->vm);
	bool there = !bpf_map_lookup_elem(s->map[m], key, value);
	seam_engine(NULL);
	return there;
}

static bool next_key(const struct side *s, enum map_nr m, const void *key, void *next)
{
	bool more;

	seam_engine(s->vm);
	more = !bpf_map_get_next_key(s->map[m], key, next);
	seam_engine(NULL);
	return more;
}

/* Every entry of x is in y with the same value, and there are as many. */
static bool same_map(const struct side *x, const struct side *y, enum map_nr m)
{
	static uint8_t vx[VALUE_MAX], vy[VALUE_MAX];
	uint8_t key[8], next[8];
	unsigned int nx = 0, ny = 0;
	bool more;

	for (more = next_key(x, m, NULL, key); more && nx < 100; nx++) {
		if (read_value(x, m, key, vx) != read_value(y, m, key, vy) || memcmp(vx, vy, sizeof(vx)) != 0)
			return false;
		more = next_key(x, m, key, next);
		memcpy(key, next, sizeof(key));
	}
	for (more = next_key(y, m, NULL, key); more && ny < 100; ny++) {
		more = next_key(y, m, key, next);
		memcpy(key, next, sizeof(key));
	}
	return nx == ny;
}

static bool agree(const struct side *x, const struct side *y, unsigned long program, unsigned long seed,
		  bool maps)
{
	static const char *const names[] = {"array", "per-CPU array", "hash", "LPM trie"};
	enum map_nr m;

	if (x->ret != y->ret || (!x->ret && (x->retval != y->retval || x->len != y->len ||
					     memcmp(x->out, y->out, sizeof(x->out)) != 0))) {
		printf("# program %lu of seed %lu: %s: %ld, verdict 0x%x, %u bytes; %s: %ld, verdict 0x%x, "
		       "%u bytes%s\n",
		       program, seed, x->name, x->ret, x->retval, x->len, y->name, y->ret, y->retval, y->len,
		       x->len == y->len && memcmp(x->out, y->out, sizeof(x->out)) != 0 ? ", others" : "");
		return false;
	}
	for (m = ARRAY; maps && m <= LPM; m++)
		if (!same_map(x, y, m)) {
			printf("# program %lu of seed %lu: the %s of %s is not that of %s\n", program, seed,
			       names[m], x->name, y->name);
			return false;
		}
	return true;
}

static struct side sides[5];
static unsigned int n_sides;

static int add_side(const char *name, bool trusted, enum vm_engine engine)
{
	const struct vm_config config = {.seed = 5, .trusted = trusted, .engine = engine};
	struct side *s = &sides[n_sides];
	int e = 0;

	*s = (struct side){.name = name};
	if (strcmp(name, "kernel") != 0)
		e = vm_new(&config, &s->vm, NULL);
	if (!e)
		e = make_maps(s);
	seam_engine(NULL);
	if (!e)
		n_sides++;
	else
		vm_free(s->vm);
	return e == -EOPNOTSUPP && engine == VM_ENGINE_JIT ? 0 : e; /* no compiler for this machine */
}

static int set_up(bool kernel)
{
	cpu_set_t first;
	int e;

	CPU_ZERO(&first);
	CPU_SET(0, &first); /* the engine runs on its CPU 0, so must the kernel */
	if (sched_setaffinity(0, sizeof(first), &first))
		return -errno;
	e = add_side("interpreter, checked", false, VM_ENGINE_INTERP);
	if (!e)
		e = add_side("interpreter", true, VM_ENGINE_INTERP);
	if (!e)
		e = add_side("compiled, checked", false, VM_ENGINE_JIT);
	if (!e)
		e = add_side("compiled", true, VM_ENGINE_JIT);
	if (!e && kernel)
		e = add_side("kernel", false, VM_ENGINE_BEST);
	return e;
}

/* Three random packets through a program, on all sides. */
static bool try(const struct bpf_insn *insns, uint32_t n_insns, unsigned long nr, unsigned long seed)
{
	static char log[1 << 20];
	uint8_t data[PACKET_MAX];
	unsigned int i, k;
	bool ok = true;
	uint32_t len;

	for (i = 0; i < n_sides; i++) {
		log[0] = '\0';
		sides[i].prog = load(&sides[i], insns, n_insns, sides[i].vm ? NULL : log,
				     sides[i].vm ? 0 : sizeof(log));
		if (sides[i].prog < 0) {
			printf("# program %lu of seed %lu: %s does not load it: %s\n# %s\n", nr, seed,
			       sides[i].name, strerror(-sides[i].prog),
			       strlen(log) > 700 ? log + strlen(log) - 700 : log);
			return false;
		}
	}
	for (k = 0; k < PACKETS && ok; k++) {
		len = 14 + below(PACKET_MAX - 14);
		for (i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)random_bits();
		for (i = 0; i < n_sides; i++)
			run(&sides[i], data, len);
		for (i = 1; i < n_sides && ok; i++)
			ok = agree(&sides[0], &sides[i], nr, seed, k == PACKETS - 1);
	}
	for (i = 0; i < n_sides; i++)
		close(sides[i].prog);
	return ok;
}

int main(int argc, char **argv)
{
	unsigned long seed, programs, i, kernel = 0;
	struct bpf_insn *insns;
	uint32_t len;
	bool ok = true;
	int e;

	if (argc != 4)
		return 2;
	seed = strtoul(argv[1], NULL, 0);
	programs = strtoul(argv[2], NULL, 0);
	random_seed(seed);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	e = set_up(argv[3][0] == '1');
	if (e) {
		printf("# %s\n", strerror(-e));
		return 1;
	}
	for (i = 0; i < programs && ok; i++) {
		if (make_program(&insns, &len))
			return 1;
		ok = try(insns, len, i, seed);
		kernel += !sides[n_sides - 1].vm;
		if (!ok)
			show(insns, len);
		free(insns);
	}
	printf("%lu programs, %lu of them in the kernel\n", i, kernel);
	while (n_sides)
		vm_free(sides[--n_sides].vm);
	return !ok;
}
