// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What sluice doctor says about the machine: kernel, privileges, settings, and what the kernel can do (bpf/probe). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/priv.h"
#include "base/text.h"
#include "bpf/probe.h"
#include "cmd/doctor.h"
#include "hook/place.h"
#include "lab/netns.h"

#define BPFFS "/sys/fs/bpf"
#define VMLINUX "/sys/kernel/btf/vmlinux"
#define INIT_USER_NS 0xEFFFFFFDu /* the kernel's PROC_USER_INIT_INO, fixed */

/* A small text file whole; false if it cannot be read. */
static bool read_text(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, to, size - 1) : -1;

	if (fd >= 0)
		close(fd);
	to[n > 0 ? n : 0] = '\0';
	to[strcspn(to, "\n")] = '\0';
	return n > 0;
}

static bool read_number(const char *path, long *value)
{
	char text[32], *end;

	if (!read_text(path, text, sizeof(text)))
		return false;
	*value = strtol(text, &end, 10);
	return end != text && !*end;
}

static void kernel(struct findings *f, const struct probe_result *xdp)
{
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%5d.%5d", &major, &minor) != 2) {
		doctor_say(f, LEVEL_UNKNOWN, NULL, "kernel", "cannot make out the kernel's version");
		return;
	}
	/* what counts is what the probes below say: distributions bring new features into old versions */
	if (major > 5 || (major == 5 && minor >= 18) || xdp->answer == PROBE_NO)
		doctor_say(f, xdp->answer == PROBE_NO ? LEVEL_ERROR : LEVEL_OK, NULL, "kernel",
			   "%s %s on %s%s", u.sysname, u.release, u.machine,
			   xdp->answer == PROBE_NO ? ": XDP programs cannot be loaded" : "");
	else
		doctor_say(f, LEVEL_WARNING, NULL, "kernel",
			   "%s %s on %s: older than 5.18, see below what is missing", u.sysname, u.release,
			   u.machine);
}

/* CAP_SYS_ADMIN stands for the two that were taken out of it in 5.8. */
static bool may(int cap)
{
	return priv_has(cap) || ((cap == CAP_BPF || cap == CAP_PERFMON) && priv_has(CAP_SYS_ADMIN));
}

static void capabilities(struct findings *f)
{
	static const struct {
		int cap;
		bool must;
		const char *for_what;
	} caps[] = {
		{CAP_BPF, true, "loading programs"},
		{CAP_NET_ADMIN, true, "attaching programs"},
		{CAP_PERFMON, false, "programs that the verifier must trust with pointers"},
		{CAP_SYS_ADMIN, false, "sluice lab, mounting a bpffs, other owners' programs"},
		{CAP_NET_RAW, false, "AF_XDP"},
	};
	size_t i, n_has = 0, n_lacks = 0;
	char has[128] = "", lacks[320] = "";
	enum level level = LEVEL_OK;

	for (i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
		if (may(caps[i].cap)) {
			n_has += (size_t)snprintf(has + n_has, sizeof(has) - n_has, " %s",
						  priv_name(caps[i].cap));
			continue;
		}
		n_lacks += (size_t)snprintf(lacks + n_lacks, sizeof(lacks) - n_lacks, "%s%s (%s)",
					    n_lacks ? ", " : "", priv_name(caps[i].cap), caps[i].for_what);
		if (caps[i].must || level != LEVEL_ERROR)
			level = caps[i].must ? LEVEL_ERROR : LEVEL_WARNING;
	}
	if (n_lacks)
		doctor_say(f, level, NULL, "capabilities", "missing: %s; run as root", lacks);
	else
		doctor_say(f, LEVEL_OK, NULL, "capabilities", "all there:%s", has);
}

static void user_namespace(struct findings *f)
{
	struct stat st;

	if (stat("/proc/self/ns/user", &st))
		doctor_say(f, LEVEL_UNKNOWN, NULL, "user_namespace", "cannot look at /proc/self/ns/user: %s",
			   strerror(errno));
	else if (st.st_ino != INIT_USER_NS)
		doctor_say(
			f, LEVEL_ERROR, NULL, "user_namespace",
			"this process is in a user namespace, where capabilities do not count for BPF; start it outside");
}

static void btf(struct findings *f)
{
	struct stat st;

	if (stat(VMLINUX, &st))
		doctor_say(f, LEVEL_WARNING, NULL, "btf",
			   "the kernel's types are not there (" VMLINUX
			   ": %s): programs that adapt to the kernel (CO-RE) do not "
			   "load; needs a kernel with CONFIG_DEBUG_INFO_BTF=y",
			   strerror(errno));
	else if (access(VMLINUX, R_OK))
		doctor_say(f, LEVEL_UNKNOWN, NULL, "btf", VMLINUX " is there but cannot be read: %s",
			   strerror(errno));
	else
		doctor_say(f, LEVEL_OK, NULL, "btf", "the kernel describes its types, %lld kB",
			   (long long)st.st_size / 1000);
}

