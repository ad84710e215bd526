/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One netlink request and its answer, on libmnl: the kernel's own words (extended ack) end up in the error. */
#ifndef NET_NL_H
#define NET_NL_H

#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>
#include <sluice/err.h>

struct net_nl {
	struct mnl_socket *sock;
	unsigned int seq;
};

/* A message being built; requests here are small, what does not fit is a bug that libmnl's _check() calls show. */
struct net_nl_msg {
	struct nlmsghdr *head;
	_Alignas(8) char bytes[2048];
};

/*
 * net_nl_open() opens a socket of a netlink family (NETLINK_ROUTE, NETLINK_GENERIC). It belongs to the network
 * namespace in which the calling thread is now, and stays there when the thread moves on.
 *
 * owns:    the caller closes it with net_nl_close(), also after a failure
 */
int net_nl_open(struct net_nl *nl, int family, struct sluice_err *err);
void net_nl_close(struct net_nl *nl);

/* net_nl_begin() starts a message and returns room for its family header, extra_len bytes, zeroed. */
void *net_nl_begin(struct net_nl_msg *msg, uint16_t type, uint16_t flags, size_t extra_len);

/*
 * net_nl_ask() sends the message and reads to the end of its answer: one acknowledgement, or with NLM_F_DUMP
 * every part. each is called for every message that carries data (NULL: they are skipped) and returns MNL_CB_OK.
 *
 * errors:  the kernel's, with its extended ack as the sentence where it gave one; -EAGAIN when a dump was
 *          interrupted by a change (ask again)
 */
int net_nl_ask(struct net_nl *nl, struct net_nl_msg *msg, mnl_cb_t each, void *data, struct sluice_err *err);

/* net_nl_family() finds the number of a generic netlink family; -ENOENT if this kernel has none of that name. */
int net_nl_family(struct net_nl *nl, const char *name, uint16_t *id, struct sluice_err *err);

#endif
