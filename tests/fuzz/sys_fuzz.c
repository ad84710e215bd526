// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes the user-space engine's bpf(2): a few commands with any attr, for a caller whose memory is a copy of the input
 * and whose descriptors are those that earlier commands made. Whatever they are answered, nothing outside that memory is
 * touched, no descriptor is left when the engine is gone, and information about an object is never refused.
 *
 *     number of commands, { command, size of attr, attr } ..., whatever they point to: offset n is at address MEMORY + n
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/view.h"
#include "fuzz/fuzz.h"
#include "vm/user.h"
#include "vm/vm.h"

#define MEMORY 0x10000
#define MOST_COMMANDS 24
#define DESCRIPTORS 16
#define ATTR 192
/* what a test need not wait for: larger maps, more runs */
#define MOST_ENTRIES 4096
#define MOST_RUNS 2

struct caller {
	struct user user;
	uint8_t *memory;
	size_t len;
	int fd[DESCRIPTORS];
	unsigned int n;
	uint8_t attr[ATTR]; /* of the command under way, at address ATTR_AT */
};
#define ATTR_AT 0x8000

static uint8_t *at(struct caller *c, uint64_t addr, uint64_t len)
{
	if (addr >= ATTR_AT && addr - ATTR_AT <= ATTR && len <= ATTR - (addr - ATTR_AT))
		return c->attr + (addr - ATTR_AT);
	if (addr < MEMORY || addr - MEMORY > c->len || len > c->len - (addr - MEMORY))
		return NULL;
	return c->memory + (addr - MEMORY);
}

static int far_read(struct user *user, void *to, uint64_t from, uint64_t len)
{
	const uint8_t *p = at((struct caller *)user, from, len);

	if (!p)
		return -EFAULT;
	memcpy(to, p, len);
	return 0;
}

static int far_write(struct user *user, uint64_t to, const void *from, uint64_t len)
{
	uint8_t *p = at((struct caller *)user, to, len);

	if (!p)
		return -EFAULT;
	memcpy(p, from, len);
	return 0;
}

static int far_fd(struct user *user, int fd)
{
	struct caller *c = (struct caller *)user;

	return fd < 0 || fd >= DESCRIPTORS || c->fd[fd] < 0 ? -EBADF : fcntl(c->fd[fd], F_DUPFD_CLOEXEC, 0);
}

static void keep(struct caller *c, int fd)
{
	int *slot = &c->fd[c->n++ % DESCRIPTORS];

	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

/* What can be asked of every object. */
static void ask(struct vm *vm, struct caller *c, int n)
{
	union bpf_attr a = {.info = {.bpf_fd = (uint32_t)n, .info_len = 0}};
	long ret;

	memcpy(c->attr, &a, sizeof(a));
	ret = vm_bpf(vm, BPF_OBJ_GET_INFO_BY_FD, (union bpf_attr *)(uintptr_t)ATTR_AT, sizeof(a));
	if (c->fd[n] >= 0 && ret && ret != -EINVAL) /* BPF_ENABLE_STATS makes one that has none */
		abort();
}

static void command(struct vm *vm, struct caller *c, struct view *v)
{
	const uint8_t *head = view_take(v, 2), *attr;
	uint32_t size = head ? head[1] : 0, word;
	long ret;

	attr = head ? view_take(v, size) : NULL;
	if (!attr)
		return;
	memset(c->attr, 0, sizeof(c->attr));
	memcpy(c->attr, attr, size < ATTR ? size : ATTR);
	if (head[0] == BPF_MAP_CREATE) {
		memcpy(&word, c->attr + offsetof(union bpf_attr, max_entries), sizeof(word));
		word = word > MOST_ENTRIES ? word % MOST_ENTRIES : word;
		memcpy(c->attr + offsetof(union bpf_attr, max_entries), &word, sizeof(word));
	} else if (head[0] == BPF_PROG_TEST_RUN) {
		memcpy(&word, c->attr + offsetof(union bpf_attr, test.repeat), sizeof(word));
		word %= MOST_RUNS + 1;
		memcpy(c->attr + offsetof(union bpf_attr, test.repeat), &word, sizeof(word));
	}
	ret = vm_bpf(vm, head[0], (union bpf_attr *)(uintptr_t)ATTR_AT, size);
	if (ret >= 0 && vm_makes_fd(head[0]))
		keep(c, (int)ret);
}

static int lowest(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct vm_config config = {.n_cpus = 2, .seed = 1};
	struct caller c = {.user = {far_read, far_write, far_fd}};
	struct view v = view_of(data, len);
	const uint8_t *n = view_take(&v, 1);
	const struct vm_if eth = {.name = "eth0"};
	int before = lowest();
	struct vm *vm;
	unsigned int i;

	if (!n || vm_new(&config, &vm, NULL))
		return 0;
	vm_if_add(vm, &eth, NULL);
	memset(c.fd, 0xff, sizeof(c.fd));
	c.len = len;
	c.memory = malloc(len);
	if (!c.memory)
		abort();
	memcpy(c.memory, data, len);
	user_set(&c.user);
	for (i = 0; i < *n && i < MOST_COMMANDS && v.left; i++) {
		command(vm, &c, &v);
	}
	for (i = 0; i < DESCRIPTORS; i++)
		ask(vm, &c, (int)i);
	user_set(NULL);
	for (i = 0; i < DESCRIPTORS; i++)
		if (c.fd[i] >= 0)
			close(c.fd[i]);
	vm_free(vm);
	free(c.memory);
	if (lowest() != before)
		abort();
	return 0;
}
