// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP_REDIRECT resolved to targets: which, in which order, with which bytes. And the engine's clock. */
#include "vm/helper_test.h"
#include "vm/redirect.h"

#define MOST 16

static struct {
	struct vm_target target;
	char map[16];
	uint8_t first[20];
	uint32_t len, egress;
} got[MOST];
static unsigned int n_got;

static void deliver(void *arg, const struct vm_target *target, const struct vm_packet *p)
{
	assert_ptr_equal(arg, &n_got);
	assert_true(n_got < MOST);
	got[n_got].target = *target;
	snprintf(got[n_got].map, sizeof(got->map), "%s", target->map ? target->map : "-");
	memcpy(got[n_got].first, (void *)(uintptr_t)p->ctx.data, sizeof(got->first));
	got[n_got].len = p->ctx.data_end - p->ctx.data;
	got[n_got].egress = p->ctx.egress_ifindex;
	n_got++;
}

static int go(int prog, uint64_t verdict)
{
	n_got = 0;
	assert_int_equal(say(prog), verdict);
	return vm_redirect(&run, deliver, &n_got);
}

static void is(unsigned int i, int kind, uint32_t index, const char *map, uint32_t verdict, uint8_t first)
{
	assert_true(i < n_got);
	assert_int_equal(got[i].target.kind, kind);
	assert_int_equal(got[i].target.index, index);
	assert_int_equal(got[i].target.rx_queue, 3);
	assert_string_equal(got[i].map, map);
	assert_int_equal(got[i].target.verdict, verdict);
	assert_int_equal(got[i].first[0], first);
	assert_int_equal(got[i].egress, 0);
}

static int named(uint32_t type, uint32_t value, uint32_t most, const char *name)
{
	union bpf_attr a = {.map_type = type, .key_size = 4, .value_size = value, .max_entries = most};
	int fd;

	snprintf(a.map_name, sizeof(a.map_name), "%s", name);
	fd = (int)vm_bpf(vm, BPF_MAP_CREATE, &a, sizeof(a));
	assert_true(fd >= 0);
	return fd;
}

static int through(int map, uint32_t key, uint32_t flags)
{
	return load("r1 = map[fd:%d]\nr2 = %u\nr3 = %u\ncall bpf_redirect_map\nexit", map, key, flags);
}

static int entry_program(const char *text, uint32_t attach)
{
	int fd = load_as(text, BPF_PROG_TYPE_XDP, attach, "GPL");

	assert_true(fd >= 0);
	return fd;
}

static int packet_setup(void **state)
{
	fixture_new(state);
	packet->ctx.rx_queue_index = 3;
	return 0;
}

static void interfaces(void **unused)
{
	int plain = load("r1 = 7\nr2 = 0\ncall bpf_redirect\nexit"), none = load("r0 = 4\nexit");
	int flags = load("r1 = 7\nr2 = 1\ncall bpf_redirect\nexit");
	int map = named(BPF_MAP_TYPE_DEVMAP, 4, 4, "ports"), one, miss, both;
	uint32_t seven = 9;

	(void)unused;
	assert_int_equal(go(plain, XDP_REDIRECT), 1);
	is(0, VM_TO_IF, 7, "-", XDP_PASS, 0);
	assert_int_equal(go(none, XDP_REDIRECT), -EBADRQC);
	assert_int_equal(n_got, 0);
	assert_int_equal(go(flags, XDP_ABORTED), -EBADRQC);

	assert_int_equal(put(map, 2, &seven), 0);
	one = through(map, 2, 0);
	miss = through(map, 3, XDP_TX);
	assert_int_equal(go(one, XDP_REDIRECT), 1);
	is(0, VM_TO_IF, 9, "ports", XDP_PASS, 0);
	assert_int_equal(go(through(map, 2, 4), XDP_ABORTED), -EBADRQC);
	/* a miss after a hit: an interface of the former number, as the kernel has it */
	both = load("r1 = 7\nr2 = 0\ncall bpf_redirect\nr1 = map[fd:%d]\nr2 = 3\nr3 = 0\ncall "
		    "bpf_redirect_map\nr0 = 4\nexit",
		    map);
	assert_int_equal(go(miss, XDP_TX), 1);
	assert_int_equal(go(both, XDP_REDIRECT), 1);
	is(0, VM_TO_IF, 7, "-", XDP_PASS, 0);
	/* it goes away between the helper and the redirect */
	assert_int_equal(say(one), XDP_REDIRECT);
	{
		uint32_t key = 2;
		union bpf_attr a = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};

		assert_int_equal(vm_bpf(vm, BPF_MAP_DELETE_ELEM, &a, sizeof(a)), 0);
	}
	n_got = 0;
	assert_int_equal(vm_redirect(&run, deliver, &n_got), -ENOENT);
	assert_int_equal(n_got, 0);
	assert_int_equal(vm_redirect(&run, deliver, &n_got), -EBADRQC);
}

