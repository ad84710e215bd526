// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A capture from packets in words (sluice/packet.h), one a line; what the demo and anybody's own experiments
 * run on.
 *
 *     cc packets.c $(pkg-config --cflags --libs sluice) -o packets
 *     ./packets out.pcap < packets.txt
 *
 * A line is a count and a packet; @ in it becomes 1, 2, 3 ... with each packet of the line, after 250 it
 * starts again. Lines that start with # and empty ones are nothing. Packets are ten microseconds apart.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sluice/packet.h>

static uint8_t frame[SLUICE_PACKET_MAX];
static uint32_t micro;

static int put_frame(FILE *to, size_t len)
{
	const uint32_t head[4] = {1700000000 + micro / 1000000, micro % 1000000, (uint32_t)len,
				  (uint32_t)len};

	micro += 10;
	return fwrite(head, sizeof(head), 1, to) == 1 && (!len || fwrite(frame, len, 1, to) == 1);
}

/* text with @ replaced */
static void fill_in(const char *text, unsigned long number, char *to, size_t size)
{
	size_t n = 0;

	for (; *text && n + 8 < size; text++)
		if (*text == '@')
			n += (size_t)snprintf(to + n, size - n, "%lu", number);
		else
			to[n++] = *text;
	to[n] = '\0';
}

int main(int argc, char **argv)
{
	/* pcap: magic, version 2.4, time zone, accuracy, snap length, Ethernet */
	const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, SLUICE_PACKET_MAX, 1};
	char line[4096], text[8192], *rest;
	struct sluice_err err = {0};
	unsigned long n, i, nr = 0;
	size_t len;
	FILE *to;

	to = argc == 2 ? fopen(argv[1], "we") : NULL;
	if (!to || fwrite(head, sizeof(head), 1, to) != 1) {
		if (argc == 2)
			perror(argv[1]);
		else
			fprintf(stderr, "usage: %s OUT.pcap < PACKETS\n", argv[0]);
		return argc == 2 ? 1 : 2;
	}
	while (fgets(line, sizeof(line), stdin)) {
		nr++;
		line[strcspn(line, "\n")] = '\0';
		if (!*line || *line == '#')
			continue;
		n = strtoul(line, &rest, 10);
		for (i = 0; i < n; i++) {
			fill_in(rest, i % 250 + 1, text, sizeof(text));
			if (sluice_packet_build(text, frame, sizeof(frame), &len, &err)) {
				fprintf(stderr, "line %lu: %s\n", nr, err.text);
				return 1;
			}
			if (!put_frame(to, len)) {
				perror(argv[1]);
				return 1;
			}
		}
	}
	if (fclose(to)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
