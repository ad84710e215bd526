/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Says which capability is missing when the kernel answered -EPERM. */
#ifndef BPF_PRIVILEGE_H
#define BPF_PRIVILEGE_H

#include <sluice/err.h>

/* privilege_missing() writes "WHAT needs ..." with the capabilities this thread lacks, and returns -EPERM. */
int privilege_missing(const char *what, struct sluice_err *err);

#endif
