// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a backend's host needs, done and undone: ip(8) is run, sysctls are written, the program is attached. The
 * record says what was done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fou.h>
#include <linux/genetlink.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/priv.h"
#include "cmd/balance_host.h"
#include "cmd/child.h"
#include "control/decap.h"
#include "control/files.h"
#include "control/state.h"
#include "net/nl.h"

#define RUN "/run/sluice"
#define LOCK RUN "/backend.lock"
#define RECORD_MAX 1048576

struct record {
	struct needs done; /* in the order in which it was done */
	struct needs were; /* of it, programs that this call has put others in place of */
	uint64_t cookie;   /* of the namespace: its number is used again */
	char name[40];
	int lock_fd;
};

static bool addr_of(const struct sockaddr *sa, struct net_addr *to)
{
	*to = (struct net_addr){0};
	if (sa && sa->sa_family == AF_INET)
		memcpy(to->bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa && sa->sa_family == AF_INET6)
		memcpy(to->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	else
		return false;
	to->v6 = sa->sa_family == AF_INET6;
	return true;
}

int host_addrs(struct need_addr **v, size_t *n, struct sluice_err *err)
{
	struct ifaddrs *all, *i;
	size_t cap = 0;

	*v = NULL;
	*n = 0;
	if (getifaddrs(&all))
		return err_set(err, -errno, "reading the addresses of this host: %s", strerror(errno));
	for (i = all; i; i = i->ifa_next)
		cap++;
	*v = calloc(cap + 1, sizeof(**v));
	for (i = all; *v && i; i = i->ifa_next) {
		if (!addr_of(i->ifa_addr, &(*v)[*n].addr))
			continue;
		snprintf((*v)[*n].ifname, sizeof((*v)[*n].ifname), "%s", i->ifa_name);
		++*n;
	}
	freeifaddrs(all);
	return *v ? 0 : err_nomem(err);
}

static bool has_addr(const struct need *step)
{
	struct need_addr *v;
	struct net_addr want;
	bool hit = false;
	char text[64];
	size_t n, i;

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(step->value, "/"), step->value);
	if (net_addr_parse(text, &want, NULL) || host_addrs(&v, &n, NULL))
		return false;
	for (i = 0; i < n; i++)
		hit |= !strcmp(v[i].ifname, step->name) && v[i].addr.v6 == want.v6 &&
		       !memcmp(v[i].addr.bytes, want.bytes, 16);
	free(v);
	return hit;
}

struct fou {
	uint16_t port;
	uint8_t family;
	bool hit;
};

static int read_fou(const struct nlmsghdr *nlh, void *data)
{
	struct fou *f = data;
	uint16_t port = 0;
	uint8_t family = AF_INET;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(a) == FOU_ATTR_PORT && mnl_attr_get_payload_len(a) == 2)
			port = ntohs(mnl_attr_get_u16(a));
		if (mnl_attr_get_type(a) == FOU_ATTR_AF && mnl_attr_get_payload_len(a) == 1)
			family = mnl_attr_get_u8(a);
	}
	f->hit |= port == f->port && family == f->family;
	return MNL_CB_OK;
}

static bool has_fou(const struct need *step)
{
	struct fou f = {.port = (uint16_t)strtoul(step->value, NULL, 10),
			.family = step->name[0] == '6' ? AF_INET6 : AF_INET};
	struct net_nl_msg msg;
	struct genlmsghdr *g;
	struct net_nl nl;
	uint16_t id;

	if (!net_nl_open(&nl, NETLINK_GENERIC, NULL) && !net_nl_family(&nl, "fou", &id, NULL)) {
		g = net_nl_begin(&msg, id, NLM_F_DUMP, sizeof(*g));
		g->cmd = FOU_CMD_GET;
		g->version = 1;
		(void)net_nl_ask(&nl, &msg, read_fou, &f, NULL);
	}
	net_nl_close(&nl);
	return f.hit;
}

