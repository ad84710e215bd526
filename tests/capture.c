// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * capture FILE [OPTION=VALUE...] HEX[*N]...   a pcap file of these frames, each N times, a microsecond apart;
 * zN is one of N zeroes capture FILE [OPTION=VALUE...] random SEED N [SOURCES]   of N built packets of all
 * sorts, or of plain UDP from so many
 *
 * Options: start=SECONDS, link=TYPE, snap=BYTES (frames are cut there), and cut=BYTES, which the file loses
 * at its end.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/packet.h"

#define FRAME_MAX 131072

static FILE *file;
static uint32_t start = 1000000000, micro, link_type = 1, snap = 262144, cut;
static uint64_t state;

static void put(const void *p, size_t len)
{
	if (fwrite(p, 1, len, file) != len) {
		perror("capture");
		exit(1);
	}
}

static void put_frame(const uint8_t *frame, uint32_t len)
{
	uint32_t kept = len < snap ? len : snap;
	uint32_t head[4] = {start + micro / 1000000, micro % 1000000, kept, len};

	micro++;
	put(head, sizeof(head));
	put(frame, kept);
}

static uint32_t rnd(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

static void put_hex(const char *hex)
{
	static uint8_t frame[FRAME_MAX];
	const char *star = strchr(hex, '*');
	unsigned long n = star ? strtoul(star + 1, NULL, 10) : 1;
	unsigned int byte;
	uint32_t len = 0;

	if (*hex == 'z') {
		memset(frame, 0, sizeof(frame));
		len = (uint32_t)strtoul(hex + 1, NULL, 10);
		put_frame(frame, len < FRAME_MAX ? len : FRAME_MAX);
		return;
	}
	for (; hex[0] && hex[0] != '*' && hex[1] && len < FRAME_MAX; hex += 2) {
		if (sscanf(hex, "%2x", &byte) != 1) {
			fprintf(stderr, "capture: no hex: %s\n", hex);
			exit(2);
		}
		frame[len++] = (uint8_t)byte;
	}
	while (n--)
		put_frame(frame, len);
}

/* Anything: v4 and v6, UDP, TCP and ICMP, tags, sizes; one in eight then with a byte that is wrong, one in
 * sixteen short. */
static void put_random(void)
{
	static uint8_t frame[FRAME_MAX];
	struct net_packet p = {.src_mac = {2, 0, 0, 0, 0, 1},
			       .dst_mac = {2, 0, 0, 0, 0, 2},
			       .ttl = (uint8_t)rnd(256)};
	struct net_layout at;
	struct sluice_err err;
	char text[64];
	bool six = !rnd(4);
	uint32_t len;

	snprintf(text, sizeof(text), six ? "2001:db8::%x" : "10.0.0.%u", rnd(64) + 1);
	net_addr_parse(text, &p.src, &err);
	snprintf(text, sizeof(text), six ? "2001:db8:1::%x" : "192.0.2.%u", rnd(16) + 1);
	net_addr_parse(text, &p.dst, &err);
	p.l4 = (enum net_l4)rnd(3);
	p.sport = (uint16_t)rnd(65536);
	p.dport = rnd(2) ? (uint16_t)(rnd(2) ? 53 : 80) : (uint16_t)rnd(65536);
	p.tcp_flags = (uint8_t)rnd(256);
	p.icmp_type = 8;
	p.n_vlan = rnd(4) ? 0 : rnd(3);
	p.vlan[0] = (uint16_t)(rnd(4094) + 1);
	p.vlan[1] = (uint16_t)(rnd(4094) + 1);
	if (net_packet_build(&p, rnd(3) ? 0 : 100 + rnd(1400), frame, sizeof(frame), &at, &err)) {
		fprintf(stderr, "capture: %s\n", err.text);
		exit(1);
	}
	len = at.frame_len;
	if (!rnd(8))
		frame[rnd(len < 60 ? len : 60)] = (uint8_t)rnd(256);
	if (!rnd(16))
		len = 14 + rnd(len - 14);
	put_frame(frame, len);
}

static void put_source(uint32_t sources)
{
	static uint8_t frame[64];
	static bool built;
	struct net_packet p = {.src_mac = {2, 0, 0, 0, 0, 1},
			       .dst_mac = {2, 0, 0, 0, 0, 2},
			       .ttl = 64,
			       .l4 = NET_UDP,
			       .sport = 1000,
			       .dport = 53};
	struct net_layout at;
	struct sluice_err err;
	uint32_t addr = 0x0a000000 + rnd(sources);

	if (!built) {
		net_addr_parse("10.0.0.1", &p.src, &err);
		net_addr_parse("192.0.2.1", &p.dst, &err);
		if (net_packet_build(&p, 64, frame, sizeof(frame), &at, &err))
			exit(1);
		built = true;
	}
	addr = __builtin_bswap32(addr);
	memcpy(frame + 26, &addr, 4);
	put_frame(frame, 64);
}

static int option(const char *arg)
{
	static const struct {
		const char *name;
		uint32_t *to;
	} opts[] = {{"start=", &start}, {"link=", &link_type}, {"snap=", &snap}, {"cut=", &cut}};
	size_t i;

	for (i = 0; i < 4; i++)
		if (!strncmp(arg, opts[i].name, strlen(opts[i].name))) {
			*opts[i].to = (uint32_t)strtoul(arg + strlen(opts[i].name), NULL, 10);
			return 1;
		}
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16};
	unsigned long n, i;
	int a = 2;
	long end;

	if (argc < 2 || !(file = fopen(argv[1], "wb"))) {
		fprintf(stderr,
			"usage: capture FILE [OPTION=VALUE...] HEX[*N]... | random SEED N [SOURCES]\n");
		return 2;
	}
	while (a < argc && option(argv[a]))
		a++;
	head[4] = snap;
	head[5] = link_type;
	put(head, sizeof(head));
	if (a + 2 < argc && !strcmp(argv[a], "random")) {
		state = strtoull(argv[a + 1], NULL, 10);
		n = strtoul(argv[a + 2], NULL, 10);
		for (i = 0; i < n; i++)
			if (a + 3 < argc)
				put_source((uint32_t)strtoul(argv[a + 3], NULL, 10));
			else
				put_random();
	} else {
		for (; a < argc; a++)
			put_hex(argv[a]);
	}
	end = ftell(file);
	if (fflush(file) || (cut && ftruncate(fileno(file), end - (long)cut)) || fclose(file)) {
		perror("capture");
		return 1;
	}
	return 0;
}
