// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * apply-kill ask PEER: says which policy its packets meet, A, B or none.
 * apply-kill BOX KILLS SEED A B IDS PEER...: changes the policy of network namespace BOX (its name in /run/netns) between
 * files A and B, and to none, in processes that are killed: at each step in turn, and at random moments. After each
 * kill, packets from every PEER must meet one policy, the old or the new, the same on all interfaces; it must be the one
 * that status names; and the next change must work. PEER is NAME=ADDRESS: a namespace and what it sends to; or
 * NAME=ADDRESS=A=B: the balancer of A drops what goes to address A, that of B what goes to B, and it must be that of
 * the filter.
 * Numbers of maps, programs and links that were there go into file IDS: who calls looks whether they are gone.
 *
 * A drops ICMP in frames of 100 bytes, B those of 200. Frames of 300 bytes, sent after them, are always answered: what is not there
 * by then was dropped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "control/apply.h"
#include "control/files.h"
#include "control/status.h"

#define PEERS 4
#define OVERHEAD 42 /* Ethernet, IPv4, ICMP headers */
#define TRIAL_NS 60000000000ull
#define SHORT_NS 2000000ull
#define ENOUGH 20 /* kills of each operation, where there are many */
#define MANY 150
#define STEPS 28 /* of the longest change: where there are few kills they are at any of them */

enum verdict { DROPS_A, DROPS_B, DROPS_NOTHING, DROPS_BOTH };
static const char *const verdicts[] = {"A", "B", "none", "a mixture"};

enum op { APPLY, TRIAL, SHORT, CONFIRM, ROLLBACK, DOWN, N_OPS };
static const char *const ops[] = {"apply", "trial", "short trial", "confirm", "rollback", "down"};

static struct peer {
	const char *name;
	struct sockaddr_in to, balanced[2];
	bool pair;
	int fd;
} peers[PEERS];
static int n_peers;
static const char *files[2];
static char hashes[2][65];
static uint64_t random_state;
static uint32_t die_at, steps;
static bool few;

static uint32_t rnd(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % n;
}

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void enter(const char *netns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail("%s: %s", path, strerror(errno));
	close(fd);
}

static void open_peer(char *arg)
{
	struct peer *p = &peers[n_peers++];
	struct sockaddr_in *const to[] = {&p->to, &p->balanced[0], &p->balanced[1]};
	char *at = strchr(arg, '='), *next;
	int i;

	if (!at)
		fail("a peer is NAME=ADDRESS, not %s", arg);
	*at++ = '\0';
	p->name = arg;
	for (i = 0; i < 3 && at; i++, at = next) {
		next = strchr(at, '=');
		if (next)
			*next++ = '\0';
		to[i]->sin_family = AF_INET;
		if (inet_pton(AF_INET, at, &to[i]->sin_addr) != 1)
			fail("no address: %s", at);
	}
	p->pair = i == 3;
	enter(arg);
	p->fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (p->fd < 0)
		fail("socket: %s", strerror(errno));
}

