/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Steps of balance_needs.h done on this host, and undone. What was done is kept in
 * /run/sluice/backend-netN, a line before each step: whatever ends the process, the next one knows.
 */
#ifndef CMD_BALANCE_HOST_H
#define CMD_BALANCE_HOST_H

#include "cmd/balance_needs.h"
#include "cmd/cli.h"

/* What became of a step, or is the case. */
enum host_state {
	HOST_MISSING,
	HOST_THERE, /* it is so already */
	HOST_DONE,
	HOST_UNDONE,
	HOST_LEFT, /* somebody changed it since: it is not undone */
};
typedef void host_say(void *arg, const struct need *step, enum host_state state);

/* host_addrs() lists the addresses of this host; *v is for free(). errors: -ENOMEM, of getifaddrs(3) */
int host_addrs(struct need_addr **v, size_t *n, struct sluice_err *err);

/* host_sysctl() is what counts of a sysctl, its own value or that of all: "net/ipv4/conf/all/rp_filter=2". false: there is none. */
bool host_sysctl(const struct need *step, char *to, size_t size);

/* host_look() tells whether a step is done already; whatever cannot be found out is not. */
enum host_state host_look(const struct need *step);

/*
 * host_apply() makes the plan what is done here: steps done earlier and not in it are undone, the others are
 * done. An empty plan undoes all.
 *
 * in:      verb  whose name child processes fail under; say  told of each step, may be NULL
 * errors:  -EPERM; -EEXIST an interface of that name is somebody else's; -EOPNOTSUPP the kernel cannot make one;
 *          -EIO a command failed; of control_decap_attach(): what this call has done is undone then. -EBUSY
 *          another process is at it; -EBADMSG the record is damaged
 */
int host_apply(const struct cli_verb *verb, const struct needs *plan, host_say *say, void *arg,
	       struct sluice_err *err);

#endif
