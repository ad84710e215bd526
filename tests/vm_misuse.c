// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a client of `sluice vm` may try with the objects it has: their pages, their waiting, all at once.
 * vm_command_test.sh runs it. Exits 0 and prints "ok", or says what was not as expected.
 *
 *     vm-misuse MODE
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/test_without.h"
#include "vm_client.h"

#define INSN(c, d, s, o, i) ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MAP_FD(reg, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, reg, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define MOV(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOVE(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define LOAD(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE(d, s, o) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define HELPER(n) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, n)
#define LEAVE INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int xdp(const struct bpf_insn *insns, size_t n)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "p", "GPL", insns, n, NULL);

	CHECK(fd >= 0);
	return fd;
}

static int run_n(int fd, uint32_t repeat)
{
	uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet), .repeat = (int)repeat);

	return bpf_prog_test_run_opts(fd, &run);
}

/* Two words that client and program look at together: what the program says, what it waits for. */
static volatile uint64_t *words(int *fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *p;

	*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "words", 4, 16, 1, &opts);
	CHECK(*fd >= 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static volatile uint64_t *two;
static uint64_t *pages; /* consumer, producer, data, data again */

/* Of whatever record is under way, and of the producer's position, it writes what it wants. */
static void *forges(void *arg)
{
	uint32_t i;

	(void)arg;
	while (!two[0])
		usleep(100);
	for (i = 0; i < 4096; i += 16)
		*(volatile uint32_t *)((uint8_t *)pages + 8192 + i) = 0x7ffffff0u | BPF_RINGBUF_BUSY_BIT;
	pages[512] = 1ull << 62;
	two[1] = 1;
	return NULL;
}

/* A program that reserves 8 bytes, waits until all is forged, touches the record `off` bytes on and finishes it. */
static int waiting(int ring, int array, int16_t off)
{
	struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		MAP_FD(1, array),
		MOVE(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		HELPER(BPF_FUNC_map_lookup_elem),
		MOVE(7, 0),
		MAP_FD(1, ring),
		MOV(2, 8),
		MOV(3, 0),
		HELPER(BPF_FUNC_ringbuf_reserve),
		MOVE(6, 0),
		INSN(BPF_ST | BPF_MEM | BPF_DW, 6, 0, 0, 77),
		STORE(7, 6, 0),
		LOAD(1, 7, 8),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, -2, 0),
		LOAD(1, 6, off),
		MOVE(1, 6),
		MOV(2, 0),
		HELPER(BPF_FUNC_ringbuf_submit),
		MOV(0, 2),
		LEAVE,
	};

	return xdp(insns, sizeof(insns) / sizeof(*insns));
}

/* Reads where the word says that a record is. */
static int thief(int array)
{
	struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		MAP_FD(1, array),
		MOVE(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		HELPER(BPF_FUNC_map_lookup_elem),
		LOAD(6, 0, 0),
		LOAD(0, 6, 0),
		MOV(0, 2),
		LEAVE,
	};

	return xdp(insns, sizeof(insns) / sizeof(*insns));
}

/* A record is its run's, nobody else's. */
static void *steals(void *arg)
{
	while (!two[0])
		usleep(100);
	CHECK(run_n((int)(uintptr_t)arg, 1) == -EFAULT);
	two[1] = 1;
	return NULL;
}

/* A ring buffer's pages are the client's to write: what the engine relies on is not there. */
static void forged(void)
{
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "r", 0, 0, 4096, NULL), array, i;
	static const int16_t off[] = {0, 0x6000, 8};
	pthread_t thread;

	two = words(&array);
	CHECK(ring >= 0);
	pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	CHECK(pages != MAP_FAILED);
	for (i = 0; i < 3; i++) {
		two[0] = two[1] = 0;
		CHECK(!pthread_create(&thread, NULL, forges, NULL));
		CHECK(run_n(waiting(ring, array, off[i]), 1) == (off[i] ? -EFAULT : 0));
		pthread_join(thread, NULL);
		if (!i) /* as finished, whatever stood there */
			CHECK(*(uint32_t *)(pages + 1024) == 8 && pages[1025] == 77);
	}
	pages[0] = 16;
	two[0] = two[1] = 0;
	CHECK(!pthread_create(&thread, NULL, steals, (void *)(uintptr_t)thief(array)));
	CHECK(run_n(waiting(ring, array, 0), 1) == 0);
	pthread_join(thread, NULL);
	CHECK(pages[512] == 64 && *(uint32_t *)(pages + 1024 + 6) == 8);
	CHECK(ftruncate(ring, 0) && errno == EPERM);
}

