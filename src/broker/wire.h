/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a client (src/preload) and the broker say to each other, over one SOCK_SEQPACKET connection for each thread.
 *
 *     client                                broker
 *     wire_req BPF, attr (+ descriptor) ->  runs the command; what it reads and writes of the caller's memory:
 *                    <-  records: WRITE..., READ     the client writes, then answers
 *     wire_ans, bytes   ->
 *                    <-  records: FD
 *     wire_ans + descriptor ->
 *                    <-  records: WRITE..., DONE (+ descriptor)
 *
 * A message of the broker is a sequence of records; READ, FD and DONE come last in theirs. Writes have no answer: the
 * client remembers the first that failed and turns a DONE that went well into -EFAULT.
 */
#ifndef BROKER_WIRE_H
#define BROKER_WIRE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_ENV "SLUICE_VM" /* PID:FD:INODE:CPUS of the broker's socket; CPUS 0: those of the machine */
#define WIRE_BYTES (64u << 10) /* of one message */
#define WIRE_ATTR 4096	       /* the most that bpf(2) takes */

enum wire_req_type {
	WIRE_BPF,   /* cmd, addr and size of attr, which follows; first_fd: its first word, if its descriptor comes along */
	WIRE_WAIT,  /* a ring buffer's descriptor comes along: DONE has the one to wait on */
	WIRE_PATH,  /* cmd: enum wire_path_op, addr: index; the path follows. DONE: struct wire_about */
	WIRE_IF,    /* addr: number, or 0 and the name follows. DONE: struct wire_if */
};

enum wire_path_op {
	WIRE_ABOUT,
	WIRE_MKDIR,
	WIRE_RMDIR,
	WIRE_UNLINK,
	WIRE_CHILD,
};

struct wire_req {
	uint32_t type;
	int32_t cmd;
	uint64_t addr;
	uint32_t size;
	int32_t first_fd; /* -1: none comes along */
};

struct wire_ans {
	int32_t ret;
	uint32_t len; /* of the bytes that follow */
};

enum wire_rec_type { WIRE_WRITE, WIRE_READ, WIRE_FD, WIRE_DONE };

struct wire_rec {
	uint32_t type;
	uint32_t len; /* WRITE, DONE: bytes that follow, padded to 8. READ: bytes wanted */
	uint64_t addr; /* WRITE, READ: where. FD: which. DONE: what the command returned */
};

struct wire_about {
	uint64_t ino;
	uint32_t is_dir;
	char name[NAME_MAX + 1];
};

struct wire_if {
	uint32_t ifindex;
	char name[16];
};

#define WIRE_MOST_DATA (WIRE_BYTES - (uint32_t)sizeof(struct wire_rec) - 8)

static inline uint32_t wire_padded(uint32_t len)
{
	return (len + 7u) & ~7u;
}

#endif
