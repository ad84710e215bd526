// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Interfaces as arguments of a verb. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/if_args.h"

int if_args(char **args, int n_args, struct net_if **ifs, size_t *n, struct sluice_err *err)
{
	size_t len = 0;
	char *list, *at;
	int a, rc;

	*ifs = NULL;
	*n = 0;
	for (a = 0; a < n_args; a++)
		len += strlen(args[a]) + 1;
	list = malloc(len + 1);
	if (!list)
		return err_nomem(err);
	for (at = list, a = 0; a < n_args; a++)
		at += snprintf(at, len + 1 - (size_t)(at - list), "%s%s", a ? "," : "", args[a]);
	rc = net_ifs_find(list, ifs, n, err);
	free(list);
	return rc;
}
