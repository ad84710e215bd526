// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* guard-tool FILE [SSH_CONNECTION]: would the policy cut somebody off? The sentence, and 0 no, 1 yes, 2 anything else. */
#include <errno.h>
#include <stdio.h>

#include "control/guard.h"

int main(int argc, char **argv)
{
	struct control_guard_opts o = {.ssh_connection = argc > 2 ? argv[2] : NULL};
	struct sluice_err err = {0};
	struct policy *p = NULL;
	int e = argc < 2 ? -EINVAL : policy_read(argv[1], NULL, &p, &err);

	if (!e)
		e = control_guard(p, &o, &err);
	if (e)
		printf("%s\n", err.text);
	policy_free(p);
	return e == -EBUSY ? 1 : e ? 2 : 0;
}
