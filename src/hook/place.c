// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is attached to an interface, and the lock that keeps two changes of it apart. Pins: pins.c. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "base/clock.h"
#include "base/err.h"
#include "bpf/log.h"
#include "bpf/privilege.h"
#include "hook/place.h"
#include "hook/place_internal.h"

uint32_t place_mode_flags(enum sluice_mode mode)
{
	switch (mode) {
	case SLUICE_MODE_GENERIC:
		return XDP_FLAGS_SKB_MODE;
	case SLUICE_MODE_OFFLOAD:
		return XDP_FLAGS_HW_MODE;
	default:
		return XDP_FLAGS_DRV_MODE;
	}
}

/*
 * The link through which a program is on an interface. A chain of Sluice has a program of its own; one that somebody
 * else attached to interfaces of the same number in several namespaces has as many links that look alike.
 */
static uint32_t find_link(int ifindex, uint32_t prog_id, uint32_t *n)
{
	uint32_t id = 0, found = 0;

	*n = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id), e;

		if (fd < 0)
			continue;
		e = bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
		if (!e && info.type == BPF_LINK_TYPE_XDP && info.prog_id == prog_id && info.xdp.ifindex == (uint32_t)ifindex) {
			found = id;
			(*n)++;
		}
	}
	return found;
}

int place_query(int ifindex, struct place_attached *a, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int e;

	memset(a, 0, sizeof(*a));
	log_catch_start();
	e = bpf_xdp_query(ifindex, 0, &q);
	log_catch_stop();
	if (e == -ENODEV || e == -ENXIO || e == -EINVAL)
		return err_set(err, -ENODEV, "there is no interface number %d", ifindex);
	if (e == -EPERM || e == -EACCES)
		return privilege_missing("asking what is attached to an interface", err);
	if (e)
		return err_set(err, e, "asking what is attached: %s", strerror(-e));
	a->n_more = !!q.drv_prog_id + !!q.skb_prog_id + !!q.hw_prog_id;
	if (!a->n_more && q.prog_id) { /* single-mode answers leave the three apart */
		a->n_more = 1;
		q.drv_prog_id = q.attach_mode == XDP_ATTACHED_SKB || q.attach_mode == XDP_ATTACHED_HW ? 0 : q.prog_id;
		q.skb_prog_id = q.attach_mode == XDP_ATTACHED_SKB ? q.prog_id : 0;
		q.hw_prog_id = q.attach_mode == XDP_ATTACHED_HW ? q.prog_id : 0;
	}
	if (!a->n_more)
		return 0;
	a->n_more--;
	a->mode = q.drv_prog_id ? SLUICE_MODE_NATIVE : q.skb_prog_id ? SLUICE_MODE_GENERIC : SLUICE_MODE_OFFLOAD;
	a->prog_id = q.drv_prog_id ?: q.skb_prog_id ?: q.hw_prog_id;
	a->flags = place_mode_flags(a->mode);
	a->link_id = find_link(ifindex, a->prog_id, &a->n_links);
	return 0;
}

int place_take_off(int ifindex, const struct place_attached *a, int prog_fd, struct sluice_err *err)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = prog_fd);
	struct place_attached after;
	int fd, e;

	log_catch_start();
	e = bpf_xdp_detach(ifindex, (__u32)a->flags, &opts);
	log_catch_stop();
	if (!e)
		return 0;
	if (e != -EBUSY || !a->link_id) /* -EBUSY: there is a link */
		return err_set(err, e == -EPERM ? -EPERM : -EBUSY, "taking program %u off: %s", a->prog_id, strerror(-e));
	if (a->n_links > 1)
		return err_set(err, -EBUSY, "program %u has %u links to interfaces number %d of different network namespaces; which "
			       "one is this cannot be told: end it where it was attached", a->prog_id, a->n_links, ifindex);
	fd = bpf_link_get_fd_by_id(a->link_id);
	e = fd < 0 || bpf_link_detach(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (!e && !place_query(ifindex, &after, NULL) && after.prog_id == a->prog_id)
		e = -EBUSY;
	return e ? err_set(err, -EBUSY, "taking program %u off: %s", a->prog_id, strerror(-e)) : 0;
}

uint64_t place_netns(void)
{
	struct stat st;

	return stat("/proc/thread-self/ns/net", &st) ? 0 : (uint64_t)st.st_ino;
}

/* Opens and locks; true if the file that is locked is still the one under that name (its last holder removes it). */
static int try_lock(const char *path, int *fd)
{
	struct stat mine, there;
	int e;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return -errno;
	if (flock(*fd, LOCK_EX | LOCK_NB))
		e = errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
	else if (fstat(*fd, &mine) || stat(path, &there) || mine.st_ino != there.st_ino)
		e = -EAGAIN;
	else
		return 0;
	close(*fd);
	*fd = -1;
	return e;
}

int place_lock_name(const char *name, uint64_t wait_ns, struct place_lock *lock, struct sluice_err *err)
{
	uint64_t until = clock_mono_ns() + wait_ns;
	int e;

	lock->fd = -1;
	if (mkdir(LOCK_DIR, 0755) && errno != EEXIST)
		return errno == EACCES || errno == EPERM ?
			       privilege_missing("changing what is attached to an interface", err) :
			       err_set(err, -errno, LOCK_DIR ": %s", strerror(errno));
	snprintf(lock->path, sizeof(lock->path), LOCK_DIR "/%s.lock", name);
	while ((e = try_lock(lock->path, &lock->fd)) == -EAGAIN) {
		if (clock_mono_ns() >= until)
			return err_set(err, -EBUSY, "another sluice is changing this interface (it holds %s)", lock->path);
		if (usleep(5000) && errno == EINTR) /* a signal that the caller handles: it wants to stop */
			return err_set(err, -EINTR, "interrupted while another sluice is changing this interface (it holds %s)", lock->path);
	}
	if (e == -EACCES || e == -EPERM)
		return privilege_missing("changing what is attached to an interface", err);
	return e ? err_set(err, e, "locking %s: %s", lock->path, strerror(-e)) : 0;
}

int place_lock(int ifindex, uint64_t wait_ns, struct place_lock *lock, struct sluice_err *err)
{
	char name[64];

	snprintf(name, sizeof(name), "net%llu_if%d", (unsigned long long)place_netns(), ifindex);
	return place_lock_name(name, wait_ns, lock, err);
}

int place_slot_hold(uint32_t map_id, struct place_lock *lock, struct sluice_err *err)
{
	char name[32];

	snprintf(name, sizeof(name), PLACE_SLOT "%u", map_id);
	return place_lock_name(name, 0, lock, err);
}

bool place_slot_held(uint32_t map_id)
{
	struct place_lock lock;

	if (place_slot_hold(map_id, &lock, NULL))
		return true;
	place_unlock(&lock);
	return false;
}

void place_unlock(struct place_lock *lock)
{
	if (lock->fd < 0)
		return;
	unlink(lock->path); /* while it is locked: whoever waits on this file sees that the name is gone, and opens anew */
	close(lock->fd);
	lock->fd = -1;
}
