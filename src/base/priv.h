/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which capabilities the calling thread has, and the sentence for one that is missing. */
#ifndef BASE_PRIV_H
#define BASE_PRIV_H

#include <stdbool.h>
#include <linux/capability.h>
#include <sluice/err.h>

/* younger than the oldest headers this is built with */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

/* priv_has() tells whether capability cap (CAP_NET_ADMIN, ...) is effective in the calling thread. */
bool priv_has(int cap);

/* priv_name() is a capability's name, "CAP_NET_ADMIN"; "a capability" for one unknown here. */
const char *priv_name(int cap);

/* priv_need() returns 0 if cap is effective, otherwise -EPERM and "WHAT needs CAP_X: run as root". */
int priv_need(int cap, const char *what, struct sluice_err *err);

#endif
