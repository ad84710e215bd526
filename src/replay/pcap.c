// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Classic pcap out of one buffer. The bytes are somebody else's: every length is held against what was read. */
#include <byteswap.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/view.h"
#include "replay/pcap.h"

#define BUFFER_BYTES (1u << 20)
#define MAGIC_MICRO 0xa1b2c3d4u
#define MAGIC_NANO 0xa1b23c4du
#define FILE_HEADER 24
#define RECORD_HEADER 16
#define ETHERNET 1

_Static_assert(BUFFER_BYTES >= PCAP_MOST_BYTES + RECORD_HEADER, "a packet fits");

struct pcap_file {
	int fd;
	bool swapped, nano, over;
	uint32_t snap;	  /* of longer packets the rest is passed over, as libpcap does */
	uint32_t at, end; /* of what is in the buffer and not yet handed out */
	uint8_t buffer[BUFFER_BYTES];
};

static uint32_t order(const struct pcap_file *f, uint32_t v)
{
	return f->swapped ? bswap_32(v) : v;
}

/* Sees to it that n bytes are in the buffer, if the file has them: 1; 0: it has not; a negative errno. */
static int want(struct pcap_file *f, uint32_t n)
{
	ssize_t got;

	if (f->end - f->at >= n)
		return 1;
	memmove(f->buffer, f->buffer + f->at, f->end - f->at);
	f->end -= f->at;
	f->at = 0;
	while (f->end < n && !f->over) {
		got = read(f->fd, f->buffer + f->end, BUFFER_BYTES - f->end);
		if (got < 0 && errno != EINTR)
			return -errno;
		f->over = got == 0;
		f->end += got > 0 ? (uint32_t)got : 0;
	}
	return f->end >= n;
}

static bool header(struct pcap_file *f)
{
	struct view v = view_of(f->buffer, FILE_HEADER);
	uint32_t magic = view_u32(&v), link;
	uint16_t version[2];

	f->swapped = magic == bswap_32(MAGIC_MICRO) || magic == bswap_32(MAGIC_NANO);
	magic = order(f, magic);
	f->nano = magic == MAGIC_NANO;
	view_copy(&v, version, sizeof(version));
	view_take(&v, 8);
	f->snap = order(f, view_u32(&v));
	if (!f->snap || f->snap > PCAP_MOST_BYTES)
		f->snap = PCAP_MOST_BYTES;
	link = order(f, view_u32(&v));
	if (f->swapped) {
		version[0] = bswap_16(version[0]);
		version[1] = bswap_16(version[1]);
	}
	return view_ok(&v) && (f->nano || magic == MAGIC_MICRO) && version[0] == 2 && version[1] == 4 &&
	       link == ETHERNET;
}

struct pcap_file *pcap_file_new(int fd)
{
	struct pcap_file *f;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || lseek(fd, 0, SEEK_CUR) != 0)
		return NULL;
	f = malloc(sizeof(*f));
	if (!f)
		return NULL;
	memset(f, 0, offsetof(struct pcap_file, buffer));
	f->fd = fd;
	if (want(f, FILE_HEADER) == 1 && header(f)) {
		f->at = FILE_HEADER;
		return f;
	}
	free(f);
	if (lseek(fd, 0, SEEK_SET))
		return NULL; /* libpcap will say what is wrong with it */
	return NULL;
}

void pcap_file_free(struct pcap_file *f)
{
	if (f)
		close(f->fd);
	free(f);
}

int pcap_file_next(struct pcap_file *f, struct pcap_record *r, bool *cut)
{
	uint32_t sec, part, len;
	struct view v;
	int got = want(f, RECORD_HEADER);

	*cut = false;
	if (got != 1) {
		*cut = !got && f->end > f->at;
		return got ? got : *cut ? -EBADMSG : 0;
	}
	v = view_of(f->buffer + f->at, RECORD_HEADER);
	sec = order(f, view_u32(&v));
	part = order(f, view_u32(&v));
	len = order(f, view_u32(&v));
	r->wire_len = order(f, view_u32(&v));
	if (len > PCAP_MOST_BYTES)
		return -EBADMSG;
	got = want(f, RECORD_HEADER + len);
	if (got != 1) {
		*cut = !got;
		return got ? got : -EBADMSG;
	}
	r->time_ns = (uint64_t)sec * 1000000000u + (uint64_t)part * (f->nano ? 1 : 1000);
	r->len = len < f->snap ? len : f->snap;
	r->data = f->buffer + f->at + RECORD_HEADER;
	f->at += RECORD_HEADER + len;
	return 1;
}
