/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that run on the network card itself: one per card, as it is, without a dispatcher. */
#ifndef HOOK_OFFLOAD_H
#define HOOK_OFFLOAD_H

#include <sluice/chain.h>

/* offload_attach() is sluice_chain_attach() in offload mode. -EOPNOTSUPP where the card does not run BPF. */
int offload_attach(int ifindex, const struct sluice_member *members, size_t n, const struct sluice_attach_opts *opts,
		   struct sluice_attached *got, struct sluice_err *err);

#endif
