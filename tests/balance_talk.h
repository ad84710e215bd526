/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What both sides of balance-talk have in common. */
#ifndef TESTS_BALANCE_TALK_H
#define TESTS_BALANCE_TALK_H

#include <stdbool.h>
#include <stdint.h>

#define NAME 8 /* bytes of a server's name */

_Noreturn void talk_die(const char *what);
void talk_watch(int epoll, int fd, uint32_t events, void *ptr);

/*
 * Linux tells nobody that an interface's queue had no room for a datagram (ENOBUFS; UdpSndbufErrors counts it), unless the socket
 * asks: talk_told(). talk_again() says after a failure whether to try again, having waited: what this host did not send was
 * not lost on the way. talk_forget() takes the errors out of the socket's queue.
 */
void talk_told(int fd);
bool talk_again(int *tries);
void talk_forget(int fd);

_Noreturn void talk_serve(uint16_t port, const char *as);

#endif
