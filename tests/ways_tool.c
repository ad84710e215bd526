// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Looks up ways to addresses and prints each, and each change, a line each, for scripts to read.
 *
 *   ways-tool [-s MS] [-t SECONDS] ADDRESS[*N] [direct:ADDRESS]...
 *
 * -s: waits until they are found, MS at most, prints them all and ends. Otherwise it ends after so many seconds, or when
 * stdin does. ADDRESS*N: N addresses from there on.
 *
 *   198.18.1.2 ready to1 02:00:00:00:01:02 02:00:00:00:01:01 mtu 1500
 *   192.0.2.1 cannot be reached: there is no route to it
 */
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/balance_ways.h"

#define WAYS 70000

static void die(const char *what, const struct sluice_err *err)
{
	fprintf(stderr, "ways-tool: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
	exit(1);
}

static void show(void *arg, const struct way *way)
{
	char addr[NET_ADDR_TEXT], dmac[NET_MAC_TEXT], smac[NET_MAC_TEXT], text[WAYS_TEXT],
		name[IF_NAMESIZE] = "?";

	(void)arg;
	printf("%s%s ", way->to.direct ? "direct:" : "", net_addr_format(&way->to.addr, addr, sizeof(addr)));
	if (way->state == WAY_READY)
		printf("ready %s %s %s mtu %u\n", if_indextoname(way->hop.ifindex, name),
		       net_mac_format(way->hop.dmac, dmac, sizeof(dmac)),
		       net_mac_format(way->hop.smac, smac, sizeof(smac)), way->hop.mtu);
	else
		printf("%s\n", ways_say(way, text));
	fflush(stdout);
}

static size_t read_want(const char *word, struct way_want *to, size_t room)
{
	char text[128], *times;
	struct sluice_err err = {0};
	size_t n = 1, i;
	int at;

	*to = (struct way_want){.direct = !strncmp(word, "direct:", 7)};
	snprintf(text, sizeof(text), "%s", word + (to->direct ? 7 : 0));
	times = strchr(text, '*');
	if (times) {
		*times++ = '\0';
		n = strtoul(times, NULL, 10);
	}
	if (n > room || net_addr_parse(text, &to->addr, &err))
		die(word, &err);
	for (i = 1; i < n; i++) {
		to[i] = to[i - 1];
		for (at = to->addr.v6 ? 15 : 3; at >= 0 && !++to[i].addr.bytes[at]; at--)
			;
	}
	return n;
}

static void loop(struct ways *w, uint64_t end_ns)
{
	struct pollfd fds[] = {{.fd = ways_fd(w), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	struct sluice_err err = {0};
	uint64_t wait_ns;
	char c;

	while (clock_mono_ns() < end_ns) {
		if (ways_turn(w, show, NULL, &wait_ns, &err))
			die("turn", &err);
		poll(fds, 2, (int)(wait_ns / 1000000) + !!wait_ns);
		if (fds[1].revents && read(0, &c, 1) <= 0)
			return;
	}
}

int main(int argc, char **argv)
{
	static struct way_want want[WAYS];
	uint64_t settle_ms = 0, seconds = 20;
	struct sluice_err err = {0};
	struct ways *w;
	size_t n = 0, i;
	int opt;

	while ((opt = getopt(argc, argv, "s:t:")) != -1) {
		if (opt == 's')
			settle_ms = strtoull(optarg, NULL, 10);
		else if (opt == 't')
			seconds = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	for (; optind < argc; optind++)
		n += read_want(argv[optind], want + n, WAYS - n);
	if (ways_new(true, &w, &err) || ways_want(w, want, n, &err))
		die("ways", &err);
	if (settle_ms) {
		if (ways_settle(w, settle_ms * 1000000, &err))
			die("settle", &err);
		for (i = 0; i < n; i++)
			show(NULL, ways_find(w, &want[i]));
	} else {
		loop(w, clock_mono_ns() + seconds * 1000000000);
	}
	ways_free(w);
	return 0;
}