static bool read_sysctl(const char *name, char to[16])
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, to, 15) : -1;
	if (fd >= 0)
		close(fd);
	to[n > 0 ? n : 0] = '\0';
	to[strcspn(to, " \n")] = '\0';
	return to[0];
}

static int write_sysctl(const char *name, const char *value, struct sluice_err *err)
{
	size_t len = strlen(value);
	char path[128];
	int fd, e = 0;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, len) != (ssize_t)len)
		e = err_set(err, errno == EACCES || errno == EROFS ? -EPERM : -errno, "writing %s to %s: %s",
			    value, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return e;
}

/* The larger of the interface's and that of all counts: now. all: the name of that one */
static bool sysctl_now(const struct need *step, char now[16], char all[64], bool *by_all)
{
	const char *what = strrchr(step->name, '/');
	char of_all[16] = "0";

	if (!what || !read_sysctl(step->name, now))
		return false;
	snprintf(all, 64, "net/ipv4/conf/all%s", what);
	*by_all = read_sysctl(all, of_all) && strtol(of_all, NULL, 10) > strtol(now, NULL, 10);
	if (*by_all)
		memcpy(now, of_all, sizeof(of_all));
	return true;
}

bool host_sysctl(const struct need *step, char *to, size_t size)
{
	char now[16], all[64];
	bool by_all;

	if (!sysctl_now(step, now, all, &by_all))
		return false;
	snprintf(to, size, "%s=%s", by_all ? all : step->name, now);
	return true;
}

/* rp_filter 0 is no filter; arp_ignore 2 keeps quiet about more than 1 does. */
static bool has_sysctl(const struct need *step)
{
	char now[16], all[64];
	const char *what;
	bool by_all;
	long v;

	if (!sysctl_now(step, now, all, &by_all))
		return false;
	v = strtol(now, NULL, 10);
	what = strrchr(step->name, '/');
	if (!strcmp(what, "/rp_filter"))
		return v != 1;
	if (!strcmp(what, "/arp_ignore"))
		return v == 1 || v == 2;
	return v >= strtol(step->value, NULL, 10);
}

enum host_state host_look(const struct need *step)
{
	uint64_t counts[DECAP_REASONS];
	bool there = false;

	switch (step->kind) {
	case NEED_FOU:
		there = has_fou(step);
		break;
	case NEED_LINK:
		there = if_nametoindex(step->name);
		break;
	case NEED_ADDR:
		there = has_addr(step);
		break;
	case NEED_SYSCTL:
		there = has_sysctl(step);
		break;
	case NEED_DECAP:
		there = !control_decap_read(step->name, counts, NULL);
		break;
	}
	return there ? HOST_THERE : HOST_MISSING;
}

static int run_decap(const struct need *step, bool undo, struct sluice_err *err)
{
	uint16_t port = (uint16_t)strtoul(step->value, NULL, 10);
	struct control_decap_opts opts = {.gue_port = port, .no_gue = !port, .bpffs = cli.bpffs};

	return undo ? control_decap_detach(step->name, &opts, err)
		    : control_decap_attach(step->name, &opts, NULL, err);
}

static int run(const struct cli_verb *verb, const struct need *step, bool undo, struct sluice_err *err)
{
	struct need_words words;
	char text[NEED_TEXT];
	int rc;

	if (step->kind == NEED_DECAP)
		return run_decap(step, undo, err);
	need_words(step, undo, &words);
	rc = child_run(verb, words.args, NULL, NULL);
	if (!rc)
		return 0;
	need_text(step, undo, text, sizeof(text));
	if (!undo && step->kind == NEED_LINK)
		return err_set(err, -EOPNOTSUPP,
			       "'%s' failed; has this kernel tunnels of type %s (modprobe %s)? --xdp "
			       "does without",
			       text, step->type, step->type);
	if (!undo && step->kind == NEED_FOU)
		return err_set(err, -EOPNOTSUPP,
			       "'%s' failed; does this kernel take GUE off packets (modprobe fou%s)? "
			       "--xdp does without",
			       text, step->name[0] == '6' ? "6" : "");
	return err_set(err, -EIO, "'%s' failed with status %d", text, rc);
}

