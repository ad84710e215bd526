// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Kernel functions: number iterators, dynamic pointers to packets, what a device knows about a packet. */
#include <errno.h>
#include <string.h>

#include "vm/dynptr.h"
#include "vm/kfunc.h"

#define MOST_LOOPS (8 << 20) /* BPF_MAX_LOOPS */

#define KFUNC(name, a, b, c, d, e)                                                             \
	uint64_t kfunc_##name(uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, \
			      struct vm_run *run);
#include "vm/kfunc.def"
#undef KFUNC

#define KDEFINE(name)                                                                     \
	uint64_t kfunc_##name(UNUSED uint64_t a1, UNUSED uint64_t a2, UNUSED uint64_t a3, \
			      UNUSED uint64_t a4, UNUSED uint64_t a5, UNUSED struct vm_run *run)
#define KNAME (__func__ + sizeof("kfunc_") - 1)

/* What a program holds of a number iterator: the number it is at, and the first that is too large. */
struct numbers {
	int32_t at, end;
};

static void keep(uint64_t addr, int32_t at, int32_t end)
{
	const struct numbers n = {at, end};

	memcpy(ptr(addr), &n, sizeof(n));
}

KDEFINE(bpf_iter_num_new)
{
	int64_t start = (int32_t)a2, end = (int32_t)a3;
	int e = start > end ? -EINVAL : end - start > MOST_LOOPS ? -E2BIG : 0;

	/* it steps before it is looked at; the smallest number's predecessor wraps, and so does the step */
	keep(a1, e ? 0 : (int32_t)((uint32_t)start - 1), e ? 0 : (int32_t)end);
	return answer(e);
}

KDEFINE(bpf_iter_num_next)
{
	struct numbers n;

	memcpy(&n, ptr(a1), sizeof(n));
	n.at = (int32_t)((uint32_t)n.at + 1);
	if (n.at >= n.end) {
		keep(a1, 0, 0);
		return 0;
	}
	keep(a1, n.at, n.end);
	return a1; /* where the number lies */
}

KDEFINE(bpf_iter_num_destroy)
{
	keep(a1, 0, 0);
	return 0;
}

KDEFINE(bpf_dynptr_from_xdp)
{
	const struct xdp_md *c = &host_of(run)->packet->ctx;
	struct dynptr d = dynptr_make(DYNPTR_XDP, a1, c->data_end - c->data);

	if (a2) {
		dynptr_null(a3);
		return answer(-EINVAL);
	}
	dynptr_set(a3, &d);
	return 0;
}

static uint64_t slice(struct vm_run *run, const char *name, uint64_t addr, uint64_t offset, uint64_t len,
		      bool write)
{
	struct dynptr d = dynptr_get(addr);
	int e;

	if (!d.data || (write && d.size & DYNPTR_RDONLY))
		return 0;
	return (uintptr_t)dynptr_at(run, name, &d, (uint32_t)offset, (uint32_t)len, write, &e);
}

/* The packet is in one piece: the buffer to copy pieces into is never needed. */
KDEFINE(bpf_dynptr_slice)
{
	return slice(run, KNAME, a1, a2, a4, false);
}

KDEFINE(bpf_dynptr_slice_rdwr)
{
	return slice(run, KNAME, a1, a2, a4, true);
}

KDEFINE(bpf_dynptr_adjust)
{
	struct dynptr d = dynptr_get(a1);
	uint32_t start = (uint32_t)a2, end = (uint32_t)a3, size = dynptr_size(&d);

	if (!d.data || start > end)
		return answer(-EINVAL);
	if (start > size || end > size)
		return answer(-ERANGE);
	d.offset += start;
	d.size = (d.size & ~DYNPTR_MOST) | (end - start);
	dynptr_set(a1, &d);
	return 0;
}

KDEFINE(bpf_dynptr_is_null)
{
	return !dynptr_get(a1).data;
}

KDEFINE(bpf_dynptr_is_rdonly)
{
	struct dynptr d = dynptr_get(a1);

	return d.data && d.size & DYNPTR_RDONLY;
}

KDEFINE(bpf_dynptr_size)
{
	struct dynptr d = dynptr_get(a1);

	return answer(d.data ? (int64_t)dynptr_size(&d) : -EINVAL);
}

KDEFINE(bpf_dynptr_clone)
{
	struct dynptr d = dynptr_get(a1);

	dynptr_set(a2, &d);
	return answer(d.data ? 0 : -EINVAL);
}

/* No device here knows anything about a packet, as most do not. */
KDEFINE(bpf_xdp_metadata_rx_timestamp)
{
	return answer(-EOPNOTSUPP);
}

KDEFINE(bpf_xdp_metadata_rx_hash)
{
	return answer(-EOPNOTSUPP);
}

KDEFINE(bpf_xdp_metadata_rx_vlan_tag)
{
	return answer(-EOPNOTSUPP);
}

/* Nothing is freed while a program runs, and other threads may run meanwhile in any case. */
KDEFINE(bpf_rcu_read_lock)
{
	return 0;
}

KDEFINE(bpf_rcu_read_unlock)
{
	return 0;
}

KDEFINE(bpf_preempt_disable)
{
	return 0;
}

KDEFINE(bpf_preempt_enable)
{
	return 0;
}

static const struct vm_helper table[] = {
#define KFUNC(name_, a, b, c, d, e) \
	{.name = #name_, .fn = kfunc_##name_, .arg = KINDS(a, b, c, d, e), .size = SIZES(a, b, c, d, e)},
#include "vm/kfunc.def"
#undef KFUNC
};

const struct vm_helper *kfunc_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}
