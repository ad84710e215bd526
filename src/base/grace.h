/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that programs in the kernel may still be reading is not written over before they have ended. */
#ifndef BASE_GRACE_H
#define BASE_GRACE_H

#include <sluice/err.h>

/*
 * grace_wait() returns when every XDP and TC program that ran at the call has ended: they run within RCU's read side.
 *
 * errors:  -EPERM, -ENOMEM, -ENOSYS: neither membarrier(2) nor a map to wait with is there; err says why
 * cost:    a grace period, 10 to 20 ms
 */
int grace_wait(struct sluice_err *err);

#endif
