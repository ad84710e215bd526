// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Labs: up, down, list, enter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/priv.h"
#include "lab/lab.h"
#include "lab/link.h"
#include "lab/netns.h"
#include "lab/record.h"

static int need_privilege(const char *what, struct sluice_err *err)
{
	int e = priv_need(CAP_SYS_ADMIN, what, err);

	return e ? e : priv_need(CAP_NET_ADMIN, what, err);
}

/* Six characters of 32: one in a billion, and a collision is only tried again. */
static int random_name(char *name, size_t size, struct sluice_err *err)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t bytes[6];
	size_t i;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_set(err, -EIO, "no random numbers from the kernel: %s", strerror(errno));
	for (i = 0; i < sizeof(bytes) && i + 1 < size; i++)
		name[i] = letters[bytes[i] % 32];
	name[i] = '\0';
	/* a name that begins with a digit reads like a number in places that take both */
	name[0] = letters[bytes[0] % 24];
	return 0;
}

/* A record of a name that nothing uses; the lab's name is set. */
static int claim(const struct lab_spec *spec, struct lab *lab, int *fd, struct sluice_err *err)
{
	char prefix[64];
	int tries, e = 0;

	for (tries = 0; tries < 20; tries++) {
		if (spec->name)
			e = lab_record_name_check(spec->name, err);
		else
			e = random_name(lab->name, sizeof(lab->name), err);
		if (e)
			return e;
		if (spec->name)
			snprintf(lab->name, sizeof(lab->name), "%s", spec->name);
		e = lab_record_create(lab, fd, err);
		if (!e) {
			snprintf(prefix, sizeof(prefix), "sluice-%s-", lab->name);
			if (!lab_netns_any(prefix))
				return 0;
			(void)lab_record_remove(lab->name, NULL);
			close(*fd);
			*fd = -1;
			e = err_set(err, -EEXIST,
				    "there are namespaces %s* in " LAB_NETNS_DIR
				    " that no lab's record names: "
				    "remove them with ip netns del, or choose another name",
				    prefix);
		}
		if (e != -EEXIST || spec->name)
			return e;
	}
	return e;
}

/* What every namespace of a lab wants before it has an interface. A knob that is not there is not needed. */
static int set_up_stack(bool forwards, bool ipv6, struct sluice_err *err)
{
	static const struct {
		const char *path, *value;
	} both[] = {
		{"ipv4/conf/all/rp_filter", "0"}, /* spoofed sources are what a lab is for */
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv6/conf/default/accept_ra", "0"},
		{"ipv6/conf/default/router_solicitations", "0"}, /* counts are compared to the packet */
	};
	size_t i;
	int e;

	for (i = 0; i < sizeof(both) / sizeof(*both); i++) {
		e = lab_netns_sysctl(both[i].path, both[i].value, err);
		if (e && e != -ENOENT)
			return e;
	}
	e = lab_netns_sysctl("ipv4/ip_forward", forwards ? "1" : "0", err);
	if (!e && ipv6)
		e = lab_netns_sysctl("ipv6/conf/all/forwarding", forwards ? "1" : "0", err);
	return e;
}

/* A namespace of a lab, its lo up; the thread comes back to where it was. */
static int make_netns(const char *name, bool forwards, bool ipv6, struct lab_door *door,
		      struct sluice_err *err)
{
	struct sluice_err back_err;
	int back, e, back_e;

	*door = (struct lab_door){.inet = -1, .netns = -1};
	e = lab_netns_current(&back, err);
	if (e)
		return e;
	e = lab_netns_create(name, err);
	if (!e)
		e = set_up_stack(forwards, ipv6, err);
	if (!e)
		e = lab_door_open(door, err);
	back_e = lab_netns_return(back, &back_err);
	if (!e && back_e)
		e = err_set(err, back_e, "%s", back_err.text);
	return e ? e : lab_link_up(door, "lo", err);
}

static int build(const struct lab *lab, bool tx_ready, struct sluice_err *err)
{
	struct lab_door box, host;
	struct lab_end end;
	uint32_t i;
	int e;

	lab_end(lab, 1, true, &end);
	e = make_netns(end.netns, true, lab->ipv6, &box, err);
	for (i = 1; !e && i <= lab->n_hosts; i++) {
		lab_end(lab, i, false, &end);
		e = make_netns(end.netns, false, lab->ipv6, &host, err);
		if (!e)
			e = lab_link_join(lab, i, &box, &host, err);
		if (!e && tx_ready)
			e = lab_link_pass(&host, err);
		lab_door_close(&host);
	}
	lab_door_close(&box);
	return e;
}

int lab_up(const struct lab_spec *spec, struct lab *lab, struct lab_hold *hold, struct sluice_err *err)
{
	struct lab_hold own;
	int e;

	*lab = (struct lab){.n_hosts = spec->n_hosts,
			    .n_queues = spec->n_queues,
			    .mtu = spec->mtu,
			    .ipv6 = access("/proc/sys/net/ipv6", F_OK) == 0,
			    .state = LAB_BROKEN,
			    .maker = getpid()};
	if (hold)
		hold->fd = -1;
	if (spec->n_hosts < 1 || spec->n_hosts > LAB_HOSTS_MAX || spec->n_queues < 1 ||
	    spec->n_queues > LAB_QUEUES_MAX || spec->mtu < LAB_MTU_MIN || spec->mtu > LAB_MTU_MAX)
		return err_set(err, -EINVAL, "a lab has 1 to %d hosts, 1 to %d queues and an MTU of %d to %d",
			       LAB_HOSTS_MAX, LAB_QUEUES_MAX, LAB_MTU_MIN, LAB_MTU_MAX);
	e = need_privilege("making a lab", err);
	if (!e)
		e = claim(spec, lab, &own.fd, err);
	if (e)
		return e;
	e = build(lab, spec->tx_ready, err);
	if (!e)
		e = lab_record_ready(own.fd, err);
	if (e) {
		(void)lab_down(lab->name, &own, NULL);
		return e;
	}
	lab->state = LAB_READY;
	if (hold)
		*hold = own;
	else
		lab_release(&own);
	return 0;
}

