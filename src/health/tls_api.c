// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Opening GnuTLS. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "health/tls_api.h"

/* the name of the interface that the header describes: another number would be another interface */
#define LIBRARY "libgnutls.so.30"

static bool find(void *library, const char *name, void *to, char *why, size_t size)
{
	void *at = dlsym(library, name);

	if (at)
		memcpy(to, &at, sizeof(at));
	else
		snprintf(why, size, "TLS: %s has no %s: install GnuTLS 3.6 or later", LIBRARY, name);
	return at;
}

int tls_api_open(struct tls_api *api, char *why, size_t size)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!library) {
		snprintf(why, size, "TLS: %s is not installed (Debian: libgnutls30, Fedora: gnutls)",
			 LIBRARY);
		return -ENOENT;
	}
#define TLS_FIND(name)                                      \
	if (!find(library, #name, &api->name, why, size)) { \
		dlclose(library);                           \
		return -ENOENT;                             \
	}
	TLS_API(TLS_FIND)
	TLS_FIND(gnutls_free)
#undef TLS_FIND
	/* it stays in memory (RTLD_NODELETE); what is closed is only this handle of it */
	dlclose(library);
	return 0;
}
