/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checks through the tunnels of services: programs behind the stack's way out and before its way in (tcx), that put what
 * marked sockets send into a tunnel, to the service's virtual address, and answers back (datapath/inner.bpf.c).
 * They are held by this process alone: when it ends, however it ends, nothing of them is left.
 *
 * thread:  one at a time
 */
#ifndef CONTROL_INNER_H
#define CONTROL_INNER_H

#include <sluice/err.h>

#include "net/addr.h"

#define INNER_MARKS 0x51ce0000u /* and the 65,536 numbers from there on */

struct inner;

/* What a mark stands for. */
struct inner_want {
	uint32_t mark;
	struct net_addr backend, virtual; /* of one family */
	uint16_t gue_port;		  /* host order; 0: IP in IP */
	uint64_t timeout_ns;		  /* how long its checks wait for an answer */
};

/*
 * inner_new() loads the programs; they are nowhere yet.
 * errors:  of loading: -EPERM, -ENOMEM, ...
 */
int inner_new(struct inner **in, struct sluice_err *err);
void inner_free(struct inner *in);

/*
 * inner_put() says what new marks stand for, and has the programs on all Ethernet interfaces; where there are more than
 * INNER_LINKS, on those that inner_on() names. One that they cannot be on is told by say, a sentence. Marks that were there
 * stand for what they stood for; what was put before and not settled is given up, as on failure.
 * inner_settle() brings it into force: marks that stay stand for what was put, those that nobody has any more for nothing.
 *
 * errors:  -EOPNOTSUPP this kernel attaches no programs that way (tcx is of Linux 6.6); -EPERM; -ENOMEM, -E2BIG marks
 *          inner_settle(): a mark stands for what it stood for, all else is done
 */
#define INNER_LINKS 64u
int inner_put(struct inner *in, const struct inner_want *v, size_t n, void (*say)(void *ctx, const char *sentence),
	      void *ctx, struct sluice_err *err);
int inner_settle(struct inner *in, struct sluice_err *err);

/*
 * inner_on() has them on an interface that a way leads over, if they are not there yet.
 * errors:  -ENODEV; -EINVAL it has no Ethernet headers; -E2BIG more than INNER_LINKS; as inner_put()
 */
int inner_on(struct inner *in, int ifindex, struct sluice_err *err);

#endif
