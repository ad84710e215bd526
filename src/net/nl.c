// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One netlink request and its answer, on libmnl. */
#include <errno.h>
#include <string.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "base/err.h"
#include "net/nl.h"

int net_nl_open(struct net_nl *nl, int family, struct sluice_err *err)
{
	int on = 1;

	*nl = (struct net_nl){.sock = mnl_socket_open2(family, SOCK_CLOEXEC)};
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(err, -errno, "cannot open a netlink socket: %s", strerror(errno));
	/* both are niceties: an old kernel without them still answers with a number */
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

void net_nl_close(struct net_nl *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

void *net_nl_begin(struct net_nl_msg *msg, uint16_t type, uint16_t flags, size_t extra_len)
{
	msg->head = mnl_nlmsg_put_header(msg->bytes);
	msg->head->nlmsg_type = type;
	msg->head->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(msg->head, extra_len);
}

/* An error message is a number, the request (its header alone if capped), then the attributes of the extended ack. */
static int read_ack(const struct nlmsghdr *nlh, struct sluice_err *err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	size_t len = mnl_nlmsg_get_payload_len(nlh), skip = sizeof(*e);
	const struct nlattr *attr;
	const char *text = NULL;

	if (len < sizeof(*e))
		return err_set(err, -EBADMSG, "the kernel's netlink answer is cut short");
	if (!e->error)
		return 0;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len >= sizeof(e->msg))
		skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	if ((nlh->nlmsg_flags & NLM_F_ACK_TLVS) && skip <= len)
		mnl_attr_for_each(attr, nlh,
				  (unsigned int)skip) if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
							  !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
			text = mnl_attr_get_str(attr);
	if (text)
		return err_set(err, e->error, "%s (%s)", strerror(-e->error), text);
	return err_set(err, e->error, "%s", strerror(-e->error));
}

/* Goes through the messages of one read. Returns 1 if more is to come, 0 at the end, or a negative errno. */
static int read_part(const struct net_nl *nl, const void *bytes, int left, mnl_cb_t each, void *data,
		     struct sluice_err *err)
{
	const struct nlmsghdr *h;

	for (h = bytes; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		if (h->nlmsg_seq != nl->seq)
			continue; /* of a request that was given up */
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return err_set(err, -EAGAIN, "the interfaces changed while they were read");
		if (h->nlmsg_type == NLMSG_ERROR)
			return read_ack(h, err);
		if (h->nlmsg_type == NLMSG_DONE) { /* a dump that failed ends so, too: its payload is the error */
			int32_t e = 0;

			if (mnl_nlmsg_get_payload_len(h) >= sizeof(e))
				memcpy(&e, mnl_nlmsg_get_payload(h), sizeof(e));
			return e < 0 ? err_set(err, e, "%s", strerror(-e)) : 0;
		}
		if (h->nlmsg_type >= NLMSG_MIN_TYPE && each && each(h, data) < 0)
			return err_set(err, -EBADMSG, "the kernel's netlink answer is not understood");
	}
	return 1;
}

int net_nl_ask(struct net_nl *nl, struct net_nl_msg *msg, mnl_cb_t each, void *data, struct sluice_err *err)
{
	_Alignas(8) char bytes[32768];
	ssize_t n;
	int e;

	msg->head->nlmsg_seq = ++nl->seq;
	msg->head->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->sock, msg->head, msg->head->nlmsg_len) < 0)
		return err_set(err, -errno, "cannot send to netlink: %s", strerror(errno));
	do {
		n = mnl_socket_recvfrom(nl->sock, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			e = 1;
		else if (n < 0)
			e = err_set(err, -errno, "cannot read from netlink: %s", strerror(errno));
		else
			e = read_part(nl, bytes, (int)n, each, data, err);
	} while (e > 0);
	return e;
}

static int read_family(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;
	uint16_t *id = data;

	mnl_attr_for_each(attr, nlh,
			  sizeof(struct genlmsghdr)) if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
							 !mnl_attr_validate(attr, MNL_TYPE_U16)) *id =
		mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

int net_nl_family(struct net_nl *nl, const char *name, uint16_t *id, struct sluice_err *err)
{
	struct net_nl_msg msg;
	struct genlmsghdr *g = net_nl_begin(&msg, GENL_ID_CTRL, 0, sizeof(*g));
	int e;

	*id = 0;
	g->cmd = CTRL_CMD_GETFAMILY;
	g->version = 1;
	mnl_attr_put_strz(msg.head, CTRL_ATTR_FAMILY_NAME, name);
	e = net_nl_ask(nl, &msg, read_family, id, err);
	if (e)
		return err_prefix(err, "generic netlink family %s", name);
	return *id ? 0 : err_set(err, -EBADMSG, "generic netlink family %s has no number", name);
}
