// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Links: the same system calls to the kernel, on a veth pair in a namespace of its own, and to the engine. Needs root.
 * Pins and links that nobody holds are then tried on the engine alone.
 */
#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/path.h"
#include "base/test.h"
#include "vm/obj.h"
#include "vm/vm.h"

#define SEED 0x11bcu
#define LINKS 5
#define NONE 9999

struct pair {
	int kernel, vm;
};

/* lo 1, a pair 2 and 3, and 4 and 5 with a large MTU. */
static const struct vm_if ifs[] = {{.ifindex = 2, .name = "a0", .mtu = 1500},
				   {.ifindex = 3, .name = "a1", .mtu = 1500},
				   {.ifindex = 4, .name = "b0", .mtu = 9000},
				   {.ifindex = 5, .name = "b1", .mtu = 9000}};

static struct vm *vm;
static uint64_t state;
static struct pair prog[7], map, link_of[LINKS];
static unsigned int bad;

static uint32_t rnd(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((state >> 33) % n);
}

static long call(bool of_vm, int cmd, union bpf_attr *attr, unsigned int size)
{
	long ret = of_vm ? vm_bpf(vm, cmd, attr, size) : syscall(__NR_bpf, cmd, attr, size);

	return ret < 0 && !of_vm ? -errno : ret;
}

static struct pair load(uint32_t type, uint32_t attach_type, uint32_t flags)
{
	struct bpf_insn insns[] = {{.code = 0xb7, .imm = XDP_PASS}, {.code = 0x95}};
	union bpf_attr a = {.prog_type = type, .expected_attach_type = attach_type, .prog_flags = flags, .insn_cnt = 2};
	union bpf_attr b;

	a.insns = (uintptr_t)insns;
	a.license = (uintptr_t) "GPL";
	b = a;
	return (struct pair){(int)call(false, BPF_PROG_LOAD, &a, sizeof(a)), (int)call(true, BPF_PROG_LOAD, &b, sizeof(b))};
}

static void engine(void)
{
	unsigned int i;

	assert_int_equal(vm_new(NULL, &vm, NULL), 0);
	for (i = 0; i < sizeof(ifs) / sizeof(*ifs); i++)
		assert_int_equal(vm_if_add(vm, &ifs[i], NULL), 0);
}

static void objects(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1}, b = a;
	unsigned int i;

	prog[0] = load(BPF_PROG_TYPE_XDP, BPF_XDP, 0);
	prog[1] = load(BPF_PROG_TYPE_XDP, BPF_XDP, 0);
	prog[2] = load(BPF_PROG_TYPE_XDP, BPF_XDP, BPF_F_XDP_HAS_FRAGS);
	prog[3] = load(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, 0);
	prog[4] = load(BPF_PROG_TYPE_XDP, 0, 0);
	prog[5] = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0);
	prog[6] = (struct pair){NONE, NONE};
	map = (struct pair){(int)call(false, BPF_MAP_CREATE, &a, sizeof(a)), (int)call(true, BPF_MAP_CREATE, &b, sizeof(b))};
	for (i = 0; i < 6; i++)
		assert_true(prog[i].kernel >= 0 && prog[i].vm >= 0);
	for (i = 0; i < LINKS; i++)
		link_of[i] = (struct pair){-1, -1};
}

static struct pair some_prog(void)
{
	return rnd(8) ? prog[rnd(7)] : map;
}

/* A link, mostly one that is there. */
static struct pair some_link(void)
{
	struct pair p = link_of[rnd(LINKS)];

	if (p.kernel < 0 && rnd(4))
		p = link_of[rnd(LINKS)];
	return p.kernel >= 0 ? p : rnd(2) ? prog[0] : (struct pair){NONE, NONE};
}

static void differ(const char *what, const union bpf_attr *a, long k, long v)
{
	const uint32_t *w = (const uint32_t *)(const void *)a;

	if (k != v && bad++ < 20)
		fprintf(stderr, "%s: kernel %ld, engine %ld; attr %u %u %u %u\n", what, k, v, w[0], w[1], w[2], w[3]);
}

