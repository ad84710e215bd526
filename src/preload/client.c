// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A thread's connection to the engine: it asks, and answers what the engine wants to know meanwhile. */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/path.h"
#include "base/rawcall.h"
#include "broker/socket.h"
#include "preload/client.h"

#define FEW_BELOW 64 /* so far below the end of the descriptors are ours, out of the way of the program's */

struct conn {
	int fd;
	pid_t pid;
	ino_t ino;
	bool busy; /* a signal handler came in between, or left by longjmp() */
	uint8_t *buf;
};

struct reply {
	long ret;
	int fd; /* -1: none */
	const void *data;
	uint32_t len;
};

static struct {
	char path[48];
	unsigned long long ino;
	unsigned int cpus;
	bool on;
	pthread_key_t end;
} broker;

static __thread struct conn mine = {.fd = -1};

static long raw(long nr, long a, long b, long c, long d)
{
	return raw_call(nr, (const long[6]){a, b, c, d, 0, 0});
}

static void hang_up(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->buf)
		munmap(c->buf, WIRE_BYTES);
	*c = (struct conn){.fd = -1};
}

static void thread_ends(void *c)
{
	hang_up(c);
}

/* The linker's names for what the section of that name holds. */
extern struct client_next __start_sluice_next[] __attribute__((visibility("hidden")));
extern struct client_next __stop_sluice_next[] __attribute__((visibility("hidden")));

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv(WIRE_ENV);
	struct client_next *n;
	int pid, fd;

	for (n = __start_sluice_next; n < __stop_sluice_next; n++)
		client_next(n);
	if (!at || sscanf(at, "%d:%d:%llu:%u", &pid, &fd, &broker.ino, &broker.cpus) != 4 || pid <= 0 || fd < 0)
		return;
	snprintf(broker.path, sizeof(broker.path), "/proc/%d/fd/%d", pid, fd);
	broker.on = !pthread_key_create(&broker.end, thread_ends);
}

bool client_on(void)
{
	return broker.on;
}

uint32_t client_cpus(void)
{
	return broker.cpus;
}

void *client_next(struct client_next *next)
{
	void *fn = __atomic_load_n(&next->fn, __ATOMIC_RELAXED);

	if (!fn) {
		fn = dlsym(RTLD_NEXT, next->name);
		__atomic_store_n(&next->fn, fn, __ATOMIC_RELAXED);
	}
	return fn;
}

static bool is_inode(int fd, ino_t ino)
{
	struct stat st;

	return !raw(__NR_fstat, fd, (long)&st, 0, 0) && st.st_ino == ino;
}

int client_high(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) || most.rlim_cur <= 4 * FEW_BELOW)
		return 0;
	return (int)(most.rlim_cur < 1024 ? most.rlim_cur : 1024) - FEW_BELOW;
}

/* To where the program does not trip over it. */
static int out_of_the_way(int fd)
{
	int from = client_high(), high = from ? fcntl(fd, F_DUPFD_CLOEXEC, from) : -1;

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static int dial(struct conn *c)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct stat st;
	void *buf;

	memcpy(to.sun_path, broker.path, sizeof(broker.path));
	if (raw(__NR_newfstatat, AT_FDCWD, (long)broker.path, (long)&st, 0) || st.st_ino != broker.ino)
		return -EIO; /* that process is gone, and the number is another's */
	buf = mmap(NULL, WIRE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf == MAP_FAILED)
		return -ENOMEM;
	*c = (struct conn){.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), .buf = buf, .pid = getpid()};
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to))) {
		hang_up(c);
		return -EIO;
	}
	c->fd = out_of_the_way(c->fd);
	if (!raw(__NR_fstat, c->fd, (long)&st, 0, 0))
		c->ino = st.st_ino;
	return 0;
}

/* This thread's connection, fit for use. The program may have closed it, or be a copy of the one that made it. */
static struct conn *connected(int *e)
{
	struct conn *c = &mine;

	*e = 0;
	if (c->fd >= 0 && c->pid == getpid() && is_inode(c->fd, c->ino))
		return c;
	if (c->fd >= 0 && !is_inode(c->fd, c->ino))
		c->fd = -1; /* somebody else's by now */
	hang_up(c);
	*e = dial(c);
	if (!*e)
		pthread_setspecific(broker.end, c);
	return *e ? NULL : c;
}

/* Where a sandbox forbids to ask for it: a pipe is read into any address, or says that it is none. */
static int put_by_pipe(uint64_t to, const uint8_t *from, size_t len)
{
	size_t n;
	int p[2], e = 0;

	if (pipe2(p, O_CLOEXEC))
		return -EFAULT;
	for (; len && !e; len -= n, to += n, from += n) {
		n = len < 4096 ? len : 4096; /* a pipe has room for that */
		if (write(p[1], from, n) != (ssize_t)n || read(p[0], (void *)(uintptr_t)to, n) != (ssize_t)n)
			e = -EFAULT;
	}
	close(p[0]);
	close(p[1]);
	return e;
}

