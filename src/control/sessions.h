/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Through whom this machine is administered just now: the session a command is typed in, and the peers of the ports
 * that administrators come in by. For the guard (guard.h), which sees to it that no policy cuts them off.
 */
#ifndef CONTROL_SESSIONS_H
#define CONTROL_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/err.h>
#include "net/addr.h"

#define SESSIONS_MAX 1024

struct control_session {
	struct net_addr peer, local; /* of one family; IPv4 in IPv6 is IPv4 */
	uint16_t peer_port, local_port;
	bool own;	    /* of SSH_CONNECTION */
	char interface[16]; /* that a link-local address names; "": none */
};

struct control_sessions {
	struct control_session *v; /* the own one first */
	uint32_t n;
};

/*
 * control_session_parse() reads SSH_CONNECTION: "CLIENT PORT SERVER PORT", as sshd(8) writes it, and nothing else.
 *
 * errors:  -EINVAL it is anything else
 */
int control_session_parse(const char *text, struct control_session *s, struct sluice_err *err);

/*
 * control_sessions_read() finds who is connected to this network namespace's ports for administration. These are
 * port 22, and every port that is listened on and at which an SSH server has a socket.
 *
 * in:      ssh_connection  NULL or "": none
 *          proc            where processes and sockets are listed; NULL: "/proc"
 * out:     *s              freed by control_sessions_free(), also after a failure
 * errors:  -EINVAL of ssh_connection; -E2BIG more than SESSIONS_MAX of them; -EBADMSG a table that cannot be read;
 *          -ENOENT, -EACCES there is none; -ENOMEM
 * cost:    two passes over the table of sockets
 */
int control_sessions_read(const char *ssh_connection, const char *proc, struct control_sessions *s,
			  struct sluice_err *err);
/*
 * control_session_above() finds the session that a process runs in: the connection of the nearest SSH server above it
 * that has one in this network namespace. sudo and su are no obstacle. Whoever else is connected is nobody here: what
 * bans those who try passwords is not in their sessions.
 *
 * in:      pid, proc  the process, and where processes are listed; NULL: "/proc"
 * errors:  -ENOENT it is in none (of a daemon, in tmux), or that cannot be looked at; others of control_sessions_read()
 * cost:    the process's ancestors; below an SSH server, two passes over the table of sockets
 */
int control_session_above(long pid, const char *proc, struct control_session *s, struct sluice_err *err);

void control_sessions_free(struct control_sessions *s);

/* control_session_say() writes "192.0.2.7 port 50022", returns to; size at least SESSION_SAY. */
#define SESSION_SAY (NET_ADDR_TEXT + 12)
char *control_session_say(const struct control_session *s, char *to, size_t size);

#endif
