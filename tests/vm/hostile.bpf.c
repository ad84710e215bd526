// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that mean harm, or that no verifier has seen: tests/vm_hostile_test.sh says how each has to end. */
#pragma clang diagnostic ignored "-Wunused-parameter" /* every program has a context, every callback its arguments */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct locked {
	struct bpf_spin_lock lock;
	int x;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked);
} locked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, int);
} four SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 200000);
	__type(key, int);
	__type(value, int);
} many SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 256 << 20);
} large SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_WRONLY_PROG);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, long long[2]);
} write_only SEC(".maps");

static struct locked *value(void)
{
	int zero = 0;

	return bpf_map_lookup_elem(&locked, &zero);
}

/* The word of a lock is the program's to write: nobody may wait for what it says. */
SEC("xdp") int scribbled(struct xdp_md *ctx)
{
	struct locked *v = value(), other = {.x = 3};
	int zero = 0;

	if (!v)
		return XDP_ABORTED;
	*(volatile int *)&v->lock = 1;
	bpf_map_update_elem(&locked, &zero, &other, BPF_F_LOCK);
	return v->x == 3 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int twice(struct xdp_md *ctx)
{
	struct locked *v = value(), other = {.x = 3};
	int zero = 0;

	if (!v)
		return XDP_ABORTED;
	bpf_spin_lock(&v->lock);
	bpf_map_update_elem(&locked, &zero, &other, BPF_F_LOCK);
	bpf_spin_unlock(&v->lock);
	return XDP_PASS;
}

SEC("xdp") int crooked(struct xdp_md *ctx)
{
	struct locked *v = value();

	if (v)
		bpf_spin_lock((void *)&v->lock + 1);
	return XDP_PASS;
}

static long nothing(void *map, int *key, int *val, void *ctx)
{
	return 0;
}

static long add_key(void *map, int *key, int *val, int *sum)
{
	bpf_for_each_map_elem(&four, nothing, 0, 0);
	*sum += *key;
	return 0;
}

/* A walk within a walk: the outer one's key is there again afterwards. */
SEC("xdp") int nested(struct xdp_md *ctx)
{
	int sum = 0;

	bpf_for_each_map_elem(&four, add_key, &sum, 0);
	return sum == 6 ? XDP_PASS : XDP_DROP;
}

static long add(__u32 i, void *ctx)
{
	int v = 1;

	bpf_map_update_elem(&many, &i, &v, 0);
	return 0;
}

static long del(__u32 i, void *ctx)
{
	bpf_map_delete_elem(&many, &i);
	return 0;
}

/* A table of places that are free again, walked for ever. */
SEC("xdp") int ghosts(struct xdp_md *ctx)
{
	int i;

	bpf_loop(200000, add, 0, 0);
	bpf_loop(200000, del, 0, 0);
	for (i = 0; i < 100000000; i++)
		bpf_for_each_map_elem(&many, nothing, 0, 0);
	return XDP_PASS;
}

/* A helper that is given much to read, over and over. */
SEC("xdp") int heavy(struct xdp_md *ctx)
{
	int zero = 0, i;
	void *v = bpf_map_lookup_elem(&large, &zero);
	long s = 0;

	if (!v)
		return XDP_ABORTED;
	for (i = 0; i < 1000000; i++)
		s += bpf_csum_diff(v, 256 << 20, 0, 0, 0);
	return s & 1 ? XDP_PASS : XDP_DROP;
}

/* Much to write, into nowhere. */
SEC("xdp") int wide(struct xdp_md *ctx)
{
	static const char format[] = "%8000000d%8000000d%8000000d";
	__u64 args[3] = {1, 2, 3};
	char to[8];
	int i;

	for (i = 0; i < 1000000; i++)
		bpf_snprintf(to, sizeof(to), format, args, sizeof(args));
	return XDP_PASS;
}

SEC("xdp") int peeking(struct xdp_md *ctx)
{
	volatile long long *v;
	int one = 1;

	v = bpf_map_lookup_elem(&write_only, &one);
	if (!v)
		return XDP_ABORTED;
	v[1] = 7;
	return v[0] + v[1] == 7 ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