static void try_create(void)
{
	static const uint32_t types[] = {BPF_XDP, BPF_XDP, BPF_XDP, BPF_XDP, BPF_XDP_DEVMAP, BPF_XDP_CPUMAP, 0, 1000};
	static const uint32_t flags[] = {0, 0, 0, 2, 4, 8, 6, 1, 16, 32, 0x80000000u};
	static const uint32_t where[] = {0, 1, 2, 2, 3, 4, 5, 77};
	struct pair p = rnd(3) ? prog[rnd(3)] : some_prog(), l;
	union bpf_attr a = {.link_create = {.target_ifindex = where[rnd(8)], .attach_type = types[rnd(8)], .flags = flags[rnd(11)]}};
	union bpf_attr b = a;
	unsigned int at = rnd(LINKS);

	if (link_of[at].kernel >= 0)
		at = (at + 1) % LINKS;
	a.link_create.prog_fd = (uint32_t)p.kernel;
	b.link_create.prog_fd = (uint32_t)p.vm;
	l.kernel = (int)call(false, BPF_LINK_CREATE, &a, sizeof(a));
	l.vm = (int)call(true, BPF_LINK_CREATE, &b, sizeof(b));
	differ("create", &a, l.kernel < 0 ? l.kernel : 0, l.vm < 0 ? l.vm : 0);
	if (l.kernel >= 0 && link_of[at].kernel >= 0) {
		close(l.kernel);
		close(l.vm);
	} else if (l.kernel >= 0) {
		link_of[at] = l;
	}
}

static void try_update(void)
{
	static const uint32_t flags[] = {0, 0, 0, BPF_F_REPLACE, BPF_F_REPLACE, 1, 8};
	struct pair l = some_link(), new = some_prog(), old = rnd(2) ? some_prog() : (struct pair){0, 0};
	union bpf_attr a = {.link_update = {.flags = flags[rnd(7)]}}, b = a;

	a.link_update.link_fd = (uint32_t)l.kernel, b.link_update.link_fd = (uint32_t)l.vm;
	a.link_update.new_prog_fd = (uint32_t)new.kernel, b.link_update.new_prog_fd = (uint32_t)new.vm;
	a.link_update.old_prog_fd = (uint32_t)old.kernel, b.link_update.old_prog_fd = (uint32_t)old.vm;
	differ("update", &a, call(false, BPF_LINK_UPDATE, &a, sizeof(a)), call(true, BPF_LINK_UPDATE, &b, sizeof(b)));
}

static void try_detach(void)
{
	struct pair l = some_link();
	union bpf_attr a = {.link_detach = {.link_fd = (uint32_t)l.kernel}}, b = {.link_detach = {.link_fd = (uint32_t)l.vm}};

	differ("detach", &a, call(false, BPF_LINK_DETACH, &a, sizeof(a)), call(true, BPF_LINK_DETACH, &b, sizeof(b)));
}

static void try_close(void)
{
	struct pair *l = &link_of[rnd(LINKS)];

	if (l->kernel < 0)
		return;
	close(l->kernel);
	close(l->vm);
	*l = (struct pair){-1, -1};
}

static uint32_t prog_id(bool of_vm, int fd)
{
	struct bpf_prog_info info = {0};
	union bpf_attr a = {.info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)&info}};

	assert_int_equal(call(of_vm, BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a)), 0);
	return info.id;
}

/* Which of ours is it? */
static unsigned int prog_of(bool of_vm, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		if (prog_id(of_vm, of_vm ? prog[i].vm : prog[i].kernel) == id)
			break;
	return i;
}

static void try_info(void)
{
	struct pair l = some_link();
	uint8_t k[256] = {0}, v[256] = {0};
	struct bpf_link_info ik, iv;
	uint32_t len = rnd(4) ? sizeof(ik) : rnd(200);
	union bpf_attr a = {.info = {.bpf_fd = (uint32_t)l.kernel, .info_len = len, .info = (uintptr_t)k}};
	union bpf_attr b = {.info = {.bpf_fd = (uint32_t)l.vm, .info_len = len, .info = (uintptr_t)v}};
	long ek, ev;

	if (l.kernel == prog[0].kernel)
		return;
	ek = call(false, BPF_OBJ_GET_INFO_BY_FD, &a, sizeof(a));
	ev = call(true, BPF_OBJ_GET_INFO_BY_FD, &b, sizeof(b));
	differ("info", &a, ek, ev);
	differ("info length", &a, a.info.info_len, b.info.info_len);
	memcpy(&ik, k, sizeof(ik));
	memcpy(&iv, v, sizeof(iv));
	differ("info type", &a, ik.type, iv.type);
	if (len < sizeof(ik) || ek)
		return;
	differ("info ifindex", &a, ik.xdp.ifindex, iv.xdp.ifindex);
	differ("info program", &a, prog_of(false, ik.prog_id), prog_of(true, iv.prog_id));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.link_id = ik.id;
	b.link_id = iv.id;
	ek = call(false, BPF_LINK_GET_FD_BY_ID, &a, sizeof(a));
	ev = call(true, BPF_LINK_GET_FD_BY_ID, &b, sizeof(b));
	assert_true(ek >= 0 && ev >= 0);
	close((int)ek);
	close((int)ev);
}

