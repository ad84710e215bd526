// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Captures as one stream. Formats: pcap.c for the plain case, libpcap for all else; what they hand over is
 * checked here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <pcap/pcap.h>

#include "base/err.h"
#include "replay/in.h"
#include "replay/pcap.h"

#define BUFFER_BYTES (256u << 10)

struct source {
	pcap_t *pcap; /* or */
	struct pcap_file *file;
	const char *name;
	uint64_t number; /* of the packet in hand, within this capture */
	struct replay_packet head;
	bool has_head, over;
};

struct replay_in {
	struct source *source;
	size_t n, at; /* at: where in_order reads */
	bool in_order;
	uint64_t handed;
	struct replay_in_stats stats;
};

static int open_file(const char *path, struct sluice_err *err)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC)
				   : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	const char *name = strcmp(path, "-") ? path : "standard input";
	struct stat st;

	if (fd < 0)
		return err_set(err, errno == ENOENT || errno == ENOTDIR ? -ENOENT : errno == EINTR ? -EINTR : -EACCES,
			       "%s: %s", name,
			       errno == ENOENT ? "no such file" : strerror(errno));
	if (!fstat(fd, &st) && !S_ISDIR(st.st_mode) && !S_ISBLK(st.st_mode))
		return fd;
	close(fd);
	return err_set(err, -ENOEXEC, "%s is no file; a capture (pcap, pcapng) is wanted", name);
}

static const char *link_name(int link, char *to, size_t size)
{
	const char *name = pcap_datalink_val_to_name(link);

	if (name)
		snprintf(to, size, "%s", name);
	else
		snprintf(to, size, "%d", link);
	return to;
}

/* A compressed file says so in its first bytes, which are put back: ungetc() finds them in the buffer. */
static int packed(FILE *f, const char *name, struct sluice_err *err)
{
	static const struct {
		const char magic[5], *what, *tool;
	} kinds[] = {{"\x1f\x8b", "gzip", "zcat"},
		     {"\x28\xb5\x2f\xfd", "zstd", "zstdcat"},
		     {"\xfd" "7zX", "xz", "xzcat"},
		     {"BZh", "bzip2", "bzcat"}};
	char head[4] = "";
	size_t n, i;

	errno = 0;
	n = fread(head, 1, sizeof(head), f);
	if (ferror(f))
		return err_set(err, errno == EINTR ? -EINTR : -EIO, "%s: %s", name,
			       errno == EINTR ? "interrupted" : strerror(errno));
	while (n)
		ungetc((unsigned char)head[--n], f);
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!memcmp(head, kinds[i].magic, strlen(kinds[i].magic)))
			return err_set(err, -ENOEXEC, "%s is compressed by %s; say %s FILE | sluice run ... -",
				       name, kinds[i].what, kinds[i].tool);
	return 0;
}

static int open_source(struct source *s, const char *path, struct sluice_err *err)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	int fd, e;
	FILE *f;

	s->name = strcmp(path, "-") ? path : "standard input";
	fd = open_file(path, err);
	if (fd < 0)
		return fd;
	s->file = pcap_file_new(fd);
	if (s->file)
		return 0;
	f = fdopen(fd, "rb");
	if (!f) {
		e = errno == EINVAL ? EBADF : errno; /* a closed standard input can be written to, lest it is reused */
		close(fd);
		return e == ENOMEM ? err_nomem(err) : err_set(err, -EACCES, "%s: %s", s->name, strerror(e));
	}
	setvbuf(f, NULL, _IOFBF, BUFFER_BYTES);
	e = packed(f, s->name, err);
	if (e) {
		fclose(f);
		return e;
	}
	errno = 0;
	s->pcap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!s->pcap) {
		e = errno;
		fclose(f);
		if (e == EINTR)
			return err_set(err, -EINTR, "%s: interrupted", s->name);
		return err_set(err, -ENOEXEC, "%s is not a capture (pcap, pcapng): %s", s->name, text);
	}
	if (pcap_datalink(s->pcap) == DLT_EN10MB)
		return 0;
	return err_set(err, -ENOEXEC, "%s has packets of link type %s; a capture of Ethernet is wanted",
		       s->name, link_name(pcap_datalink(s->pcap), text, sizeof(text)));
}

int replay_in_new(const char *const *path, size_t n, bool in_order, struct replay_in **to,
		  struct sluice_err *err)
{
	struct replay_in *in;
	size_t i, n_stdin = 0;
	int e = 0;

	*to = NULL;
	for (i = 0; i < n && i < REPLAY_IN_MAX; i++)
		n_stdin += !strcmp(path[i], "-");
	if (n_stdin > 1)
		return err_set(err, -EINVAL, "standard input is named twice, it can be read once");
	if (n < 1 || n > REPLAY_IN_MAX)
		return err_set(err, -EINVAL, "%zu captures, 1 to %d are possible", n, REPLAY_IN_MAX);
	in = calloc(1, sizeof(*in));
	if (in)
		in->source = calloc(n, sizeof(*in->source));
	if (!in || !in->source) {
		free(in);
		return err_nomem(err);
	}
	in->in_order = in_order;
	for (i = 0; i < n && !e; i++) {
		in->n = i + 1;
		e = open_source(&in->source[i], path[i], err);
	}
	if (e)
		replay_in_free(in);
	else
		*to = in;
	return e;
}

