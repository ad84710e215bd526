/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a backend's host needs so that balanced packets reach its servers, as steps; what a step is on a command line.
 *
 *     services, addresses of the host --> needs_of() --> steps --> balance_host.h does and undoes them
 *
 * How packets arrive decides:
 *
 *     ipip, gue   a tunnel interface for each family in each family, with an address: without one the kernel takes
 *                 what comes out for spoofed where rp_filter counts (net/ipv4/fib_frontend.c)
 *     gue         besides, the kernel's UDP port that takes GUE off (fou)
 *                 or, in place of both, the program that takes tunnels off, a member of the interface's chain
 *     l2          nothing but what all have: the virtual addresses on lo, and no answers to ARP for them
 *     nat         nothing at all
 */
#ifndef CMD_BALANCE_NEEDS_H
#define CMD_BALANCE_NEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sluice/err.h>

#include "balance/balance.h"

enum need_kind { NEED_FOU, NEED_LINK, NEED_ADDR, NEED_SYSCTL, NEED_DECAP };

/*
 *             name                             value                  type
 *     FOU     "4" or "6"                       port
 *     LINK    interface                        its local address      ipip, sit, ip6tnl
 *     ADDR    interface                        address/length
 *     SYSCTL  net/ipv4/conf/all/arp_ignore     what it is set to
 *     DECAP   interface                        port of GUE, 0: none
 */
struct need {
	enum need_kind kind;
	char name[64], value[64], type[16];
	char before[16]; /* SYSCTL: what it was; "" as long as nobody has looked */
};

/* An address of the host, and the interface it is on; "" if it is no address of this host. */
struct need_addr {
	struct net_addr addr;
	char ifname[16];
};

/* Zeroed at first; freed by needs_free(). */
struct needs {
	struct need *v;
	size_t n, cap;
	size_t n_services, n_nat; /* whose backend the host is; of them those that need nothing */
};
void needs_free(struct needs *needs);
int needs_add(struct needs *needs, const struct need *step, struct sluice_err *err); /* -ENOMEM */
const struct need *needs_find(const struct needs *needs, const struct need *step);

/*
 * needs_of() works out the steps, in the order in which they are done: addresses come last.
 *
 * in:      service  its name; NULL: all whose backend the host is
 *          xdp      a program takes tunnels off, not the kernel
 * out:     *needs   zeroed before; also after a failure for needs_free()
 * errors:  -ENOENT no such service, or the host is no backend of any; -EOPNOTSUPP with xdp: two ports of GUE on an
 *          interface, or the interface is not known; -ENOMEM
 */
int needs_of(const struct balance_model *m, const char *service, bool xdp, const struct need_addr *own,
	     size_t n_own, struct needs *needs, struct sluice_err *err);

/* need_words() is the command that does a step, or undoes it; DECAP has none. args ends with NULL, for child_run(). */
struct need_words {
	char text[12][80];
	char *args[13];
};
void need_words(const struct need *step, bool undo, struct need_words *words);

/* need_text() is the same in one line, quoted for a shell, and of DECAP what is attached; returns to. */
#define NEED_TEXT 320
char *need_text(const struct need *step, bool undo, char *to, size_t size);

/* A step as a line without its end, and back; need_read() is false for what is no step. */
char *need_write(const struct need *step, char *to, size_t size);
bool need_read(const char *line, struct need *step);

#endif