static int write_record(const struct record *r, struct sluice_err *err)
{
	struct buf text = {0};
	char line[256], path[80];
	size_t i;
	int e;

	if (!r->done.n) {
		snprintf(path, sizeof(path), RUN "/%s", r->name);
		return unlink(path) && errno != ENOENT ? err_set(err, -errno, "%s: %s", path, strerror(errno))
						       : 0;
	}
	buf_printf(&text, "namespace %" PRIu64 "\n", r->cookie);
	for (i = 0; i < r->done.n; i++)
		buf_printf(&text, "%s\n", need_write(&r->done.v[i], line, sizeof(line)));
	e = text.failed ? err_nomem(err) : files_write(RUN, r->name, text.data, text.len, false, err);
	buf_free(&text);
	return e;
}

static int parse_record(struct record *r, char *text, struct sluice_err *err)
{
	uint64_t cookie = 0;
	struct need step;
	char *line, *save;
	int e = 0;

	if (!files_number(text, "namespace", &cookie))
		return err_set(err, -EBADMSG, RUN "/%s is damaged; remove it, and what it names by hand",
			       r->name);
	if (cookie != r->cookie)
		return 0; /* of a namespace that is gone and had the same number */
	strtok_r(text, "\n", &save);
	while (!e && (line = strtok_r(NULL, "\n", &save)))
		e = need_read(line, &step)
			    ? needs_add(&r->done, &step, err)
			    : err_set(err, -EBADMSG, RUN "/%s is damaged: '%s' is no step", r->name, line);
	return e;
}

static int open_record(struct record *r, struct sluice_err *err)
{
	struct control_state *st;
	struct buf text = {0};
	int e = control_state_open(cli.bpffs, false, &st, err);

	if (e)
		return e;
	r->cookie = st->cookie;
	snprintf(r->name, sizeof(r->name), "backend-net%" PRIu64, st->netns);
	control_state_close(st);
	e = files_mkdir(RUN, err);
	if (e)
		return e;
	/* not the folder: whoever can open it for reading could lock it, and keep everybody out */
	r->lock_fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r->lock_fd < 0 || flock(r->lock_fd, LOCK_EX | LOCK_NB))
		return err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno, "locking " LOCK ": %s",
			       errno == EWOULDBLOCK ? "another process is setting up a backend"
						    : strerror(errno));
	e = files_read(RUN, r->name, RECORD_MAX, &text, err);
	if (!e)
		e = parse_record(r, (char *)text.data, err);
	else if (e == -ENOENT)
		e = 0;
	buf_free(&text);
	return e;
}

/* Takes a step out of the record once it is undone; of one that was not there any more, or not yet, nothing is said. */
static int undo(const struct cli_verb *verb, struct record *r, size_t nr, host_say *say, void *arg,
		struct sluice_err *err)
{
	struct need step = r->done.v[nr];
	enum host_state state = HOST_MISSING;
	char now[16];
	int e = 0;

	if (step.kind == NEED_SYSCTL && read_sysctl(step.name, now)) {
		if (!strcmp(now, step.value)) {
			e = write_sysctl(step.name, step.before, err);
			state = HOST_UNDONE;
		} else if (strcmp(now, step.before) != 0) {
			state = HOST_LEFT;
		}
	} else if (step.kind != NEED_SYSCTL && host_look(&step) == HOST_THERE) {
		e = run(verb, &step, true, err);
		state = HOST_UNDONE;
	}
	if (e)
		return e;
	memmove(&r->done.v[nr], &r->done.v[nr + 1], (r->done.n - nr - 1) * sizeof(step));
	r->done.n--;
	e = write_record(r, err);
	if (!e && say && state != HOST_MISSING)
		say(arg, &step, state);
	return e;
}

