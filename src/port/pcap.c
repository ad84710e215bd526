// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The packets of a capture file. The formats are libpcap's business; what it hands over is checked here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <pcap/pcap.h>

#include "base/err.h"
#include "port/pcap.h"

enum { ETHERNET_HEADER = 14 };

/* The file, or a negative errno in *e. A FIFO would block for ever, a directory reads as garbage. */
static FILE *open_file(const char *path, int *e, struct sluice_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	FILE *f;

	if (fd < 0) {
		*e = err_set(err, errno == ENOENT ? -ENOENT : -EACCES, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		*e = err_set(err, -ENOEXEC, "%s is not a regular file; a capture (pcap, pcapng) is wanted",
			     path);
		return NULL;
	}
	f = fdopen(fd, "rb");
	if (!f) {
		close(fd);
		*e = err_nomem(err);
	}
	return f;
}

static int add(struct port_pcap *cap, const char *path, uint64_t number, const struct pcap_pkthdr *h,
	       const u_char *bytes, uint32_t longest_max, struct sluice_err *err)
{
	struct traffic_frame frame = {.at = (uint32_t)cap->bytes.len, .len = h->caplen};

	if (h->caplen > longest_max) {
		cap->skipped_long++;
		return 0;
	}
	if (h->caplen < ETHERNET_HEADER) {
		cap->skipped_short++;
		return 0;
	}
	if (cap->bytes.len + h->caplen > PORT_PCAP_BYTES_MAX || cap->n_frames == PORT_PCAP_FRAMES_MAX)
		return err_set(err, -ENOSPC,
			       "%s holds more than %u MiB or %u packets (reached at packet %llu); "
			       "cut it with editcap -r",
			       path, PORT_PCAP_BYTES_MAX >> 20, PORT_PCAP_FRAMES_MAX,
			       (unsigned long long)number);
	cap->cut += h->caplen < h->len;
	buf_put(&cap->bytes, bytes, h->caplen);
	buf_put(&cap->frames, &frame, sizeof(frame));
	if (cap->bytes.failed || cap->frames.failed)
		return err_nomem(err);
	if (!cap->n_frames || frame.len < cap->shortest)
		cap->shortest = frame.len;
	if (frame.len > cap->longest)
		cap->longest = frame.len;
	cap->n_frames++;
	return 0;
}

static int read_all(pcap_t *p, const char *path, uint32_t longest_max, struct port_pcap *cap,
		    struct sluice_err *err)
{
	struct pcap_pkthdr *h;
	const char *link;
	const u_char *bytes;
	uint64_t number = 0;
	int e = 0, got;

	if (pcap_datalink(p) != DLT_EN10MB) {
		link = pcap_datalink_val_to_name(pcap_datalink(p));
		return err_set(err, -ENOEXEC,
			       "%s has packets of link type %s; a capture of Ethernet is wanted", path,
			       link ? link : "unknown");
	}
	while (!e && (got = pcap_next_ex(p, &h, &bytes)) != PCAP_ERROR_BREAK) {
		number++;
		if (got < 0)
			return err_set(err, -EBADMSG, "%s is damaged at packet %llu: %s", path,
				       (unsigned long long)number, pcap_geterr(p));
		if (got > 0)
			e = add(cap, path, number, h, bytes, longest_max, err);
	}
	if (e)
		return e;
	if (!cap->n_frames && number)
		return err_set(err, -EBADMSG,
			       "%s has no packet that can be sent: of %llu, %llu are longer than %u bytes, "
			       "%llu shorter than 14",
			       path, (unsigned long long)number, (unsigned long long)cap->skipped_long,
			       longest_max, (unsigned long long)cap->skipped_short);
	if (!cap->n_frames)
		return err_set(err, -EBADMSG, "%s has no packets", path);
	return 0;
}

int port_pcap_read(const char *path, uint32_t longest_max, struct port_pcap *cap, struct sluice_err *err)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	pcap_t *p;
	FILE *f;
	int e = 0;

	*cap = (struct port_pcap){.n_frames = 0};
	f = open_file(path, &e, err);
	if (!f)
		return e;
	p = pcap_fopen_offline(f, text);
	if (!p) {
		fclose(f);
		return err_set(err, -ENOEXEC, "%s is not a capture (pcap, pcapng): %s", path, text);
	}
	e = read_all(p, path, longest_max, cap, err);
	pcap_close(p); /* and the file with it */
	return e;
}

void port_pcap_drop(struct port_pcap *cap)
{
	buf_free(&cap->bytes);
	buf_free(&cap->frames);
}

void port_pcap_free(struct port_pcap *cap)
{
	port_pcap_drop(cap);
	*cap = (struct port_pcap){.n_frames = 0};
}
