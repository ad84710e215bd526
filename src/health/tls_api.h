/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is used of GnuTLS. It is opened when the first https check is made, not at the start of the program: linked in, it
 * costs every start of `sluice` 1.6 ms. Types are those of its header, so that a name here and its use are checked.
 */
#ifndef HEALTH_TLS_API_H
#define HEALTH_TLS_API_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define TLS_API(X)                                      \
	X(gnutls_alert_get)                             \
	X(gnutls_alert_get_name)                        \
	X(gnutls_certificate_allocate_credentials)      \
	X(gnutls_certificate_free_credentials)          \
	X(gnutls_certificate_set_x509_system_trust)     \
	X(gnutls_certificate_verification_status_print) \
	X(gnutls_credentials_set)                       \
	X(gnutls_deinit)                                \
	X(gnutls_error_is_fatal)                        \
	X(gnutls_handshake)                             \
	X(gnutls_handshake_set_timeout)                 \
	X(gnutls_init)                                  \
	X(gnutls_priority_deinit)                       \
	X(gnutls_priority_init)                         \
	X(gnutls_priority_set)                          \
	X(gnutls_record_check_pending)                  \
	X(gnutls_record_get_direction)                  \
	X(gnutls_record_recv)                           \
	X(gnutls_record_send)                           \
	X(gnutls_server_name_set)                       \
	X(gnutls_session_get_verify_cert_status)        \
	X(gnutls_session_set_verify_cert)               \
	X(gnutls_strerror)                              \
	X(gnutls_transport_set_errno)                   \
	X(gnutls_transport_set_ptr)                     \
	X(gnutls_transport_set_pull_function)           \
	X(gnutls_transport_set_pull_timeout_function)   \
	X(gnutls_transport_set_push_function)

struct tls_api {
#define TLS_MEMBER(name) __typeof__(&name) name;
	TLS_API(TLS_MEMBER)
#undef TLS_MEMBER
	gnutls_free_function *gnutls_free; /* a variable */
};

/* tls_api_open() opens the library and finds all of it. errors: -ENOENT, and why */
int tls_api_open(struct tls_api *api, char *why, size_t size);

#endif
