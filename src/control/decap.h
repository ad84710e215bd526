/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On a backend: datapath/decap.bpf.c as a member of an interface's chain, in front of a filter, which then sees what
 * was inside. It needs no tunnel device; the virtual addresses must be the host's (on lo, say), as with one.
 *
 *     control_decap_attach() ──> member "decap"      control_decap_read() <── its counters      control_decap_detach()
 */
#ifndef CONTROL_DECAP_H
#define CONTROL_DECAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/chain.h>
#include <sluice/err.h>

#include "abi/decap.h"
#include "net/addr.h"

#define CONTROL_DECAP_OWNER "sluice-decap" /* of the member, */
#define CONTROL_DECAP_MEMBER "decap"	   /* its name, */
#define CONTROL_DECAP_PRIORITY 5	   /* and place: before the filter's */

struct control_decap_net {
	struct net_addr addr;
	uint8_t bits; /* of the prefix */
};

/* Zeroes are the defaults. */
struct control_decap_opts {
	const struct net_addr
		*to; /* where tunnels end; none: at the interface's addresses, but link-local ones */
	size_t n_to;
	const struct control_decap_net
		*from; /* outer sources; none: 198.18.0.0/16 and 100::/64, the balancer's */
	size_t n_from;
	uint16_t gue_port; /* 0: 6080 */
	bool no_gue;
	enum sluice_mode mode;
	const char *bpffs; /* NULL: /sys/fs/bpf */
};

/*
 * control_decap_config() makes the program's constants.
 *
 * in:      ifname  whose addresses count if opts has none; of the caller's network namespace
 *          opts    NULL: defaults
 * errors:  -ENODEV; -ENOENT the interface has no address; -E2BIG more than DECAP_NETS of a kind; -EINVAL a prefix that
 *          cannot be, an address no tunnel can end at
 */
int control_decap_config(const char *ifname, const struct control_decap_opts *opts,
			 struct decap_config *config, struct sluice_err *err);

/*
 * control_decap_attach() puts the program on an interface, or another one in place of the one that is there: with these
 * settings, and the counters going on. Addresses that the interface gets later are not known to it.
 *
 * in:      opts  NULL: defaults; not kept
 * out:     *got  may be NULL
 * errors:  of control_decap_config() and sluice_chain_attach()
 */
int control_decap_attach(const char *ifname, const struct control_decap_opts *opts,
			 struct sluice_attached *got, struct sluice_err *err);

/* control_decap_detach() takes it off. errors: -ENOENT it is not there; of sluice_chain_detach() */
int control_decap_detach(const char *ifname, const struct control_decap_opts *opts, struct sluice_err *err);

/*
 * control_decap_read() tells what became of packets, by reason.
 *
 * out:     counts  zeroes on failure
 * errors:  -ENODEV; -ENOENT the program is not on the interface; -EPERM
 */
int control_decap_read(const char *ifname, uint64_t counts[DECAP_REASONS], struct sluice_err *err);

/* control_decap_reason() is a reason in words: "from a source that is not configured"; NULL beyond the last. */
const char *control_decap_reason(unsigned int reason);

#endif
