// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Says which capability is missing when the kernel answered -EPERM. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/priv.h"
#include "bpf/privilege.h"

int privilege_missing(const char *what, struct sluice_err *err)
{
	static const int wanted[] = {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
	bool admin = priv_has(CAP_SYS_ADMIN);
	char lacks[64] = "";
	size_t i, n = 0;

	for (i = 0; !admin && i < sizeof(wanted) / sizeof(*wanted); i++)
		if (!priv_has(wanted[i]))
			n += (size_t)snprintf(lacks + n, sizeof(lacks) - n, "%s%s", n ? ", " : "", priv_name(wanted[i]));
	if (!n && !admin) /* mounting, and opening what another process made by its number */
		n = (size_t)snprintf(lacks, sizeof(lacks), "%s", priv_name(CAP_SYS_ADMIN));
	if (n)
		return err_set(err, -EPERM, "%s needs a privilege that is missing: %s; run it as root", what, lacks);
	return err_set(err, -EPERM,
		       "%s: the kernel refused although the capabilities are there; inside a user namespace, or "
		       "under lockdown, it wants them in the initial one", what);
}
