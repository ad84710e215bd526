// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which capabilities the calling thread has. */
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/priv.h"

bool priv_has(int cap)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (cap < 0 || cap > 63 || syscall(__NR_capget, &head, data))
		return false;
	return data[cap / 32].effective >> (cap % 32) & 1;
}

const char *priv_name(int cap)
{
	switch (cap) {
	case CAP_NET_ADMIN:
		return "CAP_NET_ADMIN";
	case CAP_NET_RAW:
		return "CAP_NET_RAW";
	case CAP_SYS_ADMIN:
		return "CAP_SYS_ADMIN";
	case CAP_SYS_RESOURCE:
		return "CAP_SYS_RESOURCE";
	case CAP_PERFMON:
		return "CAP_PERFMON";
	case CAP_BPF:
		return "CAP_BPF";
	default:
		return "a capability";
	}
}

int priv_need(int cap, const char *what, struct sluice_err *err)
{
	if (priv_has(cap))
		return 0;
	return err_set(err, -EPERM, "%s needs %s: run as root", what, priv_name(cap));
}