static void echo(const struct peer *p, const struct sockaddr_in *to, uint16_t id, uint16_t seq, uint16_t frame)
{
	struct {
		struct icmphdr h;
		uint8_t data[300];
	} e = {.h.type = ICMP_ECHO};
	size_t len = sizeof(e.h) + frame - OVERHEAD;
	const uint8_t *b = (const uint8_t *)&e;
	uint32_t sum = 0;
	size_t i;

	e.h.un.echo.id = htons(id);
	e.h.un.echo.sequence = htons(seq);
	for (i = 0; i < len; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	e.h.checksum = htons((uint16_t)~(sum + (sum >> 16)));
	if (sendto(p->fd, &e, len, 0, (const struct sockaddr *)to, sizeof(*to)) != (ssize_t)len)
		fail("%s sends: %s", p->name, strerror(errno));
}

static enum verdict dropped(bool first, bool second)
{
	return first ? (second ? DROPS_NOTHING : DROPS_B) : second ? DROPS_A : DROPS_BOTH;
}

static enum verdict ask(const struct peer *p)
{
	static uint16_t id;
	uint8_t b[1500];
	bool got[6] = {false};
	struct pollfd pfd = {p->fd, POLLIN, 0};
	const struct icmphdr *h;
	enum verdict v;
	ssize_t n;
	int i;

	id++;
	echo(p, &p->to, id, 1, 100);
	echo(p, &p->to, id, 2, 200);
	for (i = 0; i < 2 && p->pair; i++)
		echo(p, &p->balanced[i], id, (uint16_t)(4 + i), 150);
	echo(p, &p->to, id, 3, 300);
	while (!got[3]) {
		if (poll(&pfd, 1, 5000) != 1)
			fail("%s: not even what always passes is answered", p->name);
		n = recv(p->fd, b, sizeof(b), 0);
		h = (const struct icmphdr *)(const void *)(b + (b[0] & 15) * 4);
		if (n >= 28 && h->type == ICMP_ECHOREPLY && h->un.echo.id == htons(id) &&
		    ntohs(h->un.echo.sequence) < 6)
			got[ntohs(h->un.echo.sequence)] = true;
	}
	v = dropped(got[1], got[2]);
	if (p->pair && dropped(got[4], got[5]) != v)
		fail("%s meets the filter of %s and the balancer of %s", p->name, verdicts[v], verdicts[dropped(got[4], got[5])]);
	return v;
}

static enum verdict ask_all(void)
{
	enum verdict v = ask(&peers[0]), w;
	int i;

	for (i = 1; i < n_peers; i++) {
		w = ask(&peers[i]);
		if (w != v)
			fail("%s meets %s, %s meets %s", peers[0].name, verdicts[v], peers[i].name, verdicts[w]);
	}
	return v;
}

/* --- the process that is killed --- */

static void step(void *ctx, const char *done)
{
	(void)ctx;
	(void)done;
	if (++steps == die_at)
		raise(SIGKILL);
}

static int run(enum op op, int file, struct sluice_err *err)
{
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .step = step};
	struct store_policy p = {.n_files = 0};
	struct control_done done;
	int e = 0;

	switch (op) {
	case APPLY:
	case TRIAL:
	case SHORT:
		o.trial_ns = op == TRIAL ? TRIAL_NS : op == SHORT ? SHORT_NS : 0;
		e = control_apply(&o, files[file], &p, &done, err);
		store_free(&p);
		break;
	case CONFIRM:
		e = control_confirm(&o, &done, err);
		break;
	case ROLLBACK:
		e = control_rollback(&o, 0, &done, err);
		break;
	case DOWN:
		e = control_down(&o, false, &done, err);
		break;
	case N_OPS:
		break;
	}
	return e;
}

/* Returns true if it was killed; at_us: then, or at step at_step. */
static bool spawn(enum op op, int file, uint32_t at_step, uint32_t at_us, uint64_t *took_ns)
{
	struct timespec t = {at_us / 1000000, at_us % 1000000 * 1000};
	struct sluice_err err = {0};
	uint64_t from = clock_mono_ns();
	pid_t pid = fork();
	int status;

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		die_at = at_step;
		if (run(op, file, &err)) {
			printf("%s failed: %s\n", ops[op], err.text);
			fflush(stdout);
			_exit(1);
		}
		_exit(0);
	}
	if (at_us) {
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	*took_ns = clock_mono_ns() - from;
	if (WIFEXITED(status) && WEXITSTATUS(status))
		fail("a change failed");
	return WIFSIGNALED(status);
}

/* --- what must hold afterwards --- */

static enum verdict letter(const char *name)
{
	int i;

	if (!name[0])
		return DROPS_NOTHING;
	for (i = 0; i < 2; i++)
		if (!strncmp(strchr(name, '-') + 1, hashes[i], strlen(strchr(name, '-') + 1)))
			return (enum verdict)i;
	fail("%s is none of the policies", name);
}

static struct control_status *status(void)
{
	struct control_status *s;
	struct sluice_err err = {0};

	if (control_status(NULL, &s, &err))
		fail("status: %s", err.text);
	return s;
}

static const struct control_record *record;
static void is_named(void *ctx, const char *name)
{
	if (strcmp(name, "lock") != 0 && strcmp(name, "record") != 0 && strcmp(name, record->live) != 0 &&
	    strcmp(name, record->before) != 0 && strcmp(name, record->next) != 0)
		fail("%s is left over in %s", name, (const char *)ctx);
}

