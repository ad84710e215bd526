// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The other end of a veth. Whose namespace is another one, it is asked there, by a thread that has nothing else to do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/ethtool.h"
#include "net/peer.h"

#define NETNS_DIR "/run/netns"

struct asked {
	const char *name, *feature;
	int netns; /* -1: this one */
	bool *on;
	struct sluice_err *err;
	int e;
};

/* The namespace that is nsid here, open; -1: it has no name. */
static int open_netns(struct net_nl *route, int nsid)
{
	DIR *dir = opendir(NETNS_DIR);
	struct dirent *d;
	int fd = -1, its;

	while (dir && fd < 0 && (d = readdir(dir))) {
		fd = d->d_name[0] == '.' ? -1 : openat(dirfd(dir), d->d_name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (!net_nsid_of(route, fd, &its, NULL) && its == nsid))
			continue;
		close(fd);
		fd = -1;
	}
	if (dir)
		closedir(dir);
	return fd;
}

static void *ask(void *arg)
{
	struct asked *a = arg;
	int fd;

	if (a->netns >= 0 && setns(a->netns, CLONE_NEWNET)) {
		a->e = err_set(a->err, -errno, "entering the network namespace of %s: %s", a->name, strerror(errno));
		return NULL;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	a->e = fd < 0 ? err_set(a->err, -errno, "socket: %s", strerror(errno))
		      : net_ethtool_feature(fd, a->name, a->feature, a->on, a->err);
	if (fd >= 0)
		close(fd);
	return NULL;
}

int net_peer_feature(struct net_nl *route, const struct net_ifinfo *veth, const char *feature, char name[16], bool *on,
		     struct sluice_err *err)
{
	struct asked a = {.name = name, .feature = feature, .netns = -1, .on = on, .err = err};
	struct net_ifinfo peer;
	pthread_t thread;
	int e;

	name[0] = '\0';
	*on = false;
	if (!veth->lower)
		return err_set(err, -ENOENT, "%s: its other end is out of sight", veth->name);
	e = net_ifinfo_read(route, veth->lower, veth->lower_nsid, &peer, err);
	if (e)
		return e;
	snprintf(name, 16, "%s", peer.name);
	if (veth->lower_nsid < 0) {
		ask(&a);
		return a.e;
	}
	a.netns = open_netns(route, veth->lower_nsid);
	if (a.netns < 0)
		return err_set(err, -ENOENT, "%s: the namespace of its other end has no name in " NETNS_DIR, veth->name);
	e = pthread_create(&thread, NULL, ask, &a);
	if (e)
		a.e = err_set(err, -e, "a thread: %s", strerror(e));
	else
		pthread_join(thread, NULL);
	close(a.netns);
	return a.e;
}