/* What is done of the program on that interface; NULL: nothing. */
static struct need *decap_on(const struct needs *needs, const char *ifname)
{
	size_t i;

	for (i = 0; i < needs->n; i++)
		if (needs->v[i].kind == NEED_DECAP && !strcmp(needs->v[i].name, ifname))
			return &needs->v[i];
	return NULL;
}

/* Another program in place of the one that is there, between two packets; the record says which one it is afterwards. */
static int replace(struct record *r, struct need *at, const struct need *by, struct sluice_err *err)
{
	struct need was = *at;
	int e = run_decap(by, false, err);

	if (e)
		return e;
	*at = *by;
	e = write_record(r, err);
	if (!e)
		return 0;
	*at = was;
	run_decap(at, false, NULL);
	return e;
}

static int do_step(const struct cli_verb *verb, struct record *r, const struct need *wanted, bool *ours,
		   struct sluice_err *err)
{
	struct need step = *wanted, *was = step.kind == NEED_DECAP ? decap_on(&r->done, step.name) : NULL;
	int e;

	*ours = needs_find(&r->done, &step);
	if (was && !*ours && host_look(&step) == HOST_THERE)
		return needs_add(&r->were, was, err) ?: replace(r, was, &step, err);
	if (host_look(&step) == HOST_THERE) {
		if (step.kind == NEED_LINK && !*ours)
			return err_set(err, -EEXIST,
				       "there is an interface %s that this command has not made; 'ip link "
				       "del %s' takes it away",
				       step.name, step.name);
		return 1;
	}
	if (step.kind == NEED_SYSCTL && !read_sysctl(step.name, step.before))
		return err_set(err, -EOPNOTSUPP, "there is no /proc/sys/%s here", step.name);
	if (!*ours) {
		e = needs_add(&r->done, &step, err);
		e = e ?: write_record(r, err);
		if (e)
			return e;
	}
	return step.kind == NEED_SYSCTL ? write_sysctl(step.name, step.value, err)
					: run(verb, &step, false, err);
}

static int do_all(const struct cli_verb *verb, struct record *r, const struct needs *plan, host_say *say,
		  void *arg, struct sluice_err *err)
{
	size_t i, n_before = r->done.n;
	struct need *at, now;
	bool ours;
	int e = 0;

	for (i = 0; i < plan->n && e >= 0; i++) {
		e = do_step(verb, r, &plan->v[i], &ours, err);
		if (e >= 0 && say)
			say(arg, &plan->v[i], e ? HOST_THERE : HOST_DONE);
	}
	if (e >= 0)
		return 0;
	/* what this call began goes, the last first; what was wrong at first is what is told */
	while (r->done.n > n_before && !undo(verb, r, r->done.n - 1, say, arg, NULL))
		;
	for (i = 0; i < r->were.n; i++) {
		at = decap_on(&r->done, r->were.v[i].name);
		now = at ? *at : (struct need){0};
		if (at && strcmp(now.value, r->were.v[i].value) != 0 &&
		    !replace(r, at, &r->were.v[i], NULL) && say)
			say(arg, &now, HOST_UNDONE);
	}
	return e;
}

int host_apply(const struct cli_verb *verb, const struct needs *plan, host_say *say, void *arg,
	       struct sluice_err *err)
{
	struct record r = {.lock_fd = -1};
	size_t i;
	int e = priv_need(CAP_NET_ADMIN, "setting up a backend", err);

	e = e ?: open_record(&r, err);
	for (i = r.done.n; !e && i > 0; i--)
		if (!needs_find(plan, &r.done.v[i - 1]) &&
		    (r.done.v[i - 1].kind != NEED_DECAP || !decap_on(plan, r.done.v[i - 1].name)))
			e = undo(verb, &r, i - 1, say, arg, err);
	e = e ?: do_all(verb, &r, plan, say, arg, err);
	if (r.lock_fd >= 0)
		close(r.lock_fd);
	needs_free(&r.done);
	needs_free(&r.were);
	return e;
}
