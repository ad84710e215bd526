// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Checks through tunnels: the programs, what marks stand for, and on which interfaces. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi/inner.h"
#include "base/embedded.h"
#include "base/err.h"
#include "bpf/log.h"
#include "control/inner.h"
#include "net/dev.h"

/* enum bpf_attach_type of Linux 6.6 */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define LINK_BEFORE (1u << 3) /* BPF_F_BEFORE: nothing in front of it ends the chain */

struct put {
	uint32_t mark;
	struct inner_way way;
};

struct inner {
	struct bpf_object *obj;
	int ways, in_fd, out_fd;
	struct put *v, *next; /* by mark: in force, and to be */
	size_t n, n_next;
	struct {
		int ifindex, in_link, out_link;
	} on[INNER_LINKS];
	uint32_t n_on;
	struct net_nl route;
};

static int program(const struct inner *in, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(in->obj, name);

	return p ? bpf_program__fd(p) : -ENOENT;
}

int inner_new(struct inner **to, struct sluice_err *err)
{
	struct inner *in = calloc(1, sizeof(*in));
	char said[256];
	int e;

	*to = NULL;
	if (!in)
		return err_nomem(err);
	log_catch_start();
	in->obj = bpf_object__open_mem(embedded_inner, embedded_inner_len, NULL);
	e = in->obj ? bpf_object__load(in->obj) : -errno;
	snprintf(said, sizeof(said), "%s", log_caught());
	log_catch_stop();
	if (!e) {
		in->ways = bpf_object__find_map_fd_by_name(in->obj, "inner_ways");
		in->in_fd = program(in, "inner_in");
		in->out_fd = program(in, "inner_out");
		if (in->ways < 0 || in->in_fd < 0 || in->out_fd < 0)
			e = -ENOENT;
	}
	if (e) {
		inner_free(in);
		return err_set(err, e, "loading the programs for checks through tunnels: %s%s%s", strerror(-e),
			       said[0] ? "; " : "", said);
	}
	e = net_nl_open(&in->route, NETLINK_ROUTE, err);
	if (e) {
		inner_free(in);
		return e;
	}
	*to = in;
	return 0;
}

static void take_off(struct inner *in, uint32_t i)
{
	close(in->on[i].in_link);
	close(in->on[i].out_link);
	in->on[i] = in->on[--in->n_on];
}

void inner_free(struct inner *in)
{
	if (!in)
		return;
	while (in->n_on)
		take_off(in, 0);
	net_nl_close(&in->route);
	bpf_object__close(in->obj);
	free(in->v);
	free(in->next);
	free(in);
}

/* The descriptor of a link, before all other programs there; or a negative errno. */
static int attach(int prog, int ifindex, int type)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = LINK_BEFORE);
	int fd = bpf_link_create(prog, ifindex, (enum bpf_attach_type)type, &opts);

	return fd == -EINVAL ? -EOPNOTSUPP : fd;
}

/* Not if the interface was taken away, even if another one has its number by now. */
static bool is_there(int link, int ifindex)
{
	struct bpf_link_info info = {.type = 0};
	uint32_t len = sizeof(info);

	/* of a tcx link the interface's number stands where it stands of an XDP link */
	return !bpf_obj_get_info_by_fd(link, &info, &len) && (int)info.xdp.ifindex == ifindex;
}

/* Interfaces that are gone. */
static void sweep(struct inner *in)
{
	uint32_t i = 0;

	while (i < in->n_on)
		if (is_there(in->on[i].in_link, in->on[i].ifindex))
			i++;
		else
			take_off(in, i);
}

/* Are they on an interface? One that is gone and whose number came back is given up. */
static bool is_on(struct inner *in, int ifindex)
{
	uint32_t i;

	for (i = 0; i < in->n_on && in->on[i].ifindex != ifindex; i++)
		;
	if (i == in->n_on)
		return false;
	if (is_there(in->on[i].in_link, ifindex))
		return true;
	take_off(in, i);
	return false;
}

/* On an Ethernet interface, where they are not yet. */
static int put_on(struct inner *in, const struct net_dev *dev, struct sluice_err *err)
{
	int ifindex = dev->info.index, e;
	uint32_t i;

	if (in->n_on == INNER_LINKS)
		sweep(in);
	if (in->n_on == INNER_LINKS)
		return err_set(err, -E2BIG, "checks through tunnels leave by %u interfaces and no more: not by %s", INNER_LINKS,
			       dev->info.name);
	i = in->n_on;
	in->on[i].ifindex = ifindex;
	in->on[i].in_link = attach(in->in_fd, ifindex, TCX_INGRESS);
	e = in->on[i].in_link < 0 ? in->on[i].in_link : 0;
	if (!e) {
		in->on[i].out_link = attach(in->out_fd, ifindex, TCX_EGRESS);
		e = in->on[i].out_link < 0 ? in->on[i].out_link : 0;
		if (e)
			close(in->on[i].in_link);
	}
	if (!e) {
		in->n_on++;
		return 0;
	}
	if (e == -EOPNOTSUPP)
		return err_set(err, e, "this kernel attaches no programs behind its routing (tcx: Linux 6.6)");
	return err_set(err, e, "the programs for checks through tunnels, on %s: %s", dev->info.name, strerror(-e));
}

