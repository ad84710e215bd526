/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the last check of each backend said, where it was not good: text beside the state of the generation, a file for each service.
 * The daemon writes it, for whoever shows backends; nothing depends on it.
 *
 *     balance_checks_N    lines "ADDRESS PORT bad|unasked SENTENCE", of service number N; no file: all is good, or not known
 */
#ifndef CONTROL_BALANCE_CHECKS_H
#define CONTROL_BALANCE_CHECKS_H

#include "base/buf.h"
#include "control/balance_live.h"

#define BALANCE_CHECKS_WHY 256 /* what is longer is cut */

struct balance_check_said {
	bool asked; /* false: this host could not ask, which says nothing about the backend */
	char why[BALANCE_CHECKS_WHY];
};

/* balance_checks_line() appends a backend's line. why: printable */
void balance_checks_line(struct buf *to, const struct net_addr *addr, uint16_t port, bool asked, const char *why);

/* balance_checks_write() makes the lines those of a service; none: no file. errors: as files_write() */
int balance_checks_write(const struct balance_live *b, uint32_t service, const struct buf *lines, struct sluice_err *err);

/*
 * balance_checks_read() appends the lines of a service, and a NUL; balance_checks_find() looks for a backend's in that. What it finds
 * is printable, whoever wrote the file. errors: as files_read(), but for -ENOENT: no lines
 */
int balance_checks_read(const struct balance_live *b, uint32_t service, struct buf *lines, struct sluice_err *err);
bool balance_checks_find(const struct buf *lines, const struct net_addr *addr, uint16_t port, struct balance_check_said *to);

#endif
