/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TLS of https probes: GnuTLS, whose licence fits both of this project's, which stands on the nettle that is linked
 * anyway, and which writes to sockets by our own function, so that no SIGPIPE comes of it.
 */
#ifndef HEALTH_TLS_H
#define HEALTH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_BYTES 262144u /* a peer may send in all: handshake, certificates, answer */

/* What all sessions share; made when first needed. */
struct tls_api;

struct tls_trust {
	struct tls_api *api; /* NULL: not opened yet */
	void *any, *system; /* credentials: without authorities, with the system's */
	void *priority;
};

struct tls {
	const struct tls_api *api; /* the trust's */
	void *session; /* NULL: none */
	char *name;    /* of the certificate; GnuTLS keeps a pointer to it */
	int fd;
	int error; /* of the socket, as errno */
	uint32_t got;
	bool writing; /* what it waits for */
	bool flooded; /* more than TLS_BYTES came */
};

void tls_trust_free(struct tls_trust *trust);

/*
 * tls_start() prepares a session over a connected socket. host: the name in SNI and, with verify, of the certificate.
 *
 * errors:  a negative errno, and why; -ENOENT GnuTLS is not there, or no authority to verify by
 */
int tls_start(struct tls *t, struct tls_trust *trust, int fd, const char *host, bool host_is_name,
	      bool verify, char *why, size_t size);

/*
 * tls_shake() goes on with the handshake; tls_send() and tls_recv() are send() and recv().
 *
 * errors:  -EAGAIN: as the socket gets ready for reading, or writing if t->writing; others: why says it
 */
int tls_shake(struct tls *t, char *why, size_t size);
ssize_t tls_send(struct tls *t, const void *data, size_t len, char *why, size_t size);
ssize_t tls_recv(struct tls *t, void *data, size_t len, char *why, size_t size);
bool tls_pending(const struct tls *t); /* bytes are there that the socket does not know of any more */
void tls_stop(struct tls *t);

#endif