static void bytes(void)
{
	static const int cmds[] = {BPF_LINK_CREATE, BPF_LINK_UPDATE, BPF_LINK_DETACH, BPF_LINK_GET_FD_BY_ID, BPF_LINK_GET_NEXT_ID};
	uint8_t attr[300];
	unsigned int c, i;
	long k, v;

	for (c = 0; c < 5; c++)
		for (i = cmds[c] == BPF_LINK_GET_NEXT_ID ? 8 : 0; i < sizeof(attr); i++) {
			memset(attr, 0, sizeof(attr));
			attr[i] = 0xff;
			k = call(false, cmds[c], (union bpf_attr *)(void *)attr, i + 1);
			memset(attr, 0, sizeof(attr));
			attr[i] = 0xff;
			v = call(true, cmds[c], (union bpf_attr *)(void *)attr, i + 1);
			if (k != v && bad++ < 20)
				fprintf(stderr, "command %d byte %u: kernel %ld, engine %ld\n", cmds[c], i, k, v);
		}
}

static void same_answers(void **unused)
{
	unsigned int i, n = 0;

	(void)unused;
	if (geteuid() != 0)
		skip();
	state = SEED;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link add a0 type veth peer name a1 && ip link add b0 mtu 9000 type veth peer name b1 mtu 9000"), 0);
	/* veth names its second end first */
	assert_int_equal(system("test $(cat /proc/net/dev | wc -l) = 7"), 0);
	engine();
	objects();
	for (i = 0; i < 1200; i++) {
		switch (rnd(8)) {
		case 0:
		case 1:
		case 2:
			try_create();
			break;
		case 3:
		case 4:
			try_update();
			break;
		case 5:
			if (rnd(3) == 0)
				try_detach();
			break;
		case 6:
			try_close();
			break;
		default:
			try_info();
		}
		n += link_of[rnd(LINKS)].vm >= 0;
	}
	bytes();
	for (i = 0; i < 40; i++)
		try_close();
	assert_int_equal(bad, 0);
	assert_true(n > 100);
	vm_free(vm);
}

static int fd_of(long ret)
{
	assert_true(ret >= 0);
	return (int)ret;
}

static int attach(int prog_fd, uint32_t ifindex)
{
	union bpf_attr a = {.link_create = {.prog_fd = (uint32_t)prog_fd, .target_ifindex = ifindex, .attach_type = BPF_XDP}};

	return (int)call(true, BPF_LINK_CREATE, &a, sizeof(a));
}

/* A link lives as long as somebody holds it, and its program runs as long as it lives. */
static void held(void **unused)
{
	struct bpf_insn insns[] = {{.code = 0xb7, .imm = XDP_PASS}, {.code = 0x95}};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 2, .insns = (uintptr_t)insns, .license = (uintptr_t) "GPL"};
	struct obj *on;
	int fd, link, again;
	uint32_t id;

	(void)unused;
	engine();
	fd = fd_of(call(true, BPF_PROG_LOAD, &a, sizeof(a)));
	id = prog_id(true, fd);
	assert_null(vm_if_program(vm, 2));
	assert_null(vm_if_program(vm, 77));
	link = fd_of(attach(fd, 2));
	assert_int_equal(attach(fd, 2), -EBUSY);
	on = vm_if_program(vm, 2);
	assert_int_equal(on->id, id);
	obj_put(on);
	close(fd); /* the link holds it */
	on = vm_if_program(vm, 2);
	assert_int_equal(on->id, id);
	obj_put(on);
	a = (union bpf_attr){.pathname = (uintptr_t) "/sys/fs/bpf/l", .bpf_fd = (uint32_t)link};
	assert_int_equal(call(true, BPF_OBJ_PIN, &a, sizeof(a)), 0);
	close(link);
	on = vm_if_program(vm, 2);
	assert_int_equal(on->id, id);
	obj_put(on);
	a = (union bpf_attr){.pathname = (uintptr_t) "/sys/fs/bpf/l", .file_flags = BPF_F_RDONLY};
	assert_int_equal(call(true, BPF_OBJ_GET, &a, sizeof(a)), -EINVAL);
	a = (union bpf_attr){.pathname = (uintptr_t) "/sys/fs/bpf/l"};
	again = fd_of(call(true, BPF_OBJ_GET, &a, sizeof(a)));
	assert_int_equal(vm_unpin(vm, "/sys/fs/bpf/l"), 0);
	on = vm_if_program(vm, 2);
	assert_non_null(on);
	obj_put(on);
	close(again);
	assert_null(vm_if_program(vm, 2));
	a = (union bpf_attr){0};
	assert_int_equal(call(true, BPF_LINK_GET_NEXT_ID, &a, sizeof(a)), -ENOENT);
	assert_int_equal(call(true, BPF_PROG_GET_NEXT_ID, &a, sizeof(a)), -ENOENT);
	vm_free(vm);
}

