// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Adding up what CPUs counted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>

#include "base/err.h"
#include "bpf/seam.h"
#include "control/balance_counts.h"

/* An entry of size bytes, a multiple of 8, as each CPU has it, which the caller frees. */
static int per_cpu(int fd, const char *name, uint32_t key, size_t size, void **to, int *cpus, struct sluice_err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int e;

	*to = NULL;
	if (fd < 0)
		return err_set(err, -ENOENT, "there is no map %s", name);
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return err_set(err, -errno, "asking for %s: %s", name, strerror(errno));
	if (info.value_size != size)
		return err_set(err, -EBADMSG, "%s is of another version of Sluice", name);
	*cpus = seam_n_cpus();
	if (*cpus <= 0)
		return err_set(err, *cpus ? *cpus : -EIO, "the number of CPUs: %s", strerror(-*cpus));
	*to = calloc((size_t)*cpus, size);
	if (!*to)
		return err_nomem(err);
	if (!bpf_map_lookup_elem(fd, &key, *to))
		return 0;
	e = err_set(err, -errno, "reading %s, entry %u: %s", name, key, strerror(errno));
	free(*to);
	*to = NULL;
	return e;
}

int balance_counts_read(int fd, uint32_t target, struct balance_count *to, struct sluice_err *err)
{
	struct balance_counts *all = NULL;
	uint32_t at = target % BALANCE_TALLIES;
	int cpus, i, e = per_cpu(fd, "balance_counts", target / BALANCE_TALLIES, sizeof(*all), (void **)&all, &cpus, err);

	*to = (struct balance_count){0};
	for (i = 0; !e && i < cpus; i++) {
		const struct balance_count *c = &all[i].count[at];
		uint64_t tally = all[i].tally[at];

		to->packets += c->packets + BALANCE_TALLY_PACKETS(tally);
		to->bytes += c->bytes + BALANCE_TALLY_BYTES(tally);
		to->opened += c->opened + BALANCE_TALLY_OPENED(tally);
		to->known += c->known + BALANCE_TALLY_KNOWN(tally);
	}
	free(all);
	return e;
}

int balance_reasons_read(int fd, uint32_t service, struct balance_reasons *to, struct sluice_err *err)
{
	struct balance_reasons *all = NULL;
	int cpus, i, k, e = per_cpu(fd, "balance_reasons", service, sizeof(*all), (void **)&all, &cpus, err);

	*to = (struct balance_reasons){0};
	for (i = 0; !e && i < cpus; i++)
		for (k = 0; k < 16; k++)
			to->n[k] += all[i].n[k];
	free(all);
	return e;
}
