// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets into a capture file. Numbers are in host order: both formats say which that is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "replay/out.h"

#define PCAP_NANO 0xa1b23c4du
#define SNAP_BYTES (256u << 10)
#define LINK_ETHERNET 1
#define NAMES 1024 /* interfaces of one file; more are called like the last */

enum { NG_SECTION = 0x0a0d0d0a, NG_INTERFACE = 1, NG_PACKET = 6 };
enum { OPT_END = 0, OPT_COMMENT = 1, IF_NAME = 2, IF_TSRESOL = 9, SHB_USERAPPL = 4 };

struct replay_out {
	FILE *file;
	char *path;
	bool ng;
	struct buf block; /* of the one being written */
	char **name;	  /* interfaces so far */
	uint32_t n_names;
	int e; /* the first thing that went wrong */
};

static void put(struct replay_out *o, const void *p, size_t len)
{
	if (!o->e && fwrite(p, 1, len, o->file) != len)
		o->e = errno ? -errno : -EIO;
}

static void pad(struct buf *b)
{
	while (b->len % 4 && !b->failed)
		buf_put(b, "", 1);
}

static void option(struct buf *b, uint16_t code, const void *value, size_t len)
{
	uint16_t head[2] = {code, (uint16_t)len};

	buf_put(b, head, sizeof(head));
	buf_put(b, value, len);
	pad(b);
}

/* A block: type, length, what is in o->block, length again. */
static void put_block(struct replay_out *o, uint32_t type)
{
	uint32_t head[2] = {type, (uint32_t)o->block.len + 12};

	if (o->block.failed)
		o->e = o->e ? o->e : -ENOMEM;
	put(o, head, sizeof(head));
	put(o, o->block.data, o->block.len);
	put(o, &head[1], 4);
	o->block.len = 0;
}

static void put_interface(struct replay_out *o, const char *name)
{
	static const uint8_t nano = 9;
	const uint16_t link[2] = {LINK_ETHERNET, 0};

	buf_put(&o->block, link, sizeof(link));
	buf_u32(&o->block, SNAP_BYTES);
	if (name[0])
		option(&o->block, IF_NAME, name, strlen(name));
	option(&o->block, IF_TSRESOL, &nano, 1);
	option(&o->block, OPT_END, "", 0);
	put_block(o, NG_INTERFACE);
}

static void put_start(struct replay_out *o)
{
	static const uint16_t version[2] = {2, 4}, ng_version[2] = {1, 0};
	uint32_t pcap[6] = {PCAP_NANO, 0, 0, 0, SNAP_BYTES, LINK_ETHERNET};

	memcpy(&pcap[1], version, sizeof(version));
	if (!o->ng) {
		put(o, pcap, sizeof(pcap));
		return;
	}
	buf_u32(&o->block, 0x1a2b3c4d);
	buf_put(&o->block, ng_version, sizeof(ng_version));
	buf_u64(&o->block, UINT64_MAX); /* the section's length: not known */
	option(&o->block, SHB_USERAPPL, "sluice", 6);
	option(&o->block, OPT_END, "", 0);
	put_block(o, NG_SECTION);
	put_interface(o, ""); /* number 0: without any, readers take a capture of no packets for damaged */
}

/* The number of an interface; a new one gets its block. */
static uint32_t interface(struct replay_out *o, const char *name)
{
	char *copy, **more;
	uint32_t i;

	for (i = o->n_names; i-- > 0;)
		if (!strcmp(o->name[i], name))
			return i + 1;
	if (o->n_names == NAMES)
		return NAMES;
	copy = strdup(name);
	more = realloc(o->name, (o->n_names + 1) * sizeof(*more));
	if (more)
		o->name = more;
	if (!copy || !more) {
		free(copy);
		o->e = o->e ? o->e : -ENOMEM;
		return 0;
	}
	o->name[o->n_names] = copy;
	put_interface(o, name);
	return ++o->n_names;
}

/* fd is taken over. */
static int begin(int fd, const char *path, bool ng, struct replay_out **to, struct sluice_err *err)
{
	struct replay_out *o = calloc(1, sizeof(*o));
	int e;

	if (o) {
		o->ng = ng;
		o->path = strdup(path);
		o->file = fdopen(fd, "wb");
	}
	if (!o || !o->path || !o->file) {
		e = err_nomem(err);
		if (!o || !o->file)
			close(fd);
		replay_out_close(o, NULL);
		return e;
	}
	put_start(o);
	*to = o;
	return 0;
}

int replay_out_new(const char *path, struct replay_out **to, struct sluice_err *err)
{
	const char *dot = strrchr(path, '.');
	struct stat st;
	int fd;

	*to = NULL;
	if (!dot || (strcmp(dot, ".pcap") != 0 && strcmp(dot, ".pcapng") != 0))
		return err_set(err, -EINVAL, "%s: a capture is called NAME.pcap or NAME.pcapng", path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(err, errno == ENOENT ? -ENOENT : -errno, "%s cannot be written: %s", path,
			       strerror(errno));
	if (fstat(fd, &st) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)) {
		close(fd);
		return err_set(err, -EINVAL, "%s is no file that a capture could be written to", path);
	}
	return begin(fd, path, !strcmp(dot, ".pcapng"), to, err);
}

int replay_out_stream(int fd, const char *name, struct replay_out **to, struct sluice_err *err)
{
	int e;

	*to = NULL;
	e = begin(fd, name, true, to, err);
	if (!e)
		replay_out_flush(*to);
	return e;
}

int replay_out_flush(struct replay_out *o)
{
	if (!o->e && fflush(o->file))
		o->e = errno ? -errno : -EIO;
	return o->e;
}

void replay_out_write(struct replay_out *o, uint64_t time_ns, const void *data, uint32_t len,
		      uint32_t wire_len, const char *ifname, const char *comment)
{
	uint32_t head[4] = {(uint32_t)(time_ns / 1000000000u), (uint32_t)(time_ns % 1000000000u), len,
			    wire_len};
	uint32_t number;

	if (!o->ng) {
		put(o, head, sizeof(head));
		put(o, data, len);
		return;
	}
	number = interface(o, ifname);
	buf_u32(&o->block, number);
	buf_u32(&o->block, (uint32_t)(time_ns >> 32));
	buf_u32(&o->block, (uint32_t)time_ns);
	buf_u32(&o->block, len);
	buf_u32(&o->block, wire_len);
	buf_put(&o->block, data, len);
	pad(&o->block);
	if (comment) {
		option(&o->block, OPT_COMMENT, comment, strlen(comment));
		option(&o->block, OPT_END, "", 0);
	}
	put_block(o, NG_PACKET);
}

int replay_out_close(struct replay_out *o, struct sluice_err *err)
{
	int e;

	if (!o)
		return 0;
	e = o->e;
	if (o->file && fclose(o->file) && !e)
		e = errno ? -errno : -EIO;
	if (e)
		err_set(err, e, "%s is not complete: %s", o->path ? o->path : "the capture", strerror(-e));
	while (o->n_names)
		free(o->name[--o->n_names]);
	free(o->name);
	buf_free(&o->block);
	free(o->path);
	free(o);
	return e;
}
