// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The backends' program: its constants, its place in a chain, its counters. */
#include <errno.h>
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "balance/balance.h"
#include "base/embedded.h"
#include "base/err.h"
#include "bpf/object.h"
#include "bpf/seam.h"
#include "control/decap.h"
#include "hook/put.h"
#include "net/nl.h"

#define GO_ON_PASS (1u << 2) /* after XDP_PASS the next member runs */
#define COUNTS "decap_counts"

static const struct control_decap_net sources[] = {
	{{.bytes = {198, 18}}, 16},
	{{.bytes = {1}, .v6 = true}, 64},
};

static const char *const reasons[] = {
	[DECAP_IP] = "taken out of IP",
	[DECAP_GUE] = "taken out of GUE",
	[DECAP_OTHER] = "no tunnel",
	[DECAP_NOT_OURS] = "a tunnel that ends elsewhere",
	[DECAP_SOURCE] = "from a source that is not configured",
	[DECAP_FRAGMENT] = "the outer packet is a fragment",
	[DECAP_OPTIONS] = "the outer packet has options or extension headers",
	[DECAP_DAMAGED] = "damaged",
	[DECAP_CHECKSUM] = "the outer packet has a UDP checksum",
	[DECAP_INSIDE] = "no IP packet inside",
	[DECAP_CONGESTED] = "dropped: congestion that the sender could not be told of",
};
_Static_assert(sizeof(reasons) / sizeof(*reasons) == DECAP_REASONS, "every reason has its words");

const char *control_decap_reason(unsigned int reason)
{
	return reason < DECAP_REASONS ? reasons[reason] : NULL;
}

static int index_of(const char *ifname, struct sluice_err *err)
{
	int index = (int)if_nametoindex(ifname);

	return index > 0 ? index : err_set(err, -ENODEV, "%s: no such interface", ifname);
}

/* --- constants --- */

static int add(struct decap_config *c, bool is_source, const struct net_addr *a, unsigned int bits,
	       struct sluice_err *err)
{
	uint32_t *n = is_source ? (a->v6 ? &c->n_from6 : &c->n_from4) : (a->v6 ? &c->n_to6 : &c->n_to4);
	uint8_t mask[16] = {0}, addr[16];
	char text[NET_ADDR_TEXT];
	unsigned int i;

	net_addr_format(a, text, sizeof(text));
	if (bits > (a->v6 ? 128 : 32))
		return err_set(err, -EINVAL, "%s/%u: the prefix has more bits than the address", text, bits);
	if (*n == DECAP_NETS)
		return err_set(err, -E2BIG,
			       is_source ? "more than %d %s prefixes that tunnels come from; name fewer, wider ones"
					 : "more than %d %s addresses where tunnels end; name those that are needed",
			       DECAP_NETS, a->v6 ? "IPv6" : "IPv4");
	for (i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80u >> i % 8);
	for (i = 0; i < 16; i++) {
		addr[i] = a->bytes[i] & mask[i];
		if (addr[i] != a->bytes[i])
			return err_set(err, -EINVAL, "%s/%u: bits beyond the prefix must be 0", text, bits);
	}
	if (a->v6) {
		struct decap_net6 *to = is_source ? &c->from6[*n] : &c->to6[*n];

		memcpy(to->addr, addr, sizeof(to->addr));
		memcpy(to->mask, mask, sizeof(to->mask));
	} else {
		struct decap_net4 *to = is_source ? &c->from4[*n] : &c->to4[*n];

		memcpy(&to->addr, addr, sizeof(to->addr));
		memcpy(&to->mask, mask, sizeof(to->mask));
	}
	++*n;
	return 0;
}

static int add_end(struct decap_config *c, const struct net_addr *a, struct sluice_err *err)
{
	static const struct net_addr nobody;
	char text[NET_ADDR_TEXT];

	if (net_addr_is_multicast(a) || !memcmp(a->bytes, nobody.bytes, sizeof(nobody.bytes)))
		return err_set(err, -EINVAL,
			       "%s: no tunnel ends at such an address; name one of this host's own",
			       net_addr_format(a, text, sizeof(text)));
	return add(c, false, a, a->v6 ? 128 : 32, err);
}

