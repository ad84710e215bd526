// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where the state of a namespace is kept, its lock and its record; which generation is in force. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <sluice/chain.h>

#include "base/clock.h"
#include "base/err.h"
#include "bpf/privilege.h"
#include "control/files.h"
#include "control/inside.h"
#include "hook/place.h"

#define NETNS "/run/netns"
#define RECORD_MAX 4096

#define ELSEWHERE \
	"nsenter --net=/run/netns/NAME (not ip netns exec) stays where it is, --bpffs DIR says where"

#define FIRST_NETNS 0xeffffff9u /* NET_NS_INIT_INO of <linux/nsfs.h>; before Linux 6.18 none has it */

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static const char *const changes[] = {
	[CONTROL_NONE] = "none",   [CONTROL_APPLY] = "apply", [CONTROL_JOINT] = "joint",
	[CONTROL_DOWN] = "down",   [CONTROL_TRIAL] = "trial", [CONTROL_SETTLE] = "settle",
	[CONTROL_RETURN] = "return",
};

/* The numbers of namespaces are used again; this one is not, until the next boot. */
static uint64_t netns_cookie(void)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (s >= 0 && getsockopt(s, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		cookie = 0;
	if (s >= 0)
		close(s);
	return cookie;
}

static void read_boot(struct control_state *st)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, st->boot, sizeof(st->boot) - 1) : 0;

	if (fd >= 0)
		close(fd);
	st->boot[n > 0 ? strspn(st->boot, "0123456789abcdef-") : 0] = '\0';
	if (!st->boot[0])
		snprintf(st->boot, sizeof(st->boot), "-");
}

struct find_name {
	uint64_t netns;
	char name[80];
};

static void is_named(void *ctx, const char *name)
{
	struct find_name *f = ctx;
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), NETNS "/%.255s", name);
	if (!f->name[0] && strlen(name) < sizeof(f->name) && !stat(path, &st) && st.st_ino == f->netns)
		snprintf(f->name, sizeof(f->name), "%s", name);
}

/*
 * What the namespace is called in files that outlive the boot, when its number does not. "host" is the kernel's first,
 * which has a number of its own since Linux 6.18, or that of the first process that is seen here, for who may look at
 * it: any other guess could restore somebody else's policy on the host.
 */
static void name_lib(struct control_state *st)
{
	struct find_name f = {.netns = st->netns};
	struct stat init;
	bool host = st->netns == FIRST_NETNS || (!stat("/proc/1/ns/net", &init) && init.st_ino == st->netns);

	if (!host)
		files_each(NETNS, is_named, &f);
	if (host)
		snprintf(st->lib, sizeof(st->lib), CONTROL_LIB "/host");
	else if (f.name[0])
		snprintf(st->lib, sizeof(st->lib), CONTROL_LIB "/netns-%s", f.name);
	else
		snprintf(st->lib, sizeof(st->lib), CONTROL_LIB "/net%" PRIu64 "-%" PRIu64, st->netns, st->cookie);
}

bool control_name_ok(const char *name)
{
	size_t n = strspn(name, "0123456789");

	return n && n < 11 && name[n] == '-' && strspn(name + n + 1, "0123456789abcdef") == CONTROL_HASH &&
	       !name[n + 1 + CONTROL_HASH];
}

static bool name_of(const char *text, const char *key, char *to)
{
	if (!files_line(text, key, to, CONTROL_NAME) || !strcmp(to, "-"))
		to[0] = '\0';
	return !to[0] || control_name_ok(to);
}

static int parse_record(struct control_state *st, const char *text, struct sluice_err *err)
{
	struct control_record *r = &st->record;
	uint64_t cookie = 0;
	char word[16], boot[40];
	uint32_t i;

	if (!files_number(text, "namespace", &cookie) || !files_line(text, "change", word, sizeof(word)))
		goto damaged;
	if (cookie != st->cookie || !files_line(text, "boot", boot, sizeof(boot)) || strcmp(boot, st->boot) != 0)
		return 0; /* of a namespace that is gone and had the same number */
	for (i = 0; i < sizeof(changes) / sizeof(*changes) && strcmp(changes[i], word) != 0; i++)
		;
	r->change = (enum control_change)i;
	if (i == sizeof(changes) / sizeof(*changes) || !name_of(text, "live", r->live) ||
	    !name_of(text, "before", r->before) || !name_of(text, "next", r->next) ||
	    !name_of(text, "past", r->past) || !name_of(text, "tried", r->tried) ||
	    !files_number(text, "since", &r->since_ns) || !files_number(text, "rolled_back", &r->rolled_back_ns))
		goto damaged;
	return 0;
damaged:
	memset(r, 0, sizeof(*r));
	return err_set(err, -EBADMSG, "%s/record is damaged; sluice down --force begins anew", st->run);
}

