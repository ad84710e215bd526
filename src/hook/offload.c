// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs that run on the network card itself. The card's driver compiles the program when it is loaded for that
 * device, so the object must have been loaded with sluice_object_set_device(); cards take one program and no links.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "base/err.h"
#include "bpf/log.h"
#include "bpf/privilege.h"
#include "hook/offload.h"

int offload_attach(int ifindex, const struct sluice_member *members, size_t n, const struct sluice_attach_opts *opts,
		   struct sluice_attached *got, struct sluice_err *err)
{
	char name[IF_NAMESIZE] = "?";
	int e;

	if (n != 1)
		return err_set(err, -EOPNOTSUPP, "a card runs one offloaded program, here are %zu; use --mode native for a chain", n);
	if_indextoname((unsigned int)ifindex, name);
	log_catch_start();
	e = bpf_xdp_attach(ifindex, sluice_program_fd(members[0].prog),
			   XDP_FLAGS_HW_MODE | (opts->force ? 0 : XDP_FLAGS_UPDATE_IF_NOEXIST), NULL);
	log_catch_stop();
	if (e == -EPERM)
		return privilege_missing("attaching to an interface", err);
	if (e == -EBUSY || e == -EEXIST)
		return err_set(err, -EBUSY, "an offloaded program is attached already; replace it with --force");
	if (e)
		return err_set(err, -EOPNOTSUPP,
			       "%s does not run BPF programs itself (offload takes a network card that does); use --mode native", name);
	if (got) {
		got->mode = SLUICE_MODE_OFFLOAD;
		snprintf(got->name[0], sizeof(got->name[0]), "%s", sluice_program_name(members[0].prog));
	}
	return 0;
}