/* What is waited on is shared with everybody: nobody can fill it and have the engine wait for room. */
static void wakes(void)
{
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "r", 0, 0, 4096, NULL), wait = -1;
	struct wire_req req = {.type = WIRE_WAIT, .first_fd = -1};
	uint8_t bytes[256], room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&req, sizeof(req)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 1),
		MAP_FD(1, ring),
		MOVE(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8),
		MOV(3, 8),
		MOV(4, BPF_RB_FORCE_WAKEUP),
		HELPER(BPF_FUNC_ringbuf_output),
		MOV(0, 2),
		LEAVE,
	};
	struct pollfd p;
	uint64_t full = UINT64_MAX - 1;
	int s = dial();

	CHECK(ring >= 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ring, sizeof(ring));
	CHECK(sendmsg(s, &m, MSG_NOSIGNAL) == sizeof(req));
	iov = (struct iovec){bytes, sizeof(bytes)};
	CHECK(recvmsg(s, &m, MSG_CMSG_CLOEXEC) > 0);
	c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == SCM_RIGHTS);
	memcpy(&wait, CMSG_DATA(c), sizeof(wait));
	CHECK(!fcntl(wait, F_SETFL, 0));
	CHECK(write(wait, &full, sizeof(full)) == -1);
	p = (struct pollfd){.fd = wait, .events = POLLIN};
	CHECK(poll(&p, 1, 0) == 0);
	alarm(20);
	CHECK(!run_n(xdp(insns, sizeof(insns) / sizeof(*insns)), 3));
	alarm(0);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
}

static volatile bool over;

static int array_map(void)
{
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "a", 4, 4, 1, NULL);
}

/* Each sweeps. */
static void *makes(void *arg)
{
	(void)arg;
	while (!over)
		CHECK(!close(array_map()));
	return NULL;
}

/* Descriptors of a map that only a program holds, while sweeps find out that nobody else does. */
static void reopened(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "m", 4, 4, 4, NULL), fd, i;
	struct bpf_insn insns[] = {MAP_FD(2, map), MOV(0, 2), LEAVE};
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	pthread_t thread;

	CHECK(map >= 0 && !bpf_obj_get_info_by_fd(map, &info, &len));
	xdp(insns, sizeof(insns) / sizeof(*insns));
	close(map);
	CHECK(!pthread_create(&thread, NULL, makes, NULL));
	for (i = 0; i < 40000; i++) {
		fd = bpf_map_get_fd_by_id(info.id);
		CHECK(fd >= 0 && !close(fd));
	}
	over = true;
	pthread_join(thread, NULL);
}

/* The engine's own descriptors, opened by another process while it has leases on them. */
static void opened_elsewhere(void)
{
	int i, fd, pid, n, map = array_map();
	char path[64], name[64];
	pthread_t thread;
	ssize_t len;

	CHECK(map >= 0 && sscanf(getenv(WIRE_ENV), "%d:", &pid) == 1);
	CHECK(!pthread_create(&thread, NULL, makes, NULL));
	for (i = n = 0; i < 100000 && n < 20000; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, 3 + i % 20);
		len = readlink(path, name, sizeof(name) - 1);
		if (len < 10 || strncmp(name, "/memfd:bpf", 10) != 0)
			continue;
		fd = open(path, O_RDWR | O_CLOEXEC);
		n += fd >= 0;
		close(fd);
	}
	CHECK(n);
	over = true;
	pthread_join(thread, NULL);
}

static int outer;

static void *swaps(void *arg)
{
	uint32_t key = 0;
	int fd;

	(void)arg;
	while (!over) {
		fd = array_map();
		CHECK(fd >= 0 && !bpf_map_update_elem(outer, &key, &fd, 0) && !close(fd));
	}
	return NULL;
}

/* Maps in maps whose elements change and are swept while they are asked for and run through. */
static void changing(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (uint32_t)array_map());
	static const enum bpf_map_type type[] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS};
	uint32_t key = 0, id, ids[4], keys[4], batch, n;
	pthread_t thread[3];
	int i, k, t, prog;

	for (t = 0; t < 2; t++) {
		int first = array_map();

		over = false;
		outer = bpf_map_create(type[t], "o", 4, 4, 2, &opts);
		CHECK(outer >= 0 && !bpf_map_update_elem(outer, &key, &first, 0));
		struct bpf_insn insns[] = {
			INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
			MAP_FD(1, outer),
			MOVE(2, 10),
			INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
			HELPER(BPF_FUNC_map_lookup_elem),
			INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 6, 0),
			MOVE(1, 0),
			MOVE(2, 10),
			INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
			HELPER(BPF_FUNC_map_lookup_elem),
			INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
			INSN(BPF_STX | BPF_MEM | BPF_W, 0, 0, 0, 0),
			MOV(0, 2),
			LEAVE,
		};
		prog = xdp(insns, sizeof(insns) / sizeof(*insns));
		for (k = 0; k < 2; k++)
			CHECK(!pthread_create(&thread[k], NULL, swaps, NULL));
		CHECK(!pthread_create(&thread[2], NULL, makes, NULL));
		for (i = 0; i < 2000; i++) {
			k = bpf_map_lookup_elem(outer, &key, &id);
			CHECK((!k && id) || k == -ENOENT);
			n = 4;
			k = bpf_map_lookup_batch(outer, NULL, &batch, keys, ids, &n, NULL);
			CHECK(!k || k == -ENOENT);
			CHECK(!run_n(prog, 1));
		}
		over = true;
		for (k = 0; k < 3; k++)
			pthread_join(thread[k], NULL);
	}
}