struct own {
	struct decap_config *config;
	struct sluice_err *err;
	int index, error;
};

/* Not those that are link-local, temporary (RFC 8981) or not yet the host's. */
static int take_own(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *local = NULL;
	uint32_t flags, not_these = IFA_F_TEMPORARY | IFA_F_TENTATIVE | IFA_F_DADFAILED;
	struct own *o = data;
	struct net_addr addr;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    (int)m->ifa_index != o->index || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6) ||
	    m->ifa_scope >= RT_SCOPE_LINK)
		return MNL_CB_OK;
	addr = (struct net_addr){.v6 = m->ifa_family == AF_INET6};
	flags = m->ifa_flags;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == IFA_LOCAL || (mnl_attr_get_type(a) == IFA_ADDRESS && !local))
			local = a;
		if (mnl_attr_get_type(a) == IFA_FLAGS && mnl_attr_get_payload_len(a) == sizeof(flags))
			flags = mnl_attr_get_u32(a);
	}
	/* of IPv4, TEMPORARY means a second address of the same network */
	if (flags & (addr.v6 ? not_these : 0u) || !local ||
	    mnl_attr_get_payload_len(local) != (addr.v6 ? 16 : 4) || o->error)
		return MNL_CB_OK;
	memcpy(addr.bytes, mnl_attr_get_payload(local), addr.v6 ? 16 : 4);
	o->error = add_end(o->config, &addr, o->err);
	return MNL_CB_OK;
}

static int own_addresses(const char *ifname, int index, struct decap_config *c, struct sluice_err *err)
{
	struct own o = {.config = c, .err = err, .index = index};
	struct net_nl_msg msg;
	struct net_nl nl;
	int e = net_nl_open(&nl, NETLINK_ROUTE, err);

	if (!e) {
		net_nl_begin(&msg, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
		e = net_nl_ask(&nl, &msg, take_own, &o, err);
	}
	net_nl_close(&nl);
	if (e)
		return err_prefix(err, "reading the addresses of %s", ifname);
	if (o.error)
		return err_prefix(err, "%s", ifname);
	if (!c->n_to4 && !c->n_to6)
		return err_set(err, -ENOENT,
			       "%s has no address that tunnels could end at; give it one, or name one of "
			       "this host's",
			       ifname);
	return 0;
}

int control_decap_config(const char *ifname, const struct control_decap_opts *opts,
			 struct decap_config *config, struct sluice_err *err)
{
	static const struct control_decap_opts defaults;
	const struct control_decap_opts *o = opts ? opts : &defaults;
	const struct control_decap_net *from = o->n_from ? o->from : sources;
	size_t n_from = o->n_from ? o->n_from : sizeof(sources) / sizeof(*sources), i;
	int e = 0, index;

	memset(config, 0, sizeof(*config));
	config->gue_port = o->no_gue ? 0 : htons(o->gue_port ? o->gue_port : BALANCE_GUE_PORT);
	for (i = 0; i < n_from && !e; i++)
		e = add(config, true, &from[i].addr, from[i].bits, err);
	for (i = 0; i < o->n_to && !e; i++)
		e = add_end(config, &o->to[i], err);
	if (e || o->n_to)
		return e;
	index = index_of(ifname, err);
	return index < 0 ? index : own_addresses(ifname, index, config, err);
}

/* --- in a chain --- */

/* The counters of the program that is there; -ENOENT if there is none. */
static int counts_open(const char *ifname, int index, struct sluice_err *err)
{
	struct sluice_chain_info *info;
	const struct sluice_member_info *m;
	struct bpf_map_info map;
	uint32_t len, i, k;
	int e = sluice_chain_read(index, &info, err), fd;

	if (e)
		return e;
	e = err_set(err, -ENOENT, "%s: no program takes packets out of tunnels there", ifname);
	for (i = 0; i < info->n_members && e < 0; i++) {
		m = &info->member[i];
		for (k = 0; k < m->n_maps && e < 0 && !strcmp(m->owner, CONTROL_DECAP_OWNER); k++) {
			fd = bpf_map_get_fd_by_id(m->map_ids[k]);
			memset(&map, 0, sizeof(map));
			len = sizeof(map);
			if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &map, &len) && !strcmp(map.name, COUNTS) &&
			    map.value_size == sizeof(struct decap_counts))
				e = fd;
			else if (fd >= 0)
				close(fd);
		}
	}
	sluice_chain_info_free(info);
	return e;
}

