// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Translated flows (abi/nat.h) as the host sees them: a walk over the places of all pools. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "balance/nat.h"
#include "base/err.h"
#include "control/balance.h"
#include "control/balance_inside.h"
#include "control/build.h"

bool live_is_translated(const struct balance_live *b, uint32_t service)
{
	return service < b->policy.n_services && b->policy.services[service]->mode == BALANCE_NAT;
}

/* A flow without an end; that of a place that gets another one meanwhile may be either's. */
static int visit(uint32_t word, const struct nat_flow *f, uint32_t now, live_nat_each *each, void *arg)
{
	uint32_t state = NAT_STATE(word), age = NAT_AGE(word, now), who;
	struct live_nat_flow flow;

	if (!NAT_TAG(word) || state == NAT_FREE || state == NAT_CLAIMED || state == NAT_CLOSED)
		return 0;
	who = __atomic_load_n(&f->who, __ATOMIC_RELAXED);
	flow = (struct live_nat_flow){
		.number = NAT_WHO_SERVICE(who),
		.id = NAT_WHO_ID(who),
		.state = state == NAT_NEW || state == NAT_ANSWERED ? BALANCE_FLOW_NEW : BALANCE_FLOW_KEPT,
		/* the clock was read before the packet came */
		.age = age > NAT_TIME - 3 ? 0 : age,
		.tag = NAT_TAG(word),
	};
	return each(arg, &flow);
}

/* What addresses had that have no number any more is nobody's. */
static bool is_given(uint64_t given, size_t bucket)
{
	return bucket / NAT_BUCKETS < NAT_ADDRS && given >> bucket / NAT_BUCKETS & 1;
}

static int walk4(const struct nat_bucket4 *v, size_t n, uint64_t given, uint32_t now, live_nat_each *each,
		 void *arg)
{
	size_t i;
	uint32_t k;
	int e = 0;

	for (i = 0; !e && i < n; i++)
		for (k = 0; !e && is_given(given, i) && k < NAT_WAYS; k++)
			e = visit(__atomic_load_n(&v[i].place[k].word, __ATOMIC_ACQUIRE), &v[i].place[k].f,
				  now, each, arg);
	return e;
}

static int walk6(const struct nat_bucket6 *v, size_t n, uint64_t given, uint32_t now, live_nat_each *each,
		 void *arg)
{
	size_t i;
	uint32_t k;
	int e = 0;

	for (i = 0; !e && i < n; i++)
		for (k = 0; !e && is_given(given, i) && k < NAT_WAYS; k++)
			e = visit(__atomic_load_n(&v[i].place[k].word, __ATOMIC_ACQUIRE), &v[i].place[k].f,
				  now, each, arg);
	return e;
}

/* The places of a family; nothing where no service translates. */
static int walk(const struct balance_live *b, bool six, uint32_t now, live_nat_each *each, void *arg, struct sluice_err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	struct nat_config plan;
	uint64_t given;
	void *at;
	int fd = control_state_map(b->st, b->generation, six ? CONTROL_BALANCE_NAT6 : CONTROL_BALANCE_NAT4, 0, err), e;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	e = build_struct(b->st, b->generation, "nat", 0, &plan, sizeof(plan), err);
	if (e) {
		close(fd);
		return e;
	}
	given = nat_given(&plan, six);
	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		e = err_set(err, -errno, "the balancer's translated flows: %s", strerror(errno));
		close(fd);
		return e;
	}
	at = mmap(NULL, control_balance_pages(info.value_size), PROT_READ, MAP_SHARED, fd, 0);
	e = at == MAP_FAILED ? err_set(err, -errno, "mapping the balancer's translated flows: %s", strerror(errno)) : 0;
	close(fd);
	if (e)
		return e;
	e = six ? walk6(at, info.value_size / sizeof(struct nat_bucket6), given, now, each, arg)
		: walk4(at, info.value_size / sizeof(struct nat_bucket4), given, now, each, arg);
	munmap(at, control_balance_pages(info.value_size));
	return e;
}

int live_nat_flows(const struct balance_live *b, uint64_t now_ns, live_nat_each *each, void *arg, struct sluice_err *err)
{
	uint32_t now = live_ticks_long(b, now_ns) & NAT_TIME, i;
	int e;

	for (i = 0; i < b->policy.n_services && !live_is_translated(b, i); i++)
		;
	if (!b->st || i == b->policy.n_services)
		return 0;
	e = walk(b, false, now, each, arg, err);
	return e ?: walk(b, true, now, each, arg, err);
}
