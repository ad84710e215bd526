// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the generator needs of the host. Whatever has to happen in another network namespace happens in a thread of
 * its own, so that a failure cannot leave the caller in the wrong one; sockets and links stay where they were made.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "base/err.h"
#include "port/traffic_host.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Runs in a thread that takes no signals: they are the caller's. */
static int in_thread(void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	pthread_t thread;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!e)
		pthread_join(thread, NULL);
	return -e;
}

struct hold_job {
	struct traffic_hold *hold;
	int prog_fd, error;
};

static void *hold_run(void *arg)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_SKB_MODE);
	struct hold_job *job = arg;
	enum { LOOPBACK = 1 }; /* the first interface of every namespace */

	if (unshare(CLONE_NEWNET)) {
		job->error = -errno;
		return NULL;
	}
	job->hold->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	job->hold->link = bpf_link_create(job->prog_fd, LOOPBACK, BPF_XDP, &opts);
	if (job->hold->netns < 0 || job->hold->link < 0)
		job->error = -errno;
	return NULL;
}

int traffic_hold_open(struct traffic_hold *hold, int prog_fd)
{
	struct hold_job job = {.hold = hold, .prog_fd = prog_fd};
	int e;

	*hold = (struct traffic_hold){.netns = -1, .link = -1};
	e = in_thread(hold_run, &job);
	if (!e)
		e = job.error;
	if (e)
		traffic_hold_close(hold);
	return e;
}

void traffic_hold_close(struct traffic_hold *hold)
{
	close_fd(&hold->link);
	close_fd(&hold->netns);
}

struct peer_job {
	struct traffic_peer *peer;
	const char *ifname;
	int netns, error;
	struct sluice_err *err;
};

static void *peer_run(void *arg)
{
	struct peer_job *job = arg;
	struct net_dev dev;

	if (job->netns >= 0 && setns(job->netns, CLONE_NEWNET)) {
		job->error = err_set(job->err, errno == EINVAL ? -ENOENT : -errno, "%s",
			errno == EINVAL ? "it is not a network namespace" : strerror(errno));
		return NULL;
	}
	job->error = net_nl_open(&job->peer->nl, NETLINK_ROUTE, job->err);
	if (!job->error)
		job->error = net_dev_read(&job->peer->nl, 0, job->ifname, &dev, job->err);
	if (!job->error) {
		job->peer->index = dev.info.index;
		job->peer->rx_packets = dev.stats.rx_packets;
	}
	return NULL;
}

int traffic_peer_open(struct traffic_peer *peer, const char *name, struct sluice_err *err)
{
	struct peer_job job = {.peer = peer, .ifname = name, .netns = -1, .err = err};
	const char *slash = strrchr(name, '/');
	char path[512];
	int e;

	*peer = (struct traffic_peer){.index = 0};
	if (slash) {
		bool is_path = memchr(name, '/', (size_t)(slash - name)) != NULL;

		job.ifname = slash + 1;
		if (snprintf(path, sizeof(path), "%s%.*s", is_path ? "" : "/run/netns/", (int)(slash - name),
			     name) >= (int)sizeof(path))
			return err_set(err, -EINVAL, "peer %s: the name is too long", name);
		job.netns = open(path, O_RDONLY | O_CLOEXEC);
		if (job.netns < 0)
			return err_set(err, errno == EPERM || errno == EACCES ? -EPERM : -ENOENT,
				       "peer %s: network namespace %s: %s", name, path, strerror(errno));
	}
	if (!job.ifname[0] || strlen(job.ifname) > 15)
		e = err_set(err, -ENODEV, "no interface '%s'", job.ifname);
	else
		e = in_thread(peer_run, &job);
	if (!e)
		e = job.error;
	close_fd(&job.netns);
	return e ? err_prefix(err, "peer %s", name) : 0;
}

void traffic_peer_close(struct traffic_peer *peer)
{
	net_nl_close(&peer->nl);
}

int traffic_peer_received(struct traffic_peer *peer, uint64_t expect, uint64_t *received,
			  struct sluice_err *err)
{
	static const struct timespec pause = {.tv_nsec = 10000000};
	unsigned int still = 0, waited;
	uint64_t last = UINT64_MAX;
	struct net_dev dev;
	int e;

	*received = 0;
	for (waited = 0; waited < 100 && still < 10; waited++) {
		e = net_dev_read(&peer->nl, peer->index, NULL, &dev, err);
		if (e)
			return e;
		*received = dev.stats.rx_packets - peer->rx_packets;
		if (*received >= expect)
			break;
		still = *received == last ? still + 1 : 0;
		last = *received;
		nanosleep(&pause, NULL);
	}
	return 0;
}