static int read_record(struct control_state *st, struct sluice_err *err)
{
	struct buf text = {0};
	int e = files_read(st->run, "record", RECORD_MAX, &text, err);

	memset(&st->record, 0, sizeof(st->record));
	if (!e)
		e = parse_record(st, (const char *)text.data, err);
	else if (e == -ENOENT)
		e = 0;
	buf_free(&text);
	return e;
}

static const char *dash(const char *name)
{
	return name[0] ? name : "-";
}

int control_state_record(struct control_state *st, struct sluice_err *err)
{
	const struct control_record *r = &st->record;
	char text[RECORD_MAX];
	int n = snprintf(text, sizeof(text),
			 "namespace %" PRIu64 "\nboot %s\nchange %s\nlive %s\nbefore %s\nnext %s\nsince %" PRIu64
			 "\nrolled_back %" PRIu64 "\ntried %s\npast %s\n",
			 st->cookie, st->boot, changes[r->change], dash(r->live), dash(r->before), dash(r->next),
			 r->since_ns, r->rolled_back_ns, dash(r->tried), dash(r->past));

	return files_write(st->run, "record", text, (size_t)n, false, err);
}

void control_state_forget(const struct control_state *st)
{
	char path[PATH_MAX];

	if (!files_path(path, sizeof(path), st->run, "record", NULL))
		unlink(path);
}

void control_state_close(struct control_state *st)
{
	if (!st)
		return;
	control_state_unlock(st);
	free(st);
}

/* Whoever has the lock wrote its number into it; one that was killed leaves a number, but no lock. */
static int busy(const char *path, int fd, struct sluice_err *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	return err_set(err, -EBUSY, "process %s is changing the policy (it holds %s)", pid[0] ? pid : "?", path);
}

