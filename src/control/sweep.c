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

static void in_process(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	char path[64];
	struct stat st;

	if (s->found || !isdigit((unsigned char)name[0]))
		return;
	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", name);
	s->found = !stat(path, &st) && st.st_ino == s->netns;
}

static void in_name(void *ctx, const char *name)
{
	struct sweep *s = ctx;
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "/run/netns/%.255s", name);
	s->found |= !stat(path, &st) && st.st_ino == s->netns;
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
	fd = n > 0 && (size_t)n < sizeof(path) ? bpf_obj_get(path) : -1;
	s->found = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && info.xdp.ifindex;
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

static void remove_all(const struct sweep *s, uint64_t netns)
{
	char run[64], lock[80], pins[PATH_MAX];
	int fd, n = snprintf(pins, sizeof(pins), "%s/net%" PRIu64 "_policy", s->root, netns);

	snprintf(run, sizeof(run), "/run/sluice/policy-net%" PRIu64, netns);
	snprintf(lock, sizeof(lock), "%s/lock", run);
	/* a new namespace may get the number right now */
	fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return;
	}
	if (n > 0 && (size_t)n < sizeof(pins))
		files_remove(pins);
	files_remove(run);
	if (fd >= 0)
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
	struct stat pidns;

	if (stat("/proc/self/ns/pid", &pidns) || pidns.st_ino != FIRST_PIDNS || !st->pins[0])
		return;
	snprintf(s.root, sizeof(s.root), "%.*s", (int)(strrchr(st->pins, '/') - st->pins), st->pins);
	files_each(s.root, sweep_one, &s);
	files_each(CONTROL_RUN, sweep_one, &s);
	files_each(CONTROL_LIB, sweep_lib, &s);
}
