// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Says which capability is missing when the kernel answered -EPERM. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>

#include "base/err.h"
#include "bpf/privilege.h"

static void effective(uint64_t *caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (!syscall(SYS_capget, &head, data))
		*caps = data[0].effective | (uint64_t)data[1].effective << 32;
}

int privilege_missing(const char *what, struct sluice_err *err)
{
	static const struct {
		int bit;
		const char *name;
	} wanted[] = {{CAP_BPF, "CAP_BPF"}, {CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_PERFMON, "CAP_PERFMON"}};
	char lacks[64] = "";
	uint64_t caps = ~0ull;
	size_t i, n = 0;

	effective(&caps);
	if (!(caps & 1ull << CAP_SYS_ADMIN))
		for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
			if (!(caps & 1ull << wanted[i].bit))
				n += (size_t)snprintf(lacks + n, sizeof(lacks) - n, "%s%s", n ? ", " : "", wanted[i].name);
	if (!n && !(caps & 1ull << CAP_SYS_ADMIN)) /* mounting, and opening what another process made by its number */
		n = (size_t)snprintf(lacks, sizeof(lacks), "CAP_SYS_ADMIN");
	if (n)
		return err_set(err, -EPERM, "%s needs a privilege that is missing: %s; run it as root", what, lacks);
	return err_set(err, -EPERM,
		       "%s: the kernel refused although the capabilities are there; inside a user namespace, or "
		       "under lockdown, it wants them in the initial one", what);
}
