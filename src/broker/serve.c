// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One connection: commands for a caller whose memory and descriptors are in another process. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/path.h"
#include "broker/serve.h"
#include "broker/socket.h"
#include "broker/wire.h"
#include "vm/user.h"
#include "vm/vm.h"

struct client {
	struct user user;
	struct vm *vm;
	int fd;
	bool dead; /* nothing more can be asked */

	/* the command under way */
	uint64_t addr;
	uint32_t size;
	int first, first_fd; /* a descriptor that came along, and the number it has there */
	union {
		union bpf_attr align;
		uint8_t bytes[WIRE_ATTR + 1];
	} attr;

	uint32_t out_len;
	_Alignas(8) uint8_t out[WIRE_BYTES];
	_Alignas(8) uint8_t in[WIRE_BYTES + 64];
};

static int flush(struct client *c, int fd)
{
	int e = c->dead ? -EPIPE : socket_send(c->fd, c->out, c->out_len, NULL, 0, fd);

	c->out_len = 0;
	c->dead |= e < 0;
	return e;
}

/* A record with room for len bytes behind it; what is there already goes first if it does not fit. */
static void *record(struct client *c, uint32_t type, uint64_t addr, uint32_t len, uint32_t room)
{
	struct wire_rec rec = {.type = type, .len = len, .addr = addr};
	uint8_t *at;

	if (c->out_len + sizeof(rec) + wire_padded(room) > sizeof(c->out))
		flush(c, -1);
	at = c->out + c->out_len;
	memcpy(at, &rec, sizeof(rec));
	memset(at + sizeof(rec), 0, wire_padded(room));
	c->out_len += (uint32_t)sizeof(rec) + wire_padded(room);
	return at + sizeof(rec);
}

/* The answer to a question just written: its bytes, or NULL and *e. */
static const uint8_t *ask(struct client *c, uint32_t len, int *fd, int *e)
{
	struct wire_ans ans;
	bool lost;
	ssize_t n;

	*fd = -1;
	*e = -EFAULT;
	if (flush(c, -1))
		return NULL;
	n = socket_receive(c->fd, c->in, sizeof(c->in), fd, &lost);
	if (n >= (ssize_t)sizeof(ans))
		memcpy(&ans, c->in, sizeof(ans));
	if (n < (ssize_t)sizeof(ans) || ans.len != (size_t)n - sizeof(ans) || (!ans.ret && ans.len != len)) {
		c->dead = true;
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return NULL;
	}
	*e = ans.ret;
	return ans.ret ? NULL : c->in + sizeof(ans);
}

static int far_read(struct user *self, void *to, uint64_t from, uint64_t len)
{
	struct client *c = (struct client *)self;
	const uint8_t *bytes;
	uint32_t n;
	int fd, e;

	if (from >= c->addr && len <= c->size && from - c->addr <= c->size - len) {
		memcpy(to, c->attr.bytes + (from - c->addr), len);
		return 0;
	}
	for (; len; len -= n, from += n, to = (uint8_t *)to + n) {
		n = len < WIRE_MOST_DATA ? (uint32_t)len : WIRE_MOST_DATA;
		record(c, WIRE_READ, from, n, 0);
		bytes = ask(c, n, &fd, &e);
		if (fd >= 0)
			close(fd);
		if (!bytes)
			return -EFAULT;
		memcpy(to, bytes, n);
	}
	return 0;
}

static int far_write(struct user *self, uint64_t to, const void *from, uint64_t len)
{
	struct client *c = (struct client *)self;
	uint32_t n;

	for (; len; len -= n, to += n, from = (const uint8_t *)from + n) {
		n = len < WIRE_MOST_DATA ? (uint32_t)len : WIRE_MOST_DATA;
		memcpy(record(c, WIRE_WRITE, to, n, n), from, n);
	}
	return c->dead ? -EFAULT : 0;
}

static int far_fd(struct user *self, int fd)
{
	struct client *c = (struct client *)self;
	int here, e;

	if (c->first_fd >= 0 && fd == c->first) {
		here = fcntl(c->first_fd, F_DUPFD_CLOEXEC, 0);
		return here < 0 ? -errno : here;
	}
	record(c, WIRE_FD, (uint64_t)(int64_t)fd, 0, 0);
	ask(c, 0, &here, &e);
	return here >= 0 ? here : -EBADF;
}

static bool far_gone(struct user *self)
{
	const struct client *c = (const struct client *)self;
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return c->dead || (poll(&p, 1, 0) > 0 && p.revents);
}

