/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The caller's memory and descriptors, as a command sees them.
 *
 * Who calls vm_bpf() is either this very thread, whose pointers and descriptors are then used as they are, or somebody
 * in another process, for whom this thread answers: it says so with user_set(), and what the command asks for is fetched.
 * No lock of the engine may be held around these calls: a remote caller may take its time, or never answer.
 */
#ifndef VM_USER_H
#define VM_USER_H

#include <stdbool.h>
#include <stdint.h>

/* How to reach a caller elsewhere. */
struct user {
	/* copy len bytes; 0 or -EFAULT */
	int (*read)(struct user *self, void *to, uint64_t from, uint64_t len);
	int (*write)(struct user *self, uint64_t to, const void *from, uint64_t len);
	/* a descriptor of this process for the caller's fd, which user.c closes; -EBADF */
	int (*fd)(struct user *self, int fd);
	/* has the caller gone away, so that nobody waits for the answer? Does not wait itself */
	bool (*gone)(struct user *self);
};

/* user_set() says for whom this thread calls from now on, NULL: for itself. Returns what was set before. */
struct user *user_set(struct user *user);

/*
 * user_read(), user_write() copy; user_string() copies up to and with the final zero.
 * errors:  -EFAULT (of this thread's own pointers: the first page, the rest is trusted as libc trusts it);
 *          -ENAMETOOLONG no zero within size
 */
int user_read(void *to, uint64_t from, uint64_t len);
int user_write(uint64_t to, const void *from, uint64_t len);
int user_string(char *to, uint64_t from, uint32_t size);

/* user_zero() are the len bytes at from zero? 1, 0 or -EFAULT. */
int user_zero(uint64_t from, uint64_t len);

/* A piece of the caller's memory as memory here: that itself, or a copy. */
struct user_buf {
	void *p;
	uint64_t addr, len;
	bool copied;
};

/*
 * user_in() makes len bytes at addr readable as b->p; user_in_done() ends that.
 * user_out() makes room for them, user_out_done() hands the first len over. A bad address is found out only then, which
 * is how the kernel does it: the command has been carried out.
 * errors:  -EFAULT, -ENOMEM
 */
int user_in(struct user_buf *b, uint64_t addr, uint64_t len);
void user_in_done(struct user_buf *b);
int user_out(struct user_buf *b, uint64_t addr, uint64_t len);
int user_out_done(struct user_buf *b, uint64_t len);

/* user_fd() is a descriptor here for the caller's fd, or a negative errno; give it back with user_fd_done(). */
int user_fd(int fd);
void user_fd_done(int fd);
/* user_fd_dup() is one to keep. */
int user_fd_dup(int fd);

/* user_gone(): may what takes long be given up, since its caller is no more? */
bool user_gone(void);

#endif
