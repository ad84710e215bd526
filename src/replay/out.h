/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets into a capture file: pcap with nanoseconds, or pcapng, whose packets say on which interface and
 * have a comment (opt_comment). Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
 */
#ifndef REPLAY_OUT_H
#define REPLAY_OUT_H

#include <stdint.h>
#include <sluice/err.h>

struct replay_out;

/*
 * replay_out_new() makes (or empties) a file; its name says which format: .pcap or .pcapng.
 *
 * out:     *out    NULL on failure
 * errors:  -EINVAL another name, or no regular file, FIFO or device that can be written; -errno of open(2);
 * -ENOMEM
 */
int replay_out_new(const char *path, struct replay_out **out, struct sluice_err *err);

/*
 * replay_out_stream() writes pcapng to a descriptor, a pipe for instance, which is taken over: closed also on
 * failure. What stands before the packets is written at once.
 *
 * in:      name  what it is called in sentences
 */
int replay_out_stream(int fd, const char *name, struct replay_out **out, struct sluice_err *err);

/* replay_out_flush() writes out what there is; returns 0, or -errno of the first thing that went wrong. */
int replay_out_flush(struct replay_out *out);

/*
 * replay_out_write() adds a packet.
 *
 * in:      wire_len  at least len
 *          ifname    of the interface it goes out of (or came in on); pcap keeps no such thing
 *          comment   UTF-8, or NULL
 * errors:  none here: what could not be written is said by replay_out_close()
 */
void replay_out_write(struct replay_out *out, uint64_t time_ns, const void *data, uint32_t len,
		      uint32_t wire_len, const char *ifname, const char *comment);

/* replay_out_close() writes out what is left, and frees; -EIO, -ENOSPC: not everything is in the file. NULL
 * is nothing. */
int replay_out_close(struct replay_out *out, struct sluice_err *err);

#endif
