// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* bpf_fib_lookup() and bpf_check_mtu(): answers out of the engine's network, as Linux' net/core/filter.c
 * gives them. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "vm/fib.h"
#include "vm/helper_fn.h"
#include "vm/sys.h"

#define LOOKUP_SRC (1u << 4) /* newer than the headers at hand */
#define LOOKUP_MARK (1u << 5)
#define LOOKUP_TBID (1u << 3)
#define LOOKUP_ALL                                                                                 \
	(BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_OUTPUT | BPF_FIB_LOOKUP_SKIP_NEIGH | LOOKUP_TBID | \
	 LOOKUP_SRC | LOOKUP_MARK)
#define NO_SRC_ADDR 9	/* BPF_FIB_LKUP_RET_NO_SRC_ADDR */
#define LEGACY_TOS 0x1c /* INET_DSCP_LEGACY_TOS_MASK: what a route's type of service is held against */
#define MIN_MTU6 1280
#define MOST_MTU4 0xffff
#define ETHERNET_HEAD 14

/* bpf_fib_lookup's end: two bytes of VLAN protocol and two of tag, or the table asked for. */
static void set_table(struct bpf_fib_lookup *p, uint32_t v)
{
	memcpy(&p->h_vlan_proto, &v, sizeof(v));
}

static uint32_t get_table(const struct bpf_fib_lookup *p)
{
	uint32_t v;

	memcpy(&v, &p->h_vlan_proto, sizeof(v));
	return v;
}

/* What is known of an interface: from the network, or that the engine has one of that number. */
static bool link_of(struct vm *vm, uint32_t index, struct fib_link *to)
{
	const struct fib_link *link = vm->fib ? fib_link_of(vm->fib, index) : NULL;
	struct vm_if about;

	if (link) {
		*to = *link;
		return true;
	}
	if (!vm_if_by_index(vm, index, &about))
		return false;
	*to = (struct fib_link){.index = index,
				.mtu = about.mtu,
				.head = ETHERNET_HEAD,
				.forwards = {true, true}};
	memcpy(to->mac, about.mac, sizeof(to->mac));
	return true;
}

static struct net_addr addr_of(const void *bytes, bool v6)
{
	struct net_addr a = {.v6 = v6};

	memcpy(a.bytes, bytes, v6 ? 16 : 4);
	return a;
}

/* Multicast, link-local, loopback: never forwarded. */
static bool strict(const struct net_addr *a)
{
	static const uint8_t loopback[16] = {[15] = 1};

	return a->bytes[0] == 0xff || (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80) ||
	       memcmp(a->bytes, loopback, 16) == 0;
}

static int64_t of_type(const struct fib_route *r)
{
	switch (r ? r->type : RTN_UNSPEC) {
	case RTN_UNICAST:
		return BPF_FIB_LKUP_RET_SUCCESS;
	case RTN_BLACKHOLE:
		return BPF_FIB_LKUP_RET_BLACKHOLE;
	case RTN_UNREACHABLE:
		return BPF_FIB_LKUP_RET_UNREACHABLE;
	case RTN_PROHIBIT:
		return BPF_FIB_LKUP_RET_PROHIBIT;
	}
	return BPF_FIB_LKUP_RET_NOT_FWDED;
}

static uint32_t path_mtu(const struct fib_route *r, const struct fib_link *out, bool v6)
{
	if (r->mtu)
		return r->mtu;
	if (v6)
		return out->mtu > MIN_MTU6 ? out->mtu : MIN_MTU6;
	return out->mtu < MOST_MTU4 ? out->mtu : MOST_MTU4;
}

/* The way is found: writes it into the answer, in the kernel's order, which shows when it stops in between. */
static int64_t tell(struct vm *vm, struct bpf_fib_lookup *p, const struct fib_query *q,
		    const struct fib_route *r, const struct fib_hop *hop, uint32_t flags)
{
	struct net_addr to = q->dst, src;
	const struct fib_neigh *neigh;
	struct fib_link out;
	uint32_t mtu;

	if (!hop || !link_of(vm, hop->index, &out))
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	mtu = path_mtu(r, &out, q->dst.v6);
	if (p->tot_len > mtu) {
		p->mtu_result = (uint16_t)mtu;
		return BPF_FIB_LKUP_RET_FRAG_NEEDED;
	}
	if (hop->encap)
		return BPF_FIB_LKUP_RET_UNSUPP_LWT;
	p->ifindex = hop->index;
	p->rt_metric = r->metric;
	if (flags & LOOKUP_SRC) {
		bool has = fib_source(vm->fib, r, hop, &q->dst, &src);

		if (q->dst.v6 && !has)
			return NO_SRC_ADDR;
		if (!has)
			src = (struct net_addr){.v6 = false};
		memcpy(p->ipv6_src, src.bytes, q->dst.v6 ? 16 : 4);
	}
	if (hop->has_via) {
		to = hop->via;
		p->family = to.v6 ? AF_INET6 : AF_INET;
		memcpy(p->ipv6_dst, to.bytes, to.v6 ? 16 : 4);
	}
	if (!(flags & BPF_FIB_LOOKUP_SKIP_NEIGH)) {
		neigh = fib_neigh_find(vm->fib, hop->index, &to);
		if (!neigh)
			return BPF_FIB_LKUP_RET_NO_NEIGH;
		memcpy(p->dmac, neigh->mac, sizeof(p->dmac));
		memcpy(p->smac, out.mac, sizeof(p->smac));
	}
	set_table(p, 0);
	p->mtu_result = (uint16_t)mtu;
	return BPF_FIB_LKUP_RET_SUCCESS;
}