/* Nothing lies about that no record names. */
static void nothing_left(void)
{
	struct control_status *s = status();

	record = &s->st->record;
	files_each(s->st->run, is_named, s->st->run);
	files_each(s->st->pins, is_named, s->st->pins);
	control_status_free(s);
}

/* --- what there is in the kernel --- */

static FILE *ids;

static void map_pin(void *ctx, const char *name)
{
	uint32_t id;

	(void)ctx;
	if (sscanf(name, "m_%u", &id) == 1)
		fprintf(ids, "map %u\n", id);
}

static void map_pins(void *ctx, const char *generation)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", (const char *)ctx, generation);
	files_each(path, map_pin, NULL);
}

static void link_pin(void *ctx, const char *name)
{
	const struct control_state *st = ctx;
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	char path[PATH_MAX], own[32];
	int fd;

	snprintf(own, sizeof(own), "net%llu_if", (unsigned long long)st->netns);
	if (strncmp(name, own, strlen(own)) != 0)
		return;
	snprintf(path, sizeof(path), "%s/../%s/link", st->pins, name);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		fprintf(ids, "link %u\nprog %u\n", info.id, info.prog_id);
	if (fd >= 0)
		close(fd);
}

static void note(struct control_state *st)
{
	char root[PATH_MAX];

	snprintf(root, sizeof(root), "%s/..", st->pins);
	files_each(st->pins, map_pins, st->pins);
	files_each(root, link_pin, st);
}

/* --- one change after the other --- */

struct tally {
	uint32_t kills, unchanged, changed, by_step;
	uint32_t still_tried, confirmed; /* after a killed confirm */
	uint32_t killed[N_OPS], alive[N_OPS], next_step[N_OPS];
	uint64_t took_ns[N_OPS];
};

/* What a rollback goes back to, once what was left of the last change is mended; "": that is not told here. */
static const char *before(const struct control_status *s)
{
	const struct control_record *r = &s->st->record;

	if (r->change == CONTROL_APPLY || r->change == CONTROL_JOINT)
		/* next may be the empty one of a down, which is nobody to those who ask */
		return strcmp(s->current, r->live) != 0 ? r->live : r->before;
	if (r->change == CONTROL_DOWN)
		return s->current[0] ? r->before : r->live;
	if (r->change == CONTROL_TRIAL && !s->trial_ns)
		return "";
	return r->change == CONTROL_RETURN ? "" : r->before;
}

static enum op choose(const struct control_status *s, const struct tally *t)
{
	static const enum op often[] = {APPLY, APPLY, TRIAL, TRIAL, SHORT, ROLLBACK, ROLLBACK, DOWN};
	bool can[N_OPS] = {[APPLY] = true, [TRIAL] = true, [SHORT] = true};
	enum op op = often[rnd(8)], i;

	if (s->trial_ns)
		return rnd(3) ? CONFIRM : ROLLBACK;
	can[ROLLBACK] = before(s)[0];
	can[DOWN] = s->current[0];
	op = can[op] ? op : APPLY;
	if (rnd(2))
		for (i = APPLY; i < N_OPS; i++)
			if (can[i] && t->killed[i] < t->killed[op])
				op = i;
	return op;
}

/* A trial is begun for confirm, if confirm is behind. */
static void begin_trial(const struct tally *t)
{
	struct control_status *s = status();
	bool begin = !s->trial_ns && t->killed[CONFIRM] * N_OPS < t->kills;
	int file = letter(s->current) == DROPS_A;
	uint64_t took;

	control_status_free(s);
	if (begin)
		spawn(TRIAL, file, 0, 0, &took);
}

