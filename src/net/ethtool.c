// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ethtool ioctl. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "base/err.h"
#include "net/ethtool.h"

static int ask(int fd, const char *ifname, void *request, struct sluice_err *err)
{
	struct ifreq ifr = {.ifr_data = request};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCETHTOOL, &ifr) == 0)
		return 0;
	return err_set(err, -errno, "%s: ethtool request 0x%x: %s", ifname, *(uint32_t *)request,
		       strerror(errno));
}

int net_ethtool_get(int fd, const char *ifname, uint32_t cmd, uint32_t *value, struct sluice_err *err)
{
	struct ethtool_value v = {.cmd = cmd};
	int e = ask(fd, ifname, &v, err);

	*value = v.data;
	return e;
}

int net_ethtool_set(int fd, const char *ifname, uint32_t cmd, uint32_t value, struct sluice_err *err)
{
	struct ethtool_value v = {.cmd = cmd, .data = value};

	return ask(fd, ifname, &v, err);
}

int net_ethtool_driver(int fd, const char *ifname, struct ethtool_drvinfo *info, struct sluice_err *err)
{
	*info = (struct ethtool_drvinfo){.cmd = ETHTOOL_GDRVINFO};
	return ask(fd, ifname, info, err);
}

int net_ethtool_channels(int fd, const char *ifname, struct ethtool_channels *ch, struct sluice_err *err)
{
	*ch = (struct ethtool_channels){.cmd = ETHTOOL_GCHANNELS};
	return ask(fd, ifname, ch, err);
}

/* The kernel names its features in a string set; their order is the order of the bits. */
static int find_feature(int fd, const char *ifname, const char *feature, uint32_t *bit, uint32_t *n,
			struct sluice_err *err)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t len;
	} set = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
	struct ethtool_gstrings *names;
	int e = ask(fd, ifname, &set, err);

	if (e)
		return e;
	*n = set.info.sset_mask ? set.info.data[0] : 0;
	if (*n > 4096) /* 64-odd exist: whatever this is, it is no count */
		return err_set(err, -EBADMSG, "%s: %u ethtool features cannot be", ifname, *n);
	names = calloc(1, sizeof(*names) + (size_t)*n * ETH_GSTRING_LEN);
	if (!names)
		return err_nomem(err);
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = *n;
	e = ask(fd, ifname, names, err);
	for (*bit = 0; !e && *bit < *n; ++*bit)
		if (!strncmp((char *)names->data + (size_t)*bit * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN))
			break;
	free(names);
	if (!e && *bit == *n)
		return err_set(err, -ENOENT, "%s: this kernel has no feature %s", ifname, feature);
	return e;
}

int net_ethtool_feature(int fd, const char *ifname, const char *feature, bool *on, struct sluice_err *err)
{
	struct ethtool_gfeatures *all;
	uint32_t bit = 0, n = 0;
	int e = find_feature(fd, ifname, feature, &bit, &n, err);

	*on = false;
	if (e)
		return e;
	n = (n + 31) / 32;
	all = calloc(1, sizeof(*all) + n * sizeof(all->features[0]));
	if (!all)
		return err_nomem(err);
	all->cmd = ETHTOOL_GFEATURES;
	all->size = n;
	e = ask(fd, ifname, all, err);
	if (!e)
		*on = all->features[bit / 32].active >> (bit % 32) & 1;
	free(all);
	return e;
}