static int64_t lookup(struct vm *vm, struct bpf_fib_lookup *p, uint32_t flags)
{
	bool v6 = p->family == AF_INET6;
	struct fib_query q = {.dst = addr_of(p->ipv6_dst, v6), .src = addr_of(p->ipv6_src, v6)};
	const struct fib_route *r;
	const struct fib_hop *hop;
	struct fib_link in;
	int64_t ret;

	if (v6 && (strict(&q.dst) || strict(&q.src)))
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	if (!link_of(vm, p->ifindex, &in))
		return -ENODEV;
	if (!in.forwards[v6])
		return BPF_FIB_LKUP_RET_FWD_DISABLED;
	q.tos = v6 ? 0 : p->tos & LEGACY_TOS;
	q.iif = p->ifindex;
	q.oif = flags & BPF_FIB_LOOKUP_OUTPUT && !v6 ? p->ifindex : 0;
	if (flags & BPF_FIB_LOOKUP_DIRECT) {
		q.table = FIB_MAIN;
		if (flags & LOOKUP_TBID) {
			q.table = get_table(p);
			set_table(p, 0); /* IPv4 and IPv6 both, also when nothing is found */
		}
		q.table = q.table ? q.table : FIB_MAIN;
	}
	r = vm->fib ? fib_find(vm->fib, &q, &hop) : NULL;
	ret = of_type(r);
	return ret ? ret : tell(vm, p, &q, r, hop, flags);
}

DEFINE(fib_lookup)
{
	struct bpf_fib_lookup p;
	int64_t ret;

	if ((int32_t)a3 < (int32_t)sizeof(p) || a4 & ~(uint64_t)LOOKUP_ALL)
		return answer(-EINVAL);
	memcpy(&p, ptr(a2), sizeof(p));
	if (p.family != AF_INET && p.family != AF_INET6)
		return answer(-EAFNOSUPPORT);
	ret = lookup(host_of(run)->vm, &p, (uint32_t)a4);
	memcpy(ptr(a2), &p, sizeof(p));
	return answer(ret);
}

DEFINE(check_mtu)
{
	const struct xdp_md *c = &host_of(run)->packet->ctx;
	int64_t len = (int32_t)(c->data_end - c->data);
	struct fib_link link;
	uint32_t asked;

	if (a5)
		return answer(-EINVAL);
	if (!link_of(host_of(run)->vm, (uint32_t)a2 ? (uint32_t)a2 : c->ingress_ifindex, &link))
		return answer(-ENODEV);
	memcpy(&asked, ptr(a3), sizeof(asked));
	if (asked)
		len = (int32_t)(asked + link.head);
	len = (int32_t)((uint32_t)len + (uint32_t)a4);
	memcpy(ptr(a3), &link.mtu, sizeof(link.mtu));
	return len > (int64_t)link.mtu + link.head ? BPF_MTU_CHK_RET_FRAG_NEEDED : BPF_MTU_CHK_RET_SUCCESS;
}

static int take(struct vm *vm, struct fib *fib, int e, struct sluice_err *err)
{
	if (!e && fib_seal(fib))
		e = err_nomem(err);
	if (e) {
		fib_free(fib);
		return e;
	}
	fib_free(vm->fib);
	vm->fib = fib;
	return 0;
}

int vm_set_network(struct vm *vm, const char *text, size_t len, struct sluice_err *err)
{
	struct fib *fib = fib_new();

	return fib ? take(vm, fib, fib_parse(fib, text, len, err), err) : err_nomem(err);
}

int vm_copy_network(struct vm *vm, struct sluice_err *err)
{
	struct fib *fib = fib_new();

	return fib ? take(vm, fib, fib_dump_host(fib, err), err) : err_nomem(err);
}