static void once(struct tally *t)
{
	struct control_status *s = status();
	enum verdict old = letter(s->current), now, new;
	bool on_trial = s->trial_ns != 0;
	enum op op = choose(s, t);
	int file = old == DROPS_A;
	uint32_t at_step = 0, at_us = 0;
	uint64_t took;
	bool killed;

	new = op == APPLY || op == TRIAL ? (enum verdict)file : op == DOWN ? DROPS_NOTHING : old;
	if (op == ROLLBACK)
		new = letter(before(s));
	control_status_free(s);
	if (rnd(2))
		at_step = few ? 1 + rnd(STEPS) : ++t->next_step[op];
	else
		at_us = 1 + rnd((uint32_t)((t->took_ns[op] ?: 100000000) / 1000));
	killed = spawn(op, file, at_step, at_us, &took);
	if (!killed) {
		t->alive[op]++;
		t->took_ns[op] = took;
		if (at_step)
			t->next_step[op] = 0;
	}
	t->kills += killed;
	t->killed[op] += killed;
	t->by_step += killed && at_step;
	if (op == SHORT)
		usleep(SHORT_NS / 1000 + 8000); /* the clock that programs ask is some milliseconds behind */
	now = ask_all();
	s = status();
	if (now != letter(s->current))
		fail("%s killed at step %u, %u us: packets meet %s, status says %s", ops[op], at_step, at_us, verdicts[now],
		     verdicts[letter(s->current)]);
	if (now != old && now != new)
		fail("%s killed at step %u, %u us: was %s, wanted %s, is %s", ops[op], at_step, at_us, verdicts[old],
		     verdicts[new], verdicts[now]);
	if (!killed && now != new)
		fail("%s was done: wanted %s, is %s", ops[op], verdicts[new], verdicts[now]);
	if (!killed && op == CONFIRM && s->trial_ns)
		fail("confirm was done, and %s is still on trial", s->current);
	if (killed && on_trial && op == CONFIRM)
		s->trial_ns ? t->still_tried++ : t->confirmed++;
	note(s->st);
	if (killed && new != old && op != SHORT) {
		t->unchanged += now == old;
		t->changed += now == new;
	}
	control_status_free(s);
}

static void finish(void)
{
	struct control_status *s = status();
	uint64_t took;

	if (s->trial_ns)
		spawn(ROLLBACK, 0, 0, 0, &took);
	control_status_free(s);
	spawn(APPLY, 0, 0, 0, &took);
	if (ask_all() != DROPS_A)
		fail("A was applied, and is not in force");
	nothing_left();
}

/* Returns 0 if enough of everything was there. */
static int told(const struct tally *t, uint32_t n)
{
	bool enough = t->unchanged > t->kills / 20 && t->changed > t->kills / 20;
	int i;

	printf("%u killed (%u at a step) of %u; %u times nothing had changed, %u times everything; "
	       "confirm: %u times still on trial, %u times confirmed\n",
	       t->kills, t->by_step, n, t->unchanged, t->changed, t->still_tried, t->confirmed);
	for (i = 0; i < N_OPS; i++) {
		printf("%s%s killed %u, done %u (%u ms)", i ? "; " : "", ops[i], t->killed[i], t->alive[i],
		       (unsigned int)(t->took_ns[i] / 1000000));
		enough &= t->kills < MANY || t->killed[i] >= ENOUGH;
	}
	enough &= t->kills < MANY || (t->still_tried && t->confirmed);
	puts(enough ? "" : "; that is too few of some");
	return enough ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct tally t = {.kills = 0};
	struct sluice_err err = {0};
	struct store_policy p;
	uint32_t kills, n = 0;
	int i;

	if (argc == 3 && !strcmp(argv[1], "ask")) {
		open_peer(argv[2]);
		puts(verdicts[ask_all()]);
		return 0;
	}
	if (argc < 8 || argc > 7 + PEERS)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	ids = fopen(argv[6], "we");
	if (!ids)
		fail("%s: %s", argv[6], strerror(errno));
	kills = (uint32_t)strtoul(argv[2], NULL, 10);
	few = kills < MANY;
	random_state = strtoull(argv[3], NULL, 10) * 2654435761u + 88172645463325252u;
	for (i = 7; i < argc; i++)
		open_peer(argv[i]);
	enter(argv[1]);
	for (i = 0; i < 2; i++) {
		files[i] = argv[4 + i];
		if (store_read(NULL, files[i], NULL, false, &p, &err))
			fail("%s", err.text);
		memcpy(hashes[i], p.hash, sizeof(hashes[i]));
		store_free(&p);
	}
	while (t.kills < kills) {
		begin_trial(&t);
		once(&t);
		if (++n % 50 == 0)
			finish();
	}
	finish();
	fclose(ids);
	return told(&t, n);
}