/* Into the program's memory, or -EFAULT, as the kernel would. */
static int put(uint64_t to, const void *from, size_t len)
{
	struct iovec here = {(void *)(uintptr_t)from, len}, there = {(void *)(uintptr_t)to, len};
	ssize_t n = process_vm_writev(getpid(), &here, 1, &there, 1, 0);

	if (n < 0 && (errno == ENOSYS || errno == EPERM))
		return put_by_pipe(to, from, len);
	return n == (ssize_t)len ? 0 : -EFAULT;
}

static int answer(struct conn *c, const void *data, uint32_t len, int fd)
{
	struct wire_ans ans = {.len = len};
	int e = socket_send(c->fd, &ans, sizeof(ans), data, len, fd);

	if (e != -EFAULT && e != -EBADF)
		return e;
	ans = (struct wire_ans){.ret = e};
	return socket_send(c->fd, &ans, sizeof(ans), NULL, 0, -1);
}

static int answer_fd(struct conn *c, int64_t fd)
{
	struct wire_ans ans = {.ret = -EBADF};

	if (fd < 0 || fd > INT_MAX)
		return socket_send(c->fd, &ans, sizeof(ans), NULL, 0, -1);
	return answer(c, NULL, 0, (int)fd);
}

/* One message of the broker. > 0: that was the last. */
static int obey(struct conn *c, size_t n, bool *fault, struct reply *r)
{
	const uint8_t *at = c->buf, *end = c->buf + n;
	struct wire_rec rec;

	while ((size_t)(end - at) >= sizeof(rec)) {
		memcpy(&rec, at, sizeof(rec));
		at += sizeof(rec);
		if (rec.type == WIRE_READ)
			return answer(c, (void *)(uintptr_t)rec.addr, rec.len, -1);
		if (rec.type == WIRE_FD)
			return answer_fd(c, (int64_t)rec.addr);
		if (rec.len > (size_t)(end - at))
			return -EIO;
		if (rec.type == WIRE_DONE) {
			r->ret = (long)rec.addr;
			r->data = at;
			r->len = rec.len;
			return 1;
		}
		if (rec.type != WIRE_WRITE)
			return -EIO;
		*fault |= put(rec.addr, at, rec.len) != 0;
		at += wire_padded(rec.len);
		if (at > end)
			return -EIO;
	}
	return 0;
}

/* From question to answer. On a negative result other than -EFAULT and -EBADF the connection is over. */
static int talk(struct conn *c, const struct wire_req *req, const void *data, uint32_t len, int fd, struct reply *r)
{
	bool fault = false, lost = false;
	ssize_t n;
	int e;

	*r = (struct reply){.fd = -1};
	e = socket_send(c->fd, req, sizeof(*req), data, len, fd);
	while (!e) {
		n = socket_receive(c->fd, c->buf, WIRE_BYTES, &r->fd, &lost);
		e = n > 0 ? obey(c, (size_t)n, &fault, r) : -EIO;
		if (e == 1 && lost && r->fd < 0 && r->ret >= 0)
			r->ret = -EMFILE;
		if (e != 1 && r->fd >= 0)
			close(r->fd);
	}
	if (e != 1)
		return e;
	if (fault && r->ret >= 0) {
		if (r->fd >= 0)
			close(r->fd);
		r->fd = -1;
		r->ret = -EFAULT;
	}
	return 0;
}

/* With a connection, and all that bpf(2) leaves alone left alone: errno, cancellation. copy: of what DONE brings. */
static long exchange(const struct wire_req *req, const void *data, uint32_t len, int fd, void *copy, uint32_t copy_len)
{
	int saved = errno, cancel, e;
	struct conn extra = {.fd = -1}, *c;
	struct reply r = {.fd = -1};
	bool nested = mine.busy && mine.pid == getpid();

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (nested)
		c = (e = dial(&extra)) ? NULL : &extra;
	else
		c = connected(&e);
	if (c) {
		c->busy = true;
		e = talk(c, req, data, len, fd, &r);
		c->busy = false;
		if (!e && copy && r.ret >= 0) {
			if (r.len == copy_len)
				memcpy(copy, r.data, copy_len);
			else
				e = -EIO;
		}
		if (nested || (e && e != -EFAULT && e != -EBADF))
			hang_up(c);
		if (e && e != -EFAULT && e != -EBADF)
			e = -EIO;
	}
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return e ? e : r.fd >= 0 ? r.fd : r.ret;
}

/* The descriptor that attr starts with goes along: one question less. */
static bool starts_with_fd(int cmd)
{
	switch (cmd) {
	case BPF_MAP_LOOKUP_ELEM:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_GET_NEXT_KEY:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
	case BPF_MAP_FREEZE:
	case BPF_PROG_TEST_RUN:
	case BPF_OBJ_GET_INFO_BY_FD:
	case BPF_LINK_CREATE:
	case BPF_LINK_UPDATE:
	case BPF_LINK_DETACH:
	case BPF_PROG_BIND_MAP:
		return true;
	}
	return false;
}

