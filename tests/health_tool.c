// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Runs health checks and prints what they tell, a line each, for scripts to read.
 *
 *   health-tool [-n CHANGES] [-t SECONDS] [-r] [-s] [-f FLIGHTS] PROBE [key=value...] -- TARGET [key=value...]...
 *
 * It ends after so many changes or seconds. -r: results, too. -s: statistics and CPU time at the end; -b N: before
 * that, what N bare connections cost. -T: with times (CLOCK_MONOTONIC). A target is an address; ADDRESS*N stands for N
 * targets from there on. Lines on stdin: "targets TARGET [key=value...]...", "probe key=value...", "look ID...",
 * "time", "quit". At the end it says if descriptors or children are left.
 *
 *   up 3 first: connected         id, why
 *   good 3: connected             (with -r)
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "health/health.h"

#define TARGETS 8192

struct tool {
	struct health_probe probe;
	const char *argv[HEALTH_ARGS];
	struct health_target targets[TARGETS];
	size_t n_targets;
	unsigned long changes, max_changes;
	uint64_t start_ns, end_ns;
	bool results, stats, times, deaf;
	uint32_t flights, commands;
};

static void die(const char *what, const struct sluice_err *err)
{
	fprintf(stderr, "health-tool: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
	exit(1);
}

static void on_change(void *arg, const struct health_event *e)
{
	struct tool *t = arg;

	if (t->times)
		printf("%.3f ", (double)e->since_ns / 1e9);
	printf("%s %llu%s: %s\n", e->up ? "up" : "down", (unsigned long long)e->id, e->first ? " first" : "",
	       e->why);
	fflush(stdout);
	t->changes++;
}

static void on_result(void *arg, const struct health_result *r)
{
	static const char *const words[] = {"good", "bad", "untold"};
	const struct tool *t = arg;

	if (t->times)
		printf("%.3f ", (double)clock_mono_ns() / 1e9);
	printf("%s %llu: %s\n", words[r->outcome], (unsigned long long)r->id, r->why);
	fflush(stdout);
}

static uint64_t time_of(const char *text)
{
	struct sluice_err err = {0};
	uint64_t ns = 0;

	if (text_time(text, &ns, &err))
		die(text, &err);
	return ns;
}

static void status_of(struct health_probe *p, const char *text)
{
	unsigned int lo, hi;

	if (sscanf(text, "%u-%u", &lo, &hi) != 2)
		hi = lo = (unsigned int)strtoul(text, NULL, 10);
	p->status[p->n_status++] = (struct health_range){(uint16_t)lo, (uint16_t)hi};
}

static void probe_word(struct tool *t, char *word)
{
	static const char *const kinds[] = {"tcp", "http", "https", "icmp", "command"};
	struct health_probe *p = &t->probe;
	char *value = strchr(word, '=');
	uint32_t n;

	for (unsigned int i = 0; i < 5; i++)
		if (!strcmp(word, kinds[i])) {
			p->kind = i;
			return;
		}
	if (!strcmp(word, "fin"))
		p->fin = true;
	else if (!strcmp(word, "down"))
		p->initially_down = true;
	else if (!strcmp(word, "head"))
		p->head = true;
	else if (!strcmp(word, "verify"))
		p->verify = true;
	else if (!value)
		die(word, NULL);
	if (!value)
		return;
	*value++ = '\0';
	n = (uint32_t)strtoul(value, NULL, 10);
	if (!strcmp(word, "every"))
		p->interval_ns = time_of(value);
	else if (!strcmp(word, "timeout"))
		p->timeout_ns = time_of(value);
	else if (!strcmp(word, "half"))
		p->damp_half_ns = time_of(value);
	else if (!strcmp(word, "rise"))
		p->rise = n;
	else if (!strcmp(word, "fall"))
		p->fall = n;
	else if (!strcmp(word, "jitter"))
		p->jitter = n;
	else if (!strcmp(word, "port"))
		p->port = (uint16_t)n;
	else if (!strcmp(word, "cut"))
		p->damp_cut = n;
	else if (!strcmp(word, "path"))
		p->path = value;
	else if (!strcmp(word, "host"))
		p->host = value;
	else if (!strcmp(word, "body"))
		p->body = value;
	else if (!strcmp(word, "status"))
		status_of(p, value);
	else if (!strcmp(word, "arg") && p->n_argv < HEALTH_ARGS)
		t->argv[p->n_argv++] = value;
	else
		die(word, NULL);
}

static void next_addr(struct net_addr *a)
{
	for (int i = a->v6 ? 15 : 3; i >= 0 && !++a->bytes[i]; i--)
		;
}

static void target_word(struct tool *t, char *word)
{
	struct health_target *last = t->n_targets ? &t->targets[t->n_targets - 1] : NULL;
	struct sluice_err err = {0};
	char *value = strchr(word, '='), *times;
	struct net_addr addr;
	unsigned long n = 1;

	if (value && last) {
		*value++ = '\0';
		if (!strcmp(word, "port"))
			last->port = (uint16_t)strtoul(value, NULL, 10);
		else if (!strcmp(word, "scope"))
			last->scope = (uint32_t)strtoul(value, NULL, 10);
		else if (!strcmp(word, "mark"))
			last->mark = (uint32_t)strtoul(value, NULL, 10);
		else if (!strcmp(word, "id"))
			last->id = strtoull(value, NULL, 10);
		else if (!strcmp(word, "known"))
			last->known = true, last->known_up = *value == 'u';
		else if (!strcmp(word, "if"))
			snprintf(last->interface, sizeof(last->interface), "%s", value);
		else if (!strcmp(word, "from") && !net_addr_parse(value, &last->source, &err))
			last->has_source = true;
		else
			die(word, NULL);
		return;
	}
	times = strchr(word, '*');
	if (times) {
		*times++ = '\0';
		n = strtoul(times, NULL, 10);
	}
	if (net_addr_parse(word, &addr, &err))
		die("target", &err);
	for (; n && t->n_targets < TARGETS; n--, next_addr(&addr)) {
		t->targets[t->n_targets] = (struct health_target){.id = t->n_targets + 1, .addr = addr};
		t->n_targets++;
	}
}

static void apply(struct tool *t, struct health *h, bool say)
{
	struct health_applied a;
	struct sluice_err err = {0};

	if (health_apply(h, &t->probe, 1, t->targets, t->n_targets, &a, &err)) {
		printf("refused %d: %s\n", -err.code, err.text);
		fflush(stdout);
		if (!say)
			exit(1);
	} else if (say) {
		printf("applied: added %zu, removed %zu, changed %zu, same %zu\n", a.added, a.removed,
		       a.changed, a.same);
		fflush(stdout);
	}
}

/* false: quit */
static bool command(struct tool *t, struct health *h)
{
	char line[1024], *word, *save = NULL;
	struct health_look look;
	ssize_t n = read(0, line, sizeof(line) - 1);

	if (n <= 0) {
		t->deaf = true;
		return true;
	}
	line[n] = '\0';
	word = strtok_r(line, " \n", &save);
	if (!word)
		return true;
	if (!strcmp(word, "quit"))
		return false;
	if (!strcmp(word, "time")) {
		printf("%.3f time\n", (double)clock_mono_ns() / 1e9);
		fflush(stdout);
		return true;
	}
	if (!strcmp(word, "look")) {
		while ((word = strtok_r(NULL, " \n", &save))) {
			if (health_look(h, strtoull(word, NULL, 10), &look))
				printf("look %s: none\n", word);
			else
				printf("look %s: %s%s%s, %u changes: %s\n", word, look.up ? "up" : "down",
				       look.proven ? "" : " unproven", look.held ? " held" : "", look.changes,
				       look.why);
		}
		fflush(stdout);
		return true;
	}
	if (!strcmp(word, "probe")) {
		t->probe.n_status = t->probe.n_argv = 0;
		while ((word = strtok_r(NULL, " \n", &save)))
			probe_word(t, word);
	} else if (!strcmp(word, "targets")) {
		t->n_targets = 0;
		while ((word = strtok_r(NULL, " \n", &save)))
			target_word(t, word);
	}
	apply(t, h, true);
	return true;
}

static unsigned int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	if (!d)
		return 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void loop(struct tool *t, struct health *h)
{
	struct pollfd fds[] = {{.fd = health_fd(h), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	struct sluice_err err = {0};
	uint64_t now;

	while ((now = clock_mono_ns()) < t->end_ns && t->changes < t->max_changes) {
		if (poll(fds, 2, (int)((t->end_ns - now) / 1000000) + 1) < 0 && errno != EINTR)
			die("poll", NULL);
		if (fds[1].revents & POLLIN && !command(t, h))
			return;
		if (t->deaf ||
		    (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL) && !(fds[1].revents & POLLIN)))
			fds[1].fd = -1;
		if (fds[0].revents && health_run(h, &err))
			die("run", &err);
	}
}

static void statistics(const struct tool *t, const struct health *h, uint64_t cpu_ns)
{
	double s = (double)(clock_mono_ns() - t->start_ns) / 1e9;
	struct health_stats st;

	health_stats(h, &st);
	printf("stats: probes %llu good %llu bad %llu untold %llu cancelled %llu late_max_ms %.1f "
	       "flights_max %u waiting %u\n",
	       (unsigned long long)st.probes, (unsigned long long)st.good, (unsigned long long)st.bad,
	       (unsigned long long)st.untold, (unsigned long long)st.cancelled, (double)st.late_max_ns / 1e6,
	       st.flights_max, st.waiting);
	printf("cpu: %.2f %% of one CPU, %.1f us a probe, %.0f probes/s\n",
	       (double)(clock_cpu_ns() - cpu_ns) / 1e7 / s,
	       st.probes ? (double)(clock_cpu_ns() - cpu_ns) / 1e3 / (double)st.probes : 0,
	       (double)st.probes / s);
}

/* What the same connections cost alone: socket, connect, close by RST, one after the other. */
static void bare(const struct tool *t, unsigned long n)
{
	struct linger rst = {.l_onoff = 1};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(t->probe.port)};
	uint64_t cpu_ns = clock_cpu_ns();

	for (unsigned long i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		memcpy(&to.sin_addr, t->targets[i % t->n_targets].addr.bytes, 4);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
		if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
			die("connect", NULL);
		close(fd);
		if (i % 8 == 7)
			usleep(1000);
	}
	printf("bare: %.1f us a connection\n", (double)(clock_cpu_ns() - cpu_ns) / 1e3 / (double)n);
}

static struct tool tool = {
	.probe = {.interval_ns = 200000000, .timeout_ns = 2000000000, .rise = 1, .fall = 1},
	.max_changes = ~0ul,
};

int main(int argc, char **argv)
{
	struct tool *t = &tool;
	struct sluice_err err = {0};
	struct health *h;
	uint64_t cpu_ns, seconds = 10000000000u;
	unsigned long n_bare = 0;
	unsigned int files = open_files(), left;
	int o;

	while ((o = getopt(argc, argv, "+n:t:rsTf:c:b:")) >= 0) {
		if (o == 'n')
			t->max_changes = strtoul(optarg, NULL, 10);
		else if (o == 't')
			seconds = time_of(optarg);
		else if (o == 'r')
			t->results = true;
		else if (o == 's')
			t->stats = true;
		else if (o == 'T')
			t->times = true;
		else if (o == 'b')
			n_bare = strtoul(optarg, NULL, 10);
		else if (o == 'f')
			t->flights = (uint32_t)strtoul(optarg, NULL, 10);
		else if (o == 'c')
			t->commands = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	for (; optind < argc && strcmp(argv[optind], "--"); optind++)
		probe_word(t, argv[optind]);
	for (optind++; optind < argc; optind++)
		target_word(t, argv[optind]);
	t->probe.argv = t->argv;
	if (n_bare)
		bare(t, n_bare);
	t->start_ns = clock_mono_ns();
	t->end_ns = t->start_ns + seconds;
	cpu_ns = clock_cpu_ns();
	if (health_new(&(struct health_options){.on_change = on_change,
						.on_result = t->results ? on_result : NULL,
						.max_flights = t->flights,
						.max_commands = t->commands,
						.arg = t},
		       &h, &err))
		die("new", &err);
	apply(t, h, false);
	loop(t, h);
	if (t->stats)
		statistics(t, h, cpu_ns);
	health_free(h);
	left = open_files();
	if (left != files || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
		printf("left: %u descriptors, children: %s\n", left - files,
		       errno == ECHILD ? "none" : "some");
		return 1;
	}
	return 0;
}