int control_decap_attach(const char *ifname, const struct control_decap_opts *opts,
			 struct sluice_attached *got, struct sluice_err *err)
{
	struct sluice_attach_opts attach = {.owner = CONTROL_DECAP_OWNER,
					    .bpffs = opts ? opts->bpffs : NULL,
					    .mode = opts ? opts->mode : SLUICE_MODE_AUTO};
	struct put_member member = {.owner = CONTROL_DECAP_OWNER,
				    .name = CONTROL_DECAP_MEMBER,
				    .object = "decap",
				    .priority = CONTROL_DECAP_PRIORITY,
				    .go_on = GO_ON_PASS};
	int index = index_of(ifname, err), e, counts;
	struct sluice_object *obj = NULL;
	struct sluice_program *prog;
	struct decap_config config;

	e = index < 0 ? index : control_decap_config(ifname, opts, &config, err);
	if (e)
		return e;
	counts = counts_open(ifname, index, NULL);
	e = sluice_object_open_mem(embedded_decap, embedded_decap_len, "decap", &obj, err);
	e = e ?: sluice_object_set_bytes(obj, "config", &config, sizeof(config), err);
	if (!e && counts >= 0)
		e = sluice_object_share_map(obj, COUNTS, counts, err);
	e = e ?: sluice_object_program(obj, "decap", &prog, err);
	e = e ?: object_load_code(obj, err);
	if (!e) {
		member.code = program_code(prog);
		e = put_member(index, &member, &attach, NULL, NULL, got, err);
	}
	sluice_object_free(obj);
	if (counts >= 0)
		close(counts);
	return e ? err_prefix(err, "%s", ifname) : 0;
}

int control_decap_detach(const char *ifname, const struct control_decap_opts *opts, struct sluice_err *err)
{
	struct sluice_attach_opts attach = {.owner = CONTROL_DECAP_OWNER, .bpffs = opts ? opts->bpffs : NULL};
	int index = index_of(ifname, err), e;

	if (index < 0)
		return index;
	e = put_remove(index, CONTROL_DECAP_OWNER, &attach, err);
	if (e == -ENOENT)
		return err_set(err, e, "%s: no program takes packets out of tunnels there", ifname);
	return e ? err_prefix(err, "%s", ifname) : 0;
}

int control_decap_read(const char *ifname, uint64_t counts[DECAP_REASONS], struct sluice_err *err)
{
	int index = index_of(ifname, err), cpus = seam_n_cpus(), fd, cpu, e = 0;
	uint64_t(*all)[DECAP_REASONS];
	uint32_t zero = 0, i;

	memset(counts, 0, DECAP_REASONS * sizeof(*counts));
	if (index < 0)
		return index;
	if (cpus <= 0)
		return err_set(err, cpus ? cpus : -EIO, "the number of CPUs: %s", strerror(-cpus));
	fd = counts_open(ifname, index, err);
	if (fd < 0)
		return fd;
	all = calloc((size_t)cpus, sizeof(*all));
	if (!all)
		e = err_nomem(err);
	else if (bpf_map_lookup_elem(fd, &zero, all))
		e = err_set(err, -errno, "%s: reading the counters: %s", ifname, strerror(errno));
	for (cpu = 0; cpu < cpus && !e; cpu++)
		for (i = 0; i < DECAP_REASONS; i++)
			counts[i] += all[cpu][i];
	free(all);
	close(fd);
	return e;
}
