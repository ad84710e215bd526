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
#include "net/way.h"

/* enum bpf_attach_type of Linux 6.6 */
#define TCX_INGRESS 46
#define TCX_EGRESS 47

struct inner {
	struct bpf_object *obj;
	int ways, in_fd, out_fd;
	uint32_t *marks; /* that are in the map, in order */
	size_t n_marks;
	struct {
		int ifindex, in_link, out_link;
	} on[INNER_LINKS];
	uint32_t n_on;
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
	*to = in;
	return 0;
}

void inner_free(struct inner *in)
{
	uint32_t i;

	if (!in)
		return;
	for (i = 0; i < in->n_on; i++) {
		close(in->on[i].in_link);
		close(in->on[i].out_link);
	}
	bpf_object__close(in->obj);
	free(in->marks);
	free(in);
}

/* The descriptor of a link, or a negative errno. */
static int attach(int prog, int ifindex, int type)
{
	int fd = bpf_link_create(prog, ifindex, (enum bpf_attach_type)type, NULL);

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

int inner_on(struct inner *in, int ifindex, struct sluice_err *err)
{
	char name[IF_NAMESIZE] = "?";
	uint32_t i;
	int e = 0;

	for (i = 0; i < in->n_on && in->on[i].ifindex != ifindex; i++)
		;
	if (i < in->n_on && is_there(in->on[i].in_link, ifindex))
		return 0;
	if (i < in->n_on) {
		close(in->on[i].in_link);
		close(in->on[i].out_link);
		in->on[i] = in->on[--in->n_on];
	}
	if (in->n_on == INNER_LINKS)
		return err_set(err, -E2BIG, "backends are behind more than %u interfaces", INNER_LINKS);
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
	if_indextoname((unsigned int)ifindex, name);
	if (e == -EOPNOTSUPP)
		return err_set(err, e, "this kernel attaches no programs behind its routing (tcx: Linux 6.6)");
	return err_set(err, e, "attaching the programs for checks through tunnels to %s: %s", name, strerror(-e));
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Those that stand for nothing any more. */
static void take_out(struct inner *in, const uint32_t *marks, size_t n)
{
	size_t i;

	for (i = 0; i < in->n_marks; i++)
		if (!n || !bsearch(&in->marks[i], marks, n, sizeof(*marks), by_number))
			bpf_map_delete_elem(in->ways, &in->marks[i]);
}

static int interfaces(struct inner *in, const struct inner_want *v, size_t n, struct sluice_err *err)
{
	struct net_way way;
	struct net_nl nl;
	size_t i;
	int e = n ? net_nl_open(&nl, NETLINK_ROUTE, err) : 0;

	if (e || !n)
		return e;
	for (i = 0; i < n && !e; i++)
		if (!net_way_route(&nl, &v[i].backend, &way, NULL) && way.index > 0) /* others when their ways come */
			e = inner_on(in, way.index, err);
	net_nl_close(&nl);
	return e;
}

int inner_put(struct inner *in, const struct inner_want *v, size_t n, struct sluice_err *err)
{
	uint32_t *marks = calloc(n + 1, sizeof(*marks));
	struct inner_way to;
	size_t i;
	int e = marks ? 0 : err_nomem(err);

	for (i = 0; i < n && !e; i++) {
		marks[i] = v[i].mark;
		to = (struct inner_way){.gue_port = htons(v[i].gue_port)};
		memcpy(to.virtual, v[i].virtual.bytes, v[i].virtual.v6 ? 16 : 4);
		if (bpf_map_update_elem(in->ways, &v[i].mark, &to, BPF_ANY))
			e = err_set(err, -errno, "a check's way through a tunnel: %s", strerror(errno));
	}
	e = e ?: interfaces(in, v, n, err);
	if (e) {
		free(marks);
		return e;
	}
	qsort(marks, n, sizeof(*marks), by_number);
	take_out(in, marks, n);
	free(in->marks);
	in->marks = marks;
	in->n_marks = n;
	return 0;
}