static void done(struct client *c, long ret, const void *data, uint32_t len, int fd)
{
	void *to = record(c, WIRE_DONE, (uint64_t)(int64_t)ret, len, len);

	if (len)
		memcpy(to, data, len);
	flush(c, fd);
}

static void bpf(struct client *c, const struct wire_req *req, uint32_t len, int came)
{
	struct user *before;
	long ret;

	if (req->size > WIRE_ATTR || req->size != len) {
		c->dead = true;
		return;
	}
	memcpy(c->attr.bytes, c->in + sizeof(*req), len);
	c->addr = req->addr;
	c->size = len;
	c->first = req->first_fd;
	c->first_fd = req->first_fd >= 0 ? came : -1;
	before = user_set(&c->user);
	ret = vm_bpf(c->vm, req->cmd, (union bpf_attr *)(uintptr_t)req->addr, req->size);
	user_set(before);
	c->addr = c->size = 0;
	if (ret < 0 || !vm_makes_fd(req->cmd)) {
		done(c, ret, NULL, 0, -1);
		return;
	}
	done(c, 0, NULL, 0, (int)ret);
	close((int)ret);
}

/* The descriptor came along: no need to ask for it. */
static int came_fd(struct user *self, int fd)
{
	int here = fcntl(((struct client *)self)->first_fd, F_DUPFD_CLOEXEC, 0);

	(void)fd;
	return here < 0 ? -EBADF : here;
}

static void wait_on(struct client *c, int came)
{
	struct user *before;
	int fd;

	c->first_fd = came;
	c->user.fd = came_fd;
	before = user_set(&c->user);
	fd = came < 0 ? -EBADF : vm_wait_fd(c->vm, 0);
	user_set(before);
	c->user.fd = far_fd;
	done(c, fd < 0 ? fd : 0, NULL, 0, fd < 0 ? -1 : fd);
}

static void path(struct client *c, const struct wire_req *req, const char *name)
{
	struct vm_pin_about about = {0};
	struct wire_about to = {0};
	char clean[PATH_MAX];
	int e = path_clean(clean, name);

	name = clean;
	switch (e ? -1 : req->cmd) {
	case WIRE_ABOUT:
		e = vm_pin_about(c->vm, name, &about);
		break;
	case WIRE_MKDIR:
		e = vm_pin_mkdir(c->vm, name);
		break;
	case WIRE_RMDIR:
		e = vm_pin_rmdir(c->vm, name);
		break;
	case WIRE_UNLINK:
		e = vm_unpin(c->vm, name);
		break;
	case WIRE_CHILD:
		e = vm_pin_child(c->vm, name, (uint32_t)req->addr, to.name, &about);
		break;
	}
	to.ino = about.ino;
	to.is_dir = about.is_dir;
	done(c, e, &to, sizeof(to), -1);
}

static void interface(struct client *c, const struct wire_req *req, const char *name)
{
	struct wire_if to = {0};
	struct vm_if i;
	bool found;

	if (*name)
		found = vm_if_by_name(c->vm, name, &i);
	else
		found = req->addr <= UINT32_MAX && vm_if_by_index(c->vm, (uint32_t)req->addr, &i);
	if (found) {
		to.ifindex = i.ifindex;
		memcpy(to.name, i.name, sizeof(to.name));
	}
	done(c, found ? 0 : -ENODEV, &to, sizeof(to), -1);
}

static void request(struct client *c, const struct wire_req *req, uint32_t len, int came)
{
	char *text = (char *)c->in + sizeof(*req);

	c->out_len = 0;
	text[len] = '\0'; /* in[] has room */
	switch (req->type) {
	case WIRE_BPF:
		bpf(c, req, len, came);
		break;
	case WIRE_WAIT:
		wait_on(c, came);
		break;
	case WIRE_PATH:
		if (len < PATH_MAX)
			path(c, req, text);
		else
			c->dead = true;
		break;
	case WIRE_IF:
		interface(c, req, text);
		break;
	default:
		c->dead = true;
	}
	c->first_fd = -1;
}

void serve(struct vm *vm, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	struct wire_req req;
	ssize_t n;
	int came;
	bool lost;

	if (!c)
		return;
	c->user = (struct user){far_read, far_write, far_fd, far_gone};
	c->vm = vm;
	c->fd = fd;
	c->first_fd = -1;
	while (!c->dead) {
		n = socket_receive(fd, c->in, WIRE_BYTES, &came, &lost);
		if (n >= (ssize_t)sizeof(req)) {
			memcpy(&req, c->in, sizeof(req));
			request(c, &req, (uint32_t)n - (uint32_t)sizeof(req), came);
		} else {
			c->dead = true;
		}
		if (came >= 0)
			close(came);
	}
	free(c);
}