void replay_in_free(struct replay_in *in)
{
	size_t i;

	for (i = 0; in && i < in->n; i++) {
		if (in->source[i].pcap)
			pcap_close(in->source[i].pcap); /* and the file with it */
		pcap_file_free(in->source[i].file);
	}
	if (in)
		free(in->source);
	free(in);
}

static int damaged(const struct source *s, const char *why, struct sluice_err *err)
{
	return err_set(err, -EBADMSG, "%s is damaged at packet %llu: %s", s->name,
		       (unsigned long long)s->number + 1, why);
}

/* One record: 1, 0 at the end. */
static int from_file(struct source *s, struct pcap_record *r, struct sluice_err *err)
{
	bool cut;
	int got = pcap_file_next(s->file, r, &cut);

	if (got == -EBADMSG)
		return damaged(s, cut ? "the file ends within it" : "no packet is that long", err);
	return got < 0 ? err_set(err, got, "%s: %s", s->name, strerror(-got)) : got;
}

/* libpcap ends at the first interface that is of another link type, and knows no code for it. */
static bool mixed(const struct source *s, const char *why, struct sluice_err *err)
{
	char name[32];
	unsigned int link;

	if (sscanf(why, "an interface has a type %u different", &link) != 1)
		return false;
	err_set(err, -ENOEXEC,
		"%s has, behind packet %llu, an interface of link type %s; a capture of Ethernet alone is wanted",
		s->name, (unsigned long long)s->number, link_name((int)link, name, sizeof(name)));
	return true;
}

static int from_libpcap(struct source *s, struct pcap_record *r, struct sluice_err *err)
{
	struct pcap_pkthdr *h;
	const u_char *bytes;
	int got;

	do {
		errno = 0;
		got = pcap_next_ex(s->pcap, &h, &bytes);
	} while (!got);
	if (got == PCAP_ERROR_BREAK)
		return 0;
	if (got < 0 && errno == EINTR)
		return err_set(err, -EINTR, "%s: interrupted", s->name);
	if (got < 0)
		return mixed(s, pcap_geterr(s->pcap), err) ? -ENOEXEC : damaged(s, pcap_geterr(s->pcap), err);
	/* asked for nanoseconds, libpcap puts them where the name says micro */
	*r = (struct pcap_record){.time_ns = (uint64_t)h->ts.tv_sec * 1000000000u + (uint64_t)h->ts.tv_usec,
				  .len = h->caplen,
				  .wire_len = h->len,
				  .data = bytes};
	return 1;
}

/* The next packet of a source that can be run, into its head. */
static int advance(struct replay_in *in, struct source *s, struct sluice_err *err)
{
	struct pcap_record r;
	int got;

	while (!s->over && !s->has_head) {
		got = s->file ? from_file(s, &r, err) : from_libpcap(s, &r, err);
		if (got <= 0) {
			s->over = true;
			return got;
		}
		s->number++;
		in->stats.packets++;
		in->stats.bytes += r.len;
		if (r.len < REPLAY_SHORTEST) {
			in->stats.too_short++;
			continue;
		}
		if (r.len > REPLAY_LONGEST) {
			in->stats.too_long++;
			continue;
		}
		in->stats.cut += r.len < r.wire_len;
		s->head = (struct replay_packet){.number = s->number,
						 .time_ns = r.time_ns,
						 .data = r.data,
						 .len = r.len,
						 .wire_len = r.wire_len,
						 .source = (uint32_t)(s - in->source)};
		s->has_head = true;
	}
	return 0;
}

static int next_in_order(struct replay_in *in, struct source **s, struct sluice_err *err)
{
	int e;

	for (*s = NULL; in->at < in->n; in->at++) {
		e = advance(in, &in->source[in->at], err);
		if (e)
			return e;
		if (in->source[in->at].has_head) {
			*s = &in->source[in->at];
			break;
		}
	}
	return 0;
}

static int next_by_time(struct replay_in *in, struct source **s, struct sluice_err *err)
{
	size_t i;
	int e;

	*s = NULL;
	for (i = 0; i < in->n; i++) {
		struct source *one = &in->source[i];

		e = advance(in, one, err);
		if (e)
			return e;
		if (one->has_head && (!*s || one->head.time_ns < (*s)->head.time_ns))
			*s = one;
	}
	return 0;
}

int replay_in_next(struct replay_in *in, struct replay_packet *packet, struct sluice_err *err)
{
	struct source *s;
	int e = in->in_order || in->n == 1 ? next_in_order(in, &s, err) : next_by_time(in, &s, err);

	if (e || !s)
		return e;
	*packet = s->head;
	s->has_head = false;
	in->handed++;
	if (in->n > 1)
		packet->number = in->handed;
	return 1;
}

const struct replay_in_stats *replay_in_stats(const struct replay_in *in)
{
	return &in->stats;
}