void lab_release(struct lab_hold *hold)
{
	if (hold->fd >= 0)
		close(hold->fd);
	hold->fd = -1;
}

/* A half-made lab has no box, or one without links: then the namespaces are all there is to remove. */
static int remove_links(const struct lab *lab, struct sluice_err *err)
{
	struct lab_door door = {.inet = -1, .netns = -1};
	struct lab_end end;
	int back, e, back_e;

	e = lab_netns_current(&back, err);
	if (e)
		return e;
	lab_end(lab, 1, true, &end);
	e = lab_netns_enter(end.netns, err);
	if (e == -ENOENT || e == -EINVAL || e == -EACCES) {
		close(back);
		return 0;
	}
	if (!e)
		e = lab_door_open(&door, err);
	if (!e)
		e = lab_links_remove(&door, err);
	lab_door_close(&door);
	back_e = lab_netns_return(back, e ? NULL : err);
	return e ? e : back_e;
}

int lab_down(const char *name, struct lab_hold *hold, struct sluice_err *err)
{
	struct lab_hold own = {.fd = hold ? hold->fd : -1};
	struct lab lab = {0};
	struct sluice_err links_err;
	char prefix[64];
	int e, links_e;

	if (hold)
		hold->fd = -1;
	e = need_privilege("taking a lab down", err);
	if (!e && own.fd < 0)
		e = lab_record_lock(name, &own.fd, err);
	if (e) {
		lab_release(&own);
		return e;
	}
	snprintf(lab.name, sizeof(lab.name), "%s", name);
	snprintf(prefix, sizeof(prefix), "sluice-%s-", name);
	links_e = remove_links(&lab, &links_err);
	e = lab_netns_remove_all(prefix, err);
	/* the record goes last, and only if nothing is left that it stands for */
	if (!e)
		e = lab_record_remove(name, err);
	lab_release(&own);
	/* without its namespace a link goes by itself: worth a word only if that failed too */
	return e && links_e ? err_prefix(err, "%s", links_err.text) : e;
}

int lab_list(struct lab **labs, size_t *n, struct sluice_err *err)
{
	char(*names)[LAB_NAME_MAX] = NULL;
	size_t n_names = 0, i;
	int e;

	*labs = NULL;
	*n = 0;
	e = need_privilege("looking at labs", err);
	if (!e)
		e = lab_record_names(&names, &n_names, err);
	if (e)
		return e;
	*labs = calloc(n_names + 1, sizeof(**labs));
	if (!*labs)
		e = err_nomem(err);
	for (i = 0; !e && i < n_names; i++) {
		e = lab_record_read(names[i], &(*labs)[*n], err);
		if (!e)
			++*n;
		if (e == -ENOENT || e == -EINVAL) /* gone meanwhile, or a file that is no record */
			e = 0;
	}
	free(names);
	if (e) {
		free(*labs);
		*labs = NULL;
		*n = 0;
	}
	return e;
}

int lab_find(const char *name, struct lab *lab, struct sluice_err *err)
{
	char text[256] = "";
	struct lab *labs;
	size_t n, i, at = 0;
	int e;

	if (name) {
		e = lab_record_name_check(name, err);
		if (!e)
			e = need_privilege("using a lab", err);
		return e ? e : lab_record_read(name, lab, err);
	}
	e = lab_list(&labs, &n, err);
	if (e)
		return e;
	if (n == 1)
		*lab = labs[0];
	for (i = 0; i < n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? ", " : "", labs[i].name);
	free(labs);
	if (n == 0)
		return err_set(err, -ENOENT, "there is no lab: sluice lab up makes one");
	return n == 1 ? 0 : err_set(err, -EINVAL, "there are %zu labs, say which: %s", n, text);
}

int lab_enter(const struct lab *lab, const char *host, struct sluice_err *err)
{
	char netns[96];
	int e;

	if (lab->state == LAB_BROKEN)
		return err_set(
			err, -ENOENT,
			"lab %s was never complete, its maker ended: take it down (sluice lab down %s)",
			lab->name, lab->name);
	snprintf(netns, sizeof(netns), "sluice-%s-%s", lab->name, host);
	e = strchr(host, '/') || strlen(host) > 8 ? err_set(err, -ENOENT, "no such file")
						  : lab_netns_enter(netns, err);
	if (e == -ENOENT && lab->n_hosts == 1)
		return err_set(err, e, "lab %s has no host '%.32s': it has box and h1", lab->name, host);
	if (e == -ENOENT)
		return err_set(err, e, "lab %s has no host '%.32s': it has box and h1 to h%u", lab->name,
			       host, lab->n_hosts);
	return e;
}