int inner_on(struct inner *in, int ifindex, struct sluice_err *err)
{
	struct net_dev dev;
	int e;

	if (is_on(in, ifindex))
		return 0;
	e = net_dev_read(&in->route, ifindex, NULL, &dev, err);
	if (e)
		return e;
	if (!dev.has_mac)
		return err_set(err, -EINVAL, "checks through tunnels cannot leave by %s: it has no Ethernet headers",
			       dev.info.name);
	return put_on(in, &dev, err);
}

/* All Ethernet interfaces; one that went away meanwhile is none. */
static int interfaces(struct inner *in, void (*say)(void *ctx, const char *sentence), void *ctx, struct sluice_err *err)
{
	struct if_nameindex *all = if_nameindex(), *v;
	struct net_dev dev[INNER_LINKS + 1];
	struct sluice_err why;
	uint32_t n = 0, i;
	int e = all ? 0 : err_set(err, -errno, "listing interfaces: %s", strerror(errno));

	sweep(in);
	for (v = all; !e && n <= INNER_LINKS && v->if_index; v++)
		n += !net_dev_read(&in->route, (int)v->if_index, NULL, &dev[n], NULL) && dev[n].has_mac;
	for (i = 0; !e && n <= INNER_LINKS && i < n; i++) {
		e = is_on(in, dev[i].info.index) ? 0 : put_on(in, &dev[i], &why);
		if (e == -EOPNOTSUPP || e == -EPERM) {
			err_set(err, e, "%s", why.text);
		} else if (e) {
			if (e != -ENODEV)
				say(ctx, why.text);
			e = 0;
		}
	}
	if (all)
		if_freenameindex(all);
	return e;
}

static int by_mark(const void *a, const void *b)
{
	const struct put *x = a, *y = b;

	return (x->mark > y->mark) - (x->mark < y->mark);
}

static const struct put *find(const struct put *v, size_t n, const struct put *like)
{
	return n ? bsearch(like, v, n, sizeof(*v), by_mark) : NULL;
}

static int tell_map(const struct inner *in, const struct put *p, struct sluice_err *err)
{
	if (bpf_map_update_elem(in->ways, &p->mark, &p->way, BPF_ANY))
		return err_set(err, -errno, "a check's way through a tunnel: %s", strerror(errno));
	return 0;
}

/* What was put and did not come into force is nobody's. */
static void give_up(struct inner *in)
{
	size_t i;

	for (i = 0; i < in->n_next; i++)
		if (!find(in->v, in->n, &in->next[i]))
			bpf_map_delete_elem(in->ways, &in->next[i].mark);
	free(in->next);
	in->next = NULL;
	in->n_next = 0;
}

int inner_put(struct inner *in, const struct inner_want *v, size_t n, void (*say)(void *ctx, const char *sentence),
	      void *ctx, struct sluice_err *err)
{
	struct put *next;
	size_t i;
	int e = 0;

	give_up(in);
	next = calloc(n + 1, sizeof(*next));
	if (!next)
		return err_nomem(err);
	for (i = 0; i < n; i++) {
		next[i].mark = v[i].mark;
		next[i].way = (struct inner_way){.life_ns = v[i].timeout_ns, .gue_port = htons(v[i].gue_port)};
		memcpy(next[i].way.virtual, v[i].virtual.bytes, v[i].virtual.v6 ? 16 : 4);
	}
	qsort(next, n, sizeof(*next), by_mark);
	in->next = next;
	in->n_next = n;
	for (i = 0; i < n && !e; i++)
		if (!find(in->v, in->n, &next[i]))
			e = tell_map(in, &next[i], err);
	e = e ?: interfaces(in, say, ctx, err);
	if (e)
		give_up(in);
	return e;
}

int inner_settle(struct inner *in, struct sluice_err *err)
{
	const struct put *was;
	size_t i;
	int e = 0, failed;

	if (!in->next)
		return 0;
	for (i = 0; i < in->n; i++)
		if (!find(in->next, in->n_next, &in->v[i]))
			bpf_map_delete_elem(in->ways, &in->v[i].mark);
	for (i = 0; i < in->n_next; i++) {
		was = find(in->v, in->n, &in->next[i]);
		failed = was && memcmp(&was->way, &in->next[i].way, sizeof(was->way)) ? tell_map(in, &in->next[i], err) : 0;
		e = e ? e : failed;
	}
	free(in->v);
	in->v = in->next;
	in->n = in->n_next;
	in->next = NULL;
	in->n_next = 0;
	return e;
}
