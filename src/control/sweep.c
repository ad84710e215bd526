// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* State of network namespaces that are gone: nobody else would ever look at it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "control/files.h"
#include "control/inside.h"

#define FIRST_PIDNS 0xeffffffcu /* PROC_PID_INIT_INO of <linux/proc_ns.h>: from there all processes are seen */

struct sweep {
	const struct control_state *st;
	char root[PATH_MAX]; /* the folder that holds pins of all namespaces */
	uint64_t netns;	     /* asked for */
	bool found;
};

/* What may not be looked at may be it. */
static bool may_be(const char *path, uint64_t netns)
{
	struct stat st;

	return stat(path, &st) ? errno != ENOENT && errno != ESRCH : st.st_ino == netns;
}

static void in_process(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	char path[64];

	if (s->found || !isdigit((unsigned char)name[0]))
		return;
	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", name);
	s->found = may_be(path, s->netns);
}

static void in_name(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	char path[300];

	snprintf(path, sizeof(path), "/run/netns/%.255s", name);
	s->found |= may_be(path, s->netns);
}

/* A link of one of its chains that is still on an interface. */
static void in_link(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	uint64_t netns;
	int fd, ifindex, n;

	if (s->found || sscanf(name, "net%" SCNu64 "_if%d%n", &netns, &ifindex, &n) != 2 || name[n] || netns != s->netns)
		return;
	n = snprintf(path, sizeof(path), "%s/%s/link", s->root, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return;
	fd = bpf_obj_get(path);
	if (fd < 0)
		s->found = errno != ENOENT;
	else
		s->found = bpf_obj_get_info_by_fd(fd, &info, &len) || info.xdp.ifindex;
	if (fd >= 0)
		close(fd);
}

static bool is_mounted(uint64_t netns)
{
	char line[PATH_MAX], wanted[40];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	snprintf(wanted, sizeof(wanted), "net:[%" PRIu64 "]", netns);
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, wanted) != NULL;
	if (f)
		fclose(f);
	return found || !f;
}

static bool is_alive(struct sweep *s, uint64_t netns)
{
	s->netns = netns;
	s->found = is_mounted(netns);
	files_each("/proc", in_process, s);
	files_each("/run/netns", in_name, s);
	files_each(s->root, in_link, s);
	return s->found;
}

/* A new namespace may get the number right now: it is looked for once more with its lock held. */
static void remove_all(struct sweep *s, uint64_t netns)
{
	char run[64], lock[80], pins[PATH_MAX];
	int fd, n = snprintf(pins, sizeof(pins), "%s/net%" PRIu64 "_policy", s->root, netns);

	snprintf(run, sizeof(run), CONTROL_RUN "/policy-net%" PRIu64, netns);
	snprintf(lock, sizeof(lock), "%s/lock", run);
	if (n < 0 || (size_t)n >= sizeof(pins) || files_mkdir(run, NULL))
		return;
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	if (!flock(fd, LOCK_EX | LOCK_NB) && control_same_file(fd, lock) && !is_alive(s, netns)) {
		files_remove(pins);
		files_remove(run);
	}
	close(fd);
}

static void sweep_one(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	uint64_t netns;
	int n = 0;

	if ((sscanf(name, "net%" SCNu64 "_policy%n", &netns, &n) == 1 || sscanf(name, "policy-net%" SCNu64 "%n", &netns, &n) == 1) &&
	    n && !name[n] && netns != s->st->netns && !is_alive(s, netns))
		remove_all(s, netns);
}

/* The history of one that never had a name. */
static void sweep_lib(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	char path[PATH_MAX];
	uint64_t netns, cookie;
	int n = 0;

	if (sscanf(name, "net%" SCNu64 "-%" SCNu64 "%n", &netns, &cookie, &n) == 2 && !name[n] && netns != s->st->netns &&
	    !is_alive(s, netns) && !files_path(path, sizeof(path), CONTROL_LIB, name, NULL))
		files_remove(path);
}

void control_sweep(const struct control_state *st)
{
	struct sweep s = {.st = st};
	struct stat pidns, first;

	/* /proc may be mounted so that only the caller's processes are in it; then the first one is not either */
	if (stat("/proc/self/ns/pid", &pidns) || pidns.st_ino != FIRST_PIDNS || stat("/proc/1/ns/net", &first) ||
	    !st->pins[0])
		return;
	snprintf(s.root, sizeof(s.root), "%.*s", (int)(strrchr(st->pins, '/') - st->pins), st->pins);
	files_each(s.root, sweep_one, &s);
	files_each(CONTROL_RUN, sweep_one, &s);
	files_each(CONTROL_LIB, sweep_lib, &s);
}