static long pin(int fd, const char *path)
{
	union bpf_attr a = {.pathname = (uintptr_t)path, .bpf_fd = (uint32_t)fd};

	return call(true, BPF_OBJ_PIN, &a, sizeof(a));
}

static void pins(void **unused)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	struct vm_pin_about about;
	char name[NAME_MAX + 1], path[PATH_MAX], longest[PATH_MAX] = "/sys/fs/bpf/";
	int fd;

	(void)unused;
	engine();
	fd = fd_of(call(true, BPF_MAP_CREATE, &a, sizeof(a)));
	assert_int_equal(pin(fd, "/tmp/x"), -EPERM);
	assert_int_equal(pin(fd, "/sys/fs/bpfx"), -EPERM);
	assert_int_equal(pin(fd, "x"), -ENOENT);
	assert_int_equal(pin(fd, "/sys/fs/bpf/x.y"), -EPERM);
	assert_int_equal(pin(fd, "/sys/fs/bpf"), -EEXIST);
	assert_int_equal(pin(fd, "/sys/fs/bpf/d/x"), -ENOENT);
	assert_int_equal(vm_pin_mkdir(vm, "/sys/fs/bpf/d"), 0);
	assert_int_equal(vm_pin_mkdir(vm, "/sys/fs/bpf/d"), -EEXIST);
	assert_int_equal(vm_pin_mkdir(vm, "/tmp/d"), -EPERM);
	memset(longest + 12, 'n', NAME_MAX + 1);
	assert_int_equal(vm_pin_mkdir(vm, longest), -ENAMETOOLONG);
	assert_int_equal(pin(fd, longest), -ENAMETOOLONG);
	longest[12 + NAME_MAX] = '\0';
	assert_int_equal(vm_pin_mkdir(vm, longest), 0);
	assert_int_equal(vm_pin_rmdir(vm, longest), 0);
	assert_int_equal(pin(fd, "/sys/fs//bpf/./d/e/../x"), 0);
	assert_int_equal(pin(fd, "/sys/fs/bpf/d/x"), -EEXIST);
	assert_int_equal(pin(fd, "/sys/fs/bpf/d/x/y"), -ENOTDIR);
	assert_int_equal(pin(fd, "/sys/fs/bpf/dx"), 0);
	assert_int_equal(vm_pin_child(vm, "/sys/fs/bpf/d", 0, name, &about), 0);
	assert_string_equal(name, "x");
	assert_false(about.is_dir);
	assert_int_equal(vm_pin_child(vm, "/sys/fs/bpf/d", 1, name, &about), -ENOENT);
	assert_int_equal(vm_pin_child(vm, VM_PIN_ROOT, 1, name, &about), 0);
	assert_string_equal(name, "dx");
	assert_int_equal(vm_pin_about(vm, "/sys/fs/bpf/d", &about), 0);
	assert_true(about.is_dir);
	assert_int_equal(vm_pin_about(vm, "/sys/fs/bpf/e", &about), -ENOENT);
	assert_int_equal(vm_unpin(vm, "/sys/fs/bpf/d"), -EISDIR);
	assert_int_equal(vm_pin_rmdir(vm, "/sys/fs/bpf/d"), -ENOTEMPTY);
	assert_int_equal(vm_pin_rmdir(vm, "/sys/fs/bpf/dx"), -ENOTDIR);
	assert_int_equal(vm_unpin(vm, "/sys/fs/bpf/d/x"), 0);
	assert_int_equal(vm_unpin(vm, "/sys/fs/bpf/d/x"), -ENOENT);
	assert_int_equal(vm_pin_rmdir(vm, "/sys/fs/bpf/d"), 0);
	assert_int_equal(vm_pin_rmdir(vm, VM_PIN_ROOT), -EBUSY);
	assert_int_equal(path_clean(path, "/../../a/./b//c/"), 0);
	assert_string_equal(path, "/a/b/c");
	assert_int_equal(path_clean(path, "/.."), 0);
	assert_string_equal(path, "/");
	close(fd);
	vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held),
		cmocka_unit_test(pins),
		cmocka_unit_test(same_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