static void broadcast(uint32_t type)
{
	int map = named(type, 8, 8, "all"), every, others, i;
	/* says which interface it leaves by in the first byte, shortens the packet, drops what goes to 5 */
	int prog = entry_program("r6 = r1\n"
				 "r7 = *(u32 *)(r6 +20)\n"
				 "r2 = *(u32 *)(r6 +16)\n"
				 "if r2 != 0x0 goto bad\n"
				 "r2 = *(u32 *)(r6 +0)\n"
				 "r3 = *(u8 *)(r2 +0)\n"
				 "if r3 != 0x0 goto bad\n"
				 "*(u8 *)(r2 +0) = r7\n"
				 "r1 = r6\n"
				 "r2 = -4\n"
				 "call bpf_xdp_adjust_tail\n"
				 "r0 = 2\n"
				 "if r7 != 0x5 goto out\n"
				 "bad: r0 = 1\n"
				 "out: exit\n",
				 BPF_XDP_DEVMAP);
	struct bpf_devmap_val v = {.ifindex = 0};

	assert_int_equal(go(through(map, 0, BPF_F_BROADCAST), XDP_REDIRECT), 0);
	for (i = 1; i < 6; i++) {
		v.ifindex = (uint32_t)i;
		v.bpf_prog.fd = i == 2 ? -1 : prog;
		assert_int_equal(put(map, (uint32_t)i, &v), 0);
	}
	every = through(map, 99, BPF_F_BROADCAST);
	others = through(map, 99, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	packet->ctx.ingress_ifindex = 3;
	assert_int_equal(go(every, XDP_REDIRECT), 5);
	for (i = 0; i < 5; i++) {
		uint32_t at = got[i].target.index;

		is((unsigned int)i, VM_TO_IF, (uint32_t)i + 1, "all", at == 5 ? XDP_DROP : XDP_PASS,
		   at == 2 ? 0 : (uint8_t)at);
		assert_int_equal(got[i].len, at == 2 ? 64 : 60);
	}
	assert_int_equal(packet->ctx.data_end - packet->ctx.data, 64);
	assert_int_equal(packet->frame[HELPER_HEADROOM], 0);
	assert_int_equal(packet->ctx.rx_queue_index, 3);
	assert_int_equal(go(others, XDP_REDIRECT), 4);
	is(2, VM_TO_IF, 4, "all", XDP_PASS, 4);
	/* without broadcast an excluded one is not looked at */
	assert_int_equal(go(through(map, 3, BPF_F_EXCLUDE_INGRESS), XDP_REDIRECT), 1);
	is(0, VM_TO_IF, 3, "all", XDP_PASS, 3);
}

static void broadcasts(void **unused)
{
	(void)unused;
	broadcast(BPF_MAP_TYPE_DEVMAP);
}

static void broadcasts_by_hash(void **unused)
{
	(void)unused;
	broadcast(BPF_MAP_TYPE_DEVMAP_HASH);
}

static void faults(void **unused)
{
	int map = named(BPF_MAP_TYPE_DEVMAP, 8, 4, "bad");
	struct bpf_devmap_val v = {.ifindex = 2,
				   .bpf_prog.fd =
					   entry_program("r0 = *(u32 *)(r1 +64)\nexit", BPF_XDP_DEVMAP)};
	char text[256];

	(void)unused;
	assert_int_equal(put(map, 1, &v), 0);
	assert_int_equal(go(through(map, 1, 0), XDP_REDIRECT), -EFAULT);
	assert_non_null(strstr(vm_fault_text(&run.fault, text, sizeof(text)), "reads 4 bytes at"));
	assert_int_equal(n_got, 0);
	assert_int_equal(packet->ctx.egress_ifindex, 0);
	assert_int_equal(go(through(map, 1, BPF_F_BROADCAST), XDP_REDIRECT), -EFAULT);
	packet->ctx.data_end = packet->ctx.data + 3000; /* more than is put aside without asking for memory */
	v.bpf_prog.fd =
		entry_program("r2 = *(u32 *)(r1 +0)\n*(u8 *)(r2 +14) = 1\nr0 = 2\nexit", BPF_XDP_DEVMAP);
	assert_int_equal(put(map, 1, &v), 0);
	packet->frame[HELPER_HEADROOM + 14] = 9;
	assert_int_equal(go(through(map, 1, BPF_F_BROADCAST), XDP_REDIRECT), 1);
	assert_int_equal(got[0].len, 3000);
	assert_int_equal(got[0].first[14], 1);
	assert_int_equal(packet->frame[HELPER_HEADROOM + 14], 9);
}

static void cpus(void **unused)
{
	int map = named(BPF_MAP_TYPE_CPUMAP, 8, 4, "cpus"), cpu_of, again,
	    xsks = named(BPF_MAP_TYPE_XSKMAP, 4, 4, "xsks");
	struct bpf_cpumap_val v = {.qsize = 64, .bpf_prog.fd = -1};
	char text[256];

	(void)unused;
	assert_int_equal(put(map, 0, &v), 0);
	assert_int_equal(go(through(map, 0, 0), XDP_REDIRECT), 1);
	is(0, VM_TO_CPU, 0, "cpus", XDP_PASS, 0);
	/* its program runs there: the first byte becomes the CPU's number, the queue is not known */
	cpu_of = entry_program("r6 = *(u32 *)(r1 +0)\nr7 = *(u32 *)(r1 +16)\ncall bpf_get_smp_processor_id\n"
			       "*(u8 *)(r6 +0) = r0\nr0 = 2\nif r7 == 0x0 goto +1\nr0 = 0\nexit",
			       BPF_XDP_CPUMAP);
	v.bpf_prog.fd = cpu_of;
	assert_int_equal(put(map, 1, &v), 0);
	packet->frame[HELPER_HEADROOM] = 77;
	assert_int_equal(go(through(map, 1, 0), XDP_REDIRECT), 1);
	is(0, VM_TO_CPU, 1, "cpus", XDP_PASS, 1);
	assert_int_equal(host.cpu, 0);
	/* and may send the packet on: here to itself, for ever */
	snprintf(text, sizeof(text), "r1 = map[fd:%d]\nr2 = 1\nr3 = 0\ncall bpf_redirect_map\nexit", map);
	again = entry_program(text, BPF_XDP_CPUMAP);
	v.bpf_prog.fd = again;
	assert_int_equal(put(map, 1, &v), 0);
	assert_int_equal(go(through(map, 1, 0), XDP_REDIRECT), -ELOOP);
	assert_int_equal(n_got, VM_REDIRECT_HOPS);
	is(VM_REDIRECT_HOPS - 1, VM_TO_CPU, 1, "cpus", XDP_REDIRECT, 1);
	/* or out of an interface */
	v.bpf_prog.fd = entry_program("r1 = 5\nr2 = 0\ncall bpf_redirect\nexit", BPF_XDP_CPUMAP);
	assert_int_equal(put(map, 1, &v), 0);
	assert_int_equal(go(through(map, 1, 0), XDP_REDIRECT), 2);
	is(0, VM_TO_CPU, 1, "cpus", XDP_REDIRECT, 1);
	is(1, VM_TO_IF, 5, "-", XDP_PASS, 1);
	assert_int_equal(go(through(xsks, 2, XDP_PASS), XDP_PASS), 1);
}

static void clocks(void **unused)
{
	int mono = load("call bpf_ktime_get_ns\nexit"), tai = load("call bpf_ktime_get_tai_ns\nexit");
	int ticks = load("call bpf_jiffies64\nexit");
	uint64_t before = say(mono);

	(void)unused;
	assert_true(say(mono) >= before && before);
	vm_set_clock(vm, 4000000123);
	assert_int_equal(say(mono), 4000000123);
	assert_int_equal(say(tai), 4000000123);
	assert_int_equal(say(ticks), 1000);
	host.now_ns = 55;
	assert_int_equal(say(mono), 55);
	host.now_ns = 0;
	vm_set_clock(vm, 0);
	assert_true(say(mono) >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(interfaces, packet_setup, fixture_free),
		cmocka_unit_test_setup_teardown(broadcasts, packet_setup, fixture_free),
		cmocka_unit_test_setup_teardown(broadcasts_by_hash, packet_setup, fixture_free),
		cmocka_unit_test_setup_teardown(faults, packet_setup, fixture_free),
		cmocka_unit_test_setup_teardown(cpus, packet_setup, fixture_free),
		cmocka_unit_test_setup_teardown(clocks, packet_setup, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