static void *replaces(void *arg)
{
	struct bpf_devmap_val v = {.ifindex = 1, .bpf_prog.fd = (int)(uintptr_t)arg};
	uint32_t key = 0, i;

	for (i = 0; i < 20000; i++)
		CHECK(!bpf_map_update_elem(outer, &key, &v, 0));
	return NULL;
}

/* A map of interfaces holds the program of its entry once, however many write it at once. */
static void replaced(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP_DEVMAP);
	struct bpf_insn insns[] = {MOV(0, 2), LEAVE};
	int prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "p", "GPL", insns, 2, &opts), i;
	struct bpf_prog_info info = {0};
	struct bpf_devmap_val v;
	uint32_t key = 0, len = sizeof(info);
	pthread_t thread[3];

	outer = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "d", 4, 8, 1, NULL);
	CHECK(outer >= 0 && prog >= 0 && !bpf_obj_get_info_by_fd(prog, &info, &len));
	for (i = 0; i < 3; i++)
		CHECK(!pthread_create(&thread[i], NULL, replaces, (void *)(uintptr_t)prog));
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	close(prog);
	prog = bpf_prog_get_fd_by_id(info.id);
	CHECK(prog >= 0 && !close(prog)); /* the entry holds it */
	CHECK(!bpf_map_lookup_elem(outer, &key, &v) && v.ifindex == 1 && v.bpf_prog.id == info.id);
	CHECK(!bpf_map_delete_elem(outer, &key));
	CHECK(bpf_prog_get_fd_by_id(info.id) == -ENOENT); /* nobody does */
}

/* A ring buffer in an epoll set: added, changed and taken out like anything else. */
static void moved(void)
{
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "r", 0, 0, 4096, NULL), ep = epoll_create1(EPOLL_CLOEXEC), i, prog;
	struct bpf_insn insns[] = {
		INSN(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 1),
		MAP_FD(1, ring),
		MOVE(2, 10),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8),
		MOV(3, 8),
		MOV(4, BPF_RB_FORCE_WAKEUP),
		HELPER(BPF_FUNC_ringbuf_output),
		MOV(0, 2),
		LEAVE,
	};
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = 1}, got;

	CHECK(ring >= 0 && ep >= 0);
	prog = xdp(insns, sizeof(insns) / sizeof(*insns));
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, ring, &event) == -1 && errno == ENOENT);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, ring, NULL) == -1 && errno == ENOENT);
	for (i = 0; i < 20; i++) {
		event.data.u32 = 1;
		CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, ring, &event));
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, ring, &event) == -1 && errno == EEXIST);
		event.data.u32 = 2;
		CHECK(!epoll_ctl(ep, EPOLL_CTL_MOD, ring, &event));
		CHECK(!run_n(prog, 1));
		CHECK(epoll_wait(ep, &got, 1, 1000) == 1 && got.data.u32 == 2);
		CHECK(!epoll_ctl(ep, EPOLL_CTL_DEL, ring, NULL));
		CHECK(!run_n(prog, 1));
		CHECK(epoll_wait(ep, &got, 1, 0) == 0);
	}
}

/* Where the kernel is not to be asked for other people's memory, results still go where there is room, and only there. */
static void sandboxed(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "a", 4, 32768, 1, NULL);
	static uint8_t in[32768], out[32768];
	uint8_t *hole = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t key = 0, i;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7 + i / 256);
	CHECK(map >= 0 && hole != MAP_FAILED && !munmap(hole + 7 * 4096, 4096));
	CHECK(!test_without(__NR_process_vm_writev, __NR_process_vm_readv, EPERM));
	CHECK(!bpf_map_update_elem(map, &key, in, 0));
	CHECK(!bpf_map_lookup_elem(map, &key, out) && !memcmp(in, out, sizeof(in)));
	CHECK(bpf_map_lookup_elem(map, &key, hole) == -EFAULT);
	CHECK(bpf_map_lookup_elem(map, &key, (void *)(1ull << 46)) == -EFAULT);
	CHECK(bpf_map_lookup_elem(map, &key, (void *)8) == -EFAULT);
}

/* More runs than anybody has time for; vm_command_test.sh looks whether the engine goes on with them. */
static void endless(void)
{
	struct bpf_insn insns[] = {MOV(0, 2), LEAVE};

	alarm(1);
	run_n(xdp(insns, 2), UINT32_MAX);
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {{"forged", forged},	{"wakes", wakes},	{"reopened", reopened},
	     {"opened", opened_elsewhere}, {"changing", changing}, {"replaced", replaced}, {"endless", endless},
	     {"moved", moved},		{"sandboxed", sandboxed}};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc == 2 && i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(argv[1], modes[i].name)) {
			modes[i].run();
			puts("ok");
			return 0;
		}
	fprintf(stderr, "usage: vm-misuse MODE\n");
	return 2;
}
