// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * frames IF COUNT HEX...: sends each frame COUNT times, just as it is, in turn. What tests make odd packets
 * with.
 */
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

static size_t from_hex(const char *hex, uint8_t *to, size_t size)
{
	unsigned int byte;
	size_t n = 0;

	for (; hex[0] && hex[1] && n < size; hex += 2) {
		if (sscanf(hex, "%2x", &byte) != 1)
			return 0;
		to[n++] = (uint8_t)byte;
	}
	return *hex ? 0 : n;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
	unsigned long count = argc > 3 ? strtoul(argv[2], NULL, 10) : 0, i;
	uint8_t frame[16384];
	size_t len;
	int fd, a;

	if (!count) {
		fprintf(stderr, "usage: frames IF COUNT HEX...\n");
		return 2;
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (fd < 0 || !to.sll_ifindex) {
		fprintf(stderr, "frames: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (i = 0; i < count; i++) {
		for (a = 3; a < argc; a++) {
			len = from_hex(argv[a], frame, sizeof(frame));
			if (len >= ETH_HLEN)
				memcpy(&to.sll_protocol, frame + 12, 2);
			while (sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) !=
			       (ssize_t)len) {
				if (errno == ENOBUFS || errno == EAGAIN)
					continue;
				fprintf(stderr, "frames: a frame of %zu bytes: %s\n", len, strerror(errno));
				return 1;
			}
		}
	}
	return 0;
}
