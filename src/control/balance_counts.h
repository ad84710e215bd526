/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balancer's counters, which each CPU keeps for itself, added up. */
#ifndef CONTROL_BALANCE_COUNTS_H
#define CONTROL_BALANCE_COUNTS_H

#include <stdint.h>
#include <sluice/err.h>

#include "abi/balance.h"

/*
 * balance_counts_read() adds up what was counted of a target (its number in targets), balance_reasons_read() of a service,
 * config.n_services: of packets of none. fd: of the maps balance_counts, balance_reasons.
 * errors:  -ENOENT no descriptor; of bpf(2); -ENOMEM
 */
int balance_counts_read(int fd, uint32_t target, struct balance_count *to, struct sluice_err *err);
int balance_reasons_read(int fd, uint32_t service, struct balance_reasons *to, struct sluice_err *err);

#endif
