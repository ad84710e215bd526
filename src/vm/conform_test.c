// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The same system calls to the kernel and to the engine: same answer, same bytes. Needs root.
 *
 * Where an answer is a matter of order (keys of hash tables) what is compared is the set.
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "base/test.h"
#include "vm/map.h"
#include "vm/vm.h"

#define SEED 0x511ceu
#define BYTES 4096

struct pair {
	int kernel, vm;
};

static struct vm *vm;
static uint64_t state;

static uint32_t rnd(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((state >> 33) % n);
}

static long kernel_bpf(int cmd, union bpf_attr *attr, unsigned int size)
{
	long ret = syscall(__NR_bpf, cmd, attr, size);

	return ret < 0 ? -errno : ret;
}

static int set_up(void **unused)
{
	struct sluice_err err;

	(void)unused;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	state = SEED;
	return vm_new(NULL, &vm, &err);
}

static int tear_down(void **unused)
{
	(void)unused;
	vm_free(vm);
	return 0;
}

static void close_pair(struct pair p)
{
	if (p.kernel >= 0)
		close(p.kernel);
	if (p.vm >= 0)
		close(p.vm);
}

static void show(const char *what, const union bpf_attr *a, long k, long v)
{
	fprintf(stderr, "%s: kernel %ld, engine %ld; type %u key %u value %u max %u flags %#x inner %d numa %u extra %#llx\n",
		what, k, v, a->map_type, a->key_size, a->value_size, a->max_entries, a->map_flags, (int)a->inner_map_fd,
		a->numa_node, (unsigned long long)a->map_extra);
}

static struct pair create(const union bpf_attr *attr, struct pair inner, bool *same)
{
	union bpf_attr k = *attr, v = *attr;
	struct pair p;

	if (inner.vm >= 0)
		k.inner_map_fd = (uint32_t)inner.kernel, v.inner_map_fd = (uint32_t)inner.vm;
	p.kernel = (int)kernel_bpf(BPF_MAP_CREATE, &k, sizeof(k));
	p.vm = (int)vm_bpf(vm, BPF_MAP_CREATE, &v, sizeof(v));
	*same = (p.kernel < 0 ? p.kernel : 0) == (p.vm < 0 ? p.vm : 0);
	return p;
}

static const struct pair none = {-1, -1};

/* Every type that the engine has, with good and bad attributes. */
static void attributes(void **unused)
{
	static const uint32_t keys[] = {0, 1, 3, 4, 4, 4, 5, 8, 8, 12, 16, 20, 64, 260, 261, 512, 4096, 70000, 5000000};
	static const uint32_t values[] = {0, 1, 2, 4, 4, 4, 8, 8, 16, 64, 4096, 32768, 32769, 70000, 4194304, 5000000, 0x80000000u};
	static const uint32_t most[] = {0, 1, 2, 3, 4, 7, 64, 100, 4096, 8192, 12288, 9000};
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2};
	uint32_t type, i, bad = 0, n = 0;
	struct pair inner, p;
	bool same;

	(void)unused;
	if (geteuid() != 0)
		skip();
	inner = create(&a, none, &same);
	assert_true(same);
	for (type = 0; type < 34; type++) {
		if (!map_ops_of(type))
			continue;
		for (i = 0; i < 800; i++, n++) {
			memset(&a, 0, sizeof(a));
			a.map_type = type;
			a.key_size = keys[rnd(sizeof(keys) / sizeof(*keys))];
			a.value_size = values[rnd(sizeof(values) / sizeof(*values))];
			a.max_entries = most[rnd(sizeof(most) / sizeof(*most))];
			if (rnd(2)) { /* likely ones, so that later checks are reached */
				a.key_size = type == BPF_MAP_TYPE_LPM_TRIE ? 8 : 4;
				a.value_size = rnd(2) ? 4 : 8;
				if (type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK || type == BPF_MAP_TYPE_BLOOM_FILTER)
					a.key_size = 0;
				if (type == BPF_MAP_TYPE_RINGBUF)
					a.key_size = a.value_size = 0;
				a.map_flags = type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0;
			}
			if (rnd(3) == 0)
				a.map_flags |= 1u << rnd(16);
			if (rnd(4) == 0)
				a.map_flags |= 1u << rnd(16);
			if (a.map_flags & (1u << 14 | 1u << 15)) /* newer than this engine's kernel interface */
				a.map_flags &= ~(1u << 14 | 1u << 15);
			a.map_flags &= ~(1u << 13);
			a.numa_node = rnd(8) == 0 ? rnd(3) : 0;
			a.map_extra = rnd(8) == 0 ? rnd(20) : 0;
			if (rnd(16) == 0)
				memcpy(a.map_name, rnd(2) ? "a.b_C9" : "no way", 7);
			if (rnd(32) == 0)
				memset(a.map_name, 'x', sizeof(a.map_name));
			if (rnd(32) == 0)
				a.btf_fd = rnd(2);
			if (rnd(32) == 0)
				a.btf_value_type_id = 1;
			a.inner_map_fd = rnd(2) ? 0 : 9999;
			if (type == BPF_MAP_TYPE_CPUMAP && a.max_entries > 64)
				a.max_entries = 64; /* the kernel's limit is its build's number of CPUs */
			p = create(&a, rnd(3) ? inner : none, &same);
			if (!same && p.kernel != -ENOMEM && bad++ < 40)
				show("create", &a, p.kernel, p.vm);
			if (!same && p.kernel == -ENOMEM)
				same = true;
			close_pair(p);
		}
	}
	close_pair(inner);
	assert_int_equal(bad, 0);
	assert_true(n > 15000);
}