bool control_same_file(int fd, const char *path)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* *fd, locked; it may be a file that was removed meanwhile. */
static int lock_once(const char *path, uint64_t until, int *fd, struct sluice_err *err)
{
	int e = 0;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return errno == EACCES || errno == EPERM ?
			       privilege_missing("changing the policy", err) :
			       err_set(err, -errno, "%s: %s", path, strerror(errno));
	while (!e && flock(*fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			e = err_set(err, -errno, "locking %s: %s", path, strerror(errno));
		else if (clock_mono_ns() >= until)
			e = busy(path, *fd, err);
		else if (usleep(5000) && errno == EINTR)
			e = err_set(err, -EINTR, "interrupted while another process is changing the policy");
	}
	if (e)
		close(*fd);
	return e;
}

static int lock_file(struct control_state *st, uint64_t wait_ns, struct sluice_err *err)
{
	uint64_t until = clock_mono_ns() + wait_ns;
	char path[PATH_MAX], pid[16];
	int fd, n, e = files_path(path, sizeof(path), st->run, "lock", err);

	/* whoever removes the state of a namespace that is gone removes the lock, while it holds it */
	for (e = e ?: lock_once(path, until, &fd, err); !e && !control_same_file(fd, path);
	     e = files_mkdir(st->run, err) ?: lock_once(path, until, &fd, err))
		close(fd);
	if (e)
		return e;
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
		e = err_set(err, -errno, "writing %s: %s", path, strerror(errno));
	st->lock_fd = fd;
	return e;
}

int control_state_lock(struct control_state *st, uint64_t wait_ns, struct sluice_err *err)
{
	return lock_file(st, wait_ns, err) ?: read_record(st, err);
}

void control_state_unlock(struct control_state *st)
{
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	st->lock_fd = -1;
}

static int open_state(const char *bpffs, bool make, bool reset, struct control_state **state, struct sluice_err *err)
{
	struct control_state *st = calloc(1, sizeof(*st));
	char root[200];
	int e = 0;

	*state = NULL;
	if (!st)
		return err_nomem(err);
	st->lock_fd = -1;
	snprintf(st->bpffs, sizeof(st->bpffs), "%s", bpffs ?: "");
	st->netns = place_netns();
	st->cookie = netns_cookie();
	read_boot(st);
	snprintf(st->run, sizeof(st->run), CONTROL_RUN "/policy-net%" PRIu64, st->netns);
	name_lib(st);
	if (!place_bpffs(bpffs, make, root, sizeof(root), make ? err : NULL))
		snprintf(st->pins, sizeof(st->pins), "%s/sluice/net%" PRIu64 "_policy", root, st->netns);
	else if (make)
		e = err ? err->code : -ENOENT;
	if (!e && make)
		e = files_mkdir(st->run, err);
	if (!e && make)
		e = files_mkdir(st->pins, err);
	if (!e && make)
		e = files_mkdir(st->lib, err);
	if (!e && reset)
		e = lock_file(st, CONTROL_WAIT_NS, err) ?: control_state_record(st, err);
	else if (!e)
		e = read_record(st, err);
	if (e)
		control_state_close(st);
	else
		*state = st;
	return e;
}

int control_state_open(const char *bpffs, bool make, struct control_state **st, struct sluice_err *err)
{
	return open_state(bpffs, make, false, st, err);
}

int control_state_reset(const char *bpffs, struct sluice_err *err)
{
	struct control_state *st;
	int e = open_state(bpffs, true, true, &st, err);

	control_state_close(st);
	return e;
}

int control_state_pinned(const struct control_state *st, const char *generation, struct sluice_err *err)
{
	char path[PATH_MAX];

	if (!st->pins[0] || access(st->pins, F_OK))
		return err_set(err, -ENOENT,
			       "policy %s is in force, but there is no bpffs with it in this mount "
			       "namespace; " ELSEWHERE,
			       generation);
	if (snprintf(path, sizeof(path), "%s/%s", st->pins, generation) >= (int)sizeof(path) ||
	    access(path, F_OK))
		return err_set(err, -ENOENT,
			       "the maps of policy %s are not pinned any more: there is no %s; sluice apply "
			       "FILE pins "
			       "them again",
			       generation, path);
	return 0;
}

int control_state_map(const struct control_state *st, const char *generation, enum control_map map,
		      uint32_t which, struct sluice_err *err)
{
	char name[32], path[PATH_MAX];
	int fd, n;

	control_map_name(map, which, name);
	n = snprintf(path, sizeof(path), "%s/%s/%s", st->pins, generation, name);
	if (!st->pins[0] || n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, -ENOENT,
			       "there is no bpffs with the maps of policy %s in this mount "
			       "namespace; " ELSEWHERE,
			       generation);
	fd = bpf_obj_get(path);
	if (fd >= 0)
		return fd;
	if (errno == EPERM || errno == EACCES)
		return privilege_missing("opening a map of the policy", err);
	return err_set(err, -errno, "%s: %s", path, strerror(errno));
}

void control_map_name(enum control_map map, uint32_t which, char to[32])
{
	static const char *const names[] = {
		[CONTROL_SETS] = "sets",       [CONTROL_SAMPLES] = "samples", [CONTROL_TRIAL_UNTIL] = "trial",
		[CONTROL_BALANCE_MEMORY] = "balance_memory", [CONTROL_BALANCE_FLOWS] = "balance_flows",
		[CONTROL_BALANCE_FRAGMENTS] = "balance_fragments", [CONTROL_BALANCE_COUNTS] = "balance_counts",
		[CONTROL_BALANCE_REASONS] = "balance_reasons", [CONTROL_BALANCE_NAT4] = "balance_nat4",
		[CONTROL_BALANCE_NAT6] = "balance_nat6",
		[CONTROL_TABLES] = "tables_",  [CONTROL_CELLS] = "cells_",    [CONTROL_CPUS] = "cpus_",
		[CONTROL_COUNTS] = "counts_",  [CONTROL_MORE] = "more_",
	};

	if (map < CONTROL_TABLES)
		snprintf(to, 32, "%s", names[map]);
	else
		snprintf(to, 32, "%s%u", names[map], which);
}

int control_until(const struct control_state *st, const char *generation, uint64_t *until_ns,
		  struct sluice_err *err)
{
	int fd = control_state_map(st, generation, CONTROL_TRIAL_UNTIL, 0, err), e = 0;
	uint32_t zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, until_ns))
		e = err_set(err, -errno, "reading the deadline of policy %s: %s", generation, strerror(errno));
	close(fd);
	return e;
}

static const char *named(const char *name)
{
	return strcmp(name, CONTROL_EMPTY) != 0 ? name : "";
}

int control_state_current(const struct control_state *st, char name[CONTROL_NAME], uint64_t *trial_ns,
			  struct sluice_err *err)
{
	const struct control_record *r = &st->record;
	const char *with = r->change == CONTROL_TRIAL ? r->live : r->next;
	const char *without = r->change == CONTROL_TRIAL ? r->before : r->live;
	uint64_t until = 0, now = clock_mono_ns();
	bool yes;
	int e;

	if (trial_ns)
		*trial_ns = 0;
	snprintf(name, CONTROL_NAME, "%s", named(r->live));
	if (r->change == CONTROL_APPLY || r->change == CONTROL_DOWN) {
		e = control_switched(st, &yes, err);
		if (!e && yes)
			snprintf(name, CONTROL_NAME, "%s", r->next);
		return e;
	}
	if (r->change != CONTROL_JOINT && r->change != CONTROL_TRIAL)
		return 0;
	e = control_until(st, with, &until, err);
	if (e)
		return e;
	snprintf(name, CONTROL_NAME, "%s", named(now < until ? with : without));
	if (trial_ns && now < until && until != UINT64_MAX)
		*trial_ns = until - now;
	return 0;
}