static void jit(struct findings *f)
{
	struct probe_result r = {.answer = PROBE_UNKNOWN};
	long on, harden;

	probe_jit(&r);
	/* these two are shown in the first network namespace only */
	if (r.answer == PROBE_UNKNOWN && read_number("/proc/sys/net/core/bpf_jit_enable", &on))
		r.answer = on ? PROBE_YES : PROBE_NO;
	if (r.answer == PROBE_UNKNOWN) {
		doctor_say(f, LEVEL_UNKNOWN, NULL, "jit", "whether programs are compiled: %s", r.why);
	} else if (r.answer == PROBE_NO) {
		doctor_say(f, LEVEL_WARNING, NULL, "jit",
			   "programs are interpreted, several times slower than compiled");
		doctor_fix(f, "sysctl net.core.bpf_jit_enable=1");
	} else {
		doctor_say(f, LEVEL_OK, NULL, "jit", "programs are compiled");
	}
	if (read_number("/proc/sys/net/core/bpf_jit_harden", &harden) && harden == 2) {
		doctor_say(f, LEVEL_WARNING, NULL, "jit_harden",
			   "constants are blinded in everybody's programs, which slows them");
		doctor_fix(f, "sysctl net.core.bpf_jit_harden=1");
	}
}

static void lockdown(struct findings *f)
{
	char text[128], mode[32];

	if (!read_text("/sys/kernel/security/lockdown", text, sizeof(text)))
		doctor_say(
			f, LEVEL_UNKNOWN, NULL, "lockdown",
			"cannot read /sys/kernel/security/lockdown (%s); freplace and fentry below tell what it would forbid",
			strerror(errno));
	else if (!probe_lockdown(text, mode, sizeof(mode)))
		doctor_say(f, LEVEL_UNKNOWN, NULL, "lockdown", "/sys/kernel/security/lockdown reads oddly");
	else if (strcmp(mode, "none") != 0)
		doctor_say(f, LEVEL_WARNING, NULL, "lockdown",
			   "the kernel is locked down (%s); freplace and fentry below tell "
			   "what that forbids",
			   mode);
	else
		doctor_say(f, LEVEL_OK, NULL, "lockdown", "not locked down");
}

static void settings(struct findings *f)
{
	long value;

	if (!read_number("/proc/sys/kernel/unprivileged_bpf_disabled", &value)) {
		doctor_say(f, LEVEL_UNKNOWN, NULL, "unprivileged_bpf",
			   "cannot read kernel.unprivileged_bpf_disabled");
	} else if (!value) {
		doctor_say(f, LEVEL_WARNING, NULL, "unprivileged_bpf",
			   "anybody may load programs of some kinds, which helps attackers");
		doctor_fix(f, "sysctl kernel.unprivileged_bpf_disabled=2");
	} else {
		doctor_say(f, LEVEL_OK, NULL, "unprivileged_bpf", "only privileged processes load programs");
	}
	if (!read_number("/proc/sys/kernel/bpf_stats_enabled", &value)) {
		doctor_say(f, LEVEL_UNKNOWN, NULL, "bpf_stats", "cannot read kernel.bpf_stats_enabled");
	} else if (value) {
		doctor_say(f, LEVEL_WARNING, NULL, "bpf_stats",
			   "run time of programs is measured all the time, which costs some 90 ns a packet");
		doctor_fix(f, "sysctl kernel.bpf_stats_enabled=0");
	} else {
		doctor_say(f, LEVEL_OK, NULL, "bpf_stats",
			   "run time is measured on demand only (sluice list --measure)");
	}
}

static void memlock(struct findings *f, const struct probe_result *memcg)
{
	char text[32] = "unlimited";
	struct rlimit lim;

	if (getrlimit(RLIMIT_MEMLOCK, &lim)) {
		doctor_say(f, LEVEL_UNKNOWN, NULL, "memlock", "getrlimit: %s", strerror(errno));
		return;
	}
	if (lim.rlim_cur != RLIM_INFINITY)
		snprintf(text, sizeof(text), "%llu kB", (unsigned long long)lim.rlim_cur / 1024);
	if (memcg->answer == PROBE_YES) {
		doctor_say(f, LEVEL_OK, NULL, "memlock",
			   "maps are charged to the control group; RLIMIT_MEMLOCK (%s) does not count", text);
	} else if (lim.rlim_cur == RLIM_INFINITY) {
		doctor_say(f, LEVEL_OK, NULL, "memlock", "RLIMIT_MEMLOCK is unlimited");
	} else if (memcg->answer == PROBE_UNKNOWN) {
		doctor_say(f, LEVEL_UNKNOWN, NULL, "memlock", "whether RLIMIT_MEMLOCK (%s) limits maps: %s",
			   text, memcg->why);
	} else {
		doctor_say(f, LEVEL_WARNING, NULL, "memlock",
			   "RLIMIT_MEMLOCK is %s: larger maps and programs are refused with -EPERM", text);
		doctor_fix(f, "ulimit -l unlimited");
	}
}