/* One map made in both, and what calls need to know about it. */
struct subject {
	const char *name;
	uint32_t type, key, value, most, flags;
	bool unordered;
	bool fds;     /* values are descriptors of maps */
	uint32_t domain; /* keys are drawn from that many */
};

static const struct subject subjects[] = {
	{"array", BPF_MAP_TYPE_ARRAY, 4, 8, 7, 0, false, false, 9},
	{"array, odd size", BPF_MAP_TYPE_ARRAY, 4, 13, 3, 0, false, false, 5},
	{"array, mappable", BPF_MAP_TYPE_ARRAY, 4, 12, 5, BPF_F_MMAPABLE, false, false, 6},
	{"array, read-only", BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_RDONLY, false, false, 5},
	{"array, write-only", BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_WRONLY, false, false, 5},
	{"per-CPU array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 6, 5, 0, false, false, 7},
	{"hash", BPF_MAP_TYPE_HASH, 4, 8, 16, 0, true, false, 24},
	{"hash, long key", BPF_MAP_TYPE_HASH, 37, 21, 12, 0, true, false, 16},
	{"hash, not preallocated", BPF_MAP_TYPE_HASH, 8, 4, 9, BPF_F_NO_PREALLOC, true, false, 14},
	{"per-CPU hash", BPF_MAP_TYPE_PERCPU_HASH, 16, 4, 10, 0, true, false, 14},
	{"LRU hash", BPF_MAP_TYPE_LRU_HASH, 4, 8, 4096, 0, true, false, 24},
	{"LRU hash, lists of their own", BPF_MAP_TYPE_LRU_HASH, 4, 8, 4096, BPF_F_NO_COMMON_LRU, true, false, 24},
	{"per-CPU LRU hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 12, 4096, 0, true, false, 24},
	{"LPM trie, IPv4", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 40, BPF_F_NO_PREALLOC, false, false, 60},
	{"LPM trie, IPv6", BPF_MAP_TYPE_LPM_TRIE, 20, 4, 60, BPF_F_NO_PREALLOC, false, false, 60},
	{"LPM trie, one byte", BPF_MAP_TYPE_LPM_TRIE, 5, 1, 30, BPF_F_NO_PREALLOC, false, false, 60},
	{"program array", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 3, 0, false, true, 5},
	{"perf event array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 3, 0, false, true, 5},
	{"array of maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 5, 0, false, true, 7},
	{"hash of maps", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 6, 0, true, true, 9},
	{"devmap", BPF_MAP_TYPE_DEVMAP, 4, 4, 4, 0, false, false, 6},
	{"devmap with programs", BPF_MAP_TYPE_DEVMAP, 4, 8, 4, 0, false, false, 6},
	{"devmap hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 4, 0, true, false, 8},
	{"cpumap", BPF_MAP_TYPE_CPUMAP, 4, 4, 4, 0, false, false, 6},
	{"cpumap with programs", BPF_MAP_TYPE_CPUMAP, 4, 8, 4, 0, false, false, 6},
	{"xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 3, 0, false, true, 5},
	{"queue", BPF_MAP_TYPE_QUEUE, 0, 12, 5, 0, false, false, 1},
	{"stack", BPF_MAP_TYPE_STACK, 0, 12, 5, 0, false, false, 1},
	{"bloom filter", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1000, 0, false, false, 1},
	{"ring buffer", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, false, false, 1},
};

struct run {
	const struct subject *s;
	struct pair map, inner[4];
	uint8_t key[512], in[BYTES], out_k[BYTES], out_v[BYTES], next_k[512], next_v[512];
	uint32_t value_bytes;
	unsigned int bad;
};

static void draw_key(struct run *r)
{
	uint32_t n = rnd(r->s->domain), i;

	memset(r->key, 0, sizeof(r->key));
	if (r->s->type == BPF_MAP_TYPE_LPM_TRIE) {
		uint32_t bits = rnd((r->s->key - 4) * 8 + 2);

		memcpy(r->key, &bits, 4);
		for (i = 4; i < r->s->key; i++)
			r->key[i] = (uint8_t)(rnd(4) ? 0x80 * rnd(2) : rnd(256));
	} else {
		memcpy(r->key, &n, r->s->key < 4 ? r->s->key : 4);
		for (i = 4; i < r->s->key; i++)
			r->key[i] = (uint8_t)(n * i);
	}
}

/* The value; where it is a descriptor, one for each engine: in_v is behind in. */
static void draw_value(struct run *r, union bpf_attr *k, union bpf_attr *v, struct pair *fds)
{
	uint32_t i, small;

	for (i = 0; i < r->value_bytes; i++)
		r->in[i] = (uint8_t)rnd(256);
	if (r->s->type == BPF_MAP_TYPE_BLOOM_FILTER) {
		memset(r->in, 0, r->value_bytes);
		r->in[0] = (uint8_t)rnd(20);
	}
	if (r->s->type == BPF_MAP_TYPE_DEVMAP || r->s->type == BPF_MAP_TYPE_DEVMAP_HASH) {
		small = rnd(2); /* 1 is lo */
		memcpy(r->in, &small, 4);
		small = rnd(3) - 1u;
		memcpy(r->in + 4, &small, r->s->value - 4);
	}
	if (r->s->type == BPF_MAP_TYPE_CPUMAP) {
		small = rnd(4) ? rnd(3) * 64 : 20000;
		memcpy(r->in, &small, 4);
		small = rnd(3) - 1u;
		memcpy(r->in + 4, &small, r->s->value - 4);
	}
	k->value = v->value = (uintptr_t)r->in;
	if (!r->s->fds)
		return;
	*fds = rnd(4) ? r->inner[rnd(4)] : rnd(2) ? (struct pair){9999, 9999} : (struct pair){0, 0};
	k->value = (uintptr_t)&fds->kernel;
	v->value = (uintptr_t)&fds->vm;
}

static void differ(struct run *r, const char *what, int cmd, const union bpf_attr *a, long k, long v)
{
	if (r->bad++ < 10)
		fprintf(stderr, "%s: command %d: %s; kernel %ld, engine %ld, flags %#llx key %02x%02x%02x%02x%02x%02x\n", r->s->name,
			cmd, what, k, v, (unsigned long long)a->flags, r->key[0], r->key[1], r->key[2], r->key[3], r->key[4],
			r->key[5]);
}

/* In an array or hash of maps the value read is an id: the same place in each engine's list of inner maps. */
static bool same_value(struct run *r)
{
	uint32_t k, v, i;

	if (!r->s->fds)
		return !memcmp(r->out_k, r->out_v, sizeof(r->out_k));
	memcpy(&k, r->out_k, 4);
	memcpy(&v, r->out_v, 4);
	for (i = 0; i < 4; i++) {
		struct bpf_map_info ik = {0}, iv = {0};
		union bpf_attr a = {.info = {.bpf_fd = (uint32_t)r->inner[i].kernel, .info_len = sizeof(ik), .info = (uintptr_t)&ik}};
		union bpf_attr b = {.info = {.bpf_fd = (uint32_t)r->inner[i].vm, .info_len = sizeof(iv), .info = (uintptr_t)&iv}};

		assert_int_equal(kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a)), 0);
		assert_int_equal(vm_bpf(vm, BPF_OBJ_GET_INFO_BY_FD, &b, sizeof(b)), 0);
		if (ik.id == k)
			return iv.id == v;
	}
	return k == v;
}

static void one(struct run *r)
{
	static const int cmds[] = {BPF_MAP_LOOKUP_ELEM,	 BPF_MAP_UPDATE_ELEM, BPF_MAP_UPDATE_ELEM,
				   BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
				   BPF_MAP_LOOKUP_AND_DELETE_ELEM};
	int cmd = cmds[rnd(sizeof(cmds) / sizeof(*cmds))];
	union bpf_attr k = {0}, v;
	struct pair fds;
	long ek, ev;

	draw_key(r);
	k.key = r->s->key ? (uintptr_t)r->key : 0;
	if (rnd(20) == 0)
		k.key = r->s->key ? 0 : (uintptr_t)r->key;
	if (cmd != BPF_MAP_GET_NEXT_KEY && cmd != BPF_MAP_DELETE_ELEM)
		k.flags = rnd(3) ? 0 : rnd(6);
	memset(r->out_k, 0xa5, sizeof(r->out_k));
	memset(r->out_v, 0xa5, sizeof(r->out_v));
	memset(r->next_k, 0xa5, sizeof(r->next_k));
	memset(r->next_v, 0xa5, sizeof(r->next_v));
	v = k;
	if (cmd == BPF_MAP_UPDATE_ELEM) {
		draw_value(r, &k, &v, &fds);
	} else if (cmd == BPF_MAP_GET_NEXT_KEY) {
		k.next_key = (uintptr_t)r->next_k;
		v.next_key = (uintptr_t)r->next_v;
	} else if (cmd != BPF_MAP_DELETE_ELEM) {
		if (r->s->type == BPF_MAP_TYPE_BLOOM_FILTER) {
			memset(r->out_k, 0, r->value_bytes);
			r->out_k[0] = (uint8_t)rnd(20);
			memcpy(r->out_v, r->out_k, sizeof(r->out_v));
		}
		k.value = (uintptr_t)r->out_k;
		v.value = (uintptr_t)r->out_v;
	}
	if (rnd(50) == 0 && cmd != BPF_MAP_GET_NEXT_KEY && cmd != BPF_MAP_DELETE_ELEM && !r->s->fds)
		k.value = v.value = 0;
	k.map_fd = (uint32_t)r->map.kernel;
	v.map_fd = (uint32_t)r->map.vm;
	ek = kernel_bpf(cmd, &k, sizeof(k));
	ev = vm_bpf(vm, cmd, &v, sizeof(v));
	if (cmd == BPF_MAP_GET_NEXT_KEY && r->s->unordered && k.key)
		return; /* which key is the last one is a matter of order */
	if (ek != ev)
		differ(r, "answer", cmd, &k, ek, ev);
	else if (!same_value(r) && !(ek < 0 && r->s->type != BPF_MAP_TYPE_QUEUE && r->s->type != BPF_MAP_TYPE_STACK))
		differ(r, "value", cmd, &k, ek, ev);
	else if (!r->s->unordered && memcmp(r->next_k, r->next_v, sizeof(r->next_k)) != 0)
		differ(r, "next key", cmd, &k, ek, ev);
}

/* All keys, by get_next_key, as bits of the domain: hash tables may differ in order, not in content. */
static uint64_t keys_of(struct run *r, bool of_vm)
{
	uint8_t key[512] = {0}, next[512];
	union bpf_attr a = {0};
	uint64_t set = 0;
	uint32_t n, i;

	for (i = 0; i < 100; i++) {
		a.map_fd = (uint32_t)(of_vm ? r->map.vm : r->map.kernel);
		a.key = i ? (uintptr_t)key : 0;
		a.next_key = (uintptr_t)next;
		if (of_vm ? vm_bpf(vm, BPF_MAP_GET_NEXT_KEY, &a, sizeof(a)) : kernel_bpf(BPF_MAP_GET_NEXT_KEY, &a, sizeof(a)))
			break;
		memcpy(&n, next, 4);
		set |= (uint64_t)1 << n;
		memcpy(key, next, sizeof(key));
	}
	return set;
}

static void batches(struct run *r)
{
	static const int cmds[] = {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH, BPF_MAP_UPDATE_BATCH,
				   BPF_MAP_DELETE_BATCH};
	static uint8_t keys[2][BYTES], values[2][BYTES];
	uint8_t in[512], out[2][512];
	int cmd = cmds[rnd(4)];
	union bpf_attr k = {0}, v;
	uint32_t n = rnd(6), i;
	bool reads = cmd == BPF_MAP_LOOKUP_BATCH || cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
	long ek, ev;

	if (r->s->unordered && reads)
		n = rnd(2) ? 60 : 0; /* all or nothing: how far some of them get depends on the order */
	memset(keys, 0, sizeof(keys));
	memset(values, 0, sizeof(values));
	memset(out, 0xa5, sizeof(out));
	for (i = 0; i < n && !reads; i++) {
		draw_key(r);
		memcpy(keys[0] + (size_t)i * r->s->key, r->key, r->s->key);
	}
	memcpy(keys[1], keys[0], sizeof(keys[1]));
	k.batch.count = n;
	k.batch.elem_flags = rnd(5) ? 0 : rnd(6);
	k.batch.flags = rnd(12) ? 0 : 1;
	if (reads && rnd(2) && !r->s->unordered) {
		draw_key(r);
		memcpy(in, r->key, sizeof(in));
		k.batch.in_batch = (uintptr_t)in;
	}
	v = k;
	k.batch.map_fd = (uint32_t)r->map.kernel, v.batch.map_fd = (uint32_t)r->map.vm;
	k.batch.keys = (uintptr_t)keys[0], v.batch.keys = (uintptr_t)keys[1];
	k.batch.values = (uintptr_t)values[0], v.batch.values = (uintptr_t)values[1];
	k.batch.out_batch = (uintptr_t)out[0], v.batch.out_batch = (uintptr_t)out[1];
	ek = kernel_bpf(cmd, &k, sizeof(k));
	ev = vm_bpf(vm, cmd, &v, sizeof(v));
	if (ek != ev || k.batch.count != v.batch.count) {
		fprintf(stderr, "%s: batch of %u: count %u and %u, flags %llx elem %llx\n", r->s->name, n, k.batch.count, v.batch.count,
			(unsigned long long)k.batch.flags, (unsigned long long)k.batch.elem_flags);
		differ(r, "batch", cmd, &k, ek, ev);
	} else if (!r->s->unordered && (memcmp(keys[0], keys[1], sizeof(keys[0])) != 0 || memcmp(out[0], out[1], sizeof(in)) != 0 ||
					(!r->s->fds && memcmp(values[0], values[1], sizeof(values[0])) != 0))) {
		differ(r, "batch content", cmd, &k, ek, ev);
	}
}

static void info_of(struct run *r)
{
	struct bpf_map_info k = {0}, v = {0};
	union bpf_attr a = {.info = {.bpf_fd = (uint32_t)r->map.kernel, .info_len = 200, .info = (uintptr_t)r->out_k}}, b = a;

	memset(r->out_k, 0, sizeof(r->out_k));
	memset(r->out_v, 0, sizeof(r->out_v));
	b.info.bpf_fd = (uint32_t)r->map.vm;
	b.info.info = (uintptr_t)r->out_v;
	assert_int_equal(kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a)), 0);
	assert_int_equal(vm_bpf(vm, BPF_OBJ_GET_INFO_BY_FD, &b, sizeof(b)), 0);
	if (a.info.info_len != b.info.info_len)
		differ(r, "info length", 0, &a, a.info.info_len, b.info.info_len);
	memcpy(&k, r->out_k, sizeof(k));
	memcpy(&v, r->out_v, sizeof(v));
	k.id = v.id = 0;
	if (memcmp(&k, &v, sizeof(k)) != 0)
		differ(r, "info", 0, &a, k.map_flags, v.map_flags);
}

static void freeze(struct run *r)
{
	union bpf_attr a = {.map_fd = (uint32_t)r->map.kernel}, b = {.map_fd = (uint32_t)r->map.vm};
	long ek = kernel_bpf(BPF_MAP_FREEZE, &a, sizeof(a)), ev = vm_bpf(vm, BPF_MAP_FREEZE, &b, sizeof(b));

	if (ek != ev)
		differ(r, "freeze", BPF_MAP_FREEZE, &a, ek, ev);
}

static void operations(void **unused)
{
	union bpf_attr a = {0}, inner = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2};
	static struct run r;
	unsigned int bad = 0, i, j;
	bool same;

	(void)unused;
	if (geteuid() != 0)
		skip();
	for (i = 0; i < sizeof(subjects) / sizeof(*subjects); i++) {
		memset(&r, 0, sizeof(r));
		r.s = &subjects[i];
		for (j = 0; j < 4; j++) {
			inner.value_size = j == 3 ? 16 : 8; /* the last one does not fit */
			r.inner[j] = create(&inner, none, &same);
			assert_true(same);
		}
		a.map_type = r.s->type;
		a.key_size = r.s->key;
		a.value_size = r.s->value;
		a.max_entries = r.s->most;
		a.map_flags = r.s->flags;
		r.value_bytes = r.s->type == BPF_MAP_TYPE_PERCPU_ARRAY || r.s->type == BPF_MAP_TYPE_PERCPU_HASH ||
						r.s->type == BPF_MAP_TYPE_LRU_PERCPU_HASH
					? map_round8(r.s->value) * (uint32_t)libbpf_num_possible_cpus()
					: r.s->value;
		r.map = create(&a, r.inner[0], &same);
		if (!same)
			show(r.s->name, &a, r.map.kernel, r.map.vm);
		assert_true(same && r.map.vm >= 0);
		info_of(&r);
		for (j = 0; j < (r.s->fds ? 600u : 3000u); j++) { /* the kernel waits 15 ms when an inner map goes */
			one(&r);
			if (j % 8 == 0)
				batches(&r);
			if (j % 10 == 0 && r.s->unordered && keys_of(&r, false) != keys_of(&r, true))
				differ(&r, "keys", 0, &a, (long)keys_of(&r, false), (long)keys_of(&r, true));
		}
		freeze(&r);
		for (j = 0; j < 40; j++) {
			one(&r);
			batches(&r);
		}
		freeze(&r);
		close_pair(r.map);
		for (j = 0; j < 4; j++)
			close_pair(r.inner[j]);
		bad += r.bad;
	}
	assert_int_equal(bad, 0);
}

/* How long attr may be, and what must be zero in it. */
static void attr_bytes(void **unused)
{
	static const int cmds[] = {BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
				   BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_MAP_FREEZE, BPF_MAP_LOOKUP_BATCH,
				   BPF_MAP_LOOKUP_AND_DELETE_BATCH, BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH,
				   BPF_BTF_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD, 77, -1};
	uint8_t bytes[5000];
	unsigned int bad = 0, c, i;

	(void)unused;
	if (geteuid() != 0)
		skip();
	for (c = 0; c < sizeof(cmds) / sizeof(*cmds); c++)
		for (i = 0; i < 300; i++) {
			long k, v;

			memset(bytes, 0, sizeof(bytes));
			bytes[i] = 0xff;
			/* fields that came after this engine's kernel interface; objects that only the kernel has */
			if ((cmds[c] == BPF_MAP_CREATE && i >= 72) || (i < 4 && (cmds[c] == BPF_BTF_GET_FD_BY_ID || cmds[c] == BPF_MAP_GET_FD_BY_ID)))
				continue;
			k = kernel_bpf(cmds[c], (union bpf_attr *)(void *)bytes, i + 1);
			memset(bytes, 0, sizeof(bytes));
			bytes[i] = 0xff;
			v = vm_bpf(vm, cmds[c], (union bpf_attr *)(void *)bytes, i + 1);
			if (k != v && bad++ < 20)
				fprintf(stderr, "command %d byte %u: kernel %ld, engine %ld\n", cmds[c], i, k, v);
		}
	assert_int_equal(bad, 0);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(vm_bpf(vm, BPF_MAP_FREEZE, (union bpf_attr *)(void *)bytes, 4097),
			 kernel_bpf(BPF_MAP_FREEZE, (union bpf_attr *)(void *)bytes, 4097));
	assert_int_equal(vm_bpf(vm, BPF_MAP_FREEZE, NULL, 16), kernel_bpf(BPF_MAP_FREEZE, NULL, 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attr_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attributes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(operations, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
