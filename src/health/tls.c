// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TLS sessions of https probes, by GnuTLS (tls_api.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "health/tls.h"
#include "health/tls_api.h"

void tls_trust_free(struct tls_trust *trust)
{
	struct tls_api *a = trust->api;

	if (trust->any)
		a->gnutls_certificate_free_credentials(trust->any);
	if (trust->system)
		a->gnutls_certificate_free_credentials(trust->system);
	if (trust->priority)
		a->gnutls_priority_deinit(trust->priority);
	free(a);
	*trust = (struct tls_trust){0};
}

static ssize_t lost(struct tls *t)
{
	if (errno != EAGAIN && errno != EINTR)
		t->error = errno;
	t->api->gnutls_transport_set_errno(t->session, errno);
	return -1;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *data, size_t len)
{
	struct tls *t = arg;
	ssize_t n;

	if (t->got >= TLS_BYTES) {
		t->flooded = true;
		t->api->gnutls_transport_set_errno(t->session, EMSGSIZE);
		return -1;
	}
	n = recv(t->fd, data, len, MSG_DONTWAIT);
	if (n >= 0)
		t->got += (uint32_t)n;
	return n < 0 ? lost(t) : n;
}

static ssize_t push(gnutls_transport_ptr_t arg, const void *data, size_t len)
{
	struct tls *t = arg;
	ssize_t n = send(t->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? lost(t) : n;
}

static int pull_ready(gnutls_transport_ptr_t arg, unsigned int ms)
{
	(void)arg;
	(void)ms;
	return 1; /* nobody waits in here: epoll does */
}

/* Sentences here have no full stop; GnuTLS's do. */
static void trim(char *why)
{
	size_t n = strlen(why);

	while (n && (why[n - 1] == '.' || why[n - 1] == ' '))
		why[--n] = '\0';
}

static int say(const struct tls_api *a, int code, const char *what, char *why, size_t size)
{
	snprintf(why, size, "TLS: %s: %s", what, a->gnutls_strerror(code));
	trim(why);
	return code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EPROTO;
}

static int credentials(struct tls_trust *trust, bool verify, gnutls_certificate_credentials_t *to, char *why,
		       size_t size)
{
	void **at = verify ? &trust->system : &trust->any;
	gnutls_certificate_credentials_t made;
	gnutls_priority_t priority;
	const struct tls_api *a;
	int code;

	if (!trust->api) {
		struct tls_api *api = malloc(sizeof(*api));

		code = api ? tls_api_open(api, why, size) : -ENOMEM;
		if (!api)
			snprintf(why, size, "TLS: out of memory");
		if (code) {
			free(api);
			return code;
		}
		trust->api = api;
	}
	a = trust->api;

	if (!trust->priority) {
		code = a->gnutls_priority_init(&priority, NULL, NULL);
		if (code < 0)
			return say(a, code, "the system's priorities", why, size);
		trust->priority = priority;
	}
	if (!*at) {
		code = a->gnutls_certificate_allocate_credentials(&made);
		if (code < 0)
			return say(a, code, "credentials", why, size);
		code = verify ? a->gnutls_certificate_set_x509_system_trust(made) : 0;
		if (code < 0) {
			a->gnutls_certificate_free_credentials(made);
			return say(a, code, "the system's authorities", why, size);
		}
		if (verify && !code) { /* nobody would be trusted, which is no backend's fault */
			a->gnutls_certificate_free_credentials(made);
			snprintf(why, size, "TLS: there are no certificates of authorities");
			return -ENOENT;
		}
		*at = made;
	}
	*to = *at;
	return 0;
}

int tls_start(struct tls *t, struct tls_trust *trust, int fd, const char *host, bool host_is_name,
	      bool verify, char *why, size_t size)
{
	gnutls_certificate_credentials_t made = NULL;
	gnutls_session_t session;
	int code = credentials(trust, verify, &made, why, size);

	if (code)
		return code;
	*t = (struct tls){.fd = fd, .api = trust->api, .name = strdup(host)};
	if (!t->name) {
		snprintf(why, size, "TLS: out of memory");
		return -ENOMEM;
	}
	code = t->api->gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	if (code < 0) {
		tls_stop(t);
		return say(trust->api, code, "session", why, size);
	}
	t->session = session;
	t->api->gnutls_transport_set_ptr(session, t);
	t->api->gnutls_transport_set_pull_function(session, pull);
	t->api->gnutls_transport_set_push_function(session, push);
	t->api->gnutls_transport_set_pull_timeout_function(session, pull_ready);
	code = t->api->gnutls_priority_set(session, trust->priority);
	if (code >= 0)
		code = t->api->gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, made);
	/* RFC 6066, section 3: a name, never an address */
	if (code >= 0 && host_is_name)
		code = t->api->gnutls_server_name_set(session, GNUTLS_NAME_DNS, host, strlen(host));
	if (code < 0) {
		tls_stop(t);
		return say(trust->api, code, "session", why, size);
	}
	if (verify)
		t->api->gnutls_session_set_verify_cert(session, t->name, 0);
	t->api->gnutls_handshake_set_timeout(session,
				     GNUTLS_INDEFINITE_TIMEOUT); /* the probe's own is the one that counts */
	return 0;
}