/* `ip netns exec NAME` mounts a sysfs of its own on /sys, whose source is NAME. */
static bool under_ip_netns_exec(void)
{
	char line[1024], where[256], source[128], path[192];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool hit = false;
	const char *dash;

	while (f && fgets(line, sizeof(line), f)) {
		dash = strstr(line, " - sysfs ");
		if (!dash || sscanf(line, "%*s %*s %*s %*s %255s", where) != 1 ||
		    strcmp(where, "/sys") != 0 || sscanf(dash, " - sysfs %127s", source) != 1 ||
		    strchr(source, '/'))
			continue;
		snprintf(path, sizeof(path), LAB_NETNS_DIR "/%s", source);
		hit = access(path, F_OK) == 0;
	}
	if (f)
		fclose(f);
	return hit;
}

static void bpffs(struct findings *f)
{
	char found[300];
	struct sluice_err err;
	bool any = !place_bpffs(NULL, false, found, sizeof(found), &err);

	if (any && !strcmp(found, BPFFS)) {
		doctor_say(f, LEVEL_OK, NULL, "bpffs", "mounted on " BPFFS);
	} else if (any) {
		doctor_say(
			f, LEVEL_WARNING, NULL, "bpffs",
			"the machine has one on " BPFFS
			" but this mount namespace hides it, as `ip netns exec` does: Sluice finds "
			"it, other programs do not; enter namespaces with sluice lab run or nsenter --net");
	} else if (under_ip_netns_exec()) {
		doctor_say(f, LEVEL_WARNING, NULL, "bpffs",
			   "`ip netns exec` hides whatever is on " BPFFS
			   ": enter the namespace with sluice lab run or nsenter --net");
	} else {
		doctor_say(f, LEVEL_WARNING, NULL, "bpffs",
			   "none on " BPFFS ": programs and maps cannot be pinned");
		doctor_fix(f, "mount -t bpf bpf " BPFFS);
	}
}

/* What each missing feature costs, and how much that matters. */
static void features(struct findings *f, const struct probe_result *result)
{
	const struct probe_result *r;
	const struct probe_row *row;
	int i;

	for (i = 0; i < PROBE_IDS; i++) {
		r = &result[i];
		row = &probe_row[i];
		if (i == PROBE_ID_MEMCG)
			continue;
		if (r->answer == PROBE_YES)
			doctor_say(f, LEVEL_OK, NULL, row->name, "yes: %s", row->what);
		else if (r->answer == PROBE_UNKNOWN)
			doctor_say(f, LEVEL_UNKNOWN, NULL, row->name, "could not tell (%s): %s", row->what,
				   r->why);
		else if (i == PROBE_ID_FREPLACE)
			doctor_say(
				f, LEVEL_WARNING, NULL, row->name,
				"no: %s; libxdp cannot run several programs on one interface here, sluice attach can",
				r->why);
		else if (r->refused)
			doctor_say(f, row->need == PROBE_MUST ? LEVEL_ERROR : LEVEL_WARNING, NULL, row->name,
				   "no (%s): %s", row->what, r->why);
		else
			doctor_say(f, row->need == PROBE_MUST ? LEVEL_ERROR : LEVEL_WARNING, NULL, row->name,
				   "no, Linux %s and later have it (%s): %s", row->first, row->what, r->why);
	}
}

/* What must be attached to be tried is tried in a namespace that nobody else sees. */
static void probe(struct probe_result result[PROBE_IDS])
{
	bool scratch = false;
	int back;

	if (!lab_netns_current(&back, NULL)) {
		scratch = !lab_netns_private(NULL);
		probe_all(scratch, result);
		(void)lab_netns_return(back, NULL);
	} else {
		probe_all(false, result);
	}
}

void doctor_machine(struct findings *f)
{
	struct probe_result result[PROBE_IDS] = {0};

	probe(result);
	kernel(f, &result[PROBE_ID_XDP]);
	capabilities(f);
	user_namespace(f);
	btf(f);
	jit(f);
	lockdown(f);
	settings(f);
	memlock(f, &result[PROBE_ID_MEMCG]);
	bpffs(f);
	features(f, result);
}
