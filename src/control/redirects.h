/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where rules redirect packets to. A program knows an interface by its number: one that was made anew under the same name
 * has another, and what is sent to the old one is lost until the program is made anew, too.
 *
 *     RUN/7-0f3a.../redirects    of a generation, a line each: IFINDEX NAME
 */
#ifndef CONTROL_REDIRECTS_H
#define CONTROL_REDIRECTS_H

#include "control/build_inside.h"
#include "net/ifinfo.h"
#include "net/nl.h"

enum redirect_health {
	REDIRECT_THERE,
	REDIRECT_GONE,	/* there is no such interface */
	REDIRECT_AGAIN, /* there is another one of the name */
};

struct redirect {
	int ifindex;
	char ifname[16]; /* as it was called */
};

/* redirects_write() writes down where the filters of a generation that is being made redirect to. */
int redirects_write(const struct build *b);

/* redirects_read(): *v is for free(); none is no error. errors: -EBADMSG, -ENOMEM, -EPERM */
int redirects_read(const struct control_state *st, const char *name, struct redirect **v, uint32_t *n,
		   struct sluice_err *err);
enum redirect_health redirects_health(const struct redirect *r);

/* redirects_hold(): do all lead to where they are meant to? */
bool redirects_hold(const struct control_state *st, const char *name);

/*
 * redirects_lost(): does `to` take no packets that a program on `from` redirects to it? What cannot be asked is not lost.
 * in: genl  NETLINK_GENERIC, or closed
 */
bool redirects_lost(struct net_nl *genl, const struct policy *p, const char *from_name, int from, int to);
#define REDIRECTS_ADVICE                                                                                  \
	"a veth does if its peer has an XDP program or GRO (ethtool -K PEER gro on; if it is on, set %s " \
	"down and up "                                                                                    \
	"again), others if they have a program of their own"

/*
 * redirects_unsummed(): is it a veth whose other end leaves checksums to hardware that there is not, as far as can be seen? Receivers
 * drop such packets when a program has sent them on, to an interface or a CPU, in either mode.
 *
 * in:  route  NETLINK_ROUTE
 * out: peer   the name of the other end, "" if that is not known; *sure  it could be asked
 */
bool redirects_unsummed(struct net_nl *route, const struct net_ifinfo *in, char peer[16], bool *sure);
#define REDIRECTS_UNSUMMED \
	"since their checksums are left to hardware that there is not; ethtool -K %s tx off there"

/*
 * redirects_care() says which targets of filters take none, and from which interfaces packets are sent on without their checksums,
 * a sentence each; g: the policy's parts.
 */
void redirects_care(const struct policy *p, const struct control_generation *g,
		    void (*say)(void *arg, const char *sentence), void *arg);

#endif
