// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes the captures that are read: any bytes are a file. What the reader of plain pcap takes it reads as
 * libpcap does, packet by packet, to the same end; whatever is handed out has the lengths that were promised,
 * and every byte is there.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <pcap/pcap.h>

#include "fuzz/fuzz.h"
#include "replay/in.h"
#include "replay/pcap.h"

static uint32_t sum(const uint8_t *p, uint32_t len)
{
	uint32_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

static void same(const char *path, int fd)
{
	struct pcap_file *f = pcap_file_new(fd);
	char why[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *h;
	struct pcap_record r;
	const u_char *bytes;
	int got, theirs;
	pcap_t *p;
	bool cut;

	if (!f) {
		close(fd);
		return;
	}
	p = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!p)
		abort();
	for (;;) {
		got = pcap_file_next(f, &r, &cut);
		theirs = pcap_next_ex(p, &h, &bytes);
		if ((got == 1) != (theirs == 1) || (got == 0) != (theirs == PCAP_ERROR_BREAK))
			abort();
		if (got != 1)
			break;
		if (r.len != h->caplen || r.wire_len != h->len || memcmp(r.data, bytes, r.len) != 0)
			abort();
	}
	pcap_close(p);
	pcap_file_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("capture", MFD_CLOEXEC);
	struct replay_packet packet;
	volatile uint32_t all = 0;
	struct sluice_err err;
	struct replay_in *in;
	const char *path[1];
	char name[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET))
		abort();
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	path[0] = name;
	if (!replay_in_new(path, 1, false, &in, &err)) {
		while (replay_in_next(in, &packet, &err) == 1) {
			if (packet.len < REPLAY_SHORTEST || packet.len > REPLAY_LONGEST)
				abort();
			all += sum(packet.data, packet.len);
		}
		replay_in_free(in);
	}
	same(name, dup(fd));
	close(fd);
	return 0;
}