static int refused(struct tls *t, int code, const char *what, char *why, size_t size)
{
	gnutls_datum_t text;
	unsigned int status = t->api->gnutls_session_get_verify_cert_status(t->session);

	if (t->flooded) {
		snprintf(why, size, "TLS: more than %u bytes from the server", TLS_BYTES);
		return -EMSGSIZE;
	}
	if (t->error) {
		snprintf(why, size, "%s",
			 t->error == ECONNRESET || t->error == EPIPE ? "connection reset"
								     : strerror(t->error));
		return -EPROTO;
	}
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		snprintf(why, size, "TLS: %s: the server says '%s'", what,
			 t->api->gnutls_alert_get_name(t->api->gnutls_alert_get(t->session)));
		return -EPROTO;
	}
	if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
	    t->api->gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) >= 0) {
		snprintf(why, size, "TLS: %s", (char *)text.data);
		(*t->api->gnutls_free)(text.data);
		trim(why);
		return -EPROTO;
	}
	return say(t->api, code, what, why, size);
}

static int failed(struct tls *t, int code, const char *what, char *why, size_t size)
{
	if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED) {
		t->writing = t->api->gnutls_record_get_direction(t->session);
		return -EAGAIN;
	}
	return refused(t, code, what, why, size);
}

int tls_shake(struct tls *t, char *why, size_t size)
{
	int code;

	do {
		code = t->api->gnutls_handshake(t->session);
	} while (code < 0 && code != GNUTLS_E_AGAIN && code != GNUTLS_E_INTERRUPTED &&
		 !t->api->gnutls_error_is_fatal(code) && t->got < TLS_BYTES);
	return code < 0 ? failed(t, code, "handshake", why, size) : 0;
}

ssize_t tls_send(struct tls *t, const void *data, size_t len, char *why, size_t size)
{
	ssize_t n = t->api->gnutls_record_send(t->session, data, len);

	return n < 0 ? failed(t, (int)n, "sending", why, size) : n;
}

ssize_t tls_recv(struct tls *t, void *data, size_t len, char *why, size_t size)
{
	ssize_t n = t->api->gnutls_record_recv(t->session, data, len);

	/* servers that close without close_notify are many; that the answer was whole is seen by itself */
	if (n == GNUTLS_E_PREMATURE_TERMINATION)
		return 0;
	/* a renegotiation that is asked for and may be passed over, a ticket */
	if (n < 0 && !t->api->gnutls_error_is_fatal((int)n) && !t->flooded)
		n = GNUTLS_E_AGAIN;
	return n < 0 ? failed(t, (int)n, "receiving", why, size) : n;
}

bool tls_pending(const struct tls *t)
{
	return t->session && t->api->gnutls_record_check_pending(t->session) > 0;
}

void tls_stop(struct tls *t)
{
	if (t->session)
		t->api->gnutls_deinit(t->session);
	free(t->name);
	t->session = NULL;
	t->name = NULL;
}