static int first_fd(int cmd, const void *attr, unsigned int size)
{
	int fd, saved = errno;
	struct iovec here = {&fd, sizeof(fd)}, there = {(void *)(uintptr_t)attr, sizeof(fd)};
	bool got;

	if (size < sizeof(fd) || !starts_with_fd(cmd))
		return -1;
	got = process_vm_readv(getpid(), &here, 1, &there, 1, 0) == sizeof(fd);
	errno = saved;
	return got && fd >= 0 ? fd : -1;
}

/* The engine does not know where this process is: relative names of pins are made whole. */
static bool whole_path(int cmd, const union bpf_attr *attr, unsigned int size, union bpf_attr *with, char path[PATH_MAX])
{
	char text[PATH_MAX];
	size_t n = 0;
	int saved = errno;

	memset(text, 'x', sizeof(text)); /* what could not be read is no end */
	if ((cmd != BPF_OBJ_PIN && cmd != BPF_OBJ_GET) || size < sizeof(with->pathname))
		return false;
	memset(with, 0, sizeof(*with));
	if (process_vm_readv(getpid(), &(struct iovec){with, sizeof(*with)}, 1,
			     &(struct iovec){(void *)(uintptr_t)attr, size < sizeof(*with) ? size : sizeof(*with)}, 1, 0) > 0)
		while (n < sizeof(text) && process_vm_readv(getpid(), &(struct iovec){text + n, 1}, 1,
							    &(struct iovec){(char *)(uintptr_t)with->pathname + n, 1}, 1, 0) == 1 &&
		       text[n])
			if (text[n++] == '/' && n == 1)
				break;
	errno = saved;
	if (!n || n == sizeof(text) || *text == '/' || text[n] || !client_pin_path(AT_FDCWD, text, path))
		return false;
	with->pathname = (uintptr_t)path;
	return true;
}

long client_bpf(int cmd, void *attr, unsigned int size)
{
	struct wire_req req = {.type = WIRE_BPF, .cmd = cmd, .addr = (uintptr_t)attr, .size = size};
	char path[PATH_MAX];
	union bpf_attr with;
	long ret;

	if (size > WIRE_ATTR)
		return -E2BIG;
	if (whole_path(cmd, attr, size, &with, path)) {
		attr = &with;
		req.addr = (uintptr_t)attr;
		req.size = size = size < sizeof(with) ? size : (unsigned int)sizeof(with);
	}
	req.first_fd = first_fd(cmd, attr, size);
	ret = exchange(&req, attr, size, req.first_fd, NULL, 0);
	if (ret != -EBADF || req.first_fd < 0)
		return ret;
	req.first_fd = -1; /* it is none: let the engine say what that means */
	return exchange(&req, attr, size, -1, NULL, 0);
}

int client_wait_fd(int fd)
{
	struct wire_req req = {.type = WIRE_WAIT, .first_fd = -1};

	return fd < 0 ? -EBADF : (int)exchange(&req, NULL, 0, fd, NULL, 0);
}

int client_path(enum wire_path_op op, uint32_t index, const char *path, struct wire_about *about)
{
	struct wire_req req = {.type = WIRE_PATH, .cmd = (int)op, .addr = index, .first_fd = -1};
	struct wire_about unused;

	return (int)exchange(&req, path, (uint32_t)strlen(path), -1, about ? about : &unused, sizeof(*about));
}

int client_if(uint32_t ifindex, const char *name, struct wire_if *to)
{
	struct wire_req req = {.type = WIRE_IF, .addr = ifindex, .first_fd = -1};
	size_t len = name ? strlen(name) : 0;

	if (len >= sizeof(to->name) || (name && !len))
		return -ENODEV;
	return (int)exchange(&req, name, (uint32_t)len, -1, to, sizeof(*to));
}

bool client_pin_path(int dirfd, const char *path, char clean[PATH_MAX])
{
	char all[PATH_MAX];
	int saved = errno, n;
	long len;

	if (!client_on() || (uintptr_t)path < 4096 || !*path)
		return false;
	if (*path == '/')
		return strstr(path, "bpf") && !path_clean(clean, path) && path_below(clean, PIN_ROOT);
	if (dirfd != AT_FDCWD)
		return false;
	len = raw(__NR_getcwd, (long)all, sizeof(all), 0, 0);
	errno = saved;
	if (len <= 0 || strncmp(all, "/sys/fs", 7) != 0)
		return false;
	n = snprintf(all + len - 1, sizeof(all) - (size_t)len + 1, "/%s", path);
	return n > 0 && (size_t)n < sizeof(all) - (size_t)len + 1 && !path_clean(clean, all) && path_below(clean, PIN_ROOT);
}
